"""Section: sets of classes, or intervals, that hold the truth as often as was asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kerastl.evaluate import conformal
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel


def measure(subject: Subject) -> dict[str, Any]:
    """The chosen file's sets or intervals: fitted on validation, measured on test.

    Raises:
        NotMeasured: if what is asked has neither one class an example nor numbers.
    """
    target, coverage = subject.task.target, subject.settings.coverage
    held, test = subject.dataset.validation, subject.dataset.test
    given, fitted_on = (subject.answers(subject.chosen, split) for split in (test, held))
    if isinstance(target, Regression):
        widths = conformal.fit_intervals(fitted_on, np.asarray(held.labels), coverage=coverage)
        rows = conformal.measure_intervals(widths, given, np.asarray(test.labels))
        outputs = [{"output": name, **row} for name, row in zip(target.names, rows, strict=True)]
        shown = ", ".join(
            f"{row['output']} +- {row['half_width']:.4g} {target.units}".rstrip() + f" holds {row['coverage']:.1%}"
            for row in outputs
        )
        return {"coverage": coverage, "intervals": outputs, "words": f"{coverage:.0%} asked: {shown}"}
    if not isinstance(target, SingleLabel):
        raise NotMeasured(f"sets are of classes, one an example, or intervals of numbers; this is {target.kind}")
    methods = {}
    for method in conformal.METHODS:
        seed = subject.settings.seed
        rule = conformal.fit(fitted_on, np.asarray(held.labels), coverage=coverage, method=method, seed=seed)
        found = conformal.measure(rule, given, np.asarray(test.labels))
        if (worst := found["worst_class"]) is not None:
            worst["class"] = target.names[worst["class"]]
        stated = dataclasses.asdict(rule)
        stated["threshold"] = rule.threshold if np.isfinite(rule.threshold) else None
        methods[method] = {**stated, **found}
    lac = methods["lac"]
    words = (
        f"{coverage:.0%} asked: sets of {lac['size']:.2f} classes on average hold the label of {lac['coverage']:.1%} "
        f"({lac['coverage_low']:.1%} to {lac['coverage_high']:.1%})"
    )
    return {"coverage": coverage, "methods": methods, "words": words}
