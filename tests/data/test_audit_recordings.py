"""The audit of recordings finds each fault that is put in, and none where there is none."""

import numpy as np
import pytest
import soundfile

from kerastl.data import audit_recordings
from kerastl.data.audit import audit

RATE = 16_000


def word(label, take, rate=RATE):
    """A gliding voice with harmonics: each take another one, as two takes of one speaker are."""
    draw = np.random.default_rng(100 * label + take)
    times = np.arange(rate // 2) / rate
    pitch = 120 * (1 + label) + draw.uniform(-20, 20) + 60 * draw.uniform(0.5, 1) * times
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(draw.uniform(0.3, 1) / n * np.sin(n * phase + draw.uniform(0, 6)) for n in range(1, 9))
    return 0.2 * voice * np.hanning(len(times)) + 0.002 * draw.normal(size=len(times))


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(("no", "yes")):
        (tmp_path / name).mkdir()
        for take in range(12):
            soundfile.write(tmp_path / name / f"s{take}_x.wav", word(label, take), RATE)
    return tmp_path


def said(found, severity=None):
    return [f"{one.where}: {one.what}" for one in found if severity in (None, one.severity)]


def test_what_is_right_is_left_alone(folder):
    found = audit(folder)
    assert said(found, "error") == said(found, "warning") == []
    assert "labels: 2 classes: no 12, yes 12" in said(found)
    assert any("0.50 seconds in the middle" in one for one in said(found))


def test_each_fault_is_found(folder):
    soundfile.write(folder / "no" / "silent.wav", np.zeros(RATE // 2), RATE)
    soundfile.write(folder / "yes" / "clipped.wav", np.clip(20 * word(1, 50), -1, 1), RATE)
    soundfile.write(folder / "no" / "phone.wav", word(0, 60, 8000), 8000)
    (folder / "no" / "broken.flac").write_bytes(b"fLaC")
    (folder / "yes" / "again.wav").write_bytes((folder / "yes" / "s3_x.wav").read_bytes())
    (folder / "yes" / "wrong.wav").write_bytes((folder / "no" / "s4_x.wav").read_bytes())
    found = audit(folder)
    text = "\n".join(said(found))
    assert "1 recording is silent: no/silent.wav" in text
    assert "1 recording is clipped: yes/clipped.wav" in text
    assert "below 16,000 Hz lack the upper half of speech: 1 of 8,000 Hz" in text
    assert "not every class has recordings of 8,000 Hz, which gives them away" in text
    assert any(one.startswith("no/broken.flac: ") for one in said(found, "error"))
    assert "2 exact duplicates: " in text
    assert "1 example carries different labels: no/s4_x.wav (no) = yes/wrong.wav (yes)" in text


@pytest.mark.parametrize("ending", [".wav", ".ogg", ".mp3"])
def test_shifted_louder_and_encoded_anew_is_the_same_recording(folder, ending):
    for name, label in (("no", 0), ("yes", 1)):
        moved = np.concatenate([np.zeros(1234), 0.6 * word(label, 5), np.zeros(777)])
        soundfile.write(folder / name / f"moved{ending}", moved, RATE)
    (warned,) = said(audit(folder), "warning")
    assert "2 pairs are the same recording, shifted or encoded anew" in warned
    assert f"no/moved{ending} ~ no/s5_x.wav" in warned
    assert said(audit(folder, near=False), "warning") == []


def test_speakers_and_copies_across_splits_are_errors(folder):
    for split in ("train", "test"):
        (folder / split).mkdir()
    for name in ("no", "yes"):
        for split in ("train", "test"):
            (folder / split / name).mkdir()
        for take, file in enumerate(sorted((folder / name).iterdir())):
            file.rename(folder / ("train", "test")[take % 3 == 0] / name / file.name)
        (folder / name).rmdir()
    moved = np.concatenate([np.zeros(500), word(0, 2)])
    soundfile.write(folder / "test" / "no" / "s99_x.flac", moved, RATE)
    (wrong,) = said(audit(folder, group_pattern="(s[0-9]+)_"), "error")
    assert "1 pair across splits is the same recording" in wrong
    soundfile.write(folder / "test" / "no" / "s7_y.wav", word(0, 70), RATE)
    soundfile.write(folder / "train" / "no" / "s7_z.wav", word(0, 71), RATE)
    assert "s7 in test and train" in "\n".join(said(audit(folder, group_pattern="(s[0-9]+)_"), "error"))


def test_correlation_is_that_of_the_best_shift():
    draw = np.random.default_rng(0)
    sound = draw.normal(size=300)
    assert audit_recordings.correlation(sound, np.concatenate([np.zeros(37), sound])) == pytest.approx(1)
    assert audit_recordings.correlation(sound, draw.normal(size=300)) < 0.3
    other = draw.normal(size=300)
    wanted = np.correlate(sound, other, "full").max() / np.sqrt((sound**2).sum() * (other**2).sum())
    assert audit_recordings.correlation(sound, other) == pytest.approx(wanted)
