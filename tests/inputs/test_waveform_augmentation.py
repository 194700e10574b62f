"""Settings of recordings' augmentation, through the batches that a training gets."""

import numpy as np
import pytest
import soundfile

from kerastl.data import pipeline
from kerastl.inputs import waveform_augmentation
from kerastl.inputs.waveform import Waveform
from kerastl.inputs.waveform_augmentation import WaveformAugmentation
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

CLIPS = np.rint(2000 * np.random.default_rng(0).normal(size=(20, 800))).astype("int16")
SPLIT = Split("train", CLIPS, np.arange(20, dtype="int32") % 2, Task("t", Waveform(800), SingleLabel(("a", "b"))))
EVERYTHING = WaveformAugmentation(shift=0.1, speed=0.1, room=0.05, noise=0.8, gain=6.0, mixup=1.0)


def epochs(augmentation, seed=0, count=2):
    made = pipeline.training_batches(
        SPLIT, schedule=Schedule(epochs=count, batch_size=5), seed=seed, augmentation=augmentation
    )
    return [np.concatenate([np.asarray(inputs) for inputs, _ in made]) for _ in range(count)]


def test_every_epoch_changes_them_anew_and_the_same_again_by_the_seed():
    first, second = epochs(EVERYTHING)
    assert first.shape == (20, 800)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 32_768
    assert np.isfinite(first).all()
    assert len({clip.tobytes() for clip in np.concatenate([first, second])}) == 40
    (again,) = epochs(EVERYTHING, count=1)
    np.testing.assert_array_equal(first, again)


def test_nothing_asked_is_nothing_changed():
    assert WaveformAugmentation().build() is None
    (plain, _) = epochs(WaveformAugmentation())
    assert {clip.tobytes() for clip in plain} == {clip.tobytes() for clip in CLIPS.astype("float32")}


def test_ones_own_noise_is_read_in_stretches(tmp_path):
    draw = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", 0.1 * draw.normal(size=50_000), 16_000)
    soundfile.write(tmp_path / "short.flac", 0.1 * draw.normal(size=5000), 8000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(40_000), 16_000)
    found = waveform_augmentation.noise_of(tmp_path, rate=16_000)
    assert found.shape == (2, 32_000)
    np.testing.assert_array_equal(found[1][:10_000], found[1][10_000:20_000])  # 5,000 at half the rate, again and again
    changed = epochs(WaveformAugmentation(noise=1.0, lowest_snr=10, highest_snr=10, noise_folder=str(tmp_path)))[0]
    assert not {clip.tobytes() for clip in changed} & {clip.tobytes() for clip in CLIPS.astype("float32")}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Received: none in"):
        WaveformAugmentation(noise=1.0, noise_folder=str(tmp_path / "empty")).build()
    with pytest.raises(FileNotFoundError, match="no folder of noise"):
        WaveformAugmentation(noise=1.0, noise_folder=str(tmp_path / "none")).build()
