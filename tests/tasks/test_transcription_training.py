"""The loss of transcriptions against the sum over every alignment, written out, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf
from toy_alignments import probabilities_of_sequences

from kerastl.tasks.decoding import PADDING
from kerastl.tasks.transcription import Transcription
from kerastl.tasks.transcription_training import ConnectionistTemporalClassification

TARGET = Transcription(("one", "two"))
LOGITS = np.random.default_rng(0).normal(size=(6, 5, 3))
ANSWERS = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
LABELS = np.array([[1, 2, -1], [1, 1, -1], [2, -1, -1], [-1, -1, -1], [1, 2, 1], [2, 2, 2]], "int32")


def test_the_loss_is_the_sum_over_all_alignments():
    wanted = []
    for frames, row in zip(ANSWERS, LABELS, strict=True):
        sequence = tuple(row[row != PADDING].tolist())
        wanted.append(-np.log(probabilities_of_sequences(frames)[sequence]) / max(len(sequence), 1))
    loss = ConnectionistTemporalClassification(reduction="none")
    np.testing.assert_allclose(loss(LABELS, LOGITS), wanted, rtol=1e-5)
    assert float(TARGET.loss()(LABELS, LOGITS)) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    loss, at = ConnectionistTemporalClassification(), tf.Variable(LOGITS[:2].astype("float32"))
    with tf.GradientTape() as tape:
        value = loss(LABELS[:2], at)
    gradient = tape.gradient(value, at).numpy()
    for place in ((0, 0, 0), (0, 2, 1), (1, 4, 2)):
        step = np.zeros_like(LOGITS[:2])
        step[place] = 1e-2
        slope = (float(loss(LABELS[:2], LOGITS[:2] + step)) - float(loss(LABELS[:2], LOGITS[:2] - step))) / 2e-2
        assert gradient[place] == pytest.approx(slope, abs=2e-3)


def test_a_sequence_that_does_not_fit_has_an_infinite_loss():
    fits, not_so = np.array([[1, 1, 1]], "int32"), np.array([[1, 1, 1, 1]], "int32")  # 3 + 2 frames, 4 + 3 frames
    loss = ConnectionistTemporalClassification()
    assert np.isfinite(float(loss(fits, LOGITS[:1])))
    assert float(loss(not_so, LOGITS[:1])) == np.inf
    TARGET.check_frames(fits, frames=5)
    with pytest.raises(ValueError, match="'one one one one' in row 0, which takes 7"):
        TARGET.check_frames(not_so, frames=5)
