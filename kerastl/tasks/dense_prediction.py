"""Dense prediction: a class for each place of an example: a token, a frame or a pixel; what such kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class DensePrediction:
    """What a target is whose model ends in logits ``(batch, places ..., classes)``; see `types.Target`.

    An exported file answers with probabilities that sum to one at each place.

    Attributes:
        place: one of them in a word.
        weighed: what cannot be weighed by classes, and what it is of, in words.
    """

    if TYPE_CHECKING:  # a field of some kinds, and found out by others

        @property
        def names(self) -> tuple[str, ...]: ...

    place: ClassVar[str]
    weighed: ClassVar[tuple[str, str]]

    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = ""
    output_name: ClassVar[str] = "probabilities"
    output_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    @property
    def units(self) -> str:
        return "%"

    @property
    def outputs(self) -> int:
        return len(self.names)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.output_name,)

    def training_metric(self) -> None:
        """None: most places are of one class, or a search says what is right, and the loss says more."""
        return

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        what, of = self.weighed
        raise ValueError(f"{what} are not weighed. Received: balanced classes for {of}; leave --balanced out.")

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        raise ValueError(f"{self.weighed[0]} are not weighed. Received: class_weight={dict(class_weight)}.")

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        return outputs

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.nn.softmax(outputs)

    def served_activation(self) -> str:
        return "softmax"

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """Kullback-Leibler divergence of softened probabilities times the temperature squared (Hinton et al. 2015), the
        mean over the places; those of padding are answered alike by both.
        """
        import tensorflow as tf

        wanted, given = (tf.nn.log_softmax(tf.cast(one, tf.float64) / temperature) for one in (teacher, student))
        by_place = tf.reduce_sum(tf.exp(wanted) * (wanted - given), axis=-1)
        places = list(range(1, len(by_place.shape)))
        return tf.cast(temperature**2 * tf.reduce_mean(by_place, axis=places), tf.float32)

    def standardized(self, outputs: Any) -> Any:
        return outputs

    def drop(self, score: float, reference: float) -> float:
        return reference - score if self.higher_is_better else score - reference

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Of the class that moves furthest, the mean over the places."""
        furthest = np.abs(np.asarray(answers) - expected).max(-1)
        return furthest.mean(tuple(range(1, furthest.ndim)))

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        """Answers that are no probabilities."""
        slack = 0.01 + (self.outputs / 512 if integer else 0)  # half a step of 1/256 each
        sums = np.asarray(answers).sum(-1)
        furthest = float(sums.flat[np.abs(sums - 1).argmax()])
        if abs(furthest - 1) <= slack and answers.min() >= -1e-6:
            return None
        return "probabilities", f"{self.place}s >= 0 that sum to 1", f"a {self.place} that sums to {furthest:.4f}"


def rarest(having: np.ndarray) -> np.ndarray:
    """The rarest class that each example has, by examples, which says where it belongs; -1 for none: ``(examples,)``.

    Args:
        having: which classes each example has, bool ``(examples, classes)``.
    """
    found = np.full(len(having), -1, np.int64)
    for place in np.argsort(having.sum(0), kind="stable")[::-1]:
        found[having[:, place]] = place
    return found
