"""Vision transformers from the folder that the Hugging Face hub has of them: ViT, DeiT and DINOv2.

The folder holds ``config.json``, safetensors, and ``preprocessor_config.json``, which says the range of pixels. Blocks
of the plain kind only: what would be computed otherwise than here is refused, not approximated.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from keras_hub.src.utils.transformers import convert_deit, convert_dinov2, convert_vit

from kerastl.models.pretrained import safetensors_file, vision_transformer
from kerastl.models.pretrained.weights import WeightReport, WeightsError
from kerastl.system import bounded_json
from kerastl.untrusted import declared_size

_KINDS: dict[str, types.ModuleType] = {
    "vit": convert_vit,
    "deit": convert_deit,
    "dinov2": convert_dinov2,
    "dinov2_with_registers": convert_dinov2,
}
_PLAIN = {"hidden_act": ("gelu",), "qkv_bias": (True, None), "num_channels": (3, None)}
_SIZES = ("image_size", "patch_size", "num_hidden_layers", "hidden_size", "num_attention_heads")
_PREFIXES = ("vit.", "deit.", "dinov2.", "dinov2_with_registers.")
# Of classifiers, of pretraining, and a pooler that saw the class token only.
_HEADS = ("classifier.", "cls_classifier.", "distillation_classifier.", "decoder.", "pooler.")
_UNUSED = ("embeddings.mask_token",)


def matches(folder: Path) -> bool:
    """Whether a folder's ``config.json`` says that it is one of these."""
    return _json(folder / "config.json").get("model_type") in _KINDS


def load(folder: Path) -> tuple[keras.Model, WeightReport]:
    """The backbone of keras-hub with the folder's weights, every one of which is accounted for.

    Raises:
        ValueError: another kind of transformer, naming the setting; or no safetensors.
        weights.WeightsError: weights that are missing, unexpected, of another shape or not finite.
    """
    config = _json(folder / "config.json")
    plain = {**_PLAIN, **({"layer_norm_eps": (1e-6, None)} if config["model_type"].startswith("dinov2") else {})}
    other = {name: config.get(name) for name, values in plain.items() if config.get(name) not in values}
    sizes = {name: config.get(name) for name in _SIZES}
    if other or not all(isinstance(size, int) and 0 < size <= 100_000 for size in sizes.values()):
        raise ValueError(
            f"Wanted a transformer of the plain kind ({', '.join(f'{name} {plain[name][0]!r}' for name in plain)}). "
            f"Received: {folder} with {other or sizes}."
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"Wanted weights in .safetensors files. Received: {folder}, which holds none.")
    arrays = {name: array for file in files for name, array in safetensors_file.arrays(file).items()}
    held, width = sum(array.size for array in arrays.values()), int(config["hidden_size"])
    if 4 * int(config["num_hidden_layers"]) * width**2 > 2 * held:  # attention alone; before so many layers are built
        raise ValueError(f"{folder}/config.json describes more than its files hold, {held:,} numbers: {sizes}.")
    kind = _KINDS[config["model_type"]]
    try:
        settings = kind.convert_backbone_config(config)
        if "layer_norm_eps" in config and kind is convert_vit:  # which keras-hub leaves at its own
            settings["layer_norm_epsilon"] = config["layer_norm_eps"]
        with declared_size.bounded(held):
            body = kind.backbone_cls(**settings)
    except declared_size.DeclaredSizeError as error:
        raise ValueError(f"{folder} is not opened: {error}: {sizes}.") from error
    except KeyError as error:
        raise ValueError(
            f"Wanted all settings of the transformer in {folder}/config.json. Missing: {error}."
        ) from error
    put = _Put(arrays)
    kind.convert_weights(body, put, config)
    return body, put.accounted(body, source=f"folder {folder}")


class _Put:
    """Stands where keras-hub has its reader of files, and keeps account of who was given what."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = {_bare(name): array for name, array in arrays.items()}
        self._read: set[str] = set()
        self._loaded: list[str] = []
        self._missing: list[str] = []
        self._mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
        self._not_finite: list[str] = []

    def port_weight(self, keras_variable: keras.Variable, hf_weight_key: str, hook_fn: Callable | None = None) -> None:
        """Gives a variable the array of that name, turned as ``hook_fn`` turns it; called by keras-hub."""
        name, shape = _bare(hf_weight_key), tuple(keras_variable.shape)
        if name not in self._arrays:
            self._missing.append(hf_weight_key)
            return
        array = self._arrays[name]
        self._read.add(name)
        try:
            turned = hook_fn(array, list(shape)) if hook_fn else array
        except ValueError:  # it has other numbers of rows than the shape
            turned = array
        if turned.shape != shape:
            self._mismatched.append((hf_weight_key, shape, array.shape))
        elif not np.all(np.isfinite(turned)):
            self._not_finite.append(hf_weight_key)
        else:
            self._loaded.append(keras_variable.path)
            keras_variable.assign(turned)

    def accounted(self, body: keras.Model, *, source: str) -> WeightReport:
        """What became of every array; raises `WeightsError` where one is not where it belongs."""
        rest = [name for name in self._arrays if name not in self._read]
        left_out = [name for name in self._arrays if name.startswith(_HEADS) or name in _UNUSED]
        unused = vision_transformer.unused_weights(body)
        account = WeightReport(
            source,
            loaded=tuple(path for path in self._loaded if path not in unused),
            left_out=tuple(left_out),
            missing=tuple(self._missing),
            unexpected=tuple(name for name in rest if name not in left_out),
            mismatched=tuple(self._mismatched),
            not_finite=tuple(self._not_finite),
        )
        account.check()
        # these are made of the positions that were loaded
        made = {weight.path for weight in body.weights if weight.name == "interpolated_position_embeddings"}
        if forgotten := {weight.path for weight in body.weights} - set(self._loaded) - made:
            raise WeightsError(f"Wanted an array for every weight. Received: {source}, none for {sorted(forgotten)}.")
        return account


def _bare(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)


def converter(folder: Path) -> Any:
    """keras-hub's preprocessing by a folder's ``preprocessor_config.json``; ``None`` where there is none.

    Raises:
        ValueError: it does not say three means and deviations.
    """
    settings = _json(folder / "preprocessor_config.json")
    if not settings:
        return None
    scale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    normalizes = settings.get("do_normalize", True)
    mean = settings.get("image_mean") if normalizes else [0.0] * 3
    deviation = settings.get("image_std") if normalizes else [1.0] * 3
    for numbers in (mean, deviation, [scale] * 3):
        if not isinstance(numbers, list) or [type(number) in (int, float) for number in numbers] != [True] * 3:
            raise ValueError(
                f"Wanted image_mean and image_std of three numbers each, and a rescale_factor. Received: {folder}/"
                f"preprocessor_config.json with {mean}, {deviation} and {scale}."
            )
    mean, deviation = np.asarray(mean, "float64"), np.asarray(deviation, "float64")
    if not np.all(deviation > 0):
        raise ValueError(f"Wanted deviations above 0. Received: {folder}/preprocessor_config.json with {deviation}.")
    return keras_hub.layers.ImageConverter(
        scale=(scale / deviation).tolist(), offset=(-mean / deviation).tolist(), name="image_converter"
    )


def _json(path: Path) -> dict[str, Any]:
    return bounded_json.read_object(path) if path.is_file() else {}
