"""Arguments that name a file where its words would be read, and inputs a line of standard input each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ARRAYS = (".npy", ".npz")
"""Endings of files that every kind of input reads as examples."""
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet")
TEXTS = (".txt", ".text", ".md")
_WANTED = {
    "text": "a sentence",
    "text pair": "two sentences with a tab between them",
    "numbers": "numbers with commas between them",
}


def is_path(argument: str) -> bool:
    """Whether it is one word that ends as the name of a file of data does, ``reviews.csv`` for example."""
    return len(argument.split()) == 1 and argument.lower().endswith((*ARRAYS, *TABLES, *TEXTS))


def require_array(path: Path, *, kind: str) -> None:
    """Refuses any file but an array that is there, as `refuse_path` does."""
    if path.suffix not in ARRAYS or not path.is_file():
        refuse_path(path, kind=kind)


def refuse_path(argument: str | Path, *, kind: str) -> None:
    """Refuses the name of a file, or of a folder, for a kind of input that reads words and no such file.

    Args:
        argument: the name.
        kind: of input, see `types.Inputs`.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: there is; says how its lines are read.
    """
    name, wanted = str(argument), f"{_WANTED.get(kind, 'the inputs by their names')}, or an array (.npy, .npz)"
    if not os.path.lexists(name):
        raise FileNotFoundError(f"Wanted {wanted}. There is no file {name}.")
    what, lines = "a file", f"RUN - < {name}` answers its lines"
    if os.path.isdir(name):
        what, lines = "a folder", "RUN - < FILE` answers the lines of a text file"
    elif name.lower().endswith(TABLES):
        what, lines = "a table", "RUN - < FILE` answers the lines of a text file"
    word = f"; `echo {name} | kerastl predict RUN -` the word itself" if kind == "text" and not is_path(name) else ""
    raise ValueError(
        f"Wanted {wanted}. Received: the name of {what}, {name}. `kerastl predict {lines} one by one{word}."
    )


def read(stream: IO[str] | None) -> Iterator[str]:
    """The lines of a stream that are not blank, without their ends; a byte order mark before the first is none of it.

    Raises:
        ValueError: there is no such line.
    """
    if reconfigure := getattr(stream, "reconfigure", None):  # names of files need be no UTF-8, and no machine's locale
        reconfigure(encoding="utf-8", errors="surrogateescape")
    found = False
    for line in stream or ():
        line = line.removeprefix("\ufeff").rstrip("\r\n") if not found else line.rstrip("\r\n")
        if line.strip():
            found = True
            yield line
    if not found:
        raise ValueError("Wanted an input a line on standard input (-). Received: no line, or blank ones alone.")
