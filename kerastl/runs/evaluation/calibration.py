"""Section: are probabilities the shares that are right, and what would scaling give?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kerastl.evaluate import calibration
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.tasks.single_label import SingleLabel


def measure(subject: Subject) -> dict[str, Any]:
    """Of each file the calibration on test, and after scaling that was fitted to its answers on validation.

    Raises:
        NotMeasured: if examples have not one class each.
    """
    if not isinstance(subject.task.target, SingleLabel):
        raise NotMeasured(f"probabilities of one class an example are calibrated; this is {subject.task.target.kind}")
    held, test, rows = subject.dataset.validation, subject.dataset.test, {}
    held_labels, labels = np.asarray(held.labels), np.asarray(test.labels)
    for name in subject.files:
        given = subject.answers(name, test)
        fitted_on = calibration.logits_of(subject.answers(name, held))
        temperature = calibration.fit_temperature(fitted_on, held_labels)
        found = dataclasses.asdict(calibration.measure(given, labels))
        logits = calibration.logits_of(given)
        scaled = calibration.measure(calibration.scaled(logits, 1 / temperature), labels)
        found |= {"temperature": temperature, "ece_with_temperature": scaled.ece}
        found["log_loss_with_temperature"] = scaled.log_loss
        if name == subject.chosen and len(held) >= 10 * given.shape[-1]:
            factors, offsets = calibration.fit_vector(fitted_on, held_labels)
            found["ece_with_vector"] = calibration.measure(calibration.scaled(logits, factors, offsets), labels).ece
        rows[name] = found
    chosen = rows[subject.chosen]
    words = (
        f"expected calibration error {chosen['ece']:.2%} ({chosen['ece_low']:.2%} to {chosen['ece_high']:.2%}); a "
        f"temperature of {chosen['temperature']:.3g} (--calibrate) would make it {chosen['ece_with_temperature']:.2%}"
    )
    return {"files": rows, "words": words}
