"""One door to every foundation model for pictures."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.names import fetched, lacking


def load(name: str, *, image_size: int | None = None) -> Backbone:
    """The foundation model of that name, with its weights, as one flat graph from pixels 0..255.

    Looked for in this order:

    1. weights that ``kerastl fetch`` brings: ``"mobilenet_v2"``, ``"efficientnet_lite0"``;
    2. ``"applications:ResNet50"``: a model of ``keras.applications`` with ImageNet's weights;
    3. ``"preset:resnet_18_imagenet"``: a preset of keras-hub, vision transformers among them, a handle
       (``"preset:hf://..."``) or a preset's folder;
    4. a path: of a folder with a ``config.json`` (a preset, or one of Hugging Face), of the folder of a finished run,
       which holds a ``model.keras``, or of a `.keras` or `.h5` file.

    Args:
        name: one of these.
        image_size: side of the square pictures in pixels; ``None`` for the size that the model was trained at, or 224
            where that is not known.

    Raises:
        FileNotFoundError: the weights are not here and no source could be reached, or there is no such file.
        ValueError: an unknown name (near names are offered), or what `applications.load`, `presets.load` and
            `local_file.load` raise.
    """
    known = fetched()
    options: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
    kind, colon, rest = name.partition(":")
    if name in known:
        return importlib.import_module(f"kerastl.models.pretrained.{name}").load(**options)
    if colon and kind == "applications":
        from kerastl.models.pretrained import applications

        return applications.load(rest, **options)
    folder = Path(name)
    if (colon and kind == "preset") or ((folder / "config.json").is_file() and not (folder / "model.keras").is_file()):
        from kerastl.models.pretrained import presets  # keras-hub takes seconds to import

        return presets.load(rest if kind == "preset" else name, **options)
    if folder.exists():
        from kerastl.models.pretrained import local_file

        return local_file.load(name, **options)
    if "/" in name or "\\" in name or name.endswith((".keras", ".h5")):
        raise FileNotFoundError(f"There is no file or folder {name}.")
    raise ValueError(f"There is no foundation model {name!r}.{lacking(name)}.")
