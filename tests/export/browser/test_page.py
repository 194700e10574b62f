"""The bundle's page as it is written; `tests/runs/test_demo.py` opens it in a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from kerastl.export.browser import page
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text_pair import TextPair
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.embedding import Embedding
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.reject_option import RejectOption
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging
from kerastl.types import Task

FLOAT = {"dtype": "float32", "scale": None, "zero_point": None}
PICTURES = Task("digits", Image((8, 8, 1)), SingleLabel(("a", "b")))


class Read(HTMLParser):
    """Contents of scripts and styles, attributes of everything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.inside: list[tuple[str, dict[str, Any], str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inside.append((*self.tags[-1], data))


def rendered(task: Task, inputs: Any = None) -> tuple[Read, dict[str, Any]]:
    inputs = inputs or [{"name": name, **FLOAT} for name in task.inputs.tensors]
    read = Read(page.render(task, inputs=inputs, outputs=[{"name": "out", **FLOAT}]))
    (facts,) = (content for tag, attributes, content in read.inside if attributes.get("id") == "bundle")
    return read, json.loads(facts)


def test_its_policy_lets_it_run_its_own_scripts_and_ask_its_own_server_alone():
    read, _ = rendered(PICTURES)
    (policy,) = (one["content"] for tag, one in read.tags if one.get("http-equiv") == "Content-Security-Policy")
    rules = {name: rule for name, _, rule in (one.strip().partition(" ") for one in policy.split(";"))}
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    run = [one for one in read.inside if one[1].get("type") != "application/json"]
    assert len(run) == 3
    for tag, _, content in run:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[f"{tag}-src"]
    assert "unsafe-inline" not in policy
    linked = [value for _, one in read.tags for key, value in one.items() if key in ("src", "href")]
    assert linked == ["data:,"]
    script = next(content for _, attributes, content in run if attributes.get("type") == "module")
    assert "http:" not in script
    assert "https:" not in script


def test_names_may_be_anybodys():
    name = "</script><script>alert(1)</script><b title='x' \"&"
    read, facts = rendered(Task(name, Image((8, 8, 3)), SingleLabel((name, "ü"))))
    assert facts["answers"]["names"] == [name, "ü"]
    assert facts["name"] == name
    assert [tag for tag, _ in read.tags].count("script") == 3
    assert "b" not in [tag for tag, _ in read.tags]


def test_each_kind_of_target_has_its_answers():
    labels = ("a", "b")
    for target, wanted in {
        SingleLabel(labels): {"kind": "classes", "names": list(labels)},
        SingleLabel(labels, RejectOption(2.0, 0.7)): {
            "kind": "classes", "names": list(labels), "temperature": 2.0, "threshold": 0.7,
        },
        MultiLabel(labels): {"kind": "several", "names": list(labels), "threshold": 0.5},
        Regression(("cm",), (1.0,), (1.0,), unit="cm"): {"kind": "values", "names": ["cm"], "unit": "cm"},
        Tagging(("O", "B-X", "I-X")): {"kind": "tags", "names": ["O", "B-X", "I-X"]},
        Embedding(labels): {"kind": "numbers", "names": list(Embedding(labels).names)},
        Agreement(("out",), (1.0,)): {"kind": "numbers", "names": ["out"]},
    }.items():  # fmt: skip
        assert rendered(dataclasses.replace(PICTURES, target=target))[1]["answers"] == wanted
    several = MultiTask((("which", SingleLabel(labels)), ("distance", Regression(("m",), (0.0,), (1.0,)))))
    parts = rendered(dataclasses.replace(PICTURES, target=several))[1]["answers"]["parts"]
    assert {name: part["kind"] for name, part in parts.items()} == {"which": "classes", "distance": "values"}


def test_each_kind_of_input_has_its_part(tiny_text):
    task = PICTURES

    def part(kind: Any) -> dict[str, Any]:
        (found,) = rendered(dataclasses.replace(task, inputs=kind))[1]["parts"]
        return found

    assert part(Image((8, 9, 3))) == {"kind": "image", "size": [8, 9, 3], "tensors": ["image"], "name": ""}
    assert part(Image((8, 9, 4)))["kind"] == "array"
    assert part(Numbers((5, 2))) == {"kind": "array", "shape": [5, 2], "tensors": ["numbers"], "name": ""}
    assert part(Numbers((100,)))["kind"] == "array"
    assert [one["name"] for one in part(Numbers((2,)))["fields"]] == ["number 1", "number 2"]
    assert part(tiny_text.task.inputs)["texts"] == ["text"]
    pair = TextPair(8, tiny_text.vocabulary, columns=("question", "reply"))
    assert part(pair)["texts"] == ["question", "reply"]
    both = Named((("photo", Image((8, 8, 3))), ("row", Numbers((2,)))))
    parts = rendered(dataclasses.replace(task, inputs=both))[1]["parts"]
    assert [(one["kind"], one["name"], one["tensors"]) for one in parts] == [
        ("image", "photo", ["photo"]), ("numbers", "row", ["row"]),
    ]  # fmt: skip


def test_a_category_is_one_field():
    kind = Numbers(
        (4,),
        ("age", "season=summer", "season=winter", "kind=a"),
        (3.0, 0.5, 0.5, 0.25),
        (2.0, 0.5, 0.5, 0.4330127018922193),
    )
    (part,) = rendered(dataclasses.replace(PICTURES, inputs=kind))[1]["parts"]
    assert part["fields"] == [
        {"name": "age", "places": [0], "mean": 3.0},
        {"name": "season", "places": [1, 2], "values": ["summer", "winter"], "needed": True},
        {"name": "kind", "places": [3], "values": ["a"], "needed": False},
    ]


def test_what_a_text_reads_beside_the_page_is_the_bundles(tiny_text):
    found = page.texts(tiny_text.task.inputs)
    assert set(found) == {"vocab.txt", "characters.txt"}
    assert found["vocab.txt"].decode().splitlines() == list(tiny_text.vocabulary)
    assert page.texts(PICTURES.inputs) == {}
    script = rendered(tiny_text.task)[0].inside[-1][2]
    assert "class Tokenizer {" in script
    assert re.search(r"encode\(text, length = 8\)", script)
    assert "class Tokenizer" not in rendered(PICTURES)[0].inside[-1][2]


def test_scales_of_integer_files_are_those_of_the_file():
    scale = float(np.float32(1 / 3))
    inputs = [{"name": "image", "dtype": "uint8", "scale": scale, "zero_point": 7, "shape": [1, 8, 8, 1]}]
    assert rendered(PICTURES, inputs)[1]["inputs"] == [
        {"name": "image", "dtype": "uint8", "scale": scale, "zero_point": 7}
    ]
    with pytest.raises(KeyError):
        page.render(PICTURES, inputs=[{"name": "image"}], outputs=[])
