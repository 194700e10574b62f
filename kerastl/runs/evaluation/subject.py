"""What is evaluated: a run's files on its own data, each asked once, and its float model where that is asked for."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.runs import remeasured
from kerastl.system import output
from kerastl.types import Dataset, Split
from kerastl.untrusted import tflite_file

if TYPE_CHECKING:
    import keras

    from kerastl.runs.finished import FinishedRun


class NotMeasured(ValueError):
    """A section does not measure this run, for a reason that the page states; any other error is a mistake."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        coverage: of conformal sets and intervals.
        also_test: a set from elsewhere, measured beside the own test split.
        group_column: see `data.group_columns.of_split`; empty for no groups.
        positive: the class whose rates are compared between groups; by default the last of two.
        corruptions: names, nothing for all of the kind of input, ``("none",)`` for none.
        corruption_examples: test examples that are corrupted, by default as many as take half a minute a file.
        explain: mistakes that are explained.
        seed: of corruptions, draws and masks.
    """

    coverage: float = 0.95
    also_test: Path | None = None
    group_column: str = ""
    positive: str = ""
    corruptions: tuple[str, ...] = ()
    corruption_examples: int | None = None
    explain: int = 4
    seed: int = 0


class Subject:
    """A run's files and data.

    Args:
        run: the run, which may be anybody's.
        dataset: its data, loaded again; ``None`` where inputs come from elsewhere, and no section asks for it.
        reader: runs its files.
        settings: what is measured.
        progress: whether each file that is run is said, to standard error.

    Attributes:
        files: name of each variant that is there -> its file, the chosen one first.
        chosen: name of the file that ships.
        reference: name of the float32 file of the same model, which may be the chosen one; ``None`` where there is
            none.
        pictures: what sections show and JSON does not hold, by section.
    """

    def __init__(
        self,
        run: FinishedRun,
        dataset: Dataset | None,
        reader: tflite_file.SandboxedModel,
        *,
        settings: Settings,
        progress: bool,
    ) -> None:
        from kerastl.runs import finished

        self.run, self._dataset, self.settings = run, dataset, settings
        self.task, self.reader, self._progress = run.task if dataset is None else dataset.task, reader, progress
        self.chosen = str(run.report["chosen"])
        self.rows: dict[str, dict[str, Any]] = {row["name"]: row for row in run.report["variants"]}
        places = {name: finished.inside(run.folder, row["file"]) for name, row in self.rows.items()}
        order = sorted(places, key=lambda name: name != self.chosen)
        self.files = {name: places[name] for name in order if places[name].is_file()}
        self.files[self.chosen] = run.file
        same = [row for row in self.rows.values() if row["model"] == self.rows[self.chosen]["model"]]
        floats = [row["name"] for row in same if row["technique"] == "float32" and row["name"] in self.files]
        self.reference: str | None = floats[0] if floats else None
        self.pictures: dict[str, Any] = {}
        self._answers: dict[tuple[str, str], Any] = {}

    @property
    def dataset(self) -> Dataset:
        """The run's data."""
        if self._dataset is None:
            raise ValueError("the run's data were not loaded")
        return self._dataset

    def answers(self, name: str, split: Split) -> Any:
        """A file's answers to a split, each asked once."""
        if (name, split.name) not in self._answers:
            self.say(f"{name} answers {len(split):,} examples of {split.name}")
            self._answers[name, split.name] = remeasured.predict_split(self.reader, self.files[name], split)
        return self._answers[name, split.name]

    def answer_of(self, name: str) -> Callable[[np.ndarray], Any]:
        """A function of examples: what a file answers."""
        kind = self.task.inputs

        def answer(examples: np.ndarray) -> Any:  # of several outputs a mapping of their names
            return self.reader.run(self.files[name], kind.fed(examples))

        return answer

    def errors(self, answers: Any, labels: Any) -> np.ndarray:
        """How wrong each answer is: of shares 1 or 0, else the error in its unit, ``(examples,)``."""
        found = np.asarray(self.task.target.confidence(answers, labels), np.float64)
        return (found > 0).astype(np.float64) if self.task.target.units == "%" else found

    @functools.cached_property
    def model(self) -> keras.Model | None:
        """The float model with the task's answers, ``None`` where there is none or no Keras.

        Raises:
            NotMeasured: if the file is refused.
        """
        try:
            return self.run.model
        except (FileNotFoundError, ModuleNotFoundError):
            return None
        except ValueError as error:
            raise NotMeasured(f"model.keras is refused: {error}") from error

    @functools.cached_property
    def raw_model(self) -> keras.Model | None:
        """The same without what makes answers of its outputs: logits, or numbers.

        Raises:
            NotMeasured: if the file is refused, or its outputs are not those of the task.
        """
        if self.model is None:
            return None
        from kerastl.export import serving

        try:
            made: Any = serving.with_logits(serving.at_the_door(self.model, self.task), self.task)
        except ValueError as error:
            raise NotMeasured(f"model.keras has no logits to ask: {error}") from error
        return type(made)(made.inputs[0], made.outputs[0]) if len(made.inputs) == len(made.outputs) == 1 else made

    def say(self, words: str) -> None:
        if self._progress and not output.quiet:
            print(output.printable(words), file=sys.stderr)
