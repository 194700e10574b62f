"""How well an attack tells examples that a model was trained on from others, by the scores that it gives them."""

from __future__ import annotations

import dataclasses

import numpy as np

RESAMPLES = 300


@dataclasses.dataclass(frozen=True)
class Attack:
    """What an attack of membership inference reached; intervals hold 95 % of the values of a bootstrap.

    Attributes:
        name: of the attack.
        auc: area under its receiver operating characteristic: the probability with which a member has a higher score
            than another example; 0.5 is guessing.
        auc_interval: around it.
        rate: the share of the members that it finds (true positive rate) where it is wrong about as few of the others
            as ``false_positive_rate`` says: what counts for those few who are given away (Carlini et al. 2022).
        rate_interval: around it.
        false_positive_rate: see ``rate``.
        members, others: how many examples were judged.
    """

    name: str
    auc: float
    auc_interval: tuple[float, float]
    rate: float
    rate_interval: tuple[float, float]
    false_positive_rate: float
    members: int
    others: int

    @property
    def words(self) -> str:
        """A sentence with both numbers and their intervals."""
        low, high = self.auc_interval
        least, most = self.rate_interval
        return (
            f"{self.name}: AUC {self.auc:.3f} ({low:.3f} to {high:.3f}); {100 * self.rate:.1f} % ({100 * least:.1f} to "
            f"{100 * most:.1f}) of the members are found at {100 * self.false_positive_rate:g} % false alarms."
        )


def measured(
    members: np.ndarray, others: np.ndarray, *, name: str, false_positive_rate: float = 0.01, seed: int = 0
) -> Attack:
    """What scores reach that an attack gave.

    Args:
        members: scores of examples that the model was trained on, ``(examples,)``; the higher, the surer it is of it.
        others: those of examples that it was not trained on, ``(examples,)``.
        name: of the attack.
        false_positive_rate: above 0, below 1.
        seed: of the bootstrap.

    Raises:
        ValueError: a score is not a finite number, there is none, or so few others that none may be wrong.
    """
    members, others = np.asarray(members, np.float64), np.asarray(others, np.float64)
    if not (members.size and others.size and np.isfinite(members).all() and np.isfinite(others).all()):
        raise ValueError(f"Wanted finite scores. Received: {members.size} of members, {others.size} of others.")
    if not 0 < false_positive_rate < 1 or others.size * false_positive_rate < 1:
        raise ValueError(
            f"Wanted others of which at least one may be taken for a member. Received: {others.size} others and a "
            f"false positive rate of {false_positive_rate}."
        )
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        again = draw.choice(members, members.size), draw.choice(others, others.size)
        found.append((area(*again), rate_at(*again, false_positive_rate=false_positive_rate)))
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return Attack(
        name,
        area(members, others),
        (float(low[0]), float(high[0])),
        rate_at(members, others, false_positive_rate=false_positive_rate),
        (float(low[1]), float(high[1])),
        false_positive_rate,
        members.size,
        others.size,
    )


def area(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the receiver operating characteristic; equal scores count as half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, "left") + np.searchsorted(ordered, members, "right")
    return float(below.mean() / (2 * len(ordered)))


def rate_at(members: np.ndarray, others: np.ndarray, *, false_positive_rate: float) -> float:
    """The share of the members above the lowest threshold that no more than such a share of the others is above."""
    allowed = int(false_positive_rate * len(others))
    threshold = np.partition(others, len(others) - 1 - allowed)[len(others) - 1 - allowed]
    return float((members > threshold).mean())
