"""Multi-label classification: each example has none, one or several of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.tasks import classes, threshold_curves
from kerastl.types import Score

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

THRESHOLD = 0.5
"""Probability from which on an example is said to have a class."""


@dataclasses.dataclass(frozen=True)
class MultiLabel(classes.Classification):
    """Any number of several classes an example, labels 0 and 1, integers ``(examples, classes)``; see `types.Target`.

    A model ends in logits ``(batch, classes)``, an exported file in one probability a class. An example is answered
    right where the whole set is: "exact match", or subset accuracy. The share of single yes-or-nos would be high for
    who never says yes (Zhang & Zhou 2014, "A Review on Multi-Label Learning Algorithms", section 2.2.2).

    Attributes:
        names: one name a class, in the order of the model's outputs and of ``labels.txt``.

    Raises:
        ValueError: if a name is empty, comes twice, is not one line of text, or cannot be written in UTF-8.
    """

    kind: ClassVar[str] = "multi-label classification"
    metric: ClassVar[str] = "exact match"

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"Labels have to be integers. Received: {labels.dtype} in {where}.")
        if labels.shape != (rows, self.outputs):
            raise ValueError(
                f"Labels of {self.outputs} classes are (examples, classes), for an example may have several. Received: "
                f"shape {labels.shape} in {where}."
            )
        outside = (labels < 0) | (labels > 1)
        if outside.any():
            row, column = (int(index) for index in np.argwhere(outside)[0])
            raise ValueError(
                f"Labels have to lie in 0..1. Received: {labels[row, column]} in {where}, row {row}, column {column} "
                f"({int(outside.sum())} such labels)."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        classes.check_examples(self.names, labels.sum(0, dtype=np.int64), where=where, examples=len(labels))

    def strata(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels)

    def loss(self) -> keras.losses.Loss:
        """The mean binary cross-entropy of all classes: each is a question of its own."""
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True)

    def training_metric(self) -> keras.metrics.Metric:
        import keras

        from kerastl.tasks import multi_label_training

        return keras.metrics.MeanMetricWrapper(multi_label_training.exact_match, name="exact_match")

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        """Negatives / positives of each class, between a tenth and ten.

        What many such weights do to one step is bounded. Ten is a choice: a class that one in a thousand has would else
        make of its few examples the only ones that matter.
        """
        self.check(labels, where="the labels", rows=len(labels))
        counts = labels.sum(0, dtype=np.int64)
        classes.check_all_there(counts)
        return dict(enumerate(np.clip((len(labels) - counts) / counts, 0.1, 10.0).tolist()))

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        """Keras would weigh all of an example by the first class that it has, so the loss knows the weights itself."""
        from kerastl.tasks import multi_label_training

        classes.check_weights(class_weight, self.names)
        weights = [class_weight[index] for index in range(self.outputs)]
        return multi_label_training.WeightedBinaryCrossentropy(weights), None

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        return outputs

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.nn.sigmoid(outputs)

    def served_activation(self) -> str:
        return "sigmoid"

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """Binary cross-entropy with the teacher's softened probabilities, less their entropy, mean of all classes."""
        import tensorflow as tf

        # in float64, for the two nearly cancel at a high temperature
        heard, given = (tf.cast(one, tf.float64) / temperature for one in (teacher, student))
        wanted = tf.nn.sigmoid(heard)
        crossed = tf.nn.sigmoid_cross_entropy_with_logits(wanted, given)
        own = tf.nn.sigmoid_cross_entropy_with_logits(wanted, heard)
        return tf.cast(temperature**2 * tf.reduce_mean(crossed - own, axis=-1), tf.float32)

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return answers >= THRESHOLD

    def having(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels).astype(bool)

    def given(self, answers: np.ndarray) -> np.ndarray:
        return self.predictions(answers)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        answers, labels = np.asarray(answers), np.asarray(labels)
        classes.check_answers(answers, labels, classes=self.outputs)
        if labels.shape != answers.shape:
            raise ValueError(f"Wanted labels (examples, classes). Received: {labels.shape}.")
        return classes.wilson((self.predictions(answers) == labels).all(-1))

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return (self.predictions(answers) == self.predictions(expected)).all(-1)

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.abs(answers - expected).max(-1)

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        """Answers that are no probabilities."""
        if answers.min() >= -1e-6 and answers.max() <= 1 + 1e-6:
            return None
        return "probabilities", "each in 0..1", f"from {answers.min():.4f} to {answers.max():.4f}"

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """Answers that are no better than always the same set, or never have a class that the model answers."""
        measured, chance = self.score(answers, labels), classes.majority(np.asarray(labels))
        if self.score(expected, labels).low > chance >= measured.value:
            return "score above chance", f"> {chance:.4f}", measured.value
        asked, given = (self.predictions(table).sum(0) for table in (expected, answers))
        return classes.lost(self.names, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Recall, precision, F1 and average precision of each class, their means, curves and thresholds to try."""
        answers, labels = np.asarray(answers), np.asarray(labels)
        classes.check_answers(answers, labels, classes=self.outputs)
        having, given = self.having(labels), self.given(answers)
        rows = classes.class_rows(self.names, having, given)
        threshold_curves.areas(rows, answers, having)
        for row, said, there in zip(rows, answers.T, having.T, strict=True):
            row["average_precision"] = average_precision(said, there)
            row |= {"missed": row["examples"] - row["hits"], "wrongly_named": row["answered"] - row["hits"]}
        means = classes.averages(rows)
        found = {
            "by_class": rows,
            "averages": means,
            "balanced_accuracy": means["macro"]["recall"],
            "majority_baseline": classes.majority(having),
            "macro_f1": means["macro"]["f1"],
            "mean_average_precision": classes.mean([row["average_precision"] for row in rows]),
        }
        macro, mean, majority = (
            classes.percent(found[key]) for key in ("macro_f1", "mean_average_precision", "majority_baseline")
        )
        note = (
            "Of each class: the share of the test examples having it that the chosen file finds (recall), and of those "
            "it names that have it (precision), each with its 95 % interval, the class of the least F1 first. Macro F1 "
            f"{macro}, mean average precision {mean}. Exact match is the share of examples of which every class is "
            f"right; always answering the most frequent set of classes would score {majority}."
        )
        shown = {
            "Recall": ("recall", "no example"),
            "Precision": ("precision", "never named"),
            "F1": ("f1", "no example"),
            "Average precision": ("average_precision", "no example"),
            "ROC AUC": ("roc_auc", "none"),
        }
        kinds = {"macro": "each class counts alike", "weighted": "each class counts by its examples"}
        kinds |= {"micro": "each yes counts alike"}
        return {
            **found,
            "charts": threshold_curves.charts(rows, answers, having),
            "thresholds": [threshold_curves.counts(rows, answers, having)],
            "tables": [
                classes.table(rows, note=note, columns=shown),
                classes.averages_table(means, kinds=kinds),
                _by_kind_of_mistake(rows),
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        worst = classes.worst(details["by_class"], "f1")
        return (
            f"macro F1 {classes.percent(details['macro_f1'])}, mean average precision "
            f"{classes.percent(details['mean_average_precision'])}; worst class {worst['name']} "
            f"{classes.percent(worst['f1'])}; always answering the most frequent set of classes: "
            f"{classes.percent(details['majority_baseline'])}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How sure the surest of the answers about single classes is that is wrong; 0 where all are right."""
        given = self.predictions(answers)
        return np.where(given != labels, np.where(given, answers, 1 - answers), 0.0).max(-1)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        probabilities = {name: round(float(p), 6) for name, p in zip(self.names, answer, strict=True)}
        found = [name for name, p in zip(self.names, answer, strict=True) if p >= THRESHOLD]
        ranked = [f"{name} {p:.1%}" for name, p in sorted(probabilities.items(), key=lambda pair: -pair[1])]
        first, others = ranked[: len(found)], ranked[len(found) : len(found) + 2]
        words = (", ".join(first) or "none") + (f" (then {', '.join(others)})" if others else "")
        return {"labels": found, "probabilities": probabilities, "words": words}

    def label_words(self, label: np.ndarray) -> str:
        return ", ".join(name for name, there in zip(self.names, label, strict=True) if there) or "none"

    def described(self) -> dict[str, Any]:
        return {"labels": list(self.names), "score_threshold": THRESHOLD}


def _by_kind_of_mistake(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How often each class is missed and wrongly named, the one of most mistakes first."""
    keys = ("missed", "wrongly_named", "hits")
    ranked = sorted(rows, key=lambda row: -(row["missed"] + row["wrongly_named"]))
    return {
        "title": "Missed and wrongly named",
        "note": "Test examples that have a class and are not answered with it, and the other way round.",
        "columns": ["Class", "Missed", "Wrongly named", "Found"],
        "rows": [[row["name"], *(f"{row[key]:,}" for key in keys)] for row in ranked],
    }


def average_precision(probabilities: np.ndarray, having: np.ndarray) -> float | None:
    """Mean precision at the examples that have a class, equally probable ones taken together, without interpolation.

    Args:
        probabilities: of the class, ``(examples,)``.
        having: bool ``(examples,)``.

    Returns:
        0..1, or ``None`` for a class without examples.
    """
    if not having.any():
        return None
    those = np.sort(probabilities[having])
    hits = len(those) - np.searchsorted(those, those)
    return float((hits / (len(having) - np.searchsorted(np.sort(probabilities), those))).mean())


def restored(described: Mapping[str, Any]) -> MultiLabel | None:
    """The kind that `MultiLabel.described` described, ``None`` where another one did."""
    if "labels" not in described or "score_threshold" not in described:
        return None
    return MultiLabel(tuple(described["labels"]))
