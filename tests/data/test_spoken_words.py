"""Spoken words: what is said, by whom, and that no voice stands in two splits."""

import shutil

import numpy as np
import pytest

from kerastl.data import spoken_words, synthetic_voices

needs_voices = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
FEW = {"words": ("yes", "no"), "voices": 14, "background": True}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERASTL_HOME", str(tmp_path_factory.mktemp("home")))
        first = spoken_words.load(**FEW)
        patch.setattr(synthetic_voices, "speak", lambda *_, **__: pytest.fail("it was said before"))
        again = spoken_words.load(**FEW)
    assert again.digest == first.digest  # from the cache, bit by bit
    return first


@needs_voices
def test_every_voice_says_every_word_in_one_split_alone(spoken):
    assert spoken.task.target.names == ("yes", "no", "_unknown_", "_silence_")
    speakers = {}
    for split in (spoken.train, spoken.validation, spoken.test):
        assert split.inputs.shape[1:] == (16_000,)
        assert split.inputs.dtype == np.int16
        said = [origin.split(" by ") for origin in split.origins if " by " in origin]
        speakers[split.name] = {voice for _, voice in said}
        assert {word for word, voice in said if word in ("'yes'", "'no'")} == {"'yes'", "'no'"}
        assert not {"'yes'", "'no'"} & {
            word for (word, _), label in zip(said, split.labels[split.labels < 3], strict=True) if label == 2
        }
        assert np.bincount(split.labels, minlength=4).min() == len(speakers[split.name])
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values())) == 14
    assert not any(spoken.leakage.values())


@needs_voices
def test_clips_hold_a_word_and_silence_is_less_than_a_word(spoken):
    spoken.task.inputs.check(spoken.train.inputs, where="train")
    loudness = np.square(spoken.train.inputs.astype(float)).mean(1) ** 0.5
    words = spoken.train.labels < 2
    assert loudness[words].min() > 300
    assert loudness[spoken.train.labels == 3].min() < 50
    heard = [np.flatnonzero(np.abs(clip.astype(int)) > 300) for clip in spoken.train.inputs[words]]
    seconds = [(places[-1] - places[0]) / 16_000 for places in heard]
    assert 0.1 < min(seconds) < max(seconds) < 0.95
    centres = [(places[-1] + places[0]) / 2 for places in heard]
    assert np.abs(np.array(centres) - 8000).max() < 1500


@needs_voices
def test_words_that_cannot_be_told_apart_or_spoken_are_refused():
    for words, voices in ((("yes", "yes"), 20), (("yes",), 20), (("yes", " "), 20), (("yes", "no"), 3)):
        with pytest.raises(ValueError, match="Wanted two different words at least, and eight voices"):
            spoken_words.load(words=words, voices=voices)


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install espeak-ng flite"):
        spoken_words.load()
