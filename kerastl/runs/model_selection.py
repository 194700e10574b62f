"""Model selection: which of several trained models becomes the file for the phone, by validation alone.

What was planned is not always better: fine-tuning may lose against the linear probe that it began with, a student under
a teacher against the same one without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerastl.export import serving
from kerastl.runs import candidates
from kerastl.training import fitting
from kerastl.types import Split, Task

if TYPE_CHECKING:
    import keras


def best_on_validation(models: Mapping[str, keras.Model | fitting.Trained], validation: Split) -> str:
    """The name of the model that scores best on validation; of equals the last one, which was planned to be it.

    Args:
        models: by name, as stages give them, the cheapest first.
        validation: to choose by; the scores of all are printed.
    """
    if len(models) == 1:
        return next(iter(models))
    target, scores = validation.task.target, {}
    for name, model in models.items():
        served = serving.with_answers(model_of(model), validation.task)
        answers = fitting.predict(served, validation.inputs, task=validation.task)
        scores[name] = target.score(answers, validation.labels).value
    best = next(iter(scores))
    for name, score in scores.items():
        best = name if target.drop(score, scores[best]) <= 0 else best
    listed = ", ".join(f"{name} {score:.4f}" for name, score in scores.items())
    print(f"On validation {listed}: {best} is taken.")
    return best


def left_behind(
    models: Mapping[str, keras.Model | fitting.Trained], chosen: str, task: Task
) -> list[candidates.Candidate]:
    """The float32 files of the models that were not chosen, for the table: none of them may go to the phone.

    Args:
        models: by name, the cheapest first: those before the chosen one are what it has to beat, its baselines.
        chosen: the name of one of them.
        task: what they are for.
    """
    names, made = list(models), []
    for place, name in enumerate(names):
        if name != chosen:
            before: dict[str, Any] = {"baseline": place < names.index(chosen), "eligible": False}
            made += candidates.post_training(
                model_of(models[name]), task, techniques=["float32"], prefix=f"{name}_", **before
            )
    return made


def model_of(one: keras.Model | fitting.Trained) -> keras.Model:
    """A model, by itself or as a stage gives it."""
    return one.model if isinstance(one, fitting.Trained) else one
