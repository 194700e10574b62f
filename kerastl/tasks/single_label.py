"""Single-label classification: each example has exactly one of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.tasks import classes, confusion, reject_option, threshold_curves
from kerastl.types import ClassTarget, Score, Task

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class SingleLabel(classes.Classification):
    """One of several classes an example, labels int32 ``(examples,)``; see `types.Target`.

    A model ends in logits ``(batch, classes)``, an exported file in probabilities that sum to one.

    Attributes:
        names: one name a class, in the order of the model's outputs and of ``labels.txt``.
        reject: from which probability on a class is answered; ``None`` for always.

    Raises:
        ValueError: if a name is empty, comes twice, is not one line of text, or cannot be written in UTF-8.
    """

    reject: reject_option.RejectOption | None = None

    kind: ClassVar[str] = "single-label classification"
    metric: ClassVar[str] = "accuracy"

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"Labels have to be integers. Received: {labels.dtype} in {where}.")
        if labels.shape != (rows,):
            raise ValueError(
                f"Labels of {self.outputs} classes are (examples,). Received: shape {labels.shape} in {where}."
            )
        outside = (labels < 0) | (labels >= self.outputs)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"Labels have to lie in 0..{self.outputs - 1}. Received: {labels[row]} in {where}, row {row} "
                f"({int(outside.sum())} such labels)."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        classes.check_examples(
            self.names, np.bincount(labels, minlength=self.outputs), where=where, examples=len(labels)
        )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels)

    def loss(self) -> keras.losses.Loss:
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def training_metric(self) -> keras.metrics.Metric:
        import keras

        return keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        """Examples / (classes * examples of it), the rule of scikit-learn's ``class_weight="balanced"``.

        After King & Zeng 2001: all classes count the same, and the mean weight of an example is 1, so the learning rate
        keeps its meaning.
        """
        self.check(labels, where="the labels", rows=len(labels))
        counts = np.bincount(labels, minlength=self.outputs)
        classes.check_all_there(counts)
        return {label: len(labels) / (self.outputs * int(count)) for label, count in enumerate(counts)}

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        """Keras weighs each example by its class: metrics, and the loss on validation, do not know of it."""
        classes.check_weights(class_weight, self.names)
        return self.loss(), dict(class_weight)

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        return outputs

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.nn.softmax(outputs)

    def served_activation(self) -> str:
        return "softmax"

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """Kullback-Leibler divergence of softened probabilities times the temperature squared (Hinton et al. 2015).

        Within, in float64: at a temperature of 20 the two log-softmaxes nearly cancel, and float32 keeps five digits of
        their difference.
        """
        import tensorflow as tf

        wanted, given = (tf.nn.log_softmax(tf.cast(one, tf.float64) / temperature) for one in (teacher, student))
        probability = tf.exp(wanted)
        # where there is no probability the difference may be as large as numbers get, and counts nothing
        difference = tf.where(probability > 0, wanted - given, tf.zeros_like(wanted))
        return tf.cast(temperature**2 * tf.reduce_sum(probability * difference, axis=-1), tf.float32)

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return answers.argmax(-1)

    def having(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels)[:, None] == np.arange(self.outputs)

    def given(self, answers: np.ndarray) -> np.ndarray:
        return self.having(self.predictions(answers))

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        answers, labels = np.asarray(answers), np.asarray(labels)
        classes.check_answers(answers, labels, classes=self.outputs)
        if labels.ndim != 1:  # in a column each would be compared with all answers
            raise ValueError(f"Wanted labels (examples,). Received: {labels.shape}.")
        return classes.wilson(self.predictions(answers) == labels)

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return self.predictions(answers) == self.predictions(expected)

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.abs(answers - expected).max(-1)

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        """Answers that are no probabilities."""
        # An 8-bit probability is off by up to half a step of 1/256, each of them.
        slack = 0.01 + (self.outputs / 512 if integer else 0)
        sums = answers.sum(-1)
        worst = float(sums[np.abs(sums - 1).argmax()])
        if abs(worst - 1) <= slack and answers.min() >= -1e-6:
            return None
        return (
            "probabilities",
            "rows >= 0 that sum to 1",
            f"a row that sums to {worst:.4f}, least value {answers.min():.4f}",
        )

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """Answers that are no better than chance, or never one of the classes that the model answers."""
        measured, chance = self.score(answers, labels), 1 / self.outputs
        if self.score(expected, labels).low > chance >= measured.value:
            return "score above chance", f"> {chance:.4f}", measured.value
        asked, given = (np.bincount(self.predictions(table), minlength=self.outputs) for table in (expected, answers))
        return classes.lost(self.names, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Recall, precision and F1 of each class and their means, the confusion matrix, curves and thresholds."""
        answers, labels = np.asarray(answers), np.asarray(labels)
        classes.check_answers(answers, labels, classes=self.outputs)
        having, given = self.having(labels), self.given(answers)
        rows = classes.class_rows(self.names, having, given)
        threshold_curves.areas(rows, answers, having)
        means = classes.averages(rows)
        balanced, majority = means["macro"]["recall"], classes.majority(having)
        note = (
            "Of each class: the share of its test examples that the chosen file gets right (recall), and of those that "
            "it says are of it, the share that is (precision), each with its 95 % interval, the class of the least F1 "
            f"first. Balanced accuracy, the mean of recalls: {classes.percent(balanced)}. Macro F1: "
            f"{classes.percent(means['macro']['f1'])}. Always answering the most frequent class would score "
            f"{classes.percent(majority)}."
        )
        columns = {"Recall": ("recall", "no example"), "Precision": ("precision", "never named")}
        columns |= {"F1": ("f1", "no example"), "ROC AUC": ("roc_auc", "none")}
        kinds = {"macro": "each class counts alike", "weighted": "each class counts by its examples"}
        right = self.predictions(answers) == labels
        return {
            "by_class": rows,
            "averages": {name: means[name] for name in kinds},
            "balanced_accuracy": balanced,
            "macro_f1": means["macro"]["f1"],
            "majority_baseline": majority,
            "confusions": [confusion.matrix(self.names, labels, self.predictions(answers))],
            "charts": threshold_curves.charts(rows, answers, having),
            "thresholds": [threshold_curves.counts(rows, answers, having) | threshold_curves.coverage(answers, right)],
            "tables": [
                classes.table(rows, note=note, columns=columns),
                classes.averages_table(means, kinds=kinds),
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        worst = classes.worst(details["by_class"], "recall")
        return (
            f"balanced accuracy {classes.percent(details['balanced_accuracy'])}; worst class {worst['name']} "
            f"{classes.percent(worst['recall'])}; always answering the most frequent class: "
            f"{classes.percent(details['majority_baseline'])}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The probability of the class that is answered, where it is the wrong one; 0 where it is right."""
        return np.where(self.predictions(answers) == labels, 0.0, answers.max(-1))

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        answered = self.reject is None or bool(self.reject.accepts(answer))
        answer = answer if self.reject is None else self.reject.calibrated(answer)
        probabilities = {name: round(float(p), 6) for name, p in zip(self.names, answer, strict=True)}
        best = int(answer.argmax())
        ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
        others = ", ".join(f"{name} {p:.1%}" for name, p in ranked[1:3])
        words = f"{self.names[best]} {answer[best]:.1%}" + (f" (then {others})" if others else "")
        return {
            "label": self.names[best] if answered else None,
            "probability": round(float(answer[best]), 6),
            "probabilities": probabilities,
            **({} if self.reject is None else {"out_of_distribution": round(1 - float(answer[best]), 6)}),
            "words": words if answered else f"{reject_option.NONE}; the likeliest is {words}",
        }

    def label_words(self, label: np.ndarray) -> str:
        return self.names[int(label)]

    def described(self) -> dict[str, Any]:
        return {"labels": list(self.names)} | ({} if self.reject is None else {"reject": self.reject.described()})


def restored(described: Mapping[str, Any]) -> SingleLabel | None:
    """The kind that `SingleLabel.described` described, ``None`` where another one did."""
    if "labels" not in described or "score_threshold" in described:
        return None
    names, option = tuple(described["labels"]), reject_option.described_as(described.get("reject"))
    if option is not None and len(option.class_thresholds) not in (0, len(names)):
        raise ValueError(f"Wanted a threshold a class. Received: {len(option.class_thresholds)} of {len(names)}.")
    return SingleLabel(names, option)


def with_reject_option(
    target: Any,
    answers: Any,
    labels: Any,
    *,
    precision: float | None,
    coverage: float | None,
    others: Any = None,
    by_class: bool = False,
) -> Any:
    """A target with a reject option fitted to a file's answers, see `reject_option.fit`; as it is where neither
    precision nor coverage is wanted and there are no examples of no class, or examples have not one class each.
    """
    if (precision is None and coverage is None and others is None) or not isinstance(target, SingleLabel):
        return target
    wanted: dict[str, Any] = {"precision": precision, "coverage": coverage, "others": others, "by_class": by_class}
    return dataclasses.replace(target, reject=reject_option.fit(answers, labels, **wanted))


def require(task: Task, *, where: str, instead: str = "") -> None:
    """Refuses a task whose examples may have none or several of the classes: a teacher's answers to one sum to one.

    Args:
        task: of a data set.
        where: it came from, for the message.
        instead: what takes such examples, a sentence.

    Raises:
        ValueError: it is no single-label classification.
    """
    if not isinstance(task.target, SingleLabel):
        what = {"image": "pictures", "text": "texts"}.get(task.inputs.kind, "examples")
        several = "none or several classes" if isinstance(task.target, ClassTarget) else "no classes"
        raise ValueError(
            f"Wanted {what} of one class each. Received: {what} of {several} in {where}, for "
            f"{task.target.kind}.{f' {instead}' if instead else ''}"
        )
