"""Pages of the site that are made from what stands elsewhere: recipes, results, changelog and every public name.

`mkdocs build` calls `on_config` (a hook), which copies the pages that are written by hand beside those that are made:
mkdocs-static-i18n takes pages of one folder alone. Sources are parsed and not imported: the site needs no TensorFlow.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build" / "docs"
FACTS = ("Minutes", "Data", "Command", "Expect")
"""Closing lines of a recipe's docstring, each with a colon."""


def on_config(config: Any) -> Any:
    """All pages of the site, in a folder of the build."""
    shutil.rmtree(BUILT, ignore_errors=True)
    shutil.copytree(ROOT / "docs", BUILT)
    for name, text in pages().items():
        (BUILT / name).parent.mkdir(exist_ok=True)
        (BUILT / name).write_text(text, encoding="utf-8")
    config.docs_dir = str(BUILT)
    config.nav[-1]["Reference"].append({"API": ["api/index.md", *(f"api/{name}.md" for name in api())]})
    return config


def on_serve(server: Any, **_: Any) -> None:
    """`mkdocs serve` looks at what is written by hand."""
    server.watch(str(ROOT / "docs"))


def pages() -> dict[str, str]:
    """Every generated page, by its path in the site."""
    made = {"recipes.md": recipes(), "results.md": results(), "changelog.md": changelog()}
    rooms = {f"api/{name}.md": page for name, page in api().items()}
    listed = "".join(f"- [`kerastl.{name}`]({name}.md): {_summary_of(name)}\n" for name in api() if name != "kerastl")
    start = f"# API\n\nThe two doors are [`kerastl.run` and `kerastl.open`](kerastl.md). Behind them:\n\n{listed}"
    return made | rooms | {"api/index.md": start}


def recipes() -> str:
    """The catalogue: what each recipe says of itself, and every setting with the line beneath it."""
    text = ["# Recipes\n\nA recipe is one Python file that reads aloud; each of its settings is a flag, and an argument of "]
    text.append("`kerastl.run`. `kerastl copy RECIPE FILE` makes one your own.\n")
    for path in recipe_files():
        module = ast.parse(path.read_text(encoding="utf-8"))
        words, facts = described(ast.get_docstring(module) or "")
        text.append(f"\n## {path.stem}\n\n{words}\n\n")
        text += [f"- **{name}**: {f'`{value}`' if name == 'Command' else value}\n" for name, value in facts.items()]
        rows = "".join(f"| `{name}` | `{default}` | {line} |\n" for name, default, line in settings(module))
        text.append(f'\n??? note "Settings of {path.stem}"\n\n')
        table = f"| setting | default | what it is |\n|---|---|---|\n{rows}"
        text.append("".join(f"    {line}\n" for line in table.splitlines()))
    return "".join(text)


def recipe_files() -> list[Path]:
    """The modules of all recipes."""
    return [path for path in sorted((ROOT / "recipes").glob("*.py")) if path.stem != "__init__"]


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """What a recipe says in words, and its closing lines by their names."""
    found = re.search(rf"(?m)^{FACTS[0]}:", docstring)
    words, closing = (docstring, "") if found is None else (docstring[: found.start()], docstring[found.start() :])
    parts = re.findall(rf"(?ms)^({'|'.join(FACTS)}): (.*?)(?=^(?:{'|'.join(FACTS)}): |\Z)", closing)
    return words.strip(), {name: " ".join(value.split()) for name, value in parts}


def settings(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Name, default and line of each field of the recipe's ``Config``."""
    (config,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Config")
    for field, line in zip(config.body, config.body[1:], strict=False):
        documented = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and field.value is not None and documented:
            default = " ".join(ast.unparse(field.value).split())
            yield ast.unparse(field.target), _cell(default), _cell(" ".join(str(line.value.value).split()))


def results() -> str:
    """The README's table, which `benchmarks/tools/results_table.py` makes of kept reports, with what stands around it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Results\n")[2].partition("\n## ")[0]
    return f"# Results\n{table}\n"


def changelog() -> str:
    """`CHANGELOG.md`, whose links are as seen from the root."""
    return re.sub(r"\]\(docs/", "](", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def api() -> dict[str, str]:
    """A page a room: every module of it with its docstrings; and of `kerastl` itself."""
    made = {"kerastl": "# kerastl\n\n::: kerastl\n    options: {show_submodules: false}\n"}
    for room in sorted((ROOT / "kerastl").iterdir()):
        modules = [module_name(path) for path in sorted(room.rglob("*.py"))] if room.is_dir() else []
        public = [name for name in modules if not any(part.startswith("_") for part in name.split("."))]
        if public and room.name != "recipes":
            options = "    options: {show_submodules: false}\n"
            made[room.name] = f"# kerastl.{room.name}\n\n" + "".join(f"::: {name}\n{options}\n" for name in public)
    return made


def module_name(path: Path) -> str:
    """The dotted name of a module of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _summary_of(room: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / "kerastl" / room / "__init__.py").read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0]


def _cell(words: str) -> str:
    """Words inside a table of Markdown."""
    return words.replace("|", "\\|")
