"""The page of labels that a run doubts: one after the other, to be kept, changed or thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from kerastl.inputs.image import Image
    from kerastl.inputs.text import Text
    from kerastl.runs.label_doubts import Doubts

SHOWN = 500
"""Most examples that a page shows; the table beside it has all."""


def render(found: Doubts, kind: Image | Text) -> str:
    """The page as HTML that needs nothing else; pictures are in it, small."""
    from kerastl.runs import label_doubts

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerastl.runs.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    cards: list[dict[str, Any]] = [
        {
            "where": one.example.where,
            "label": one.example.label,
            "answer": one.answer,
            "own": f"{one.own:.1%}",
            "probability": f"{one.probability:.1%}",
            **label_doubts.shown(one.example, kind),
        }
        for one in found.found[:SHOWN]
    ]
    return environment.get_template("doubts.html").render(found=found, cards=cards)
