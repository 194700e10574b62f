"""`evaluate` and `explain`: what the score of a finished run's file hides, and what its answers come from."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from kerastl.system import output


def evaluate(
    *,
    folder: str,
    coverage: float,
    also_test: str | None,
    group_column: str | None,
    positive: str | None,
    corruptions: list[str] | None,
    corruption_examples: int | None,
    explain: int,
    seed: int,
    data: str | None,
    source: str | None,
    download: bool,
    as_json: bool,
) -> int:
    """Measures a run's files and writes `evaluation.json` and `evaluation.html` into its folder.

    Args:
        folder: the run's.
        coverage, also_test, group_column, positive, corruptions, corruption_examples, explain, seed: see
            `kerastl.runs.evaluation.subject.Settings`.
        data, source, download: as for `kerastl verify`.
        as_json: whether what was measured is printed as JSON.
    """
    import kerastl

    run = kerastl.open(folder)
    module = None if source is None else kerastl.runs.recipes.load_file(source)
    settings = kerastl.runs.evaluation.subject.Settings(
        coverage=coverage,
        also_test=None if also_test is None else Path(also_test),
        group_column=group_column or "",
        positive=positive or "",
        corruptions=tuple(corruptions or ()),
        corruption_examples=corruption_examples,
        explain=explain,
        seed=seed,
    )
    again = kerastl.runs.evaluation.evaluating
    options: dict[str, Any] = {"source": module, "path": data, "download": download, "progress": not output.quiet}
    found = again.evaluate(run, settings=settings, **options)
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    for name in again.SECTIONS:
        if name in found:
            print(f"{name:<13} {output.printable(found[name]['words'])}")
    for name, why in () if output.quiet else found["skipped"].items():
        print(f"not measured: {name} ({output.printable(why)})")
    print(f"written: {output.printable(str(run.folder / again.PAGE))}")
    return 0


def explain(*, folder: str, inputs: list[str], out: str | None, column: str | None, as_json: bool) -> int:
    """Writes a page that shows what the shipped file's answers to some inputs come from.

    Args:
        folder: the run's.
        inputs, column: as for `kerastl predict`.
        out: the page, by default named after the run, in the folder of work.
        as_json: whether what was measured is printed as JSON.
    """
    import kerastl

    run = kerastl.open(folder)
    paths = isinstance(run.task.inputs, kerastl.types.FolderInputs)
    given = [Path(word) if not paths and os.path.lexists(word) else word for word in inputs]
    page = Path(out) if out is not None else Path(f"{run.config['recipe']}-explained.html".replace("/", "-"))
    found = kerastl.runs.evaluation.explaining.explain(run, given, out=page, column=column, progress=not output.quiet)
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    for row in found["inputs"]:
        print(f"{output.printable(row['input'])}: {output.printable(row['answer'])}")
    print(f"written: {output.printable(found['out'])}", file=sys.stderr if output.quiet else sys.stdout)
    return 0
