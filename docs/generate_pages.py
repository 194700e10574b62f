"""Pages of the site that are made from what stands elsewhere: recipes, results, tutorials, changelog, public names.

`mkdocs build` calls `on_config` (a hook), which copies the pages that are written by hand beside those that are made:
mkdocs-static-i18n takes pages of one folder alone. Sources are parsed and not imported: the site needs no TensorFlow.
"""

from __future__ import annotations

import ast
import base64
import html
import json
import re
import shutil
import zlib
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
    made = pages()
    for place, content in [*made.items(), *images().items()]:
        (BUILT / place).parent.mkdir(exist_ok=True)
        (BUILT / place).write_bytes(content if isinstance(content, bytes) else content.encode())
    with (BUILT / "index.zh.md").open("a", encoding="utf-8") as start:
        start.write(untranslated())
    config.docs_dir = str(BUILT)
    config.nav[-1]["Reference"].append({"API": ["api/index.md", *(f"api/{name}.md" for name in api())]})
    written = [page for page in made if page.startswith("tutorials/") and not page.endswith(".zh.md")]
    if written:
        config.nav.insert(1, {"Tutorials": sorted(written, key=lambda page: (page != "tutorials/index.md", page))})
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """A page in the Chinese site that is not translated says so, below its title."""
    if not page.file.dest_uri.startswith("zh/") or page.file.src_uri.endswith(".zh.md"):
        return markdown
    title, _newline, rest = markdown.partition("\n")
    return f'{title}\n\n!!! note "尚未翻译"\n    这一页还没有中文译文，下面是英文原文。\n{rest}'


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML, which browsers show by themselves: no script, and nobody else's server."""
    from latex2mathml.converter import convert

    def formula(found: re.Match[str]) -> str:
        tag, opened, tex = found.groups()
        return f"<{tag}>{convert(html.unescape(tex), display='block' if opened == '[' else 'inline')}</{tag}>"

    return re.sub(r'(?s)<(div|span) class="arithmatex">\\([\[(])(.*?)\\[\])]</\1>', formula, content)


def on_post_page(output: str, **_: Any) -> str:
    """The link to the repository without what makes the theme ask GitHub for its stars: a request to anybody else."""
    return output.replace(' data-md-component="source"', "")


def on_post_build(*, config: Any) -> None:
    """Refuses a site whose pages lack a public name."""
    from mkdocs.exceptions import PluginError

    names = unreachable((Path(config.site_dir) / "objects.inv").read_bytes())
    if names:
        raise PluginError(f"The API's pages lack {len(names)} public names: {', '.join(names[:20])}.")


def unreachable(inventory: bytes) -> list[str]:
    """Public names that a site's inventory, the `objects.inv` of mkdocstrings, does not hold."""
    body = inventory.split(b"\n", 4)[4]  # behind four lines of a head
    return sorted(public_names() - {line.split(" ")[0] for line in zlib.decompress(body).decode().splitlines()})


def on_serve(server: Any, **_: Any) -> None:
    """`mkdocs serve` looks at what is written by hand."""
    server.watch(str(ROOT / "docs"))


def pages() -> dict[str, str]:
    """Every generated page, by its path in the site."""
    made = {"recipes.md": recipes(), "results.md": results(), "changelog.md": changelog()} | tutorials()
    made["recipes.zh.md"] = recipes(introduction=RECIPES_IN_CHINESE)
    rooms = {f"api/{name}.md": page for name, page in api().items()}
    listed = "".join(f"- [`kerastl.{name}`]({name}.md): {_summary_of(name)}\n" for name in api() if name != "kerastl")
    start = f"# API\n\nThe two doors are [`kerastl.run` and `kerastl.open`](kerastl.md). Behind them:\n\n{listed}"
    return made | rooms | {"api/index.md": start}


RECIPES = (
    "# Recipes\n\nA recipe is one Python file that reads aloud; each of its settings is a flag, and an argument of "
    "`kerastl.run`. `kerastl copy RECIPE FILE` makes one your own.\n"
)
RECIPES_IN_CHINESE = (
    "# 配方目录\n\n配方（recipe）是一个可以从头读到尾的 Python 文件；它的每项设置都是命令行选项，"
    "也是 `kerastl.run` 的参数。`kerastl copy RECIPE FILE` 会复制一份供你修改。"
    "下面每个配方的说明直接取自它的源代码，因此是英文："
    "Minutes 是所需分钟数，Data 是数据，Command 是命令，"
    "Expect 是预期的结果；展开 Settings 可以看到每项设置及其默认值。\n"
)


def recipes(*, introduction: str = RECIPES) -> str:
    """The catalogue: what each recipe says of itself, and every setting with the line beneath it."""
    text = [introduction]
    for path in recipe_files():
        module = ast.parse(path.read_text(encoding="utf-8"))
        words, facts = described(ast.get_docstring(module) or "")
        text.append(f"\n## {path.stem}\n\n{words}\n\n")
        text += [f"- **{name}**: {f'`{value}`' if name == 'Command' else value}\n" for name, value in facts.items()]
        rows = "".join(f"| `{name}` | `{default}` | {line} |\n" for name, default, line in settings(module))
        text.append(f'\n??? note "Settings of {path.stem}"\n\n')
        table = f"| setting | default | what it is |\n|---|---|---|\n{rows}"
        text.append("".join(f"    {line}\n" for line in table.splitlines()))
        text += [f"\n### {name}\n\n{said}\n" for name, said in aliases(module).items()]
    return "".join(text)


def aliases(module: ast.Module) -> dict[str, str]:
    """The further names of a recipe, ``ALIASES = {"name": ConfigClass}``, each with its class's words and facts."""
    classes = {node.name: ast.get_docstring(node) or "" for node in module.body if isinstance(node, ast.ClassDef)}
    found: dict[str, str] = {}
    for node in module.body:
        given = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(given, ast.Dict) and "ALIASES" in ast.unparse(node).partition("=")[0]:
            for name, settings_class in zip(given.keys, given.values, strict=True):
                words, facts = described(classes[ast.unparse(settings_class)])
                lines = [f"- **{key}**: {f'`{said}`' if key == 'Command' else said}" for key, said in facts.items()]
                found[str(ast.literal_eval(name or settings_class))] = "\n".join([words, "", *lines]).rstrip()
    return found


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
        if not isinstance(line, ast.Expr) or not isinstance(line.value, ast.Constant):
            continue
        if isinstance(field, ast.AnnAssign) and field.value is not None:
            default = " ".join(ast.unparse(field.value).split())
            yield ast.unparse(field.target), _cell(default), _cell(" ".join(str(line.value.value).split()))


def results() -> str:
    """The README's table, which `benchmarks/tools/results_table.py` makes of kept reports, and the words around it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Results\n")[2].partition("\n## ")[0]
    return f"# Results\n{table}\n"


def changelog() -> str:
    """`CHANGELOG.md`, whose links are as seen from the root."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/)", "](index.md)")
    return text.replace("](tutorials/README.md)", "](tutorials/index.md)").replace("](docs/", "](")


def api() -> dict[str, str]:
    """A page a room: every module of it with its docstrings; and of `kerastl` itself."""
    made = {"kerastl": "# kerastl\n\n::: kerastl\n    options: {show_submodules: false}\n"}
    for room in sorted((ROOT / "kerastl").iterdir()):
        public = [name for name in modules() if name.split(".")[1:2] == [room.name]] if room.is_dir() else []
        if public:
            options = "    options: {show_submodules: false}\n"
            made[room.name] = f"# kerastl.{room.name}\n\n" + "".join(f"::: {name}\n{options}\n" for name in public)
    return made


def modules() -> dict[str, Path]:
    """Every public module of the package, by its dotted name; not the schema's, which is generated."""
    named = {module_name(path): path for path in sorted((ROOT / "kerastl").rglob("*.py"))}
    hidden = {name for name in named if "metadata_schema" in name or any(part[0] == "_" for part in name.split("."))}
    return {name: path for name, path in named.items() if name not in hidden | {"kerastl.recipes"}}


def public_names() -> set[str]:
    """Functions, classes and their methods that have no underscore in front, of every public module."""
    found = set()
    for module, path in modules().items():
        for node in _public(ast.parse(path.read_text(encoding="utf-8")).body):
            found.add(f"{module}.{node.name}")
            methods = _public(node.body) if isinstance(node, ast.ClassDef) else []
            found |= {f"{module}.{node.name}.{one.name}" for one in methods}
    return found


def _public(body: list[ast.stmt]) -> list[ast.FunctionDef | ast.ClassDef]:
    found = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node for node in found if not node.name.startswith("_")]


def tutorials() -> dict[str, str]:
    """A page a notebook of `tutorials/` and of `tutorials/zh/`, and their READMEs as the pages that list them."""
    made = {}
    for folder, ending in ((ROOT / "tutorials", ".md"), (ROOT / "tutorials" / "zh", ".zh.md")):
        notebooks = sorted(folder.glob("*.ipynb"))
        made |= {f"tutorials/{path.stem}{ending}": notebook(path) for path in notebooks}
        if notebooks and (folder / "README.md").is_file():
            text = (folder / "README.md").read_text(encoding="utf-8").replace(".ipynb)", ".md)")
            made[f"tutorials/index{ending}"] = re.sub(r"\n?\[[^]]*\]\((?:zh/|\.\./)README\.md\)", "", text)
    return made


def notebook(path: Path) -> str:
    """A notebook as Markdown: its text, its code, and of what that printed the pictures and words."""
    parts = []
    for cell, content in _cells(path):
        if cell["cell_type"] == "markdown":
            parts.append(_linked("".join(cell["source"])))
            continue
        parts.append(f"```python\n{''.join(cell['source'])}\n```")
        for name, output in content:
            data = output.get("data", {})
            if name:
                parts.append(f"![{path.stem}]({Path(name).name})")
            elif "text/html" in data:
                parts.append("<div>" + re.sub(r"\n\s*\n", "\n", "".join(data["text/html"])) + "</div>")
            else:
                printed = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
                parts.append(f"```text\n{printed}\n```")
    parts.sort(key=lambda part: not part.startswith("# "))  # the title stands above the buttons
    return "\n\n".join(parts) + "\n"


def images() -> dict[str, bytes]:
    """The pictures of all notebooks, by their paths in the site."""
    paths = sorted((ROOT / "tutorials").glob("*.ipynb")) + sorted((ROOT / "tutorials" / "zh").glob("*.ipynb"))
    shown = ((name, output) for path in paths for _, content in _cells(path) for name, output in content if name)
    return {name: base64.b64decode("".join(output["data"]["image/png"])) for name, output in shown}


def _cells(path: Path) -> Iterator[tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]]:
    """Each cell with its outputs, and with the name that an output's picture has in the site, or none."""
    language = "zh_" if path.parent.name == "zh" else ""  # "NAME.zh.png" would be a translated file
    for row, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        outputs = enumerate(cell.get("outputs", []))
        names = ((f"tutorials/{path.stem}_{language}{row}_{number}.png", output) for number, output in outputs)
        yield cell, [(name if "image/png" in output.get("data", {}) else "", output) for name, output in names]


def _linked(text: str) -> str:
    """Text of a notebook whose links lead to pages of the site, and whose badge asks nobody else's server."""
    text = re.sub(r"(?: · )?\[[^]]*\]\((?:zh|\.\.)/[\w.]+\.ipynb\)", "", text)  # the site has a switch for languages
    text = re.sub(r"!\[([^]]*)\]\(https?:[^)]*\)", r"\1", text)
    return re.sub(r"\]\(([\w.]+)\.ipynb\)", r"](\1.md)", text)


def untranslated() -> str:
    """The pages that are written in English alone, for the start of the Chinese site."""
    pages = [path for path in sorted((ROOT / "docs").glob("*.md")) if ".zh" not in path.name]
    lacking = [path for path in pages if not path.with_suffix(".zh.md").is_file()]
    titles = (path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in lacking)
    listed = "".join(f"- [{title}]({path.name})\n" for title, path in zip(titles, lacking, strict=True))
    words = (
        "下列页面，以及结果、更新日志、接口文档和各配方的说明，目前只有英文版："
        if listed
        else "结果、更新日志、接口文档和各配方的说明目前只有英文版。"
    )
    return f"\n## 尚未翻译的页面\n\n{words}\n\n{listed}"


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
