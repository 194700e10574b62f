"""Recordings of every rate, format and number of channels against the sound that they were made of."""

import io

import numpy as np
import pytest
import soundfile

from kerastl.inputs import recordings
from kerastl.inputs.recordings import RecordingError

SECONDS = np.arange(24_000) / 48_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * SECONDS)


def heard_at(rate, seconds=0.5):
    """The tone itself, at a rate."""
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("name", ["tone.wav", "tone.flac", "tone.ogg", "tone.mp3", "tone.aiff"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_tone_is_the_tone_whatever_holds_it(tmp_path, name, rate):
    soundfile.write(tmp_path / name, heard_at(rate), rate)
    found = recordings.read(tmp_path / name)
    assert found.dtype == np.int16
    wanted = heard_at(16_000) * recordings.FULL_SCALE
    length = min(len(found), len(wanted))
    assert abs(len(found) - len(wanted)) <= (1600 if name.endswith("mp3") else 2)  # an MP3 has frames of its own
    middle = slice(2000, length - 2000)
    lag = np.argmax(np.correlate(found[1000:7000].astype(float), wanted[1500:6000], "valid")) - 500
    moved = np.roll(wanted[:length], lag)
    error = np.abs(found[:length] - moved)[middle].max() / recordings.FULL_SCALE
    assert error < (0.05 if name.endswith(("mp3", "ogg")) else 0.002), error


def test_several_channels_are_one_and_a_part_is_that_part(tmp_path):
    left, right = heard_at(16_000), np.linspace(-0.3, 0.3, 8000)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], -1), 16_000)
    found = recordings.read(tmp_path / "two.wav")
    np.testing.assert_allclose(found / recordings.FULL_SCALE, (left + right) / 2, atol=1e-4)
    part = recordings.read(tmp_path / "two.wav", start=0.1, end=0.25)
    np.testing.assert_array_equal(part, found[1600:4000])
    for start, end in ((0.4, 0.2), (-0.1, 0.2), (0.1, 0.8)):
        with pytest.raises(RecordingError, match=r"of 0\.50 seconds"):
            recordings.read(tmp_path / "two.wav", start=start, end=end)


def test_an_open_file_is_read_too():
    sink = io.BytesIO()
    soundfile.write(sink, heard_at(16_000), 16_000, format="WAV")
    sink.seek(0)
    np.testing.assert_allclose(recordings.read(sink) / recordings.FULL_SCALE, heard_at(16_000), atol=1e-4)


def test_too_loud_is_cut_off_as_recorders_do():
    found = recordings.to_int16(np.array([-2.0, -1.0, 0.5, 1.0, 3.0]))
    assert found.tolist() == [-32768, -32768, 16384, 32767, 32767]


def test_a_length_keeps_the_loudest_stretch_or_stands_in_silence():
    quiet = np.full(100, 10, np.int16)
    quiet[60:70] = 1000
    found = recordings.of_length(quiet, 20)
    assert (found == 1000).sum() == 10
    assert len(found) == 20
    short = recordings.of_length(np.array([1, 2, 3], np.int16), 8)
    assert short.tolist() == [0, 0, 1, 2, 3, 0, 0, 0]
    for length in (1, 37, 100):
        stretch = recordings.of_length(quiet, length)
        best = max(int(np.square(quiet[at : at + length].astype(int)).sum()) for at in range(101 - length))
        assert np.square(stretch.astype(int)).sum() == best


def test_what_is_no_recording_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "phone.m4a").write_bytes(b"\0" * 100)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    for name, words in {
        "text.wav": "no recording that can be read",
        "phone.m4a": "ffmpeg -i phone.m4a phone.wav",
        "empty.wav": "of 0.00 seconds",
        "nan.wav": "no samples that can be heard",
    }.items():
        with pytest.raises(RecordingError, match=words):
            recordings.read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="There is no recording"):
        recordings.read(tmp_path / "none.wav")


def test_the_small_mp3_sounds_like_it(tmp_path):
    (tmp_path / "a.mp3").write_bytes(recordings.mp3(recordings.to_int16(heard_at(16_000)), 16_000))
    found = recordings.read(tmp_path / "a.mp3")
    spectrum = np.abs(np.fft.rfft(found[2000:6000]))
    assert np.argmax(spectrum) * 16_000 / 4000 == pytest.approx(440, abs=4)
