"""Selective classification against numbers that were counted by hand, and against a model whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.tasks import reject_option, single_label
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel

SURE = np.array([0.95, 0.9, 0.85, 0.8, 0.8, 0.7, 0.65, 0.6, 0.55, 0.51])
RIGHT = np.array([1, 1, 0, 1, 1, 1, 0, 1, 0, 0], bool)
ANSWERS = np.stack([SURE, 1 - SURE], 1)
LABELS = np.where(RIGHT, 0, 1)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("wanted", "answered", "right"),
    [
        ({"precision": 1.0}, 2, 2),
        ({"precision": 0.9}, 2, 2),
        ({"precision": 0.83}, 6, 5),  # 5 of 6 are 0.833
        ({"precision": 0.75}, 8, 6),
        ({"precision": 0.5}, 10, 6),
        ({"coverage": 0.1}, 1, 1),
        ({"coverage": 0.4}, 5, 4),  # two are equally sure
        ({"coverage": 1.0}, 10, 6),
    ],
)
def test_as_many_are_answered_as_the_precision_allows(wanted, answered, right):
    option = reject_option.fit(ANSWERS, LABELS, **wanted)
    given = option.accepts(ANSWERS)
    assert (given.sum(), (given & RIGHT).sum()) == (answered, right)
    assert given[:answered].all(), "the surest ones"
    found = option.measured(ANSWERS, LABELS)
    assert (found["examples"], found["coverage"]) == (10, answered / 10)
    assert found["precision"] == right / answered
    assert found["precision_low"] < found["precision"] <= found["precision_high"]


def test_a_precision_that_is_never_reached_answers_the_best_there_is():
    option = reject_option.fit(ANSWERS[2:], LABELS[2:], precision=0.99)
    given = option.accepts(ANSWERS[2:])
    assert (given.sum(), (given & RIGHT[2:]).sum()) == (4, 3)  # the first is wrong; 3 of 4 are the highest share


def test_the_temperature_is_that_of_a_model_that_is_too_sure():
    """Labels are drawn from a softmax of logits; a model that says three times these has a temperature of 3."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 5))
    truth = softmax(logits)
    labels = (truth.cumsum(1) > generator.random((20_000, 1))).argmax(1)
    for factor in (0.5, 1.0, 3.0):
        answers = softmax(factor * logits)
        option = reject_option.fit(answers, labels, coverage=1.0)
        assert option.temperature == pytest.approx(factor, rel=0.05)
        np.testing.assert_allclose(option.calibrated(answers), truth, atol=0.02)
    answers = softmax(3 * logits[:10_000])
    option = reject_option.fit(answers, labels[:10_000], precision=0.9)
    found = option.measured(softmax(3 * logits[10_000:]), labels[10_000:])
    assert found["precision"] == pytest.approx(0.9, abs=0.01), "on others, too"
    assert 0.2 < found["coverage"] < 0.9


def test_files_of_eight_bits_answer_exact_zeros():
    answers = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    option = reject_option.fit(answers, np.array([0, 1, 1, 1]), coverage=0.5)
    assert np.isfinite(option.calibrated(answers)).all()
    np.testing.assert_allclose(option.calibrated(answers).sum(1), 1)


def test_where_all_are_right_the_surest_are_still_told_apart():
    option = reject_option.fit(ANSWERS, np.zeros(10, int), coverage=0.3)
    assert option.accepts(ANSWERS).tolist() == [True] * 3 + [False] * 7


def test_what_cannot_be_fitted_is_refused():
    for wanted in ({}, {"precision": 0.9, "coverage": 0.9}, {"precision": 0.0}, {"coverage": 1.2}):
        with pytest.raises(ValueError, match="for a precision or a coverage"):
            reject_option.fit(ANSWERS, LABELS, **wanted)
    for numbers in ((0.0, 0.5), (float("nan"), 0.5), (1.0, 1.5), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="positive temperature and thresholds"):
            reject_option.RejectOption(*numbers)


def test_a_class_is_named_only_where_it_is_sure():
    target = SingleLabel(("cat", "dog"), reject_option.RejectOption(2.0, 0.7))
    sure, unsure = (target.said(np.array(answer)) for answer in ([0.96, 0.04], [0.8, 0.2]))
    # 0.96 and 0.04 to the power of a half are 0.9798 and 0.2; 0.8 and 0.2 are 0.8944 and 0.4472
    assert (sure["label"], sure["probability"]) == ("cat", pytest.approx(0.8305, abs=1e-4))
    assert (unsure["label"], unsure["probability"]) == (None, pytest.approx(2 / 3, abs=1e-4))
    assert unsure["words"] == "none of these; the likeliest is cat 66.7% (then dog 33.3%)"
    assert single_label.restored(target.described()) == target
    assert SingleLabel(("cat", "dog")).described() == {"labels": ["cat", "dog"]}
    with pytest.raises(ValueError, match="positive temperature"):
        single_label.restored({"labels": ["a", "b"], "reject": {"temperature": -1, "threshold": 0.5}})


def test_only_one_class_an_example_is_rejected():
    wanted = {"precision": 0.9, "coverage": None}
    one, several = SingleLabel(("a", "b")), MultiLabel(("a", "b"))
    assert single_label.with_reject_option(one, ANSWERS, LABELS, **wanted).reject is not None
    assert single_label.with_reject_option(one, ANSWERS, LABELS, precision=None, coverage=None) is one
    assert single_label.with_reject_option(several, ANSWERS, LABELS, **wanted) is several


def test_examples_of_no_class_are_wrong_answers_where_they_are_given():
    """Three of them, at 0.92, 0.82 and 0.52, stand between the ten."""
    passed = np.array([0.92, 0.82, 0.52])
    others = np.stack([passed, 1 - passed], 1)
    plain = reject_option.fit(ANSWERS, LABELS, precision=0.83)
    option = reject_option.fit(ANSWERS, LABELS, precision=0.6, others=others)
    order = np.argsort(-np.concatenate([SURE, passed]), kind="stable")
    right = np.concatenate([RIGHT, np.zeros(3, bool)])[order]
    shares = right.cumsum() / np.arange(1, 14)
    most = np.flatnonzero(shares >= 0.6)[-1] + 1
    assert option.accepts(ANSWERS).sum() + option.accepts(others).sum() == most
    assert option.temperature == plain.temperature, "nothing of what is no class is in the temperature"
    pairs = (SURE[:, None] > passed).mean()
    assert option.auroc == pytest.approx(pairs)
    assert plain.auroc is None


def test_examples_of_no_class_alone_ask_for_the_coverage_of_the_field():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (2000, 4))
    answers, others = softmax(logits), softmax(generator.normal(0, 0.5, (500, 4)))
    option = reject_option.fit(answers, answers.argmax(-1), others=others)
    assert option.accepts(answers).mean() == pytest.approx(0.95, abs=1e-3)
    found = option.measured_on_others(others, answers)
    score = 1 - option.calibrated(others).max(-1)
    np.testing.assert_allclose(option.out_of_distribution(others), score)
    own = 1 - option.calibrated(answers).max(-1)
    assert found["auroc"] == pytest.approx((score[:, None] > own).mean() + 0.5 * (score[:, None] == own).mean())
    assert found["rejected"] == pytest.approx(1 - found["fpr95"], abs=0.01)
    assert found["rejected_low"] < found["rejected"] < found["rejected_high"]


def test_a_rare_class_has_a_threshold_of_its_own():
    """A hundred answers of the first class, all right, and twenty of the second, of which the less sure are wrong."""
    first = np.linspace(0.7, 0.99, 100)
    second = np.linspace(0.6, 0.98, 20)
    answers = np.concatenate([np.stack([first, 1 - first], 1), np.stack([1 - second, second], 1)])
    labels = np.concatenate([np.zeros(100, int), np.where(second > 0.85, 1, 0)])
    together = reject_option.fit(answers, labels, precision=0.9)
    alone = reject_option.fit(answers, labels, precision=0.9, by_class=True)
    rare = answers[100:]
    assert (labels[100:][together.accepts(rare)] == 1).mean() < 0.9
    assert (labels[100:][alone.accepts(rare)] == 1).mean() >= 0.9
    assert alone.accepts(answers[:100]).all()
    assert alone.class_thresholds[1] > alone.threshold == together.threshold
    few = np.concatenate([np.arange(100), [100, 119]])
    option = reject_option.fit(answers[few], labels[few], precision=0.9, by_class=True)
    assert option.class_thresholds[1] == option.threshold, "two answers of a class say nothing"
    target = single_label.restored({"labels": ["a", "b"], "reject": alone.described()})
    assert target is not None
    assert target.reject == alone
    said = target.said(rare[0])
    assert (said["label"], said["words"].split(";")[0]) == (None, reject_option.NONE)
    assert said["out_of_distribution"] == pytest.approx(1 - said["probability"], abs=1e-6)


@pytest.mark.parametrize(
    "described",
    [
        {"temperature": 1.0},
        {"temperature": "x", "threshold": 0.5},
        {"temperature": 1.0, "threshold": 0.5, "class_thresholds": 3},
        {"temperature": 1.0, "threshold": 0.5, "class_thresholds": [0.5, 2.0]},
        {"temperature": 1.0, "threshold": 0.5, "class_thresholds": [0.5] * 3},
        {"temperature": 1.0, "threshold": 0.5, "auroc": -1},
        [1, 2],
    ],
)
def test_what_a_stranger_says_of_thresholds_is_refused_in_words(described):
    with pytest.raises(ValueError, match=r"Received|could not convert"):
        single_label.restored({"labels": ["a", "b"], "reject": described})


def test_thresholds_by_class_want_a_precision():
    with pytest.raises(ValueError, match="Thresholds by class are fitted for a precision"):
        reject_option.fit(ANSWERS, LABELS, coverage=0.5, by_class=True)
