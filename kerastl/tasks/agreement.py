"""Agreement: a model that is none of the other tasks, proven against itself on inputs that need no labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, squared_error
from kerastl.types import Score

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

AGREES = 0.1
"""How far an answer may lie from the model's and agree: root mean square, in standard deviations of that output."""
FEW = 16
"""Places of a last axis up to which each is a quantity of its own; more are a vector, whose places have one unit."""

Spread: TypeAlias = float | tuple[float, ...]
"""Standard deviation of an output's numbers, or of those at each place of its last axis."""
Outputs = np.ndarray | Mapping[str, np.ndarray]
"""Of one output ``(examples, ...)``, of several such an array by each one's name."""
Tensors: TypeAlias = "tf.Tensor | Mapping[str, tf.Tensor]"
"""The same of a batch."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Whatever a model answers, of one output or several, of any shape; see `types.Target`.

    A split's labels are the float model's own answers (`of` makes the target of them), so that every score says how
    often a file answers as its model does. Nothing is put behind the model: images, embeddings, forecasts and logits
    leave the file as they leave the model.

    Attributes:
        names: of the outputs, as the model calls them.
        spread: of each output over the examples that `of` saw, one number, or one a place of the last axis where these
            are quantities of their own.

    Raises:
        ValueError: if there is not a positive spread for each name.
    """

    names: tuple[str, ...]
    spread: tuple[Spread, ...]

    kind: ClassVar[str] = "agreement with the model"
    metric: ClassVar[str] = "agreement"
    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = "standard deviations of the output"
    output_name: ClassVar[str] = "output"
    output_range: ClassVar[tuple[float, float] | None] = None
    label_dtype: ClassVar[str] = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", classes.check_names(self.names))
        spread = tuple(tuple(map(float, one)) if isinstance(one, Sequence) else float(one) for one in self.spread)
        object.__setattr__(self, "spread", spread)
        positive = all(np.size(one) and np.min(one) > 0 and np.max(one) < np.inf for one in spread)
        if len(self.names) != len(self.spread) or not positive:
            raise ValueError(
                f"Wanted a positive spread for each output. Received: {', '.join(self.names)} with {self.spread}."
            )

    @classmethod
    def of(cls, answers: Outputs, *, names: Sequence[str] = ("output",)) -> Agreement:
        """The target of a float model's answers; an output that is always the same counts in its own units.

        A degree and a hectopascal in two columns of one output are judged each by its own spread, or the smaller would
        not be seen beside the larger. Shares and probabilities have one unit, and so have the many numbers of an
        embedding (more than `FEW`), of which some hardly ever move: one spread is that of all.

        Args:
            answers: of one output ``(examples, ...)``, or of several by their names.
            names: of the one output.

        Raises:
            ValueError: if there are none, or they are not finite.
        """
        tables = dict(answers) if isinstance(answers, Mapping) else dict(zip(names, [answers], strict=True))
        for name, table in tables.items():
            wrong = np.argwhere(~np.isfinite(table))
            if not np.size(table) or len(wrong):
                first = f", {table[tuple(wrong[0])]} of example {wrong[0][0]} the first" if len(wrong) else ""
                raise ValueError(
                    f"Wanted finite answers of the model. Received: {np.shape(table)} of output {name!r}, "
                    f"{len(wrong)} not finite{first}."
                )
        return cls(tuple(tables), tuple(_spread(np.asarray(table, np.float64)) for table in tables.values()))

    @property
    def units(self) -> str:
        return "%"

    @property
    def outputs(self) -> int:
        return 0  # outputs of any shape

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.names

    def check(self, labels: Outputs, *, where: str, rows: int) -> None:
        for name, table in self._tables(labels).items():
            if len(table) != rows or not np.isfinite(table).all():
                raise ValueError(
                    f"Wanted a finite answer of the model for each of {rows} examples. Received: {np.shape(table)} of "
                    f"output {name!r} in {where}."
                )

    def check_split(self, labels: Outputs, *, where: str) -> None:
        if not len(next(iter(self._tables(labels).values()))):
            raise ValueError(f"A split needs an example at least. Received: none in {where}.")

    def strata(self, labels: Outputs) -> np.ndarray:
        """All of one stratum: there is nothing to keep in proportion."""
        return np.zeros(len(next(iter(self._tables(labels).values()))), np.int64)

    def loss(self) -> keras.losses.Loss | dict[str, keras.losses.Loss]:
        """The mean squared error in standard deviations: whoever trains learns the float model's own answers.

        Of several outputs one by each one's name, so that none outweighs another by its size.
        """
        losses = {
            name: squared_error.standardized()(spread=np.ravel(spread).tolist())
            for name, spread in zip(self.names, self.spread, strict=True)
        }
        return losses if len(losses) > 1 else losses[self.names[0]]

    def training_metric(self) -> None:
        """None: an agreement of 0 or 1 in every epoch would say nothing of which one is best, and the loss does."""
        return

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        raise ValueError("Agreement has no classes to weigh. Received: balanced classes; leave --balanced out.")

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        raise ValueError(f"Agreement has no classes to weigh. Received: class_weight={dict(class_weight)}.")

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        return outputs

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs

    def served_activation(self) -> str:
        return "linear"

    def distillation(self, teacher: Tensors, student: Tensors, *, temperature: float) -> tf.Tensor:
        """The mean squared difference of each example's numbers in standard deviations, the sum over all outputs."""
        import tensorflow as tf

        wanted, given = self._by_name(self.standardized(teacher)), self._by_name(self.standardized(student))
        found = []
        for name in self.names:
            squares = tf.square(wanted[name] - given[name])
            found.append(tf.reduce_mean(tf.reshape(squares, (tf.shape(squares)[0], -1)), axis=-1))
        return tf.add_n(found)

    def standardized(self, outputs: Tensors) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        tensors, spreads = self._by_name(outputs), dict(zip(self.names, self.spread, strict=True))
        return {name: tensor / tf.constant(spreads[name], tensor.dtype) for name, tensor in tensors.items()}

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return answers

    def score(self, answers: Outputs, labels: Outputs) -> Score:
        """The share of examples that are answered as the model answers them, with its Wilson interval."""
        return classes.wilson(self.agree(answers, labels))

    def drop(self, score: float, reference: float) -> float:
        return reference - score

    def agree(self, answers: Outputs, expected: Outputs) -> np.ndarray:
        return self.difference(answers, expected) <= AGREES

    def difference(self, answers: Outputs, expected: Outputs) -> np.ndarray:
        """Root mean square over the numbers of the output that is furthest off, in their standard deviations."""
        given, wanted = self._tables(answers), self._tables(expected)
        found = []
        for name, spread in zip(self.names, self.spread, strict=True):
            if given[name].shape != wanted[name].shape or not len(given[name]):
                raise ValueError(
                    f"Wanted answers of shape {wanted[name].shape} for output {name!r}, not empty. Received: "
                    f"{given[name].shape}."
                )
            gaps = (given[name].astype(np.float64) - wanted[name]) / np.asarray(spread)
            found.append(np.sqrt(np.square(gaps).reshape(len(gaps), -1).mean(-1)))
        return np.max(found, axis=0)

    def refuse(self, answers: Outputs, *, integer: bool) -> tuple[str, object, object] | None:
        return None  # any finite numbers may be an answer

    def lost(self, answers: Outputs, expected: Outputs, labels: Outputs) -> tuple[str, object, object] | None:
        return None  # there is no class to lose, and agreement is the score itself

    def details(self, answers: Outputs, labels: Outputs) -> dict[str, Any]:
        """How far each output is from the model's."""
        given, wanted, rows = self._tables(answers), self._tables(labels), []
        for name, spread in zip(self.names, self.spread, strict=True):
            gaps = np.abs(given[name].astype(np.float64) - wanted[name])
            rows.append(
                {
                    "name": name,
                    "shape": [int(size) for size in wanted[name].shape[1:]],
                    "mean_difference": float(gaps.mean()),
                    "largest_difference": float(gaps.max()),
                    "standard_deviation": list(spread) if isinstance(spread, tuple) else spread,
                    "mean_in_standard_deviations": float((gaps / np.asarray(spread)).mean()),
                }
            )
        cells = [
            [
                row["name"],
                " x ".join(map(str, row["shape"])) or "1",
                *(phrases.plain(row[key]) for key in ("mean_difference", "largest_difference")),
                ", ".join(map(phrases.plain, np.ravel(row["standard_deviation"]))),
                f"{row['mean_in_standard_deviations']:.2g}",
            ]
            for row in rows
        ]
        note = "The chosen file's numbers beside the float model's, on inputs without labels."
        heads = ["Output", "Shape", "Mean difference", "Largest difference", "Standard deviation", "Mean in these"]
        table = {"title": "Output by output", "note": note, "columns": heads, "rows": cells}
        return {"by_output": rows, "tables": [table]}

    def summary(self, details: Mapping[str, Any]) -> str:
        worst = max(details["by_output"], key=lambda row: row["mean_in_standard_deviations"])
        share = worst["mean_in_standard_deviations"]
        return f"furthest off: output {worst['name']}, on average {share:.2g} of its standard deviation"

    def confidence(self, answers: Outputs, labels: Outputs) -> np.ndarray:
        """The difference of examples that do not agree, at most 1; 0 where they do."""
        far = self.difference(answers, labels)
        return np.where(far > AGREES, np.minimum(far, 1.0), 0.0)

    def said(self, answer: Outputs) -> dict[str, Any]:
        outputs = {name: np.asarray(table).tolist() for name, table in self._tables(answer).items()}
        return {"outputs": outputs, "words": self.label_words(answer)}

    def label_words(self, label: Outputs) -> str:
        words = []
        for name, table in self._tables(label).items():
            numbers = np.asarray(table).reshape(-1)
            more = f" ... ({len(numbers):,} numbers)" if len(numbers) > 4 else ""
            words.append(f"{name} {', '.join(map(phrases.plain, numbers[:4]))}{more}")
        return "; ".join(words)

    def described(self) -> dict[str, Any]:
        spread = [list(one) if isinstance(one, tuple) else one for one in self.spread]
        return {"outputs": list(self.names), "spread": spread}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = "what the model that it was made from answers:\nnothing was put behind its outputs."
        return what, "for name, values in answers.items():\n    print(name, values.shape, values.ravel()[:4])"

    def _tables(self, answers: Outputs) -> dict[str, np.ndarray]:
        """Answers by the names of the outputs, as arrays."""
        return {name: np.asarray(table) for name, table in self._by_name(answers).items()}

    def _by_name(self, answers: Any) -> dict[str, Any]:
        """Answers by the names of the outputs; one output needs none."""
        if not isinstance(answers, Mapping):
            answers = dict(zip(self.names, [answers], strict=True)) if len(self.names) == 1 else {}
        if sorted(answers) != sorted(self.names):
            raise ValueError(
                f"Wanted answers of the outputs {', '.join(self.names)}. Received: {', '.join(answers) or 'one array'}."
            )
        return {name: answers[name] for name in self.names}


def _spread(table: np.ndarray) -> Spread:
    """Of answers ``(examples, ...)``: see `Agreement.of`."""
    whole = float(table.std()) or 1.0
    shares = table.min() >= 0 and table.max() <= 1
    if table.ndim < 2 or not 1 < table.shape[-1] <= FEW or shares:
        return whole
    columns = table.reshape(-1, table.shape[-1])
    deviation, size = columns.std(0), np.sqrt(np.square(columns).mean(0))
    # what does not move but by the rounding of float32 says nothing by how far it moves
    return tuple(np.where(deviation > 1e-5 * size, deviation, whole).tolist())


def restored(described: Mapping[str, Any]) -> Agreement | None:
    """The kind that `Agreement.described` described, ``None`` where another one did."""
    if "outputs" not in described:
        return None
    return Agreement(tuple(described["outputs"]), tuple(described["spread"]))
