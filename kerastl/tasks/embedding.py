"""Embedding: a vector of length 1 an example, near to those of its own group: for search, faces, near duplicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, pair_metrics
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Score

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

AT = (1, 5, 10)
"""Numbers of neighbours that recall is reported for; the first is the score."""
AGREES = 0.2
"""How far two vectors may lie apart and agree, as a share of how far the model's own lie from their mean."""
_AS_NEAR = 1e-6
"""Difference of two cosines below which neither neighbour is the nearer one: float32 rounds by less."""
_NEVER_ZERO = 1e-6
"""Its square is what Keras takes at least for that of a length."""
_RESAMPLES, _AT_ONCE, _SHOWN = 1000, 1 << 24, 10


class _Search(NamedTuple):
    """What a search with each example among all others finds, an entry an example.

    Attributes:
        ranks: how many examples of other groups come before the first of its own group; -1 where it has no other.
        margins: cosine of the nearest example of another group, less that of the nearest of its own.
    """

    ranks: np.ndarray
    margins: np.ndarray


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Vectors whose cosines say what belongs together, labels int32 ``(examples,)``: each one's group; see `Target`.

    A model ends in a layer that brings each vector to length 1 (`finish`), and so does a file. Their width is that of
    the model's features. The score is recall@1: the share of examples whose nearest other example of the same split is
    of their own group (Jegou et al. 2011, "Product quantization for nearest neighbor search", section V; of metric
    learning Oh Song et al. 2016, "Deep metric learning via lifted structured feature embedding", section 6), with a
    bootstrap interval over the examples that search (Efron 1979). An example that is alone in its group is found by
    nobody: it stands among the others, and does not search itself. Of examples that are as near, those of other groups
    come first, so that vectors which are all the same find nothing.

    Groups of test may be others than those of train: nothing in a model or a file knows them.

    Attributes:
        groups: one name a group, by which labels are numbered.

    Raises:
        ValueError: if a name is empty, comes twice, or is not one line.
    """

    groups: tuple[str, ...]

    kind: ClassVar[str] = "embedding"
    metric: ClassVar[str] = "recall@1"
    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = "of cosine distance"
    output_name: ClassVar[str] = "embedding"
    output_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    label_dtype: ClassVar[str] = "int32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", classes.check_names(self.groups))

    @property
    def units(self) -> str:
        return "%"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.output_name,)

    @property
    def outputs(self) -> int:
        return 0  # as many numbers as the model's features have

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.output_name,)

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.shape != (rows,):
            raise ValueError(
                f"Labels of groups are integers (examples,). Received: shape {labels.shape} of {labels.dtype} in "
                f"{where}, of {rows} examples."
            )
        outside = (labels < 0) | (labels >= len(self.groups))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"Labels have to lie in 0..{len(self.groups) - 1}. Received: {labels[row]} in {where}, row {row} "
                f"({int(outside.sum())} such labels)."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        """There is something to find, and something else."""
        counts = np.bincount(labels, minlength=len(self.groups))
        if (counts > 0).sum() < 2 or counts.max() < 2:
            raise ValueError(
                "A split needs two groups, and a second example of one of them, or there is nothing to find. Received: "
                f"{len(labels)} examples of {int((counts > 0).sum())} groups, at most {int(counts.max())} of one, in "
                f"{where}. Take more of them for validation and test, or leave groups of few out."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels)

    def loss(self) -> keras.losses.Loss:
        """Supervised contrastive loss over the batch, see `embedding_training`."""
        from kerastl.tasks import embedding_training

        return embedding_training.SupervisedContrastive()

    def training_metric(self) -> None:
        """None: what a batch finds among its own says little of a whole split, and the loss is as near to it."""
        return

    def class_weights(self, labels: np.ndarray) -> dict[int, float]:
        raise ValueError("An embedding has no classes to weigh. Received: balanced groups; leave --balanced out.")

    def weighted_loss(self, class_weight: Mapping[int, float]) -> tuple[keras.losses.Loss, dict[int, float] | None]:
        raise ValueError(f"An embedding has no classes to weigh. Received: class_weight={dict(class_weight)}.")

    def finish(self, outputs: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
        """Vectors of length 1, in float32.

        LiteRT divides zero by zero where Keras does not: features that are all 0 become a vector of equal numbers.
        """
        import keras

        outputs = keras.layers.Rescaling(1.0, offset=_NEVER_ZERO, dtype="float32", name="never_zero")(outputs)
        # a table of tokens may be called "embedding" already
        return keras.layers.UnitNormalization(dtype="float32", name=name or "unit_length")(outputs)

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs

    def served_activation(self) -> str:
        return "linear"

    def distillation(self, teacher: tf.Tensor, student: tf.Tensor, *, temperature: float) -> tf.Tensor:
        """One less the cosine of the two vectors of each example: an index made with one is searched with the other.

        Reimers & Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation",
        section 2: of vectors of length 1 their squared distance is twice this. They are no logits, which a temperature
        would soften.
        """
        import tensorflow as tf

        wanted, given = (tf.math.l2_normalize(tf.cast(one, tf.float32), -1) for one in (teacher, student))
        return 1 - tf.reduce_sum(wanted * given, axis=-1)

    def standardized(self, outputs: Any) -> Any:
        return outputs

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return answers

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        ranks = self._search(answers, labels).ranks
        return _recall(ranks, AT[0])

    def drop(self, score: float, reference: float) -> float:
        return reference - score

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """By distance, against how far the model's vectors lie from their mean.

        A cosine alone would not do: vectors of many models lie in a narrow cone, where that of any two is 0.99.
        """
        given, wanted = _units(answers), _units(expected)
        apart = np.sqrt(2 * self.difference(given, wanted))
        spread = np.sqrt(np.square(wanted - wanted.mean(0)).sum(-1).mean()) if len(wanted) > 1 else 1.0
        return apart <= AGREES * spread

    def difference(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """One less the cosine."""
        given, wanted = _units(answers), _units(expected)
        if given.shape != wanted.shape or not len(given):
            raise ValueError(f"Wanted vectors of shape {wanted.shape}, not empty. Received: {given.shape}.")
        return np.square(given - wanted).sum(-1) / 2

    def refuse(self, answers: np.ndarray, *, integer: bool) -> tuple[str, object, object] | None:
        """Vectors of another length than 1."""
        # an 8-bit number is off by up to half a step of 1/128, each of them
        slack = 1e-3 + (np.sqrt(answers.shape[-1]) / 256 if integer else 0)
        lengths = np.linalg.norm(np.asarray(answers, np.float64), axis=-1)
        furthest = float(lengths[np.abs(lengths - 1).argmax()])
        if abs(furthest - 1) <= slack:
            return None
        return "vectors of length 1", f"within {slack:.4f}", f"one of length {furthest:.4f}"

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """Vectors that find no more than chance does."""
        measured, chance = self.score(answers, labels), _chance(np.asarray(labels))
        if self.score(expected, labels).low > chance >= measured.value:
            return "recall above chance", f"> {chance:.4f}", measured.value
        return None

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Recall at 1, 5 and 10 neighbours, what chance would find, the groups found least, and what pairs say."""
        of_pairs = pair_metrics.details(_units(answers), np.asarray(labels))
        labels, found = np.asarray(labels), self._search(answers, labels)
        searching, chance = found.ranks >= 0, _chance(labels)
        recalls = []
        for count in AT:
            score = _recall(found.ranks, count)
            recalls.append({"neighbours": count, "recall": score.value, "low": score.low, "high": score.high})
        by_group = []
        for group, name in enumerate(self.groups):
            of_group = searching & (labels == group)
            if of_group.any():
                score = classes.wilson(found.ranks[of_group] == 0)
                by_group.append(
                    {"name": name, "examples": score.count, "recall": score.value, "recall_low": score.low}
                    | {"recall_high": score.high}
                )
        worst = sorted(by_group, key=lambda row: row["recall"])[:_SHOWN]
        note = (
            f"{int(searching.sum()):,} test examples search among {len(labels):,}, each without itself. Neighbours by "
            f"chance would be of the same group in {classes.percent(chance)} of cases."
        )
        return {
            "recall_at": recalls,
            "by_group": by_group,
            "chance": chance,
            **of_pairs,
            "tables": [
                {
                    "title": "Recall by number of neighbours",
                    "note": note,
                    "columns": ["Neighbours", "Recall", "95 % interval"],
                    "rows": [
                        [
                            str(row["neighbours"]),
                            classes.percent(row["recall"]),
                            f"{classes.percent(row['low'])} to {classes.percent(row['high'])}",
                        ]
                        for row in recalls
                    ],
                },
                {
                    "title": "Groups that are found least",
                    "note": f"By their nearest neighbour, with 95 % intervals; {len(worst)} of {len(by_group):,}.",
                    "columns": ["Group", "Examples", "Recall"],
                    "rows": [
                        [row["name"], f"{row['examples']:,}", classes.with_interval(row, "recall")] for row in worst
                    ],
                },
                *of_pairs["tables"],
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        found = ", ".join(f"@{row['neighbours']} {classes.percent(row['recall'])}" for row in details["recall_at"])
        worst = min(details["by_group"], key=lambda row: row["recall"])
        return (
            f"recall {found}; by chance {classes.percent(details['chance'])}; least of {worst['name']} "
            f"({classes.percent(worst['recall'])} of {worst['examples']:,})"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """By how much of a cosine another group is nearer, at most 1; 0 where the own one is."""
        found = self._search(answers, labels)
        return np.where(found.ranks > 0, np.clip(found.margins, _AS_NEAR, 1.0), 0.0)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        numbers = np.asarray(answer, np.float64).reshape(-1)
        return {"vector": [round(float(value), 6) for value in numbers], "words": _words(numbers)}

    def label_words(self, label: np.ndarray) -> str:
        """The name of a group; of a vector its first numbers."""
        return self.groups[int(label)] if np.ndim(label) == 0 else _words(np.asarray(label))

    def described(self) -> dict[str, Any]:
        return {"groups": list(self.groups)}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = "a vector of length 1. How alike two examples\nare is the inner product of their vectors, from -1 to 1."
        return what, "(vector,) = answers.values()\nprint(vector.shape, vector[:4])  # alike: float(vector @ another)"

    def _search(self, answers: np.ndarray, labels: np.ndarray) -> _Search:
        """Each example's vector among all others, by brute force."""
        units, labels = _units(answers), np.asarray(labels)
        if units.ndim != 2 or len(units) != len(labels) or not len(units) or labels.ndim != 1:
            raise ValueError(
                f"Wanted vectors (examples, width) and one group a row. Received: {np.shape(answers)} and labels "
                f"{labels.shape}."
            )
        if np.bincount(labels).max() < 2:
            raise ValueError(
                f"Wanted a group of two examples. Received: {len(labels)} examples, each of its own group."
            )
        parts = list(_searched(units, labels))
        return _Search(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _searched(units: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ranks and margins, some rows after the other."""
    size = max(1, _AT_ONCE // len(units))
    for start in range(0, len(units), size):
        rows = np.arange(start, min(start + size, len(units)))
        cosines = units[rows] @ units.T
        same = labels[rows, None] == labels
        other = np.where(same, -np.inf, cosines)
        same[np.arange(len(rows)), rows] = False  # nobody finds himself
        own = np.where(same, cosines, -np.inf).max(-1)
        ranks = (other > own[:, None] - _AS_NEAR).sum(-1)
        there = np.isfinite(own)
        margins = np.where(there, other.max(-1) - np.where(there, own, 0), 0)
        yield np.where(there, ranks, -1), np.maximum(margins, -2.0)


def _units(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1, float32; zeros stay zeros."""
    found = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    return np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0).astype(np.float32)


def _recall(ranks: np.ndarray, count: int) -> Score:
    """The share of those that search which have one of their own group among so many neighbours."""
    hits = ranks[ranks >= 0] < count
    draw = np.random.default_rng(0)
    # as many drawn with replacement, of which each is found or not, are a binomial number
    low, high = np.percentile(draw.binomial(len(hits), hits.mean(), _RESAMPLES) / len(hits), [2.5, 97.5])
    return Score(value=float(hits.mean()), low=float(low), high=float(high), count=len(hits))


def _chance(labels: np.ndarray) -> float:
    """Recall@1 of neighbours that are drawn by chance."""
    counts = np.bincount(labels)
    counts = counts[counts > 1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / (counts.sum() * (len(labels) - 1)))


def _words(vector: np.ndarray) -> str:
    numbers = np.asarray(vector).reshape(-1)
    more = f" ... ({len(numbers):,} numbers)" if len(numbers) > 4 else ""
    return ", ".join(map(phrases.plain, numbers[:4])) + more


def grouped(dataset: Dataset) -> Dataset:
    """The same data, of whose classes is asked what belongs together: each class is a group.

    Args:
        dataset: of one class an example, from any source; its digest stays that of the data as they were loaded.

    Raises:
        ValueError: if an example may have none or several classes, or a split has nothing to find.
    """
    target = dataset.task.target
    if not isinstance(target, SingleLabel):
        raise ValueError(
            f"Wanted examples of one group each. Received: {dataset.task.name!r}, for {target.kind}. --label-column "
            "names the one column that says what belongs together."
        )
    task = dataclasses.replace(dataset.task, target=Embedding(target.names))
    made = {}
    for name in ("train", "validation", "test"):
        made[name] = dataclasses.replace(getattr(dataset, name), task=task)
        task.target.check_split(made[name].labels, where=name)
    return dataclasses.replace(dataset, task=task, **made)


def restored(described: Mapping[str, Any]) -> Embedding | None:
    """The kind that `Embedding.described` described, ``None`` where another one did."""
    return Embedding(tuple(described["groups"])) if "groups" in described else None
