"""TF-IDF and logistic regression on token ids against scikit-learn's own on the words themselves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from kerastl.runs import word_counts
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel

SIZE = 30


def texts(count: int, *, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    ids = random.integers(1, SIZE, (count, 9)).astype(np.int32)
    lengths = random.integers(2, 10, count)
    return np.where(np.arange(9) < lengths[:, None], ids, 0)


def as_words(ids: np.ndarray) -> list[str]:
    return [" ".join(f"w{number:02d}" for number in row if number) for row in ids]


def test_the_weights_are_those_of_scikit_learn():
    train, test = texts(60, seed=0), texts(20, seed=1)
    weights = word_counts.TfIdf.of(train, size=SIZE)
    theirs = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(as_words(train))
    assert sum(" " not in name for name in theirs.vocabulary_) == SIZE - 1, "every word is in train"
    columns = {}
    for name, column in theirs.vocabulary_.items():
        numbers = [int(word[1:]) for word in name.split()]
        pair = numbers[0] * SIZE + numbers[-1]
        columns[column] = numbers[0] if len(numbers) == 1 else SIZE + int(np.flatnonzero(weights.pairs == pair)[0])
    assert len(weights.pairs) == sum(" " in name for name in theirs.vocabulary_)
    for ids in (train, test):
        ours = weights(ids).toarray()
        expected = np.zeros_like(ours)
        expected[:, [columns[column] for column in range(len(columns))]] = theirs.transform(as_words(ids)).toarray()
        np.testing.assert_allclose(ours, expected, atol=1e-12)  # pairs that train does not have count nothing


def test_texts_of_no_word_are_rows_of_nothing():
    weights = word_counts.TfIdf.of(texts(30, seed=0), size=SIZE)
    table = weights(np.zeros((2, 9), np.int32))
    assert table.shape == (2, SIZE + len(weights.pairs))
    assert table.nnz == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_that_exclude_one_another(classes):
    train, target = texts(80, seed=2), SingleLabel(("a", "b", "c", "d")[: classes + 1])
    labels = (train[:, 0] % classes).astype(np.int32)  # of the last class there is no text
    table = word_counts.TfIdf.of(train, size=SIZE)(train)
    found = word_counts.Logistic.of(table, labels, target, inverse_penalty=10.0)(table)
    expected = LogisticRegression(C=10.0, max_iter=200).fit(table, labels).predict_proba(table)
    np.testing.assert_allclose(found[:, :classes], expected, rtol=1e-6)
    assert not found[:, classes].any()


def test_a_text_of_several_classes_is_asked_for_each():
    train, target = texts(80, seed=3), MultiLabel(("odd", "large", "never", "always"))
    labels = np.stack([train[:, 0] % 2, train[:, 1] > 15, np.zeros(80), np.ones(80)], 1).astype(np.uint8)
    table = word_counts.TfIdf.of(train, size=SIZE)(train)
    found = word_counts.Logistic.of(table, labels, target, inverse_penalty=1.0)(table)
    assert found[:, 2:].tolist() == [[0.0, 1.0]] * 80
    for column in range(2):
        expected = LogisticRegression(C=1.0, max_iter=200).fit(table, labels[:, column]).predict_proba(table)[:, 1]
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6)


def test_one_class_alone_is_always_answered():
    target = SingleLabel(("a", "b"))
    table = word_counts.TfIdf.of(texts(9, seed=0), size=SIZE)(texts(9, seed=0))
    found = word_counts.Logistic.of(table, np.ones(9, np.int32), target, inverse_penalty=1.0)(table)
    assert found.tolist() == [[0.0, 1.0]] * 9
