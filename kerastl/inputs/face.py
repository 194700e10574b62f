"""Aligned faces: a picture is searched for the one face in it, which is brought upright and to one size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.inputs.image import Image


@dataclasses.dataclass(frozen=True)
class Face(Image):
    """Square pictures of one aligned face each, uint8 ``(examples, side, side, 3)``; see `Image`.

    An array (``.npy``, ``.npz``) holds faces that are aligned already, see `faces.aligned`; in a picture the face is
    looked for. On a phone the app has to do that, with the same detector and landmarks.

    Raises:
        ValueError: if the size is no square of three channels.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size[0] != self.size[1] or self.size[2] != 3:
            raise ValueError(f"Aligned faces are squares of three channels. Received: shape {self.size}.")

    def read(self, argument: str) -> np.ndarray:
        """The one face of a picture file, or aligned faces of an array.

        Raises:
            FileNotFoundError: if there is no such file, or the detector is not cached and cannot be fetched.
            ValueError: as `Image.read`; or there is no face in the picture, or several.
        """
        from kerastl.inputs import faces, pictures

        path = Path(argument)
        if path.suffix.lower() in (".npy", ".npz") or not path.is_file():
            return super().read(argument)
        try:
            pixels = pictures.read(path).pixels
        except pictures.PictureError as error:
            raise ValueError(f"{path} is no picture that can be read: {error}.") from error
        return faces.only(pixels, where=str(path), size=self.size[0])[None]

    @property
    def fed_with(self) -> str:
        return "aligned faces as raw pixels, 0 to 255"

    def described(self) -> dict[str, Any]:
        return {**super().described(), "aligned_face": True}


def restored(described: Mapping[str, Any]) -> Face | None:
    """The kind that `Face.described` described, ``None`` where another one did."""
    return Face(tuple(described["image"])) if "aligned_face" in described else None
