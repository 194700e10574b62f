"""Random changes of training pictures, as Keras layers; `augmentation.Augmentation` puts them in a row."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

ELASTIC_POINTS = 5
"""Points to a side whose random shifts bend a picture: of 28 pixels every seventh, nearly as the smoothing of Simard
et al. 2003 leaves them."""


@keras.saving.register_keras_serializable(package="kerastl")
class RandomAffine(layers.Layer):
    """Rotates, shifts, zooms, shears and bends every picture about its centre in one resampling.

    A shift alone is by whole pixels and resamples nothing.

    Keras' RandomRotation, RandomTranslation, RandomZoom and RandomShear in a row resample four times, and each
    bilinear resampling blurs: a model then learns from pictures softer than those it will see.

    Args:
        rotation, translation, zoom, shear, crop, elastic, fill: as in `augmentation.Augmentation`.
        seed: of the random stream.

    Raises:
        ValueError: ``elastic`` with a fill other than "constant".
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        translation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        crop: float = 0.0,
        elastic: float = 0.0,
        fill: str = "constant",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if elastic and fill != "constant":
            raise ValueError(f"Outside of a bent picture is black. Received: elastic={elastic}, fill={fill!r}.")
        self.fill, self.elastic, self.crop = fill, elastic, crop
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
        resampled = any(self.limits[limit] for limit in ("rotation", "zoom", "shear")) or self.crop or self.elastic
        if not resampled:
            shift = tuple(ops.round(pixels) for pixels in shift)
        scale, shear = (1 + draw("zoom"), 1 + draw("zoom")), draw("shear")
        if self.crop:  # anywhere inside of the picture
            cut = keras.random.uniform((batch,), 0, self.crop, seed=self.seed_generator)
            place = keras.random.uniform((2, batch), -0.5, 0.5, seed=self.seed_generator) * cut
            scale = (scale[0] * (1 - cut), scale[1] * (1 - cut))
            shift = (shift[0] + (height - 1) * place[0], shift[1] + (width - 1) * place[1])
        transforms = affine_transforms((height, width), angle=angle, shift=shift, scale=scale, shear=shear)
        if not self.elastic:
            return ops.image.affine_transform(inputs, transforms, interpolation="bilinear", fill_mode=self.fill)
        points = keras.random.normal((batch, ELASTIC_POINTS, ELASTIC_POINTS, 2), seed=self.seed_generator)
        shifts = ops.image.resize(points, (height, width), interpolation="bicubic", data_format="channels_last")
        reach = ops.convert_to_tensor([self.elastic * width, self.elastic * height])
        return ops.cast(sampled(inputs, positions(transforms, (height, width)) + shifts * reach), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"crop": self.crop, "elastic": self.elastic, "fill": self.fill, "seed": self.seed}
        return {**super().get_config(), **self.limits, **own}


@keras.saving.register_keras_serializable(package="kerastl")
class Exposure(layers.Layer):
    """Multiplies all pixels of a picture by one number around 1, as more light or less would: black stays black.

    What is called brightness in RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719) and in Pillow's
    ``ImageEnhance``; `layers.RandomBrightness` adds, and so makes a black background grey.

    Args:
        share: largest change to either side, above 0 and at most 1.
        seed: of the random stream.

    Raises:
        ValueError: ``share`` is out of range.
    """

    def __init__(self, share: float, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < share <= 1:
            raise ValueError(f"Light changes by a share above 0 and at most 1. Received: share={share}.")
        self.share, self.seed = share, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pictures ``(batch, height, width, channels)`` of pixels 0..255 to pictures of the same shape."""
        if not training:
            return inputs
        light = keras.random.uniform(
            (ops.shape(inputs)[0], 1, 1, 1), 1 - self.share, 1 + self.share, seed=self.seed_generator
        )
        # whole numbers would make of a factor 0 or 1
        return ops.cast(ops.clip(ops.cast(inputs, light.dtype) * light, 0, 255), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "share": self.share, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerastl")
class ColorJitter(layers.Layer):
    """Changes the colours of every picture by one matrix: hue turned, saturation scaled, or all of it taken away.

    Hue is an angle about the axis of greys, and grey is the luma of BT.601, as Pillow's. With contrast and brightness
    it is the colour distortion of Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
    Representations", appendix A, without which two crops of a picture are told by their histogram of colours. Pictures
    of one channel stay as they are.

    Args:
        saturation: largest change as a share, to either side.
        hue: largest turn to either side, as a share of a whole one.
        grayscale: share of the pictures that become grey.
        seed: of the random stream.

    Raises:
        ValueError: a share is outside of 0..1.
    """

    def __init__(
        self, *, saturation: float = 0.0, hue: float = 0.0, grayscale: float = 0.0, seed: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.shares = {"saturation": saturation, "hue": hue, "grayscale": grayscale}
        if not all(0 <= share <= 1 for share in self.shares.values()):
            raise ValueError(f"Colours change by shares of 0 to 1. Received: {self.shares}.")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pictures ``(batch, height, width, channels)`` of pixels 0..255 to pictures of the same shape."""
        if not training or inputs.shape[-1] != 3:
            return inputs
        draws = keras.random.uniform((3, ops.shape(inputs)[0]), seed=self.seed_generator)
        saturation = 1 + self.shares["saturation"] * (2 * draws[0] - 1)
        angle = 2 * math.pi * self.shares["hue"] * (2 * draws[1] - 1)
        saturation = ops.where(draws[2] < self.shares["grayscale"], ops.zeros_like(saturation), saturation)
        matrices = color_matrices(angle=angle, saturation=saturation)
        changed = ops.einsum("bhwc,bkc->bhwk", ops.cast(inputs, matrices.dtype), matrices)
        return ops.cast(ops.clip(changed, 0, 255), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.shares, "seed": self.seed}


def color_matrices(*, angle: Any, saturation: Any) -> Any:
    """What a pixel's red, green and blue are multiplied by.

    Args:
        angle: ``(batch,)`` in radians, of a turn about the axis on which the three are equal; a third of a whole one
            makes green of red.
        saturation: ``(batch,)``, 0 for grey, 1 for as it was.

    Returns:
        ``(batch, 3, 3)``, from the column's channel to the row's.
    """
    cosine, sine = ops.cos(angle)[:, None, None], ops.sin(angle)[:, None, None]
    across = ops.convert_to_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])  # Rodrigues' formula
    turned = cosine * ops.eye(3) + (1 - cosine) / 3 + sine / math.sqrt(3) * across
    luma = ops.tile(ops.convert_to_tensor([[0.299, 0.587, 0.114]]), (3, 1))
    share = saturation[:, None, None]
    return ops.matmul(share * ops.eye(3) + (1 - share) * luma, turned)


@keras.saving.register_keras_serializable(package="kerastl")
class Mixup(layers.Layer):
    """Mixes every picture of a batch with another one of it: ``share * picture + (1 - share) * other``.

    Each picture draws a share of its own; the others are the batch moved on by a random number of places, so that none
    meets itself in a batch of two or more. Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", eq. 1, of
    the pictures alone: a label says nothing of the mixture, and so it is for lessons in which a teacher answers to the
    very picture that its student sees. Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and
    consistent", section 3, call this function matching: they draw shares evenly from 0 to 1, and so show pictures that
    no data set holds; that is ``alpha=1``.

    Args:
        alpha: of the shares' distribution Beta(alpha, alpha), above 0: 1 is even, less leaves most pictures nearly
            whole.
        seed: of the random stream.

    Raises:
        ValueError: ``alpha`` is not a positive number.
    """

    def __init__(self, alpha: float = 1.0, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < alpha < math.inf:
            raise ValueError(f"Shares are drawn from Beta(alpha, alpha) with alpha above 0. Received: alpha={alpha}.")
        self.alpha, self.seed = alpha, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pictures ``(batch, height, width, channels)``, or recordings ``(batch, samples)``, to the same shape."""
        if not training:
            return inputs
        batch = ops.shape(inputs)[0]
        shares = keras.random.beta(
            (batch, *[1] * (len(inputs.shape) - 1)), self.alpha, self.alpha, seed=self.seed_generator
        )
        places = ops.maximum(batch - 1, 1)
        # of whole numbers, for a float32 that is rounded up to the end of its range would be a step too far
        step = 1 + keras.random.randint((), 0, 2**30, seed=self.seed_generator) % places
        return mixed(inputs, shares, step=step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "seed": self.seed}


def mixed(pictures: Any, shares: Any, *, step: Any) -> Any:
    """Each picture with the one that stands ``step`` places behind it in the batch, or begins it anew.

    Args:
        pictures: ``(batch, height, width, channels)``, or of any other shape.
        shares: ``(batch, 1, 1, 1)``, of as many axes, of the picture itself; the other one has the rest.
        step: a whole number.

    Returns:
        ``(batch, height, width, channels)``.
    """
    shares = ops.cast(shares, pictures.dtype)
    return shares * pictures + (1 - shares) * ops.roll(pictures, -step, axis=0)


@keras.saving.register_keras_serializable(package="kerastl")
class Cutout(layers.Layer):
    """Blanks a square in every picture; its centre lies anywhere, so that part of it may fall outside.

    DeVries & Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout", section 3.

    Args:
        side: of the square, as a share of height and width, above 0.
        seed: of the random stream.

    Raises:
        ValueError: ``side`` is not a positive number.
    """

    def __init__(self, side: float, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < side < math.inf:
            raise ValueError(f"A square has a side above 0. Received: side={side}.")
        self.side, self.seed = side, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Pictures ``(batch, height, width, channels)`` to pictures of the same shape."""
        if not training:
            return inputs
        _, height, width, _ = inputs.shape
        centres = keras.random.uniform((2, ops.shape(inputs)[0], 1), seed=self.seed_generator)
        rows, columns = (
            ops.abs(ops.arange(size, dtype="float32") + 0.5 - size * centre) < self.side * size / 2
            for size, centre in ((height, centres[0]), (width, centres[1]))
        )
        hidden = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        return ops.where(hidden, ops.zeros_like(inputs), inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side": self.side, "seed": self.seed}


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


def positions(transforms: Any, size: tuple[int, int]) -> Any:
    """Where each pixel is read from.

    Args:
        transforms: ``(batch, 8)``, as `affine_transforms` gives them.
        size: height and width in pixels.

    Returns:
        ``(batch, height, width, 2)``: column and row of the input, in pixels.
    """
    rows, columns = ops.meshgrid(
        ops.arange(size[0], dtype="float32"), ops.arange(size[1], dtype="float32"), indexing="ij"
    )
    here = ops.stack([columns, rows, ops.ones_like(rows)], axis=-1)
    return ops.einsum("hwk,bck->bhwc", here, ops.reshape(transforms[:, :6], (-1, 2, 3)))


def sampled(pictures: Any, places: Any) -> Any:
    """Pictures read at places between their pixels, bilinearly; outside of them is black.

    Args:
        pictures: ``(batch, height, width, channels)``.
        places: ``(batch, height, width, 2)``: column and row, in pixels.

    Returns:
        ``(batch, height, width, channels)``, in the type of the places.
    """
    _, height, width, channels = pictures.shape
    framed = ops.pad(ops.cast(pictures, places.dtype), [(0, 0), (1, 1), (1, 1), (0, 0)])
    pixels = ops.reshape(framed, (-1, channels))
    # In the black frame of one pixel; whoever is farther outside reads its rim.
    column = ops.clip(places[..., 0] + 1, 0.0, float(width + 1))
    row = ops.clip(places[..., 1] + 1, 0.0, float(height + 1))
    left, top = ops.minimum(ops.floor(column), float(width)), ops.minimum(ops.floor(row), float(height))
    picture = ops.reshape(ops.arange(ops.shape(pictures)[0], dtype="int32"), (-1, 1, 1))
    first = (picture * (height + 2) + ops.cast(top, "int32")) * (width + 2) + ops.cast(left, "int32")

    def read(step: int) -> Any:
        return ops.take(pixels, first + step, axis=0)

    across, down = (column - left)[..., None], (row - top)[..., None]
    upper = read(0) * (1 - across) + read(1) * across
    lower = read(width + 2) * (1 - across) + read(width + 3) * across
    return upper * (1 - down) + lower * down
