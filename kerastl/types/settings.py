"""Which values a setting may have, said beside its type: ``temperature: Positive = 2.0``.

`check` asks a recipe's Config before anything is read or trained, whoever made it, the command line or Python.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from kerastl.system import near_names, phrases


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers that a setting may have.

    Attributes:
        least, most: the ends, which belong to it.
        above, below: ends that do not.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, numbers.Real):
            return False
        number = float(value)
        return self.least <= number <= self.most and self.above < number < self.below

    def __str__(self) -> str:
        ends = (
            (self.above, "above {}"), (self.least, "{} or more"), (self.below, "below {}"), (self.most, "{} or less"),
        )  # fmt: skip
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"of {phrases.plain(self.least, digits=10)} to {phrases.plain(self.most, digits=10)}"
        return " and ".join(words.format(phrases.plain(end, digits=10)) for end, words in ends if math.isfinite(end))


@dataclasses.dataclass(frozen=True)
class Known:
    """Names and paths that a setting may have.

    Attributes:
        fault: what is wrong with one, in words that say what there is; nothing where nothing is.
    """

    fault: Callable[[str], str]


Seed = Annotated[int, Range(0, 2**32 - 1)]
Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]
"""A number of things, of which none may be wanted."""
Share = Annotated[float, Range(0, 1)]
Part = Annotated[float, Range(0, below=1)]
"""A share that is not all of it."""
Some = Annotated[float, Range(above=0, most=1)]
"""A share that is not nothing."""
Positive = Annotated[float, Range(above=0)]
Weight = Annotated[float, Range(0)]
CountOrShare = Annotated[int, Range(1)] | Annotated[float, Range(above=0, below=1)]
ImageSize = Annotated[int, Range(8, 4096)]
Tokens = Annotated[int, Range(3, 65_536)]
EncoderTokens = Annotated[int, Range(3, 512)]
"""Tokens for an encoder of BERT's kind, which knows 512 positions."""


def there(path: str) -> str:
    """Of a path that is named, that there is something."""
    return "" if not path or os.path.exists(path) else "is a file or folder; there is nothing at that path"


Place = Annotated[str, Known(there)]
"""A file or folder, or nothing."""


def one_group(pattern: str) -> str:
    """Of a regular expression, that it is one with a group in parentheses."""
    try:
        return "" if re.compile(pattern).groups else "is a regular expression with what is looked for in parentheses"
    except re.error as error:
        return f"is a regular expression; this is none: {error}"


def written(word: str) -> str:
    """Of a word, that there is one."""
    return "" if word.strip() and word.isprintable() else "is a list of words, each of letters that can be seen"


Word = Annotated[str, Known(written)]
Pattern = Annotated[str, Known(one_group)]
"""A regular expression whose first group is what is looked for."""


def check(settings: Any, *, prefix: str = "") -> None:
    """Looks at every setting, at any depth.

    Args:
        settings: a dataclass.
        prefix: stands before the names of its flags, ``"accept."`` say.

    Raises:
        ValueError: one is of another type than its field says, or outside of what that allows; names the flag.
    """
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value, flag = getattr(settings, field.name), f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            check(value, prefix=f"{flag}.")
        elif fault := _fault(hints[field.name], value):
            raise ValueError(f"--{flag} {fault}{'' if fault[-1] in '.?' else '.'} Received: {value!r:.200}.")


def _fault(hint: Any, value: Any) -> str:
    """What is wrong with a value for such a field, as the end of a sentence; nothing where nothing is."""
    kind, inside = typing.get_origin(hint), typing.get_args(hint)
    if kind is Annotated:
        return _beyond(inside[0], inside[1:], value)
    if kind is typing.Literal:
        if any(value == one and type(value) is type(one) for one in inside):
            return ""
        return f"is one of {', '.join(map(str, inside))}.{near_names.did_you_mean(str(value), map(str, inside))}"
    if kind in (types.UnionType, typing.Union):
        faults = [_fault(one, value) for one in inside]
        words = [fault.removeprefix("is ") for fault, one in zip(faults, inside, strict=True) if one is not type(None)]
        return "" if "" in faults else f"is {', or '.join(words)}"
    if kind is tuple:
        if not isinstance(value, tuple | list):
            return f"is a list of which each {_fault(inside[0], None)}"
        return next((f"is a list of which each {fault}" for one in value if (fault := _fault(inside[0], one))), "")
    allowed = _ALLOWED.get(hint, ()) if hint in _WORDS else object  # of any other type a recipe's author knows
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint in (int, float)):
        return f"is {_WORDS[hint]}"
    return "is a finite number" if hint is float and not math.isfinite(value) else ""


def _beyond(hint: Any, rules: tuple[Any, ...], value: Any) -> str:
    fault = _fault(hint, value)
    for rule in rules:
        if isinstance(rule, Range) and (fault or value not in rule):
            return f"is {_WORDS.get(hint, 'a number')} {rule}"
        if isinstance(rule, Known) and not fault:
            fault = rule.fault(str(value))
    return fault


_ALLOWED: dict[Any, Any] = {
    int: numbers.Integral, float: numbers.Real, str: (str, os.PathLike), bool: bool, type(None): type(None),
}  # fmt: skip
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "on or off", type(None): "nothing"}
