"""Regression against NumPy: scores, intervals, tables, what is refused."""

import keras
import numpy as np
import pytest

from kerastl import tasks
from kerastl.tasks.regression import AGREES, Regression

RANDOM = np.random.default_rng(0)
LABELS = (RANDOM.normal(size=(200, 2)) * [3, 50] + [10, -200]).astype("float32")
TARGET = Regression.of(LABELS, names=("height", "weight"), unit="kg")
ANSWERS = (LABELS + RANDOM.normal(size=LABELS.shape) * [1, 10]).astype("float32")


def test_of_takes_mean_and_standard_deviation():
    np.testing.assert_allclose(TARGET.mean, LABELS.astype("float64").mean(0), rtol=1e-6)
    np.testing.assert_allclose(TARGET.spread, LABELS.astype("float64").std(0), rtol=1e-6)
    assert (TARGET.outputs, TARGET.units) == (2, "kg")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Regression((), (), ()), "no name"),
        (lambda: Regression(("a",), (0.0, 1.0), (1.0,)), "2 means"),
        (lambda: Regression(("a\nb",), (0.0,), (1.0,)), "one line"),
        (lambda: Regression.of(np.ones(5), names=("a",)), "Received: a 1 for each of 5 examples"),
        (lambda: Regression.of(np.full(1000, 0.1), names=("a",)), "a 0.1 for each of 1,000"),
        (lambda: Regression.of(np.array([1.0, np.nan]), names=("a",)), "1 not finite"),
    ],
)
def test_what_is_no_target_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_labels_are_refused_by_row_and_column():
    broken = LABELS.copy()
    broken[7, 1] = np.inf
    TARGET.check(LABELS, where="train", rows=200)
    with pytest.raises(ValueError, match=r"inf in train, row 7, column 1 \(weight\)"):
        TARGET.check(broken, where="train", rows=200)
    with pytest.raises(ValueError, match=r"shape \(200,\)"):
        TARGET.check(LABELS[:, 0], where="train", rows=200)
    with pytest.raises(ValueError, match="Labels of 2 numbers"):
        TARGET.check(LABELS.astype(str), where="train", rows=200)


def test_score_is_the_mean_absolute_error_and_its_interval_holds_the_mean():
    score = TARGET.score(ANSWERS, LABELS)
    errors = np.abs(ANSWERS.astype("float64") - LABELS)
    assert score.value == pytest.approx(errors.mean(), rel=1e-9)
    # the bootstrap agrees with the normal distribution of a mean of two hundred
    half = 1.96 * errors.mean(-1).std() / np.sqrt(len(errors))
    assert score.low == pytest.approx(score.value - half, rel=0.02)
    assert score.high == pytest.approx(score.value + half, rel=0.02)
    assert TARGET.score(ANSWERS, LABELS) == score  # seeded
    assert TARGET.score(LABELS, LABELS).value == 0
    shuffled = LABELS[np.random.default_rng(1).permutation(len(LABELS))]
    assert TARGET.score(shuffled, LABELS).value > score.value
    with pytest.raises(ValueError, match="one label a row"):
        TARGET.score(ANSWERS[:5], LABELS)


def test_one_number_may_come_without_an_axis():
    target = Regression.of(LABELS[:, 0], names=("height",))
    assert target.score(ANSWERS[:, :1], LABELS[:, 0]).value == pytest.approx(np.abs(ANSWERS - LABELS)[:, 0].mean())


def test_agreement_and_difference_are_in_standard_deviations():
    assert TARGET.agree(LABELS, LABELS).all()
    moved = LABELS.copy()
    moved[3, 1] += 2 * AGREES * TARGET.spread[1]
    moved[4, 0] += 0.5 * AGREES * TARGET.spread[0]
    assert np.flatnonzero(~TARGET.agree(moved, LABELS)).tolist() == [3]
    assert TARGET.difference(moved, LABELS)[3] == pytest.approx(2 * AGREES, rel=1e-4)
    assert TARGET.drop(12.0, 10.0) == pytest.approx(2 / np.mean(TARGET.spread))


def test_a_file_that_answers_the_mean_has_lost_everything():
    constant = np.broadcast_to(np.asarray(TARGET.mean, "float32"), LABELS.shape)
    check, _, got = TARGET.lost(constant, ANSWERS, LABELS)
    assert check == "score better than the mean"
    assert got == pytest.approx(np.abs(constant - LABELS).mean(), rel=1e-5)
    assert TARGET.lost(ANSWERS, ANSWERS, LABELS) is None
    assert TARGET.lost(constant, constant, LABELS) is None  # the model has nothing to lose


def test_loss_metric_and_distillation_equal_numpy():
    standardized = ((ANSWERS - LABELS) / np.asarray(TARGET.spread)) ** 2
    assert float(TARGET.loss()(LABELS, ANSWERS)) == pytest.approx(standardized.mean(), rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(TARGET.loss()))
    assert float(again(LABELS, ANSWERS)) == pytest.approx(standardized.mean(), rel=1e-5)
    metric = TARGET.training_metric()
    metric.update_state(LABELS, ANSWERS)
    assert float(metric.result()) == pytest.approx(np.abs(ANSWERS - LABELS).mean(), rel=1e-5)
    teacher, student = keras.ops.convert_to_tensor(LABELS), keras.ops.convert_to_tensor(ANSWERS)
    found = TARGET.distillation(teacher, student, temperature=1.0)
    np.testing.assert_allclose(found, standardized.mean(-1), rtol=1e-4)


def test_the_last_layer_learns_numbers_of_the_size_of_one():
    outputs = keras.Input((2,))
    model = keras.Model(outputs, TARGET.finish(outputs))
    np.testing.assert_allclose(model(np.zeros((1, 2))), [TARGET.mean], rtol=1e-5)
    np.testing.assert_allclose(model(np.ones((1, 2))), [np.add(TARGET.mean, TARGET.spread)], rtol=1e-5)
    assert model.layers[-1].name == TARGET.output_name
    assert TARGET.served(ANSWERS) is ANSWERS


def test_details_equal_numpy():
    found = TARGET.details(ANSWERS, LABELS)
    error, wanted = ANSWERS.astype("float64") - LABELS, LABELS.astype("float64")
    for place, row in enumerate(found["by_number"]):
        assert row["mean_absolute_error"] == pytest.approx(np.abs(error[:, place]).mean(), rel=1e-5)
        assert row["root_mean_squared_error"] == pytest.approx(np.sqrt((error[:, place] ** 2).mean()), rel=1e-5)
        assert row["bias"] == pytest.approx(error[:, place].mean(), rel=1e-3)
        explained = 1 - (error[:, place] ** 2).sum() / ((wanted[:, place] - wanted[:, place].mean()) ** 2).sum()
        assert row["r_squared"] == pytest.approx(explained, rel=1e-5)
    assert [row["examples"] for row in found["by_range"]] == [40] * 5
    assert found["mean_baseline"] == pytest.approx(np.abs(LABELS - np.asarray(TARGET.mean)).mean(), rel=1e-5)
    assert all(len(row) == len(table["columns"]) for table in found["tables"] for row in table["rows"])
    assert "R squared" in TARGET.summary(found)
    np.testing.assert_allclose(TARGET.confidence(ANSWERS, LABELS), np.abs(error).mean(-1), rtol=1e-4)


def test_one_test_label_alone_leaves_no_share_of_a_variance():
    same = np.full((5, 2), 3.0, np.float32)
    rows = TARGET.details(same + 1, same)["tables"][0]["rows"]
    assert [row[-1] for row in rows] == ["none", "none"]


def test_strata_are_tenths_of_the_first_number():
    strata = TARGET.strata(LABELS)
    assert np.bincount(strata).tolist() == [20] * 10
    means = [LABELS[strata == one, 0].mean() for one in range(10)]
    assert means == sorted(means)


def test_words_and_a_description_that_restores_it():
    assert TARGET.said(np.array([1.5, 2.25]))["words"] == "height 1.5 kg, weight 2.25 kg"
    assert TARGET.label_words(np.array([1.5, 2])) == "height 1.5 kg, weight 2 kg"
    assert TARGET.label_words(np.array([1_250_000.0, 2**32])) == "height 1,250,000 kg, weight 4,294,967,296 kg"
    assert tasks.restored(TARGET.described()) == TARGET
    with pytest.raises(ValueError, match="no classes to weigh"):
        TARGET.class_weights(LABELS)
    with pytest.raises(ValueError, match="no classes to weigh"):
        TARGET.weighted_loss({0: 1.0})
