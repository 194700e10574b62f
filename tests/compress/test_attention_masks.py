"""Attention that is masked stays attention in integers, whatever number the mask is made of."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress import attention_masks, float_file, ptq
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers
from kerastl.verify import predict_tflite

SHAPE = (6, 4)
_FUTURE = np.triu(np.ones((6, 6), np.float32), 1)


def by_hand(masked):
    def attention(value):
        scores = keras.layers.Dot(2)([keras.layers.Dense(4, name="query")(value), keras.layers.Dense(4)(value)])
        return keras.layers.Dot((2, 1))([keras.ops.softmax(masked(scores)), value])

    return attention


KINDS = {
    "several_heads": lambda value: keras.layers.MultiHeadAttention(2, 4)(value, value, use_causal_mask=True),
    "one_head": lambda value: keras.layers.Attention()([keras.layers.Dense(4)(value), value], use_causal_mask=True),
    "added": by_hand(lambda scores: scores + -1e9 * _FUTURE),
    "subtracted": by_hand(lambda scores: scores - 6e4 * _FUTURE),
    "chosen": by_hand(lambda scores: keras.ops.where(_FUTURE > 0, -1e9, scores)),
    "kept": by_hand(lambda scores: keras.ops.where(_FUTURE == 0, scores, -1e9)),
}


def model_of(name: str) -> keras.Model:
    """Strong scores, so that uniform attention is another network."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input(SHAPE, name="numbers")
    model = keras.Model(numbers, KINDS[name](numbers))
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def series() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", KINDS)
def test_a_mask_does_not_set_the_scale_of_the_scores(name, series):
    model = model_of(name)
    file, wanted = tflite.convert(model), model.predict(series, verbose=0)
    for technique, most in ((ptq.static_int8, 0.1), (ptq.static_int16_activations, 0.02)):
        found = predict_tflite(technique(file, calibration=series, inputs=Numbers(SHAPE)), series)
        assert np.linalg.norm(found - wanted) < most * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["several_heads", "added", "subtracted"])
def test_the_bounded_float_file_answers_the_same(name, series):
    file = float_file.named(tflite.convert(model_of(name)))
    sources = float_file.calibrated(file, series, inputs=Numbers(SHAPE))
    bounded = attention_masks.bounded(file, sources)
    assert bounded != file
    np.testing.assert_allclose(predict_tflite(bounded, series), predict_tflite(file, series), atol=1e-4)
    assert attention_masks.bounded(bounded, sources) == bounded


def test_the_converters_own_integers_are_refused(series):
    with pytest.raises(ValueError, match=r"a mask of very large numbers leaves 8 bits steps of 9.3e\+35.*static_int8"):
        tflite.convert(model_of("several_heads"), integer=True, calibration=series)
