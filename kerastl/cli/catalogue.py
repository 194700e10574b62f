"""`list`, `show`, `copy`: recipes as files that are read, never imported."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

from kerastl.system import near_names


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe's file and what its docstring says.

    Attributes:
        name: the file's name without its ending.
        path: the file.
        summary: first line of the docstring.
        minutes, data: what its lines `Minutes:` and `Data:` say; empty where there are none.
        built_in: whether it comes with kerastl.
    """

    name: str
    path: Path
    summary: str
    minutes: str
    data: str
    built_in: bool


def folder() -> Path:
    """Where kerastl's own recipes lie: at the top of a checkout, in the package where it is installed."""
    import kerastl

    return Path(kerastl.recipes.__path__[0]).resolve()


def recipes() -> list[Recipe]:
    """The recipes that come with kerastl, by name."""
    return [read(path, built_in=True) for path in _files().values()]


def names() -> list[str]:
    """Their names alone: no file is read."""
    return list(_files())


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder().glob("*.py")) if not path.stem.startswith("_")}


def is_name(word: str) -> bool:
    """Whether a word names one of them, by itself or as a module."""
    return _plain(word) in _files()


def _plain(name: str) -> str:
    return name.removeprefix("kerastl.").removeprefix("recipes.")


def read(path: Path, *, built_in: bool) -> Recipe:
    """What a recipe's docstring says. Raises `ValueError` if the file is no Python."""
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except SyntaxError as error:
        raise ValueError(f"{path} is no Python file: line {error.lineno}: {error.msg}.") from error

    def line(name: str) -> str:
        found = re.search(rf"^\s*{name}:\s*(.+)$", text, re.MULTILINE)
        return found[1].strip().rstrip(".") if found else ""

    summary = text.partition("\n")[0].strip()
    return Recipe(path.stem, path, summary, line("Minutes"), line("Data"), built_in)


def find(name: str) -> Recipe:
    """A recipe by name, by module name (`kerastl.recipes.mnist_mobile`), or by the path of its file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no recipe of that name; near names are offered.
    """
    if name.endswith(".py") or "/" in name or "\\" in name:
        path = Path(name).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe file {name}.")
        return read(path, built_in=path.parent == folder())
    files = _files()
    name = _plain(name)
    if name not in files:
        raise ValueError(
            f"There is no recipe {name!r}.{near_names.did_you_mean(name, files)} Available: "
            f"{', '.join(files) or 'none'}; or the path of a recipe file of your own, ending in .py."
        )
    return read(files[name], built_in=True)


def show_list(*, as_json: bool) -> int:
    """Prints the recipes."""
    found = recipes()
    if as_json:
        rows = [{key: getattr(one, key) for key in ("name", "summary", "minutes", "data")} for one in found]
        for row in rows:
            number = re.match(r"\d+(\.\d+)?", row["minutes"])
            row["minutes"] = float(number[0]) if number else None
        print(json.dumps(rows, indent=2))
        return 0
    rows = [("recipe", "minutes", "data", "what it does")]
    rows += [(one.name, one.minutes, one.data, one.summary) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0


def show(*, recipe: str) -> int:
    """Prints a recipe's source."""
    print(find(recipe).path.read_text(encoding="utf-8"), end="")
    return 0


def copy(*, recipe: str, file: str) -> int:
    """Copies a recipe's source to a file that is not there yet."""
    found, target = find(recipe), Path(file)
    if target.is_dir():
        target = target / found.path.name
    if target.suffix != ".py":
        raise ValueError(f"A recipe is a Python file, whose name ends in .py. Received: {file}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent} to copy the recipe into.")
    try:
        with target.open("x", encoding="utf-8") as sink:
            sink.write(found.path.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise ValueError(f"{target} is there already and stays as it is. Give another name.") from error
    print(f"{target} is yours. Change it, then: kerastl run {target}")
    return 0
