"""Synthetic voices: espeak-ng's accents and variants, and flite's recorded ones, each at speeds and pitches of its own.

A network that has heard nothing but these recognizes people, where what it hears with was pretrained on people: see
`models.pretrained.speech_embedding`. Neither program comes with kerastl: ``apt-get install espeak-ng flite`` on Debian
and Ubuntu, ``brew install espeak-ng flite`` on macOS.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerastl.inputs import recordings
from kerastl.system import children

_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
"""Of English, by their names in espeak-ng."""
_UNLIKE_PEOPLE = ("whisper", "robosoft", "announcer", "Demonic", "fast", "UniRobot", "anikaRobot", "croak", "Tweaky")
"""Beginnings of the names of espeak-ng's variants that no person sounds like."""
_RECORDED = ("slt", "rms", "awb", "kal16")
"""Voices of flite that speak at 16 kHz: four people."""
_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Voice:
    """A speaker.

    Attributes:
        program: ``"espeak-ng"`` or ``"flite"``.
        name: as the program calls it.
        words_a_minute: how fast.
        pitch: 0..99 of espeak-ng, hertz of flite.
    """

    program: str
    name: str
    words_a_minute: int
    pitch: int

    def __str__(self) -> str:
        return f"{self.program} {self.name} {self.words_a_minute} {self.pitch}"


def require() -> None:
    """Raises `FileNotFoundError` with what to install where there is no espeak-ng."""
    if shutil.which("espeak-ng") is None:
        raise FileNotFoundError(
            "Words are spoken by espeak-ng, which is not installed: apt-get install espeak-ng flite (Debian, Ubuntu), "
            "brew install espeak-ng flite (macOS). Or give recordings with --data FOLDER."
        )


@functools.cache
def version() -> str:
    """What speaks here, which data that was spoken depends on."""
    require()
    spoken = _output(["espeak-ng", "--version"]).decode(errors="replace").split("Data at")[0].strip()
    return f"{spoken}; {'flite' if shutil.which('flite') else 'no flite'}"


def voices(count: int, *, seed: int, language: str = "en") -> tuple[Voice, ...]:
    """So many different speakers, drawn by a seed; of English flite's as well where it is installed.

    Args:
        count: speakers.
        seed: of accents, variants, speeds and pitches.
        language: ``"en"`` for all accents of English, else a voice of espeak-ng (``espeak-ng --voices``): ``"de"``.

    Raises:
        FileNotFoundError: as `require`.
        ValueError: there is no such language.
    """
    require()
    draw = np.random.default_rng(seed)
    accents = _ACCENTS if language == "en" else (language,)
    if not _output(["espeak-ng", f"--voices={language}"]).decode(errors="replace").splitlines()[1:]:
        raise ValueError(f"Wanted a language of espeak-ng, see `espeak-ng --voices`. Received: {language!r}.")
    lines = _output(["espeak-ng", "--voices=variant"]).decode(errors="replace").splitlines()[1:]
    # the file's name is what -v takes behind the plus
    variants = sorted({line.split("!v/")[1].split()[0] for line in lines if "!v/" in line})
    human = [name for name in variants if not name.startswith(_UNLIKE_PEOPLE)]
    pairs = [f"{accent}+{variant}" for variant in human for accent in accents]
    order = draw.permutation(len(pairs))
    recorded = _RECORDED if language == "en" and shutil.which("flite") else ()
    found = [
        Voice("flite", name, int(draw.integers(120, 190)), {"slt": 180, "rms": 100, "awb": 130, "kal16": 105}[name])
        for name in recorded
    ]
    for number in range(max(count - len(found), 0)):
        name = pairs[order[number % len(pairs)]]
        found.append(Voice("espeak-ng", name, int(draw.integers(110, 200)), int(draw.integers(20, 85))))
    return tuple(found[place] for place in draw.permutation(len(found))[:count])


def speak(lines: Sequence[tuple[str, Voice]], *, rate: int = 16_000) -> list[np.ndarray]:
    """What each voice says, int16 at a rate, silence at both ends taken off.

    Args:
        lines: a text and who says it.
        rate: samples a second.

    Raises:
        FileNotFoundError: as `require`.
        ValueError: a voice says nothing to a text.
    """
    require()
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1) * 2) as pool:
        heard = list(pool.map(lambda line: recordings.trimmed(_spoken(*line, rate=rate)), lines))
    for (text, voice), samples in zip(lines, heard, strict=True):
        if not len(samples):
            raise ValueError(f"Wanted words that can be spoken. Received: {text!r}, to which {voice} says nothing.")
    return heard


def _spoken(text: str, voice: Voice, *, rate: int) -> np.ndarray:
    if voice.program == "espeak-ng":
        settings = ["-v", voice.name, "-s", str(voice.words_a_minute), "-p", str(voice.pitch)]
        sound = _output(["espeak-ng", *settings, "--stdin", "--stdout"], text)
        # a WAV that is written into a pipe does not know its length
        samples, own = np.frombuffer(sound[44:], "<i2"), int.from_bytes(sound[24:28], "little")
        return recordings.to_int16(recordings.resampled(samples / recordings.FULL_SCALE, own, rate))
    with tempfile.TemporaryDirectory(prefix="kerastl-") as folder:
        words, made = Path(folder, "words.txt"), Path(folder, "spoken.wav")
        words.write_text(text, encoding="utf-8")
        stretch = 150 / voice.words_a_minute
        settings = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={voice.pitch}"]
        _output(["flite", "-voice", voice.name, *settings, "-f", str(words), "-o", str(made)])
        return recordings.read(io.BytesIO(made.read_bytes()), rate=rate)


def _output(command: Sequence[str], text: str = "") -> bytes:
    done = subprocess.run(children.tied(command), input=text.encode(), capture_output=True, timeout=_SECONDS)
    if done.returncode:
        raise ValueError(f"{command[0]} does not speak: {done.stderr.decode(errors='replace').strip()[:200]}")
    return done.stdout
