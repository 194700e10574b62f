"""Temperature scaling as a step of a recipe: fitted on validation, folded into the model that all files are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kerastl.evaluate import calibration
from kerastl.export import serving, temperature
from kerastl.tasks import single_label
from kerastl.training import fitting
from kerastl.types import Split

if TYPE_CHECKING:
    import keras


def calibrated(model: keras.Model, held_out: Split, *, wanted: bool = True) -> keras.Model:
    """The model whose probabilities are shares that are right, see `export.temperature.fold`; which class stays.

    Made before files are: integer ones have the temperature as well.

    Args:
        model: trained, emits logits ``(batch, classes)`` or their softmax; left as it is.
        held_out: the validation split, whose labels one number is fitted to.
        wanted: the recipe's setting; otherwise the model comes back itself.

    Raises:
        ValueError: if examples have not one class each, or the model ends in no logits.
    """
    if not wanted:
        return model
    task = held_out.task
    single_label.require(task, where="--calibrate", instead="Leave it out.")
    raw = serving.with_logits(serving.at_the_door(model, task), task)
    logits, labels = fitting.predict(raw, held_out.inputs, task=task), np.asarray(held_out.labels)
    found = calibration.fit_temperature(logits, labels)
    before, after = (calibration.measure(calibration.scaled(logits, one), labels) for one in (1.0, 1 / found))
    print(
        f"temperature {found:.3g}, fitted on {len(held_out):,} validation examples: expected calibration error "
        f"{before.ece:.2%} -> {after.ece:.2%}, log-loss {before.log_loss:.4f} -> {after.log_loss:.4f} there"
    )
    return temperature.fold(model, task, temperature=found)
