"""Semantic segmentation: a class a pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.tasks import classes, confusion, dense_prediction
from kerastl.tasks.dense_prediction import DensePrediction
from kerastl.types import Score

if TYPE_CHECKING:
    import keras

IGNORED = 255
"""Stands for a label where nothing is asked, as the border of objects in Pascal VOC."""
AGREES = 0.98
"""Share of pixels with the same class from which on two answers to a picture agree."""
TOLERANCE = 2
"""Pixels by which a boundary may lie beside a true one."""
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Segmentation(DensePrediction):
    """A class a pixel, masks uint8 ``(examples, height, width)``, `IGNORED` where nothing is asked; see `types.Target`.

    A model ends in logits ``(batch, height, width, classes)``, an exported file in probabilities that sum to one a
    pixel. The score is the mean intersection over union (mean IoU, Jaccard index): of each class the pixels that are
    rightly of it, over those that are, or are said to be, all pictures together; then the mean over the classes
    (Everingham et al. 2010, "The Pascal Visual Object Classes Challenge", section 4.3), with a bootstrap interval over
    the pictures (Efron 1979).

    Attributes:
        names: one a class, the background first where there is one.

    Raises:
        ValueError: if a name is empty or comes twice, or there are more than 255.
    """

    names: tuple[str, ...]

    kind: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = "mean IoU"
    label_dtype: ClassVar[str] = "uint8"
    place: ClassVar[str] = "pixel"
    weighed: ClassVar[tuple[str, str]] = ("Pixels", "masks")

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", classes.check_names(self.names))
        if len(self.names) > IGNORED:
            raise ValueError(f"A mask of bytes has {IGNORED} classes at most. Received: {len(self.names)}.")

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.ndim != 3 or len(labels) != rows:
            raise ValueError(
                f"Masks are integers (examples, height, width). Received: shape {labels.shape} of {labels.dtype} in "
                f"{where}, of {rows} examples."
            )
        outside = ((labels < 0) | (labels >= self.outputs)) & (labels != IGNORED)
        if outside.any():
            row, line, column = (int(index) for index in np.argwhere(outside)[0])
            raise ValueError(
                f"Pixels of masks lie in 0..{self.outputs - 1}, or are {IGNORED} where nothing is asked. Received: "
                f"{labels[row, line, column]} in {where}, row {row}, at ({column}, {line})."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        there = np.asarray(self._having(labels).any(0))
        if lacking := [name for name, found in zip(self.names, there, strict=True) if not found]:
            raise ValueError(
                f"Every class has to have pixels in every split. Received: none of {', '.join(lacking[:5])} in {where} "
                f"({len(labels)} pictures). Take more pictures for validation and test, or leave the class out."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """The rarest class that each picture has, by pictures; the first of one of which nothing is asked."""
        return np.maximum(dense_prediction.rarest(self._having(labels)), 0)

    def loss(self) -> keras.losses.Loss:
        """The cross-entropy of the pixels that are asked for."""
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        """The class map, uint8 ``(..., height, width)``."""
        return np.asarray(answers).argmax(-1).astype(np.uint8)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        both, either = self._overlaps(answers, labels)
        weights = np.random.default_rng(0).multinomial(len(both), np.full(len(both), 1 / len(both)), _RESAMPLES)
        drawn = [mean_iou(weight @ both, weight @ either) for weight in weights]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Score(mean_iou(both.sum(0), either.sum(0)), float(low), float(high), len(both))

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Whether nearly all pixels have the same class."""
        return (self.predictions(answers) == self.predictions(expected)).mean((-2, -1)) >= AGREES

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """A class that the model finds in pictures and the file never does."""
        asked, given = (self._having(self.predictions(table)).sum(0) for table in (expected, answers))
        return classes.lost(self.names, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """IoU and Dice of each class, the boundary score, the share of right pixels, and the confusion of pixels."""
        both, either = (one.sum(0) for one in self._overlaps(answers, labels))
        given, labels = self.predictions(answers), np.asarray(labels)
        asked = labels != IGNORED
        rows = []
        for place, name in enumerate(self.names):
            hits, whole = int(both[place]), int(either[place])
            pixels = int((labels == place).sum())
            iou = hits / whole if whole else None
            rows.append(
                {"name": name, "pixels": pixels, "iou": iou, "dice": 2 * hits / (whole + hits) if whole else None}
            )
        there = [row for row in rows if row["iou"] is not None]
        mean_dice = float(np.mean([row["dice"] for row in there]))
        edges = boundary_f1(given, labels)
        accuracy = float((given == labels)[asked].mean())
        pixels = confusion.matrix(self.names, labels[asked], given[asked])
        pixels |= {"title": "Confusion matrix of pixels", "note": "Of the test pictures: rows are true, columns said."}
        note = (
            f"Of the chosen file on the test pictures, the least first. Mean Dice {classes.percent(mean_dice)}, "
            f"boundary F1 within {TOLERANCE} pixels {classes.percent(edges)}, right pixels {classes.percent(accuracy)}."
        )
        cells = [
            [row["name"], f"{row['pixels']:,}", classes.percent(row["iou"]), classes.percent(row["dice"])]
            for row in sorted(there, key=lambda row: row["iou"])
        ]
        return {
            "by_class": rows,
            "mean_dice": mean_dice,
            "boundary_f1": edges,
            "pixel_accuracy": accuracy,
            "confusions": [pixels],
            "tables": [
                {"title": "Class by class", "note": note, "columns": ["Class", "Pixels", "IoU", "Dice"], "rows": cells}
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        least = min((row for row in details["by_class"] if row["iou"] is not None), key=lambda row: row["iou"])
        return (
            f"mean Dice {classes.percent(details['mean_dice'])}, boundary F1 "
            f"{classes.percent(details['boundary_f1'])}; least IoU {classes.percent(least['iou'])} of {least['name']}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The share of pixels that are wrong."""
        labels = np.asarray(labels)
        asked = labels != IGNORED
        wrong = (self.predictions(answers) != labels) & asked
        return wrong.sum((-2, -1)) / np.maximum(asked.sum((-2, -1)), 1)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        """The share of pixels of each class that is there."""
        shares = self._shares(self.predictions(answer))
        return {"shares": shares, "words": _words(shares)}

    def label_words(self, label: np.ndarray) -> str:
        return _words(self._shares(np.asarray(label)))

    def described(self) -> dict[str, Any]:
        return {"pixel_classes": list(self.names)}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = "a probability for each pixel and each line\nof `labels.txt`; the largest is the pixel's class."
        python = 'labels = open("labels.txt", encoding="utf-8").read().splitlines()\n'
        python += f"mask = {self.output_name}.argmax(-1)\n"
        return (
            what,
            f"{python}print({{labels[place]: int((mask == place).sum()) for place in set(mask.ravel().tolist())}})",
        )

    def _shares(self, mask: np.ndarray) -> dict[str, float]:
        counts = np.bincount(mask.reshape(-1), minlength=IGNORED + 1)
        order = sorted(range(self.outputs), key=lambda place: -counts[place])
        return {self.names[place]: round(float(counts[place] / mask.size), 4) for place in order if counts[place]}

    def _having(self, labels: np.ndarray) -> np.ndarray:
        """Which pictures have a pixel of a class, bool ``(examples, classes)``."""
        flat = np.asarray(labels).reshape(len(labels), -1)
        return np.stack([(flat == place).any(-1) for place in range(self.outputs)], -1)

    def _overlaps(self, answers: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of each class in both maps, and in either, int64 ``(examples, classes)`` each."""
        answers, labels = np.asarray(answers), np.asarray(labels)
        if not len(labels) or answers.shape != (*labels.shape, self.outputs):
            raise ValueError(
                f"Wanted answers (examples, height, width, {self.outputs}) and a mask a row. Received: {answers.shape} "
                f"and masks {labels.shape}."
            )
        given, asked = self.predictions(answers), labels != IGNORED
        found = []
        for place in range(self.outputs):
            said, true = (given == place) & asked, labels == place
            found.append(((said & true).sum((-2, -1)), (said | true).sum((-2, -1))))
        both, either = (np.stack(part, -1) for part in zip(*found, strict=True))
        return both, either


def mean_iou(both: np.ndarray, either: np.ndarray) -> float:
    """Mean over the classes that are there, of pixels in both maps and in either, ``(classes,)`` each."""
    there = either > 0
    return float((both[there] / either[there]).mean()) if there.any() else 0.0


def boundary_f1(given: np.ndarray, labels: np.ndarray) -> float:
    """F1 of boundaries: of pixels at a border of classes, those within `TOLERANCE` pixels of one in the other map.

    Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?", of all borders together.

    Args:
        given, labels: class maps ``(examples, height, width)``; what touches `IGNORED` is no border.
    """
    asked = labels != IGNORED
    said, true = _border(np.where(asked, given, IGNORED)), _border(labels)
    if not said.any() or not true.any():
        return float(said.any() == true.any())
    precision, recall = (said & _wider(true)).sum() / said.sum(), (true & _wider(said)).sum() / true.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _border(maps: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour is of another class."""
    found = np.zeros(maps.shape, bool)
    for one, other in ((np.s_[:, :, :-1], np.s_[:, :, 1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        found[one] |= (maps[one] != maps[other]) & (maps[one] != IGNORED) & (maps[other] != IGNORED)
    return found


def _wider(there: np.ndarray) -> np.ndarray:
    """All pixels within `TOLERANCE` of one, a square around each."""
    padded = np.pad(there, ((0, 0), (TOLERANCE, TOLERANCE), (TOLERANCE, TOLERANCE)))
    side = 2 * TOLERANCE + 1
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2)).any((-1, -2)))


def _words(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:6])


def restored(described: Mapping[str, Any]) -> Segmentation | None:
    """The kind that `Segmentation.described` described, ``None`` where another one did."""
    return Segmentation(tuple(described["pixel_classes"])) if "pixel_classes" in described else None
