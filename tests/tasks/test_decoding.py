"""Reading of frames against the sum over every alignment, written out; changes against Levenshtein's definition."""

import numpy as np
import pytest
from toy_alignments import probabilities_of_sequences, said_by

from kerastl.tasks import decoding
from kerastl.tasks.decoding import PADDING

RANDOM = np.random.default_rng(0)


def test_greedy_reading_is_the_best_path():
    answers = RANDOM.normal(size=(500, 9, 4))
    for row, frames in zip(decoding.greedy(answers), answers, strict=True):
        sequence = said_by(frames.argmax(-1))
        assert row.tolist() == [*sequence, *[PADDING] * (9 - len(sequence))]


def test_a_wide_beam_is_exact_and_a_narrow_one_finds_more_than_greedy():
    better = worse = 0
    for frames in np.exp(RANDOM.normal(size=(40, 5, 3))):
        frames /= frames.sum(-1, keepdims=True)
        exact = probabilities_of_sequences(frames)
        found = decoding.beam_search(frames, width=1000)
        assert {prefix: pytest.approx(np.exp(log)) for prefix, log in found} == exact
        best, _ = decoding.beam_search(frames, width=4)[0]
        greedy = tuple(one for one in decoding.greedy(frames[None])[0].tolist() if one != PADDING)
        better += exact[best] > exact[greedy]
        worse += exact[best] < exact[greedy]
    assert better > 5 * worse, (better, worse)
    assert better > 5
    with pytest.raises(ValueError, match="width=0"):
        decoding.beam_search(np.ones((2, 3)) / 3, width=0)


def distance(one, other):
    """Levenshtein's distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[-1] == other[-1]:
        return distance(one[:-1], other[:-1])
    return 1 + min(distance(one[:-1], other), distance(one, other[:-1]), distance(one[:-1], other[:-1]))


def test_edits_are_the_fewest_and_lead_from_one_to_the_other():
    for _ in range(200):
        wanted, given = ("".join(RANDOM.choice(list("abc"), RANDOM.integers(0, 6))) for _ in range(2))
        changes = list(decoding.edits(wanted, given))
        assert len(changes) == distance(wanted, given)
        put_in = sum(old is None for old, _ in changes)
        left_out = sum(new is None for _, new in changes)
        assert len(wanted) + put_in - left_out == len(given)
        assert all(old != new for old, new in changes)
