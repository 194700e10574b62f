"""A nearest-neighbour index of enrolled vectors: what a bundle knows of names, without any training.

Search is exact; a vector is kept as 8-bit integers, which move a cosine by less than 0.01 (a 254th of its largest
number, at most, in each place). Who is further from all than a threshold is none of them.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl.tasks import classes, reject_option
from kerastl.tasks.pair_metrics import Operating

_MOST = 1_000_000
"""Numbers of an index that is read: it may be anybody's."""
SHOWN = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """Vectors with names.

    Attributes:
        names: one a group, in the order in which they were enrolled.
        owners: index of the name of each vector, int32 ``(vectors,)``.
        vectors: int8 ``(vectors, width)``, each scaled by its own largest number; zeros are none.
        operating: from which cosine on an example is one of them, and how often one that is none is taken for one.
        file: SHA-256 (hex) of the model file that made the vectors: those of another lie elsewhere.
        measured_on: what ``operating`` was measured on, in words.

    Raises:
        ValueError: if they do not fit each other; they may come out of anybody's file.
    """

    names: tuple[str, ...]
    owners: np.ndarray
    vectors: np.ndarray
    operating: Operating
    file: str
    measured_on: str

    def __post_init__(self) -> None:
        if self.names:
            classes.check_names(self.names)
        fits = self.vectors.ndim == 2 and self.owners.shape == self.vectors.shape[:1]
        if not fits or self.vectors.dtype != np.int8 or not -1 <= self.operating.threshold <= 1.01:
            raise ValueError(
                f"Wanted int8 vectors (vectors, width), a name each, and a threshold in -1..1. Received: "
                f"{self.vectors.shape} of {self.vectors.dtype}, {self.owners.shape} and {self.operating.threshold}."
            )
        outside = len(self.owners) and (self.owners.min() < 0 or self.owners.max() >= len(self.names))
        if outside or (len(self.vectors) and not np.abs(self.vectors).max(-1).all()):
            raise ValueError("Wanted vectors of known names, none of them zero. Received: others.")

    def enrolled(self, name: str, vectors: np.ndarray) -> Index:
        """The index with further vectors of a name, which may be new; nothing is trained.

        Args:
            name: of one line.
            vectors: float ``(examples, width)``.

        Raises:
            ValueError: no name, or vectors of another width or that are zero.
        """
        vectors = np.asarray(vectors, np.float32)
        width = self.vectors.shape[-1]
        if vectors.ndim != 2 or not len(vectors) or vectors.shape[-1] != width or not np.isfinite(vectors).all():
            raise ValueError(f"Wanted vectors (examples, {width}) of {name!r}. Received: {vectors.shape}.")
        names = self.names if name in self.names else (*self.names, name)
        owners = np.concatenate([self.owners, np.full(len(vectors), names.index(name), np.int32)])
        return dataclasses.replace(
            self, names=names, owners=owners, vectors=np.concatenate([self.vectors, quantized(vectors)])
        )

    def cosines(self, vector: np.ndarray) -> np.ndarray:
        """Of one vector with each of the index, float32 ``(vectors,)``."""
        vector = np.asarray(vector, np.float32).reshape(-1)
        mine = self.vectors.astype(np.float32)
        lengths = np.linalg.norm(mine, axis=-1) * max(float(np.linalg.norm(vector)), 1e-12)
        return (mine @ vector) / np.maximum(lengths, 1e-12)

    def said(self, vector: np.ndarray) -> dict[str, Any]:
        """Who is nearest: ``label`` (``None`` where all are too far), ``cosine``, ``nearest`` and ``words``."""
        if not len(self.vectors):
            return {}
        cosines = self.cosines(vector)
        best = np.full(len(self.names), -2.0)
        np.maximum.at(best, self.owners, cosines)
        order = np.argsort(-best, kind="stable")[:SHOWN]
        nearest = {self.names[place]: round(float(best[place]), 4) for place in order}
        name, cosine = next(iter(nearest.items()))
        listed = ", ".join(f"{one} {value:.3f}" for one, value in nearest.items())
        if best[order[0]] >= self.operating.threshold:
            return {"label": name, "cosine": cosine, "nearest": nearest, "words": f"{name} (cosines: {listed})"}
        words = f"{reject_option.NONE}; the nearest are {listed}, below {self.operating.threshold:.3f}"
        return {"label": None, "cosine": cosine, "nearest": nearest, "words": words}

    def described(self) -> dict[str, Any]:
        """The index for JSON."""
        return {
            "names": list(self.names),
            "owners": [int(one) for one in self.owners],
            "width": int(self.vectors.shape[-1]),
            "vectors": base64.b64encode(self.vectors.tobytes()).decode(),
            "operating": dict(self.operating._asdict()),
            "file": self.file,
            "measured_on": self.measured_on,
        }


def empty(width: int, *, operating: Operating, file: str, measured_on: str) -> Index:
    """An index of nobody yet; the arguments are the fields of `Index`."""
    return Index((), np.zeros(0, np.int32), np.zeros((0, width), np.int8), operating, file, measured_on)


def quantized(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(examples, width)`` as int8, each by its own largest number: only directions are kept.

    Raises:
        ValueError: a vector is zero.
    """
    largest = np.abs(vectors).max(-1, keepdims=True)
    if not largest.all():
        raise ValueError("Wanted vectors with a direction. Received: one of zeros.")
    return np.rint(vectors / largest * 127).astype(np.int8)


def restored_index(described: Mapping[str, Any]) -> Index:
    """What `Index.described` described.

    Raises:
        ValueError: it is no such thing, or larger than any index.
    """
    try:
        width, content = int(described["width"]), base64.b64decode(str(described["vectors"]), validate=True)
        if not 0 < width <= _MOST or len(content) % width:
            raise ValueError(f"{len(content)} numbers in vectors of {width}")
        owners = np.array(described["owners"], np.int32).reshape(-1)
        operating = Operating(**described["operating"])
        vectors = np.frombuffer(content, np.int8).reshape(-1, width)
        words = {name: str(described[name]) for name in ("file", "measured_on")}
        return Index(tuple(map(str, described["names"])), owners, vectors, operating, **words)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Wanted an index of enrolled vectors. Received: one that cannot be read: {error}.") from error
