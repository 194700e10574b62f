from __future__ import annotations

import pytest

from kerastl.data import movie_reviews
from kerastl.inputs import wordpiece


@pytest.fixture(scope="module")
def reviews():
    try:
        movie_reviews.fetch()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return movie_reviews.load(sequence_length=32, vocabulary=None, vocabulary_size=2000, limit=400)


def test_the_reviews_read_like_reviews(reviews):
    assert reviews.task.target.names == ("negative", "positive")
    assert (len(reviews.train), len(reviews.validation), len(reviews.test)) == (400, 50, 50)
    texts = [wordpiece.decode(row, reviews.task.inputs.vocabulary) for row in reviews.train.inputs.tolist()]
    assert sum("movie" in text or "film" in text for text in texts) > 100
    bad = [label for text, label in zip(texts, reviews.train.labels.tolist(), strict=True) if " worst " in text]
    assert bad.count(0) > bad.count(1)


def test_the_vocabulary_moves_no_review(reviews):
    again = movie_reviews.load(sequence_length=64, vocabulary="bert", limit=400)
    assert again.origin == reviews.origin != ""
    for one, other in (
        (reviews.train, again.train),
        (reviews.validation, again.validation),
        (reviews.test, again.test),
    ):
        assert one.labels.tolist() == other.labels.tolist()
        mine = [wordpiece.decode(row, reviews.task.inputs.vocabulary).split() for row in one.inputs.tolist()]
        its = [wordpiece.decode(row, again.task.inputs.vocabulary).split() for row in other.inputs.tolist()]
        # the first words of each, as far as both vocabularies spell them
        pairs = [zip(left[:10], right[:10], strict=False) for left, right in zip(mine, its, strict=True)]
        shared = [sum(a == b for a, b in pair) for pair in pairs]
        assert min(len(row) for row in its) > 3
        assert sum(shared) > 7 * len(shared)


@pytest.mark.slow
def test_all_of_them(reviews):
    whole = movie_reviews.load(sequence_length=16, vocabulary=None)
    assert (len(whole.train), len(whole.validation), len(whole.test)) == (19_924, 2_490, 2_490)
    more = movie_reviews.load(sequence_length=16, vocabulary=None, rotten_tomatoes=True)
    assert len(more.train) > 26_000
