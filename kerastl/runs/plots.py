"""The page's plots, as SVG elements in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from kerastl import types

_INK = "#010203"  # stands for the page's own text colour, which a plot cannot know before light or dark is chosen
_TRAIN, _VALIDATION, _CHOSEN, _OTHER = "#8a9bb5", "#2f7ed8", "#e0662b", "#5b8def"


_TOGETHER = {"_cosine": "cosine of two tasks' gradients", "_weight": "weight of a task"}
"""Ends of the names of curves that share a panel, a line each, as `training.balanced` names them; and its title."""
_LINES = ("#2f7ed8", "#e0662b", "#3a9d5d", "#8e5bd0", "#c2a11e", "#5aa9b8")


def panels(curves: types.History) -> list[str]:
    """Metrics of a stage that are worth a panel, the loss first; behind them the ends of names that share one."""
    names = {name.removeprefix("val_") for name in curves.values} - {"learning_rate", "lr"}
    together = {end: {name for name in names if name.endswith(end)} for end in _TOGETHER}
    names -= set.union(*together.values())
    own = sorted(names, key=lambda name: (name != "loss", name))[: 4 if any(together.values()) else 3]
    return own + [end for end, found in together.items() if found]


def curves(found: types.History) -> str:
    """Training curves of a stage, a panel a metric, as an SVG element, three panels a row."""
    metrics = panels(found)
    rows, columns = -(-len(metrics) // 3), min(len(metrics), 3)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    places = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes in places[len(metrics) :]:
        axes.remove()
    for axes, metric in zip(places, metrics, strict=False):
        for name, label, colour in _lines(found, metric):
            values = found.values.get(name)
            if values:
                axes.plot(
                    range(1, len(values) + 1),
                    values,
                    label=label,
                    color=colour,
                    marker="o" if len(values) < 3 else None,
                )
        if metric == "_cosine":  # below this line a step for the one harms the other
            axes.axhline(0, color=_INK, linewidth=0.8, alpha=0.6)
        axes.set_title(_TOGETHER.get(metric, metric.replace("_", " ")), fontsize=10)
        axes.set_xlabel("epoch", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
        _quiet(axes)
    return _svg(figure, name=f"Training curves of {found.stage}")


def _lines(found: types.History, panel: str) -> list[tuple[str, str, str]]:
    """Name, label and colour of what a panel shows: training and validation, or all that share it."""
    if panel not in _TOGETHER:
        return [(panel, "train", _TRAIN), (f"val_{panel}", "validation", _VALIDATION)]
    names = sorted(name for name in found.values if name.endswith(panel))
    return [
        (name, name.removesuffix(panel).replace("_", " "), _LINES[place % len(_LINES)])
        for place, name in enumerate(names)
    ]


def scatter(points: Mapping[str, Any]) -> str:
    """Points that a target brings (``x``, ``y``, ``points``), with the diagonal on which both are the same: an SVG."""
    x, y = np.asarray(points["points"], float).T
    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color=_OTHER, linewidth=1)
    axes.plot(x, y, ".", color=_CHOSEN, markersize=4, alpha=0.6)
    axes.set_xlabel(points["x"])
    axes.set_ylabel(points["y"])
    _quiet(axes)
    return _svg(figure, name=points["title"])


def _quiet(axes: Any) -> None:
    axes.grid(alpha=0.25, color=_INK, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=8, which="both")
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(_INK)


def _lay_out(figure: Figure) -> None:
    """Finds every part its place, once: to save it, Matplotlib would draw a figure that has an engine twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _svg(figure: Figure, *, name: str) -> str:
    """The figure as an SVG element in the page's colours; the salt keeps ids of two plots on one page apart."""
    _lay_out(figure)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), io.StringIO() as sink:
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = re.sub(r'<g id="[^"]*"', "<g", sink.getvalue())  # names of groups repeat from plot to plot
    label = name.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return (
        text[text.index("<svg") :]
        .replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
        .replace(_INK, "currentColor")
    )


def privacy(found: Mapping[str, Any]) -> str:
    """The validation score after each epoch of a private training against the epsilon spent by then: an SVG.

    Args:
        found: as `privacy_report.of_training` makes it.
    """
    spent, scores = np.asarray(found["points"], float).T
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(spent, scores, marker="o", markersize=4, color=_CHOSEN)
    axes.set_xlabel(f"epsilon spent, at a delta of {found['delta']:g}")
    axes.set_ylabel(f"validation {found['metric']}")
    _quiet(axes)
    return _svg(figure, name="Score against epsilon")
