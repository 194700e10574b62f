"""Regression: one or several numbers an example, in their own units."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import resampling, residuals, squared_error
from kerastl.types import Score

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

AGREES = 0.1
"""How far two answers may lie apart and agree, in standard deviations of the labels."""
_BINS, _POINTS, _MOST_NUMBERS = 10, 500, 4


@dataclasses.dataclass(frozen=True)
class Regression:
    """Numbers to estimate, labels float32 ``(examples, outputs)``, or ``(examples,)`` of one; see `types.Target`.

    A model and an exported file answer in the units of the labels: `finish` puts the scale and the mean of the labels
    behind a builder's last layer, so that what learns is of the size of one. The score is the mean absolute error, over
    all outputs, with a bootstrap interval (Efron 1979, "Bootstrap methods: another look at the jackknife").

    Attributes:
        names: one name a number, ``labels.txt`` has one a line.
        mean, spread: of the training labels, mean and standard deviation, one a number; see `of`.
        unit: what the numbers count, ``"mm"`` for example; nothing where they have different units or none.

    Raises:
        ValueError: if names, means and spreads are not as many, a name is not one line, or a spread is not positive.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    unit: str = ""

    kind: ClassVar[str] = "regression"
    metric: ClassVar[str] = "mean absolute error"
    higher_is_better: ClassVar[bool] = False
    drop_unit: ClassVar[str] = "standard deviations of the labels"
    difference_unit: ClassVar[str] = drop_unit
    output_name: ClassVar[str] = "values"
    output_range: ClassVar[tuple[float, float] | None] = None
    label_dtype: ClassVar[str] = "float32"

    def __post_init__(self) -> None:
        for field in ("mean", "spread"):
            object.__setattr__(self, field, tuple(float(value) for value in getattr(self, field)))
        object.__setattr__(self, "names", tuple(self.names))
        lines = all(name.strip() and name.splitlines() == [name] for name in self.names)
        if not len(self.names) == len(self.mean) == len(self.spread) or not self.names or not lines:
            raise ValueError(
                "Wanted a name of one line, a mean and a spread for each number. Received: "
                f"{', '.join(map(ascii, self.names)) or 'no name'}, {len(self.mean)} means, {len(self.spread)} spreads."
            )
        if not all(0 < value < np.inf for value in self.spread) or not np.isfinite(self.mean).all():
            raise ValueError(
                f"Wanted finite means and positive spreads. Received: {self.mean}, {self.spread}: labels that are "
                "all the same leave nothing to learn."
            )

    @classmethod
    def of(cls, labels: np.ndarray, *, names: tuple[str, ...], unit: str = "") -> Regression:
        """The target of these training labels, ``(examples,)`` or ``(examples, outputs)``.

        Raises:
            ValueError: if they are not finite, or all the same.
        """
        table = np.asarray(labels, np.float64).reshape(len(labels), -1)
        if not len(table) or not np.isfinite(table).all():
            raise ValueError(
                f"Wanted finite labels. Received: {table.shape}, {int((~np.isfinite(table)).sum())} not finite."
            )
        still = (table == table[0]).all(0)  # a spread would be rounding: the mean of many 0.1 is not 0.1
        if still.any() and len(names) == len(still):
            shown = [f"{name} {phrases.plain(value, digits=10)}" for name, value in zip(names, table[0], strict=True)]
            same = [words for words, one in zip(shown, still, strict=True) if one]
            raise ValueError(
                f"Wanted labels that differ. Received: {', '.join(same)} for each of {len(table):,} examples, which "
                "leaves nothing to learn."
            )
        return cls(names, tuple(table.mean(0)), tuple(table.std(0)), unit)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.output_name,)

    @property
    def units(self) -> str:
        return self.unit

    @property
    def outputs(self) -> int:
        return len(self.names)

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iuf" or labels.reshape(len(labels), -1).shape != (rows, self.outputs):
            raise ValueError(
                f"Labels of {self.outputs} numbers are (examples, {self.outputs}). Received: shape {labels.shape} of "
                f"{labels.dtype} in {where}."
            )
        wrong = np.argwhere(~np.isfinite(self._table(labels)))
        if len(wrong):
            row, column = (int(index) for index in wrong[0])
            raise ValueError(
                f"Labels have to be finite. Received: {self._table(labels)[row, column]} in {where}, row {row}, column "
                f"{column} ({self.names[column]})."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        if len(labels) < 2:
            raise ValueError(
                f"A split needs two examples at least, for a score to have an interval. Received: {len(labels)} in "
                f"{where}. Get more examples, or take more of them for validation and test."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Tenths of the examples by the first number, so that low and high ones stand in every split."""
        first = self._table(labels)[:, 0]
        bins = max(1, min(_BINS, len(first) // 20))
        return np.searchsorted(np.quantile(first, np.arange(1, bins) / bins), first, side="right").astype(np.int64)

    def loss(self) -> keras.losses.Loss:
        """The mean squared error in standard deviations of the labels: no number outweighs another by its unit."""
        return squared_error.standardized()(spread=self.spread)

    def training_metric(self) -> keras.metrics.Metric:
        import keras

        return keras.metrics.MeanAbsoluteError(name="mean_absolute_error")

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        raise ValueError(
            "Regression has no classes to weigh. Received: balanced classes for numbers; leave --balanced out."
        )

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        raise ValueError(f"Regression has no classes to weigh. Received: class_weight={dict(class_weight)}.")

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        """The last layer's numbers, of the size of one, in the units of the labels."""
        import keras

        name = name or self.output_name
        return keras.layers.Rescaling(list(self.spread), offset=list(self.mean), name=name)(outputs)

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs

    def served_activation(self) -> str:
        return "linear"

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """The squared difference in standard deviations of the labels, the mean over all numbers."""
        import tensorflow as tf

        return tf.reduce_mean(tf.square(self.standardized(teacher) - self.standardized(student)), axis=-1)

    def standardized(self, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return outputs / tf.constant(self.spread, outputs.dtype)

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return answers

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        errors = self._errors(answers, labels).mean(-1)
        low, high = np.percentile(resampling.means(errors), [2.5, 97.5])
        return Score(value=float(errors.mean()), low=float(low), high=float(high), count=len(errors))

    def drop(self, score: float, reference: float) -> float:
        """In standard deviations of the labels."""
        return (score - reference) / float(np.mean(self.spread))

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return self.difference(answers, expected) <= AGREES

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Of the number that is furthest off, in standard deviations of the labels."""
        return (np.abs(self._table(answers) - self._table(expected)) / np.asarray(self.spread)).max(-1)

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        return None  # any finite number may be an answer

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """Answers no better than always the mean of the training labels, where the model's are."""
        chance = self._baseline(labels)
        measured = self.score(answers, labels)
        if self.score(expected, labels).high < chance and measured.value >= chance * (1 - 1e-3):
            return "score better than the mean", f"< {self._words(chance)}", measured.value
        return None

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Errors of each number and over its range, their quantiles, the baseline of the mean, points and residuals."""
        errors, wanted, given = self._errors(answers, labels), self._table(labels), self._table(answers)
        rows = [
            {
                "name": name,
                "mean_absolute_error": float(errors[:, place].mean()),
                "root_mean_squared_error": float(np.sqrt(np.square(errors[:, place]).mean())),
                "bias": float((given - wanted)[:, place].mean()),
                "r_squared": _r_squared(wanted[:, place], given[:, place]),
            }
            for place, name in enumerate(self.names)
        ]
        baseline = self._baseline(labels)
        ranges = [residuals.by_range(wanted[:, place], given[:, place]) for place in range(self.outputs)]
        shown = slice(None, None, max(1, len(wanted) // _POINTS))
        note = (
            "Errors of the chosen file on the test examples. Always answering the mean of the training labels would "
            f"have a mean absolute error of {self._words(baseline)}."
        )
        heads = ["Number", "Mean absolute error", "Root mean squared error", "Bias", "R squared"]
        cells = [
            [row["name"], *("none" if value is None else phrases.plain(value) for value in list(row.values())[1:])]
            for row in rows
        ]
        units = f" in {self.unit}" if self.unit else ""
        charts = [
            residuals.chart(name, wanted[shown, place], given[shown, place], units=units)
            for place, name in enumerate(self.names[:_MOST_NUMBERS])
        ]
        return {
            "by_number": rows,
            "by_range": ranges[0],
            "ranges": dict(zip(self.names, ranges, strict=True)),
            "error_quantiles": residuals.quantiles(errors.mean(-1)),
            "mean_baseline": baseline,
            "scatter": {
                "title": "Estimated against true",
                "x": f"true {self.names[0]}",
                "y": f"estimated {self.names[0]}",
                "points": np.stack([wanted[shown, 0], given[shown, 0]], -1).astype(float).tolist(),
            },
            "charts": charts,
            "tables": [
                {"title": "Number by number", "note": note, "columns": heads, "rows": cells},
                *(
                    residuals.table(name, ranges[place], units=units)
                    for place, name in enumerate(self.names[:_MOST_NUMBERS])
                ),
                residuals.quantile_table(residuals.quantiles(errors.mean(-1)), units=units),
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        worst = max(details["by_number"], key=lambda row: row["mean_absolute_error"])
        r_squared = "no R squared" if worst["r_squared"] is None else f"R squared {worst['r_squared']:.3f}"
        return (
            f"{worst['name']}: mean absolute error {self._words(worst['mean_absolute_error'])}, {r_squared}, bias "
            f"{phrases.plain(worst['bias'])}; always answering the mean: {self._words(details['mean_baseline'])}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return self._errors(answers, labels).mean(-1)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        values = {name: float(value) for name, value in zip(self.names, answer.reshape(-1), strict=True)}
        return {"values": values, "words": ", ".join(f"{name} {self._words(value)}" for name, value in values.items())}

    def label_words(self, label: np.ndarray) -> str:
        numbers = np.asarray(label).reshape(-1)
        if len(numbers) == 1:
            return self._words(float(numbers[0]))
        return ", ".join(f"{name} {self._words(float(one))}" for name, one in zip(self.names, numbers, strict=True))

    def described(self) -> dict[str, Any]:
        return {
            "values": list(self.names), "unit": self.unit, "mean": list(self.mean), "spread": list(self.spread)
        }  # fmt: skip

    def _words(self, value: float) -> str:
        return f"{phrases.plain(value)} {self.unit}".rstrip()

    def _table(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers, np.float64).reshape(len(numbers), -1)

    def _errors(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        given, wanted = self._table(answers), self._table(labels)
        if given.shape != wanted.shape or given.shape[1] != self.outputs or not len(given):
            raise ValueError(
                f"Wanted answers of shape (examples, {self.outputs}) and one label a row. Received: "
                f"{np.shape(answers)} and labels {np.shape(labels)}."
            )
        return np.abs(given - wanted)

    def _baseline(self, labels: np.ndarray) -> float:
        """The score of always answering the mean of the training labels."""
        return float(np.abs(self._table(labels) - np.asarray(self.mean)).mean())


def restored(described: Mapping[str, Any]) -> Regression | None:
    """The kind that `Regression.described` described, ``None`` where another one did."""
    if "values" not in described:
        return None
    return Regression(
        tuple(described["values"]), tuple(described["mean"]), tuple(described["spread"]), str(described["unit"])
    )


def _r_squared(wanted: np.ndarray, given: np.ndarray) -> float | None:
    """Share of the variance that is explained; ``None`` where there is none."""
    total = float(np.square(wanted - wanted.mean()).sum())
    return 1 - float(np.square(given - wanted).sum()) / total if total else None
