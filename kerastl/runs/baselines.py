"""Cheap baselines beside the file that was chosen: what the data set gives away without a network.

A model that is no better than always the same answer, or than a linear model of a table's columns or a text's words,
is not worth its bytes; nobody sees that from its score alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from kerastl.inputs.text import Text
from kerastl.runs import single_tasks, word_counts
from kerastl.types import ClassTarget, Dataset, NamedTargets, Score, Split, Target, Variant

COLUMNS, ENTRIES, LABELS = 1000, 40_000_000, 50_000_000
"""A linear model is cheap up to so many columns of a table, and up to so many words and pairs times outputs in all
texts; any baseline up to so many examples times outputs."""
CONSTANT, LINEAR, WORDS = "always the same answer", "a linear model", "TF-IDF with logistic regression"
"""Names of the baseline that looks at no example, of ridge regression, and of what reads a text's words alone."""
_RIDGES = (1e-3, 1e-1, 1e1)
"""Penalties of the ridge regression, among which validation chooses."""
_INVERSE_PENALTIES = (1.0, 10.0, 100.0)
"""Those of logistic regression, by scikit-learn's convention: the larger, the less is penalized."""


def measured(dataset: Dataset, *, files: Sequence[Variant] = ()) -> list[dict[str, Any]]:
    """What baselines score, a row each: ``name``, ``validation_score`` and ``score``, that on test.

    Always the same answer (the most frequent class, or set of classes; of numbers the median), and where that takes
    seconds a linear model, its penalty chosen on validation: of a table's columns ridge regression (Hoerl & Kennard
    1970); of texts logistic regression on TF-IDF of their words and pairs of words, see `word_counts`, or where numbers
    are asked for ridge regression.

    Args:
        dataset: validation chooses a penalty; test is scored once.
        files: of the run that the chosen one has to beat as well, a linear probe for example.
    """
    found = []
    linear = WORDS if _reads_words(dataset) and isinstance(dataset.task.target, ClassTarget) else LINEAR
    for name, make in ((CONSTANT, _constant), (linear, _linear)):
        answer = _answer(make, dataset)
        if answer is not None:
            scores = [_score(answer, split).value for split in (dataset.validation, dataset.test)]
            found.append({"name": name, "validation_score": scores[0], "score": scores[1]})
    for one in files:
        scores = {"validation_score": one.validation.score.value, "score": one.test.score.value}
        found.append({"name": one.artifact.name, **scores})
    return found


def warnings(
    rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any], *, target: Target, words: Callable[[float], str]
) -> list[str]:
    """What has to be said loudly: each baseline that does better than the chosen file, on test or on validation.

    One that does exactly as well has not beaten it, two perfect ones least of all; but for `CONSTANT`, whose score is
    that of a file which has learnt nothing.

    Args:
        rows: as `measured` gives them.
        chosen: with its ``name``, its ``validation_score``, and its ``score`` on test.
        target: says which of two scores is the better one.
        words: a score in words.
    """
    said = []
    for row in rows:
        for key, split in (("score", "test"), ("validation_score", "validation")):
            lost = target.drop(chosen[key], row[key])
            if lost > 0 or (lost == 0 and row["name"] == CONSTANT):
                said.append(
                    f"{row['name']} scores {words(row[key])} on {split}, and the chosen {chosen['name']} "
                    f"{words(chosen[key])}: it is no better than this baseline."
                )
                break
    return said


Answer = Callable[[Split], Any]


def _answer(make: Callable[[Dataset], Answer | None], dataset: Dataset) -> Answer | None:
    """What a baseline answers; of several tasks each by a baseline of its own, of the examples that have its label."""
    target = dataset.task.target
    if not isinstance(target, NamedTargets):
        return make(dataset)
    found = {name: make(single_tasks.dataset_of(dataset, name)) for name, _ in target.parts}
    known = {name: answer for name, answer in found.items() if answer is not None}
    return (lambda split: {name: one(split) for name, one in known.items()}) if len(known) == len(found) else None


def _score(answer: Answer, split: Split) -> Score:
    return split.task.target.score(answer(split), split.labels)


def _constant(dataset: Dataset) -> Answer | None:
    """Always the same: the classes, or numbers, that train has most often, or in the middle."""
    labels, target = _table(dataset.train), dataset.task.target
    if labels is None:
        return None
    if isinstance(target, ClassTarget):
        rows, counts = np.unique(labels, axis=0, return_counts=True)
        answer = rows[counts.argmax()]
    else:
        answer = np.median(labels, axis=0)
    return lambda split: np.tile(answer.astype(np.float32), (len(split), 1))


def _linear(dataset: Dataset) -> Answer | None:
    """A linear model, where examples are rows of a table, or texts; of several penalties the best on validation."""
    labels, features = _table(dataset.train), _features(dataset)
    if labels is None or features is None:
        return None
    table, target = features(dataset.train), dataset.task.target
    if _reads_words(dataset) and isinstance(target, ClassTarget):
        made = (_logistic(features, table, dataset.train, inverse_penalty=one) for one in _INVERSE_PENALTIES)
    else:
        made = (_ridge(features, table, labels, penalty=penalty) for penalty in _RIDGES)
    best, top = None, 0.0
    for one in made:
        score = _score(one, dataset.validation).value
        if best is None or target.drop(top, score) > 0:
            best, top = one, score
    return best


def _table(split: Split) -> np.ndarray | None:
    """Labels as numbers ``(examples, outputs)``; ``None`` of a target that has several outputs or none, or of many."""
    target = split.task.target
    if isinstance(split.labels, Mapping) or not target.outputs or len(split) * target.outputs > LABELS:
        return None
    if isinstance(target, ClassTarget):
        return target.having(split.labels).astype(np.float64)
    if target.label_dtype != "float32":  # numbers of symbols are no amounts
        return None
    labels = np.asarray(split.labels, np.float64).reshape(len(split), -1)
    return labels if labels.shape[1] == target.outputs else None


def _features(dataset: Dataset) -> Callable[[Split], Any] | None:
    """What a linear model sees: columns in standard deviations, or the words of a text; ``None`` of anything else."""
    train, kind = dataset.train, dataset.task.inputs
    if isinstance(train.inputs, Mapping) or len(kind.shape) != 1:
        return None
    if isinstance(kind, Text):
        ids = _words(train, kind)
        if 2 * np.count_nonzero(ids) * dataset.task.target.outputs > ENTRIES:
            return None
        weights = word_counts.TfIdf.of(ids, size=len(kind.vocabulary))
        return lambda split: weights(_words(split, kind))
    if kind.shape[0] > COLUMNS or kind.dtype == "int32":
        return None
    rows = _read(train).astype(np.float64)
    there = np.isfinite(rows)
    count, rows = np.maximum(there.sum(0), 1), np.where(there, rows, 0.0)
    mean = rows.sum(0) / count
    spread = np.sqrt((np.where(there, rows - mean, 0.0) ** 2).sum(0) / count)
    scale = np.where(spread > 0, spread, 1.0)

    def columns(split: Split) -> np.ndarray:
        values = (_read(split).astype(np.float64) - mean) / scale
        return np.where(np.isfinite(values), values, 0.0)  # what is missing is as it is on the mean

    return columns


def _read(split: Split) -> np.ndarray:
    """The examples of the one input; what is lazy is read here."""
    inputs: Any = split.inputs
    return np.asarray(inputs[:])


def _words(split: Split, kind: Text) -> np.ndarray:
    """The ids of texts with `word_counts`' padding: what else is 0 comes around every text and says nothing."""
    ids = _read(split)
    return np.where(ids == kind.padding, word_counts.PADDING, ids)


def _reads_words(dataset: Dataset) -> bool:
    """Whether its examples are texts, as ids of a vocabulary."""
    return not isinstance(dataset.train.inputs, Mapping) and isinstance(dataset.task.inputs, Text)


def _logistic(features: Callable[[Split], Any], table: Any, train: Split, *, inverse_penalty: float) -> Answer:
    target = train.task.target
    model = word_counts.Logistic.of(table, np.asarray(train.labels), target, inverse_penalty=inverse_penalty)
    return lambda split: model(features(split))


def _ridge(features: Callable[[Split], Any], table: Any, labels: np.ndarray, *, penalty: float) -> Answer:
    """The weights with the least squared error, and squares that are penalized; the mean of the labels is free.

    Columns are of the size of one, and so is what an example adds to the error: their penalty grows with the examples.
    Rows of words are of length one.
    """
    mean = labels.mean(0)
    if sparse.issparse(table):
        options = {"damp": np.sqrt(10 * penalty), "maxiter": 50}
        weights = np.stack([linalg.lsmr(table, one, **options)[0] for one in (labels - mean).T], 1)
    else:
        gram = table.T @ table + penalty * len(table) * np.eye(table.shape[1])
        weights = np.linalg.solve(gram, table.T @ (labels - mean))
    return lambda split: np.asarray(features(split) @ weights + mean, np.float32)
