"""One class an example: losses and scores against NumPy and counts by hand, every guard against what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from kerastl import tasks
from kerastl.distil import losses
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks import single_label
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Target, Task

TARGET = SingleLabel(("a", "b", "c", "d"))
GENERATOR = np.random.default_rng(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


LOGITS = GENERATOR.normal(0, 3, (200, 4)).astype(np.float32)
ANSWERS = softmax(LOGITS)
LABELS = np.where(GENERATOR.random(200) < 0.7, LOGITS.argmax(-1), GENERATOR.integers(0, 4, 200)).astype(np.int32)


def test_it_is_a_target_and_names_are_lines():
    assert isinstance(TARGET, Target)
    assert (TARGET.outputs, TARGET.metric, TARGET.higher_is_better) == (4, "accuracy", True)
    assert SingleLabel(["a", "b"]) == SingleLabel(("a", "b"))
    with pytest.raises(ValueError, match="one line of text each, no two the same"):
        SingleLabel(("a", "a"))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0.0, 1.0]), r"integers\. Received: float64 in here"),
        (np.array([[0], [1]]), r"4 classes are \(examples,\)\. Received: shape \(2, 1\) in here"),
        (np.array([0, 1, 2]), r"shape \(3,\) in here"),
        (np.array([0, 4]), r"0\.\.3\. Received: 4 in here, row 1 \(1 such labels\)"),
        (np.array([-1, -2]), r"Received: -1 in here, row 0 \(2 such labels\)"),
    ],
)
def test_labels_that_are_none_are_refused_with_their_row(labels, words):
    TARGET.check(np.array([0, 3], np.uint8), where="here", rows=2)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="here", rows=2)


def test_a_split_has_every_class():
    TARGET.check_split(np.arange(4), where="train")
    with pytest.raises(ValueError, match=r"none of 'c', 'd' in train \(3 examples\)"):
        TARGET.check_split(np.array([0, 1, 1]), where="train")
    np.testing.assert_array_equal(TARGET.strata(LABELS), LABELS)


def test_loss_and_training_metric_are_the_written_down_ones():
    entropies = np.log(np.exp(LOGITS.astype(np.float64)).sum(-1)) - LOGITS[np.arange(200), LABELS]
    assert float(TARGET.loss()(LABELS, LOGITS)) == pytest.approx(entropies.mean(), rel=1e-5)
    metric = TARGET.training_metric()
    metric.update_state(LABELS, LOGITS)
    assert metric.name == "accuracy"
    assert float(metric.result()) == pytest.approx(np.mean(LOGITS.argmax(-1) == LABELS))


def test_class_weights_are_the_written_down_rule():
    """scikit-learn's documentation: ``n_samples / (n_classes * np.bincount(y))``."""
    labels = np.array([0] * 6 + [1] * 3 + [2], np.int32)
    weights = SingleLabel(("a", "b", "c")).class_weights(labels)
    assert weights == {0: 10 / 18, 1: 10 / 9, 2: 10 / 3}
    assert sum(weights[label] for label in labels.tolist()) == pytest.approx(10)
    assert SingleLabel(("a", "b")).class_weights(np.array([1, 0])) == {0: 1.0, 1: 1.0}
    for wrong, words in ((labels, "examples of all 4"), (labels[:0], "examples of all 4"), (labels + 2, r"0\.\.3")):
        with pytest.raises(ValueError, match=words):
            TARGET.class_weights(wrong)


def test_a_weighted_loss_leaves_the_weights_to_keras():
    weights = {0: 1.0, 1: 2.0, 2: 0.5, 3: 4.0}
    loss, left = TARGET.weighted_loss(weights)
    assert left == weights
    assert float(loss(LABELS, LOGITS)) == pytest.approx(float(TARGET.loss()(LABELS, LOGITS)))
    with pytest.raises(ValueError, match="positive, finite weight for each class"):
        TARGET.weighted_loss({0: 1.0})


def test_an_exported_file_answers_the_softmax():
    np.testing.assert_allclose(TARGET.served(tf.constant(LOGITS)), ANSWERS, atol=1e-6)
    assert (TARGET.served_activation(), TARGET.output_name) == ("softmax", "probabilities")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_distillation_is_the_divergence_of_the_losses(temperature):
    teacher, student = (tf.constant(GENERATOR.normal(0, 3, (50, 4)).astype(np.float32)) for _ in range(2))
    found = TARGET.distillation(teacher, student, temperature=temperature)
    wanted = losses.kl_divergence(teacher, student, temperature=temperature)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    p, q = (softmax(one.numpy() / temperature) for one in (teacher, student))
    np.testing.assert_allclose(found, temperature**2 * (p * np.log(p / q)).sum(-1), rtol=1e-5, atol=1e-6)


def test_the_score_is_the_share_answered_right_with_its_wilson_interval():
    right, count, z = int(np.sum(ANSWERS.argmax(-1) == LABELS)), 200, 1.959963984540054
    share = right / count
    centre, half = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low, high = ((centre + sign * half) / (1 + z * z / count) for sign in (-1, 1))
    found = TARGET.score(ANSWERS, LABELS)
    assert (found.value, found.count) == (share, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    perfect = TARGET.score(np.eye(4)[LABELS], LABELS)
    assert perfect.value == 1.0 > TARGET.score(np.eye(4)[np.roll(LABELS, 1)], LABELS).value
    assert TARGET.drop(0.8, 0.9) == pytest.approx(0.1)


def test_labels_in_a_column_are_refused():
    """Each would be compared with the answers to all examples."""
    with pytest.raises(ValueError, match=r"Wanted labels .* Received: \(4, 1\)"):
        TARGET.score(np.eye(4), np.arange(4)[:, None])
    with pytest.raises(ValueError, match="one label a row"):
        TARGET.score(np.zeros((0, 4)), np.zeros(0))


def test_answers_agree_with_themselves_and_differ_by_the_largest_probability():
    assert TARGET.agree(ANSWERS, ANSWERS).all()
    assert TARGET.agree(ANSWERS, ANSWERS).shape == (200,)
    other = ANSWERS[::-1]
    np.testing.assert_array_equal(TARGET.agree(ANSWERS, other), ANSWERS.argmax(1) == other.argmax(1))
    wanted = [max(abs(p - q) for p, q in zip(*rows, strict=True)) for rows in zip(ANSWERS, other, strict=True)]
    np.testing.assert_allclose(TARGET.difference(ANSWERS, other), wanted)
    assert TARGET.difference(ANSWERS, ANSWERS).max() == 0


def test_details_against_a_count_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 3])
    answers = np.eye(4)[[0, 0, 0, 2, 1, 0, 3]]
    found = TARGET.details(answers, labels)
    assert [(row["name"], row["examples"], row["recall"]) for row in found["by_class"]] == [
        ("a", 4, 0.75),
        ("b", 2, 0.5),
        ("c", 0, None),
        ("d", 1, 1.0),
    ]
    # of a 3 of 4 are found, and one that is of b is called a; of c one is named, and there is none
    assert [(row["precision"], row["f1"]) for row in found["by_class"]] == [
        (0.75, 0.75),
        (1.0, pytest.approx(2 / 3)),
        (0.0, 0.0),
        (1.0, 1.0),
    ]
    assert found["macro_f1"] == pytest.approx((0.75 + 2 / 3 + 1) / 3)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["majority_baseline"] == pytest.approx(4 / 7)
    assert TARGET.summary(found) == (
        "balanced accuracy 75.00 %; worst class b 50.00 %; always answering the most frequent class: 57.14 %"
    )
    table, averages = found["tables"]
    assert [row[0] for row in table["rows"]] == ["b", "a", "d", "c"], "the least F1 first, without examples last"
    assert [row[0].partition(":")[0] for row in averages["rows"]] == ["macro", "weighted"]
    (matrix,) = found["confusions"]
    assert matrix["cells"] == [[0, 2, 1], [1, 0, 1], [0, 0, 3], [1, 1, 1], [3, 3, 1]]
    (thresholds,) = found["thresholds"]
    assert (thresholds["answered"][0], thresholds["right"][0]) == (7, 5)
    assert [chart["title"] for chart in found["charts"]] == ["ROC curves", "Precision-recall curves"]
    with pytest.raises(ValueError, match="Wanted answers of shape"):
        SingleLabel(("a", "b")).details(answers, labels)


@pytest.mark.parametrize(
    "broken",
    [
        LOGITS,
        ANSWERS * 0.9,
        np.where(np.arange(200)[:, None] == 7, np.nan, ANSWERS),
        np.full_like(ANSWERS, np.nan),
        ANSWERS + np.array([0.5, -0.5, 0, 0]),
    ],
    ids=["logits", "sums of 0.9", "one NaN", "NaN", "negative"],
)
def test_answers_that_are_no_probabilities_are_refused(broken):
    assert TARGET.refuse(ANSWERS, integer=False) is None
    for integer in (False, True):
        found = TARGET.refuse(broken, integer=integer)
        assert found is not None
        assert found[:2] == ("probabilities", "rows >= 0 that sum to 1")


def test_eight_bits_may_be_off_by_half_a_step_each():
    row = np.array([[0.983, 0, 0, 0]])
    assert TARGET.refuse(row, integer=True) is None
    assert TARGET.refuse(row, integer=False) is not None
    assert TARGET.refuse(row - [[0.002, 0, 0, 0]], integer=True) is not None


def test_a_file_at_chance_or_without_a_class_has_lost_its_model():
    assert TARGET.lost(ANSWERS, ANSWERS, LABELS) is None
    check, wanted, measured = TARGET.lost(np.eye(4)[(LABELS + 1) % 4], ANSWERS, LABELS)
    assert (check, wanted, measured) == ("score above chance", "> 0.2500", 0.0)
    without = ANSWERS.copy()
    without[:, 2] = 0
    check, _, gone = TARGET.lost(without, ANSWERS, LABELS)
    assert check == "predictions of every class"
    assert f"'c': {int((ANSWERS.argmax(1) == 2).sum())}" in gone
    # a model at chance itself has nothing to lose by it
    hopeless = np.eye(4)[(LABELS + 1) % 4]
    assert TARGET.lost(hopeless, hopeless, LABELS) is None


def test_the_surest_mistake_comes_first():
    answers = np.array([[0.7, 0.3, 0, 0], [0.1, 0.9, 0, 0], [0.4, 0.6, 0, 0]])
    np.testing.assert_allclose(TARGET.confidence(answers, np.array([0, 0, 0])), [0.0, 0.9, 0.6])


def test_what_is_said_of_one_answer():
    found = TARGET.said(np.array([0.1, 0.6, 0.25, 0.05], np.float32))
    assert (found["label"], found["probability"]) == ("b", pytest.approx(0.6))
    assert found["probabilities"] == pytest.approx({"a": 0.1, "b": 0.6, "c": 0.25, "d": 0.05})
    assert found["words"] == "b 60.0% (then c 25.0%, a 10.0%)"
    assert TARGET.label_words(np.int32(2)) == "c"


def test_its_description_is_read_again():
    described = TARGET.described()
    assert described["labels"] == ["a", "b", "c", "d"]
    assert tasks.restored(described) == TARGET


def test_examples_of_one_class_are_required_in_their_own_words():
    single_label.require(Task("toy", Image((4, 4, 1)), SingleLabel(("a", "b"))), where="here")
    for kind, words in ((Image((4, 4, 1)), "pictures"), (Numbers((2,)), "examples")):
        task = Task("toy", kind, MultiLabel(("a", "b")))
        said = rf"Wanted {words} of one class each\. Received: {words} .* in here, .*\. Do that\.$"
        with pytest.raises(ValueError, match=said):
            single_label.require(task, where="here", instead="Do that.")
