"""Objects that `predict` is given in Python and that are no file: data frames, tensors, rows, lists of numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.runs import input_files
from kerastl.types import TableInputs


def plain(inputs: Any) -> Any:
    """A tensor or a list of numbers as an array, an array of words as a list of them; all else as it is.

    Raises:
        ValueError: it is no path, sentence, array, mapping or data frame, and no list of such.
    """
    if isinstance(inputs, str | Path | Mapping) or is_frame(inputs):
        return inputs
    if not isinstance(inputs, np.ndarray) and hasattr(inputs, "__array__") and hasattr(inputs, "shape"):
        inputs = np.asarray(inputs)
    if isinstance(inputs, np.ndarray):
        return inputs.tolist() if inputs.dtype.kind in "OSU" else inputs
    if isinstance(inputs, bytes) or not isinstance(inputs, Iterable):
        by_path = (
            " It is asked about by its path; as an array, numpy.asarray(picture), it has the size that the file takes."
        )
        raise ValueError(
            "Wanted a path, a sentence, an array, a data frame, or a list of such. Received: "
            f"{type(inputs).__name__}.{by_path if type(inputs).__module__.startswith('PIL') else ''}"
        )
    if isinstance(inputs, list | tuple) and inputs and all(isinstance(one, int | float | np.number) for one in inputs):
        return np.asarray(inputs)  # a row of numbers
    return inputs


def is_frame(value: Any) -> bool:
    """Whether it is a data frame, as pandas or polars make them."""
    return hasattr(value, "columns") and (hasattr(value, "to_csv") or hasattr(value, "write_csv"))


def of_frame(
    frame: Any, kind: Any, *, column: str | None, settings: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray | Exception]]:
    """The name of each row of a data frame, ``row 0`` for the first, and a batch of one; or the error that it makes.

    It is read as the table is that it would be saved as; the index is left out.

    Args:
        frame: of pandas or polars.
        kind, column, settings: as for `input_files.read`.

    Raises:
        ValueError: this kind of input is no row of a table; or as `input_files.read`.
    """
    if not isinstance(kind, TableInputs):
        raise ValueError(f"Wanted an array of {kind.kind}, or a list of them. Received: a data frame.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.csv")
        if hasattr(frame, "to_csv"):
            frame.to_csv(path, index=False)
        else:
            frame.write_csv(path)
        try:
            rows = enumerate(input_files.read(path, kind, column=column, settings=settings))
            for number, (_, batch) in rows:
                if isinstance(batch, Exception):
                    batch = ValueError(str(batch).replace(f"{path}, line {number + 2}", f"row {number}"))
                yield f"row {number}", batch
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), "the data frame")) from None


def of_one_input(given: Mapping[str, Any], tensors: Sequence[str]) -> Any:
    """What a mapping says to a run of one input: its array by name, or the values of a row by their columns.

    Raises:
        ValueError: if it says neither.
    """
    if len(given) == 1 and isinstance(next(iter(given.values())), np.ndarray):
        return next(iter(given.values()))
    if given and all(isinstance(value, str | int | float | np.number) for value in given.values()):
        return ",".join(f"{name}={value}" for name, value in given.items())
    raise ValueError(
        f"This run takes one input, {', '.join(tensors)}: an array under that name, or the values of a row. "
        f"Received: {', '.join(f'{name} ({type(value).__name__})' for name, value in given.items()) or 'nothing'}."
    )
