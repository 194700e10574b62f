"""Ways of sharing by name: what a recipe's setting may be, and the network that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from kerastl.models import sharing
from kerastl.types import NamedTargets, Task

if TYPE_CHECKING:
    import keras

SharingName = Literal["hard", "adapters", "cross_stitch"]


def build(name: SharingName, trunk: Callable[[Task], keras.Model], task: Task) -> keras.Model:
    """The network of several tasks that share so much; of one task what the trunk's builder makes.

    Args:
        name: ``"hard"``: one trunk, a head a task (Caruana 1997); ``"adapters"``, see `adapters.build`;
            ``"cross_stitch"``, see `cross_stitch.build`.
        trunk: builds a network of a task, or of several on one trunk, as all builders of `kerastl.models` do.
        task: what is asked.

    Raises:
        ValueError: as the way's ``build``.
    """
    if name == "hard" or not isinstance(task.target, NamedTargets):
        return trunk(task)
    return getattr(sharing, name).build(trunk, task)
