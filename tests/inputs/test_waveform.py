"""Waveforms: what is read, refused and shown; what a file is fed is what the model hears."""

import base64
import io

import numpy as np
import PIL.Image
import pytest
import soundfile
import tensorflow as tf

from kerastl.inputs import restored
from kerastl.inputs.waveform import Waveform

KIND = Waveform(8000)
EXAMPLES = KIND.noise(3).astype("int16")


def test_a_file_is_fed_numbers_in_one_and_the_model_hears_16_bits():
    fed = KIND.fed(EXAMPLES)["waveform"]
    assert fed.dtype == np.float32
    assert np.abs(fed).max() <= 1
    heard = KIND.in_graph({"waveform": tf.constant(fed)}).numpy()
    np.testing.assert_array_equal(heard, EXAMPLES.astype("float32"))
    scale, offset = KIND.scaling()
    np.testing.assert_allclose(heard * scale + offset, fed)


def test_a_recording_is_read_at_the_kinds_length_and_rate(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "a.flac", np.concatenate([np.zeros(44_100), tone, np.zeros(20_000)]), 44_100)
    (found,) = KIND.read(str(tmp_path / "a.flac"))
    assert found.shape == (8000,)
    assert np.abs(found).max() == pytest.approx(16_384, rel=0.01)  # the tone and not the silence
    np.save(tmp_path / "a.npy", EXAMPLES)
    np.testing.assert_array_equal(KIND.read(str(tmp_path / "a.npy")), EXAMPLES)
    np.save(tmp_path / "b.npy", EXAMPLES / 32768)
    with pytest.raises(ValueError, match=r"multiply numbers in -1\.\.1 by 32767"):
        KIND.read(str(tmp_path / "b.npy"))
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.flac").read_bytes())  # by its contents, and not its name
    assert KIND.files(tmp_path) == [tmp_path / name for name in ("a.flac", "a.npy", "b.npy", "c.wav")]
    row = {"path": str(tmp_path / "a.flac")}
    assert KIND.columns_in(["who", "path"], [["one", row["path"]]]) == ("path",)
    np.testing.assert_array_equal(KIND.of_row(row)[0], found)
    with pytest.raises(ValueError, match="Received: an empty field"):
        KIND.of_row({"path": " "})


@pytest.mark.parametrize("wrong", [EXAMPLES / 32768, EXAMPLES.astype("float32"), EXAMPLES[:, 1:]])
def test_numbers_that_are_no_samples_are_refused(wrong):
    KIND.check(EXAMPLES, where="train")
    with pytest.raises(ValueError, match=r"int16 samples.*in train"):
        KIND.check(wrong, where="train")


def test_a_page_shows_a_spectrogram_and_plays_the_sound():
    tone = np.rint(8000 * np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000)).astype("int16")
    tone[:8000] = 0
    shown = Waveform(16_000).shown(tone)
    picture = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(shown["picture"].partition(",")[2]))))
    height, width = picture.shape
    assert picture[:, : width // 2 - 2].max() < picture.max() / 2  # silence is dark
    loudest = picture[:, 3 * width // 4].argmax()
    assert (height - 1 - loudest) / height == pytest.approx(2000 / 8000, abs=0.05)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(shown["sound"].partition(",")[2])))
    assert rate == 16_000
    assert np.abs(sound[4000:6000]).max() < 0.02 < 0.1 < np.abs(sound[10_000:14_000]).max()
    assert set(Waveform(10).shown(np.zeros(10, "int16"))) >= {"picture"}


def test_described_and_restored():
    assert restored(KIND.described()) == KIND
    assert KIND.seconds == 0.5
    with pytest.raises(ValueError, match="0 samples"):
        Waveform(0)
