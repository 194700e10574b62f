"""Makes the notebooks of the tutorials, in English and Chinese, from one file each.

    python tutorials/make.py                    # all of them
    python tutorials/make.py 01_first_network   # one

`NAME.py` is the source, in the percent form of jupytext: code cells, English text, and behind each English cell the
same in Chinese, marked ``lang="zh"``. The code is executed once, from top to bottom in a fresh kernel and an empty
folder, and its outputs go into both notebooks, whose code cells are the same. A cell that raises, or a result outside
the range that the first cell promises, is said, and the notebooks stay as they are; what was executed lies in
`build/tutorials/NAME.ipynb`, to be looked at. The other tutorials are made all the same, and the exit status is 1.

It needs what the extra `notebook` brings. `run_as_script` executes the same cells without a kernel, for the tests.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat

FOLDER = Path(__file__).resolve().parent
REFUSED = FOLDER.parent / "build" / "tutorials"
"""Where an executed notebook lies that was not written, for what it found or because a cell raised."""
REPOSITORY = "kerastl/kerastl"
LANGUAGES = {"en": FOLDER, "zh": FOLDER / "zh"}
"""Where the notebooks of each language lie."""
MOST_BYTES = 400_000
"""Of a notebook: it is committed, with its pictures."""
_BUTTONS = {
    "en": ("Open in Colab", "View on GitHub", "Download this notebook", "简体中文"),
    "zh": ("在 Colab 中打开", "在 GitHub 上查看", "下载本笔记本", "English"),
}
_INSTALL = f"""\
try:
    import kerastl
except ImportError:  # on Colab, or wherever it is not installed yet
    %pip install -q "git+https://github.com/{REPOSITORY}"
    import kerastl

with kerastl.system.output.begun():  # leaves out what TensorFlow says of this machine's processors
    import tensorflow

    tensorflow.config.list_physical_devices()
print("kerastl", kerastl.__version__)"""


def names() -> list[str]:
    """All tutorials, in their order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))


def source(name: str) -> nbformat.NotebookNode:
    """The cells of a tutorial as they are written, in both languages.

    Raises:
        FileNotFoundError: there is no such tutorial.
    """
    path = FOLDER / f"{name}.py"
    if not path.is_file():
        raise FileNotFoundError(f"There is no tutorial {name!r}. Available: {', '.join(names())}.")
    return jupytext.read(path, fmt="py:percent")


def notebook(name: str, *, language: str) -> nbformat.NotebookNode:
    """The notebook of a tutorial in one language, with buttons and the cell that installs, without outputs."""
    cells = [nbformat.v4.new_markdown_cell(_buttons(name, language=language)), nbformat.v4.new_code_cell(_INSTALL)]
    for cell in source(name).cells:
        if cell.cell_type == "code":
            cells.append(nbformat.v4.new_code_cell(cell.source))
        elif cell.metadata.get("lang", "en") == language:
            text = _joined(cell.source) if language == "zh" else cell.source
            cells.append(nbformat.v4.new_markdown_cell(text))
    cells[1], cells[2] = cells[2], cells[1]  # what it is about comes before the installation
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place:02d}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _buttons(name: str, *, language: str) -> str:
    inside = f"{LANGUAGES[language].relative_to(FOLDER.parent).as_posix()}/{name}.ipynb"
    colab, github, download, other = _BUTTONS[language]
    there = f"../{name}.ipynb" if language == "zh" else f"zh/{name}.ipynb"
    return (
        f"[![{colab}](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{REPOSITORY}/blob/main/{inside}) · "
        f"[{github}](https://github.com/{REPOSITORY}/blob/main/{inside}) · "
        f"[{download}](https://raw.githubusercontent.com/{REPOSITORY}/main/{inside}) · [{other}]({there})"
    )


def _joined(text: str) -> str:
    """Chinese text without the blanks that a line's end would leave between two of its characters."""
    wide = r"[\u2014\u2018-\u201d\u2026\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
    return re.sub(rf"(?<={wide})\n *(?={wide})", "", text)


def execute(name: str) -> nbformat.NotebookNode:
    """The English notebook with its outputs, from a fresh kernel in an empty folder.

    Raises:
        CellExecutionError: a cell raised; its note says where the notebook lies, as far as it was executed.
    """
    import nbclient

    made = notebook(name, language="en")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        try:
            nbclient.NotebookClient(made, timeout=3600, resources={"metadata": {"path": folder}}).execute()
        except nbclient.exceptions.CellExecutionError as error:
            error.add_note(f"What was executed of it: {_kept(made, name)}.")
            raise
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    made.metadata["kerastl"] = {"processor_seconds": round(seconds)}
    return made


def _kept(made: nbformat.NotebookNode, name: str) -> Path:
    """An executed notebook that is not to be committed, in a file of its own."""
    REFUSED.mkdir(parents=True, exist_ok=True)
    path = REFUSED / f"{name}.ipynb"
    path.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
    return path


def tidied(made: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook as it is committed: without times of day, and what concerns only the machine it ran on.

    Gone are colours, warnings and logs, what prints nothing, and plain texts beside a picture or a table.
    """
    for cell in made.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            if "text" in output:
                output.text = re.sub(r"\x1b\[[0-9;]*m", "", re.sub(r"(?m)^(INFO|WARNING):.*\n", "", output.text))
            if "image/png" in data or "text/html" in data:
                data.pop("text/plain", None)
            if kept and output.get("name") == "stdout" == kept[-1].get("name"):
                kept[-1].text += output.text
                continue
            if output.get("text") != "" and output.get("name") != "stderr":
                kept.append(output)
        cell.outputs = kept
    return made


def promised(made: nbformat.NotebookNode) -> list[tuple[str, float, float]]:
    """Rows ``what | from | to`` of the first cells' table: the range in which each result has to lie."""
    table = re.findall(r"(?m)^\| (.+?) \| ([\d.]+) \| ([\d.]+) \|$", "\n".join(cell.source for cell in made.cells[:3]))
    return [(what, float(low), float(high)) for what, low, high in table]


def found(made: nbformat.NotebookNode) -> list[float]:
    """The numbers at the end of the lines that the last code cell printed."""
    last = [cell for cell in made.cells if cell.cell_type == "code"][-1]
    text = "".join(output.get("text", "") for output in last.outputs)
    return [float(number) for number in re.findall(r"(?m)\s([\d.]+)$", text)]


def check_results(made: nbformat.NotebookNode) -> None:
    """Raises `ValueError` unless each result of an executed notebook lies in the range that it promises."""
    wanted, given = promised(made), found(made)
    outside = [
        f"{what}: {value} is not in {low} to {high}"
        for (what, low, high), value in zip(wanted, given, strict=False)
        if not low <= value <= high
    ]
    if not wanted or len(wanted) != len(given) or outside:
        raise ValueError(
            f"Wanted a result in each of the {len(wanted)} promised ranges. Received: {len(given)} results"
            f"{'; ' * bool(outside)}{'; '.join(outside)}."
        )


def in_language(made: nbformat.NotebookNode, name: str, *, language: str) -> nbformat.NotebookNode:
    """The notebook in a language, with the outputs of the one that was executed."""
    other = notebook(name, language=language)
    pairs = zip(*([cell for cell in each.cells if cell.cell_type == "code"] for each in (other, made)), strict=True)
    for cell, executed in pairs:
        cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    other.metadata["kerastl"] = made.metadata["kerastl"]
    return other


def write(name: str, *, text_only: bool = False) -> None:
    """Executes a tutorial and writes its notebooks.

    Args:
        name: of the tutorial.
        text_only: whether the outputs of the notebook that stands there are kept: after a change of the text alone.

    Raises:
        CellExecutionError: see `execute`.
        ValueError: see `check_results`; a notebook is too large to be committed; or the code has changed as well. What
            was executed is kept, and the error says where.
    """
    made = tidied(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4) if text_only else execute(name))
    try:
        _write(made, name)
    except ValueError as error:
        if not text_only:
            error.add_note(f"What was executed: {_kept(made, name)}.")
        raise


def _write(made: nbformat.NotebookNode, name: str) -> None:
    """The notebooks of both languages, when all that is refused has been looked for."""
    code = [[cell.source for cell in each.cells if cell.cell_type == "code"] for each in (made, source(name))]
    if code[0][1:] != code[1]:
        raise ValueError(f"The code of {name} has changed since it was executed: leave --text-only out.")
    texts = {}
    for language, folder in LANGUAGES.items():
        other = in_language(made, name, language=language)
        check_results(other)
        text = texts[folder] = nbformat.writes(other) + "\n"
        if len(text) > MOST_BYTES:
            raise ValueError(f"Wanted a notebook of at most {MOST_BYTES:,} bytes. Received: {len(text):,} of {name}.")
    for folder, text in texts.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")


def run_as_script(name: str) -> dict[str, Any]:
    """Executes the code cells of a tutorial in this process, with the small sizes that its cells name as ``smoke``.

    Returns:
        What the cells have defined.
    """
    scope: dict[str, Any] = {"__name__": name}
    for number, cell in enumerate(cell for cell in source(name).cells if cell.cell_type == "code"):
        exec(compile(cell.source, f"{name}, code cell {number}", "exec"), scope)
        scope.update(cell.metadata.get("smoke", {}))
    return scope


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="tutorials; by default all")
    parser.add_argument("--text-only", action="store_true", help="keep the outputs: only the text has changed")
    options = parser.parse_args(arguments)
    refused = []
    for name in options.names or names():
        print(f"{name} ...", flush=True)
        try:
            write(name, text_only=options.text_only)
        except (ValueError, FileNotFoundError, *_raised()) as error:
            refused.append(name)
            print("\n".join([f"{name} is not written: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
            continue
        made = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        print(f"{name}: {made.metadata['kerastl']['processor_seconds']} seconds of processor time")
    return 1 if refused else 0


def _raised() -> tuple[type[Exception], ...]:
    """What a cell that raises ends in, where the package is there that executes cells."""
    try:
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        return ()
    return (CellExecutionError,)


if __name__ == "__main__":
    raise SystemExit(main())
