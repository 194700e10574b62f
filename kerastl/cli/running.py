"""`run`: a recipe's Config becomes flags, its `run` gets a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from kerastl.cli import catalogue
from kerastl.system import near_names

_LIBRARIES = 5_000_000_000
"""Bytes of addresses that TensorFlow, its threads and NumPy's arrays of a small data set take before any training."""

_OPTIONS = """options of every recipe:
  --out DIR    the run's folder (default saved_models/{name}/TAG), whose name is the tag
  --tag TAG    name of the run (default "default"; "smoke" with --smoke)
  --smoke      tiny sizes, to see in a minute that everything works
  --debug      show where an error comes from

examples:
  kerastl run {given}
  kerastl run {given} --smoke
  kerastl run {given} --tag second{example}

settings:"""


def run(arguments: list[str]) -> int:
    """Runs a recipe: its name or file, the runner's options, and a flag for every field of its Config.

    Raises:
        ValueError: an unknown recipe, option or flag (near names are offered), or a file that is no recipe.
    """
    given, rest = _recipe_among(arguments)
    options, flags = _options(rest)
    recipe = catalogue.find(given)
    module = load(recipe)
    base = module.Config.smoke() if options["smoke"] else module.Config()
    config = parse(module, base, flags, given=given)
    name, tag = recipe.name, options["tag"] or ("smoke" if options["smoke"] else "default")
    if options["out"] and options["tag"]:
        raise ValueError("The last folder of --out is the run's tag: give one of --out and --tag. Received: both.")
    if tag != Path(tag).name or tag in (".", ".."):
        raise ValueError(f"A tag is one folder's name. Received: {tag!r}.")

    from kerastl.runs import store

    store.check_backend()  # before the recipe's first line imports Keras
    # Tensors on the CPU; a limit that is asked for stays. Without one TensorFlow takes whatever it is promised, and the
    # kernel ends the process without a word when the promise falls due.
    os.environ.setdefault("TF_MKL_ALLOC_MAX_BYTES", str(free_memory() * 9 // 10))
    folder = Path(options["out"] or Path("saved_models", name, tag))
    folder = folder.resolve() if folder.name in ("", "..") else folder  # whose name is the tag
    asked_before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        module.run(config, folder)
    except MemoryError as error:
        sizes = [f"--{name} (now {value})" for name, value in field_names(config).items() if "batch" in name]
        if sizes:
            error.add_note(f"Try a smaller {' or '.join(sizes)}.")
        raise
    finally:
        signal.signal(signal.SIGTERM, asked_before)
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
    free = [at for at, word in enumerate(words) if word[:1] != "-" and words[at - 1] not in ("--out", "--tag")]
    found = [at for at in free if words[at].endswith(".py") or catalogue.is_name(words[at])]
    if len(found) > 1:
        received = ", ".join(words[at] for at in found)
        raise ValueError(f"One recipe is run at a time: put it first, its flags behind it. Received: {received}.")
    if not found and not free:
        raise ValueError(f"`kerastl run` takes a recipe; `kerastl list` shows them. Received: {' '.join(words)}.")
    if not found:
        catalogue.find(words[free[-1]])  # says which names are near
    at = found[0]
    return words[at], words[:at] + words[at + 1 :]


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: of the machine, of its control group, of its own limit (`ulimit -v`).

    Args:
        root: where ``proc`` and ``sys`` are found.
    """
    free = [1 << 62]
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        free += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    for limit, used in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max"
            free.append(int((root / limit).read_text()) - int((root / used).read_text()))
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
        if addresses != resource.RLIM_INFINITY:
            free.append(addresses - _LIBRARIES)
    return max(min(free), 1 << 28)


def _options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The runner's own options, and the words that are left for the recipe."""
    options: dict[str, Any] = {"out": None, "tag": None, "smoke": False}
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--smoke":
            options["smoke"] = True
        elif name in ("--out", "--tag"):
            value = value if equals else next(rest, "")
            if not value or value.startswith("--"):
                raise ValueError(f"{name} needs a value. Received: {value or 'nothing'}.")
            options[name[2:]] = value
        else:
            flags.append(word)
    return options, flags


def load(recipe: catalogue.Recipe) -> ModuleType:
    """Imports a recipe's file, which imports nothing heavy by itself: rooms load when they are first named.

    Raises:
        ValueError: the file lacks a dataclass `Config` or a function `run(config, folder)`.
    """
    name = f"kerastl.recipes.{recipe.name}" if recipe.built_in else f"recipe_{recipe.name}"
    if not recipe.built_in and str(recipe.path.parent) not in sys.path:
        sys.path.append(str(recipe.path.parent))  # so that it finds its neighbours, as with `python FILE`
    spec = importlib.util.spec_from_file_location(name, recipe.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and tyro look the module up by name
    spec.loader.exec_module(module)
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
            f"`run(config, folder)`. Received: {recipe.path} without {', '.join(lacking)}."
        )
    return module


def parse(module: ModuleType, base: Any, flags: list[str], *, given: str) -> Any:
    """The recipe's Config with the flags laid over `base`; `--help` prints every field with its comment and exits.

    Raises:
        ValueError: a flag that is no field's; near names are offered.
    """
    import tyro

    names = field_names(base)
    if any(flag in ("-h", "--help") for flag in flags):
        simple = next((name for name, value in names.items() if isinstance(value, int | float)), None)
        example = f" --{simple} {names[simple]}" if simple else ""
        print(inspect.getdoc(module) or "", end="\n\n")
        print(_OPTIONS.format(name=Path(given).stem, given=given, example=example))
    config, unknown = tyro.cli(
        type(base),
        prog=f"kerastl run {given}",
        description="",
        args=flags,
        default=base,
        return_unknown_args=True,
        config=(tyro.conf.AvoidSubcommands,),
    )
    if unknown:
        wrong = next((word for word in unknown if word.startswith("-")), unknown[0])
        plain = wrong.lstrip("-").partition("=")[0].replace("_", "-")
        options = [*(f"--{name}" for name in names), "--out", "--tag", "--smoke"]
        last = {f"--{name}": name.rpartition(".")[2] for name in names}  # `--epochs` for `--teacher.epochs`
        near = [flag for flag, word in last.items() if word == plain.rpartition(".")[2]][:3]
        hint = f" Did you mean {', '.join(near)}?" if near else near_names.did_you_mean(f"--{plain}", options)
        if wrong.lower() in ("true", "false"):
            hint = " What is on or off takes no value: --integer, or --no-integer, for example."
        raise ValueError(f"{given} has no setting {wrong!r}.{hint} All of them: kerastl run {given} --help")
    return config


def field_names(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field of a Config as its flag is written (`teacher.peak-learning-rate`), with its value."""
    names: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + field.name.replace("_", "-"), getattr(config, field.name)
        names |= field_names(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return names
