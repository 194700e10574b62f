"""Augmentation of recordings: training sounds that are changed at random, as settings and as Keras layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerastl.inputs import recordings
from kerastl.types.settings import Part, Place, Share, Weight

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class WaveformAugmentation:
    """How far training recordings are changed at random; nothing by default."""

    shift: Share = 0.0
    """Largest shift in time to either side, as a share of the recording."""
    speed: Part = 0.0
    """Largest change of speed to either side, as a share; pitch moves along (Ko et al. 2015)."""
    room: Weight = 0.0
    """Longest reverberation time of a room, seconds; half of the recordings are in one."""
    noise: Share = 0.0
    """Share of the recordings that noise is added to."""
    lowest_snr: float = 5.0
    """Lowest signal-to-noise ratio, decibels, over the whole recording."""
    highest_snr: float = 30.0
    """Highest signal-to-noise ratio, decibels."""
    noise_folder: Place = ""
    """Folder of recordings of noise; by default noise is made, from white to brown."""
    gain: Weight = 0.0
    """Largest change of loudness to either side, decibels."""
    mixup: Weight = 0.0
    """Mixup (Zhang et al. 2018): above 0 every recording is mixed with another one of its batch, 1 draws shares evenly.
    Labels are NOT mixed: a teacher answers to the mixed recording."""

    def build(self, seed: int = 0, *, rate: int = 16_000) -> keras.Sequential | None:
        """A model that takes a batch of recordings and returns randomly changed ones of the same shape.

        It takes float32 ``(batch, samples)`` in the scale of 16 bits, as `data.pipeline.batches` makes them of
        `inputs.waveform.Waveform`. It changes them unless it is called with ``training=False``.

        Args:
            seed: of the random stream.
            rate: samples a second.

        Returns:
            A ``keras.Sequential``, or ``None`` where nothing is asked for.

        Raises:
            FileNotFoundError: there is no such folder of noise.
            ValueError: it holds no recording that can be heard, or the lowest ratio is above the highest.
        """
        import keras

        from kerastl.inputs import random_layers, random_waveforms

        steps: list[keras.Layer] = []
        if self.shift or self.speed:
            steps.append(random_waveforms.RandomShift(shift=self.shift, speed=self.speed, seed=seed))
        if self.room:
            steps.append(random_waveforms.RandomRoom(self.room, rate=rate, seed=seed + 1))
        if self.mixup:
            steps.append(random_layers.Mixup(self.mixup, seed=seed + 2))
        if self.noise:
            own = noise_of(Path(self.noise_folder), rate=rate) if self.noise_folder else None
            snr = (self.lowest_snr, self.highest_snr)
            steps.append(random_waveforms.RandomNoise(snr, share=self.noise, recordings=own, seed=seed + 3))
        if self.gain:
            steps.append(random_waveforms.RandomGain(self.gain, seed=seed + 4))
        return keras.Sequential(steps, name="augment") if steps else None


def noise_of(folder: Path, *, rate: int, seconds: float = 2.0) -> np.ndarray:
    """The recordings of a folder as stretches of noise, int16 ``(count, seconds * rate)``, silent ones left out.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: nothing in it can be heard.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder of noise {folder}.")
    length, found = round(seconds * rate), []
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in recordings.ENDINGS:
            samples = recordings.read(file, rate=rate)
            samples = np.resize(samples, max(len(samples), length))  # a short one again and again
            found += [samples[start : start + length] for start in range(0, len(samples) - length + 1, length)]
    loud = [one for one in found if np.abs(one.astype(int)).max() > 0]
    if not loud:
        raise ValueError(f"Wanted recordings of noise ({', '.join(recordings.ENDINGS)}). Received: none in {folder}.")
    return np.stack(loud)
