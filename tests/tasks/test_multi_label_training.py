"""The weighted loss and the metric of several classes, against NumPy, and read again from a file."""

import keras
import numpy as np
import pytest

from kerastl.tasks.multi_label_training import WeightedBinaryCrossentropy, exact_match

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 2, (40, 3)).astype(np.float32)
LABELS = GENERATOR.integers(0, 2, (40, 3)).astype(np.uint8)
WEIGHTS = np.array([0.5, 2.5, 4.0])


def by_hand(labels, logits, weights):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return -(weights * labels * np.log(p) + (1 - labels) * np.log(1 - p))


def test_the_loss_is_the_written_down_one_example_by_example():
    loss = WeightedBinaryCrossentropy(WEIGHTS, reduction=None)
    wanted = by_hand(LABELS, LOGITS, WEIGHTS).mean(-1)
    np.testing.assert_allclose(loss(LABELS, LOGITS), wanted, rtol=1e-5)
    assert float(WeightedBinaryCrossentropy(WEIGHTS)(LABELS, LOGITS)) == pytest.approx(wanted.mean(), rel=1e-5)


def test_weights_of_one_are_the_plain_loss():
    plain = keras.losses.BinaryCrossentropy(from_logits=True)
    found = WeightedBinaryCrossentropy([1, 1, 1])
    assert float(found(LABELS, LOGITS)) == pytest.approx(float(plain(LABELS, LOGITS)), rel=1e-6)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_that_are_no_positive_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="positive numbers"):
        WeightedBinaryCrossentropy([1.0, wrong])


def test_an_example_matches_where_all_classes_do():
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    wanted = [all((q >= 0.5) == bool(one) for q, one in zip(*row, strict=True)) for row in zip(p, LABELS, strict=True)]
    np.testing.assert_array_equal(exact_match(LABELS, LOGITS), np.array(wanted, np.float32))
    assert 0 < sum(wanted) < 40
    np.testing.assert_array_equal(exact_match(np.ones((1, 1), int), np.zeros((1, 1), np.float32)), [1])  # half is yes


def test_a_model_file_brings_loss_and_metric_along(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    metric = keras.metrics.MeanMetricWrapper(exact_match, name="exact_match")
    model.compile("sgd", WeightedBinaryCrossentropy(WEIGHTS), metrics=[metric], jit_compile=False)
    inputs = GENERATOR.normal(size=(40, 4)).astype(np.float32)
    model.fit(inputs, LABELS, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.weights == WEIGHTS.tolist()
    expected = by_hand(LABELS, model.predict(inputs, verbose=0), WEIGHTS).mean()
    scores = again.evaluate(inputs, LABELS, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(expected, rel=1e-5)
    assert scores["exact_match"] == pytest.approx(float(np.mean(exact_match(LABELS, model.predict(inputs, verbose=0)))))
