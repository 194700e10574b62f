"""`run`: a recipe's Config becomes flags, its `run` gets a folder."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import shlex
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kerastl.runs import provenance, recipes, tracking
from kerastl.system import output

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_OPTIONS = """options of every recipe:
  --out DIR    the run's folder (default saved_models/{name}/TAG), whose name is the tag
  --tag TAG    name of the run (default "default"; "smoke" with --smoke)
  --smoke      tiny sizes, to see in a minute that everything works
  --tracker T  also send what came out to a tracker, mlflow or wandb, each an extra
  --quiet      show errors and the result alone; the run's logs/run.log has everything
  --verbose    also show what TensorFlow and other native libraries say
  --debug      show where an error comes from

examples:
  kerastl run {given}
  kerastl run {given} --smoke
  kerastl run {given} --tag second{example}

settings (a nested one goes by its last part too, where no other ends in it):"""


def run(arguments: list[str]) -> int:
    """Runs a recipe: its name or file, the runner's options, and a flag for every field of its Config.

    Raises:
        ValueError: an unknown recipe, option or flag (near names are offered), or a file that is no recipe.
    """
    given, rest = _recipe_among(arguments)
    options, flags = _options(rest)
    tracker = options.pop("tracker")
    if tracker is not None:
        tracking.check(tracker)
    recipe = recipes.find(given)
    module = recipes.load(recipe)
    config = parse(module, recipes.default_config(recipe, module, smoke=options["smoke"]), flags, given=given)
    folder = recipes.run_folder(recipe, **options)
    command = shlex.join(["kerastl", "run", *arguments])
    with (
        provenance.started(command, smoke=options["smoke"]),
        output.muted() if output.quiet else contextlib.nullcontext(),
    ):
        recipes.execute(module, config, folder)
    if tracker is not None:
        from kerastl.runs import finished

        print(f"tracked: {tracker} {output.printable(tracking.track(finished.FinishedRun(folder), tracker))}")
    page = folder / "report.html"
    print(f"finished: {page if page.is_file() else folder}")
    return 0


def _recipe_among(words: list[str]) -> tuple[str, list[str]]:
    """The recipe, wherever it stands among its flags, and the other words.

    The first word is it, unless that is a flag. Behind flags it is known by its name: what a flag's value is cannot be
    said before the recipe is known.
    """
    if not words[0].startswith("-"):
        return words[0], words[1:]
    free = [
        at for at, word in enumerate(words) if word[:1] != "-" and words[at - 1] not in ("--out", "--tag", "--tracker")
    ]
    found = [at for at in free if words[at].endswith(".py") or recipes.is_name(words[at])]
    if len(found) > 1:
        received = ", ".join(words[at] for at in found)
        raise ValueError(f"One recipe is run at a time: put it first, its flags behind it. Received: {received}.")
    if not found and not free:
        raise ValueError(f"`kerastl run` takes a recipe; `kerastl list` shows them. Received: {' '.join(words)}.")
    if not found:
        recipes.find(words[free[-1]])  # says which names are near
    at = found[0]
    return words[at], words[:at] + words[at + 1 :]


def _options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The runner's own options, and the words that are left for the recipe."""
    options: dict[str, Any] = {"out": None, "tag": None, "smoke": False, "tracker": None}
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--smoke":
            options["smoke"] = True
        elif name in ("--out", "--tag", "--tracker"):
            value = value if equals else next(rest, "")
            if not value or value.startswith("--"):
                raise ValueError(f"{name} needs a value. Received: {value or 'nothing'}.")
            options[name[2:]] = value
        else:
            flags.append(word)
    return options, flags


def parse(module: ModuleType, base: DataclassInstance, flags: list[str], *, given: str) -> Any:
    """The recipe's Config with the flags laid over `base`; `--help` prints every field with its comment and exits.

    A flag may be written by its last part where that is unique: `--max-score-drop` for `--accept.max-score-drop`.

    Raises:
        ValueError: a flag that is no field's; near names are offered.
    """
    import tyro

    names = recipes.field_names(base)
    if any(flag in ("-h", "--help") for flag in flags):
        plain_first = sorted(names, key=lambda name: "." in name)
        simple = next((name for name in plain_first if isinstance(names[name], int | float)), None)
        example = f" --{simple} {names[simple]}" if simple else ""
        alias = type(base) in getattr(module, "ALIASES", {}).values()
        print(inspect.getdoc(type(base) if alias else module) or "", end="\n\n")
        print(_OPTIONS.format(name=Path(given).stem, given=given, example=example))
    words = [_whole(flag, names) for flag in flags]
    _check_values(words, base, example=_command(module), given=given)
    config, unknown = tyro.cli(
        type(base),
        prog=f"kerastl run {given}",
        description="",
        args=words,
        default=base,
        return_unknown_args=True,
        config=(tyro.conf.AvoidSubcommands,),
    )
    if unknown:
        wrong = next((word for word in unknown if word.startswith("-")), unknown[0])
        plain = wrong.lstrip("-").partition("=")[0].replace("_", "-")
        near = recipes.near_settings(plain, [*names, *recipes.RUNNERS])
        hint = f" Did you mean {', '.join(f'--{name}' for name in near)}?" if near else ""
        if wrong.lower() in ("true", "false"):
            hint = " What is on or off takes no value: --integer, or --no-integer, for example."
        raise ValueError(f"{given} has no setting {wrong!r}.{hint} All of them: kerastl run {given} --help")
    return config


def _whole(flag: str, names: dict[str, Any]) -> str:
    """A flag by its whole name; one of an older name is said on stderr."""
    word, equals, value = flag.partition("=")
    name = word.removeprefix("--").replace("_", "-")
    if not word.startswith("--") or name in names:
        return flag
    group, dot, last = name.rpartition(".")
    off = "no-" if last.startswith("no-") else ""  # of what is on or off
    plain = f"{group}{dot}{last.removeprefix(off)}"
    found = recipes.setting(plain, names)
    if found is None or found not in names or (off and not isinstance(names[found], bool)):
        return flag
    group, dot, last = found.rpartition(".")
    new = f"--{group}{dot}{off}{last}"
    if plain.partition(".")[0] in recipes.RENAMED and found != plain:
        print(f"kerastl: {word} is now {new}", file=sys.stderr)
    return f"{new}{equals}{value}"


def _check_values(words: list[str], base: DataclassInstance, *, example: str, given: str) -> None:
    """Raises `ValueError` where a flag that takes one value has none: what it takes, and how it is written."""
    names = recipes.field_names(base)
    for word, after in itertools.zip_longest(words, words[1:], fillvalue="--"):
        name = word.removeprefix("--").replace("_", "-")
        if not word.startswith("--") or not after.startswith("--") or name not in names:
            continue
        if isinstance(names[name], bool | tuple | list):  # a switch, or a list, which may be empty
            continue
        known = example.partition(f" {word} ")[2].split()
        if known:
            shown = f"kerastl run {given} {word} {known[0]}"
        else:
            shown = f"kerastl run {given} {word} {names[name]}" if isinstance(names[name], int | float) else ""
        comment = _comment(base, name)
        raise ValueError(
            f"{word} needs a value{f': {comment}' if comment else '.'} Received: nothing."
            f"{f' For example: {shown}.' if shown else f' See `kerastl run {given} --help`.'}"
        )


def _command(module: ModuleType) -> str:
    """The line of a recipe's docstring that says how people call it."""
    lines = (inspect.getdoc(module) or "").splitlines()
    return next((line for line in lines if line.startswith("Command:")), "")


def _comment(config: DataclassInstance, name: str) -> str:
    """What stands under a field in its dataclass, in one line; nothing where nothing does, or the source is not known.

    Args:
        config: the recipe's.
        name: of the field, as its flag is written.
    """
    group, _, last = name.rpartition(".")
    owner = config
    for part in filter(None, group.split(".")):
        owner = getattr(owner, part.replace("-", "_"))
    for kind in type(owner).__mro__:
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        except (OSError, TypeError, ValueError, SyntaxError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for node, under in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == last.replace("-", "_"):
                said = under.value if isinstance(under, ast.Expr) else None
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    return " ".join(said.value.split())
    return ""
