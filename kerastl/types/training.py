"""Training: how long and how fast, what became of it, and where it keeps what it goes on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kerastl.system import bounded_json
from kerastl.types.settings import Count, CountOrNone, Positive, Share, Weight

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: linear warm-up, then cosine decay to zero (Loshchilov & Hutter 2017).

    Attributes:
        epochs: passes over the training split.
        batch_size: examples a step.
        peak_learning_rate: reached at the end of the warm-up.
        warmup_fraction: share of all steps spent warming up, 0..1.
        weight_decay: decoupled weight decay (AdamW, Loshchilov & Hutter 2019).
    """

    epochs: CountOrNone
    batch_size: Count = 128
    peak_learning_rate: Positive = 1e-3
    warmup_fraction: Share = 0.1
    weight_decay: Weight = 0.0

    def steps(self, examples: int, *, drop_remainder: bool = True) -> int:
        """Steps of the optimizer over so many examples; a last smaller batch is left out, or counts as one."""
        batches = examples // self.batch_size if drop_remainder else -(-examples // self.batch_size)
        return self.epochs * batches


@dataclasses.dataclass(frozen=True)
class History:
    """Training curves of one stage: metric name -> one value an epoch."""

    stage: str
    values: Mapping[str, tuple[float, ...]]

    def to_json(self) -> str:
        """The curves as text; ``from_json`` reads it."""
        return json.dumps({"stage": self.stage, "values": self.values})

    @classmethod
    def from_json(cls, text: str) -> History:
        """The curves that ``to_json`` wrote."""
        content = bounded_json.loads(text)
        return cls(content["stage"], {name: tuple(series) for name, series in content["values"].items()})


class Workspace(Protocol):
    """Where a stage in the making keeps what it needs on the way to its result; see ``checkpoints.Workspace``.

    Attributes:
        stage: its name, which its curves and its progress bar carry.
        logs: folder of its TensorBoard logs.
    """

    stage: str
    logs: Path

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint in the middle of an epoch."""
        ...

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> object:
        """Writes a checkpoint: arrays of finite numbers by name, and facts that JSON takes."""
        ...

    def latest_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and facts of the newest sound checkpoint, ``None`` where there is none."""
        ...

    def remember(self, name: str, choose: Callable[[], str]) -> str:
        """What was chosen under ``name`` when the stage began, chosen now if it begins now."""
        ...
