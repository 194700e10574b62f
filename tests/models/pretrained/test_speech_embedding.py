"""Against the published files' own answers: onnxruntime 1.32 ran them on two sounds that anybody can make again."""

from __future__ import annotations

import hashlib

import keras
import numpy as np
import pytest

from kerastl.inputs.numbers import Numbers
from kerastl.models.audio import front_end
from kerastl.models.pretrained import backbone, onnx_file, speech_embedding
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

SOUNDS = "6a436531171efd94cbed961511c00619e8ba79cea37f5ef6a0c451226a0e4849"  # SHA-256 of their 16-bit samples
# Of each sound three embeddings, every sixteenth number of each: melspectrogram.onnx, / 10 + 2, embedding_model.onnx.
PUBLISHED = [
    [
        [-3.66372, 5.25340, -23.07512, 5.82480, 18.72021, 6.04063],
        [-5.37075, -0.73286, -27.08755, -0.02646, 18.62801, 2.18882],
        [-6.41197, -0.56785, -26.20587, -0.96667, 17.77106, -3.27832],
    ],
    [
        [7.02934, 8.44301, -15.83343, 5.39885, 27.45750, 7.28415],
        [3.42774, 2.83792, -22.02928, 0.60504, 27.72183, 8.07904],
        [-0.91135, 0.08969, -23.98526, -1.87884, 25.89540, 5.03332],
    ],
]
NORMS = [267.1165, 260.1548]  # of all 288 numbers of a sound


def sounds() -> np.ndarray:
    """A chirp that swells and a hum of 19 partials, with hiss: 16-bit samples ``(2, 16000)``."""
    time = np.arange(16000) / 16000
    chirp = 0.3 * np.sin(2 * np.pi * (150 + 900 * time) * time) * (1 + np.sin(2 * np.pi * 4 * time))
    wobble = time * (1 + 0.05 * np.sin(2 * np.pi * 2 * time))
    partials = sum(0.1 / k * np.sin(2 * np.pi * 120 * k * wobble) for k in range(1, 20))
    hum = partials * np.exp(-(((time - 0.5) / 0.2) ** 2))
    hiss = np.random.default_rng(0).integers(-1000, 1001, (2, 16000))
    return (np.rint(np.stack([chirp, hum]) * 32000) + hiss).clip(-32768, 32767).astype("<i2")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return speech_embedding.load()


def test_embeddings_are_those_of_the_published_files(model):
    assert hashlib.sha256(sounds().tobytes()).hexdigest() == SOUNDS
    found = np.asarray(model((sounds() / 32768).astype("float32")))
    assert found.shape == (2, 3, 96)
    assert np.abs(found[..., ::16] - PUBLISHED).max() < 1e-4
    np.testing.assert_allclose(np.linalg.norm(found, axis=(1, 2)), NORMS, atol=2e-4)


def test_every_clip_has_its_own_loudest_moment(model):
    """The published file takes the loudest of a batch, and beside a loud clip a quiet one drowns."""
    quiet = (sounds() / 32768 * [[1.0], [1e-3]]).astype("float32")
    np.testing.assert_allclose(np.asarray(model(quiet))[1], np.asarray(model(quiet[1:]))[0], atol=1e-4)


def test_the_published_transform_is_a_window_and_a_fourier_transform():
    """Which the front end computes in two steps; its weights are in the file, so the file says whether it may."""
    constants = onnx_file.arrays(speech_embedding.fetch() / "melspectrogram.onnx")
    turns = 2 * np.pi * np.outer(np.arange(257), np.arange(512)) / 512
    window = np.pad(front_end.hann(400), 56)
    np.testing.assert_allclose(constants["0.stft.conv_real.weight"][:, 0], window * np.cos(turns), atol=1e-7)
    np.testing.assert_allclose(constants["0.stft.conv_imag.weight"][:, 0], window * -np.sin(turns), atol=1e-7)


def test_a_longer_clip_has_more_steps_of_the_same(model):
    sound = (sounds().reshape(1, -1) / 32768).astype("float32")
    longer = np.asarray(speech_embedding.load(samples=17280)(sound[:, :17280]))
    assert longer.shape == (1, 4, 96)
    np.testing.assert_allclose(longer[0, :3], np.asarray(model(sound[:, :16000]))[0], atol=1e-3)
    with pytest.raises(ValueError, match="12,512 samples"):
        speech_embedding.build(samples=12000)


def test_a_classifier_of_clips(model):
    task = Task("words", Numbers((16000,)), SingleLabel(("go", "stop", "wait")))
    classifier = speech_embedding.classifier(task)
    clips = (sounds() / 32768).astype("float32")
    pooled = keras.Model(classifier.input, classifier.get_layer("pool").output)
    np.testing.assert_allclose(np.asarray(pooled(clips)), np.asarray(model(clips)).mean(1), atol=1e-5)
    assert classifier.output_shape == (None, 3)
    assert sum(weight.shape.num_elements() for weight in classifier.trainable_weights) == 328_128 + 97 * 3
    names = [group.name for group in backbone.groups(classifier)]
    assert names == ["stem", *(f"block{number}" for number in range(1, 7)), "head"]


def test_samples_as_16_bit_integers_are_heard_the_same(model):
    integers = speech_embedding.load(full_scale=32768.0)
    found = np.asarray(integers(sounds().astype("float32")))
    np.testing.assert_allclose(found, np.asarray(model((sounds() / 32768).astype("float32"))), atol=1e-4)
