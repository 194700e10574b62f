"""`verify` and `predict`: what a finished run claims, and what its file answers."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kerastl.system import output

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun


def verify(*, folder: str, data: str | None = None, source: str | None = None, download: bool = False) -> int:
    """Measures a run again and prints what differs; see `kerastl.runs.finished.FinishedRun.verify`.

    Args:
        folder: the run's.
        data: where its data lie now, if they have moved.
        source: a Python file with the function ``load`` that the run's data came from, if it is none of kerastl's.
        download: whether a data set that is not in the cache may be fetched.

    Returns:
        0 if nothing differs, else 1.
    """
    import kerastl

    run = kerastl.open(folder)
    module = None if source is None else kerastl.runs.recipes.load_file(source)
    again = kerastl.runs.reverification.verify
    found = again(run, source=module, path=data, download=download, progress=not output.quiet)
    for difference in found.differences:
        print(f"differs: {output.printable(difference)}")
    if not found.differences:
        files = kerastl.system.phrases.counted(len(run.report["variants"]), "file", "files")
        print(f"verified: {files} and the bundle give exactly the scores they state")
    for name, why in () if output.quiet else found.unmeasured.items():
        print(f"not measured again: {output.printable(name)} ({output.printable(why)})")
    if not found.differences:
        return 0
    bad, every = len(found.differing), len(found.measured)
    print(f"FAILED: {bad} of {every} files, the data counted as one, {'is' if bad == 1 else 'are'} not as stated")
    return 1


def predict(*, folder: str, inputs: list[str], as_json: bool) -> int:
    """Prints the exported file's answers to files of pictures or arrays, to sentences or to rows of numbers.

    What cannot be read is said, all others are answered; the exit status is then 1. ``-`` stands for the lines of
    standard input, each an input of its own: a sentence, a row, a path.

    A bundle's ``tokenizer.py`` may be anybody's and is never run: its vocabulary goes into kerastl's own tokenizer.
    """
    import kerastl

    problems: dict[str, str] = {}
    run = kerastl.open(folder)
    given: list[str | Path] = []
    for word in inputs:
        if word == "-":
            given += kerastl.inputs.lines.read(sys.stdin)
        elif _takes_paths(run):
            given.append(word)
        else:  # the run takes words, and would answer the name of a file
            given.append(Path(word) if os.path.lexists(word) or kerastl.inputs.lines.is_path(word) else word)
    answers = run.predict(given, problems=problems)
    if as_json:
        print(json.dumps([{key: value for key, value in one.items() if key != "words"} for one in answers], indent=2))
    else:
        for answer in answers:
            print(f"{output.printable(answer['input'])}: {output.printable(answer['words'])}")
    for why in problems.values():
        print(f"kerastl: {why}", file=sys.stderr)
    return 1 if problems else 0


def _takes_paths(run: FinishedRun) -> bool:
    from kerastl.types import FolderInputs

    return isinstance(run.task.inputs, FolderInputs)
