"""Robustness: how much a file answers worse on corrupted inputs than on clean ones, and what compression adds to that.

The mean corruption error of Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261, relative to a reference; and
a question of its own: is the cost of compression, small on clean examples, larger off them (Hooker et al. 2019,
https://arxiv.org/abs/1911.05248)?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl.evaluate import intervals

Errors = Mapping[tuple[str, int], np.ndarray]
"""Of each corruption at each strength how wrong each example was answered, ``(examples,)``."""


def measure(clean: np.ndarray, corrupted: Errors) -> dict[str, Any]:
    """Errors of one file: JSON types.

    Args:
        clean: how wrong each clean example is answered, ``(examples,)``: of classes 1 or 0, of numbers the error.
        corrupted: the same of the same examples, corrupted.

    Returns:
        ``examples``, ``clean`` and ``corrupted``, means with their 95 % intervals (``_low``, ``_high``); ``by_name``:
        of each corruption the mean errors at the strengths, and over them.
    """
    over = np.mean([corrupted[key] for key in corrupted], 0)
    found: dict[str, Any] = {"examples": len(clean)}
    for name, values in (("clean", np.asarray(clean, np.float64)), ("corrupted", over)):
        low, high = intervals.of_mean(values)
        found |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    names = list(dict.fromkeys(name for name, _ in corrupted))
    found["by_name"] = {
        name: {
            "strengths": [float(corrupted[key].mean()) for key in sorted(corrupted) if key[0] == name],
            "mean": float(np.mean([corrupted[key].mean() for key in corrupted if key[0] == name])),
        }
        for name in names
    }
    return found


def mean_corruption_error(found: Mapping[str, Any], reference: Mapping[str, Any]) -> float | None:
    """The mean over corruptions of a file's error as a share of a reference's, 1 for as robust as that.

    Args:
        found, reference: of two files, as `measure` gives them.

    Returns:
        ``None`` where the reference makes no error under some corruption.
    """
    pairs = [(row["mean"], reference["by_name"][name]["mean"]) for name, row in found["by_name"].items()]
    return float(np.mean([one / other for one, other in pairs])) if all(other > 0 for _, other in pairs) else None


def cost(
    clean: np.ndarray, corrupted: Errors, *, reference_clean: np.ndarray, reference_corrupted: Errors
) -> dict[str, float]:
    """What a file costs against the one that it was compressed from, on clean and on corrupted examples.

    Args:
        clean, corrupted: of the file, as for `measure`.
        reference_clean, reference_corrupted: of the other one, on the same examples.

    Returns:
        ``clean`` and ``corrupted``: mean errors more than the reference; ``more``: how much more the second is than the
        first, with its 95 % interval over the examples, which stay together: ``more_low`` above 0 means that
        compression costs more off the clean data.
    """
    on_clean = np.asarray(clean, np.float64) - reference_clean
    off = np.mean([corrupted[key] for key in corrupted], 0) - np.mean(
        [reference_corrupted[key] for key in corrupted], 0
    )
    low, high = intervals.of_mean(off - on_clean)
    more = {"more": float((off - on_clean).mean()), "more_low": low, "more_high": high}
    return {"clean": float(on_clean.mean()), "corrupted": float(off.mean()), **more}
