"""Random views of training pictures, made of Keras layers."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops


def build(
    *,
    rotation: float = 0.0,
    translation: float = 0.0,
    zoom: float = 0.0,
    shear: float = 0.0,
    fill: str = "constant",
    horizontal_flip: bool = False,
    brightness: float = 0.0,
    contrast: float = 0.0,
    erasing: float = 0.0,
    seed: int = 0,
) -> keras.Sequential | None:
    """A model that takes a batch of pictures and returns randomly changed ones of the same shape.

    It takes float32 pixels 0..255, for example through ``data.pipeline.batches(augment=...)``. Like Keras' own random
    layers it changes pictures unless it is called with ``training=False``.

    Args:
        rotation: largest angle in turns (0.03 is 11 degrees), to either side.
        translation: largest shift as a share of height and width; without any of the others by whole pixels.
        zoom: largest change of scale as a share, drawn for height and width apart.
        shear: largest shift a pixel of height, as a share.
        fill: what stands outside a moved picture: ``"constant"`` is black, ``"reflect"`` its mirror image.
        horizontal_flip: whether to mirror half of the pictures.
        brightness: largest change as a share of the range, to either side.
        contrast: largest change of the distance from a picture's mean, as a share, to either side.
        erasing: probability with which a random rectangle is blanked (Zhong et al. 2020, random erasing).
        seed: of the random stream.

    Returns:
        A ``keras.Sequential``, or ``None`` where nothing was asked for.
    """
    steps: list[keras.Layer] = []
    if horizontal_flip:
        steps.append(layers.RandomFlip("horizontal", seed=seed))
    if rotation or translation or zoom or shear:
        limits = {"rotation": rotation, "translation": translation, "zoom": zoom, "shear": shear}
        steps.append(RandomAffine(**limits, fill=fill, seed=seed + 1))
    if brightness:
        steps.append(layers.RandomBrightness(brightness, value_range=(0, 255), seed=seed + 3))
    if contrast:
        steps.append(layers.RandomContrast(contrast, value_range=(0, 255), seed=seed + 4))
    if erasing:
        steps.append(
            layers.RandomErasing(factor=erasing, scale=(0.02, 0.2), fill_value=0.0, value_range=(0, 255), seed=seed + 2)
        )
    return keras.Sequential(steps, name="augment") if steps else None


@keras.saving.register_keras_serializable(package="kerastl")
class RandomAffine(layers.Layer):
    """Rotates, shifts, zooms and shears every picture about its centre in one resampling.

    A shift alone is by whole pixels and resamples nothing.

    Keras' RandomRotation, RandomTranslation, RandomZoom and RandomShear in a row resample four times, and each
    bilinear resampling blurs: a model then learns from pictures softer than those it will see.

    Args:
        rotation, translation, zoom, shear, fill: as in ``build``.
        seed: of the random stream.
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        translation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        fill: str = "constant",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fill = fill
        self.limits = {"rotation": rotation, "translation": translation, "zoom": zoom, "shear": shear}
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pictures ``(batch, height, width, channels)`` to pictures of the same shape."""
        if not training:
            return inputs
        _, height, width, _ = inputs.shape
        batch = ops.shape(inputs)[0]

        def draw(limit: str) -> Any:
            reach = self.limits[limit]
            return keras.random.uniform((batch,), -reach, reach, seed=self.seed_generator)

        angle = 2 * math.pi * draw("rotation")
        shift = (height * draw("translation"), width * draw("translation"))
        if not (self.limits["rotation"] or self.limits["zoom"] or self.limits["shear"]):
            shift = tuple(ops.round(pixels) for pixels in shift)
        transforms = affine_transforms(
            (height, width),
            angle=angle,
            shift=shift,
            scale=(1 + draw("zoom"), 1 + draw("zoom")),
            shear=draw("shear"),
        )
        return ops.image.affine_transform(inputs, transforms, interpolation="bilinear", fill_mode=self.fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.limits, "fill": self.fill, "seed": self.seed}


def affine_transforms(
    size: tuple[int, int], *, angle: Any, shift: tuple[Any, Any], scale: tuple[Any, Any], shear: Any
) -> Any:
    """The eight numbers a picture that ``keras.ops.image.affine_transform`` wants.

    They take an output pixel to the input pixel it is read from: about the centre, scaled, sheared, rotated, shifted.

    Args:
        size: height and width in pixels.
        angle: ``(batch,)`` in radians, counted clockwise on the screen.
        shift: vertical and horizontal, each ``(batch,)`` in pixels of the input.
        scale: vertical and horizontal, each ``(batch,)``; above 1 reads a larger area, so things look smaller.
        shear: ``(batch,)``, horizontal shift a pixel of height.

    Returns:
        ``(batch, 8)``.
    """
    centre_y, centre_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    cosine, sine = ops.cos(angle), ops.sin(angle)
    # rotation @ [[scale_x, shear], [0, scale_y]], acting on (x, y)
    a, b = cosine * scale[1], cosine * shear - sine * scale[0]
    c, d = sine * scale[1], sine * shear + cosine * scale[0]
    x0 = centre_x + shift[1] - a * centre_x - b * centre_y
    y0 = centre_y + shift[0] - c * centre_x - d * centre_y
    zero = ops.zeros_like(a)
    return ops.stack([a, b, x0, c, d, y0, zero, zero], axis=1)
