"""What crosses from one room to the next: frozen dataclasses, no framework.

A recipe carries these from room to room. Arrays are NumPy; pictures are raw pixels 0..255 as uint8, texts are token ids
as int32.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # `kerastl list` must not pay for NumPy
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
    """What a model is asked to do.

    Attributes:
        name: short identifier, for example ``"mnist"``.
        class_names: one name a class, in the order of the model's outputs and of ``labels.txt``.
        input_shape: shape of one example without the batch axis, for example ``(28, 28, 1)``.
        vocabulary: for texts the token of each id, for pictures empty; the input shape is ``(sequence_length,)`` then.
        multi_label: whether an example may have none, one or several of the classes; else it has exactly one.

    Raises:
        ValueError: if a class name is empty, comes twice, is not one line of text, or cannot be written in UTF-8:
            ``labels.txt`` is one name a line. If a token is not one line of text without a space at its end, as in
            ``vocab.txt``, or a text has another shape than ``(sequence_length,)``.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    vocabulary: tuple[str, ...] = ()
    multi_label: bool = False

    def __post_init__(self) -> None:
        counts = collections.Counter(self.class_names)
        wrong = [name for name, count in counts.items() if count > 1 or not _is_a_line(name)]
        if wrong or not counts:
            raise ValueError(
                "Class names are one line of text each, no two the same. "
                f"Received: {', '.join(map(ascii, wrong[:5])) or 'no names'} in task {self.name!r}."
            )
        broken = [token for token in self.vocabulary if not _is_a_line(token) or token != token.rstrip()]
        if broken or (self.vocabulary and len(self.input_shape) != 1):
            raise ValueError(
                "Texts are (sequence_length,) token ids, and tokens are one line of text each. Received: shape "
                f"{self.input_shape}, {', '.join(map(ascii, broken[:5])) or 'no broken token'} in task {self.name!r}."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def metric(self) -> str:
        """The score that every choice is made by: a share of examples, so that it has an interval.

        Of several classes an example is answered right where the set is: "exact match", or subset accuracy. The share
        of single yes-or-nos would be high for who never says yes (Zhang & Zhou 2014, "A Review on Multi-Label Learning
        Algorithms", section 2.2.2).
        """
        return "exact match" if self.multi_label else "accuracy"


def _is_a_line(name: str) -> bool:
    try:
        name.encode()  # a folder's name that is no UTF-8 comes as a text that cannot be written back
    except UnicodeEncodeError:
        return False
    return bool(name.strip()) and name.splitlines() == [name]


@runtime_checkable
class LazyArray(Protocol):
    """Inputs that are too many for memory and are read when they are asked for, as ``data.streamed.Pictures``.

    Whoever takes a split's inputs asks for so many rows at a time, and then an array and this are the same to him.

    Attributes:
        shape: ``(examples, *input_shape)``.
        dtype: of the arrays that reading gives, pictures uint8.
        ndim: number of axes.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads one example (an int) or several (a slice, an array of indices) into an array."""
        ...

    def take(self, rows: Any) -> LazyArray:
        """Some of the examples in the order of ``rows``, none of which is read for it."""
        ...

    def digests(self) -> list[bytes]:
        """SHA-256 of each example's bytes, known without reading any."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class BatchingSpec:
    """What batches are made of and in which order, see ``data.pipeline.batches``: equal ones give the same batches.

    Attributes:
        inputs: of the split, in its order.
        batch_size: examples a batch.
        drop_remainder: whether the last batch is left out where it would be smaller.
        shuffle, seed: whether each epoch has an order of its own, and its seed.
        augment: what changes batches of inputs, ``None`` for nothing.
        states: the random states that ``augment`` begins with.
        views: epochs after which orders and views come again, ``None`` for never.
        order: number of an epoch, from 1, to the indices of its examples, int64 ``(examples,)``.
    """

    inputs: np.ndarray | LazyArray
    batch_size: int
    drop_remainder: bool
    shuffle: bool
    seed: int
    augment: Any
    states: tuple[np.ndarray, ...]
    views: int | None
    order: Callable[[int], np.ndarray]


@runtime_checkable
class CachedLogits(Protocol):
    """A teacher's answers to several views of every example, as ``distil.logit_cache.LogitCache`` keeps them on
    disk.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, examples, classes)``."""
        ...

    def check(self, course: BatchingSpec) -> None:
        """Raises `ValueError` unless the batches are of the very examples and views that were answered."""
        ...

    def __getitem__(self, place: tuple[int, np.ndarray]) -> np.ndarray:
        """Logits float32 ``(rows, classes)`` of one view, from 0, of examples by their indices."""
        ...


def is_text(inputs: np.ndarray | LazyArray) -> bool:
    """Whether an array is token ids, int32 ``(examples, sequence_length)``; no picture is."""
    return inputs.ndim == 2 and inputs.dtype.name == "int32"


PADDING = 0
"""Id of [PAD] in every vocabulary: MediaPipe Tasks fill a text up with zeros."""
TEXT_INPUTS = ("ids", "mask", "segment_ids")
"""What a text's file takes: BERT's three inputs, ``(1, sequence_length)``, by the names that MediaPipe Tasks know."""


def text_inputs(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Token ids, int32 ``(examples, sequence_length)``, as the three inputs of a text's file.

    The mask is 1 where a token is and 0 where padding is; the second of two sentences would be segment 1, but a text
    here is one.
    """
    return dict(zip(TEXT_INPUTS, (ids, (ids != PADDING).astype(ids.dtype), ids * 0), strict=True))


def labels_and_teacher_logits(targets: Any) -> tuple[Any, Any]:
    """What a batch has beside its inputs: labels, and a teacher's stored answers, ``None`` where it brings none."""
    return targets if isinstance(targets, tuple) else (targets, None)


def is_multi_label(labels: Any) -> bool:
    """Whether labels say of every class whether it is there: integers ``(examples, classes)``, 0 and 1.

    Args:
        labels: an array, a tensor, or the spec of one; whatever else comes in their place is not.
    """
    shape = getattr(labels, "shape", None)
    if shape is None or getattr(shape, "rank", 0) is None:
        return False
    return len(shape) == 2 and shape[1] != 1 and "int" in labels.dtype.name


THRESHOLD = 0.5
"""Probability from which on a model of several classes an example says that one is there."""


def predictions(probabilities: np.ndarray, *, multi_label: bool) -> np.ndarray:
    """What probabilities ``(examples, classes)`` say: the class of each, or in the same shape whether each is there."""
    return probabilities >= THRESHOLD if multi_label else probabilities.argmax(-1)


def same_prediction(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether two answers, or an answer and a label, are the same in every class, ``(examples,)``."""
    return (one == other).all(-1) if one.ndim == 2 else one == other


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples that are used for one purpose only.

    Attributes:
        name: ``"train"``, ``"validation"`` or ``"test"``.
        inputs: array ``(examples, *input_shape)``, pictures as uint8 0..255, texts as int32 token ids; or, of more
            examples than memory is to hold, something `LazyArray` of that shape.
        labels: int32 array ``(examples,)`` of class indices; or, where an example may have none or several of the
            classes, uint8 ``(examples, classes)``, 1 for those that it has.
    """

    name: str
    inputs: np.ndarray | LazyArray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(
                f"A split needs one label an input. Received: {len(self.inputs)} inputs "
                f"and {len(self.labels)} labels in split {self.name!r}."
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def is_text(self) -> bool:
        """Whether the inputs are token ids: int32 ``(examples, sequence_length)``."""
        return is_text(self.inputs)

    @property
    def multi_label(self) -> bool:
        """Whether an example may have none or several of the classes: labels ``(examples, classes)``."""
        return is_multi_label(self.labels)

    def take(self, count: int | None) -> Split:
        """The first ``count`` examples (all of them for ``None``); splits are already shuffled."""
        return self.subset(slice(count))

    def subset(self, rows: slice | np.ndarray) -> Split:
        """Some of the examples, in the order of ``rows``: a slice or an array of indices. Nothing streamed is read."""
        inputs = self.inputs.take(rows) if isinstance(self.inputs, LazyArray) else self.inputs[rows]
        return Split(self.name, inputs, self.labels[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A task's three disjoint splits and the digest that pins them.

    Attributes:
        task: what the labels mean.
        train, validation, test: disjoint splits; only validation may choose, test only reports.
        digest: SHA-256 (hex) over the contents of all three splits, their order included; see ``data.splits``.
        source: the module under ``kerastl.data`` that loads it again, for example ``"mnist"``.
        arguments: the keyword arguments that make its ``load`` return exactly this data set.
        leakage: what the splits share, as counts; see ``data.leakage``.
        origin: SHA-256 (hex) over texts and labels as they were before any vocabulary, the splits and their order
            included: two data sets with the same one hold the same texts in the same places, however each is read.
            Empty where the source does not say.
    """

    task: Task
    train: Split
    validation: Split
    test: Split
    digest: str
    source: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    leakage: Mapping[str, int] = dataclasses.field(default_factory=dict)
    origin: str = ""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: linear warm-up, then cosine decay to zero (Loshchilov & Hutter 2017).

    Attributes:
        epochs: passes over the training split.
        batch_size: examples a step.
        peak_learning_rate: reached at the end of the warm-up.
        warmup_fraction: share of all steps spent warming up, 0..1.
        weight_decay: decoupled weight decay (AdamW, Loshchilov & Hutter 2019).
    """

    epochs: int
    batch_size: int = 128
    peak_learning_rate: float = 1e-3
    warmup_fraction: float = 0.1
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True)
class ClusterClaim:
    """What a file claims of its clustered kernels: at most so many distinct values.

    Attributes:
        num_clusters: most values that differ, in any channel of a clustered kernel. In a file a channel has values of
        its
            own: a folded batch norm multiplies it by a factor, and 8 bits count in steps of its scale.
        kernel_sizes: how many weights each clustered kernel has; by them the kernels are found in the file.
        per_kernel: whether no more than that many differ, as they are stored, in any whole kernel.
    """

    num_clusters: int
    kernel_sizes: tuple[int, ...]
    per_kernel: bool = False


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An exported TFLite file and what it claims to be.

    Attributes:
        name: unique in a run, for example ``"static_int8"``.
        technique: in words, for example ``"post-training static int8"``.
        path: the file.
        integer: whether it claims integer input, output and operators throughout.
        sparsity: the share of zeros it claims in its pruned weights, or ``None`` for no claim.
        clusters: how few distinct values it claims in its clustered kernels, or ``None`` for no claim.
    """

    name: str
    technique: str
    path: Path
    integer: bool = False
    sparsity: float | None = None
    clusters: ClusterClaim | None = None


@dataclasses.dataclass(frozen=True)
class Score:
    """A share of examples answered right with its 95 % Wilson interval (Wilson 1927).

    Attributes:
        value, low, high: 0..1.
        count: examples it was measured on.
    """

    value: float
    low: float
    high: float
    count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a TFLite file; ``scale`` and ``zero_point`` are ``None`` where it is not quantized."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None


@dataclasses.dataclass(frozen=True)
class Operators:
    """Operators of a TFLite file: ``integer`` and ``float`` by what they compute in, ``flex`` outside the built-ins."""

    total: int
    integer: int
    float: int
    flex: int
    by_type: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FileFacts:
    """What can be read off a TFLite file without running it.

    Attributes:
        sha256: hex digest of the bytes.
        bytes, gzip_bytes: size of the file, and of the file compressed with gzip -9.
        parameters: elements of all constant weight tensors (quantization parameters not counted).
        sparsity: share of zeros among the elements of kernels (constant tensors of two or more axes), 0..1;
            zeros are counted in real value, so a quantized weight counts as zero at its zero point.
    """

    sha256: str
    bytes: int
    gzip_bytes: int
    parameters: int
    sparsity: float
    operators: Operators
    input: Tensor
    output: Tensor


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time of one inference of one example in milliseconds."""

    median: float
    p95: float
    threads: int
    runs: int


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that an audit has to say.

    Attributes:
        severity: ``"error"`` (training on it would be wrong, or it would be refused), ``"warning"`` (look at it) or
            ``"note"`` (what is in it).
        where: file, array, split, class or layer.
        what: in words, with numbers.
    """

    severity: str
    where: str
    what: str


@dataclasses.dataclass(frozen=True)
class Verification:
    """A file's answers against its model's on one split.

    Attributes:
        score: of the file.
        float_score: of the Keras model it was made from.
        agreement: share of examples with the same arg-max, or of several classes an example the same set of them, 0..1.
        max_difference: largest absolute difference of a probability.
    """

    score: Score
    float_score: float
    agreement: float
    max_difference: float


@dataclasses.dataclass(frozen=True)
class LayerError:
    """How far one layer of a quantized file is from the float file's.

    Attributes:
        layer: its place and operator, for example ``"3. CONV_2D [7, 7, 32]"``.
        error: root mean square of the difference, as a share of the layer's own root mean square.
        clipped: share of the float layer's numbers that lie outside the range which the quantized one can express
            by more than a step; 0 where that is float itself.
    """

    layer: str
    error: float
    clipped: float


@dataclasses.dataclass(frozen=True)
class PerClassMetrics:
    """What one score hides: how each class fares, and what would be scored without looking.

    Attributes:
        examples: class name -> how many examples it has.
        recall: class name -> share of its examples answered right; ``None`` for a class without examples.
        balanced_accuracy: mean recall of the classes that have examples, 0..1.
        majority_baseline: share of the most frequent class, or set of classes: the score of always answering it.
        multi_label: more of each class, where an example may have several.
    """

    examples: Mapping[str, int]
    recall: Mapping[str, float | None]
    balanced_accuracy: float
    majority_baseline: float
    multi_label: MultiLabelMetrics | None = None


@dataclasses.dataclass(frozen=True)
class MultiLabelMetrics:
    """How each class fares where an example may have several: class name -> 0..1; means over all classes.

    Attributes:
        precision: share of the examples answered with the class that have it; ``None`` where none was.
        f1: harmonic mean of precision and recall, ``2 hits / (answered + having)``; ``None`` for neither.
        average_precision: mean, over the examples that have the class, of the precision among all that are at least as
            probable; ``None`` for a class without examples.
        macro_f1, mean_average_precision: means over the classes that have examples.
    """

    precision: Mapping[str, float | None]
    f1: Mapping[str, float | None]
    average_precision: Mapping[str, float | None]
    macro_f1: float
    mean_average_precision: float


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a report: a file with everything measured about it.

    Attributes:
        worst_layer: the layer that is furthest off; ``None`` for a file that was not quantized after training.
    """

    artifact: Artifact
    facts: FileFacts
    latency: Latency
    validation: Verification
    test: Verification
    worst_layer: LayerError | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """The variant that goes to the phone, and why, in words."""

    name: str
    why: str


@dataclasses.dataclass(frozen=True)
class History:
    """Training curves of one stage: metric name -> one value an epoch."""

    stage: str
    values: Mapping[str, tuple[float, ...]]

    def to_json(self) -> str:
        """The curves as text; ``from_json`` reads it."""
        return json.dumps({"stage": self.stage, "values": self.values})

    @classmethod
    def from_json(cls, text: str) -> History:
        """The curves that ``to_json`` wrote."""
        content = json.loads(text)
        return cls(content["stage"], {name: tuple(series) for name, series in content["values"].items()})


class Workspace(Protocol):
    """Where a stage in the making keeps what it needs on the way to its result; see ``checkpoints.Workspace``.

    Attributes:
        stage: its name, which its curves and its progress bar carry.
        logs: folder of its TensorBoard logs.
    """

    stage: str
    logs: Path

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint in the middle of an epoch."""
        ...

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> object:
        """Writes a checkpoint: arrays of finite numbers by name, and facts that JSON takes."""
        ...

    def latest_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and facts of the newest sound checkpoint, ``None`` where there is none."""
        ...

    def remember(self, name: str, choose: Callable[[], str]) -> str:
        """What was chosen under ``name`` when the stage began, chosen now if it begins now."""
        ...
