"""Which groups are taken out so that the classes stand on both sides as evenly as the groups allow: a search."""

from __future__ import annotations

import numpy as np

_FEW, _STARTS = 100, 16
"""Groups up to which pairs of them are exchanged, from so many starts: among more, no two make a difference."""


def search(
    classes: np.ndarray, groups: np.ndarray, *, sizes: np.ndarray, share: float, leave: int, order: np.ndarray
) -> np.ndarray:
    """Groups to take out, bool ``(groups,)``, all of them False where none can go.

    How far the classes are from even is Pearson's chi-square of the counts taken out against the counts wanted. First
    every class gets a group, the rarest class first; then groups are taken, the largest first, as long as that brings
    the counts nearer; at the end single groups change sides while it does. Where there are few, two also change places,
    and the best of several starts is kept. It is a search that ends in a good place, not always in the best.

    Args:
        classes, groups: of each pair of an example and a class that it has, both int ``(pairs,)``, numbered from 0.
        sizes: examples of each group, int ``(groups,)``.
        share: of each class that is wanted, between 0 and 1.
        leave: groups of every class that stay at least, where the class has so many.
        order: a permutation of the groups, which decides between those that are alike.
    """
    orders = [order[np.argsort(-sizes[order], kind="stable")]]
    if order.size <= _FEW:  # among few a good order matters, and costs little
        orders += [np.roll(order, start * order.size // _STARTS) for start in range(_STARTS)]
    found = []
    for order in orders:
        division = _Division(classes, groups, share=share, leave=leave)
        division.search(order)
        found.append(division)
    return min(found, key=lambda division: division.unevenness()).taken


class _Division:
    """Which groups are taken out, and what each change of sides would cost."""

    def __init__(self, labels: np.ndarray, groups: np.ndarray, *, share: float, leave: int) -> None:
        classes = int(labels.max()) + 1
        # one entry for each class that a group holds: most hold few of many
        cells, self.count = np.unique(groups * classes + labels, return_counts=True)
        self.group, self.label = cells // classes, cells % classes
        self.starts = np.searchsorted(self.group, np.arange(groups.max() + 2))
        self.left = np.bincount(self.label, minlength=classes)  # groups of each class on either side
        self.out = np.zeros(classes, np.int64)
        self.least_left = np.maximum(np.minimum(leave, self.left - 1), 1)
        target = np.bincount(labels, minlength=classes) * share
        # a class of which less than one is wanted would be judged by nothing
        target = np.where(self.left > 1, np.maximum(target, 1.0), target)
        self.weight = 1 / np.maximum(target, 1e-9)
        self.surplus = -target
        self.taken = np.zeros(groups.max() + 1, bool)

    def unevenness(self) -> float:
        return round(float((self.weight * self.surplus**2).sum()), 9)  # equal where only the order of sums differs

    def search(self, order: np.ndarray) -> None:
        few = self.taken.size <= _FEW
        for label in np.argsort(self.left, kind="stable"):
            if not self.out[label]:
                having = order[np.isin(order, self.group[self.label == label])]
                for some in (having[:1], having) if few else (having,):  # the best ones would make all starts alike
                    if self._best(some, below=np.inf):
                        break
        for group in order:
            entries = slice(self.starts[group], self.starts[group + 1])
            if not self.taken[group] and self._costs(entries).sum() < 0:
                self._move(group)
        for _ in range(1000):
            if not self._best(order, below=-1e-9) and not (few and self._exchange(order)):
                break

    def _best(self, groups: np.ndarray, *, below: float) -> bool:
        """Moves the group whose change of sides costs least; False where none costs less than ``below``."""
        costs = np.bincount(self.group, weights=self._costs(slice(None)))[groups]
        if not groups.size or not costs.min() < below:
            return False
        self._move(groups[np.argmin(costs)])
        return True

    def _exchange(self, order: np.ndarray) -> bool:
        """Puts one group back and takes another instead, where that brings the counts nearer."""
        for group in order[self.taken[order]]:
            entries = slice(self.starts[group], self.starts[group + 1])
            self._move(group)
            regained = self._costs(entries).sum()
            lost = self.label[entries][self.out[self.label[entries]] == 0]  # the other one has to bring these
            brings = np.bincount(self.group, weights=np.isin(self.label, lost))
            others = order[~self.taken[order] & (brings[order] == lost.size)]
            if self._best(others, below=regained - 1e-9):
                return True
            self._move(group)
        return False

    def _costs(self, entries: slice) -> np.ndarray:
        """What the entries add to chi-square if their groups change sides; infinite where a class would lose all."""
        label, count, back = self.label[entries], self.count[entries], self.taken[self.group[entries]]
        change = np.where(back, -count, count)
        costs = self.weight[label] * change * (2 * self.surplus[label] + change)
        barred = np.where(back, self.out[label] <= 1, self.left[label] <= self.least_left[label])
        return np.where(barred, np.inf, costs)

    def _move(self, group: int) -> None:
        entries = slice(self.starts[group], self.starts[group + 1])
        label, sign = self.label[entries], -1 if self.taken[group] else 1
        self.surplus[label] += sign * self.count[entries]
        self.out[label] += sign
        self.left[label] -= sign
        self.taken[group] = sign > 0
