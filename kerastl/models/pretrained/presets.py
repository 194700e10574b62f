"""Any backbone for pictures that keras-hub knows: its presets, folders it saved, folders of Hugging Face and timm.

Convolutional ones, and of the transformers ViT, DeiT, DINOv2 and DINOv3. Others (Swin, MiT) are made of layers that no
saved model could bring back, and are refused by name.

A preset's own preprocessing, which keras-hub keeps apart from the model, becomes the first layer of the graph.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras
import keras_hub
import numpy as np

from kerastl.models.pretrained import graph, names, vision_transformer, vision_transformer_folder
from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.weights import WeightReport, account, load_file
from kerastl.system import bounded_json
from kerastl.untrusted import declared_size, hdf5_copy, keras_config

SCHEMES = ("kaggle://", "hf://", "modelscope://")
_CONVERTER = "image_converter.json"
_SIZE = 224  # of pictures, where neither the caller nor the preset says
_TOLERANCE = 1e-3
_Result = TypeVar("_Result")


def available() -> list[str]:
    """Names of keras-hub's presets that take pictures. Needs no network."""
    return sorted(keras_hub.layers.ImageConverter.presets)


def load(name: str, *, image_size: int | None = None) -> Backbone:
    """A keras-hub backbone as one flat graph from pixels 0..255, with its weights.

    Args:
        name: of a preset, a handle (``"hf://..."``, ``"kaggle://..."``), or the path of a folder: one that
            ``save_to_preset`` wrote, or one with a ``config.json`` and safetensors from Hugging Face or timm.
        image_size: side of the square pictures in pixels; ``None`` for the preset's own.

    Raises:
        FileNotFoundError: the preset could not be downloaded.
        ValueError: an unknown name (near names are offered); a folder that is no preset, or holds more than the
            configuration and weights of a known backbone; a backbone that takes more than a picture, gives more than
            one tensor, or cannot take pictures of this size; a preset that does not say which range it wants.
        weights.WeightsError: weights of a folder that are not where they belong, each named.
    """
    if not Path(name).is_dir() and name not in available() and not name.startswith(SCHEMES):
        raise ValueError(
            f"keras-hub has no preset {name!r} that takes pictures, and there is no such folder."
            f"{names.near(name, available())} Available: {len(available())} presets, listed by "
            "`kerastl.models.pretrained.presets.available()`, and a folder, or a handle starting with "
            f"{', '.join(SCHEMES)}."
        )
    body, accounting = loaded(name)
    side = _side(body)
    converter = _converter(name)
    own = converter.image_size if converter is not None else None
    size = image_size or side or (own[0] if own else _SIZE)
    model, class_token = _one_graph(body, converter, image_size=size, name=name)
    return Backbone(f"preset:{name}", model, size, accounting, class_token)


def loaded(name: str) -> tuple[Any, WeightReport]:
    """The backbone of keras-hub in a folder or behind a name or handle, with its weights, and their accounting.

    Raises:
        FileNotFoundError: the preset could not be downloaded.
        ValueError: a folder that is no preset, or holds more than the configuration and weights of a known backbone.
    """
    if Path(name).is_dir():
        _inspect(Path(name))
    source = f"folder {name}" if Path(name).is_dir() else f"keras-hub preset {name}"
    if vision_transformer_folder.matches(Path(name)):
        return vision_transformer_folder.load(Path(name))
    file = Path(name, "model.weights.h5")
    kept = file.is_file()  # a folder that Keras wrote; the weights of others are converted by keras-hub
    with declared_size.bounded(_held(name)):
        body = asked(name, lambda: keras_hub.models.Backbone.from_preset(name, load_weights=not kept))
    accounting = load_file(body, file, source=source) if kept else account(body, source=source)
    if not vision_transformer.matches(body):
        return body, accounting
    unused = vision_transformer.unused_weights(body)
    used = tuple(path for path in accounting.loaded if path not in unused)
    return body, dataclasses.replace(accounting, loaded=used, left_out=unused)


def _inspect(folder: Path) -> None:
    """Refuses a folder whose files do more than describe a backbone and hold its numbers.

    Raises:
        ValueError: naming the file.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"Wanted a preset folder. Received: {folder}, which holds no config.json.")
    for file in (folder / "config.json", folder / _CONVERTER):
        if not file.is_file():
            continue
        try:
            configuration = bounded_json.read_object(file)
            if "registered_name" in configuration:  # Keras' own; others are read as numbers and words
                keras_config.inspect(configuration)
        except ValueError as error:
            raise ValueError(f"{file} is not opened: {error}.") from error
    for file in sorted(folder.glob("*.h5")):
        try:
            hdf5_copy.inspect(file)
        except ValueError as error:
            raise ValueError(f"{file} is not opened: {error}.") from error


def _held(name: str) -> int:
    """Numbers that the weights of a folder have at most: one has a byte at least; of what is no folder, any number."""
    files = [file for ending in ("*.h5", "*.safetensors") for file in Path(name).rglob(ending)]
    return sum(file.stat().st_size for file in files) // 2 if Path(name).is_dir() else sys.maxsize


def asked(name: str, ask: Callable[[], _Result]) -> _Result:
    """What keras-hub answers; its many ways to fail are told apart by whether the files lie here."""
    try:
        return ask()
    except Exception as error:  # keras-hub, kagglehub, huggingface_hub and safetensors each raise their own
        words = " ".join(str(error).split())[:300] or type(error).__name__
        if os.path.isdir(name):
            raise ValueError(f"The preset folder {name} cannot be loaded: {words}") from error
        raise FileNotFoundError(
            f"The preset {name!r} could not be downloaded ({words}). Once there is a network the same call gets it; "
            "without one give the path of a preset folder, or a name whose weights `kerastl fetch` brings."
        ) from error


def _converter(name: str) -> Any:
    def ask() -> Any:
        try:
            return keras_hub.layers.ImageConverter.from_preset(name)
        except FileNotFoundError:
            return None

    if vision_transformer_folder.matches(Path(name)):
        return vision_transformer_folder.converter(Path(name))
    return asked(name, ask)


def _side(body: keras.Model) -> int | None:
    """Side in pixels that the graph was made for, if for any."""
    if len(body.inputs) != 1 or len(body.inputs[0].shape) != 4 or body.inputs[0].shape[-1] != 3:
        inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in body.inputs}
        raise ValueError(f"Wanted a backbone from one picture to features. Received: {body.name!r} with {inputs}.")
    height, width = body.inputs[0].shape[1:3]
    return height if height == width else None


def _one_graph(
    body: keras.Model, converter: keras_hub.layers.ImageConverter | None, *, image_size: int, name: str
) -> tuple[keras.Model, bool]:
    """The graph from pixels to features, and whether the first of them is a class token."""
    if converter is None:
        raise ValueError(
            f"The preset {name!r} says nowhere which range of pixels it wants. Received: a preset without "
            f"{_CONVERTER} or preprocessor_config.json. Save one beside it: "
            "`keras_hub.layers.ImageConverter(scale=...).save_to_preset(...)`."
        )
    shape = (image_size, image_size)
    own = tuple(body.inputs[0].shape[1:3])
    # what was made for one size can be compared at that one only
    checked, class_token = _laid_out(body, converter, shape=shape if None in own else own, name=name)
    _compare(checked, body, converter, name=name)
    if checked.input_shape[1:3] == shape:
        return checked, class_token
    return _laid_out(body, converter, shape=shape, name=name)


def _laid_out(
    body: keras.Model, converter: keras_hub.layers.ImageConverter, *, shape: tuple[int, int], name: str
) -> tuple[keras.Model, bool]:
    image = keras.Input((*shape, 3), name="image")
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    scaled = keras.layers.Rescaling(_plain(scale), offset=_plain(offset), name="rescale")(image)
    try:
        if vision_transformer.matches(body):
            output, class_token = vision_transformer.flatten(body, scaled)
        else:
            output, class_token = graph.flatten(body, scaled), False
        return keras.Model(image, output, name=body.name), class_token
    except Exception as error:  # a layer that was made for one size raises whatever another size provokes in it
        raise ValueError(
            f"The preset {name!r} cannot be laid out for pictures of {shape[0]} pixels: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error


def _plain(value: float | np.ndarray) -> float | list[float]:
    return np.asarray(value, "float64").tolist()


def _compare(model: keras.Model, body: keras.Model, converter: keras_hub.layers.ImageConverter, *, name: str) -> None:
    """The graph must answer a picture as the preset's own preprocessing and backbone do, one after the other."""
    shape = model.input_shape[1:]
    probe = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype("float32")
    converter.image_size = shape[:2]
    scaled = converter(probe)
    fed = {body.inputs[0].name: scaled} if isinstance(body.input, dict) else scaled
    wanted = np.asarray(body(fed, training=False))
    received = np.asarray(model(probe, training=False))
    difference = np.max(np.abs(received - wanted))
    if not difference <= _TOLERANCE * max(1.0, float(np.max(np.abs(wanted)))):
        raise ValueError(
            f"The preset {name!r} does more to its pictures than to scale and to shift them, or its layers do not copy "
            f"from their configuration. Received: a difference of {difference:g} from its own answer."
        )
