"""`completion`: what a shell may offer for the word that is being typed, found in the parser itself.

The scripts for the shells only hand over the words; so they never grow old, and a new command or recipe completes at
once. A built-in recipe's own flags are offered too: its file imports nothing heavy. A file of somebody's own is never
run for that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kerastl.runs import recipes

_BASH = """\
# kerastl's completion for bash. Put into ~/.bashrc:  eval "$(kerastl completion bash)"
_kerastl() {
    local IFS=$'\\n'
    COMPREPLY=($("$1" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o bashdefault -o default -F _kerastl kerastl
"""
_ZSH = """\
#compdef kerastl
# kerastl's completion for zsh. Put into ~/.zshrc, after compinit:  eval "$(kerastl completion zsh)"
_kerastl() {
    local -a found
    found=(${(f)"$("${words[1]}" completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ${#found} )); then compadd -a found; else _files; fi
}
if [ "${funcstack[1]}" = "_kerastl" ]; then _kerastl "$@"; else compdef _kerastl kerastl; fi
"""
_FISH = """\
# kerastl's completion for fish. Put into ~/.config/fish/config.fish:  kerastl completion fish | source
function __kerastl_words
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l last (commandline -ct)
    $program completion words -- $words "$last" 2>/dev/null
end
complete -c kerastl -a '(__kerastl_words)'
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""By shell: what it reads once."""

_EVERYWHERE = ("--help", "--debug")


def completion(*, shell: str) -> int:
    """Prints a shell's script."""
    print(SCRIPTS[shell], end="")
    return 0


def words(typed: Sequence[str]) -> int:
    """Prints what the last of the words may become, a line each; nothing where a file's name belongs."""
    for word in candidates(typed):
        print(word)
    return 0


def candidates(typed: Sequence[str]) -> list[str]:
    """What the last word may become.

    Args:
        typed: the words behind `kerastl`, the last of them unfinished, perhaps empty.

    Returns:
        Whole words that begin with the unfinished one, in the order of the help; none where a file's name belongs, or
        where nothing is known.
    """
    from kerastl import cli

    last = typed[-1] if typed else ""
    commands = cli.commands()
    if len(typed) <= 1:
        found: Iterator[str] = iter([*commands, "--version", *_EVERYWHERE])
    elif typed[0] in commands:
        found = _of_command(typed[0], commands[typed[0]], list(typed[1:-1]), last, list(commands))
    else:
        return []
    return [word for word in dict.fromkeys(found) if word.startswith(last)]


def _of_command(
    name: str, parser: argparse.ArgumentParser, before: Sequence[str], last: str, commands: Sequence[str]
) -> Iterator[str]:
    flags = {flag: action for action in parser._actions for flag in action.option_strings}
    asked = flags.get(before[-1]) if before else None
    if asked is not None and asked.nargs != 0:  # the value of a flag: a number, a name of the user's own, or a file
        yield from asked.choices or ()
        return
    if name == "run" and before and before[-1] in ("--tag", "--out"):
        return
    known = recipes.names()
    if last.startswith("-"):
        yield from (flag for flag in flags if flag.startswith("--"))
        yield from _EVERYWHERE
        if name == "run":
            yield from ("--smoke", "--tag", "--out")
            given = next((word for word in before if word in known), None)
            yield from _flags_of(given, short=last.strip("-") != "") if given else ()
        return
    places = [action for action in parser._actions if not action.option_strings]
    plain = sum(not word.startswith("-") for word in before)
    if not places:
        return
    place = places[min(plain, len(places) - 1)]
    if place.metavar in ("RECIPE", "RECIPE_OR_FILE") and not set(before) & set(known):
        yield from known
    elif place.metavar == "COMMAND" and not before:
        yield from (*commands, *known)
    elif name == "fetch":
        from kerastl.cli import files

        yield from files.sources()
    elif place.metavar == "DIR" and not plain:
        yield from _finished_runs()
    yield from place.choices or ()


def _flags_of(recipe: str, *, short: bool) -> Iterator[str]:
    """A recipe's flags, and the way to switch off what is on or off.

    Args:
        recipe: its name.
        short: whether a nested flag is offered by its last part as well, where that is enough. Of an empty word it is
            not: everything would be offered twice.
    """
    fields = recipes.field_names(recipes.load(recipes.find(recipe)).Config())
    for name, value in fields.items():
        head, dot, tail = name.rpartition(".")
        for prefix in (head + dot, *([""] if short and dot and recipes.setting(tail, fields) == name else [])):
            yield f"--{prefix}{tail}"
            if isinstance(value, bool):
                yield f"--{prefix}no-{tail}"


def _finished_runs() -> Iterator[str]:
    for report in sorted(Path("saved_models").glob("*/*/report.json")):
        yield report.parent.as_posix()
