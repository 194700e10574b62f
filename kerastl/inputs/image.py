"""Images: raw pixels 0..255, on the phone as here."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.inputs import columns
from kerastl.types import LazyArray

if TYPE_CHECKING:
    import tensorflow as tf

_SHOWN = 160
"""Pixels of the longer side up to which a picture is shown as it is."""


@dataclasses.dataclass(frozen=True)
class Image:
    """Pictures of one size, uint8 ``(examples, height, width, channels)``; see `types.Inputs`.

    Attributes:
        size: shape of one picture, ``(height, width, channels)``, pixels.

    Raises:
        ValueError: if the size is not three positive numbers.
    """

    size: tuple[int, int, int]

    kind: ClassVar[str] = "image"
    tensors: ClassVar[tuple[str, ...]] = ("image",)
    column_kind: ClassVar[str] = "path"
    predict_batch: ClassVar[int] = 500
    augmentable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(int(extent) for extent in self.size))
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"Pictures have a height, a width and channels. Received: shape {self.size}.")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    def dtype(self) -> str:
        return "uint8"

    @property
    def batch_dtype(self) -> str:
        return "float32"

    def check(self, examples: np.ndarray | LazyArray, *, where: str) -> None:
        """Pixels are numbers in 0..255; lazy ones are read from picture files and need no look."""
        if tuple(examples.shape[1:]) != self.size:
            wanted = ", ".join(map(str, self.size))
            raise ValueError(f"Wanted inputs (examples, {wanted}). Received: {examples.shape} in {where}.")
        if isinstance(examples, LazyArray) or examples.dtype == np.uint8:
            return
        if examples.dtype.kind not in "buif":
            raise ValueError(f"Wanted pixels. Received: {examples.dtype} in {where}.")
        for fits, wanted in ((np.isfinite, "be finite"), (_in_a_byte, "lie in 0..255, as raw pixels do")):
            if not (there := fits(examples)).all():
                place = tuple(int(index) for index in np.argwhere(~there)[0])
                raise ValueError(
                    f"Inputs have to {wanted}. Received: {examples[place]} in {where}, row {place[0]}, column "
                    f"{', '.join(map(str, place[1:]))}."
                )

    def calibration_range(self) -> tuple[float, int] | None:
        return 1.0, 0

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        return {self.tensors[0]: examples}

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tensors[self.tensors[0]]

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        return 1 / 255, 0.0

    def noise(self, count: int, *, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (count, *self.size)).astype(self.batch_dtype)

    def read(self, argument: str) -> np.ndarray:
        """A picture file, or an array of raw pixels (``.npy``, ``.npz``) with one picture or a batch of them.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no picture or array of this size, or holds what are no raw pixels.
        """
        from kerastl.inputs import pictures

        path = Path(argument)
        if not path.is_file():
            raise FileNotFoundError(f"There is no input file {path}.")
        if path.suffix.lower() not in (".npy", ".npz"):
            height, width, channels = self.size
            try:
                return pictures.read(path, channels=channels, size=(height, width)).pixels[None]
            except pictures.PictureError as error:
                raise ValueError(f"{path} is no picture that can be read: {error}.") from error
        from kerastl.inputs import array_file

        array = array_file.read_batch(path, shape=self.size)
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
            raise ValueError(f"Pictures are raw pixels 0..255. Received: {path} from {array.min()} to {array.max()}.")
        if array.dtype.kind == "f" and 0 < array.max() <= 1:
            raise ValueError(
                f"Pictures are raw pixels 0..255, not scaled to 0..1. Received: {path} up to {array.max()}."
            )
        return np.rint(array).astype(np.uint8)

    def files(self, folder: Path) -> list[Path]:
        """The pictures and arrays in a folder and the folders in it, hidden ones left out."""
        from kerastl.inputs import pictures

        endings = (*pictures.ENDINGS, *pictures.FOREIGN, ".npy", ".npz")
        found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings and path.is_file())
        return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
        """The one column of a table that names pictures; see `types.TableInputs`.

        Raises:
            ValueError: if none does, or several do.
        """
        from kerastl.inputs import pictures

        endings = (*pictures.ENDINGS, *pictures.FOREIGN, ".npy", ".npz")
        return columns.of_files(header, rows, endings=endings)

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """The picture that a row names, as `read`."""
        (path,) = values.values()
        if not (path or "").strip():
            raise ValueError("Wanted the path of a picture. Received: an empty field.")
        return self.read(path or "")

    def shown(self, example: np.ndarray) -> dict[str, str]:
        """A PNG as a data URI; of more or fewer channels than 1 or 3 the first one or three.

        Of a picture whose longer side has more than `_SHOWN` pixels a smaller JPEG: a page shows many.
        """
        from PIL import Image as Pillow

        picture = np.asarray(example, np.uint8)
        channels = 3 if self.size[2] >= 3 else 1
        sink, shown = io.BytesIO(), Pillow.fromarray(picture[..., 0] if channels == 1 else picture[..., :3])
        if max(shown.size) > _SHOWN:
            shown.thumbnail((_SHOWN, _SHOWN))
            shown.save(sink, format="JPEG", quality=85)
            return {"picture": "data:image/jpeg;base64," + base64.b64encode(sink.getvalue()).decode()}
        shown.save(sink, format="PNG", optimize=True)
        return {"picture": "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()}

    @property
    def fed_with(self) -> str:
        return "pictures as raw pixels, 0 to 255"

    def described(self) -> dict[str, Any]:
        return {"image": list(self.size)}


def _in_a_byte(pixels: np.ndarray) -> np.ndarray:
    return (pixels >= 0) & (pixels <= 255)


def restored(described: Mapping[str, Any]) -> Image | None:
    """The kind that `Image.described` described, ``None`` where another one did."""
    return Image(tuple(described["image"])) if "image" in described else None
