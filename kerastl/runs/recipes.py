"""Recipes: found by name or file, read without being imported, and run with the fields that somebody gave."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kerastl.system import machine, near_names, output, signals
from kerastl.types import settings

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe's file and what its docstring says.

    Attributes:
        name: the file's name without its ending, or one of the names in its ``ALIASES``.
        path: the file.
        summary: first line of the docstring.
        minutes, data: what its lines `Minutes:` and `Data:` say; empty where there are none.
        built_in: whether it comes with kerastl.
        aliases: further names under which its file knows other defaults.
    """

    name: str
    path: Path
    summary: str
    minutes: str
    data: str
    built_in: bool
    aliases: tuple[str, ...] = ()


def folder() -> Path:
    """Where kerastl's own recipes lie: at the top of a checkout, in the package where it is installed."""
    import kerastl

    return Path(kerastl.recipes.__path__[0]).resolve()


def built_in() -> list[Recipe]:
    """The recipes that come with kerastl, by name."""
    return [read(path, built_in=True) for path in _files().values()]


def names() -> list[str]:
    """Their names alone: no file is read."""
    return list(_files())


def is_name(word: str) -> bool:
    """Whether a word names one of them, by itself or as a module, or is an alias of one."""
    return _plain(word) in _files() or any(word in recipe.aliases for recipe in built_in())


def _plain(name: str) -> str:
    return name.removeprefix("kerastl.").removeprefix("recipes.")


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder().glob("*.py")) if not path.stem.startswith("_")}


def read(path: Path, *, built_in: bool) -> Recipe:
    """What a recipe's docstring says. Raises `ValueError` if the file is no Python."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{path} is no Python file: line {error.lineno}: {error.msg}.") from error
    return _said(path.stem, ast.get_docstring(tree) or "", path, built_in, tuple(_aliases(tree)))


def _said(name: str, text: str, path: Path, built_in: bool, aliases: tuple[str, ...]) -> Recipe:
    def line(word: str) -> str:
        found = re.search(rf"^\s*{word}:\s*(.+)$", text, re.MULTILINE)
        return found[1].strip().rstrip(".") if found else ""

    summary = text.partition("\n")[0].strip()
    return Recipe(name, path, summary, line("Minutes"), line("Data"), built_in, aliases)


def aliases(recipe: Recipe) -> list[Recipe]:
    """The further names of a recipe's file, each with what the docstring of its Config says."""
    found = _aliases(ast.parse(recipe.path.read_text(encoding="utf-8")))
    return [_said(name, text, recipe.path, recipe.built_in, recipe.aliases) for name, text in found.items()]


def _aliases(tree: ast.Module) -> dict[str, str]:
    """The keys of ``ALIASES = {"name": ConfigClass}``, and the docstrings of these classes."""
    docstrings = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        if any(isinstance(target, ast.Name) and target.id == "ALIASES" for target in node.targets):
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {
                str(key.value): docstrings.get(ast.unparse(kind), "")
                for key, kind in pairs
                if isinstance(key, ast.Constant)
            }
    return {}


def source(recipe: Recipe) -> str:
    """A recipe's file as text; of an alias with its settings as the ones that the file begins with."""
    text = recipe.path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "ALIASES"
            and isinstance(node.value, ast.Dict)
        ):
            pairs = zip(node.value.keys, node.value.values, strict=True)
            kinds = {str(key.value): ast.unparse(kind) for key, kind in pairs if isinstance(key, ast.Constant)}
            if recipe.name in kinds:
                return text.replace(ast.get_source_segment(text, node) or "", f"Config = {kinds[recipe.name]}", 1)
    return text


def find(name: str | Path) -> Recipe:
    """A recipe by name, by alias, by module name (`kerastl.recipes.mnist_mobile`), or by the path of its file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no recipe of that name; near names are offered.
    """
    name = os.fspath(name)
    if name.endswith(".py") or "/" in name or "\\" in name:
        path = Path(name).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe file {name}.")
        return read(path, built_in=path.parent == folder())
    files = _files()
    name = _plain(name)
    if name in files:
        return read(files[name], built_in=True)
    known = {alias.name: alias for recipe in built_in() for alias in aliases(recipe)}
    if name in known:
        return known[name]
    raise ValueError(
        f"There is no recipe {name!r}.{near_names.did_you_mean(name, [*files, *known])} Available: "
        f"{', '.join([*files, *known]) or 'none'}; or the path of a recipe file of your own, ending in .py."
    )


def load(recipe: Recipe) -> ModuleType:
    """Imports a recipe's file, which imports nothing heavy by itself: rooms load when they are first named.

    Raises:
        ValueError: if the file lacks a dataclass `Config` or a function `run(config, folder)`.
    """
    path = recipe.path
    module = load_file(path, name=f"kerastl.recipes.{path.stem}" if recipe.built_in else f"recipe_{path.stem}")
    lacking = [
        what
        for what, there in (
            ("a dataclass `Config`", dataclasses.is_dataclass(getattr(module, "Config", None))),
            ("its classmethod `smoke()`", callable(getattr(getattr(module, "Config", None), "smoke", None))),
            ("a function `run(config, folder)`", callable(getattr(module, "run", None))),
        )
        if not there
    ]
    if lacking:
        raise ValueError(
            "A recipe file has a frozen dataclass `Config` with a classmethod `smoke()`, and a function "
            f"`run(config, folder)`. Received: {path} without {', '.join(lacking)}."
        )
    return module


def load_file(path: Path | str, *, name: str | None = None) -> ModuleType:
    """Imports a Python file of the user's own under a name of its own.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its name does not end in ``.py``.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    name = name or path.stem
    if not name.startswith("kerastl.") and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # so that it finds its neighbours, as with `python FILE`
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"Wanted a Python file, whose name ends in .py. Received: {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and tyro look the module up by name
    spec.loader.exec_module(module)
    return module


def default_config(recipe: Recipe, module: ModuleType, *, smoke: bool = False) -> Any:
    """The settings that a recipe, or an alias of it, begins with."""
    kind = getattr(module, "ALIASES", {}).get(recipe.name, module.Config)
    return kind.smoke() if smoke else kind()


RENAMED = {
    "prefer": "accept.prefer",
    "budget": "accept.max-score-drop",
    "score-drop": "accept.max-quantization-drop",
    "agreement": "accept.min-agreement",
    "clipped": "accept.max-saturation",
    "policy": "on-unreadable",
    "limit": "max-train-examples",
    "measure-on-train": "evaluate-on-train",
    "answered": "cached-views",
    "views": "augmentation",
    "erasing": "teacher-augmentation.erasing",
    "noise": "teacher-augmentation",
    "from-nothing": "from-scratch",
    "keep": "keep-ratios",
}
"""Settings that recipes had under other names: the old one, as its flag is written, to the new."""


def setting(name: str, names: Iterable[str]) -> str | None:
    """The whole name of a setting: as it is, by its last part where only one ends in it, or so under an older name.

    Args:
        name: as its flag is written, ``"teacher.epochs"``; in place of ``-`` there may be ``_``.
        names: of all settings, see `field_names`.

    Returns:
        ``None`` where there is none, or several end in it.
    """
    name, names = name.replace("_", "-"), list(names)
    first, dot, rest = name.partition(".")
    old = RENAMED.get(first, first) + dot + rest
    groups = {one.rpartition(".")[0] for one in names} - {""}
    for whole in (name, old):
        if whole in names or whole in groups:
            return whole
    for last in (name, old):
        ends = [one for one in names if one.rpartition(".")[2] == last]
        if len(ends) == 1:
            return ends[0]
    return None


def near_settings(name: str, names: Iterable[str]) -> list[str]:
    """The settings, three at most, that somebody may have meant: first those that end in the same word or in a near
    one, ``schedule.epochs`` for ``"epoch"``.

    Args:
        name: as its flag is written, or its field.
        names: of all settings, see `field_names`.
    """
    name, names = name.lower().replace("_", "-"), list(names)
    last = name.rpartition(".")[2]
    found = [one for one in names if one.rpartition(".")[2] == last]
    if not found:
        ends = {one: one.rpartition(".")[2] for one in names}
        whole = near_names.nearest(name, names)
        words = near_names.nearest(last, dict.fromkeys(ends.values()))[:1]
        by_word = [one for word in words for one, end in ends.items() if end == word]
        found = whole + by_word if "." in name else by_word + whole
    return list(dict.fromkeys(found))[:3]


def with_fields(config: Any, fields: Mapping[str, Any], *, recipe: str, inside: str = "") -> Any:
    """A Config with some fields replaced, at any depth: ``{"teacher": {"epochs": 3}}`` or ``{"teacher.epochs": 3}``.

    Names may be short or old ones, see `setting`.

    Args:
        config: the recipe's, or a group of settings inside it.
        fields: name of each -> its value.
        recipe: its name, for errors.
        inside: the group's own name and a dot, for errors too.

    Raises:
        ValueError: if there is no such field; near names are offered, and how one is given that is inside a group.
    """
    for name, value in fields.items():
        names = [field.name for field in dataclasses.fields(config)]
        every = field_names(config)
        whole = setting(name, every) or name
        first, _, rest = whole.partition(".")
        first = first.replace("-", "_")
        if first not in names:
            near = near_settings(name, [*every, *(() if inside else RUNNERS)])
            raise ValueError(
                f"{recipe} has no setting {inside + name!r}.{_as_keywords(near, inside)} Available"
                f"{f' inside {inside[:-1]}' if inside else ''}: {', '.join(names)}."
            )
        _require_path_of(name, value)
        now = getattr(config, first)
        if rest or (isinstance(value, Mapping) and dataclasses.is_dataclass(now)):
            deeper = f"{inside}{first}."
            value = with_fields(now, {rest: value} if rest else value, recipe=recipe, inside=deeper)
        elif isinstance(now, tuple) and isinstance(value, str):
            value = (value,)  # a list of one: label_columns="PRICE"
        config = dataclasses.replace(config, **{first: value})
    return config


def _require_path_of(name: str, value: Any) -> None:
    """Refuses data themselves, where a setting takes the path of them: a run says where its data lie."""
    if hasattr(value, "to_csv") or hasattr(value, "write_csv"):
        how = 'save it, frame.to_csv("my.csv", index=False)'
        raise ValueError(f"{name} takes a path. Received: a data frame; {how}, and give {name}='my.csv'.")
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape != ():
        how = 'save them, numpy.savez("my.npz", x_train=x, y_train=y)'
        raise ValueError(f"{name} takes a path. Received: an array {value.shape}; {how}, and give {name}='my.npz'.")


RUNNERS = ("smoke", "tag", "out", "tracker")
"""What `run` takes itself, whatever the recipe."""


def _as_keywords(near: Sequence[str], inside: str) -> str:
    """Settings as a hint in Python; of those inside a group, how they are given."""
    near = [name.replace("-", "_") for name in near]
    groups = [name for name in near if "." in name]
    if not near:
        return ""
    if len(near) == len(groups) == 1:
        group, _, last = near[0].rpartition(".")
        given = f'{{"{last}": ...}}'
        for part in reversed(f"{inside}{group}".split(".")[1:]):
            given = f'{{"{part}": {given}}}'
        return f" Did you mean {last}? It is inside {f'{inside}{group}'.partition('.')[0]}={given}."
    first, _, last = groups[0].partition(".") if groups else ("", "", "")
    example = f' What stands behind a dot is given as {first}={{"{last}": ...}}.' if groups and "." not in last else ""
    return f" Did you mean {', '.join(inside + name for name in near)}?{example}"


def field_names(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field of a Config as its flag is written (`teacher.peak-learning-rate`), with its value."""
    names: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + field.name.replace("_", "-"), getattr(config, field.name)
        names |= field_names(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return names


def run(
    recipe: str | Path,
    *,
    smoke: bool = False,
    tag: str | None = None,
    out: Path | str | None = None,
    tracker: str | None = None,
    **fields: Any,
) -> FinishedRun:
    """Runs a recipe and opens what it made; the same call again resumes, or reuses what is finished.

    Args:
        recipe: its name, or the path of a recipe file of one's own.
        smoke: tiny sizes, to see in a minute that everything works.
        tag: name of the run, the last part of ``saved_models/RECIPE/TAG``.
        out: the run's folder, instead of a tag.
        tracker: where what came out is sent as well, see `tracking.track`.
        fields: settings of the recipe, by the names of its Config; nested ones as mappings, or with a dot:
            ``**{"teacher.epochs": 3}``.

    Raises:
        ValueError: if there is no such recipe or setting; near names are offered.
    """
    from kerastl.runs import finished, provenance, tracking

    if tracker is not None:
        tracking.check(tracker)
    found = find(recipe)
    with output.begun():
        module = load(found)
        config = with_fields(default_config(found, module, smoke=smoke), fields, recipe=str(recipe))
        folder = run_folder(found, tag=tag, out=out, smoke=smoke)
        given = {"smoke": smoke, "tag": tag, "out": out}
        said = {name: value for name, value in given.items() if value} | fields
        command = ", ".join([repr(recipe), *(f"{name}={value!r}" for name, value in said.items())])
        with provenance.started(f"kerastl.run({command})", smoke=smoke):
            execute(module, config, folder)
    made = finished.FinishedRun(folder)
    if tracker is not None:
        tracking.track(made, tracker)
    return made


def run_folder(recipe: Recipe, *, tag: str | None, out: Path | str | None, smoke: bool) -> Path:
    """Where a run's files go.

    Raises:
        ValueError: if both a tag and a folder are given, or the tag is not one folder's name.
    """
    if out and tag:
        raise ValueError("The last folder of --out is the run's tag: give one of --out and --tag. Received: both.")
    tag = tag or ("smoke" if smoke else "default")
    if tag != Path(tag).name or tag in (".", ".."):
        raise ValueError(f"A tag is one folder's name. Received: {tag!r}.")
    found = Path(out or Path("saved_models", recipe.name, tag))
    return found.resolve() if found.name in ("", "..") else found  # whose name is the tag


def execute(module: ModuleType, config: Any, folder: Path) -> None:
    """Runs a loaded recipe; SIGTERM ends it as Ctrl-C does, with a checkpoint, and out of memory it says what helps."""
    from kerastl.runs import store

    settings.check(config)
    store.check_backend()  # before the recipe's first line imports Keras
    # Tensors on the CPU; a limit that is asked for stays. Without one TensorFlow takes whatever it is promised, and the
    # kernel ends the process without a word when the promise falls due.
    os.environ.setdefault("TF_MKL_ALLOC_MAX_BYTES", str(machine.free_memory() * 9 // 10))
    with signals.sigterm_exits():
        try:
            module.run(config, folder)
        except MemoryError as error:
            sizes = [f"--{name} (now {value})" for name, value in field_names(config).items() if "batch" in name]
            if sizes:
                error.add_note(f"Try a smaller {' or '.join(sizes)}.")
            raise
