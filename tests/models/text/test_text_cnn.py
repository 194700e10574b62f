from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import tflite
from kerastl.inputs import wordpiece
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.models.text import text_cnn
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TOKENS = (*wordpiece.SPECIAL, *(f"word{number}" for number in range(7995)))
TASK = Task("texts", Text(24, TOKENS), SingleLabel(("no", "yes")))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return text_cnn.build(TASK)


def ids(lengths, total=24):
    made = np.random.default_rng(0).integers(5, len(TOKENS), (len(lengths), total)).astype(np.int32)
    made[np.arange(total) >= np.asarray(lengths)[:, None]] = 0
    return made


def test_against_the_formula_written_out(model):
    """Embedding, a window of five, ReLU, maximum and mean over the real tokens, one matrix."""
    table, kernel, bias, matrix, offset = model.get_weights()
    for row in ids([1, 7, 24]):
        real = row[row != 0]
        words = np.concatenate([np.zeros((2, 64)), table[real], np.zeros((2, 64))])
        patterns = [
            np.maximum(np.einsum("kw,kwf->f", words[place : place + 5], kernel) + bias, 0) for place in range(len(real))
        ]
        features = np.concatenate([np.max(patterns, 0), np.mean(patterns, 0)])
        np.testing.assert_allclose(np.asarray(model(row[None]))[0], features @ matrix + offset, atol=1e-4)


def test_padding_changes_nothing(model):
    longer = text_cnn.build(Task("texts", Text(40, TOKENS), SingleLabel(("no", "yes"))))
    longer.set_weights(model.get_weights())
    rows = ids([1, 5, 24])
    np.testing.assert_allclose(longer(np.pad(rows, ((0, 0), (0, 16)))), model(rows), atol=1e-5)


def test_words_are_dropped_whole_and_in_training_only():
    model = text_cnn.build(TASK, dropout=0.0, word_dropout=0.4)
    rows = ids([24] * 200)
    words = model.get_layer("words").get_weights()[0][rows]
    seen = keras.Model(model.input, model.get_layer("real_words").output)
    np.testing.assert_array_equal(seen(rows), words)
    dropped = np.asarray(seen(rows, training=True))
    gone = ~dropped.any(-1)
    assert gone.mean() == pytest.approx(0.4, abs=0.03)  # of 4,800: four standard deviations
    assert (gone[0] != gone[1]).any(), "other words of another text"
    np.testing.assert_allclose(dropped[~gone], words[~gone] / 0.6, rtol=1e-5)
    again = keras.Model.from_config(model.get_config())
    assert again.get_layer("whole_words_dropout").noise_shape == (None, 24, 1)


def test_an_empty_text_has_an_answer(model):
    assert np.isfinite(model(np.zeros((1, 24), np.int32))).all()


def test_its_file_with_int8_weights_is_small_and_answers_alike(model):
    float32 = tflite.convert(model, TASK)
    small = ptq.dynamic_int8(float32)
    assert len(small) < 660_000
    rows = ids([3, 9, 17, 24])
    wanted = np.asarray(keras.ops.softmax(model(rows)))
    np.testing.assert_allclose(verify.predict_tflite(float32, rows, kind=TASK.inputs), wanted, atol=1e-5)
    np.testing.assert_allclose(verify.predict_tflite(small, rows, kind=TASK.inputs), wanted, atol=0.02)


def test_pictures_are_refused():
    with pytest.raises(ValueError, match="a task of texts"):
        text_cnn.build(Task("pictures", Image((28, 28, 1)), SingleLabel(("no", "yes"))))
