"""Model selection: which of several trained models becomes the file for the phone, by validation alone.

What was planned is not always better: fine-tuning may lose against the linear probe that it began with, a student under
a teacher against the same one without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from kerastl.export import serving, tflite
from kerastl.runs import candidates
from kerastl.training import fitting
from kerastl.types import Split, Task
from kerastl.verify import predictions

if TYPE_CHECKING:
    import keras

Trained: TypeAlias = "keras.Model | fitting.Trained | tflite.Converted"
"""A model, by itself or as a stage gives it, or the file of one that was trained for it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """The model that was taken, and why.

    Attributes:
        name: of it, or of the arm that it is of.
        taken: the model as it was given; `model` is the Keras model itself.
        place: in its arm, from 0: of which seed it is.
        why: in words, with the scores of all; empty where there was nothing to choose from.
        others: by name the best of what was not taken and its place, the cheapest first.
        baselines: names of those that are cheaper than what was taken: it has to beat them.
    """

    name: str
    taken: Trained
    place: int
    why: str
    others: Mapping[str, tuple[Trained, int]]
    baselines: frozenset[str]

    @property
    def model(self) -> keras.Model:
        """The Keras model that was taken. Raises `ValueError` where a file was."""
        return _model(self.taken)

    def left_behind(
        self, task: Task, *, technique: str = "float32", floats: Sequence[Trained] = ()
    ) -> list[candidates.Candidate]:
        """The files of the models that were not taken, for the table: none of them may go to the phone.

        Args:
            task: what they are for.
            technique: how a file was made that was given in place of a model; of models the float32 file is made.
            floats: the float models that the files of every arm were made from, by place.

        Raises:
            ValueError: one of them is a file whose float model is not among ``floats``, or has no float32 file.
        """
        made: list[candidates.Candidate] = []
        for name, (one, place) in self.others.items():
            cheaper: dict[str, Any] = {"baseline": name in self.baselines, "eligible": False}
            if isinstance(one, tflite.Converted):
                if place >= len(floats):
                    raise ValueError(
                        f"Wanted the float model of {name}'s file {place}. Received: {len(floats)} of them."
                    )
                model = _model(floats[place])
                made.append(candidates.Candidate(f"{name}_{technique}", technique, one.content, model, **cheaper))
            else:
                made += candidates.post_training(
                    _model(one), task, techniques=["float32"], prefix=f"{name}_", **cheaper
                )
        return [dataclasses.replace(file, model_choice=self.why) for file in made]


def best_on_validation(models: Mapping[str, Trained | Sequence[Trained]], validation: Split | None) -> Selection:
    """The model that scores best on validation; of equals the last arm's, which was planned to be it.

    Args:
        models: by name, as stages give them, the cheapest first; or by the name of an arm the same model a seed. An
            arm of none was not trained, and is passed over.
        validation: to choose by; the scores are printed, of an arm that of its best. Without it, where labels are too
            few to choose by, what was planned is taken: the last arm's first.

    Raises:
        ValueError: there is no model.
    """
    arms = {name: arm for name, one in models.items() if (arm := _arm(one))}
    if not arms:
        raise ValueError(f"Wanted trained models to choose from, one a name at least. Received: {dict(models)!r:.300}")
    best, places, why = list(arms)[-1], dict.fromkeys(arms, 0), ""
    if validation is not None and sum(map(len, arms.values())) > 1:
        target = validation.task.target
        scores = {name: [_score(one, validation) for one in arm] for name, arm in arms.items()}
        for name, each in scores.items():
            for place, score in enumerate(each):
                places[name] = place if target.drop(score, each[places[name]]) < 0 else places[name]
        tops = {name: each[places[name]] for name, each in scores.items()}
        best = next(iter(tops))
        for name, score in tops.items():
            best = name if target.drop(score, tops[best]) <= 0 else best
        why = f"On validation {', '.join(f'{name} {score:.4f}' for name, score in tops.items())}: {best} is taken."
        print(why)
    names = list(arms)
    others = {name: (arms[name][places[name]], places[name]) for name in names if name != best}
    cheaper = frozenset(names[: names.index(best)])
    return Selection(best, arms[best][places[best]], places[best], why, others, cheaper)


def _arm(given: Trained | Sequence[Trained]) -> list[Trained]:
    """The models of one name; what a stage gives is a tuple by its type, and one model all the same."""
    several = isinstance(given, list | tuple) and not isinstance(given, fitting.Trained | tflite.Converted)
    return list(given) if several else [given]


def _score(one: Trained, validation: Split) -> float:
    """What a model, or a file, scores on validation."""
    if isinstance(one, tflite.Converted):
        return predictions.score_tflite(one.content, validation).value
    task = validation.task
    answers = fitting.predict(serving.with_answers(_model(one), task), validation.inputs, task=task)
    return task.target.score(answers, validation.labels).value


def _model(one: Trained) -> keras.Model:
    if isinstance(one, tflite.Converted):
        raise ValueError("Wanted a Keras model. Received: the TFLite file of one, which has no model any more.")
    return one.model if isinstance(one, fitting.Trained) else one
