"""None, one or several classes an example: losses and scores against NumPy and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kerastl import tasks
from kerastl.tasks import multi_label
from kerastl.tasks.classes import wilson
from kerastl.tasks.multi_label import MultiLabel
from kerastl.types import Target

TARGET = MultiLabel(("a", "b", "c", "never"))


def drawn_sets(examples: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (generator.random((examples, 4)) < (0.5, 0.2, 0.05, 0.0)).astype(np.uint8)
    return np.round(np.clip(0.6 * labels + generator.normal(0.2, 0.25, labels.shape), 0, 1), 2), labels


ANSWERS, LABELS = drawn_sets()
LOGITS = np.random.default_rng(1).normal(0, 3, (300, 4)).astype(np.float32)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_it_is_a_target_and_names_are_lines():
    assert isinstance(TARGET, Target)
    assert (TARGET.outputs, TARGET.metric, TARGET.higher_is_better) == (4, "exact match", True)
    with pytest.raises(ValueError, match="one line of text each, no two the same"):
        MultiLabel(("a", "a"))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 4)), r"integers\. Received: float64 in here"),
        (np.zeros(2, int), r"\(examples, classes\).*Received: shape \(2,\) in here"),
        (np.zeros((2, 3), int), r"shape \(2, 3\) in here"),
        (np.eye(4, dtype=int)[1:3] * 2, r"0\.\.1\. Received: 2 in here, row 0, column 1 \(2 such labels\)"),
        (np.full((2, 4), -1), r"Received: -1 in here, row 0, column 0 \(8 such labels\)"),
    ],
)
def test_labels_that_are_none_are_refused_with_row_and_column(labels, words):
    TARGET.check(np.eye(4, dtype=np.uint8)[:2], where="here", rows=2)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="here", rows=2)


def test_a_split_has_every_class():
    TARGET.check_split(np.eye(4, dtype=np.uint8), where="train")
    with pytest.raises(ValueError, match=r"none of 'never' in test \(300 examples\)"):
        TARGET.check_split(LABELS, where="test")
    np.testing.assert_array_equal(TARGET.strata(LABELS), LABELS)


def test_loss_and_training_metric_are_the_written_down_ones():
    p = sigmoid(LOGITS)
    entropies = -(LABELS * np.log(p) + (1 - LABELS) * np.log(1 - p))
    assert float(TARGET.loss()(LABELS, LOGITS)) == pytest.approx(entropies.mean(), rel=1e-5)
    metric = TARGET.training_metric()
    metric.update_state(LABELS, LOGITS)
    right = [all((q >= 0.5) == bool(one) for q, one in zip(*row, strict=True)) for row in zip(p, LABELS, strict=True)]
    assert metric.name == "exact_match"
    assert float(metric.result()) == pytest.approx(np.mean(right))


def test_class_weights_are_negatives_over_positives_within_bounds():
    target = MultiLabel(tuple("abcde"))
    labels = np.zeros((40, 5), np.uint8)
    for column, count in enumerate((10, 20, 30, 1, 40)):
        labels[:count, column] = 1
    assert target.class_weights(labels) == pytest.approx({0: 3.0, 1: 1.0, 2: 1 / 3, 3: 10.0, 4: 0.1})
    for wrong, words in (
        (labels * 2, r"0\.\.1"),
        (labels.astype(float), "integers"),
        (labels[..., None], "shape"),
        (labels[:, :4], "shape"),
        (labels * np.uint8([1, 1, 1, 0, 1]), r"all 5 classes and no others\. Received: counts \[10, 20, 30, 0, 40\]"),
    ):
        with pytest.raises(ValueError, match=words):
            target.class_weights(wrong)


def test_a_weighted_loss_knows_the_weights_itself():
    weights = np.array([1.0, 2.0, 0.5, 4.0])
    loss, left = TARGET.weighted_loss({3: 4.0, 0: 1.0, 1: 2.0, 2: 0.5})
    assert left is None
    p = sigmoid(LOGITS)
    wanted = -(weights * LABELS * np.log(p) + (1 - LABELS) * np.log(1 - p))
    assert float(loss(LABELS, LOGITS)) == pytest.approx(wanted.mean(), rel=1e-5)
    with pytest.raises(ValueError, match="positive, finite weight for each class"):
        TARGET.weighted_loss({0: 1.0})


def test_an_exported_file_answers_the_sigmoids():
    np.testing.assert_allclose(TARGET.served(tf.constant(LOGITS)), sigmoid(LOGITS), atol=1e-6)
    assert (TARGET.served_activation(), TARGET.output_name) == ("sigmoid", "probabilities")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_distillation_is_the_divergence_of_each_yes_or_no(temperature):
    teacher, student = (np.random.default_rng(seed).normal(0, 3, (50, 4)).astype(np.float32) for seed in (2, 3))
    found = TARGET.distillation(tf.constant(teacher), tf.constant(student), temperature=temperature)
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    np.testing.assert_allclose(found, temperature**2 * divergence.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(TARGET.distillation(teacher, teacher, temperature=temperature), 0, atol=1e-6)


def test_an_example_is_right_when_all_of_its_classes_are():
    right = [
        all((p >= 0.5) == bool(one) for p, one in zip(*row, strict=True)) for row in zip(ANSWERS, LABELS, strict=True)
    ]
    assert TARGET.score(ANSWERS, LABELS) == wilson(np.array(right))
    assert TARGET.score(ANSWERS, LABELS).value == sum(right) / 300
    assert TARGET.score(LABELS.astype(float), LABELS).value == 1.0
    half = np.array([[0.5, 0.4999, 0, 0]])
    assert TARGET.score(half, np.array([[1, 0, 0, 0]])).value == 1.0
    assert TARGET.drop(0.8, 0.9) == pytest.approx(0.1)
    for labels in (LABELS[:, 0], LABELS[:, :3]):
        with pytest.raises(ValueError, match=r"Wanted labels \(examples, classes\)"):
            TARGET.score(ANSWERS, labels)


def test_answers_agree_with_themselves_and_differ_by_the_largest_probability():
    assert TARGET.agree(ANSWERS, ANSWERS).all()
    other = ANSWERS[::-1]
    np.testing.assert_array_equal(TARGET.agree(ANSWERS, other), ((ANSWERS >= 0.5) == (other >= 0.5)).all(1))
    np.testing.assert_allclose(TARGET.difference(ANSWERS, other), np.abs(ANSWERS - other).max(1))


def test_details_against_a_count_by_hand():
    found = TARGET.details(ANSWERS, LABELS)
    f1s, averages, recalls = [], [], []
    for index, row in enumerate(found["by_class"]):
        having = [bool(label) for label in LABELS[:, index]]
        given = [p >= 0.5 for p in ANSWERS[:, index]]
        hits = sum(a and b for a, b in zip(having, given, strict=True))
        assert (row["name"], row["examples"]) == (TARGET.names[index], sum(having))
        assert row["precision"] == pytest.approx(hits / sum(given))
        if row["name"] == "never":
            assert row["recall"] is row["average_precision"] is None
            assert row["f1"] == 0
            continue
        recalls.append(hits / sum(having))
        f1s.append(2 * hits / (sum(having) + sum(given)))
        assert (row["recall"], row["f1"]) == pytest.approx((recalls[-1], f1s[-1]))
        # the area under the steps of precision over recall, as scikit-learn defines it
        area, before = 0.0, 0.0
        for level in sorted(set(ANSWERS[:, index]), reverse=True):
            there = [bool(one) for one, p in zip(having, ANSWERS[:, index], strict=True) if p >= level]
            area += (sum(there) / sum(having) - before) * sum(there) / len(there)
            before = sum(there) / sum(having)
        averages.append(area)
        assert row["average_precision"] == pytest.approx(area)
    assert found["macro_f1"] == pytest.approx(np.mean(f1s))
    assert found["mean_average_precision"] == pytest.approx(np.mean(averages))
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    sets = [tuple(row) for row in LABELS.tolist()]
    assert found["majority_baseline"] == max(sets.count(one) for one in sets) / 300
    worst = min(zip(f1s, TARGET.names, strict=False))
    assert f"worst class {worst[1]} {100 * worst[0]:.2f} %" in TARGET.summary(found)
    table, averages, mistakes = found["tables"]
    assert table["rows"][3][0] == "never"
    assert table["rows"][3][2] == "no example"
    assert [row[0].partition(":")[0] for row in averages["rows"]] == ["macro", "weighted", "micro"]
    missed = {row[0]: row[1:] for row in mistakes["rows"]}
    for index, name in enumerate(TARGET.names):
        there, said = LABELS[:, index] == 1, ANSWERS[:, index] >= 0.5
        assert missed[name] == [str((there & ~said).sum()), str((said & ~there).sum()), str((there & said).sum())]
    with pytest.raises(ValueError, match="Wanted answers of shape"):
        MultiLabel(("a", "b")).details(ANSWERS, LABELS)


@pytest.mark.parametrize(
    "broken",
    [LOGITS, np.where(np.arange(300)[:, None] == 7, np.nan, ANSWERS), ANSWERS - 0.5, ANSWERS * 1.1 + 0.01],
    ids=["logits", "one NaN", "negative", "above one"],
)
def test_answers_that_are_no_probabilities_are_refused(broken):
    assert TARGET.refuse(ANSWERS, integer=False) is None
    found = TARGET.refuse(broken, integer=False)
    assert found is not None
    assert found[:2] == ("probabilities", "each in 0..1")


def test_a_file_that_says_always_the_same_or_never_a_class_has_lost_its_model():
    model = LABELS.astype(float)
    assert TARGET.lost(ANSWERS, model, LABELS) is None
    sets, counts = np.unique(LABELS, axis=0, return_counts=True)
    same = np.tile(sets[counts.argmax()], (300, 1)).astype(float)
    check, wanted, measured = TARGET.lost(same, model, LABELS)
    assert (check, wanted) == ("score above chance", f"> {counts.max() / 300:.4f}")
    assert measured == counts.max() / 300
    without = model.copy()
    without[:, 2] = 0
    check, _, gone = TARGET.lost(without, model, LABELS)
    assert check == "predictions of every class"
    assert f"'c': {LABELS[:, 2].sum()}" in gone


def test_the_surest_mistake_comes_first():
    answers = np.array([[0.9, 0.1, 0, 0], [0.9, 0.6, 0, 0], [0.2, 0.1, 0, 0]])
    found = TARGET.confidence(answers, np.array([[1, 0, 0, 0]] * 3))
    np.testing.assert_allclose(found, [0.0, 0.6, 0.8])


def test_what_is_said_of_one_answer():
    found = TARGET.said(np.array([0.1, 0.9, 0.5, 0.05], np.float32))
    assert found["labels"] == ["b", "c"]
    assert found["words"] == "b 90.0%, c 50.0% (then a 10.0%, never 5.0%)"
    nothing = TARGET.said(np.zeros(4, np.float32))
    assert nothing["labels"] == []
    assert nothing["words"].startswith("none (then ")
    assert TARGET.label_words(np.array([1, 0, 1, 0])) == "a, c"
    assert TARGET.label_words(np.zeros(4, int)) == "none"


def test_average_precision_by_hand():
    """Ranked 1, 0, 1, 0: precision 1 at the first, 2/3 at the second of two; ties count together."""
    having = np.array([True, False, True, False])
    assert multi_label.average_precision(np.array([0.9, 0.8, 0.7, 0.1]), having) == pytest.approx((1 + 2 / 3) / 2)
    assert multi_label.average_precision(np.full(4, 0.5), having) == 0.5
    assert multi_label.average_precision(np.full(4, 0.5), np.zeros(4, bool)) is None


def test_its_description_is_read_again():
    described = TARGET.described()
    assert (described["labels"], described["score_threshold"]) == (["a", "b", "c", "never"], multi_label.THRESHOLD)
    assert tasks.restored(described) == TARGET
