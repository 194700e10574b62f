"""Spoken words without a recording: whatever words are typed, said by many synthetic voices.

No voice stands in two splits. Beside the words two classes may be asked for, which an application that listens all day
has to have (Warden 2018, "Speech Commands", section 4): other words, and no speech at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from kerastl import types
from kerastl.data import splits, synthetic_voices
from kerastl.inputs import recordings
from kerastl.inputs.waveform import Waveform
from kerastl.system import atomic_files, downloads
from kerastl.tasks.single_label import SingleLabel

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
UNKNOWN, SILENCE = "_unknown_", "_silence_"
"""Names of the classes of other words and of no speech, as Speech Commands has them."""
_OTHERS = (
    *("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow", "backward", "forward"),
    *("follow", "learn", "visual", "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    *("water", "music", "table", "window", "orange", "yellow", "morning", "people", "garden", "doctor", "paper"),
    *("summer", "little", "under", "never", "better", "river", "minute", "again", "because", "children", "hello"),
)
"""Words that "unknown" is made of, those that are asked for left out."""
_RATE = 16_000


def load(
    *,
    words: Sequence[str] = DIGITS,
    voices: int = 120,
    background: bool = False,
    language: str = "en",
    seconds: float = 1.0,
    seed: int = 0,
    validation: int | float = 0.15,
    limit: int | None = None,
) -> types.Dataset:
    """Each word said by each voice, a clip a time.

    Args:
        words: to be told apart, two at least, spelled as they are spoken.
        voices: speakers in all; 15 % of them are test voices.
        background: whether there are the classes `UNKNOWN` and `SILENCE`, each of as many clips as a word has.
        language: of the voices, see `synthetic_voices.voices`.
        seconds: of a clip; a word that takes longer is cut to its loudest stretch.
        seed: of voices, of the split, and of noise.
        validation: share, or number, of the clips of the other voices that validate, by whole voices.
        limit: keeps so many training clips, see `splits.dataset`.

    Returns:
        Inputs int16 ``(examples, 16000 * seconds)``, labels int32.

    Raises:
        FileNotFoundError: espeak-ng is not installed.
        ValueError: fewer than two words, or one that cannot be spoken; fewer than eight voices.
    """
    words = tuple(word.strip() for word in words)
    if len(set(words)) != len(words) or len(words) + 2 * background < 2 or not all(words) or voices < 8:
        raise ValueError(
            "Wanted two different words at least, and eight voices. Received: "
            f"{', '.join(map(repr, words)) or 'no words'}, {voices} voices."
        )
    speakers = synthetic_voices.voices(voices, seed=seed, language=language)
    names = (*words, *((UNKNOWN, SILENCE) if background else ()))
    others = [word for word in _OTHERS if word not in words]
    draw, length = np.random.default_rng(seed), round(_RATE * seconds)
    lines = [
        (others[draw.integers(len(others))] if name == UNKNOWN else name, speaker, label)
        for speaker in speakers
        for label, name in enumerate(names)
        if name != SILENCE
    ]
    clips = [recordings.of_length(clip, length) for clip in _spoken([line[:2] for line in lines])]
    labels, spoken_by = [label for _, _, label in lines], [str(speaker) for _, speaker, _ in lines]
    origins = [f"{text!r} by {speaker}" for text, speaker, _ in lines]
    if background:
        clips += [_noise(length, draw) for _ in speakers]
        labels += [names.index(SILENCE)] * len(speakers)
        spoken_by += [str(speaker) for speaker in speakers]  # so that each split has some
        origins += [f"noise {number}" for number in range(len(speakers))]
    table, marks = np.stack(clips), np.array(labels, np.int32)
    tested = {str(speaker) for speaker in speakers[: max(round(0.15 * voices), 2)]}
    is_test = np.array([speaker in tested for speaker in spoken_by])
    arrays = {}
    for part, rows in (("train", ~is_test), ("test", is_test)):
        arrays |= {f"{part}_inputs": table[rows], f"{part}_labels": marks[rows]}
        arrays[f"{part}_origins"] = np.array(origins, object)[rows]
    arguments = {"words": list(words), "voices": voices, "background": background}
    return splits.dataset(
        types.Task("spoken_words", Waveform(length, _RATE), SingleLabel(names)),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="spoken_words",
        arguments=arguments | {"language": language, "seconds": seconds},
        groups=np.array(spoken_by)[~is_test],
    )


def _spoken(lines: Sequence[tuple[str, synthetic_voices.Voice]]) -> list[np.ndarray]:
    """As `synthetic_voices.speak`, from the cache where the same program has said the same before."""
    said = "\n".join([synthetic_voices.version(), *(f"{text!r} {voice}" for text, voice in lines)])
    path = downloads.workspace() / "data" / f"spoken-{hashlib.sha256(said.encode()).hexdigest()[:16]}.npz"
    if path.is_file():
        with np.load(path) as archive:
            clips, ends = archive["clips"], archive["ends"]
        if archive_is_whole(clips, ends, len(lines)):
            return np.split(clips, ends[:-1])
    heard = synthetic_voices.speak(lines, rate=_RATE)
    ends = np.cumsum([len(clip) for clip in heard])
    with atomic_files.atomic_replace(path, flush=False) as temporary:
        np.savez(temporary, clips=np.concatenate(heard), ends=ends)
    return heard


def archive_is_whole(clips: np.ndarray, ends: np.ndarray, count: int) -> bool:
    """Whether a cache holds so many clips and all of their samples."""
    return clips.dtype == np.int16 and len(ends) == count and len(clips) == ends[-1] and bool((np.diff(ends) > 0).all())


def _noise(length: int, draw: np.random.Generator) -> np.ndarray:
    """No speech: noise whose power falls with frequency by a power of its own, hum beside some of it.

    The quietest is a few of 32,768 steps: digital silence would be the same clip in every split.
    """
    spectrum = np.fft.rfft(draw.normal(size=length))
    falls = draw.uniform(0, 2)  # white, pink, brown
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (falls / 2)
    sound = np.fft.irfft(spectrum, length)
    sound /= np.abs(sound).max()
    if draw.random() < 0.3:
        hum = draw.choice((50, 60)) * np.arange(1, 5)[:, None] * np.arange(length) / _RATE
        sound = sound / 3 + (np.sin(2 * np.pi * hum) / np.arange(1, 5)[:, None]).sum(0) / 3
    return recordings.to_int16(sound * draw.choice((0.0002, 0.001, 0.01, 0.05, 0.2), p=(0.1, 0.2, 0.3, 0.2, 0.2)))
