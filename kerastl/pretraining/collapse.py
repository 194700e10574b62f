"""Collapse of features: measured, and a guard that stops a run which learns to say the same of everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

_ROUNDING = 2.0**-20
"""What a deviation of float32 numbers has to exceed, as a share of the largest, to be one."""


class CollapseError(ValueError):
    """The features of a network under training no longer tell examples apart."""


def feature_spread(embeddings: np.ndarray) -> float:
    """Mean standard deviation of a feature over examples of length 1, times the root of the width.

    About 1 where directions are evenly spread, 0 where all examples have the same (complete collapse), whatever the
    length of an embedding. Chen & He 2021, "Exploring Simple Siamese Representation Learning", section 4.1, figure 2.

    Args:
        embeddings: ``(examples, width)``, two examples or more.

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    scaled = _scaled(embeddings, axis=1)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    directions = np.divide(scaled, lengths, out=np.zeros_like(scaled), where=lengths > 0)
    return float(np.sqrt(scaled.shape[1]) * directions.std(0).mean())


def effective_rank(embeddings: np.ndarray) -> float:
    """``exp(-sum_k p_k ln p_k)``, p the singular values of the features less their mean, over their sum.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", section 2. It is the number of
    directions, weighted by their size, in which examples differ: at most the width and the number of examples less one,
    1 where all stand on a line, 0 where all are the same. Neither scale nor offset nor rotation matters.

    Args:
        embeddings: ``(examples, width)``, two examples or more.

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    scaled = _scaled(embeddings, axis=None)
    sizes = np.linalg.svd(scaled - scaled.mean(0), compute_uv=False)
    if sizes[0] <= _ROUNDING * np.sqrt(len(scaled)):
        return 0.0
    shares = sizes / sizes.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def feature_deviation(embeddings: np.ndarray) -> float:
    """Mean over features of their standard deviation over examples, in the embeddings' own units.

    Bardes et al. 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", section
    4.1, hold it at 1. It says something where an objective knows of scale; what shrinks to a point without changing its
    shape is collapsed there, and no other measure of this file sees it.

    Args:
        embeddings: ``(examples, width)``, two examples or more.

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    largest = np.abs(np.asarray(embeddings, np.float64)).max(initial=0)
    return float(largest * _scaled(embeddings, axis=None).std(0).mean())


@dataclasses.dataclass(frozen=True)
class Limits:
    """What sound embeddings exceed.

    Attributes:
        spread: least `feature_spread`. On toy data runs that are sound stay above 0.3, and runs that are made to
            collapse fall below 0.1 within 80 steps; a network that was just initialized stands at about 0.1.
        rank_share: least `effective_rank`, as a share of the largest that there can be: the width, or the number of
            examples less one. No rank below ``rank`` is sound either.
        rank: see there.
        deviation: least `feature_deviation`; 0.1 for VICReg and others that know of scale. By default 0: embeddings
            whose directions alone are compared may have any.

    Raises:
        ValueError: a number is negative or not finite, or the share is above 1.
    """

    spread: float = 0.1
    rank_share: float = 0.05
    rank: float = 1.5
    deviation: float = 0.0

    def __post_init__(self) -> None:
        numbers = dataclasses.astuple(self)
        if not all(0 <= number < np.inf for number in numbers) or self.rank_share > 1:
            raise ValueError(f"Limits are finite numbers, 0 or more, and a share is at most 1. Received: {self}.")

    def least_rank(self, shape: tuple[int, int]) -> float:
        """The least sound `effective_rank` of so many examples of such a width."""
        return max(self.rank, self.rank_share * min(shape[0] - 1, shape[1]))


def what_collapsed(embeddings: np.ndarray, limits: Limits | None = None) -> str | None:
    """Says in words how features have collapsed; ``None`` of sound ones.

    Args:
        embeddings: ``(examples, width)``, of examples that differ, two or more.
        limits: those of `Limits` by default.

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    limits = limits or Limits()
    spread, rank = feature_spread(embeddings), effective_rank(embeddings)
    examples, width = np.shape(embeddings)
    if spread < limits.spread:
        return (
            f"complete collapse: all {examples} examples have nearly the same embedding (spread {spread:.2g}, wanted "
            f"{limits.spread:g} or more; 1 is even)"
        )
    if (deviation := feature_deviation(embeddings)) < limits.deviation:
        return (
            f"complete collapse: the {width} features of {examples} examples have a standard deviation of "
            f"{deviation:.2g}, wanted {limits.deviation:g} or more"
        )
    if rank < (least := limits.least_rank((examples, width))):
        return (
            f"dimensional collapse: the {width} features of {examples} examples vary in {rank:.1f} directions "
            f"(effective rank), wanted {least:.1f} or more"
        )
    return None


class CollapseGuard(keras.callbacks.Callback):
    """Stops a run whose features have collapsed, in every one of several looks.

    A network that was just initialized may say nearly the same of everything, and a batch normalization's moving
    statistics need their time: looks begin after some steps.

    Args:
        inputs: a batch of examples that differ, from the training data; 256 give a rank that is steady.
        embed: makes their embeddings ``(examples, width)``, in inference mode; by default the model that is trained.
            They are those that the objective compares: features before a projector hide a collapse behind it.
        every: steps between two looks.
        after: steps before the first one counts.
        patience: looks in a row at collapsed features that stop the run.
        limits: what sound embeddings exceed.

    Attributes:
        spread, rank: as the last look found them; ``None`` before.

    Raises:
        CollapseError: from inside ``fit``.
        ValueError: fewer than two examples, or a number of steps or looks is too small.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        *,
        embed: Callable[[np.ndarray], Any] | None = None,
        every: int = 20,
        after: int = 100,
        patience: int = 3,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        if len(inputs) < 2 or every < 1 or after < 0 or patience < 1:
            raise ValueError(
                "Wanted two examples or more, a look every step or seldomer, and a patience of one or more. Received: "
                f"{len(inputs)} examples, every={every}, after={after}, patience={patience}."
            )
        self._inputs, self._embed, self._limits = inputs, embed, limits
        self._every, self._after, self._patience = every, after, patience
        self._steps = self._collapsed = 0
        self.spread: float | None = None
        self.rank: float | None = None

    def get_state(self) -> dict[str, int]:
        """Steps and looks, for a checkpoint."""
        return {"steps": self._steps, "collapsed": self._collapsed}

    def set_state(self, state: dict[str, int]) -> None:
        """A training that goes on counts on."""
        self._steps, self._collapsed = state["steps"], state["collapsed"]

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks, where it is time to."""
        self._steps += 1
        if self._steps % self._every == 0 and self._steps > self._after:
            embed = self._embed or (lambda inputs: self.model(inputs, training=False))
            self.look(np.asarray(embed(self._inputs)))

    def look(self, embeddings: np.ndarray) -> None:
        """Counts one look; raises `CollapseError` at the last that patience allows."""
        self.spread, self.rank = feature_spread(embeddings), effective_rank(embeddings)
        found = what_collapsed(embeddings, self._limits)
        self._collapsed = 0 if found is None else self._collapsed + 1
        if self._collapsed >= self._patience:
            raise CollapseError(
                f"Training stopped after step {self._steps}: {found}, {self._collapsed} looks in a row. What is "
                "learnt from here on tells nothing apart. Lower the learning rate, make the two views more alike, take "
                "a larger batch; with BYOL and DINO see that the predictor, the moving average (decay 0.99 and more) "
                "and the centre are there."
            )


def _scaled(embeddings: np.ndarray, *, axis: int | None) -> np.ndarray:
    """Embeddings in float64 over their largest number, for squares of large ones overflow; zeros stay zeros."""
    found = np.asarray(embeddings)
    if found.ndim != 2 or found.shape[0] < 2 or not found.shape[1]:
        raise ValueError(
            f"Wanted embeddings (examples, width) of two examples or more. Received: {tuple(found.shape)}."
        )
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(
            f"Wanted finite embeddings. Received: {int((~np.isfinite(found)).any(1).sum())} of {len(found)} examples "
            "with NaN or infinite numbers; lower the learning rate, or look for such numbers in the inputs."
        )
    largest = np.abs(found).max(axis, keepdims=True)
    return np.divide(found, largest, out=np.zeros_like(found), where=largest > 0)
