"""What is wrong with recordings: unreadable, clipped, silent, of another rate, the same ones twice, speakers in two
splits.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl.data import audio_folder, class_order, duplicates, recording_listing
from kerastl.data.recording_listing import Clip, Columns
from kerastl.data.tables.table import Layout
from kerastl.inputs import recordings
from kerastl.system import phrases
from kerastl.types import Finding

RATE = 16_000
"""Samples a second at which recordings are compared, and which models of speech take."""
_CLIPPED = 0.001
"""Share of samples at full scale above which a recording is clipped: two in a thousand are heard as crackling."""
_SILENT = 33
"""Largest sample of 16 bits, of either sign, that counts as silence: 60 dB below full scale."""
_ALIKE = 0.95
"""Correlation of two recordings, one shifted against the other, from which they are one recording."""
_HOP, _FFT = 256, 512
_BANDS = ((4, 20), (20, 60), (60, 160))
"""Bins of the bands whose peaks are compared: of the pitch and the formants of a voice, 125 to 5,000 Hz."""
_LONGEST = 10 * RATE
"""Samples of a recording that are compared."""
_RIVALS = 8
"""Recordings with the most marks in common that each one is compared with."""
_MOST = 10_000
"""Recordings among which shifted copies are looked for."""


def audit(path: Path, *, columns: Columns, layout: Layout, near: bool = True) -> list[Finding]:
    """Findings about a folder or a table of recordings.

    Args:
        path, columns, layout: see `recording_listing.listed`.
        near: whether copies that are shifted, louder or encoded anew are looked for as well, see `copies`.
    """
    try:
        clips, said = recording_listing.listed(path, columns, layout)
    except (ValueError, FileNotFoundError) as error:
        return [Finding("error", path.name, str(error))]
    found = [Finding("note", path.name, sentence) for sentence in said]
    root = path if path.is_dir() else path.parent
    read = audio_folder.read_all(clips, rate=RATE)
    names = [_name(clip, root) for clip in clips]
    for name, (_, samples) in zip(names, read, strict=True):
        if isinstance(samples, str):
            found.append(Finding("error", name, samples))
    good = [index for index, (_, samples) in enumerate(read) if not isinstance(samples, str)]
    sounds = {index: np.asarray(read[index][1]) for index in good}
    found += _of_sound(sounds, names)
    found += _rates(clips, root)
    found += _lengths(sounds, names)
    found += _classes([clips[index] for index in good], clips)
    found += _speakers(clips)
    rows: dict[str, list[tuple[bytes, str, object]]] = collections.defaultdict(list)
    for index in good:
        digest = hashlib.sha256(sounds[index].tobytes()).digest()
        rows[clips[index].split or "train"].append((digest, names[index], clips[index].label))
    duplicates.exact(rows, found)
    if near:
        found += _near(sounds, clips, names)
    return found


def copies(sounds: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of recordings that are one: shifted in time, louder or quieter, or encoded anew, and not sample for sample.

    Their waveforms correlate at some shift by `_ALIKE` at least: phase keeps two takes of a word by one speaker apart,
    which spectra would not. Candidates are those whose strongest frequencies over time agree, so that not every pair
    has to be compared.

    Args:
        sounds: int16 ``(samples,)`` each, at `RATE`.

    Returns:
        Indices of both, the smaller one first, each recording with the first one that it is a copy of.
    """
    buckets: dict[bytes, list[int]] = collections.defaultdict(list)
    found, taken = [], set()
    ready = [_ready(one) for one in sounds]
    for index, one in enumerate(ready):
        if one is None:
            continue
        rivals: collections.Counter[int] = collections.Counter()
        keys = set(_marks(one))
        for key in keys:
            rivals.update(buckets[key])
            buckets[key].append(index)
        for rival, shared in rivals.most_common(_RIVALS):
            other = ready[rival]
            enough = shared >= max(len(keys) // 10, 2)
            if enough and other is not None and rival not in taken and correlation(one, other) >= _ALIKE:
                if not np.array_equal(sounds[index], sounds[rival]):
                    found.append((rival, index))
                taken.add(index)
                break
    return found


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The largest correlation of two sounds over all shifts, by the energy of both: 1 for shifted copies."""
    length = 1 << (len(one) + len(other) - 1).bit_length()
    product = np.fft.rfft(one, length) * np.conj(np.fft.rfft(other, length))
    energy = np.sqrt(np.square(one).sum() * np.square(other).sum())
    return float(np.fft.irfft(product, length).max() / energy) if energy else 0.0


def _ready(samples: np.ndarray) -> np.ndarray | None:
    """Samples as numbers, without silence at the ends; nothing of what is silent or too short to be compared."""
    loud = recordings.trimmed(samples[:_LONGEST]).astype(np.float64)
    if len(loud) < 4 * _FFT or np.abs(loud).max() <= _SILENT:
        return None
    return loud - loud.mean()


def _marks(sound: np.ndarray) -> list[bytes]:
    """Pairs of the loudest peaks of the spectrogram and how far apart they are (Wang 2003, "An Industrial-Strength
    Audio Search Algorithm"): the same wherever a recording begins.
    """
    count = (len(sound) - _FFT) // _HOP + 1
    frames = sound[np.arange(count)[:, None] * _HOP + np.arange(_FFT)] * np.hanning(_FFT)
    power = np.abs(np.fft.rfft(frames, axis=-1))
    found = []
    for number, (low, high) in enumerate(_BANDS):
        band = power[:, low:high]
        peaks, loud = band.argmax(1) // 2, band.max(1) > 0.1 * band.max()
        for first in np.flatnonzero(loud):
            for second in range(first + 2, min(first + 6, count)):
                if loud[second]:
                    found.append(bytes((number, int(peaks[first]), int(peaks[second]), second - first)))
    return found


def _name(clip: Clip, root: Path) -> str:
    inside = clip.file.relative_to(root) if clip.file.is_relative_to(root) else clip.file
    return inside.as_posix() + clip.times


def _listed(severity: str, where: str, names: Sequence[str], one: str, many: str) -> list[Finding]:
    if not names:
        return []
    return [Finding(severity, where, f"{phrases.counted(len(names), one, many)}: {duplicates.some(list(names))}")]


def _of_sound(sounds: Mapping[int, np.ndarray], names: Sequence[str]) -> list[Finding]:
    silent, clipped = [], []
    for index, samples in sounds.items():
        loudness = np.abs(samples.astype(np.int32))
        if loudness.max(initial=0) <= _SILENT:
            silent.append(names[index])
        elif (loudness >= 32_700).mean() > _CLIPPED:
            clipped.append(names[index])
    return [
        *_listed("warning", "sound", silent, "recording is silent", "recordings are silent"),
        *_listed("warning", "sound", clipped, "recording is clipped", "recordings are clipped"),
    ]


def _rates(clips: Sequence[Clip], root: Path) -> list[Finding]:
    """What rates recordings have: mixed ones tell classes or speakers apart that sound alike."""
    import soundfile

    counts: collections.Counter[int] = collections.Counter()
    of_class: dict[int, set[str]] = collections.defaultdict(set)
    rates: dict[Path, int] = {}
    for clip in clips:
        try:
            rate = rates.setdefault(clip.file, soundfile.info(str(clip.file)).samplerate)
        except soundfile.SoundFileError:  # it is among what cannot be read
            continue
        counts[rate] += 1
        of_class[rate].add(clip.label)
    found = []
    low = {rate: count for rate, count in counts.items() if rate < RATE}
    if low:
        words = ", ".join(f"{count:,} of {rate:,} Hz" for rate, count in sorted(low.items()))
        found.append(
            Finding("warning", root.name, f"recordings below {RATE:,} Hz lack the upper half of speech: {words}")
        )
    if len(counts) > 1:
        every = set().union(*of_class.values())
        telling = [rate for rate, labels in of_class.items() if labels != every]
        words = ", ".join(f"{count:,} of {rate:,} Hz" for rate, count in sorted(counts.items()))
        severity = "warning" if telling else "note"
        more = f"; not every class has recordings of {min(telling):,} Hz, which gives them away" if telling else ""
        found.append(Finding(severity, root.name, f"several rates: {words}{more}"))
    return found


def _lengths(sounds: Mapping[int, np.ndarray], names: Sequence[str]) -> list[Finding]:
    if not sounds:
        return []
    seconds = np.array([len(samples) for samples in sounds.values()]) / RATE
    short = [names[index] for index, samples in sounds.items() if len(samples) < RATE // 10]
    words = f"{np.median(seconds):.2f} seconds in the middle, {seconds.min():.2f} to {seconds.max():.2f}"
    return [
        Finding("note", "sound", f"recordings of {words}"),
        *_listed("warning", "sound", short, "recording is shorter than a tenth of a second", "recordings are so short"),
    ]


def _classes(good: Sequence[Clip], clips: Sequence[Clip]) -> list[Finding]:
    counts = collections.Counter(clip.label for clip in good)
    counts.update(dict.fromkeys((clip.label for clip in clips), 0))
    names = sorted(counts, key=class_order.natural)
    words = ", ".join(f"{name} {counts[name]:,}" for name in names[:20]) + (" ..." if len(names) > 20 else "")
    found = [Finding("note", "labels", f"{phrases.counted(len(names), 'class', 'classes')}: {words}")]
    if empty := [name for name in names if not counts[name]]:
        found.append(Finding("error", "labels", f"no recording that can be read of {', '.join(empty)}"))
    splits_of = {split for split in (clip.split for clip in good) if split}
    for split in sorted(splits_of):
        there = {clip.label for clip in good if clip.split == split}
        if absent := [name for name in names if name not in there]:
            found.append(Finding("error", split, f"no example of class {duplicates.some(absent)}"))
    return found


def _speakers(clips: Sequence[Clip]) -> list[Finding]:
    stands: dict[str, set[str]] = collections.defaultdict(set)
    for clip in clips:
        if clip.group and clip.split:
            stands[clip.group].add(clip.split)
    torn = [f"{who} in {' and '.join(sorted(where))}" for who, where in stands.items() if len(where) > 1]
    found = _listed("error", "speakers", torn, "speaker stands in several splits", "speakers stand in several splits")
    groups = {clip.group for clip in clips if clip.group}
    return found + ([Finding("note", "speakers", f"{len(groups):,} speakers")] if groups else [])


def _near(sounds: Mapping[int, np.ndarray], clips: Sequence[Clip], names: Sequence[str]) -> list[Finding]:
    places = list(sounds)[:_MOST]
    pairs = [(places[one], places[other]) for one, other in copies([sounds[place] for place in places])]
    within, across = [], []
    for one, other in pairs:
        words = f"{names[one]} ~ {names[other]}"
        (within if clips[one].split == clips[other].split else across).append(words)
    shifted = "the same recording, shifted or encoded anew"
    return [
        *_listed("error", "splits", across, f"pair across splits is {shifted}", f"pairs across splits are {shifted}"),
        *_listed("warning", "sound", within, f"pair is {shifted}", f"pairs are {shifted}"),
    ]
