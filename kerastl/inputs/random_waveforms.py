"""Random changes of training recordings, as Keras layers; `waveform_augmentation` puts them in a row.

Recordings are float32 ``(batch, samples)`` in the scale of 16 bits, as training batches hold them.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

_LOUDEST = 32_767.0


class RandomShift(layers.Layer):
    """Moves every recording in time and plays it faster or slower, about its middle, in one resampling.

    Faster is higher: pitch moves along, as where a tape runs faster (Ko et al. 2015, "Audio Augmentation for Speech
    Recognition", section 2). What moves in from outside is silence. Values between samples are those of Catmull-Rom's
    cubic; a shift alone is by whole samples and changes none.

    Args:
        shift: largest shift to either side, a share of the recording.
        speed: largest change of speed to either side, a share: 0.1 is 0.9 to 1.1 times.
        seed: of the random stream.
    """

    def __init__(self, *, shift: float = 0.0, speed: float = 0.0, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.shift, self.speed = shift, speed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Recordings ``(batch, samples)`` to recordings of the same shape."""
        if not training:
            return inputs
        batch, samples = ops.shape(inputs)[0], inputs.shape[1]
        moved = samples * keras.random.uniform((batch, 1), -self.shift, self.shift, seed=self.seed_generator)
        if not self.speed:
            places = ops.arange(samples, dtype="int32")[None] - ops.cast(ops.round(moved), "int32")
            return _at(inputs, places)
        factor = 1 + keras.random.uniform((batch, 1), -self.speed, self.speed, seed=self.seed_generator)
        middle = (samples - 1) / 2
        return resampled(inputs, middle + (ops.arange(samples, dtype="float32")[None] - middle) * factor - moved)


class RandomGain(layers.Layer):
    """Makes every recording louder or quieter; what leaves 16 bits is cut off, as recorders do.

    Args:
        decibels: largest change to either side: 6 is half or twice.
        seed: of the random stream.
    """

    def __init__(self, decibels: float, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.decibels = decibels
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Recordings ``(batch, samples)`` to recordings of the same shape."""
        if not training:
            return inputs
        drawn = keras.random.uniform((ops.shape(inputs)[0], 1), -self.decibels, self.decibels, seed=self.seed_generator)
        return ops.clip(inputs * ops.power(10.0, drawn / 20), -_LOUDEST - 1, _LOUDEST)


class RandomNoise(layers.Layer):
    """Adds noise at a signal-to-noise ratio that is drawn for every recording.

    Both powers are means over the whole recording, silence around a word included. Silence stays silent.

    Args:
        snr: lowest and highest ratio, decibels.
        share: of the recordings that get any.
        recordings: int16 ``(count, samples)`` of noise, of which one is drawn for each; by default noise whose power
            falls with frequency by a power between 0 (white) and 2 (brown), each its own.
        seed: of the random stream.

    Raises:
        ValueError: the lowest ratio is above the highest, or recordings are silent or none.
    """

    def __init__(
        self,
        snr: tuple[float, float],
        *,
        share: float = 1.0,
        recordings: np.ndarray | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not snr[0] <= snr[1]:
            raise ValueError(f"Wanted the lowest ratio, then the highest, in decibels. Received: {snr}.")
        if recordings is not None and (not len(recordings) or not np.abs(recordings.astype(int)).sum(1).all()):
            raise ValueError(f"Wanted recordings of noise. Received: {len(recordings)}, some of them silent, or none.")
        self.snr, self.share = snr, share
        self.recordings = None if recordings is None else recordings.astype(np.float32)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Recordings ``(batch, samples)`` to recordings of the same shape."""
        if not training:
            return inputs
        batch, samples = ops.shape(inputs)[0], inputs.shape[1]
        noise = self._noise(batch, samples)
        ratio = keras.random.uniform((batch, 1), *self.snr, seed=self.seed_generator)
        wanted = ops.mean(ops.square(inputs), axis=1, keepdims=True) * ops.power(10.0, -ratio / 10)
        noise *= ops.sqrt(wanted / ops.mean(ops.square(noise), axis=1, keepdims=True))
        with_noise = keras.random.uniform((batch, 1), seed=self.seed_generator) < self.share
        return ops.clip(inputs + ops.where(with_noise, noise, 0.0), -_LOUDEST - 1, _LOUDEST)

    def _noise(self, batch: Any, samples: int) -> Any:
        if self.recordings is None:
            return coloured(
                keras.random.normal((batch, samples), seed=self.seed_generator),
                keras.random.uniform((batch, 1), 0.0, 2.0, seed=self.seed_generator),
            )
        rows = keras.random.randint((batch,), 0, len(self.recordings), seed=self.seed_generator)
        chosen = ops.take(ops.convert_to_tensor(self.recordings), rows, axis=0)
        start = keras.random.randint((batch, 1), 0, 2**30, seed=self.seed_generator)
        places = (ops.arange(samples, dtype="int32")[None] + start % chosen.shape[1]) % chosen.shape[1]
        return ops.take_along_axis(chosen, places, axis=1) + 1e-3  # a stretch of a recording may be silent


class RandomRoom(layers.Layer):
    """Lets recordings sound in a room: each is convolved with an impulse response of its own.

    The response is the direct sound, and noise that dies away exponentially behind it (Polack 1988's model of late
    reverberation); the power of the recording stays.

    Args:
        seconds: longest reverberation time, until the sound has lost 60 dB; drawn evenly from a tenth of that.
        share: of the recordings that are in a room.
        rate: samples a second.
        seed: of the random stream.
    """

    def __init__(
        self, seconds: float, *, share: float = 0.5, rate: int = 16_000, seed: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.seconds, self.share, self.rate = seconds, share, rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Recordings ``(batch, samples)`` to recordings of the same shape."""
        if not training:
            return inputs
        batch, samples = ops.shape(inputs)[0], inputs.shape[1]
        taps = max(round(self.seconds * self.rate), 2)
        until = keras.random.uniform((batch, 1), 0.1, 1.0, seed=self.seed_generator) * taps
        late = keras.random.normal((batch, taps - 1), seed=self.seed_generator)
        late *= ops.power(10.0, -3 * ops.arange(1, taps, dtype="float32")[None] / until)
        ratio = keras.random.uniform((batch, 1), 0.2, 1.0, seed=self.seed_generator)  # of reverberation to direct sound
        late *= ratio / ops.sqrt(ops.sum(ops.square(late), axis=1, keepdims=True))
        heard = convolved(inputs, ops.concatenate([ops.ones((batch, 1)), late], axis=1))[:, :samples]
        power, after = (ops.mean(ops.square(one), axis=1, keepdims=True) for one in (inputs, heard))
        heard *= ops.sqrt(power / ops.maximum(after, 1e-6))
        inside = keras.random.uniform((batch, 1), seed=self.seed_generator) < self.share
        return ops.clip(ops.where(inside, heard, inputs), -_LOUDEST - 1, _LOUDEST)


@keras.saving.register_keras_serializable(package="kerastl")
class SpectrogramMasks(layers.Layer):
    """Masks bands and stretches of a spectrogram at random, in training alone: SpecAugment.

    Park et al. 2019, "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", section 2,
    without its time warping, which they found to matter least. What is masked is the mean of the spectrogram.

    Args:
        bands: how many masks of frequencies, each up to ``band`` of them wide, a share.
        stretches: how many masks of time, each up to ``stretch`` of it long, a share.
        seed: of the random stream.
    """

    def __init__(
        self,
        *,
        bands: int = 2,
        band: float = 0.15,
        stretches: int = 2,
        stretch: float = 0.15,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.settings = {"bands": bands, "band": band, "stretches": stretches, "stretch": stretch, "seed": seed}
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Spectrograms ``(batch, frames, frequencies)``, with channels or without, to such of the same shape."""
        if not training:
            return inputs
        masked = ops.zeros_like(inputs[:, :1, :1]) > 1
        for axis, count, share in ((1, "stretches", "stretch"), (2, "bands", "band")):
            for _ in range(self.settings[count]):
                masked = ops.logical_or(masked, self._mask(inputs, axis, self.settings[share]))
        mean = ops.mean(inputs, axis=(1, 2), keepdims=True)
        return ops.where(masked, mean, inputs)

    def _mask(self, inputs: Any, axis: int, share: float) -> Any:
        batch, size = ops.shape(inputs)[0], inputs.shape[axis]
        one = [batch, *[1] * (len(inputs.shape) - 1)]
        width = keras.random.uniform(one, 0, share * size, seed=self.seed_generator)
        start = keras.random.uniform(one, 0, 1, seed=self.seed_generator) * (size - width)
        places = ops.reshape(ops.arange(size, dtype="float32"), [size if at == axis else 1 for at in range(len(one))])
        return ops.logical_and(places >= start, places < start + width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


def resampled(recordings: Any, places: Any) -> Any:
    """Recordings ``(batch, samples)`` at places between samples ``(batch, count)``, by Catmull-Rom's cubic."""
    first = ops.floor(places)
    part = places - first
    first = ops.cast(first, "int32")
    before, here, behind, further = (_at(recordings, first + step) for step in (-1, 0, 1, 2))
    slope = 0.5 * (behind - before)
    bend = before - 2.5 * here + 2 * behind - 0.5 * further
    twist = 0.5 * (further - before) + 1.5 * (here - behind)
    return ((twist * part + bend) * part + slope) * part + here


def coloured(white: Any, falls: Any) -> Any:
    """White noise ``(batch, samples)`` with a power that falls as frequency to the ``falls`` ``(batch, 1)``."""
    samples = white.shape[1]
    real, imaginary = ops.rfft(white)
    bins = real.shape[-1]
    scale = ops.power(ops.maximum(ops.arange(bins, dtype="float32"), 1.0)[None], -falls / 2)
    return ops.irfft((real * scale, imaginary * scale), fft_length=samples)


def convolved(recordings: Any, responses: Any) -> Any:
    """Each recording ``(batch, samples)`` with its own impulse response ``(batch, taps)``: ``(batch, samples + taps -
    1)``, and zeros up to a power of two.
    """
    length = 1 << math.ceil(math.log2(recordings.shape[1] + responses.shape[1] - 1))
    (a, b), (c, d) = ops.rfft(recordings, fft_length=length), ops.rfft(responses, fft_length=length)
    return ops.irfft((a * c - b * d, a * d + b * c), fft_length=length)


def _at(recordings: Any, places: Any) -> Any:
    """Samples at whole places ``(batch, count)``, silence outside."""
    samples = recordings.shape[1]
    there = ops.take_along_axis(recordings, ops.clip(places, 0, samples - 1), axis=1)
    return ops.where(ops.logical_and(places >= 0, places < samples), there, 0.0)
