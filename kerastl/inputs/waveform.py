"""Waveforms: recordings as samples at one rate, which a model hears in its own front end."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.inputs import columns, recordings
from kerastl.types import LazyArray

if TYPE_CHECKING:
    import tensorflow as tf

_BINS, _WIDTH = 64, 128
"""Height and largest width of the picture that shows a recording, in pixels."""


@dataclasses.dataclass(frozen=True)
class Waveform:
    """Recordings of one length, int16 ``(examples, samples)``; see `types.Inputs`.

    Splits hold 16 bits a sample, and so does a Keras model's input, as float32 numbers -32768..32767. An exported file
    takes what the microphones of phones and MediaPipe's audio tasks give: float32 in -1..1. A recording of another
    length is brought to this one by `recordings.of_length`.

    Attributes:
        samples: of one example.
        rate: samples a second.

    Raises:
        ValueError: if one is not positive.
    """

    samples: int
    rate: int = 16_000

    kind: ClassVar[str] = "waveform"
    tensors: ClassVar[tuple[str, ...]] = ("waveform",)
    column_kind: ClassVar[str] = "path"
    predict_batch: ClassVar[int] = 100
    augmentable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.samples < 1 or self.rate < 1:
            raise ValueError(
                f"Recordings have samples, so many a second. Received: {self.samples} samples, {self.rate} a second."
            )

    @property
    def seconds(self) -> float:
        """How long one example lasts."""
        return self.samples / self.rate

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.samples,)

    @property
    def dtype(self) -> str:
        return "int16"

    @property
    def batch_dtype(self) -> str:
        return "float32"

    def check(self, examples: np.ndarray | LazyArray, *, where: str) -> None:
        """Samples are 16 bits: numbers in -1..1 are refused, which would be heard as silence."""
        if tuple(examples.shape[1:]) != self.shape or examples.dtype != np.int16:
            raise ValueError(
                f"Wanted inputs (examples, {self.samples}), int16 samples. Received: {examples.shape} of "
                f"{examples.dtype} in {where}; of numbers in -1..1 `inputs.recordings.to_int16` makes them."
            )

    def calibration_range(self) -> tuple[float, int] | None:
        return None

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        return {self.tensors[0]: np.asarray(examples, np.float32) / recordings.FULL_SCALE}

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tensors[self.tensors[0]] * float(recordings.FULL_SCALE)

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        return 1 / recordings.FULL_SCALE, 0.0

    def noise(self, count: int, *, seed: int = 0) -> np.ndarray:
        draws = np.random.default_rng(seed).normal(0, 3000, (count, self.samples))
        return np.rint(np.clip(draws, -recordings.FULL_SCALE, recordings.FULL_SCALE - 1)).astype(np.float32)

    def read(self, argument: str) -> np.ndarray:
        """A recording of any rate, length and number of channels; or an array of samples (``.npy``, ``.npz``).

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no recording, or an array that does not fit.
        """
        path = Path(argument)
        if path.suffix.lower() not in (".npy", ".npz"):
            return recordings.of_length(recordings.read(path, rate=self.rate), self.samples)[None]
        from kerastl.inputs import array_file

        array = array_file.read_batch(path, shape=self.shape)
        if not np.isfinite(array).all() or np.abs(array).max() > recordings.FULL_SCALE or (array % 1).any():
            raise ValueError(
                f"Samples are whole numbers of 16 bits. Received: {path} from {array.min()} to {array.max()}; multiply "
                f"numbers in -1..1 by {recordings.FULL_SCALE - 1}."
            )
        return np.minimum(array, recordings.FULL_SCALE - 1).astype(np.int16)

    def files(self, folder: Path) -> list[Path]:
        """The recordings and arrays in a folder and the folders in it, hidden ones left out."""
        endings = (*recordings.ENDINGS, *recordings.FOREIGN, ".npy", ".npz")
        found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings and path.is_file())
        return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
        """The one column of a table that names recordings; see `types.TableInputs`.

        Raises:
            ValueError: if none does, or several do.
        """
        endings = (*recordings.ENDINGS, *recordings.FOREIGN, ".npy", ".npz")
        return columns.of_files(header, rows, endings=endings, what="paths of recordings")

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """The recording that a row names, as `read`."""
        (path,) = values.values()
        if not (path or "").strip():
            raise ValueError("Wanted the path of a recording. Received: an empty field.")
        return self.read(path or "")

    def shown(self, example: np.ndarray) -> dict[str, str]:
        """Its spectrogram as a picture, and where `soundfile` is installed itself as a small MP3 to be heard."""
        from PIL import Image as Pillow

        sink = io.BytesIO()
        Pillow.fromarray(_spectrogram(np.asarray(example), self.rate)).save(sink, format="PNG", optimize=True)
        shown = {"picture": "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()}
        try:
            sound = recordings.mp3(example, self.rate)
        except (ImportError, ValueError, RuntimeError):  # a rate that MP3 has not, or a library without it
            return shown
        return shown | {"sound": "data:audio/mpeg;base64," + base64.b64encode(sound).decode()}

    @property
    def fed_with(self) -> str:
        return f"recordings as {self.samples} samples in -1 to 1, {self.rate} a second"

    def described(self) -> dict[str, Any]:
        return {"samples": self.samples, "rate": self.rate}


def _spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    """Grey pixels ``(bins, frames)``: power by frequency up to 8 kHz and time, 60 dB from black to white."""
    window = min(512, max(len(samples), 2))
    hop = max((len(samples) - window) // (_WIDTH - 1), 1)
    starts = np.arange(0, max(len(samples) - window, 0) + 1, hop)[:_WIDTH]
    padded = np.pad(samples.astype(np.float64), (0, max(window - len(samples), 0)))
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.square(np.abs(np.fft.rfft(frames, axis=-1)))
    power = power[:, : max(round(len(power[0]) * min(8000 / (rate / 2), 1)), 1)]
    edges = np.linspace(0, power.shape[1], min(_BINS, power.shape[1]) + 1).astype(int)
    decibels = 10 * np.log10(np.stack([power[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], -1) + 1e-3)
    grey = np.clip((decibels - decibels.max()) / 60 + 1, 0, 1)
    return np.rint(255 * grey.T[::-1]).astype(np.uint8)


def restored(described: Mapping[str, Any]) -> Waveform | None:
    """The kind that `Waveform.described` described, ``None`` where another one did."""
    return Waveform(described["samples"], described["rate"]) if "rate" in described else None
