"""Object detection: any number of boxes an example, each of a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, detection_scores
from kerastl.types import Score

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

NO_BOX = -1
"""Class of a row of labels that stands for no box: examples have as many rows as the one of the most boxes."""
AGREES = 0.9
"""Intersection over union from which on two answers mean the same box."""
FOUND = 0.5
"""Intersection over union from which on a box of the labels is found, as in the challenges of Pascal VOC."""
_RESAMPLES, _SHOWN = 200, 8


@dataclasses.dataclass(frozen=True)
class Detection:
    """Boxes of objects, labels float32 ``(examples, boxes, 5)``: ymin, xmin, ymax, xmax, class; see `types.Target`.

    Sides are shares of the picture's, so that a picture of any size has the same boxes. Rows of class `NO_BOX` fill up.
    A model ends in one row a cell of a grid, ``(batch, cells, 4 + classes)``; an exported file answers with boxes that
    were decoded and suppressed inside of it, ``(batch, detections, 6)``: the sides, the class, the score, the highest
    score first, and 0 where there is no box more.

    The score is the mean over the classes of the average precision at an overlap of 0.5, as COCO's ``AP50`` (Lin et al.
    2014, https://arxiv.org/abs/1405.0312), with a bootstrap interval over the examples (Efron 1979).

    Attributes:
        names: of the classes.
        grid: rows and columns of the map that a model answers with.
        unit: of the distances in it, in shares of the side.
        detections: boxes that a file answers with at most.
        candidates: cells of the highest scores that suppression looks at.
        overlap: intersection over union from which on a box suppresses another of its class.
        threshold: score from which on a box is said, see `detection_scores.threshold_for`; the score takes all.

    Raises:
        ValueError: if a name is no class's, or numbers do not fit together.
    """

    names: tuple[str, ...]
    grid: tuple[int, int] = (24, 24)
    unit: float = 1 / 12
    detections: int = 20
    candidates: int = 64
    overlap: float = 0.5
    threshold: float = 0.3

    kind: ClassVar[str] = "object detection"
    metric: ClassVar[str] = "mean average precision at 0.5"
    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = ""
    output_name: ClassVar[str] = "detections"
    output_range: ClassVar[tuple[float, float] | None] = None
    label_dtype: ClassVar[str] = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", classes.check_names(self.names))
        object.__setattr__(self, "grid", tuple(int(size) for size in self.grid))
        cells = self.grid[0] * self.grid[1]
        if not 1 <= self.detections <= self.candidates <= cells or not self.unit > 0:
            raise ValueError(
                "Wanted no more detections than candidates, no more of these than cells, and a positive unit. "
                f"Received: {self.detections} of {self.candidates} of {self.grid} cells, unit {self.unit}."
            )

    @property
    def units(self) -> str:
        return "%"

    @property
    def outputs(self) -> int:
        return 4 + len(self.names)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.output_name,)

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.ndim != 3 or labels.shape[-1] != 5 or len(labels) != rows or labels.dtype.kind not in "fiu":
            raise ValueError(
                "Labels of boxes are numbers (examples, boxes, 5): ymin, xmin, ymax, xmax, class. Received: shape "
                f"{labels.shape} of {labels.dtype} in {where}, of {rows} examples."
            )
        kinds = labels[..., 4]
        wrong = ~np.isfinite(labels).all(-1) | (kinds != np.rint(kinds)) | (kinds < NO_BOX) | (kinds >= len(self.names))
        self._refuse(labels, wrong, f"a class 0..{len(self.names) - 1}, or {NO_BOX} for no box", where)
        boxes, there = labels[..., :4], kinds >= 0
        outside = there & ((boxes < 0) | (boxes > 1)).any(-1)
        in_pixels = " These are pixels, as it looks: divide by the sides." if (boxes[there] > 2).any() else ""
        self._refuse(labels, outside, f"sides as shares 0..1 of the picture's.{in_pixels}", where)
        self._refuse(labels, there & (boxes[..., 2:] <= boxes[..., :2]).any(-1), "ymin < ymax and xmin < xmax", where)

    def _refuse(self, labels: np.ndarray, wrong: np.ndarray, wanted: str, where: str) -> None:
        if wrong.any():
            row, place = (int(index) for index in np.argwhere(wrong)[0])
            raise ValueError(
                f"Boxes have to have {wanted}. Received: {labels[row, place].tolist()} in {where}, row {row}, box "
                f"{place} ({int(wrong.sum())} such boxes)."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        having = self.strata(labels)
        if not having.any():
            raise ValueError(f"A split needs boxes. Received: none at all in {where}, of {len(labels)} examples.")
        if lacking := [self.names[place] for place in np.flatnonzero(~having.any(0))]:
            raise ValueError(
                f"Every class has to have a box in every split. Received: none of {', '.join(lacking[:5])} in {where} "
                f"({len(labels)} examples). Get more pictures of it, or leave the class out."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Which classes each example has a box of, 0 and 1 ``(examples, classes)``."""
        kinds = np.asarray(labels)[..., 4]
        return np.stack([(kinds == place).any(-1) for place in range(len(self.names))], -1).astype(np.int64)

    def loss(self) -> keras.losses.Loss:
        from kerastl.tasks import detection_training

        return detection_training.DetectionLoss(self.grid, unit=self.unit)

    def training_metric(self) -> None:
        """None: average precision is of a whole split, and the loss is watched in its place."""
        return

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        raise ValueError("Boxes are not weighed. Received: balanced classes for boxes; leave --balanced out.")

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        raise ValueError(f"Boxes are not weighed. Received: class_weight={dict(class_weight)}.")

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        return outputs

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        """Boxes of a model's map, ``(batch, detections, 6)``; see `detection_decoding.decoded`."""
        from kerastl.tasks import detection_decoding

        options: dict[str, Any] = {"candidates": self.candidates, "detections": self.detections}
        return detection_decoding.decoded(outputs, grid=self.grid, unit=self.unit, overlap=self.overlap, **options)

    def served_activation(self) -> str:
        return "linear"

    def distillation(self, teacher: Any, student: Any, *, temperature: float) -> tf.Tensor:
        """Binary cross-entropy of all cells with the teacher's scores, less their entropy, and the squared difference
        of the boxes where the teacher sees one, as much as it does (Chen et al. 2017, "Learning Efficient Object
        Detection Models with Knowledge Distillation", section 3).
        """
        import tensorflow as tf

        heard, given = (tf.cast(one[..., 4:], tf.float32) / temperature for one in (teacher, student))
        wanted = tf.nn.sigmoid(heard)
        crossed = tf.nn.sigmoid_cross_entropy_with_logits(wanted, given)
        own = tf.nn.sigmoid_cross_entropy_with_logits(wanted, heard)
        seen = tf.reduce_max(tf.nn.sigmoid(teacher[..., 4:]), axis=-1)
        sides = tf.reduce_mean(tf.square(teacher[..., :4] - student[..., :4]), axis=-1)
        classes_part = temperature**2 * tf.reduce_sum(crossed - own, axis=(1, 2))
        return (classes_part + tf.reduce_sum(seen * sides, axis=-1)) / tf.maximum(tf.reduce_sum(seen, axis=-1), 1.0)

    def standardized(self, outputs: Any) -> Any:
        return outputs

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        """The boxes that are said; the others as boxes of class `NO_BOX`."""
        boxes = np.array(answers, np.float32)
        boxes[boxes[..., detection_scores.SCORE] < self.threshold, 4] = NO_BOX
        return boxes

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        answers, labels = self._checked(answers, labels)
        draw, count = np.random.default_rng(0), len(answers)
        draws = draw.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        options: dict[str, Any] = {"classes": len(self.names), "thresholds": (FOUND,)}
        value = float(np.nanmean(detection_scores.by_class(answers, labels, **options)))
        drawn = np.nanmean(detection_scores.by_class(answers, labels, draws=draws, **options), axis=(1, 2))
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Score(value=value, low=min(float(low), value), high=max(float(high), value), count=count)

    def drop(self, score: float, reference: float) -> float:
        return reference - score

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Whether each example has the same boxes said: as many, of the same classes, in the same places (`AGREES`)."""
        given, wanted = self.predictions(answers), self.predictions(expected)
        matched = detection_scores.found(detection_scores.ranked(given), wanted[..., :5], thresholds=(AGREES,))[..., 0]
        said, asked = ((one[..., 4] >= 0).sum(-1) for one in (given, wanted))
        return (said == asked) & ((matched >= 0).sum(-1) == asked)

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """How far the scores of the same boxes lie apart, at most; of one that the other has not, its score."""
        gaps = [self._gap(*pair) for pair in ((answers, expected), (expected, answers))]
        return np.maximum(*gaps)

    def _gap(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        given, wanted = detection_scores.ranked(self.predictions(answers)), np.asarray(expected)
        there = np.where(wanted[..., 5:] > 0, wanted[..., :5], NO_BOX)
        matched = detection_scores.found(given, there, thresholds=(FOUND,))[..., 0]
        others = np.take_along_axis(wanted[..., 5], np.maximum(matched, 0), axis=1)
        gaps = np.abs(given[..., 5] - np.where(matched >= 0, others, 0.0))
        return np.where(given[..., 4] >= 0, gaps, 0.0).max(-1)

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        """Answers that are no boxes: scores and sides that are no shares, or classes that there are not."""
        kinds, shares = answers[..., 4], np.delete(answers, 4, axis=-1)
        if shares.min() < -1e-3 or shares.max() > 1 + 1e-3:
            return "boxes and scores", "each in 0..1", f"from {shares.min():.4f} to {shares.max():.4f}"
        if kinds.min() < -1e-3 or kinds.max() > len(self.names) - 1 + 1e-3:
            return "classes", f"each in 0..{len(self.names) - 1}", f"from {kinds.min():g} to {kinds.max():g}"
        return None

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """A class of which the model says boxes and the file never does."""
        given, asked = (
            np.array([(self.predictions(table)[..., 4] == place).sum() for place in range(len(self.names))])
            for table in (answers, expected)
        )
        return classes.lost(self.names, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Average precision of each class, and boxes that were found, missed, misplaced, misnamed and invented."""
        answers, labels = self._checked(answers, labels)
        precisions = detection_scores.by_class(answers, labels, classes=len(self.names))
        said = detection_scores.ranked(self.predictions(answers))
        hits = detection_scores.found(said, labels, thresholds=(FOUND,))[..., 0]
        kinds = _mistakes(said, labels, hits)
        rows = []
        for place, name in enumerate(self.names):
            wanted, named = (int((table[..., 4] == place).sum()) for table in (labels, said))
            right = int(((said[..., 4] == place) & (hits >= 0)).sum())
            found = [
                None if np.isnan(one) else float(one) for one in (precisions[0, place], precisions[:, place].mean())
            ]
            row = {"name": name, "boxes": wanted, "named": named, "hits": right}
            rows.append(row | {"average_precision_50": found[0], "average_precision": found[1]})
        cells = [
            [row["name"], *(f"{row[key]:,}" for key in ("boxes", "named", "hits"))]
            + [classes.percent(row[key]) for key in ("average_precision_50", "average_precision")]
            for row in sorted(rows, key=lambda row: row["average_precision_50"] or 0.0)
            if row["boxes"]
        ]
        whole = float(np.nanmean(precisions))
        note = (
            f"The chosen file on the test examples, the least class first. Boxes count as said from a score of "
            f"{self.threshold:.2f} on. Mean average precision over overlaps from 0.5 to 0.95: {classes.percent(whole)}."
        )
        columns = ["Class", "Boxes", "Said", "Found", "AP at 0.5", "AP at 0.5 to 0.95"]
        words = {
            "found": "of the class, overlapping by 0.5 or more",
            "misplaced": "said of the class, overlapping by 0.1 to 0.5",
            "misnamed": "said in the place of a box of another class",
            "invented": "said where there is no box, or a second time",
            "missed": "of the labels that none of those said finds",
        }
        made = [[key.capitalize(), f"{kinds[key]:,}", text] for key, text in words.items()]
        return {
            "by_class": rows,
            "mean_average_precision": whole,
            "boxes": kinds,
            "tables": [
                {"title": "Average precision by class", "note": note, "columns": columns, "rows": cells},
                {"title": "Boxes by kind of mistake", "note": "", "columns": ["Kind", "Boxes", "What"], "rows": made},
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        kinds, rows = details["boxes"], [row for row in details["by_class"] if row["boxes"]]
        least = min(rows, key=lambda row: row["average_precision_50"])
        return (
            f"AP at 0.5 to 0.95 {classes.percent(details['mean_average_precision'])}; "
            f"{phrases.counted(kinds['found'], 'box', 'boxes')} found, {kinds['missed']:,} missed, "
            f"{kinds['invented']:,} invented, {kinds['misplaced']:,} misplaced; least class {least['name']} "
            f"{classes.percent(least['average_precision_50'])}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The share of boxes, said and wanted, that are wrong; 0 where all are right."""
        answers, labels = self._checked(answers, labels)
        said = detection_scores.ranked(self.predictions(answers))
        right = (detection_scores.found(said, labels, thresholds=(FOUND,))[..., 0] >= 0).sum(-1)
        both = (said[..., 4] >= 0).sum(-1) + (labels[..., 4] >= 0).sum(-1)
        return 1 - np.divide(2.0 * right, both, out=np.ones(len(right)), where=both > 0)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        boxes = [
            {
                "label": self.names[round(float(row[4]))],
                "score": round(float(row[5]), 6),
                **dict(zip(("ymin", "xmin", "ymax", "xmax"), (round(float(side), 6) for side in row[:4]), strict=True)),
            }
            for row in self.predictions(np.asarray(answer)[None])[0]
            if row[4] >= 0
        ]
        words = [f"{one['label']} {one['score']:.1%}" for one in boxes]
        return {"boxes": boxes, "words": _listed(words)}

    def label_words(self, label: np.ndarray) -> str:
        return _listed([self.names[int(row[4])] for row in np.asarray(label) if row[4] >= 0])

    def described(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        return {"objects": list(fields.pop("names")), **fields, "grid": list(self.grid)}

    @property
    def answer_shape(self) -> tuple[int, int]:
        """Of one example's answer; see `types.DecodedTarget`."""
        return (self.detections, 6)

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = (
            f"up to {self.detections} boxes, the highest score first:\nymin, xmin, ymax and xmax as shares of the "
            "picture's sides, the line of `labels.txt` counted from 0,\nand the score, 0 where there is no box more. "
            f"Boxes of {self.threshold:g} and more are meant."
        )
        lines = [
            'labels = open("labels.txt", encoding="utf-8").read().splitlines()',
            f'for *sides, kind, score in answers["{self.output_name}"].tolist():',
            f"    if score >= {self.threshold:g}:",
            "        print(labels[round(kind)], score, sides)",
        ]
        return what, "\n".join(lines)

    def _checked(self, answers: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers, labels = np.asarray(answers), np.asarray(labels)
        if not len(answers) or answers.ndim != 3 or answers.shape[-1] != 6 or len(labels) != len(answers):
            raise ValueError(
                "Wanted answers (examples, boxes, 6), not empty, and labels of each. Received: "
                f"{answers.shape} and labels {labels.shape}."
            )
        if not (labels[..., 4] >= 0).any():
            raise ValueError(f"Wanted labels with a box. Received: none in {len(labels):,} examples.")
        return answers, labels


def _mistakes(said: np.ndarray, labels: np.ndarray, hits: np.ndarray) -> dict[str, int]:
    """Boxes by what became of them; each box that is said is of one kind."""
    shared = detection_scores.overlaps(said, labels) * (labels[:, None, :, 4] >= 0)
    alike = said[..., 4:5] == labels[:, None, :, 4]
    right, there = hits >= 0, said[..., 4] >= 0
    left = there & ~right
    own, other = (np.where(mask, shared, 0).max(-1) for mask in (alike, ~alike))
    misnamed = left & (other >= FOUND)
    misplaced = left & ~misnamed & (own >= 0.1) & (own < FOUND)
    return {
        "found": int(right.sum()),
        "misplaced": int(misplaced.sum()),
        "misnamed": int(misnamed.sum()),
        "invented": int((left & ~misnamed & ~misplaced).sum()),
        "missed": int((labels[..., 4] >= 0).sum() - right.sum()),
    }


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return (", ".join(words[:_SHOWN]) or "nothing") + more


def restored(described: Mapping[str, Any]) -> Detection | None:
    """The kind that `Detection.described` described, ``None`` where another one did."""
    if "objects" not in described:
        return None
    fields = {name: value for name, value in described.items() if name != "objects"}
    return Detection(tuple(described["objects"]), **{**fields, "grid": tuple(described["grid"])})
