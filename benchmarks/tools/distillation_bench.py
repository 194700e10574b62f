"""What the questions of `distillation.py` share: trainings that are kept, a table of ways of teaching."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
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
    """What every question gets: a run that keeps trainings, the settings, and where tables are shown."""

    def __init__(self, run: kerastl.runs.store.Run, settings: Settings, found: results.Results) -> None:
        self.results = found
        self.run, self.seeds, self.limit, self.smoke = run, settings.seeds, settings.limit, settings.smoke

    def students(self, name: str, learn: Callable[[int, Workspace], Any], *key: object) -> list[keras.Model]:
        """One trained student a seed."""
        made = self.run.stage_per_seed(name, learn, seeds=self.seeds, key=[self.limit, *key], **MODELS)
        return [trained.model for trained in made]

    def config(self, recipe: types.ModuleType, alias: str = "") -> Any:
        """A recipe's own settings, or those of an alias of it, for these seeds."""
        kind = recipe.ALIASES[alias] if alias else recipe.Config
        if self.smoke:
            return dataclasses.replace(kind.smoke(), seed=self.seeds[0], seeds=len(self.seeds))
        settings = {"seed": self.seeds[0], "seeds": len(self.seeds), "max_train_examples": self.limit}
        return dataclasses.replace(kind(), **settings)

    def epochs(self, schedule: Schedule) -> Schedule:
        return dataclasses.replace(schedule, epochs=1) if self.smoke else schedule

    def finished(self, recipe: types.ModuleType, alias: str = "") -> tuple[dict[str, Any], Path]:
        """The report of a recipe's run, and its folder; what is finished of it is not done again."""
        folder = Path("saved_models", alias or recipe.__name__.rpartition(".")[2], self.run.folder.name)
        return recipe.run(self.config(recipe, alias), folder), folder

    def show(
        self, title: str, *, teacher: float, ways: dict[str, list[float]], split: str = "test"
    ) -> dict[str, baseline.DistillationGain]:
        """A row a way of teaching, with its scores over seeds; the first is that without a teacher."""
        columns = {"way": "{}", split: "{:.2f}", "every seed": "{:.2f}"}
        columns |= {"above alone, points (95 % interval)": "{:+.2f}", "g (95 % interval)": "{:.2f}"}
        table = results.Table(title, columns)
        table.add("teacher", 100 * teacher, None, None, None)
        found, alone = {}, next(iter(ways.values()))
        for name, scores in ways.items():
            found[name] = got = baseline.recovered_gap(teacher=teacher, alone=alone, distilled=scores)
            gain = around(got.gain, got.gain_low, got.gain_high, times=100)
            share = around(got.gap, got.low, got.high)
            first = scores is alone
            every = [100 * score for score in scores]
            table.add(name, float(np.mean(every)), every, None if first else gain, None if first else share)
        self.results.show(table, width=150)
        return found


def around(
    value: float | None, low: float | None, high: float | None, *, times: float = 1.0
) -> float | results.Interval | None:
    """A number with its interval, as far as there are any."""
    if value is None or low is None or high is None:
        return value if value is None else times * value
    return results.Interval(times * value, times * low, times * high)


def accuracy(model: keras.Model, split: Any) -> float:
    return split.task.target.score(kerastl.training.predict(model, split.inputs), split.labels).value


def of_test(rows: Sequence[dict[str, float]]) -> list[float]:
    """Test scores in a report's control."""
    return [row["score"] for row in rows]
