"""Against tf.signal, SciPy and the recursion of the paper, in float64 where these have it."""

import keras
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from kerastl.export import tflite
from kerastl.models.audio import front_end
from kerastl.models.audio.front_end import Features


def samples(count: int = 8000, *, seed: int = 0) -> np.ndarray:
    """A chirp, a hum and noise whose loudness swells, in 16-bit steps from -1 to 1."""
    time = np.arange(count) / 16000
    noise = np.random.default_rng(seed).normal(size=(2, count))
    swell = np.array([[0.05], [0.3]]) * (1 + np.sin(2 * np.pi * 3 * time))
    waves = swell * (np.sin(2 * np.pi * (200 + 2500 * time) * time) + noise) + 0.05 * np.sin(2 * np.pi * 100 * time)
    return (np.rint(np.clip(waves, -0.99, 0.99) * 32767) / 32768).astype("float32")


def model(settings: Features, count: int = 8000) -> keras.Model:
    given = keras.Input((count,), name="samples")
    return keras.Model(given, front_end.features(given, settings))


def energies(sounds: np.ndarray, settings: Features) -> np.ndarray:
    """Mel energies of samples in the scale of 16-bit integers, by tf.signal in float64."""
    frames = tf.signal.stft(
        tf.cast(sounds, tf.float64) * 32768, settings.frame, settings.hop, settings.fft_length, pad_end=False
    )
    filters = tf.signal.linear_to_mel_weight_matrix(
        settings.mels, settings.fft_length // 2 + 1, settings.rate, settings.low, settings.high, dtype=tf.float64
    )
    return (tf.abs(frames) ** 2 @ filters).numpy()


SETTINGS = {
    "usual": Features(),
    "long_hop": Features(hop=320, frame=480, mels=10, low=20, high=4000),
    "short": Features(frame=256, fft_length=256, hop=128, mels=20),
    "odd": Features(frame=398, fft_length=400, hop=80, mels=16, high=8000),
}


@pytest.mark.parametrize("count", [8000, 8080, 8003])  # the last window ends with the samples, or before
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_log_mel_is_that_of_tf_signal(settings, count):
    sounds = samples(count)
    loud = energies(sounds, settings)
    wanted, found = np.log(loud + 1), np.asarray(model(settings, count)(sounds))
    assert found.shape == wanted.shape
    heard = loud > 1e-8 * loud.max()  # 80 dB below the loudest, float32 has no digits left
    assert heard.mean() > 0.9
    assert np.abs(found - wanted)[heard].max() < 1e-4
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_mfcc_is_the_cosine_transform_of_scipy():
    settings = Features(kind="mfcc")
    logarithms = np.log(energies(samples(), settings) + 1)
    wanted = scipy.fft.dct(logarithms, type=2, norm="ortho")[..., :10]
    np.testing.assert_allclose(np.asarray(model(settings)(samples())), wanted, atol=2e-4)


def test_pcen_is_the_recursion_of_the_paper():
    settings = Features(kind="pcen")
    loud = energies(samples(), settings)
    mean, wanted = loud[:, 0], []
    for now in loud.swapaxes(0, 1):
        mean = (1 - 0.025) * mean + 0.025 * now
        wanted.append((now / (1e-6 + mean) ** 0.98 + 2) ** 0.5 - 2**0.5)
    np.testing.assert_allclose(np.asarray(model(settings)(samples())), np.stack(wanted, 1), atol=1e-4)


def test_a_spectrum_is_that_of_numpy():
    """Without mel bands: every bin there is, and none of the others."""
    given = keras.Input((600,), name="samples")
    bins = np.eye(129)[:, 3:101]
    x = front_end.filtered_power(given, window=front_end.hann(250), hop=64, fft_length=256, filters=bins, skipped=7)
    sound = samples(600)
    frames = np.stack([sound[:, 7 + 64 * at :][:, :250] for at in range(6)], 1).astype("float64")
    wanted = np.abs(np.fft.rfft(frames * front_end.hann(250), 256)) ** 2
    found = np.asarray(keras.Model(given, x)(sound))
    np.testing.assert_allclose(found, wanted[..., 3:101], atol=1e-4 * wanted.max())


@pytest.mark.parametrize("kind", ["log_mel", "mfcc", "pcen"])
def test_it_opens_without_kerastl_and_runs_on_a_phone(kind, tmp_path):
    made = model(Features(kind=kind))
    made.save(tmp_path / "model.keras")
    opened = keras.models.load_model(tmp_path / "model.keras", custom_objects={}, safe_mode=True)
    wanted = np.asarray(made(samples()))
    np.testing.assert_array_equal(np.asarray(opened(samples())), wanted)
    assert not made.trainable_weights
    assert sum(weight.shape.num_elements() for weight in made.weights) < 64_000
    content = tflite.convert(made)
    assert np.abs(answers(content, samples()[:1]) - wanted[:1]).max() < 2e-4


def answers(content: bytes, sounds: np.ndarray) -> np.ndarray:
    """Of a file, which has no operator that is not built in."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    operators = {one["op_name"] for one in interpreter._get_ops_details()}
    assert not [name for name in operators if name.startswith(("Flex", "CUSTOM"))]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sounds)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_what_is_refused():
    with pytest.raises(ValueError, match="frame=600"):
        Features(frame=600)
    with pytest.raises(ValueError, match="from 60 to 9000 Hz"):
        Features(high=9000)
    with pytest.raises(ValueError, match="41"):
        Features(kind="mfcc", coefficients=41)
    with pytest.raises(ValueError, match="Received: 100"):
        model(Features(), 100)
