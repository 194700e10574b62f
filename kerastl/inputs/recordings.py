"""One way from a recording to samples: training, evaluation and prediction hear the same.

One channel (the mean of several), 16 bits, one rate; what is longer than asked is cut to its loudest stretch, what is
shorter stands in the middle of silence.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import numpy as np

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf")
"""Of recordings that are read, by `soundfile`."""
FOREIGN = (".m4a", ".aac", ".wma", ".amr", ".webm", ".mp4")
"""Endings of recordings in formats that are not read: they are listed, not passed over."""
FULL_SCALE = 32768
"""Of a sample that is 1.0 where recordings are numbers in -1..1."""
LONGEST = 3600
"""Seconds of a recording that are read at most."""
_RATES = (1000, 768_000)
"""Lowest and highest rate that a recording may have: a header can claim any, and resampling makes as many samples."""
_CHUNK = 1 << 22
"""Numbers that are read at once, all channels together."""


class RecordingError(ValueError):
    """A recording that is not accepted, and why."""


def read(source: Path | IO[bytes], *, rate: int = 16_000, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """The samples of a recording, or of a part of it, at a rate.

    Args:
        source: path or open file of a WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF, AU or CAF, by its contents.
        rate: samples a second; others are resampled by a polyphase filter (scipy's `resample_poly`).
        start, end: seconds of the part that is read, to the end by default.

    Returns:
        int16 ``(samples,)``, one channel.

    Raises:
        FileNotFoundError: there is no such file.
        RecordingError: no recording, of another format, damaged, empty, longer than `LONGEST`, or a part that it has
            not.
        ModuleNotFoundError: `soundfile` is not installed, which a light installation does without.
    """
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Recordings are read by soundfile: pip install soundfile scipy.") from error
    if isinstance(source, Path) and not source.is_file():
        raise FileNotFoundError(f"There is no recording {source}.")
    name = source if isinstance(source, Path) else "the recording"
    if isinstance(source, Path) and source.suffix.lower() in FOREIGN:
        raise RecordingError(
            f"{name} is a {source.suffix}, which is not read. Make a WAV of it: ffmpeg -i {source.name} "
            f"{source.stem}.wav"
        )
    try:
        with soundfile.SoundFile(source) as file:
            if not _RATES[0] <= file.samplerate <= _RATES[1]:
                raise RecordingError(
                    f"Wanted {_RATES[0]:,} to {_RATES[1]:,} samples a second. Received: {file.samplerate:,} in {name}."
                )
            seconds = file.frames / file.samplerate
            behind = seconds if end is None else end
            if not 0 <= start < behind <= seconds + 0.1 or behind - start > LONGEST:
                raise RecordingError(
                    f"Wanted a part of {name}, of {seconds:.2f} seconds, and {LONGEST} seconds at most. Received: from "
                    f"{start:.2f} to {behind:.2f}."
                )
            first = int(start * file.samplerate)
            file.seek(first)
            frames, own_rate = round(behind * file.samplerate) - first, file.samplerate
            blocks = file.blocks(max(_CHUNK // file.channels, 1), frames=frames, dtype="float32", always_2d=True)
            found = np.concatenate([np.zeros(0, np.float32), *(block.mean(axis=1) for block in blocks)])
    except soundfile.SoundFileError as error:
        raise RecordingError(f"{name} is no recording that can be read: {_why(error)}") from error
    if not len(found) or not np.isfinite(found).all():
        raise RecordingError(f"{name} has no samples that can be heard.")
    return to_int16(resampled(found, own_rate, rate))


def _why(error: Exception) -> str:
    """What the library says, without the path that stands before it."""
    words = str(getattr(error, "error_string", error)).strip()
    return words if words.endswith(".") else f"{words}."


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples at another rate, ``(samples,)`` float32: a polyphase filter with a Kaiser window."""
    if rate == wanted:
        return np.asarray(samples, np.float32)
    from scipy import signal

    divisor = np.gcd(rate, wanted)
    return signal.resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Numbers in -1..1 as 16 bits; what lies outside is cut off, as any recorder does."""
    return np.clip(np.rint(np.asarray(samples) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def of_length(samples: np.ndarray, length: int) -> np.ndarray:
    """So many samples: the stretch with the most energy of a longer recording, a shorter one in the middle of silence.

    Args:
        samples: int16 ``(samples,)``.
        length: wanted.
    """
    if len(samples) <= length:
        before = (length - len(samples)) // 2
        return np.pad(samples, (before, length - len(samples) - before))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples.astype(np.float64)))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Without what is quieter than a hundredth of the loudest sample (40 dB below it), at both ends."""
    loudness = np.abs(samples.astype(np.int32))
    loud = np.flatnonzero(loudness > 0.01 * loudness.max(initial=0))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def mp3(samples: np.ndarray, rate: int) -> bytes:
    """Samples as a small MP3, which every browser plays."""
    import soundfile

    sink = io.BytesIO()
    soundfile.write(sink, np.asarray(samples, np.int16), rate, format="MP3", subtype="MPEG_LAYER_III")
    return sink.getvalue()
