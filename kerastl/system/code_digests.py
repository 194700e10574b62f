"""What code does, as a SHA-256: whoever edits a recipe does not get the old one's models back.

A function counts with the whole source of the file that it stands in and of that file's neighbours, as syntax trees
without comments and docstrings; with the values of the constants that it reaches, its defaults, and what it closes
over. What is installed counts by its version, which is the caller's to add.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from kerastl.system.digests import sha256_of

_PLAIN = bool | int | float | str | bytes | tuple | frozenset
_OWN = Path(__file__).resolve().parents[1]
_INSTALLED = tuple(
    {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def of_function(function: object) -> str:
    """SHA-256 (hex) of what a function does, wherever it stands: its code and that of what it names in its module.

    Functions and plain constants (numbers, strings, tuples of them) of the function's own module count, as far as they
    are reached from it, and the defaults of arguments; what it calls in other modules, and what it closes over, does
    not.
    """
    while isinstance(function, functools.partial):
        function = function.func
    sink: list[object] = []
    if isinstance(function, FunctionType):
        _reach(function, sink, seen=set())
    return sha256_of(sink)


def of_maker(make: object, *, leave_out: Sequence[object] = ()) -> str:
    """SHA-256 (hex) of all that decides what a recipe's function makes, but for what it is handed when it is called.

    Args:
        make: a function, a method, a partial or a callable object, decorated or not.
        leave_out: values that are captured and do not count, compared by identity: the settings of a run, of which a
            stage's key names those that matter.

    What is captured counts where it is made of numbers, texts, tuples, dataclasses and arrays. Models and other objects
    say nothing of their contents, and lists and mappings may be filled on the way: what counts of them belongs into
    the key, or is handed over in a partial.
    """
    sink: list[object] = []
    functions: list[FunctionType] = []
    _gather(make, sink, functions, leave_out=[id(one) for one in leave_out], seen=set())
    for function in functions:
        _reach(function, sink, seen=set())
    sources = {file: digest for function in functions for file, digest in _sources(function).items()}
    return sha256_of([sink, sorted(sources.values())])


def _gather(value: Any, sink: list[object], functions: list[FunctionType], *, leave_out: list[int], seen: set) -> None:
    """Adds the functions inside a callable, and what each of them has captured."""
    if id(value) in seen or id(value) in leave_out:
        return
    seen.add(id(value))
    more = {"leave_out": leave_out, "seen": seen}
    if isinstance(value, functools.partial):
        for item in (value.func, *value.args, *value.keywords.values()):
            _gather(item, sink, functions, **more)
        sink.append(sorted(value.keywords))
    elif isinstance(value, MethodType):
        _gather(value.__func__, sink, functions, **more)
        _gather(value.__self__, sink, functions, **more)
    elif isinstance(value, FunctionType):
        functions.append(value)
        captured = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        # a list that is captured may be one that is filled on the way: what it is made of stands in the source
        fixed = [item for item in captured if not isinstance(item, list | dict | set | bytearray)]
        for item in (*fixed, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            _gather(item, sink, functions, **more)
        if wrapped := getattr(value, "__wrapped__", None):
            _gather(wrapped, sink, functions, **more)
    elif isinstance(value, ModuleType):
        functions += [one for one in vars(value).values() if isinstance(one, FunctionType) and _is_own_code(one)]
    elif isinstance(value, enum.Enum):
        sink.append((type(value).__qualname__, value.name))
    elif isinstance(value, type) or callable(value):  # a class, or an object that is called; models are the key's
        kind = value if isinstance(value, type) else type(value)
        own = [one for one in vars(kind).values() if isinstance(one, FunctionType) and _is_own_code(one)]
        functions += own
        if own and not isinstance(value, type):
            for item in getattr(value, "__dict__", {}).values():
                _gather(item, sink, functions, **more)
    else:
        with contextlib.suppress(ValueError):  # an object says nothing about its contents
            sink.append(sha256_of(value))


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that gets its value later
        return False
    return True


def _sources(function: FunctionType) -> dict[str, str]:
    """Digest of each source file that belongs to a function: its own, and its neighbours' that it imports."""
    found: dict[str, str] = {}
    waiting: list[tuple[str, dict[str, Any]]] = [(function.__code__.co_filename, function.__globals__)]
    while waiting:
        name, space = waiting.pop()
        if name in found or not _is_own(name):
            continue
        try:
            found[name], tree = _of_source(Path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):  # gone, or no longer what was imported: its functions still count
            continue
        modules = [sys.modules.get(other) for other in _imported(tree, space)]
        waiting += [(str(getattr(one, "__file__", None) or ""), vars(one)) for one in modules if one]
    return found


def _is_own_code(function: FunctionType) -> bool:
    return _is_own(function.__code__.co_filename)


def _is_own(name: str) -> bool:
    """Whether a source file is one that its user may edit: a recipe, or what lies beside one; nothing installed."""
    if not name.endswith(".py"):
        return False
    file = Path(name).resolve()
    if file.is_relative_to(_OWN) or "site-packages" in file.parts:
        return file.is_relative_to(_OWN / "recipes")
    return not any(file.is_relative_to(place) for place in _INSTALLED)


@functools.lru_cache(maxsize=64)
def _of_source(text: str) -> tuple[str, ast.Module]:
    """Digest of the syntax tree, without comments, positions, and texts that are only said; and that tree."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            lines = getattr(node, block, None)
            if isinstance(lines, list):
                setattr(node, block, [line for line in lines if not _is_said(line)])
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tree


def _is_said(line: ast.AST) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _imported(tree: ast.Module, space: dict[str, Any]) -> Iterator[str]:
    """Names of modules that a file imports, anywhere in it."""
    package = space.get("__package__") or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*filter(None, start), *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
    for value in list(space.values()):  # what somebody put there without saying so
        kind = value if inspect.isclass(value) or inspect.isfunction(value) else None
        if isinstance(value, ModuleType):
            yield value.__name__
        elif kind is not None and kind.__module__:
            yield kind.__module__


def _reach(function: FunctionType, sink: list[object], *, seen: set[str]) -> None:
    seen.add(function.__qualname__)
    sink.append(_code(function.__code__))
    defaults = {**dict(enumerate(function.__defaults__ or ())), **(function.__kwdefaults__ or {})}
    for name, default in defaults.items():
        with contextlib.suppress(ValueError):  # an object says nothing about its contents
            sink.append(("default", name, sha256_of(default)))
    space = function.__globals__
    for name in sorted(_names(function.__code__)):
        value = space.get(name)
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            if value.__qualname__ not in seen:
                _reach(value, sink, seen=seen)
        elif isinstance(value, _PLAIN):
            with contextlib.suppress(ValueError):  # a tuple of objects says nothing about its contents
                sink.append((name, sha256_of(value)))


def _names(code: CodeType) -> set[str]:
    """Global and attribute names in a piece of code and in the functions inside it."""
    inner = (_names(item) for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*inner)


def _code(code: CodeType) -> str:
    constants = []
    for place, item in enumerate(code.co_consts):
        if not place and isinstance(item, str) and _has_docstring(code):
            constants.append(repr(None))
        elif isinstance(item, CodeType):
            constants.append(_code(item))
        else:  # a frozen set prints in another order in every process
            constants.append(sorted(map(repr, item)) if isinstance(item, frozenset) else repr(item))
    return sha256_of([code.co_code, code.co_names, code.co_varnames, constants])


def _has_docstring(code: CodeType) -> bool:
    """Whether the first constant is one: up to Python 3.12 a text is, in what may have one."""
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & 0x4000000)
    return not code.co_name.startswith("<")
