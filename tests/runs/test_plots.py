"""The page's plots: what is drawn, read back out of the SVG."""

import re
import xml.etree.ElementTree as tree

from kerastl import types
from kerastl.runs import plots


def drawn(text):
    """The texts of an SVG, and how many groups hold something."""
    root = tree.fromstring(re.sub(r' xlink:href="[^"]*"', "", text))
    return {"".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")}


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
