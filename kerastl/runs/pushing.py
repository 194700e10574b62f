"""A finished run's bundle on Hugging Face's hub, through `huggingface_hub`, which is an extra."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kerastl.export import model_card

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

_SCHEME = "hf://"


def push(
    run: FinishedRun, place: str, *, private: bool = True, revision: str | None = None, endpoint: str | None = None
) -> str:
    """Uploads what lies in ``mobile/``, its card as the page of the repository, and `report.json` beside.

    Args:
        run: the run.
        place: ``hf://OWNER/NAME``; a repository that is not there is made.
        private: whether a repository that is made can be seen by its owner alone.
        revision: a branch that is there; by default the main one.
        endpoint: the hub's address; by default what the environment variable ``HF_ENDPOINT`` says, else the public one.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if it is no such place, or the bundle has no card.
        ModuleNotFoundError: if `huggingface_hub` is not installed: ``pip install 'kerastl[hub]'``.
    """
    name = place.removeprefix(_SCHEME)
    if not place.startswith(_SCHEME) or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        raise ValueError(f"Wanted a place hf://OWNER/NAME. Received: {place!r}.")
    files = _files(run)
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("huggingface_hub is not installed: pip install 'kerastl[hub]'") from error
    hub = huggingface_hub.HfApi(endpoint=endpoint, library_name="kerastl")
    hub.create_repo(name, repo_type="model", private=private, exist_ok=True)
    operations = [huggingface_hub.CommitOperationAdd(target, str(path)) for target, path in files.items()]
    words = f"{run.report['recipe']} / {run.report['tag']}, data {run.report['data']['digest'][:12]}"
    done = hub.create_commit(name, operations, commit_message=words, repo_type="model", revision=revision)
    return str(done.commit_url)


def _files(run: FinishedRun) -> dict[str, Path]:
    """What is uploaded: its name there, and where it lies. Links are no files of a run."""
    card = run.bundle / model_card.NAME
    if not card.is_file() or not (run.folder / "report.json").is_file():
        raise ValueError(
            f"Wanted a finished run with a model card. Received: {run.folder}, whose bundle has no {model_card.NAME}; "
            "run it again, which reuses what is finished."
        )
    found = {path.name: path for path in sorted(run.bundle.iterdir()) if path.is_file() and not path.is_symlink()}
    found["USAGE.md"] = found.pop("README.md")  # the hub shows README.md as the repository's page
    found["README.md"] = found.pop(model_card.NAME)
    return {**found, "report.json": run.folder / "report.json"}
