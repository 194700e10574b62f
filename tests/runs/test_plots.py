"""The page's plots: what is drawn, read back out of the SVG."""

import re
import xml.etree.ElementTree as tree

import pytest

from kerastl import types
from kerastl.runs import plots


def drawn(text):
    """The texts of an SVG, and how many groups hold something."""
    root = tree.fromstring(re.sub(r' xlink:href="[^"]*"', "", text))
    return {"".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")}


def row(name, *, size, score, latency):
    return {
        "name": name, "bytes": size, "score": score, "score_low": score - 0.01, "score_high": score + 0.01,
        "latency_ms": {"median": latency},
    }  # fmt: skip


REPORT = {
    "metric": "accuracy",
    "chosen": "small",
    "frontier": ["small", "large"],
    "variants": [
        row("small", size=1000, score=0.9, latency=0.1),
        row("large", size=9000, score=0.91, latency=0.3),
        row("slow", size=9000, score=0.9, latency=0.9),
    ],
}


@pytest.mark.parametrize(("what", "label"), [("size", "file size in KB"), ("latency", "latency on one thread")])
def test_every_variant_is_named_on_a_labelled_axis(what, label):
    text = plots.measure(REPORT, what)
    found = drawn(text)
    assert {"small", "large", "slow", "test accuracy in %"} <= found
    assert any(words.startswith(label) for words in found)
    assert "currentColor" in text, "ink is the page's own colour"
    assert plots._INK not in text
    assert plots._CHOSEN in text


def test_points_lie_where_their_numbers_are():
    """On a logarithmic axis: ten times the bytes stand one even step further."""
    rows = [row(f"n{size}", size=size, score=0.9, latency=1.0) for size in (1_000, 10_000, 100_000)]
    text = plots.measure({**REPORT, "chosen": "n1000", "frontier": [], "variants": rows}, "size")
    places = [float(x) for x in re.findall(r'<use xlink:href="#[^"]*" x="([0-9.]+)" y="[0-9.]+" style="fill', text)]
    across = sorted({round(x, 1) for x in places})
    assert len(across) >= 3
    inner = [x for x in across if across[0] <= x <= across[-1]]
    assert any(abs((a + c) / 2 - b) < 0.6 for a in inner for b in inner for c in inner if a < b < c)


def test_curves_have_a_panel_a_metric_the_loss_first():
    curves = types.History("lesson", {"accuracy": (0.5, 0.6), "val_loss": (1.0, 0.9), "loss": (1.2, 1.0), "lr": (1.0,)})
    assert plots.panels(curves) == ["loss", "accuracy"]
    text = plots.curves(curves)
    assert {"loss", "accuracy", "train", "validation", "epoch"} <= drawn(text)
    assert 'aria-label="Training curves of lesson"' in text


def test_conflict_of_gradients_and_weights_share_a_panel_each():
    values = {
        "loss": (3.0, 2.0), "val_loss": (3.1, 2.5), "heat_loss": (1.0, 0.5), "side_loss": (1.0, 0.5),
        "age_loss": (1.0, 1.0), "age_heat_cosine": (0.2, -0.4), "age_side_cosine": (0.1, 0.1),
        "heat_side_cosine": (0, 0), "age_weight": (1, 1), "heat_weight": (1, 2), "side_weight": (1, 0.5),
    }  # fmt: skip
    curves = types.History("all_tasks", values)
    assert plots.panels(curves) == ["loss", "age_loss", "heat_loss", "side_loss", "_cosine", "_weight"]
    found = drawn(plots.curves(curves))
    assert {"cosine of two tasks' gradients", "weight of a task", "age heat", "heat side", "side"} <= found
    assert plots.curves(curves).count('role="img"') == 1
    lost = {name: one for name, one in values.items() if not name.endswith("_cosine")}
    assert plots.panels(types.History("all_tasks", lost))[-1] == "_weight"
