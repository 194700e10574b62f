"""What so many examples can tell: a difference that chance explains is no failure, and no reason to reject a file.

Of 86 pictures three that moved are 3.5 %, and say little of whether 2 % move; of 10,000 they would say much.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kerastl.system import phrases
from kerastl.types import Target

LEVEL = 0.05
"""Probability below which chance is no explanation."""
_QUANTILE = 1.6449  # of the normal distribution at 1 - LEVEL


def too_many(count: int, *, of: int, allowed: float, tests: int = 1) -> bool:
    """Whether so many of the examples are more than a share allows, beyond chance (exact binomial test, one-sided).

    One is always allowed, for a split may be tiny.

    Args:
        count, of: examples, and among how many.
        allowed: the share.
        tests: how many such questions are asked at once, of each class one: the probability of a false alarm is that of
            all of them together (Bonferroni's correction, Dunn 1961).
    """
    return count > max(1, allowed * of) and _at_least(count, of=of, probability=allowed) < LEVEL / tests


def lost_recall(
    having: np.ndarray, given: np.ndarray, expected: np.ndarray, *, share: float, allowed: float
) -> dict[int, tuple[int, int]]:
    """Classes of which a file finds less than its model by so large a share that chance is no explanation.

    Agreement and score look at all examples: of a class that two in a hundred have, a file may lose half and agree on
    99 of a hundred.

    Args:
        having: which classes each example has, bool ``(examples, classes)``.
        given, expected: which ones file and model answer it with.
        share: of the examples of a class that the model finds, how many the file may lose, less those that it wins.
        allowed: share of the answers that may be another one by chance, of any class.

    Returns:
        Of each such class how many examples are lost in the balance, and how many the model finds.
    """
    lost, won = (having & expected & ~given).sum(0), (having & given & ~expected).sum(0)
    found = (having & expected).sum(0)
    return {
        int(index): (int(lost[index] - won[index]), int(found[index]))
        for index in np.flatnonzero((found > 0) & (lost - won > share * found))
        if too_many(int(lost[index]), of=int(found[index]), allowed=allowed, tests=having.shape[1])
    }


class Answered(NamedTuple):
    """How a file, or a model, answered the examples of a split.

    Attributes:
        score: of all of them.
        errors: of each, 0 where it is right, see `types.Target.confidence`.
    """

    score: float
    errors: np.ndarray

    @classmethod
    def of(cls, target: Target, answers: Any, labels: Any) -> Answered:
        """Of answers as the target's ``score`` takes them."""
        return cls(target.score(answers, labels).value, np.asarray(target.confidence(answers, labels), np.float64))


def worse(target: Target, one: Answered, reference: Answered, *, allowed: float) -> bool:
    """Whether one scores worse than the other on the same examples by more than is allowed, beyond chance.

    Of shares by the examples that only one of them gets right (McNemar 1947, exact), of numbers by the mean difference
    of their errors.

    Args:
        target: what is asked.
        one, reference: to the same examples.
        allowed: on the scale of shares, see `types.Target.drop`.
    """
    drop = target.drop(one.score, reference.score)
    if drop <= allowed + 1e-12:
        return False
    ours, theirs = one.errors, reference.errors
    if target.units != "%":
        unit = max(abs(one.score - reference.score), 1e-12) / drop  # of the errors, on the scale of drop
        error = float((ours - theirs).std()) / math.sqrt(len(ours)) / unit
        return drop - allowed > _QUANTILE * error
    lost, won = (int(np.sum((a > 0) & (b == 0))) for a, b in ((ours, theirs), (theirs, ours)))
    beyond = lost - math.floor(allowed * len(ours) + 1e-9)
    if lost - won <= 1:  # one example more is always allowed
        return False
    return _at_least(beyond, of=beyond + won, probability=0.5) < LEVEL


def drop_words(target: Target, allowed: float) -> str:
    """What a score may drop by, in words: a share, or in its unit and in that of the score."""
    if not target.drop_unit:
        return f"{allowed:g}"
    own = allowed / abs(target.drop(1.0, 0.0))
    return f"{allowed:g} {target.drop_unit} ({f'{phrases.plain(own)} {target.units}'.rstrip()})"


def _at_least(count: int, *, of: int, probability: float) -> float:
    """P(X >= count) of a binomial distribution."""
    from scipy import stats

    return float(stats.binom.sf(count - 1, of, probability))
