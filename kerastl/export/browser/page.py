"""``index.html`` of the bundle: the file is asked in a browser, by the code that its Python page has, in JavaScript.

Nothing leaves the machine: the page asks only the server that it came from, which its own content policy holds it to
(Content Security Policy Level 3, https://www.w3.org/TR/CSP3/), and pictures are read in the browser. It needs LiteRT.js
beside it (`litert_js`); ``kerastl demo DIR`` serves both.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastl.export import character_table, phone_sentencepiece, phone_text, phone_text_pair
from kerastl.export.browser import litert_js
from kerastl.inputs import text, wordpiece
from kerastl.types import CategoryInputs, Inputs, NamedInputs, Target, Task

NAME = "index.html"
_FOLDER = Path(__file__).parent
_SCRIPTS = ("tensors.js", "drawing.js", "image.js", "text.js", "numbers.js", "answers.js", "page.js")
_MOST_FIELDS = 64
"""Numbers that get a field each; more are typed into one."""
_IMPORTS = json.dumps({"imports": {"@litertjs/wasm-utils": f"./{litert_js.FOLDER}/wasm-utils/dist/index.js"}})


def render(task: Task, *, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> str:
    """The page of a file.

    Args:
        task: what goes in and what is asked.
        inputs, outputs: of the file, in its order: ``name``, ``dtype``, ``scale`` and ``zero_point`` of each, as a
            report has them.

    Returns:
        HTML with its styles and scripts inside. It reads ``model.tflite`` from beside it, of a text also what
        `texts` gives, and the runtime from the folder ``litert``.
    """
    facts = {
        "name": task.name,
        "parts": _parts(task.inputs),
        "inputs": [_tensor(one) for one in inputs],
        "outputs": [_tensor(one) for one in outputs],
        "answers": _answers(task.target),
    }
    style, script = _read("style.css"), _script(task.inputs)
    return string.Template(_read("page.html")).substitute(
        title=html.escape(task.name),
        policy=_policy(scripts=(_IMPORTS, script), style=style),
        imports=_IMPORTS,
        style=style,
        facts=json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"),  # a class may be called anything
        script=script,
    )


def texts(inputs: Inputs) -> dict[str, bytes]:
    """What the page of a text reads beside it, by file name, as the bundle has it; nothing of other kinds."""
    if pieces := text.pieces_of(inputs):
        return phone_sentencepiece.files(pieces)
    described = inputs.described()
    if "vocabulary" not in described:
        return {}
    settings = wordpiece.Settings.of_config(described.get("tokenizer", {}))
    lists = {"vocab.txt": described["vocabulary"], character_table.NAME: character_table.lines(settings)}
    return {name: "".join(f"{word}\n" for word in words).encode() for name, words in lists.items()}


def _parts(inputs: Inputs) -> list[dict[str, Any]]:
    """What is asked for in the page, an entry a kind of input, in the order of their tensors."""
    if isinstance(inputs, NamedInputs):
        return [{**_part(kind), "tensors": [name], "name": name} for name, kind in inputs.parts]
    return [{**_part(inputs), "tensors": list(inputs.tensors), "name": ""}]


def _part(inputs: Inputs) -> dict[str, Any]:
    described = inputs.described()
    if "image" in described and described["image"][-1] in (1, 3):
        return {"kind": "image", "size": described["image"]}
    if files := texts(inputs):
        return {"kind": "text", "texts": described.get("texts", ["text"]), "files": sorted(files)}
    shape = described.get("image") or described.get("numbers") or inputs.shape
    if "numbers" in described and len(shape) == 1 and shape[0] <= _MOST_FIELDS:
        return {"kind": "numbers", "fields": _fields(inputs, described)}
    return {"kind": "array", "shape": list(shape)}


def _fields(inputs: Inputs, described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A field a number, and one for all numbers that a category became."""
    names = described["columns"] or [f"number {place + 1}" for place in range(described["numbers"][0])]
    categories = inputs.categories() if isinstance(inputs, CategoryInputs) else {}
    fields: list[dict[str, Any]] = []
    for place, (name, mean) in enumerate(zip(names, described["mean"], strict=True)):
        category = next((one for one, places in categories.items() if place in places), None)
        if category is None:
            fields.append({"name": name, "places": [place], "mean": mean})
        elif place == categories[category][0]:
            places = categories[category]
            needed = sum(described["mean"][one] for one in places) > 1 - 1e-6  # no training row was without one
            values = [names[one].partition("=")[2] for one in places]
            fields.append({"name": category, "places": places, "values": values, "needed": needed})
    return fields


def _answers(target: Target) -> dict[str, Any]:
    """What the file's answers are, by what its target says of itself."""
    return _answer(target.described(), target.names)


def _answer(described: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if "tasks" in described:
        parts = {name: _answer(own, inner) for name, own, inner in described["tasks"]}
        return {"kind": "tasks", "parts": parts}
    found: dict[str, Any] = {"names": list(names)}
    if "score_threshold" in described:
        return {"kind": "several", **found, "threshold": described["score_threshold"]}
    if "labels" in described:
        return {"kind": "classes", **found, **described.get("reject", {})}
    if "values" in described:
        return {"kind": "values", **found, "unit": described.get("unit", "")}
    return {"kind": "tags" if "tags" in described else "numbers", **found}


def _tensor(tensor: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": tensor.get("name", ""), **{key: tensor[key] for key in ("dtype", "scale", "zero_point")}}


def _script(inputs: Inputs) -> str:
    """All scripts as one module, with the bundle's own tokenizer where texts go in."""
    parts = [_read(name) for name in _SCRIPTS]
    if texts(inputs):
        pieces, length = text.pieces_of(inputs), inputs.described()["length"]
        own = phone_sentencepiece.code(pieces, "javascript") if pieces else phone_text.JAVASCRIPT
        own += "" if pieces else "\n" + phone_text_pair.JAVASCRIPT
        parts.insert(0, own.format(length=length) + "\n" + _read("sentencepiece.js" if pieces else "wordpiece.js"))
    return "\n".join(parts)


def _policy(*, scripts: Sequence[str], style: str) -> str:
    """What the page may load: these scripts and this style, and what lies beside it."""
    own = " ".join(_digest(one) for one in scripts)
    return (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {own}; style-src {_digest(style)}; "
        "connect-src 'self'; img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
