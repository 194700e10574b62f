"""Numbers: tables, series, spectrograms, any shape of finite numbers in their own units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import near_names, phrases
from kerastl.types import LazyArray

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Finite numbers, float32 ``(examples, *shape)``, in whatever unit the data has; see `types.Inputs`.

    Nothing is scaled on the way in: a model standardizes by itself (`models.heads.standardized`), so that the phone
    feeds plain numbers. The range of a full-integer file's input is measured on calibration data.

    Attributes:
        size: shape of one example, for a row of a table ``(columns,)``, for a series ``(steps, channels)``.
        columns: a name for each place along the last axis, or nothing.
        mean, spread: of the training examples, mean and standard deviation at each place of the last axis, by which a
            builder standardizes inside its graph; nothing for 0 and 1. See `of`.

    Raises:
        ValueError: if a size or spread is not positive, or names, means and spreads are not one a place.
    """

    size: tuple[int, ...]
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()

    kind: ClassVar[str] = "numbers"
    tensors: ClassVar[tuple[str, ...]] = ("numbers",)
    column_kind: ClassVar[str] = ""
    predict_batch: ClassVar[int] = 1000
    augmentable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(int(extent) for extent in self.size))
        object.__setattr__(self, "columns", tuple(self.columns))
        places = self.size[-1] if self.size else 0
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean) or (0.0,) * places)
        object.__setattr__(self, "spread", tuple(float(value) for value in self.spread) or (1.0,) * places)
        counts = {len(part) for part in (self.mean, self.spread, self.columns or self.mean)}
        if not self.size or min(self.size) < 1 or counts != {places} or not min(self.spread) > 0:
            raise ValueError(
                "Numbers have a shape of positive sizes; at each place of the last axis a mean, a positive spread, and "
                f"a name where there are any. Received: shape {self.size}, {len(self.columns)} names, {len(self.mean)} "
                f"means, spreads {self.spread}."
            )

    @classmethod
    def of(cls, examples: np.ndarray, *, columns: tuple[str, ...] = ()) -> Numbers:
        """The kind of these training examples, ``(examples, *shape)``; a column that never changes has a spread of 1.

        Raises:
            ValueError: if they are none, or not finite.
        """
        table = np.asarray(examples, np.float64).reshape(-1, np.shape(examples)[-1])
        if not len(table) or not np.isfinite(table).all():
            raise ValueError(f"Wanted finite examples. Received: {np.shape(examples)}, not all finite, or none.")
        spread = table.std(0)
        return cls(
            tuple(np.shape(examples)[1:]), columns, tuple(table.mean(0)), tuple(np.where(spread > 0, spread, 1.0))
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    def dtype(self) -> str:
        return "float32"

    @property
    def batch_dtype(self) -> str:
        return "float32"

    def check(self, examples: np.ndarray | LazyArray, *, where: str) -> None:
        """Numbers are finite, whether whole or not."""
        if tuple(examples.shape[1:]) != self.size or examples.dtype.kind not in "buif":
            wanted = ", ".join(map(str, self.size))
            raise ValueError(
                f"Wanted inputs (examples, {wanted}) of numbers. Received: {examples.shape} of {examples.dtype} in "
                f"{where}."
            )
        numbers = np.asarray(examples)
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            place = tuple(int(index) for index in np.argwhere(~np.isfinite(numbers))[0])
            column = f" ({self.columns[place[-1]]})" if self.columns else ""
            raise ValueError(
                f"Inputs have to be finite. Received: {numbers[place]} in {where}, row {place[0]}, column "
                f"{', '.join(map(str, place[1:]))}{column}."
            )

    def calibration_range(self) -> tuple[float, int] | None:
        return None

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        return {self.tensors[0]: examples}

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tensors[self.tensors[0]]

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        """To a mean of 0 and a standard deviation of 1 at each place of the last axis."""
        factors = 1 / np.asarray(self.spread)
        return factors.tolist(), (-np.asarray(self.mean) * factors).tolist()

    def noise(self, count: int, *, seed: int = 0) -> np.ndarray:
        draws = np.random.default_rng(seed).uniform(-2, 2, (count, *self.size))
        return (np.asarray(self.mean) + np.asarray(self.spread) * draws).astype(np.float32)

    def read(self, argument: str) -> np.ndarray:
        """Numbers with commas between them, named (``age=3,height=1.8``) or in order; or an array in a file.

        Where a table's category became a number 0 or 1 for each of its values, the value itself may stand for all of
        them: ``season=winter,height=1.8``.

        Raises:
            ValueError: if there are not as many numbers as the model takes, one of them is none, a name or the value of
                a category is unknown, or numbers of a category are none that it may have.
        """
        if argument.endswith((".npy", ".npz")):
            from kerastl.inputs import array_file

            examples = array_file.read_batch(Path(argument), shape=self.size).astype(np.float32)
            self.check(examples, where=argument)
            self.refuse_impossible(examples, where=argument)
            return examples
        words = [word.strip() for word in argument.split(",")]
        if self.columns and all("=" in word for word in words):
            pairs = [pair for word in words for pair in self._pairs(word)]
            named, given = [name for name, _ in pairs], dict(pairs)
            if sorted(named) != sorted(self.columns):
                twice = sorted({name for name in named if named.count(name) > 1})
                lacking = sorted(set(self.columns) - set(given))
                unknown = sorted(set(given) - set(self.columns))
                wrong = {"lacking": lacking, "unknown": unknown, "named twice": twice}
                said = "; ".join(f"{what}: {', '.join(names)}" for what, names in wrong.items() if names)
                raise ValueError(
                    f"Wanted a number for each of {', '.join(self.columns)}. Received: {argument!r}; {said}."
                )
            words = [given[name] for name in self.columns]
        elif len(words) == len(columns := self._table_columns()) != len(self.columns):
            words = [value for name, word in zip(columns, words, strict=True) for _, value in self._valued(name, word)]
        elif len(words) == len(self.columns):  # a category may have one value alone
            words = ["1" if f"={word}" in name else word for name, word in zip(self.columns, words, strict=True)]
        return self._row(words, argument)

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...] | None:
        """The columns of a table that became these numbers, by name; ``None`` where its first line is a row itself.

        Of numbers without names it is all columns, if there are as many.

        Raises:
            ValueError: if one is not there (near names are offered).
        """
        wanted = self._columns_of(header)
        lacking = [name for name in wanted if name not in header]
        if wanted and not lacking:
            return wanted
        if len(lacking) == len(wanted) and self._is_row(header):
            return None
        if not wanted and len(header) == math.prod(self.size):
            return tuple(header)
        hint = near_names.did_you_mean(lacking[0], header) if lacking else ""
        raise ValueError(
            f"Wanted a table with the columns {', '.join(wanted) or f'of {math.prod(self.size)} numbers'}. Received: "
            f"{', '.join(header[:20]) or 'none'}.{hint}"
        )

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """Numbers, and values of categories, by the names of a table's columns; a missing category is none of them.

        Raises:
            ValueError: as `read`, and for a number that is missing.
        """
        pairs: list[tuple[str, str]] = []
        for name, value in values.items():
            known = self._known(name)
            if value is None and not known:
                raise ValueError(f"Wanted a number under {name}. Received: nothing.")
            missing = [(f"{name}={one}", "0") for one in known]
            pairs += missing if value is None else self._valued(name, value)
        given = dict(pairs)
        words = [given[name] for name in self.columns] or list(given.values())
        return self._row(words, ", ".join(f"{name}={value}" for name, value in values.items()))

    def _row(self, words: Sequence[str], argument: str) -> np.ndarray:
        """A batch of one, of as many words as there are numbers."""
        try:
            numbers = np.asarray([float(word) for word in words], np.float32)
        except ValueError as error:
            raise ValueError(f"Wanted numbers with commas between them. Received: {argument!r}.") from error
        if len(numbers) != math.prod(self.size) or not np.isfinite(numbers).all():
            named = f" ({', '.join(self.columns)})" if self.columns else ""
            raise ValueError(
                f"Wanted {math.prod(self.size)} finite numbers{named}. Received: {len(numbers)} in {argument!r}."
            )
        row = numbers.reshape(1, *self.size)
        self.refuse_impossible(row, where=repr(argument))
        return row

    def _is_row(self, fields: Sequence[str]) -> bool:
        try:
            return len(self.read(",".join(fields))) == 1
        except (ValueError, OSError):
            return False

    def categories(self) -> dict[str, list[int]]:
        """Columns of a table that were categories -> the places of the numbers that they became.

        Of the training rows such numbers are 0 and 1 alone, which their mean and spread say, and one at most is 1.
        """
        found: dict[str, list[int]] = {}
        for place, (name, mean, spread) in enumerate(zip(self.columns, self.mean, self.spread, strict=False)):
            bernoulli = mean * (1 - mean)
            if "=" in name and 0 < mean <= 1 and (mean == spread == 1 or math.isclose(spread**2, bernoulli)):
                found.setdefault(name.partition("=")[0], []).append(place)
        return {name: places for name, places in found.items() if sum(self.mean[one] for one in places) < 1 + 1e-6}

    def refuse_impossible(self, examples: np.ndarray, *, where: str) -> None:
        """Raises `ValueError` for numbers of a category that no row of a table has: a half, two values, or none."""
        for name, places in self.categories().items():
            values = examples[..., places]
            odd = ((values != 0) & (values != 1)).any(-1) | (values.sum(-1) > 1)
            if sum(self.mean[place] for place in places) > 1 - 1e-6:  # no training row was without one
                odd |= ~values.any(-1)
            if odd.any():
                known = [self.columns[place].partition("=")[2] for place in places]
                first = values[tuple(np.argwhere(odd)[0])]
                pairs = zip(known, first, strict=True)
                given = ", ".join(f"{one} {phrases.plain(value, digits=6)}" for one, value in pairs)
                raise ValueError(
                    f"Wanted {name} to be one of {', '.join(known)}: 1 for that one and 0 for all others. Received: "
                    f"{given} in {where}."
                )

    def _table_columns(self) -> list[str]:
        """Names of the columns that a table had: a category is one of them, however many numbers it became."""
        return list(dict.fromkeys(name.partition("=")[0] for name in self.columns))

    def _columns_of(self, header: Sequence[str]) -> tuple[str, ...]:
        """The same of a table with such a header: a column may have an equals sign in its name."""
        return tuple(dict.fromkeys(one if one in header else one.partition("=")[0] for one in self.columns))

    def _pairs(self, word: str) -> list[tuple[str, str]]:
        """The numbers that a word like ``age=3`` or ``season=winter`` stands for, by their names."""
        name, _, value = (part.strip() for part in word.rpartition("="))
        if name in self.columns:
            return [(name, value)]
        name, _, value = (part.strip() for part in word.partition("="))
        return self._valued(name, value)

    def _valued(self, name: str, value: str) -> list[tuple[str, str]]:
        known = self._known(name)
        if not known:
            return [(name, value)]
        if value not in known:
            hint = near_names.did_you_mean(value, known)
            raise ValueError(f"Wanted {name} to be one of {', '.join(known)}.{hint} Received: {value!r}.")
        return [(f"{name}={one}", "1" if one == value else "0") for one in known]

    def _known(self, name: str) -> list[str]:
        """The values of a column that was a category; none of any other."""
        return [one.partition("=")[2] for one in self.columns if one.partition("=")[:2] == (name, "=")]

    def shown(self, example: np.ndarray) -> dict[str, str]:
        numbers = np.asarray(example).reshape(-1)
        if self.columns and len(self.size) == 1:
            pairs = zip(self.columns, numbers, strict=True)
            words = [f"{name} {phrases.plain(value, digits=6)}" for name, value in pairs]
        else:
            words = [phrases.plain(value, digits=6) for value in numbers[:24]]
        more = f" ... ({len(numbers):,} numbers)" if len(numbers) > 24 else ""
        return {"text": ", ".join(words[:24]) + more}

    @property
    def fed_with(self) -> str:
        what = {1: "numbers", 2: "series of numbers"}.get(len(self.size), "arrays of numbers")
        named = f": {', '.join(self.columns)}" if self.columns else ""
        return f"{what} as they are, in their own units{named}"

    def described(self) -> dict[str, Any]:
        return {
            "numbers": list(self.size),
            "columns": list(self.columns),
            "mean": list(self.mean),
            "spread": list(self.spread),
        }


def restored(described: Mapping[str, Any]) -> Numbers | None:
    """The kind that `Numbers.described` described, ``None`` where another one did."""
    if "numbers" not in described:
        return None
    return Numbers(*(tuple(described[key]) for key in ("numbers", "columns", "mean", "spread")))
