"""The page's plots, as SVG elements in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
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


_MEASURES: dict[str, tuple[Callable[[Mapping[str, Any]], float], str]] = {
    "size": (lambda row: row["bytes"] / 1000, "file size in KB (logarithmic)"),
    "latency": (lambda row: row["latency_ms"]["median"], "latency on one thread in milliseconds (logarithmic)"),
}


def measure(report: Mapping[str, Any], what: str) -> str:
    """``"size"`` or ``"latency"`` of every variant against its test score, those of the frontier in ink: an SVG."""
    measured, label = _MEASURES[what]
    rows, chosen = report["variants"], report["chosen"]
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    axes = figure.subplots()
    factor = 100 if report.get("units", "%") == "%" else 1  # shares are shown in percent
    for row in rows:
        # 100 * (score - low) can come out as -1e-14, which error bars refuse
        gaps = [max(0.0, factor * gap) for gap in (row["score"] - row["score_low"], row["score_high"] - row["score"])]
        usual = _INK if row["name"] in report["frontier"] else _OTHER
        axes.errorbar(
            measured(row),
            factor * row["score"],
            yerr=[[gap] for gap in gaps],
            fmt="o",
            color=_CHOSEN if row["name"] == chosen else usual,
            markersize=7,
            elinewidth=1,
            capsize=3,
            zorder=3 if row["name"] == chosen else 2,
        )
    axes.set_xscale("log")
    axes.margins(x=0.18)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.10g}")
    axes.xaxis.set_minor_formatter(lambda value, position: "")
    cpu = next((row["latency_ms"].get("cpu") for row in rows if row["name"] == chosen), None)
    axes.set_xlabel(f"{label}, {cpu}" if what == "latency" and cpu else label)
    units = report.get("units", "%")
    axes.set_ylabel(f"test {report['metric']}" + (f" in {units}" if units else ""))
    _quiet(axes)
    _name_points(figure, [(row["name"], measured(row), factor * row["score"], row["name"] == chosen) for row in rows])
    return _svg(figure, name=f"{what.capitalize()} against score of every variant")


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


def _name_points(figure: Figure, points: Sequence[tuple[str, float, float, bool]]) -> None:
    """Writes names beside points, each at the nearest place where it covers no other name and no point."""
    (axes,) = figure.axes
    _lay_out(figure)  # where points lie on the page now, they stay
    scale = figure.dpi / 72  # places are thought in typographic points, as offsets and font sizes are
    places = [axes.transData.transform(point[1:3]) / scale for point in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    tries = [(side, up) for distance in range(9) for up in (12 * distance, -12 * distance) for side in (1, -1)]
    for (x, y), (name, across, score, chosen) in zip(places, points, strict=True):
        width = 5.6 * len(name)
        for side, up in tries:
            left = x + 8 if side > 0 else x - 8 - width
            box = (left, y + up - 5, left + width, y + up + 6)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                break
        taken.append(box)
        axes.annotate(
            name,
            (across, score),
            xytext=(8 * side, up),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=9,
            color=_CHOSEN if chosen else _INK,
            weight="bold" if chosen else "normal",
            arrowprops={"arrowstyle": "-", "color": _INK, "alpha": 0.3, "linewidth": 0.6} if abs(up) > 12 else None,
        )


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
