"""Recorded digits: three people say ten words each, in their own sound."""

import numpy as np
import pytest
import soundfile

from kerastl.data import recorded_digits, spoken_words
from kerastl.inputs.waveform import Waveform
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


def task_of(names) -> Task:
    return Task("digits", Waveform(16_000), SingleLabel(tuple(names)))


@pytest.fixture(scope="module")
def split():
    try:
        recorded_digits.fetch()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return recorded_digits.as_test_split(task_of(("other", *reversed(spoken_words.DIGITS))))


def test_three_people_say_each_digit_once(split):
    assert split.inputs.shape == (30, 16_000)
    said = [origin.split("/") for origin in split.origins]
    assert {who for who, _ in said} == {"asterisk", "tuxpaint", "tuxpaint_en_GB"}
    assert [int(digit) for _, digit in said] == [*range(10)] * 3
    words = [split.task.target.names[label] for label in split.labels]
    assert words == list(spoken_words.DIGITS) * 3  # whatever order the classes have
    assert len({clip.tobytes() for clip in split.inputs}) == 30
    assert np.abs(split.inputs.astype(int)).max(1).min() > 2000


def test_what_is_heard_is_the_file(split):
    (path,) = [path for name, path in downloads.fetch(recorded_digits.SPEAKERS["asterisk"]).items() if name == "7.wav"]
    own, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    heard = split.inputs[list(split.origins).index("asterisk/7")]
    inside = heard[8000 - len(own) : 8000 + len(own)].astype(float)  # in the middle of silence
    assert np.corrcoef(inside[::2], own[: len(inside[::2])])[0, 1] > 0.95


def test_other_words_are_refused():
    with pytest.raises(ValueError, match=r"ten digits.*yes, no"):
        recorded_digits.as_test_split(task_of(("yes", "no")))
