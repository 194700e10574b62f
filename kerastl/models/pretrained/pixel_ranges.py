"""Ranges of pixels that models of pictures were trained for, and by which one labelled pictures are answered.

A file does not say its range. The share of right answers does not tell either: a network without biases answers
pixels 0..255 and 0..1 alike, and is sure of everything in one of them. So the range is chosen by the log-loss of the
labels, and where that leaves a doubt, nothing is chosen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels 0..1, red, green, blue: what PyTorch's models and Keras' "torch" mode are scaled by."""
_CAFFE = (103.939, 116.779, 123.68)
"""Of ImageNet's pixels 0..255, blue, green, red: what Caffe's models and Keras' "caffe" mode take away."""


@dataclasses.dataclass(frozen=True)
class PixelRange:
    """What makes a model's own pixels of 0..255: ``pixels * scale + offset``, one number or one a channel.

    Attributes:
        scale, offset: see above.
        mirrored: whether the channels change places first, red and blue.
    """

    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    mirrored: bool = False

    @property
    def of_colours(self) -> bool:
        """Whether it is for pictures of three channels alone."""
        return self.mirrored or isinstance(self.scale, tuple) or isinstance(self.offset, tuple)

    def behind(self, image: keras.KerasTensor, *, name: str = "from_bytes") -> keras.KerasTensor:
        """The model's own pixels, of a symbolic picture 0..255 ``(batch, height, width, channels)``."""
        if self.mirrored:
            parts = keras.ops.split(image, image.shape[-1], axis=-1)
            image = layers.Concatenate(name=f"{name}_channels")(list(parts)[::-1])
        if (self.scale, self.offset) == (1.0, 0.0):
            return image
        scale, offset = (list(one) if isinstance(one, tuple) else one for one in (self.scale, self.offset))
        return layers.Rescaling(scale, offset=offset, name=name)(image)


RANGES: dict[str, PixelRange] = {
    "0..255": PixelRange(),
    "0..1": PixelRange(1 / 255),
    "-1..1": PixelRange(1 / 127.5, -1.0),
    "mean_std": PixelRange(
        tuple(1 / 255 / one for one in _DEVIATION), tuple(-a / b for a, b in zip(_MEAN, _DEVIATION, strict=True))
    ),
    "caffe_bgr": PixelRange(1.0, tuple(-one for one in _CAFFE), mirrored=True),
}
"""By the names of the flag ``--pixels``."""


def of_channels(channels: int) -> tuple[str, ...]:
    """The ranges that pictures of so many channels may have."""
    return tuple(name for name, one in RANGES.items() if channels == 3 or not one.of_colours)


class Fit(NamedTuple):
    """How a model answers labelled pictures in one of several ways.

    Attributes:
        losses: the log-loss of each picture's label, float64 ``(examples,)``.
        right: whether each is answered right, bool ``(examples,)``.
    """

    losses: np.ndarray
    right: np.ndarray

    @property
    def loss(self) -> float:
        """The mean log-loss."""
        return float(self.losses.mean())

    @property
    def share(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())


def fit(logits: np.ndarray, labels: np.ndarray) -> Fit:
    """How logits ``(examples, classes)`` fit class indices ``(examples,)``."""
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():  # numbers too large for the network
        return Fit(np.full(len(values), np.inf), np.zeros(len(values), bool))
    values = values - values.max(1, keepdims=True)
    losses = np.log(np.exp(values).sum(1)) - values[np.arange(len(values)), labels]
    return Fit(losses, values.argmax(1) == labels)


_EQUAL = 0.01
"""Difference of mean log-losses below which two ways are the same."""
_FEW = 5
"""Mistakes below which nobody can tell how sure a model should be."""


def best(fits: Mapping[str, Fit]) -> str:
    """The way of the least mean log-loss."""
    return min(fits, key=lambda name: fits[name].loss)


def doubts(fits: Mapping[str, Fit], *, classes: int) -> Iterator[tuple[str, str]]:
    """What speaks against taking the way of the least log-loss: the name of another way, and why, in words.

    Another way is as good where its log-loss is larger by no more than two standard errors of the difference, picture
    by picture; or where both make next to no mistakes, so that whoever is surer has the smaller loss. It is not worse
    either where it answers as many right, and the best one is much surer, or much less sure, than its share of right
    answers allows: of a network that is sure of everything, one that is sure of nothing has the smaller loss.
    """
    first = best(fits)
    chosen, count = fits[first], len(fits[first].losses)
    allowed = _allowed(chosen, classes)
    for name, other in fits.items():
        if name == first or not np.isfinite(other.loss):
            continue
        difference = other.losses - chosen.losses
        error = float(difference.std()) / count**0.5
        of_answers = float((other.right.astype(float) - chosen.right).std()) / count**0.5
        faultless = max((~chosen.right).sum(), (~other.right).sum()) < _FEW and other.loss <= _allowed(other, classes)
        if faultless or difference.mean() <= max(2 * error, _EQUAL):
            yield name, f"{first} and {name} fit alike, log-loss {chosen.loss:.3f} and {other.loss:.3f}"
        elif other.share > chosen.share + 2 * of_answers or (
            other.share >= chosen.share - of_answers and chosen.loss > allowed
        ):
            yield (
                name,
                f"{first} has the least log-loss, {chosen.loss:.3f}, and {name} of {other.loss:.3f} answers "
                f"{other.share:.1%} right, where {first} has {chosen.share:.1%}",
            )


def _allowed(one: Fit, classes: int) -> float:
    """The mean log-loss up to which a share of right answers is believed."""
    return 1.5 * _calibrated_loss(one.share, classes) + 0.1


def _calibrated_loss(share: float, classes: int) -> float:
    """Mean log-loss of a model that is right so often, says so, and spreads the rest over the other classes."""
    wrong = max(1 - share, 1e-3)
    right = max(share, 1e-3)
    return -right * float(np.log(right)) - wrong * float(np.log(wrong / max(classes - 1, 1)))
