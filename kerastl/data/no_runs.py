"""Paths that hold no data though something is there: pipes and devices, and what a run has made."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from kerastl.system import run_marks, special_files


def refuse(path: Path) -> None:
    """Refuses a path where data are wanted and none can be; there may be nothing.

    Raises:
        ValueError: it is a pipe, a device or a socket; the folder of a run, a run's bundle, or a folder of runs: says
            what that is for, and where the data of the run lie.
    """
    special_files.refuse(path)
    if not path.is_dir():
        return
    shown = shlex.quote(str(path))
    if config := run_marks.config_of(path):
        check = (
            f"`kerastl verify {shown}` measures its files again" if run_marks.is_finished(path) else "It is unfinished"
        )
        raise ValueError(
            f"Wanted data. Received: {path}, the folder of a run of {config['recipe']!a}. {check}. {_data_of(config)}"
        )
    if run_marks.is_bundle(path):
        raise ValueError(
            f"Wanted data. Received: {path}, the bundle of a run for the phone, which `kerastl predict {shown} INPUT` "
            "asks."
        )
    if runs := run_marks.runs_inside(path):
        names = ", ".join(str(run.relative_to(path)) for run in runs[:5]) + (", ..." if len(runs) > 5 else "")
        raise ValueError(
            f"Wanted data. Received: {path}, which holds runs: {names}. `kerastl verify {shlex.quote(str(runs[0]))}` "
            "measures the files of one again; where its data lie is said in its config.json."
        )


def _data_of(config: dict[str, Any]) -> str:
    """Where the data of a run are, in a sentence, by what its config.json says."""
    named = config.get("data")
    arguments = named.get("arguments") if isinstance(named, dict) else None
    if not isinstance(named, dict) or not isinstance(arguments, dict):
        return "Its config.json names no data yet."
    if isinstance(place := arguments.get("path"), str):
        return f"Its data lie in {place!a}, by its config.json: give that, `kerastl audit {shlex.quote(place)}` say."
    return f"Its data are the set {named.get('source')!a}, by its config.json."
