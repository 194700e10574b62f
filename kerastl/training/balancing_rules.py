"""Rules that balance tasks, by their names: what a recipe's setting may be, and the rule that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from kerastl.system import families, near_names
from kerastl.training import balancing
from kerastl.types import NamedTargets
from kerastl.types.settings import Known

if TYPE_CHECKING:
    import keras

    from kerastl.training.balanced import Rule


def names() -> tuple[str, ...]:
    """Of all rules: the files of `training.balancing` that have a function ``for_tasks``."""
    return tuple(families.defining(Path(balancing.__path__[0]), "for_tasks"))


def rule(name: str, target: Any, *, steps: int) -> Rule:
    """The rule of that name with the settings of its paper, for these tasks.

    Args:
        name: one of `names`.
        target: of several tasks.
        steps: of an epoch.

    Raises:
        ValueError: there is none of that name (near names are offered), or the target is of one task.
    """
    if not isinstance(target, NamedTargets):
        raise ValueError(f"A rule balances several tasks. Received: one of {target.kind}.")
    if fault := _fault(name):
        raise ValueError(f"--rule {fault}. Received: {name!r}.")
    return getattr(balancing, name).for_tasks(target, steps=steps)


def under(name: str, batches: Any) -> Callable[[keras.Model], keras.Model] | None:
    """What puts a model under the rule of that name, for ``training.train(..., under=...)``.

    Args:
        name: one of `names`.
        batches: of ``data.pipeline``, which know what is asked and how many there are in an epoch.

    Returns:
        ``None`` where one thing is asked, which there is nothing to balance with: the model learns by its own loss.

    Raises:
        ValueError: there is no rule of that name, or the batches do not know their task.
    """
    from kerastl.training import balanced, batching

    task = batching.task_of(batches)
    if task is None:
        raise ValueError("Wanted batches of data.pipeline, which know their task. Received: batches of another origin.")
    if not isinstance(task.target, NamedTargets):
        return None
    return balanced.under(rule(name, task.target, steps=int(batches.cardinality())))


def _fault(name: str) -> str:
    known = names()
    if name in known:
        return ""
    return f"names no rule that balances tasks.{near_names.did_you_mean(name, known)} Available: {', '.join(known)}"


RuleName = Annotated[str, Known(_fault)]
