"""Section: FGSM and PGD at small budgets on the float model, and what of it carries over to each file."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.tasks.single_label import SingleLabel

_EXAMPLES = 100
_PIXELS, _SPREADS = (1.0, 2.0, 4.0), (0.05, 0.1, 0.2)


def measure(subject: Subject) -> dict[str, Any]:
    """Errors of the model and of each file on examples that were moved to fool the model.

    Raises:
        NotMeasured: if the inputs are no numbers, examples have not one class each, or there is no model to ask.
    """
    kind = subject.task.inputs
    if not isinstance(subject.task.target, SingleLabel) or not isinstance(kind, Image | Numbers):
        raise NotMeasured("pictures and numbers of one class each are moved along the model's slope")
    if subject.settings.corruptions == ("none",):
        raise NotMeasured("--corruptions none")
    model = subject.raw_model
    if model is None:
        raise NotMeasured("model.keras is not there, or Keras is not installed")
    from kerastl.evaluate import adversarial

    split = subject.dataset.test.take(_EXAMPLES)
    examples: Any = split.inputs[:]  # pyright: ignore[reportArgumentType]
    labels, pixels = np.asarray(split.labels), isinstance(kind, Image)
    scale: Any = 1.0 if isinstance(kind, Image) else np.asarray(kind.spread)
    options: dict[str, Any] = {"limits": (0, 255), "whole": True} if pixels else {}
    rows = []
    subject.say(f"the model is fooled on {len(split)} examples")
    for budget in _PIXELS if pixels else _SPREADS:
        for method, steps in (("FGSM", 1), ("PGD", adversarial.STEPS)):
            moved = adversarial.perturbed(model, examples, labels, budget=budget * scale, steps=steps, **options)
            given = np.asarray(model(moved, training=False)).argmax(-1)
            fed = moved.astype(examples.dtype)
            files = {name: float(subject.errors(subject.answer_of(name)(fed), labels).mean()) for name in subject.files}
            rows.append({"method": method, "budget": budget, "model": float((given != labels).mean()), "files": files})
    unit = "of 255" if pixels else "standard deviations"
    last = rows[-1]
    words = (
        f"PGD of {last['budget']:g} {unit} makes {last['model']:.0%} of the model's answers wrong and, carried over, "
        f"{last['files'][subject.chosen]:.0%} of the file's"
    )
    return {"examples": len(split), "unit": unit, "rows": rows, "words": words}
