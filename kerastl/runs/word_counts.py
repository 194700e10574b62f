"""A linear model of a text's words, which needs no network: TF-IDF with logistic regression.

It reads the token ids that the model reads, and of them which there are and which stand side by side. On short texts it
is what a neural classifier is most often asked to beat.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
from scipy import sparse

from kerastl.types import Target

PADDING = 0


@dataclasses.dataclass(frozen=True, eq=False)
class TfIdf:
    """Weights of words and of pairs of neighbours: term frequency, inverse document frequency (Sparck Jones 1972).

    A word that stands n times counts 1 + ln n; rows have a length of one.

    Attributes:
        size: of the vocabulary.
        pairs: those that the training texts have, as ``first * size + second``, ascending.
        rarity: of each column, float64 ``(size + pairs,)``: ``ln((1 + texts) / (1 + texts with it)) + 1``.
    """

    size: int
    pairs: np.ndarray
    rarity: np.ndarray

    @classmethod
    def of(cls, ids: np.ndarray, *, size: int) -> TfIdf:
        """The weights for training texts.

        Args:
            ids: int32 ``(texts, length)``, 0 is padding.
            size: of the vocabulary.
        """
        found = cls(size, np.unique(_pairs(ids, size=size)[1]), np.empty(0))
        texts_with = np.asarray((found._counts(ids) > 0).sum(0)).ravel()
        return dataclasses.replace(found, rarity=np.log((1 + len(ids)) / (1 + texts_with)) + 1)

    def __call__(self, ids: np.ndarray) -> Any:
        """The features of texts, sparse ``(texts, size + pairs)``; a pair that no training text has counts nothing."""
        table = self._counts(ids)
        table.data = 1 + np.log(table.data)
        table = table.multiply(self.rarity).tocsr()
        lengths = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
        return sparse.diags(1 / np.where(lengths > 0, lengths, 1.0)) @ table

    def _counts(self, ids: np.ndarray) -> Any:
        rows, places = np.nonzero(ids != PADDING)
        words = _sparse(rows, ids[rows, places], shape=(len(ids), self.size))
        rows, pairs = _pairs(ids, size=self.size)
        places = np.searchsorted(self.pairs, pairs)
        known = places < len(self.pairs)
        known[known] = self.pairs[places[known]] == pairs[known]
        beside = _sparse(rows[known], places[known], shape=(len(ids), len(self.pairs)))
        return sparse.hstack([words, beside], format="csr")


@dataclasses.dataclass(frozen=True, eq=False)
class Logistic:
    """Logistic regression on rows of features; of classes that exclude one another multinomial, else one for each.

    Attributes:
        models: scikit-learn's, one for all classes or one for each; a number stands for a class that every training
            text has, or none.
        outputs: classes.
    """

    models: tuple[Any, ...]
    outputs: int

    @classmethod
    def of(cls, table: Any, labels: np.ndarray, target: Target, *, inverse_penalty: float) -> Logistic:
        """Fits it.

        Args:
            table: features ``(texts, columns)``.
            labels: as the target says.
            target: whose classes they are.
            inverse_penalty: scikit-learn's ``C``.
        """
        if np.ndim(labels) == 1:
            return cls((_fitted(table, np.asarray(labels), inverse_penalty),), target.outputs)
        columns = np.asarray(labels).T != 0
        return cls(tuple(_fitted(table, column, inverse_penalty) for column in columns), target.outputs)

    def __call__(self, table: Any) -> np.ndarray:
        """Probabilities, float32 ``(texts, outputs)``; 0 of a class that no training text has."""
        found = np.zeros((table.shape[0], self.outputs), np.float32)
        if len(self.models) == self.outputs:
            for column, model in enumerate(self.models):
                found[:, column] = model if isinstance(model, float) else model.predict_proba(table)[:, 1]
        elif isinstance(self.models[0], float):
            found[:, int(self.models[0])] = 1
        else:
            found[:, self.models[0].classes_] = self.models[0].predict_proba(table)
        return found


def _fitted(table: Any, labels: np.ndarray, inverse_penalty: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) == 1:
        return float(labels[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a baseline
        return LogisticRegression(C=inverse_penalty, max_iter=200).fit(table, labels)


def _pairs(ids: np.ndarray, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and numbers, int64, of all tokens that stand side by side."""
    rows, places = np.nonzero((ids[:, :-1] != PADDING) & (ids[:, 1:] != PADDING))
    return rows, ids[rows, places].astype(np.int64) * size + ids[rows, places + 1]


def _sparse(rows: np.ndarray, columns: np.ndarray, *, shape: tuple[int, int]) -> Any:
    """How often each column stands in each row."""
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
