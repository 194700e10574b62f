"""Augmentation: training pictures that are changed at random, as settings and as a model of Keras layers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from kerastl.types.settings import Part, Share, Weight

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far training pictures are changed at random; nothing by default."""

    rotation: Share = 0.0
    """Largest angle in turns (0.03 is 11 degrees), to either side."""
    translation: Share = 0.0
    """Largest shift as a share of height and width; without any of the others by whole pixels."""
    zoom: Part = 0.0
    """Largest change of scale as a share, drawn for height and width apart."""
    shear: Share = 0.0
    """Largest shift a pixel of height, as a share."""
    crop: Part = 0.0
    """Largest share of height and width that is cut away, anywhere; what is left is enlarged to the whole picture."""
    elastic: Share = 0.0
    """Elastic distortion (Simard et al. 2003): how far points a quarter of the picture apart are shifted, each its own
    way, as a share of height and width (standard deviation); what is between them bends along."""
    fill: Literal["constant", "reflect", "nearest", "wrap"] = "constant"
    """What stands outside a moved picture: "constant" is black, "reflect" its mirror image."""
    horizontal_flip: bool = False
    """Whether half of the pictures are mirrored; off where left and right mean something."""
    brightness: Share = 0.0
    """Largest change as a share of the range, to either side."""
    contrast: Share = 0.0
    """Largest change of the distance from a picture's mean, as a share, to either side."""
    exposure: Share = 0.0
    """Largest change of the light as a share, to either side: black stays black."""
    saturation: Share = 0.0
    """Largest change of the colours' strength as a share, to either side."""
    hue: Share = 0.0
    """Largest turn of the colours to either side, as a share of the whole circle of them."""
    grayscale: Share = 0.0
    """Share of the pictures that lose their colours."""
    erasing: Share = 0.0
    """Random erasing (Zhong et al. 2020): share of the pictures in which a rectangle is blanked."""
    cutout: Share = 0.0
    """Cutout (DeVries & Taylor 2017): side of a square that is blanked in every picture, as a share."""
    mixup: Weight = 0.0
    """Mixup (Zhang et al. 2018): above 0 every picture is mixed with another one of its batch, 1 draws shares evenly.
    Labels are NOT mixed: a teacher answers to the mixed picture."""

    def build(self, seed: int = 0) -> keras.Sequential | None:
        """A model that takes a batch of pictures and returns randomly changed ones of the same shape.

        It takes float32 pixels 0..255, for example through ``data.pipeline.batches(augment=...)``. Like Keras' own
        random layers it changes pictures unless it is called with ``training=False``.

        Args:
            seed: of the random stream.

        Returns:
            A ``keras.Sequential``, or ``None`` where nothing is asked for.

        Raises:
            ValueError: a number is out of its layer's range.
        """
        import keras
        from keras import layers

        from kerastl.inputs import random_layers

        moves = {name: getattr(self, name) for name in ("rotation", "translation", "zoom", "shear", "crop", "elastic")}
        steps: list[keras.Layer] = []
        if self.horizontal_flip:
            steps.append(layers.RandomFlip("horizontal", seed=seed))
        if any(moves.values()):
            steps.append(random_layers.RandomAffine(**moves, fill=self.fill, seed=seed + 1))
        if self.brightness:
            steps.append(layers.RandomBrightness(self.brightness, value_range=(0, 255), seed=seed + 3))
        if self.contrast:
            steps.append(layers.RandomContrast(self.contrast, value_range=(0, 255), seed=seed + 4))
        if self.exposure:
            steps.append(random_layers.Exposure(self.exposure, seed=seed + 7))
        colours = {name: getattr(self, name) for name in ("saturation", "hue", "grayscale")}
        if any(colours.values()):
            steps.append(random_layers.ColorJitter(**colours, seed=seed + 8))
        if self.erasing:
            share = (self.erasing, self.erasing)  # of a single number Keras draws one below it, half of it on average
            options = {"scale": (0.02, 0.2), "fill_value": 0.0, "value_range": (0, 255), "seed": seed + 2}
            steps.append(layers.RandomErasing(factor=share, **options))
        if self.cutout:
            steps.append(random_layers.Cutout(self.cutout, seed=seed + 6))
        if self.mixup:
            steps.append(random_layers.Mixup(self.mixup, seed=seed + 5))
        return keras.Sequential(steps, name="augment") if steps else None


def image_augmentation(*, seed: int = 0, **changes: Any) -> keras.Sequential | None:
    """`Augmentation` of these changes, built in one call."""
    return Augmentation(**changes).build(seed)


def with_augmentation(model: keras.Model, views: keras.Sequential, *, name: str = "with_views") -> keras.Model:
    """``model`` that changes pictures at random before it looks at them, in training alone.

    A teacher that is its moving average then sees the pictures as they came, for it answers in inference mode: the
    strong and the weak view of Sohn et al. 2020, "FixMatch", section 2. The layers and weights are the caller's, and
    ``get_layer(model.name)`` of it, or of its average, is the model without views.

    Args:
        model: takes pictures ``(batch, height, width, channels)``.
        views: what `Augmentation.build` makes.
        name: of the new model.
    """
    import keras

    image = keras.Input(model.input_shape[1:], name="image")
    changed = image
    for layer in views.layers:
        changed = layer(changed)
    return keras.Model(image, model(changed), name=name)
