"""Bundles that kerastl did not make: files without metadata, and files of others with their own range of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import toy_run

import kerastl
from kerastl.export import metadata
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.runs import undescribed

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film")


def converted(function, *specs) -> bytes:
    """A file as somebody converts it himself: with no word of what it is for."""
    traced = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module()).convert()


def bundle(folder, file: bytes, *, labels=("bad", "good"), vocabulary=()):
    (folder / "model.tflite").write_bytes(file)
    for name, lines in (("labels.txt", labels), ("vocab.txt", vocabulary)):
        if lines:
            (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return kerastl.open(folder)


def two(share):
    """A share as the probabilities of two classes ``(1, 2)``."""
    return tf.stack([1 - share, share], axis=1)


def bright(image):
    return two(tf.reduce_mean(image, axis=(1, 2, 3)) / 255)


def is_good(ids):
    return two(tf.cast(tf.reduce_any(ids == TOKENS.index("good"), axis=1), tf.float32))


def test_a_picture_is_one_input_of_height_width_and_channels(tmp_path):
    run = bundle(tmp_path, converted(bright, tf.TensorSpec((1, 4, 6, 3), tf.float32, name="anything")))
    assert run.task.inputs == Image((4, 6, 3))
    assert run.labels == ("bad", "good")
    pictures = np.stack([np.full((4, 6, 3), value, np.uint8) for value in (0, 51, 255)])
    np.testing.assert_allclose(np.asarray(run.answers(pictures)), [[1, 0], [0.8, 0.2], [0, 1]], atol=1e-6)
    assert [answer["label"] for answer in run.predict(pictures)] == ["bad", "bad", "good"]


def test_a_text_is_whole_numbers_with_a_vocabulary_beside(tmp_path):
    run = bundle(tmp_path, converted(is_good, tf.TensorSpec((1, 6), tf.int32, name="tokens")), vocabulary=TOKENS)
    assert run.task.inputs == Text(6, TOKENS)
    assert [answer["label"] for answer in run.predict(["good film", "bad film"])] == ["good", "bad"]


def test_the_three_inputs_of_a_publisher_are_known_by_their_names(tmp_path):
    """Good where the ids say so, three tokens and [SEP] count in the mask, and all is one sentence."""

    def answer(ids, mask, kinds):
        right = tf.logical_and(tf.reduce_sum(mask, axis=1) == 4, tf.reduce_sum(kinds, axis=1) == 0)
        return is_good(ids) * tf.cast(right, tf.float32)[:, None]

    names = ("input_word_ids", "input_mask", "input_type_ids")
    specs = [tf.TensorSpec((1, 6), tf.int32, name=name) for name in names]
    run = bundle(tmp_path, converted(answer, *specs), vocabulary=TOKENS)
    np.testing.assert_array_equal(np.asarray(run.answers(run.task.inputs.read("good film"))), [[0, 1]])


@pytest.mark.parametrize(
    ("labels", "vocabulary", "shape", "words"),
    [
        ((), (), (1, 4, 4, 3), "no metadata.*labels.txt beside it has a line.*0 names"),
        (("one", "two", "three"), (), (1, 4, 4, 3), r"3 names, answers of shape \(1, 2\)"),
        (("one", "two"), (), (1, 7), r"a text is whole numbers \(1, length\) with vocab.txt.*no vocab.txt"),
        (("one", "two"), TOKENS, (1, 7), r"a picture is one input.*\(1, 7\) float32"),
    ],
)
def test_what_is_not_said_is_refused(tmp_path, labels, vocabulary, shape, words):
    def answer(values):
        return two(tf.reduce_mean(tf.reshape(values, (1, -1)), axis=1))

    run = bundle(tmp_path, converted(answer, tf.TensorSpec(shape, tf.float32)), labels=labels, vocabulary=vocabulary)
    with pytest.raises(ValueError, match=words):
        _ = run.task


def test_names_of_endless_length_are_not_read(tmp_path, monkeypatch):
    run = bundle(tmp_path, converted(bright, tf.TensorSpec((1, 4, 6, 3), tf.float32)))
    monkeypatch.setattr(undescribed, "_LONGEST", 5)
    with pytest.raises(ValueError, match="more than 5 bytes"):
        _ = run.task


def test_pixels_are_scaled_as_a_file_of_others_says(tmp_path, monkeypatch):
    """Model Maker's float files want (pixel - 127.5) / 127.5, and say so in their metadata."""

    class OfOthers(metadata.NormalizationOptionsT):
        def Pack(self, builder):
            self.mean, self.std = [127.5], [127.5]
            return super().Pack(builder)

    pictures = np.asarray(toy_run.load().test.inputs)[:4]
    plain = bundle(tmp_path, metadata.add(toy_run.written_file(), toy_run.TASK, description="ours"), labels=())
    np.testing.assert_array_equal(plain._fed(pictures)["image"], pictures)
    monkeypatch.setattr(metadata, "NormalizationOptionsT", OfOthers)
    other = bundle(tmp_path, metadata.add(toy_run.written_file(), toy_run.TASK, description="theirs"), labels=())
    np.testing.assert_allclose(other._fed(pictures)["image"], (pictures - 127.5) / 127.5, rtol=1e-6)
    scaled = ((pictures - 127.5) / 127.5).reshape(-1, 4, 4).astype(np.float64)
    powers = np.exp(0.02 * scaled[:, :3].sum(-1))  # the file of `toy_run` in NumPy
    np.testing.assert_allclose(np.asarray(other.answers(pictures)), powers / powers.sum(-1, keepdims=True), atol=1e-5)
