"""Losses of metric learning by their names: what a recipe's setting may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from kerastl.system import families, near_names
from kerastl.training import metric_learning
from kerastl.types.settings import Known

SUPERVISED_CONTRASTIVE = "supervised_contrastive"
"""The loss of embeddings themselves, see `tasks.embedding_training`."""


def names() -> tuple[str, ...]:
    """Of all losses: the files of `metric_learning`, and that of embeddings themselves."""
    found = families.defining(Path(metric_learning.__path__[0]), "loss")
    return tuple(sorted({*found, SUPERVISED_CONTRASTIVE}))


def fault(name: str) -> str:
    """What is wrong with a name, as the end of a sentence that begins with its flag; else nothing."""
    known = names()
    if name in known:
        return ""
    return f"names no loss of metric learning.{near_names.did_you_mean(name, known)} Available: {', '.join(known)}"


LossName = Annotated[str, Known(fault)]
