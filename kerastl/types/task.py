"""What is asked of a model: the protocols `Inputs` and `Target`, and the `Task` that carries one of each.

Kinds are frozen objects with behaviour, made where the data is read and handed from room to room: nobody guesses from a
shape, a dtype or a name what was told already. There is no registry of kinds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:  # `kerastl list` must not pay for NumPy, and a light installation has no framework
    from pathlib import Path

    import keras
    import numpy as np
    import tensorflow as tf

    from kerastl.types.examples import LazyArray
    from kerastl.types.files import Score


@runtime_checkable
class Inputs(Protocol):
    """What goes into a model, one file a kind in `kerastl.inputs`: a frozen dataclass.

    Attributes:
        kind: the kind in one word, for people: ``"image"``, ``"text"``, ``"numbers"``.
        tensors: names of the exported file's inputs, in its order; each takes a batch of one.
        predict_batch: examples at once when a Keras model answers many.
        augmentable: whether random views of an example are examples, too.
    """

    kind: ClassVar[str]
    tensors: ClassVar[tuple[str, ...]]
    predict_batch: ClassVar[int]
    augmentable: ClassVar[bool]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example without the batch axis, as splits hold it and the Keras model takes it."""
        ...

    @property
    def dtype(self) -> str:
        """Type of the numbers that splits hold: ``"uint8"`` for pixels, ``"int32"`` for token ids ..."""
        ...

    @property
    def batch_dtype(self) -> str:
        """Type of the numbers in training batches, which is the Keras model's own."""
        ...

    def check(self, examples: np.ndarray | LazyArray, *, where: str) -> None:
        """Raises `ValueError` for examples that no training should begin with, naming row and column."""
        ...

    def calibration_range(self) -> tuple[float, int] | None:
        """Scale and zero point of a full-integer file's input, or ``None`` where calibration data decides."""
        ...

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """The values of each of the exported file's inputs for a batch of examples, by name."""
        ...

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The model's input out of the exported file's inputs, as TensorFlow operations."""
        ...

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        """Factor and offset that bring raw examples to the size of one: ``x * factor + offset``."""
        ...

    def noise(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Random examples ``(count, *shape)`` in the range of this kind, of the dtype of batches."""
        ...

    def read(self, argument: str) -> np.ndarray:
        """A batch of examples from what somebody typed after `kerastl predict`: a path, a sentence, a row."""
        ...

    def shown(self, example: np.ndarray) -> dict[str, str]:
        """One example for a page: ``{"picture": data URI}``, of a recording with ``"sound"`` beside it, or ``{"text":
        words}``.
        """
        ...

    @property
    def fed_with(self) -> str:
        """What an app hands to an exported file, in words: "pictures as raw pixels, 0 to 255"."""
        ...

    def described(self) -> dict[str, Any]:
        """What the metadata inside an exported file says of its inputs: JSON types; `restored` reads it."""
        ...


@runtime_checkable
class NamedInputs(Protocol):
    """A kind whose examples are mappings: an input of a kind of its own under each name, as `inputs.named.Named`."""

    @property
    def parts(self) -> tuple[tuple[str, Inputs], ...]: ...


@runtime_checkable
class FolderInputs(Protocol):
    """A kind whose examples lie in files, a folder of which may be asked for, as `inputs.image.Image`."""

    def files(self, folder: Path) -> list[Path]: ...


@runtime_checkable
class TableInputs(Protocol):
    """A kind whose examples may be rows of a table, as `inputs.text.Text`.

    Attributes:
        column_kind: what a column of them is called in settings, ``text`` for ``--text-column``; nothing for a kind
            whose examples take several columns.
    """

    column_kind: ClassVar[str]

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...] | None:
        """Columns that say an example, found by their names or by what the first rows hold.

        ``None`` where the header is a row itself, and all fields in their order say an example. Raises `ValueError`
        where there are no such columns, or no telling which.
        """
        ...

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """A batch of one from the values of those columns, ``None`` for a missing one; `ValueError` for none."""
        ...


@runtime_checkable
class CategoryInputs(Protocol):
    """A kind some of whose numbers may stand for categories, as `inputs.numbers.Numbers`."""

    def categories(self) -> dict[str, list[int]]:
        """Columns of a table that were categories -> the places of the numbers that they became."""
        ...

    def refuse_impossible(self, examples: np.ndarray, *, where: str) -> None:
        """Raises `ValueError` for numbers that no row of a table becomes: half a category, or two of one column."""
        ...


def kind_of(inputs: Inputs, name: str) -> Inputs:
    """The kind of one of a file's inputs: of several the one under that name, else the only one there is."""
    return dict(inputs.parts).get(name, inputs) if isinstance(inputs, NamedInputs) else inputs


@runtime_checkable
class Target(Protocol):
    """What a model is asked for, one file a kind in `kerastl.tasks`: a frozen dataclass.

    Labels are an array ``(examples, ...)``; answers are what an exported file says, float32 ``(examples, outputs)``. Of
    a target of several outputs both are mappings of their names to such arrays, so that they are annotated loosely.

    Attributes:
        kind: the kind in words, for people.
        metric: name of the score that every choice is made by.
        higher_is_better: whether a larger score is a better one.
        units: of the score: ``"%"`` for a share 0..1, which is shown as percent, else a unit or nothing.
        drop_unit, difference_unit: of what `drop` and `difference` say, in words; nothing for shares.
        output_name: name of the exported file's output.
        output_range: least and largest number that an exported file may answer, or ``None`` for no such bounds.
        label_dtype: type of the labels in batches; of several targets a mapping of their names.
    """

    kind: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    drop_unit: ClassVar[str]
    difference_unit: ClassVar[str]
    output_name: ClassVar[str]
    output_range: ClassVar[tuple[float, float] | None]
    label_dtype: ClassVar[str]

    @property
    def units(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]:
        """One name an output: of classes, or of numbers. ``labels.txt`` has one a line."""
        ...

    @property
    def outputs(self) -> int:
        """Width of the model's one output; 0 where any width will do."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the exported file's outputs, in the model's order: mostly the one ``output_name``."""
        ...

    def check(self, labels: Any, *, where: str, rows: int) -> None:
        """Raises `ValueError` for labels of another shape, type or range, naming row and column."""
        ...

    def check_split(self, labels: Any, *, where: str) -> None:
        """Raises `ValueError` where a split lacks what it has to have: a class without an example, say."""
        ...

    def strata(self, labels: Any) -> np.ndarray:
        """What splits keep in proportion: one stratum an example, int ``(examples,)``, or 0 and 1 ``(examples,
        strata)`` where an example may be of several.
        """
        ...

    def loss(self) -> keras.losses.Loss | dict[str, keras.losses.Loss]:
        """What the outputs of a model (logits, or numbers) are trained to; of several one by each one's name."""
        ...

    def training_metric(self) -> keras.metrics.Metric | None:
        """The score as Keras computes it while training, from the model's outputs, better as the score is better.

        ``None`` where no metric of one output says it: the loss is watched in its place.
        """
        ...

    def class_weights(self, labels: Any) -> dict[int, float]:
        """A weight a class for the loss, with which rare classes count as much as frequent ones."""
        ...

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        """A loss in which classes count as much as is said, and weights of examples that are left to Keras."""
        ...

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        """What a builder puts behind its last dense layer, as a Keras layer of that name: nothing behind logits."""
        ...

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        """What an exported file answers, from the model's outputs: probabilities, or numbers in their units."""
        ...

    def served_activation(self) -> str:
        """Name of the Keras activation that `served` is, ``"linear"`` for none."""
        ...

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """The loss of a student's outputs beside its teacher's, ``(batch,)``."""
        ...

    def standardized(self, outputs: Any) -> Any:
        """A model's outputs in units that can be compared: numbers in standard deviations, logits as they are."""
        ...

    def predictions(self, answers: Any) -> np.ndarray:
        """What answers say: class indices, sets of classes, numbers; comparable with labels."""
        ...

    def score(self, answers: Any, labels: Any) -> Score:
        """The score of answers with its 95 % interval. Raises `ValueError` where shapes do not fit."""
        ...

    def drop(self, score: float, reference: float) -> float:
        """How much worse a score is than another one, positive where it is, on the scale of shares (0.01 is a lot)."""
        ...

    def agree(self, answers: Any, expected: Any) -> np.ndarray:
        """Whether each example is answered alike, bool ``(examples,)``."""
        ...

    def difference(self, answers: Any, expected: Any) -> np.ndarray:
        """How far apart two answers are, ``(examples,)``, on the scale of shares."""
        ...

    def refuse(self, answers: Any, *, integer: bool) -> tuple[str, object, object] | None:
        """Which check answers fail that no file of this task may give: its name, what was wanted, what came."""
        ...

    def lost(self, answers: Any, expected: Any, labels: Any) -> tuple[str, object, object] | None:
        """What a file has lost of its model though most answers agree, as `refuse` says it: a rare class, say."""
        ...

    def details(self, answers: Any, labels: Any) -> dict[str, Any]:
        """What one score hides, for the report: JSON types.

        ``tables`` among them is what the page shows: mappings of ``title``, ``note``, ``columns`` and ``rows`` of
        texts.
        """
        ...

    def summary(self, details: Mapping[str, Any]) -> str:
        """`details` in one line, for the terminal."""
        ...

    def confidence(self, answers: Any, labels: Any) -> np.ndarray:
        """How wrong each answer is, ``(examples,)``, 0 where it is right, in the units of the score.

        What a file gets wrong is shown in this order, the largest first.
        """
        ...

    def said(self, answer: Any) -> dict[str, Any]:
        """One answer for people and programs, JSON types; ``"words"`` is what a terminal prints."""
        ...

    def label_words(self, label: Any) -> str:
        """One label in words."""
        ...

    def described(self) -> dict[str, Any]:
        """What the metadata inside an exported file says of its outputs: JSON types; `restored` reads it."""
        ...


@runtime_checkable
class NamedTargets(Protocol):
    """A target of several others, each of an output of its own under its name, as `tasks.multi_task.MultiTask`."""

    @property
    def parts(self) -> tuple[tuple[str, Target], ...]: ...

    def labelled(self, labels: Any) -> dict[str, np.ndarray]:
        """Which examples have a label of each, bool ``(examples,)`` by its name."""
        ...


def targets_of(target: Target) -> dict[str, Target]:
    """What is asked of each of a file's outputs, by the output's name: mostly one and the same."""
    return dict(target.parts) if isinstance(target, NamedTargets) else dict.fromkeys(target.output_names, target)


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        token: number of its first token in an example.
        text: how it reads: as it was written, where that is known.
        before: what stands between the word before it and this one.
    """

    token: int
    text: str
    before: str = " "


@runtime_checkable
class TokenTarget(Protocol):
    """A target of each token of a text, as `tasks.tagging.Tagging`: a model's features are not pooled for it."""

    def spans_of(self, answer: np.ndarray, words: Sequence[Word]) -> dict[str, Any]:
        """As `Target.said`, with the words of the text."""
        ...


@runtime_checkable
class DecodedTarget(Protocol):
    """A target whose answers are decoded of all of a model's outputs, as the boxes of `tasks.detection.Detection`.

    Its `Target.served` takes symbolic tensors of Keras as well, and is built of Keras' own operations.
    """

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Of one example's answer; no model's output has it."""
        ...


@runtime_checkable
class ClassTarget(Protocol):
    """A target of classes, each of which can be found or missed in an example; see `tasks.classes.Classification`."""

    names: tuple[str, ...]

    def having(self, labels: Any) -> np.ndarray:
        """Which classes each example has, bool ``(examples, classes)``."""
        ...

    def given(self, answers: Any) -> np.ndarray:
        """Which classes each example is answered with, bool ``(examples, classes)``."""
        ...


@dataclasses.dataclass(frozen=True)
class Task:
    """What a model is asked to do: a name, what goes in, and what is asked.

    Attributes:
        name: short identifier, for example ``"mnist"``.
        inputs: the kind of input, for example ``inputs.image.Image((28, 28, 1))``.
        target: what is asked, for example ``tasks.single_label.SingleLabel(("0", "1", ...))``.
    """

    name: str
    inputs: Inputs
    target: Target
