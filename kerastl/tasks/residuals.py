"""Residuals: how far estimated numbers are from the true ones, over their range and in their distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import resampling

PARTS = 5
"""Parts of the examples by the true number, as large as one another."""
_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)


def by_range(wanted: np.ndarray, given: np.ndarray) -> list[dict[str, Any]]:
    """Errors of fifths of the examples by the true number.

    Args:
        wanted, given: one number, true and estimated, ``(examples,)``.

    Returns:
        Of each part ``low`` and ``high`` of the true number, ``examples``, ``mean_absolute_error`` with its 95 %
        bootstrap interval ``error_low`` and ``error_high``, and ``bias``, the mean of estimated less true.
    """
    order = np.argsort(wanted, kind="stable")
    rows = []
    for part in np.array_split(order, min(PARTS, len(order))):
        errors = np.abs(given[part] - wanted[part])
        low, high = np.percentile(resampling.means(errors), [2.5, 97.5])
        rows.append(
            {
                "low": float(wanted[part].min()),
                "high": float(wanted[part].max()),
                "examples": len(part),
                "mean_absolute_error": float(errors.mean()),
                "error_low": float(low),
                "error_high": float(high),
                "bias": float((given[part] - wanted[part]).mean()),
            }
        )
    return rows


def quantiles(errors: np.ndarray) -> list[dict[str, float]]:
    """Which absolute error a share of the examples stays within: ``share`` and ``error``."""
    return [{"share": share, "error": float(np.quantile(errors, share))} for share in _SHARES]


def chart(name: str, wanted: np.ndarray, given: np.ndarray, *, units: str) -> dict[str, Any]:
    """Residuals, estimated less true, over the true number, as the page draws them.

    Args:
        name: of the number.
        wanted, given: true and estimated, ``(points,)``.
        units: behind a name, with the word before it: ``" in mm"``.
    """
    points = [[float(f"{x:.6g}"), float(f"{y:.6g}")] for x, y in zip(wanted, given - wanted, strict=True)]
    return {
        "title": f"Residuals of {name}",
        "note": "Estimated less true, of test examples: above the line the file says too much, below it too little.",
        "kind": "points",
        "x": f"true {name}{units}",
        "y": f"residual{units}",
        "diagonal": False,
        "line": 0.0,
        "series": [{"name": name, "points": points}],
    }


def table(name: str, rows: Sequence[Mapping[str, Any]], *, units: str) -> dict[str, Any]:
    """The table of `by_range` as the page shows it."""
    return {
        "title": f"Error by range of {name}",
        "note": f"Fifths of the test examples by the true number; errors{units}, with their 95 % intervals.",
        "columns": ["Range", "Examples", "Mean absolute error", "Bias"],
        "rows": [
            [
                f"{phrases.plain(row['low'])} to {phrases.plain(row['high'])}",
                f"{row['examples']:,}",
                f"{phrases.plain(row['mean_absolute_error'])} ({phrases.plain(row['error_low'])} to "
                f"{phrases.plain(row['error_high'])})",
                phrases.plain(row["bias"]),
            ]
            for row in rows
        ],
    }


def quantile_table(rows: Sequence[Mapping[str, float]], *, units: str) -> dict[str, Any]:
    """The table of `quantiles` as the page shows it."""
    return {
        "title": "How large errors get",
        "note": f"The absolute error{units} that a share of the test examples stays within.",
        "columns": ["Share of examples", "Error at most"],
        "rows": [[f"{100 * row['share']:.0f} %", phrases.plain(row["error"])] for row in rows],
    }
