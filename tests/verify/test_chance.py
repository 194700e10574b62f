"""What so many examples can tell, against SciPy's exact tests."""

import numpy as np
import pytest
from scipy import stats

from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import chance

CLASSES = SingleLabel(("a", "b"))


@pytest.mark.parametrize(("count", "of", "allowed"), [(3, 86, 0.02), (5, 86, 0.02), (240, 10_000, 0.02), (7, 30, 0.1)])
def test_too_many_is_the_exact_binomial_test(count, of, allowed):
    probability = stats.binomtest(count, of, allowed, alternative="greater").pvalue
    assert chance.too_many(count, of=of, allowed=allowed) == (probability < chance.LEVEL)


def test_what_86_pictures_cannot_tell_and_10_000_can():
    assert not chance.too_many(3, of=86, allowed=0.02)
    assert chance.too_many(349, of=10_000, allowed=0.02)  # the same share
    assert not chance.too_many(1, of=30, allowed=0.0)  # one is always allowed
    assert chance.too_many(2, of=30, allowed=0.0)


def answered(wrong):
    """Of a hundred examples the first so many, or those in a list, are wrong."""
    right = np.ones(100, bool)
    right[wrong] = False
    answers = np.where(right[:, None], [[0.9, 0.1]], [[0.2, 0.8]])
    return chance.Answered.of(CLASSES, answers, np.zeros(100, int))


@pytest.mark.parametrize(
    ("ours", "theirs"), [(8, 4), (12, 4), (30, 10), (range(5, 20), range(10)), (range(40, 60), range(8)), (6, 0)]
)
def test_worse_is_the_exact_test_of_mcnemar(ours, theirs):
    one, other = (answered(list(range(w)) if isinstance(w, int) else list(w)) for w in (ours, theirs))
    lost = int(((one.errors > 0) & (other.errors == 0)).sum())
    won = int(((other.errors > 0) & (one.errors == 0)).sum())
    probability = stats.binomtest(lost, lost + won, 0.5, alternative="greater").pvalue
    assert chance.worse(CLASSES, one, other, allowed=0.0) == (lost > won + 1 and probability < chance.LEVEL)


def test_what_is_allowed_is_no_loss_and_one_example_more_neither():
    assert chance.worse(CLASSES, answered(list(range(20))), answered([]), allowed=0.0)
    assert not chance.worse(CLASSES, answered(list(range(20))), answered([]), allowed=0.2)
    assert not chance.worse(CLASSES, answered([0]), answered([]), allowed=0.0)
    assert not chance.worse(CLASSES, answered([]), answered(list(range(20))), allowed=0.0)
    assert chance.worse(CLASSES, answered(list(range(20))), answered([]), allowed=0.1), "ten more than allowed"


def test_numbers_are_compared_example_by_example():
    """The same mean difference is certain where every example has it, and chance where a few have all of it."""
    target = Regression(("x",), (0.0,), (2.0,))
    labels = np.zeros((50, 1), np.float32)
    reference = chance.Answered.of(target, labels + 1.0, labels)
    everywhere = chance.Answered.of(target, labels + 1.1, labels)
    few = labels + 1.0
    few[0] += 5.0
    somewhere = chance.Answered.of(target, few, labels)
    assert everywhere.score == pytest.approx(somewhere.score, rel=1e-5)
    assert chance.worse(target, everywhere, reference, allowed=0.01)
    assert not chance.worse(target, somewhere, reference, allowed=0.01)
    assert not chance.worse(target, everywhere, reference, allowed=0.06)  # of a spread of 2


def of_classes(*, found, lost, won=0, missed=0, others=900):
    """Two classes; of the second some that the model finds and the file loses; of those missed it wins."""
    size = found + missed + others
    having = np.zeros((size, 2), bool)
    having[: found + missed, 1] = having[found + missed :, 0] = True
    expected, given = having.copy(), having.copy()
    expected[found : found + missed] = [True, False]
    given[:lost] = [True, False]
    given[found + won : found + missed] = [True, False]
    return having, given, expected


def test_half_of_a_rare_class_is_lost_beyond_chance():
    assert chance.lost_recall(*of_classes(found=20, lost=10), share=0.25, allowed=0.05) == {1: (10, 20)}


@pytest.mark.parametrize(
    "case",
    [
        {"found": 3, "lost": 1},  # one moved picture of three
        {"found": 2, "lost": 1},
        {"found": 20, "lost": 5},  # a quarter, and no more
        {"found": 40, "lost": 12, "won": 4, "missed": 4},  # in the balance eight of forty
        {"found": 0, "lost": 0, "missed": 5},
    ],
)
def test_what_chance_or_the_balance_explains_is_not_lost(case):
    assert chance.lost_recall(*of_classes(**case), share=0.25, allowed=0.05) == {}


def test_of_many_classes_one_is_unlucky():
    """Three of seven at a tenth: 2.6 % for one class, and the usual thing among a hundred."""
    assert chance.too_many(3, of=7, allowed=0.1)
    assert not chance.too_many(3, of=7, allowed=0.1, tests=100)
