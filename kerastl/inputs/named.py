"""Several inputs by name: a picture and a row of numbers, two pictures, anything that a model takes together."""

from __future__ import annotations

import dataclasses
import html
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.types import Inputs, LazyArray

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Named:
    """Inputs of other kinds, each under the name that the model gives it; see `types.Inputs`.

    Examples are mappings of these names to arrays of one length.

    Attributes:
        parts: pairs of name and kind, in the model's order. A kind has one tensor of its own: no texts of three.

    Raises:
        ValueError: if there are none, a name comes twice, or a kind has several tensors.
    """

    parts: tuple[tuple[str, Inputs], ...]

    kind: ClassVar[str] = "several inputs"
    predict_batch: ClassVar[int] = 100
    augmentable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple((str(name), kind) for name, kind in self.parts))
        names = [name for name, _ in self.parts]
        several = [name for name, kind in self.parts if len(kind.tensors) != 1]
        if not names or len(set(names)) < len(names) or several:
            raise ValueError(
                "Wanted inputs of different names, each of one tensor. Received: "
                f"{', '.join(names) or 'none'}; of several tensors: {', '.join(several) or 'none'}."
            )

    @property
    def tensors(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        return {name: kind.shape for name, kind in self.parts}

    @property
    def dtype(self) -> dict[str, str]:
        return {name: kind.dtype for name, kind in self.parts}

    @property
    def batch_dtype(self) -> dict[str, str]:
        return {name: kind.batch_dtype for name, kind in self.parts}

    def check(self, examples: Mapping[str, np.ndarray | LazyArray], *, where: str) -> None:
        if not isinstance(examples, Mapping) or sorted(examples) != sorted(self.tensors):
            given = ", ".join(examples) if isinstance(examples, Mapping) else "one array"
            raise ValueError(f"Wanted the inputs {', '.join(self.tensors)}. Received: {given} in {where}.")
        for name, kind in self.parts:
            kind.check(examples[name], where=f"{where}, input {name}")

    def calibration_range(self) -> tuple[float, int] | None:
        """Each input has the range that its own calibration finds, but where all are of one fixed range."""
        ranges = {kind.calibration_range() for _, kind in self.parts}
        return ranges.pop() if len(ranges) == 1 else None

    def fed(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: next(iter(kind.fed(examples[name]).values())) for name, kind in self.parts}

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: kind.in_graph({kind.tensors[0]: tensors[name]}) for name, kind in self.parts}

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        raise ValueError(f"Several inputs have a scale each. Received: {', '.join(self.tensors)}.")

    def noise(self, count: int, *, seed: int = 0) -> dict[str, np.ndarray]:
        return {name: kind.noise(count, seed=seed + place) for place, (name, kind) in enumerate(self.parts)}

    def read(self, argument: str) -> dict[str, np.ndarray]:
        """Each input as its kind reads it, by name: ``image=a.png row=1,2,3``; quotes keep spaces together.

        Raises:
            ValueError: if a name is missing or unknown, or the inputs are not of one length.
        """
        given = dict(word.split("=", 1) for word in shlex.split(argument) if "=" in word)
        if sorted(given) != sorted(self.tensors):
            raise ValueError(
                f"Wanted {' '.join(f'{name}=...' for name in self.tensors)}. Received: {argument!r}, which names "
                f"{', '.join(given) or 'nothing'}."
            )
        batches = {name: kind.read(given[name]) for name, kind in self.parts}
        if len({len(batch) for batch in batches.values()}) > 1:
            counts = ", ".join(f"{len(batch)} of {name}" for name, batch in batches.items())
            raise ValueError(f"Wanted as many examples of each input. Received: {counts}.")
        return batches

    def shown(self, example: Mapping[str, np.ndarray]) -> dict[str, str]:
        """The first picture where there is one, with its sound where it has any, and what the others say."""
        shown = {name: kind.shown(example[name]) for name, kind in self.parts}
        words = "; ".join(f"{name}: {one['text']}" for name, one in shown.items() if "text" in one)
        seen = next(({key: one[key] for key in one if key != "text"} for one in shown.values() if "picture" in one), {})
        return seen | ({"text": html.unescape(words)} if words else {})

    @property
    def fed_with(self) -> str:
        return "; ".join(f"{name}, {kind.fed_with}" for name, kind in self.parts)

    def described(self) -> dict[str, Any]:
        return {"named": [[name, kind.described()] for name, kind in self.parts]}


def restored(described: Mapping[str, Any]) -> Named | None:
    """The kind that `Named.described` described, ``None`` where another one did."""
    if "named" not in described:
        return None
    from kerastl import inputs

    return Named(tuple((name, inputs.restored(one)) for name, one in described["named"]))
