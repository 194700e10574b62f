"""`list`, `show`, `copy`: recipes as files that are read, never imported."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kerastl.runs import recipes


def show_list(*, as_json: bool) -> int:
    """Prints the recipes."""
    found = [one for recipe in recipes.built_in() for one in (recipe, *recipes.aliases(recipe))]
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
    print(recipes.find(recipe).path.read_text(encoding="utf-8"), end="")
    return 0


def copy(*, recipe: str, file: str) -> int:
    """Copies a recipe's source to a file that is not there yet."""
    found, target = recipes.find(recipe), Path(file)
    if target.is_dir():
        target = target / found.path.name
    if target.suffix != ".py":
        raise ValueError(f"A recipe is a Python file, whose name ends in .py. Received: {file}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent} to copy the recipe into.")
    try:
        with target.open("x", encoding="utf-8") as sink:
            sink.write(recipes.source(found))
    except FileExistsError as error:
        raise ValueError(f"{target} is there already and stays as it is. Give another name.") from error
    print(f"{target} is yours. Change it, then: kerastl run {target}")
    return 0
