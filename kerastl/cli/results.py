"""`verify`, `predict`, `enrol` and `demo`: what a finished run claims, and what its file answers."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerastl.system import output

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

_STEP = 1000  # answers between two that are counted aloud


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
    if found.made_by:
        print(found.made_by)
    bad, every = len(found.differing), len(found.measured)
    print(f"FAILED: {bad} of {every} files, the data counted as one, {'is' if bad == 1 else 'are'} not as stated")
    return 1


def predict(
    *,
    folder: str,
    inputs: list[str],
    variant: str | None = None,
    column: str | None = None,
    top: int | None = None,
    as_json: bool = False,
    as_csv: bool = False,
) -> int:
    """Prints the exported file's answers to pictures, arrays, sentences or rows of numbers, and to files of such.

    What cannot be read is said, all others are answered; the exit status is then 1. ``-`` stands for the lines of
    standard input, each an input of its own: a sentence, a row, a path.

    A bundle's ``tokenizer.py`` may be anybody's and is never run: its vocabulary goes into kerastl's own tokenizer.

    Args:
        folder: the run's.
        inputs, variant, column, top: as for `kerastl.runs.finished.FinishedRun.predict`.
        as_json, as_csv: for programs, an object or a row an input, those that cannot be read among them.
    """
    import kerastl

    if as_json and as_csv:
        raise ValueError("Answers are printed once. Received: --json and --csv; leave one out.")
    run = kerastl.open(folder)
    given: list[str | Path] = []
    for word in inputs:
        if word == "-":
            given += kerastl.inputs.lines.read(sys.stdin)
        elif _takes_paths(run):
            given.append(word)
        else:  # the run takes words, and would answer the name of a file
            given.append(Path(word) if os.path.lexists(word) or kerastl.inputs.lines.is_path(word) else word)
    rows: list[dict[str, Any]] = []
    failed = 0
    answers = run.each_answer(given, variant=variant, column=column, top=top)
    for name, answer in _counted(answers, seen=sys.stdout.isatty() and not (as_json or as_csv)):
        if isinstance(answer, Exception):
            failed += 1
            rows.append({"input": name, "error": str(answer)})
            print(f"kerastl: {answer}", file=sys.stderr)
        elif as_json or as_csv:
            rows.append({"input": name, **{key: value for key, value in answer.items() if key != "words"}})
        else:
            print(f"{output.printable(name)}: {output.printable(answer['words'])}")
    if as_json:
        print(json.dumps(rows, indent=2))
    elif as_csv:
        _print_csv([_flat(row) for row in rows])
    return 1 if failed else 0


def enrol(*, folder: str, name: str, inputs: list[str]) -> int:
    """Adds examples of a name to a run's index, which `predict` searches; see `kerastl.runs.enrolling.enrol`."""
    import kerastl

    index = kerastl.open(folder).enrol(name, inputs)
    examples = kerastl.system.phrases.counted(
        int((index.owners == index.names.index(name)).sum()), "example", "examples"
    )
    names = kerastl.system.phrases.counted(len(index.names), "name", "names")
    print(f"{output.printable(name)}: {examples}; the index has {names} and needed no training")
    return 0


def demo(*, folder: str, host: str | None = None, network: bool = False, port: int | None = None) -> int:
    """Serves a bundle's page with its runtime until Ctrl-C, to this machine alone unless somebody says otherwise.

    Args:
        folder: the run's, or a bundle.
        host: an address of this machine, ``0.0.0.0`` for all of them.
        network: the same as ``host="0.0.0.0"``.
        port: where; 8000 or any that is free by default.
    """
    import kerastl

    demos = kerastl.runs.demo
    if network and host not in (None, demos.EVERYWHERE):
        raise ValueError(f"--network serves all networks that this machine is in. Received: --host {host} as well.")
    content = demos.files(kerastl.open(folder))
    with demos.Server(content, host=demos.EVERYWHERE if network else host or demos.LOOPBACK, port=port) as server:
        print(f"Open {server.address} in a browser. Ctrl-C ends it.", flush=True)
        if (address := server.address_in_network) is not None:
            print(f"On a phone in the same network: {address} (whoever is in that network can open it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _counted(answers: Iterator[tuple[str, Any]], *, seen: bool) -> Iterator[tuple[str, Any]]:
    """The same; how many there are is shown where somebody waits and the answers themselves are not ``seen``."""
    shown = sys.stderr.isatty() and not seen and not output.quiet
    for number, one in enumerate(answers, 1):
        if shown and number % _STEP == 0:
            print(f"{number:,} answered", file=sys.stderr)
        yield one


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What is inside of something by its path, ``probabilities.cat``; of a list of names one text, of others JSON."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            if isinstance(value, list):
                named = all(isinstance(one, str) for one in value)
                value = "|".join(value) if named else json.dumps(value, ensure_ascii=False)
            flat[f"{prefix}{key}"] = value
    return flat


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with all columns that a row has, the error the last."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "error"))
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow([output.printable(name) for name in (*columns, "error")])
    for row in rows:
        cells = (row.get(name, "") for name in (*columns, "error"))
        written.writerow([output.printable(cell) if isinstance(cell, str) else cell for cell in cells])


def _takes_paths(run: FinishedRun) -> bool:
    from kerastl.types import FolderInputs

    return isinstance(run.task.inputs, FolderInputs)
