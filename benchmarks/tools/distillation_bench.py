"""What the questions of `distillation.py` share: trainings that are kept, a table of ways of teaching."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kerastl
from kerastl.types import Schedule, Workspace
from kerastl.verify import baseline

MODELS = {"save": kerastl.training.save, "load": kerastl.training.load}
BATCH = 128


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of all questions."""

    seeds: tuple[int, ...]
    limit: int | None
    smoke: bool


class Bench:
    """What every question gets: a run that keeps trainings, and the settings."""

    def __init__(self, run: kerastl.runs.Run, settings: Settings) -> None:
        self.run, self.seeds, self.limit, self.smoke = run, settings.seeds, settings.limit, settings.smoke

    def students(self, name: str, learn: Callable[[int, Workspace], Any], *key: object) -> list[keras.Model]:
        """One trained student a seed."""
        made = self.run.stage_per_seed(name, learn, seeds=self.seeds, key=[self.limit, *key], **MODELS)
        return [trained.model for trained in made]

    def config(self, recipe: types.ModuleType) -> Any:
        """A recipe's own settings, for these seeds."""
        if self.smoke:
            return dataclasses.replace(recipe.Config.smoke(), seed=self.seeds[0], seeds=len(self.seeds))
        return dataclasses.replace(recipe.Config(), seed=self.seeds[0], seeds=len(self.seeds), limit=self.limit)

    def epochs(self, schedule: Schedule) -> Schedule:
        return dataclasses.replace(schedule, epochs=1) if self.smoke else schedule

    def finished(self, recipe: types.ModuleType) -> tuple[dict[str, Any], Path]:
        """The report of a recipe's run, and its folder; what is finished of it is not done again."""
        folder = Path("saved_models", recipe.__name__.rpartition(".")[2], self.run.folder.name)
        return recipe.run(self.config(recipe), folder), folder


def accuracy(model: keras.Model, split: Any) -> float:
    return kerastl.verify.score(kerastl.training.predict(model, split.inputs), split.labels).value


def of_test(rows: Sequence[dict[str, float]]) -> list[float]:
    """Test scores in a report's control."""
    return [row["score"] for row in rows]


def show(
    title: str, *, teacher: float, ways: dict[str, list[float]], split: str = "test"
) -> dict[str, baseline.DistillationGain]:
    """A row a way of teaching, with its scores over seeds; the first is that without a teacher."""
    table = Table(title=title)
    for column in ("", split, "every seed", "above alone, points", "g"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("teacher", f"{100 * teacher:.2f}", "", "", "")
    found, alone = {}, next(iter(ways.values()))
    for name, scores in ways.items():
        found[name] = got = baseline.recovered_gap(teacher=teacher, alone=alone, distilled=scores)
        gain, share = f"{100 * got.gain:+.2f}", "" if got.gap is None else f"{got.gap:.2f}"
        if got.gain_low is not None and got.gain_high is not None:
            gain += f" ({100 * got.gain_low:+.2f} to {100 * got.gain_high:+.2f})"
        if got.low is not None and got.high is not None:
            share += f" ({got.low:.2f} to {got.high:.2f})"
        each = ", ".join(f"{100 * score:.2f}" for score in scores)
        first = scores is alone
        table.add_row(name, f"{100 * np.mean(scores):.2f}", each, "" if first else gain, "" if first else share)
    Console(width=150).print(table)
    return found
