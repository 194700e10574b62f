"""Attention that is masked stays attention in integers, whatever number the mask is made of."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress import attention_masks, float_file, ptq
from kerastl.export import tflite
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.verify import predict_tflite

SHAPE = (6, 4)
_FUTURE = np.triu(np.ones((6, 6), np.float32), 1)


def by_hand(masked):
    def attention(value):
        scores = keras.layers.Dot(2)([keras.layers.Dense(4)(value), keras.layers.Dense(4)(value)])
        return keras.layers.Dot((2, 1))([keras.ops.softmax(masked(scores)), value])

    return attention


KINDS = {
    "several_heads": lambda value: keras.layers.MultiHeadAttention(2, 4)(value, value, use_causal_mask=True),
    "one_head": lambda value: keras.layers.Attention()([keras.layers.Dense(4)(value), value], use_causal_mask=True),
    "added": by_hand(lambda scores: scores + -1e9 * _FUTURE),
    "subtracted": by_hand(lambda scores: scores - 6e4 * _FUTURE),
    "chosen": by_hand(lambda scores: keras.ops.where(_FUTURE > 0, -1e9, scores)),
    "kept": by_hand(lambda scores: keras.ops.where(_FUTURE == 0, scores, -1e9)),
    "turned": by_hand(
        lambda scores: keras.ops.swapaxes(keras.ops.where(_FUTURE.T > 0, -1e9, keras.ops.swapaxes(scores, 1, 2)), 1, 2)
    ),
}


def model_of(name: str) -> keras.Model:
    """Strong scores, so that uniform attention is another network."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input(SHAPE, name="numbers")
    model = keras.Model(numbers, KINDS[name](numbers))
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model


SEEN = (6,)
MASKED = Named((("numbers", Numbers(SHAPE)), ("seen", Numbers(SEEN))))
COMPUTED = {
    "product": lambda scores, seen: scores + (1 - seen) * -1e9,
    "subtracted": lambda scores, seen: scores - 6e4 * (1 - seen),
    "choice": lambda scores, seen: scores + keras.ops.where(seen > 0, 0.0, -1e9),
    "chosen": lambda scores, seen: keras.ops.where(seen > 0, scores, -1e9),
    "upon_another": lambda scores, seen: (scores + (1 - seen) * -1e9) + -1e9 * _FUTURE,
    "under_another": lambda scores, seen: (scores - 1e9 * _FUTURE) - (1 - seen) * 1e9,
}


def masked_model(masked, *, layers: int = 1) -> keras.Model:
    keras.utils.set_random_seed(0)
    value, seen = keras.Input(SHAPE, name="numbers"), keras.Input(SEEN, name="seen")
    given, rows = value, seen[:, None, :]
    for _ in range(layers):
        value = by_hand(lambda scores: masked(scores, rows))(value)
    model = keras.Model([given, seen], value)
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def masked_series(series) -> dict[str, np.ndarray]:
    seen = (np.random.default_rng(1).uniform(size=(len(series), *SEEN)) < 0.6).astype(np.float32)
    seen[:, 0] = 1
    return {"numbers": series, "seen": seen}


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


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", COMPUTED)
def test_nor_does_a_mask_that_is_computed(name, layers, masked_series):
    model = masked_model(COMPUTED[name], layers=layers)
    file, wanted = tflite.convert(model), model.predict(masked_series, verbose=0)
    keep = [label for label in float_file.labels_of(float_file.parsed(file)).values() if label and "GREATER" in label]
    for technique, most in ((ptq.static_int8, 0.15), (ptq.static_int16_activations, 0.02)):
        quantized = technique(file, calibration=masked_series, inputs=MASKED, keep_float=keep)
        found = predict_tflite(quantized, masked_series)
        assert np.linalg.norm(found - wanted) < most * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["product", "chosen"])
def test_calibration_shows_what_is_masked(name, masked_series):
    """Otherwise no scale holds the mask, and on the phone everything is seen."""
    file = tflite.convert(masked_model(COMPUTED[name]))
    shown = {**masked_series, "seen": np.ones_like(masked_series["seen"])}
    labels = [label for label in float_file.labels_of(float_file.parsed(file)).values() if label]
    compared = [label for label in labels if "GREATER" in label]
    softened = [label for label in labels if any(kind in label for kind in (". ADD ", "SELECT", "SOFTMAX"))]
    for keep in (compared, [*compared, softened[0]], [*compared, *softened] if name == "product" else ()):
        with pytest.raises(ValueError, match=r"softmax behind .* no example of the calibration is masked"):
            ptq.static_int8(file, calibration=shown, inputs=MASKED, keep_float=keep)
    if name == "chosen":  # what masks is a constant, and all that it goes through is float
        kept = ptq.static_int8(file, calibration=shown, inputs=MASKED, keep_float=[*compared, *softened])
        found, wanted = (predict_tflite(one, masked_series) for one in (kept, file))
        assert np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)


def test_a_mask_of_other_numbers_is_refused_with_what_helps(masked_series):
    file = tflite.convert(masked_model(COMPUTED["product"]))
    shades = {**masked_series, "seen": np.linspace(0, 1, masked_series["seen"].size, dtype="float32").reshape(-1, 6)}
    given = tflite.convert(masked_model(lambda scores, seen: scores + seen))
    endless = {**masked_series, "seen": -1e9 * (1 - masked_series["seen"])}
    less = tflite.convert(masked_model(COMPUTED["subtracted"]))
    halved = tflite.convert(masked_model(lambda scores, seen: (scores + (1 - seen) * -1e9) * 0.5))
    for data, calibration, number in (
        (file, shades, "-1e\\+09"),
        (less, shades, "-6e\\+04"),
        (given, endless, "-1e\\+09"),
        (halved, masked_series, "-5e\\+08"),
    ):
        with pytest.raises(ValueError, match=rf"a mask of numbers down to {number} sets .* keras.ops.where"):
            ptq.static_int8(data, calibration=calibration, inputs=MASKED)
    labels = [label for label in float_file.labels_of(float_file.parsed(given)).values() if label]
    keep = [label for label in labels if "SOFTMAX" in label or ". ADD " in label]
    found = predict_tflite(ptq.static_int8(given, calibration=endless, inputs=MASKED, keep_float=keep), endless)
    wanted = predict_tflite(given, endless)
    assert np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)


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
