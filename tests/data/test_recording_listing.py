"""Which files are recordings, and who speaks in them; how they are read is in test_audio_folder."""

from pathlib import Path

import pytest
import soundfile

from kerastl.data import recording_listing
from kerastl.data.recording_listing import Clip, Columns
from kerastl.data.tables.table import Layout


def test_names_say_what_is_a_recording():
    for name in ("a.wav", "b.FLAC", "c.mp3", "phone.m4a"):
        assert recording_listing.is_recording(Path(name))
    assert not recording_listing.is_recording(Path("notes.txt"))


def test_the_speaker_may_be_a_folder(tmp_path):
    for who in ("ann", "bob"):
        for word in ("no", "yes"):
            (tmp_path / word / who).mkdir(parents=True)
            soundfile.write(tmp_path / word / who / "1.wav", [0.1] * 100, 8000)
    clips, said = recording_listing.listed(tmp_path, Columns(pattern="^[^/]+/([^/]+)/"), Layout())
    assert {(clip.label, clip.group) for clip in clips} == {(w, p) for w in ("no", "yes") for p in ("ann", "bob")}
    assert any("--classes-at leaf" in sentence for sentence in said)
    assert list(recording_listing.parts_of(clips)) == [("train", [0, 1, 2, 3])]


def test_a_part_is_said_in_seconds():
    assert Clip(Path("a.wav"), "no").times == ""
    assert Clip(Path("a.wav"), "no", start=1.5).times == " 1.5-"
    assert Clip(Path("a.wav"), "no", start=1.5, end=2.25).times == " 1.5-2.25"


def test_a_column_that_was_asked_for_has_to_be_there(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\na.wav,no\n")
    with pytest.raises(ValueError, match="begin"):
        recording_listing.listed(tmp_path / "t.csv", Columns(start="begin"), Layout())
