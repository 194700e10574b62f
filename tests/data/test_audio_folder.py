"""Recordings of one's own: folders, tables, parts of long ones, speakers, and what cannot be used."""

import numpy as np
import pytest
import soundfile

from kerastl.data import audio_folder, recording_listing

RATE = 8000
SPEAKERS = [f"speaker{number}" for number in range(10)]


def sound(label, number, seconds=0.4, rate=RATE):
    draw = np.random.default_rng(1000 * label + number)
    times = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (300 + 500 * label) * times) + 0.01 * draw.normal(size=len(times))


@pytest.fixture
def folder(tmp_path):
    """Two classes of twenty recordings, two a speaker, in four formats and three rates."""
    for label, name in enumerate(("no", "yes")):
        (tmp_path / name).mkdir()
        for number in range(20):
            ending, rate = (".wav", ".flac", ".ogg", ".mp3")[number % 4], (8000, 16_000, 44_100)[number % 3]
            file = tmp_path / name / f"{SPEAKERS[number // 2]}_nohash_{number}{ending}"
            soundfile.write(file, sound(label, number, rate=rate), rate)
    return tmp_path


def speakers_of(split):
    return {origin.split("/")[-1].split("_")[0] for origin in split.origins}


def test_folders_of_any_format_are_heard_alike(folder):
    data = audio_folder.load(folder, seconds=0.5)
    assert data.task.target.names == ("no", "yes")
    assert data.task.inputs.shape == (8000,)
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 40
    for split in (data.train, data.validation, data.test):
        assert split.inputs.dtype == np.int16
        for clip, label, origin in zip(split.inputs, split.labels, split.origins, strict=True):
            assert origin.startswith(("no/", "yes/")[label])
            loudest = np.argmax(np.abs(np.fft.rfft(clip))) * 16_000 / len(clip)
            assert loudest == pytest.approx(300 + 500 * label, abs=8)
            assert not clip[:700].any()  # 0.4 seconds in the middle of half a second
    assert audio_folder.load(**data.arguments).digest == data.digest
    assert audio_folder.load(folder, seconds=0.5, seed=1).digest != data.digest


def test_a_speaker_stands_in_one_split(folder):
    data = audio_folder.load(folder, seconds=0.5, group_pattern="(.+)_nohash_")
    found = [speakers_of(split) for split in (data.train, data.validation, data.test)]
    assert set.union(*found) == set(SPEAKERS)
    assert sum(map(len, found)) == 10
    assert audio_folder.load(**data.arguments).digest == data.digest
    mixed = audio_folder.load(folder, seconds=0.5)
    assert speakers_of(mixed.train) & speakers_of(mixed.test)  # which is what the pattern is for
    for pattern, words in {"(": "regular expression", "nohash": "in parentheses", "(x+y)": "finds no speaker"}.items():
        with pytest.raises(ValueError, match=words):
            audio_folder.load(folder, group_pattern=pattern)
    with pytest.raises(ValueError, match="--group-pattern finds speakers"):
        audio_folder.load(folder, group_column="speaker")


def test_a_long_recording_is_cut_by_a_table(tmp_path):
    parts = [sound(number % 2, number) for number in range(24)]
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), RATE, subtype="FLOAT")
    lines = [
        f"long.wav,{('no', 'yes')[number % 2]},{SPEAKERS[number // 2 % 6]},{0.4 * number:.1f},{0.4 * number + 0.4:.1f}"
        for number in range(24)
    ]
    table = tmp_path / "parts.csv"
    table.write_text("file,word,who,start,end\n" + "\n".join(lines))
    data = audio_folder.load(table, seconds=0.4, rate=RATE, group_column="who")
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 24
    for split in (data.train, data.validation, data.test):
        for clip, origin in zip(split.inputs, split.origins, strict=True):
            name, times = origin.split(" ")
            number = round(float(times.split("-")[0]) / 0.4)
            assert name == "long.wav"
            np.testing.assert_allclose(clip / 32768, parts[number], atol=2e-5)
    assert audio_folder.load(**data.arguments).digest == data.digest
    assert audio_folder.load(tmp_path, seconds=0.4, rate=RATE, group_column="who").digest == data.digest


def test_splits_of_a_table_are_kept_and_a_speaker_in_two_is_refused(folder):
    files = sorted(file for name in ("no", "yes") for file in (folder / name).iterdir())
    split = {speaker: ("train", "dev", "test")[place // 4] for place, speaker in enumerate(SPEAKERS)}

    def table(split_of):
        rows = []
        for file in files:
            who = file.name.split("_")[0]
            rows.append(f"{file.parent.name}/{file.name},{file.parent.name},{split_of(who, file)},{who}")
        (folder / "all.csv").write_text("path,label,split,speaker\n" + "\n".join(rows))
        return folder / "all.csv"

    data = audio_folder.load(table(lambda who, file: split[who]), seconds=0.5, group_column="speaker")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [16, 16, 8]
    assert speakers_of(data.validation) == set(SPEAKERS[4:8])
    with pytest.raises(ValueError, match="A speaker stands in one split"):
        audio_folder.load(table(lambda who, file: ("train", "test")[len(file.name) % 2]), group_column="speaker")
    with pytest.raises(ValueError, match="'holdout' is no split"):
        audio_folder.load(table(lambda who, file: "holdout"))


def test_everything_wrong_is_listed_at_once(folder):
    (folder / "no" / "damaged.wav").write_bytes(b"RIFF nothing")
    (folder / "yes" / "phone.m4a").write_bytes(b"\0" * 50)
    with pytest.raises(ValueError, match=r"(?s)2 recordings of .*damaged\.wav.*ffmpeg -i phone\.m4a"):
        audio_folder.load(folder)
    data = audio_folder.load(folder, policy="skip")
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 40
    copy = next((folder / "no").glob("*.flac"))
    (folder / "no" / "again.flac").write_bytes(copy.read_bytes())
    data = audio_folder.load(folder, policy="skip")
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 40  # the copy is left out
    (folder / "yes" / "other.flac").write_bytes(copy.read_bytes())
    with pytest.raises(ValueError, match=r"one class\. Received: the same one in 'no' and 'yes'"):
        audio_folder.load(folder, policy="skip")


def test_rows_of_a_table_that_say_nothing_are_refused_by_line(tmp_path):
    (tmp_path / "set").mkdir()
    soundfile.write(tmp_path / "set" / "a.wav", sound(0, 0), RATE)
    soundfile.write(tmp_path / "outside.wav", sound(0, 1), RATE)
    rows = ["a.wav,no,0,0.2", "../outside.wav,no,,", "b.wav,no,,", "a.wav,,,", "a.wav,no,soon,", "a.wav,no,0.3,0.1"]
    (tmp_path / "set" / "t.csv").write_text("path,label,start,end\n" + "\n".join(rows))
    with pytest.raises(ValueError, match="cannot be used") as refused:
        audio_folder.load(tmp_path / "set" / "t.csv")
    for words in (
        "line 3: ../outside.wav leads out",
        "line 4: there is no recording b.wav",
        "line 5: an empty field",
        "line 6: times are seconds, and 'soon'",
        "line 7: a part ends behind its start",
    ):
        assert words in str(refused.value)


def test_silence_at_the_ends_is_trimmed_where_asked(folder):
    for file in (folder / "no").iterdir():
        file.unlink()
    for number in range(20):
        padded = np.concatenate([np.zeros(8000), sound(0, number), np.zeros(1600)])
        padded[0] = 0.002
        soundfile.write(folder / "no" / f"{number}.wav", padded, RATE)
    kept = audio_folder.load(folder, seconds=2.0, rate=RATE)
    cut = audio_folder.load(folder, seconds=2.0, rate=RATE, trim=True)
    for data, middle in ((kept, 1600 + 8000 + 1600), (cut, 8000)):
        of_no = data.train.inputs[data.train.labels == 0]
        loud = [np.flatnonzero(np.abs(clip) > 2000) for clip in of_no]
        centres = [(places[0] + places[-1]) / 2 for places in loud]
        assert np.abs(np.array(centres) - middle).max() < 30


def test_what_holds_recordings_is_known(folder, tmp_path):
    assert recording_listing.holds_recordings(folder)
    (folder / "words.csv").write_text("text,label\nhello,no\n")
    assert not recording_listing.holds_recordings(folder / "words.csv")
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "1.png").write_bytes(b"")
    assert not recording_listing.holds_recordings(tmp_path / "pictures")
    with pytest.raises(FileNotFoundError, match="no folder of recordings"):
        audio_folder.load(tmp_path / "nothing")
