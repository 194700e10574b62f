"""The published face embedding of dlib: an aligned face to 128 numbers, near to those of the same person.

A residual net of 27 weight layers (King 2017, https://github.com/davisking/dlib-models, "face recognition resnet"), as
face-api publishes it: weights of 8 bits with a scale and a minimum each. Its scale layers are folded into the
convolutions here, and all of it is Keras' own layers. Two faces whose vectors lie closer than 0.6 were of one person in
99.4 of 100 pairs of Labeled Faces in the Wild, as its author states.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerastl.models.pretrained import weights
from kerastl.system import downloads

SIZE = 150
"""Side of an aligned face in pixels."""
WIDTH = 128
"""Numbers that it answers."""
_MEAN = (122.782, 117.001, 104.298)
_BINARY, _MANIFEST = "face_recognition_model.bin", "face_recognition_model-weights_manifest.json"
_SHA256 = {
    _BINARY: "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
    _MANIFEST: "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
}
FILES = downloads.Files(
    name="face_embedding",
    ways=(
        downloads.Package(
            registry="npm",
            name="@vladmandic/face-api",
            version="1.7.15",
            sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
            members={f"package/model/{name}": digest for name, digest in _SHA256.items()},
        ),
    ),
    sha256=_SHA256,
)
BLOCKS = (
    ("conv32_1", 32, False),
    ("conv32_2", 32, False),
    ("conv32_3", 32, False),
    ("conv64_down", 64, True),
    ("conv64_1", 64, False),
    ("conv64_2", 64, False),
    ("conv64_3", 64, False),
    ("conv128_down", 128, True),
    ("conv128_1", 128, False),
    ("conv128_2", 128, False),
    ("conv256_down", 256, True),
    ("conv256_1", 256, False),
    ("conv256_2", 256, False),
    ("conv256_down_out", 256, True),
)
"""Residual blocks from the picture to the answer: name, channels, whether it halves the sides."""


def fetch() -> Path:
    """Gets the weights into the cache; the path of their larger file. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_BINARY]


def load() -> keras.Model:
    """The published net: aligned faces, pixels 0..255 float32 ``(batch, 150, 150, 3)``, to ``(batch, 128)``.

    Its vectors are nearly of length 1, and compared by their distance.

    Raises:
        FileNotFoundError: the weights are not cached and no source could be reached.
        WeightsError: they do not fit.
    """
    model = build()
    weights.fill(model, folded(published()), source=str(FILES.ways[0]))
    return model


def build() -> keras.Model:
    """The architecture with random weights."""
    face = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Rescaling(1 / 255, offset=[-mean / 255 for mean in _MEAN], name="rescale")(face)
    x = layers.Conv2D(32, 7, strides=2, name="conv32_down")(x)
    x = layers.MaxPooling2D(3, 2, name="max_pool")(layers.ReLU(name="conv32_down_relu")(x))
    for name, channels, down in BLOCKS:
        x = _residual(x, name, channels, down=down)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(face, layers.Dense(WIDTH, use_bias=False, name="fc")(x), name="face_embedding")


def _residual(x: keras.KerasTensor, name: str, channels: int, *, down: bool) -> keras.KerasTensor:
    """Two convolutions beside the input; where it halves, beside its mean over two by two, the new channels zero."""
    first = {"strides": 2, "padding": "valid"} if down else {"padding": "same"}
    y = layers.Conv2D(channels, 3, name=f"{name}_conv1", **first)(x)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = layers.Conv2D(channels, 3, padding="same", name=f"{name}_conv2")(y)
    if down:
        x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
        if x.shape[1] != y.shape[1]:  # a row and a column of zeros behind the smaller one, as published
            y = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(y)
        if x.shape[-1] != channels:
            x = layers.Concatenate(name=f"{name}_widen")([x, layers.Rescaling(0.0, name=f"{name}_zeros")(x)])
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))


def published() -> dict[str, np.ndarray]:
    """The arrays as they were published, by their own names, float32: ``q * scale + min``.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: the manifest and the numbers do not fit.
    """
    files = downloads.fetch(FILES)
    content = files[_BINARY].read_bytes()
    (group,) = json.loads(files[_MANIFEST].read_text("utf-8"))
    found, place = {}, 0
    for one in group["weights"]:
        count, stored = int(np.prod(one["shape"])), one.get("quantization")
        kind = np.dtype(np.uint8 if stored else "<f4")
        part = np.frombuffer(content, kind, count, place).astype(np.float32)
        if stored:
            part = part * np.float32(stored["scale"]) + np.float32(stored["min"])
        found[one["name"]], place = part.reshape(one["shape"]), place + count * kind.itemsize
    if place != len(content):
        raise ValueError(f"Wanted {place:,} bytes as the manifest lists them. Received: {len(content):,}.")
    return found


def folded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The published arrays as those of `build`, ``"layer/weight"``: each scale goes into its convolution."""
    made = {"fc/kernel": arrays["fc"]}
    for name in [key.removesuffix("/conv/filters") for key in arrays if key.endswith("/conv/filters")]:
        scale, layer = arrays[f"{name}/scale/weights"], name.replace("/", "_")
        made[f"{layer}/kernel"] = arrays[f"{name}/conv/filters"] * scale
        made[f"{layer}/bias"] = arrays[f"{name}/conv/bias"] * scale + arrays[f"{name}/scale/biases"]
    return made
