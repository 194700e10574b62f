"""Exported files and what is known of them: claims, facts, scores, the choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np


KERNELS_ENTRY = b"kernels"
"""Metadata entry of a TFLite file that is right with the kernels of XNNPACK alone, LiteRT's default delegate."""


@dataclasses.dataclass(frozen=True)
class ClusterClaim:
    """What a file claims of its clustered kernels: at most so many distinct values.

    Attributes:
        num_clusters: most values that differ, in any channel of a clustered kernel. In a file a channel has values of
            its own: a folded batch norm multiplies it by a factor, and 8 bits count in steps of its scale.
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
        inputs, outputs: in the file's order, by the signature's names where it has one.
        multiply_adds: of convolutions, dense layers and matrix products in one inference; ``None``: nobody counted.
        arena_bytes: memory that the activations of one inference take, as TensorFlow Lite plans it; ``None`` likewise.
    """

    sha256: str
    bytes: int
    gzip_bytes: int
    parameters: int
    sparsity: float
    operators: Operators
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    multiply_adds: int | None = None
    arena_bytes: int | None = None

    @property
    def input(self) -> Tensor:
        """The first input, which examples go into: of a text's three the ids."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time of one inference of one example in milliseconds, and what it was measured on.

    Runs are taken in rounds, and other programs only ever make a round slower: what stands here is the lower quartile
    of the rounds.

    Attributes:
        median, p95: of the runs of a round, the lower quartile over rounds.
        threads: that the interpreter used.
        runs: in all rounds together.
        spread: how far the rounds' medians are apart, from quartile to quartile, as a share of ``median``.
        clock: ``"processor time"`` of the one thread that works, which what else runs on the machine adds nothing to,
            or ``"wall clock"``.
        cpu: name of the processor.
    """

    median: float
    p95: float
    threads: int
    runs: int
    spread: float = 0.0
    clock: str = "wall clock"
    cpu: str = "this machine"

    WIDE: ClassVar[float] = 0.25
    """Spread from which on a latency says little: the rounds are further apart than files usually are."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Latency:
        """That which a row of a report states; what reports of earlier runs did not state is as by default."""
        return cls(**{field.name: row[field.name] for field in dataclasses.fields(cls) if field.name in row})

    @property
    def is_wide(self) -> bool:
        """Whether the rounds are too far apart to tell this file from one that is nearly as fast."""
        return self.spread > self.WIDE

    @property
    def warning(self) -> str:
        """What to think of rounds that are too far apart."""
        return (
            f"its rounds are {self.spread:.0%} apart, for the machine had other work: files whose latencies differ by "
            "less are as fast as one another"
        )

    @property
    def measured(self) -> str:
        """How it was measured, in words that follow the figure: ``"processor time on one thread of AMD EPYC"``."""
        return f"{self.clock} on {'one thread' if self.threads == 1 else f'{self.threads} threads'} of {self.cpu}"


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
        errors: of each example, 0 where the file is right, see `Target.confidence`; nothing where nobody looked.
        answers: of the file, as the target's ``score`` takes them; nothing where nobody keeps them.
    """

    score: Score
    float_score: float
    agreement: float
    max_difference: float
    errors: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)
    answers: Any = dataclasses.field(default=None, repr=False, compare=False)


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
class Runtime:
    """The oldest runtimes that answer right from a file, as all newer ones do.

    Attributes:
        tensorflow: whose TFLite knows all of its operators, the file's own ``min_runtime_version``.
        litert: of Python's ``ai-edge-litert``.
        android: of Maven's ``com.google.ai.edge.litert:litert``, with an Interpreter.
        pod: of ``TensorFlowLiteSwift``, empty where none runs it.
    """

    tensorflow: str
    litert: str
    android: str
    pod: str


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a report: a file with everything measured about it.

    Attributes:
        worst_layer: the layer that is furthest off; ``None`` for a file that was not quantized after training.
        runtime: what it needs; ``None`` where nobody looked.
        eligible: whether it may go to the phone; a teacher may not.
        model: the Keras model that it was made from: ``"model.keras"``, which the run keeps, or the name of the first
            file that was made from the same one. Empty where nobody says.
    """

    artifact: Artifact
    facts: FileFacts
    latency: Latency
    validation: Verification
    test: Verification
    worst_layer: LayerError | None = None
    runtime: Runtime | None = None
    eligible: bool = True
    model: str = ""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The variant that goes to the phone, and why.

    Attributes:
        name: of the variant.
        why: in words.
        within: names of all that were within the budget and the limits, the chosen one among them.
    """

    name: str
    why: str
    within: tuple[str, ...] = ()
