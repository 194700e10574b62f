"""Front end of an audio model inside its graph: samples to log-mel energies, MFCC or PCEN, built-in operators alone.

The discrete Fourier transform (DFT) of a frame is taken in two steps, as the first one of a fast transform is (Cooley &
Tukey 1965): a frame of ``A`` blocks of ``B`` samples is transformed across its blocks by a strided depthwise
convolution, whose kernel holds the window as well, and then within them by a grouped 1x1 convolution. These are a
quarter of the weights, and of the multiplications, of a convolution by sines and cosines; half the spectrum above the
mel range is left out. The weights are fixed: they are not trained, and no layer here is one of kerastl's own, so that
the model opens anywhere.

Quantized, a DFT loses what is quiet beside what is loud. The layers here that have weights are `KERNELS`, which
post-training quantization leaves in float32 by name.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import keras
import numpy as np
from keras import layers

from kerastl.types import Task

KERNELS = ("front_end_blocks", "front_end_real", "front_end_imaginary", "front_end_mel", "front_end_cosines")
"""Names of the layers that hold fixed weights; a model has those that its features need."""

_SCALES = {"log_mel": (0.1, -1.6), "mfcc": (0.02, 0.0), "pcen": (1.0, 0.0)}
"""Factor and offset that bring speech to the size of one."""


@dataclasses.dataclass(frozen=True)
class Features:
    """What a model sees of its samples.

    Attributes:
        kind: ``"log_mel"``, the logarithm of mel energies; ``"mfcc"``, their discrete cosine transform (mel-frequency
            cepstral coefficients, Davis & Mermelstein 1980); ``"pcen"``, per-channel energy normalization (Wang et al.
            2017, "Trainable frontend for robust and far-field keyword spotting", https://arxiv.org/abs/1607.05666),
            which takes away a steady background.
        rate: samples a second.
        frame, hop: length of a frame and the way to the next one, in samples.
        fft_length: of the DFT; a frame is filled up with zeros.
        mels: number of mel bands.
        low, high: of the lowest and the highest of them, in hertz.
        coefficients: of ``"mfcc"``, how many are kept.

    Raises:
        ValueError: if a frame is longer than ``fft_length``, or the bands do not lie below half the rate.
    """

    kind: Literal["log_mel", "mfcc", "pcen"] = "log_mel"
    rate: int = 16000
    frame: int = 400
    hop: int = 160
    fft_length: int = 512
    mels: int = 40
    low: float = 60.0
    high: float = 3800.0
    coefficients: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.frame <= self.fft_length or self.hop < 1:
            raise ValueError(
                f"Wanted frames of at most fft_length samples. Received: frame={self.frame}, hop={self.hop}, "
                f"fft_length={self.fft_length}."
            )
        if not 0 <= self.low < self.high <= self.rate / 2 or self.mels < 1:
            raise ValueError(
                f"Wanted mel bands between 0 and {self.rate / 2:g} Hz. Received: {self.mels} from {self.low:g} to "
                f"{self.high:g} Hz."
            )
        if self.kind == "mfcc" and not 1 <= self.coefficients <= self.mels:
            raise ValueError(f"Wanted 1 to {self.mels} coefficients, one a band. Received: {self.coefficients}.")


def features(samples: keras.KerasTensor, settings: Features, *, full_scale: float = 1.0) -> keras.KerasTensor:
    """Samples ``(batch, samples)``, float32, to features ``(batch, frames, width)``, float32.

    Energies are those of samples in the scale of 16-bit integers, from 1 up: what is quieter than the last bit of a
    recording is silence.

    Args:
        samples: as `keras.Input` gives them.
        settings: the width is that of ``mels``, of ``"mfcc"`` that of ``coefficients``.
        full_scale: what the loudest sample is; samples go from minus that to that. See `full_scale`.

    Raises:
        ValueError: if there are fewer samples than a frame has.
    """
    filters = mel_filters(settings) * (32768.0 / full_scale) ** 2
    window = hann(settings.frame)
    energies = filtered_power(samples, window=window, hop=settings.hop, fft_length=settings.fft_length, filters=filters)
    if settings.kind == "pcen":
        return _normalized_energy(energies)
    logarithms = keras.ops.log(layers.Rescaling(1.0, offset=1.0, name="front_end_floor")(energies))
    if settings.kind == "log_mel":
        return logarithms
    cosines = cosine_transform(settings.mels)[:, : settings.coefficients]
    return _fixed(layers.Dense(cosines.shape[1], use_bias=False, name="front_end_cosines"), logarithms, cosines)


def full_scale(task: Task) -> float:
    """What the loudest sample of a task's recordings is: 1, or 32,768 where they are as 16-bit integers."""
    scale, _ = task.inputs.scaling()
    return 1.0 if isinstance(scale, list) else 1.0 / scale


def image(samples: keras.KerasTensor, settings: Features, *, task: Task) -> keras.KerasTensor:
    """The same as a picture of one colour ``(batch, frames, width, 1)``, of the size of one.

    Its scale is a constant and not that of the training clips: half of what a loud and a quiet recording say differs by
    no more than the volume.

    Args:
        samples, settings: as for `features`.
        task: says what scale its samples have.
    """
    x = features(samples, settings, full_scale=full_scale(task))
    scale, offset = _SCALES[settings.kind]
    x = layers.Rescaling(scale, offset=offset, name="front_end_scale")(x)
    return layers.Reshape((*x.shape[1:], 1), name="front_end_image")(x)


def filtered_power(
    samples: keras.KerasTensor,
    *,
    window: np.ndarray,
    hop: int,
    fft_length: int,
    filters: np.ndarray,
    skipped: int = 0,
) -> keras.KerasTensor:
    """The power spectrum of every frame through a bank of filters: ``filters.T @ abs(DFT(window * frame)) ** 2``.

    Args:
        samples: ``(batch, samples)``.
        window: of a frame, as long as it; zeros at its end cost nothing.
        hop: samples from a frame to the next.
        fft_length: of the DFT.
        filters: ``(bins, width)``, of the first bins of the spectrum, at most ``fft_length // 2 + 1``; what no filter
            lets through is not computed.
        skipped: samples before the first frame.

    Returns:
        ``(batch, frames, width)``: of as many frames as there are whole ones.

    Raises:
        ValueError: if there are fewer samples than a frame has.
    """
    length = samples.shape[-1] - skipped
    if length < len(window):
        raise ValueError(f"Wanted {len(window)} samples, a frame of them. Received: {length}.")
    count = (length - len(window)) // hop + 1
    bins = np.nonzero(filters.any(1))[0]
    block = _block(hop, fft_length, bins=len(bins))
    window = np.trim_zeros(window, "b")
    blocks = -(-len(window) // block)
    used = (count - 1) * hop + blocks * block  # behind the last window, which ends before its last block does
    x = layers.Reshape((samples.shape[-1], 1), name="front_end_samples")(samples)
    x = layers.Cropping1D((skipped, max(length - used, 0)), name="front_end_whole_frames")(x)
    if used > length:
        x = layers.ZeroPadding1D((0, used - length), name="front_end_last_block")(x)
    x = layers.Reshape((used // block, 1, block), name="front_end_rows")(x)
    across, real, imaginary, order = _transform(window, fft_length=fft_length, block=block, bins=bins)
    groups = across.shape[3] // 2
    across_blocks = layers.DepthwiseConv2D(
        (blocks, 1), strides=hop // block, depth_multiplier=2 * groups, use_bias=False, name="front_end_blocks"
    )
    x = _fixed(across_blocks, x, across)
    x = layers.Reshape((count, block, 2 * groups), name="front_end_parts")(x)
    x = layers.Permute((1, 3, 2), name="front_end_groups")(x)
    x = layers.Reshape((count, 1, 2 * groups * block), name="front_end_frames")(x)
    squares = []
    for part, kernel in (("real", real), ("imaginary", imaginary)):
        grouped = layers.Conv2D(kernel.shape[3], 1, groups=groups, use_bias=False, name=f"front_end_{part}")
        one = _fixed(grouped, x, kernel)
        squares.append(layers.Multiply(name=f"front_end_{part}_squared")([one, one]))
    power = layers.Reshape((count, len(order)), name="front_end_spectrum")(layers.Add(name="front_end_power")(squares))
    ordered = np.where(order[:, None] < 0, 0.0, filters[order])
    return _fixed(layers.Dense(filters.shape[1], use_bias=False, name="front_end_mel"), power, ordered)


def mel_filters(settings: Features) -> np.ndarray:
    """Triangular filters at equal distances on the mel scale of HTK, ``(fft_length // 2 + 1, mels)``, each 1 at its
    centre: those of ``tf.signal.linear_to_mel_weight_matrix``.
    """

    def mel(hertz):
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(settings.low), mel(settings.high), settings.mels + 2)
    bins = mel(np.arange(settings.fft_length // 2 + 1) * settings.rate / settings.fft_length)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0  # the mean of the samples is no sound
    return filters


def hann(length: int) -> np.ndarray:
    """The periodic Hann window ``(length,)``."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def cosine_transform(count: int) -> np.ndarray:
    """The orthonormal discrete cosine transform (DCT-II), ``(count, count)``: ``energies @ it``."""
    places, orders = np.arange(count)[:, None] + 0.5, np.arange(count)[None]
    scale = np.where(orders == 0, math.sqrt(1 / count), math.sqrt(2 / count))
    return scale * np.cos(np.pi * places * orders / count)


def _normalized_energy(
    energies: keras.KerasTensor,
    *,
    smoothing: float = 0.025,
    gain: float = 0.98,
    bias: float = 2.0,
    power: float = 0.5,
    floor: float = 1e-6,
) -> keras.KerasTensor:
    """PCEN, equation 1 of the paper with its values: energies over a running mean of theirs, then a root.

    The running mean begins as the first frame. Of a clip of known length it is a product with a matrix of weights.
    """
    count = energies.shape[1]
    ages = np.arange(count)[None] - np.arange(count)[:, None]  # [then, now]
    weights = np.where(ages >= 0, smoothing * (1 - smoothing) ** np.maximum(ages, 0), 0.0)
    weights[0] = (1 - smoothing) ** np.arange(count)
    x = layers.Permute((2, 1), name="front_end_over_time")(energies)
    x = _fixed(layers.Dense(count, use_bias=False, name="front_end_running_mean"), x, weights)
    mean = layers.Permute((2, 1), name="front_end_mean")(x)
    gained = keras.ops.exp(keras.ops.log(mean + floor) * -gain)
    return keras.ops.power(energies * gained + bias, power) - bias**power


def _fixed(layer: keras.layers.Layer, x: keras.KerasTensor, kernel: np.ndarray) -> keras.KerasTensor:
    """The layer on ``x``, with a kernel that is not trained."""
    layer.trainable = False
    y = layer(x)
    layer.set_weights([kernel.reshape(layer.weights[0].shape).astype("float32")])
    return y


def _block(hop: int, fft_length: int, *, bins: int) -> int:
    """The length of a block with which the two steps of the transform have the fewest weights."""
    shared = math.gcd(hop, fft_length)
    lengths = [length for length in range(1, shared + 1) if shared % length == 0]
    return min(lengths, key=lambda length: fft_length * (fft_length // length + 2) + 4 * bins * length)


def _transform(
    window: np.ndarray, *, fft_length: int, block: int, bins: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kernels of the two steps, and the bin that stands at each place of what comes out, -1 for none.

    With ``n = block * a + b`` and ``count = fft_length / block``, a bin ``k`` is the sum over ``b`` of
    ``exp(-2 pi i k b / fft_length) * Y[k mod count, b]``, and ``Y[r, b]`` that over ``a`` of
    ``exp(-2 pi i r a / count)`` times the sample. Samples are real, so that ``Y[count - r]`` is the conjugate of
    ``Y[r]``, and half of them do.

    Returns:
        across blocks ``(blocks, 1, block, 2 * groups)``, real and imaginary part of each group in turn; within blocks
        ``(1, 1, 2 * block, groups * slots)`` for the real and for the imaginary part; and ``(groups * slots,)`` bins.
    """
    count = fft_length // block
    groups, blocks = count // 2 + 1, -(-len(window) // block)
    padded = np.pad(window, (0, blocks * block - len(window))).reshape(blocks, block)
    turns = 2 * np.pi * np.outer(np.arange(blocks), np.arange(groups)) / count
    waves = np.stack([np.cos(turns), -np.sin(turns)], -1).reshape(blocks, 2 * groups)
    across = padded[:, None, :, None] * waves[:, None, None, :]
    members = [[k for k in bins if k % count in (group, (count - group) % count)] for group in range(groups)]
    slots = max(map(len, members))
    real, imaginary = (np.zeros((2, block, groups, slots)) for _ in range(2))
    order = np.full((groups, slots), -1)
    for group, own in enumerate(members):
        for slot, k in enumerate(own):
            sign = 1 if k % count == group else -1
            phase = 2 * np.pi * k * np.arange(block) / fft_length
            real[:, :, group, slot] = np.cos(phase), sign * np.sin(phase)
            imaginary[:, :, group, slot] = -np.sin(phase), sign * np.cos(phase)
            order[group, slot] = k
    shape = (1, 1, 2 * block, groups * slots)
    return across, real.reshape(shape), imaginary.reshape(shape), order.reshape(-1)
