"""What goes to the phone: the file, its labels, pages that say how to run it and try it; of texts what tokens need.

A kind of input may bring a page of its own (`BringsPage`), a kind of target the words for its answers (`BringsAnswer`);
pictures, texts and classes have theirs here, a task whose outputs are of any shape gets all of them by name, and all
others get plain numbers in, named numbers out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from kerastl.export import (
    metadata,
    model_card,
    packing,
    phone_image,
    phone_litert,
    phone_numbers,
    phone_sentencepiece,
    phone_signature,
    phone_sound,
    phone_text,
    phone_text_pair,
    runtimes,
)
from kerastl.export.browser import page as browser_page
from kerastl.inputs import sentencepiece, text, wordpiece
from kerastl.types import DecodedTarget, Inputs, Latency, NamedInputs, Runtime, Target, Task, TokenTarget

_READ_LABELS = """labels = open("labels.txt", encoding="utf-8").read().splitlines()
"""
_BEST_OF_TASKS = """val best = answer.classificationResult().classifications()[0].categories()[0]
println("${best.categoryName()} ${best.score()}")"""
_THOSE_OF_TASKS = """// the threshold lies inside of the file
val found = answer.classificationResult().classifications()[0].categories()
found.forEach { println("${it.categoryName()} ${it.score()}") }"""


_SELECTIVE = """{labels}calibrated = {name} ** {power}
calibrated /= calibrated.sum()
best = calibrated.argmax(){by_class}
print(labels[best] if calibrated[best] >= {threshold} else "none of these", calibrated[best])"""
_SELECTIVE_OF_TASKS = """val all = answer.classificationResult().classifications()[0].categories()
val powers = all.map {{ it.score().toDouble().pow({power}) }}  // kotlin.math.pow
val best = powers.indices.maxBy {{ powers[it] }}
val sure = powers[best] / powers.sum(){by_class_of_tasks}
println(if (sure >= {threshold_of_tasks}) "${{all[best].categoryName()}} $sure" else "none of these")"""
_EXAMPLES = {"image": "A picture", "rate": "A recording", "vocabulary": "A text", text.SENTENCEPIECE: "A text"}


class Answer(NamedTuple):
    """A target's words on the page.

    Attributes:
        what: what the file answers with, which ends a sentence that begins with its name.
        python: lines that say in words what the array of the output's name holds, and may read ``labels.txt``.
    """

    what: str
    python: str


@runtime_checkable
class BringsPage(Protocol):
    """A kind of input with a page of its own."""

    def phone_page(self) -> str:
        """A template for ``str.format`` with the fields that `phone_numbers.PAGE` has."""
        ...


@runtime_checkable
class BringsAnswer(Protocol):
    """A kind of target with words of its own on the page."""

    def phone_answer(self) -> Answer | tuple[str, str]:
        """What stands for ``{what}`` and ``{answer}`` on any page: an `Answer`, or its two parts."""
        ...


def files(data: bytes, report: Mapping[str, Any], task: Task) -> dict[str, bytes]:
    """The content of ``mobile/``: file name -> bytes.

    Args:
        data: the chosen TFLite file, metadata inside.
        report: the run's report; the row of the chosen variant gives every number on the page.
        task: what goes in and what is asked.

    Raises:
        ValueError: if the file's metadata say something else than the task, or that it takes whole words, for which
            there is no page.
    """
    described, fed, asked = metadata.read(data), task.inputs.described(), task.target.described()
    if described["input"].get("between_words"):
        raise ValueError("Wanted a file of pictures or of a text's three inputs. Received: one that takes whole words.")
    names = list(task.target.names)
    if [described[key] for key in ("class_names", "inputs", "target")] != [names, fed, asked]:
        raise ValueError(
            f"Wanted a file whose metadata say what the task {task.name!r} does. Received: one with labels "
            f"{', '.join(described['class_names'][:5])}, inputs of {', '.join(described['inputs'])} and outputs of "
            f"{', '.join(described['target'])}."
        )
    return written(data, report, task)


def written(data: bytes, report: Mapping[str, Any], task: Task) -> dict[str, bytes]:
    """As `files`, of a file that has been looked at already: nothing is read out of it."""
    row = next(row for row in report["variants"] if row["name"] == report["chosen"])
    fed, needed = task.inputs.described(), runtimes.needed(packing.unpack(data))
    ends = {side: row.get(side) or [row[side[:-1]]] for side in ("inputs", "outputs")}
    page = _page_of(task).format(**_fields(report, row, task, needed))
    if not isinstance(task.inputs, BringsPage):
        page += phone_litert.section(**ends, android=needed.android)
    made = {"model.tflite": data, "labels.txt": _lines(task.target.names), "README.md": page.encode()}
    if pieces := text.pieces_of(task.inputs):
        made |= {"tokenizer.py": Path(sentencepiece.__file__).read_bytes()}
        made |= {sentencepiece.CONFIG: f"{json.dumps(pieces.config(), indent=1)}\n".encode()}
    if report.get("made"):  # by a run, which says all that a card says
        made[model_card.NAME] = model_card.written(report, task).encode()
    if "vocabulary" in fed:
        settings = wordpiece.Settings.of_config(fed.get("tokenizer", {}))
        made |= {"tokenizer.py": Path(wordpiece.__file__).read_bytes()}
        made |= {wordpiece.CONFIG: f"{json.dumps(settings.config(), indent=1)}\n".encode()}
    return made | browser_page.texts(task.inputs) | {browser_page.NAME: browser_page.render(task, **ends).encode()}


def _page_of(task: Task) -> str:
    if isinstance(task.inputs, BringsPage):
        return task.inputs.phone_page()
    described = task.inputs.described()
    kind, pieces = task.inputs, text.pieces_of(task.inputs)
    if isinstance(kind, text.Text) and len(task.target.output_names) == 1:
        page = phone_text_pair.PAGE if "texts" in described else phone_text.PAGE
        if pieces is not None:
            page = phone_sentencepiece.page(pieces, pair="texts" in described)
        return page if not isinstance(task.target, TokenTarget) else _of_tokens(page)
    if not task.target.outputs or isinstance(task.target, DecodedTarget):  # outputs of any shape
        return phone_signature.PAGE
    if "rate" in described:
        return phone_sound.PAGE
    return phone_image.PAGE if "image" in described else phone_numbers.PAGE


def _of_tokens(page: str) -> str:
    """The page of a file that answers each token: as many rows as there are."""
    one, each = "FloatArray({classes})", "Array({length}) {{ FloatArray({classes}) }}"
    return page.replace(one, each).replace("{classes} values of", "{length} times {classes} values of")


def _answer_of(target: Target, *, example: str) -> Answer:
    described, name = target.described(), target.output_name
    if isinstance(target, BringsAnswer):
        what, python = target.phone_answer()
        if example == _EXAMPLES["vocabulary"] and not target.outputs:  # a page of one output by its name
            python = f'answers = {{"{name}": {name}}}\n{python}'
        return Answer(what, python)
    threshold = described.get("score_threshold")  # of an example that may have several classes
    if threshold is not None:
        what = f"""one probability for each line of `labels.txt`. {example} may
have none of these classes, one or several: those with a probability of {threshold:g} or more."""
        return Answer(what, f"{_READ_LABELS}print([name for name, p in zip(labels, {name}) if p >= {threshold:g}])")
    if "reject" in described:
        option = described["reject"]
        what = f"""one probability for each line of `labels.txt`. Where it is not sure of
any, none of these is meant: probabilities to the power of {1 / option["temperature"]:.9g}, divided by their sum, are
calibrated, and one of {option["threshold"]:.9g} or more is an answer{
            ", or of that of its class below" if "class_thresholds" in option else ""
        }. What the largest lacks to 1 is the out-of-distribution score."""
        return Answer(what, _SELECTIVE.format(labels=_READ_LABELS, name=name, **_numbers_of(option)))
    if "labels" in described:
        what = "one probability for each line of `labels.txt`."
        return Answer(what, f"{_READ_LABELS}print(labels[{name}.argmax()], {name}.max())")
    units = described.get("units", ())
    units = [units] if isinstance(units, str) else [unit for unit in units if unit]
    in_units = f", in {', '.join(dict.fromkeys(units))}" if any(units) else ""
    what = f"one number for each line of `labels.txt`{in_units}."
    return Answer(what, f"{_READ_LABELS}print(dict(zip(labels, {name}.ravel().tolist())))")


def _numbers_of(option: Mapping[str, Any]) -> dict[str, str]:
    """A reject option as the snippets write it."""
    found = {"power": f"{1 / option['temperature']:.9g}", "threshold": f"{option['threshold']:.9g}"}
    if "class_thresholds" not in option:
        return {**found, "by_class": "", "by_class_of_tasks": "", "threshold_of_tasks": found["threshold"]}
    each = ", ".join(f"{share:.9g}" for share in option["class_thresholds"])
    return {
        **found,
        "threshold": "thresholds[best]",
        "threshold_of_tasks": "thresholds[all[best].index()]",
        "by_class": f"\nthresholds = [{each}]  # one for each line of labels.txt",
        "by_class_of_tasks": f"\nval thresholds = doubleArrayOf({each})  // one for each line of labels.txt",
    }


def _mediapipe(task: Task) -> str:
    """How MediaPipe Tasks run the file, for the kinds that it has a task for; else nothing."""
    fed, asked = task.inputs.described(), task.target.described()
    if "labels" not in asked or "texts" in fed:
        return ""
    found = _BEST_OF_TASKS if "score_threshold" not in asked else _THOSE_OF_TASKS
    if "reject" in asked:
        found = _SELECTIVE_OF_TASKS.format(**_numbers_of(asked["reject"]))
    if "image" in fed:
        return phone_image.MEDIAPIPE.format(classes_found=found) if fed["image"][-1] == 3 else ""
    return phone_text.MEDIAPIPE.format(classes_found=found) if "vocabulary" in fed else ""


def _fields(report: Mapping[str, Any], row: Mapping[str, Any], task: Task, runtime: Runtime) -> dict[str, Any]:
    """Everything that a page may name, by its field."""
    latency = Latency.of(row["latency_ms"])
    fed, target, source = task.inputs.described(), task.target, row["input"]
    floating = source["dtype"] == "float32"
    answer = _answer_of(target, example=next((_EXAMPLES[key] for key in _EXAMPLES if key in fed), "An example"))
    unit = f" {target.units}" if target.units not in ("", "%") else ""
    return {
        **{name: row[name] for name in ("input", "output", "sha256")},
        **{name: f"{row[name]:.4f}{unit}" for name in ("score", "score_low", "score_high")},
        "recipe": report["recipe"],
        "metric": report["metric"],
        "test": report["data"]["test"],
        "kilobytes": row["bytes"] / 1000,
        "latency": latency.median,
        "measured": _measured(latency),
        "needs": f'It needs LiteRT {runtime.litert} or newer: `pip install "ai-edge-litert>={runtime.litert}"`.',
        "android": runtime.android,
        "sdk": phone_litert.api_of(runtime.android),
        "mapped": phone_litert.MAPPED,
        "pod": _pod(runtime),
        "classes": math.prod(row["output"]["shape"]) if len(target.names) == 1 else len(target.names),
        "inputs": ", ".join(f"`{name}`" for name in task.inputs.tensors),
        "tensors": "\n".join(_rows("input", row.get("inputs", ())) + _rows("output", row.get("outputs", ()))),
        "going_in": _going_in(task.inputs),
        "what": answer.what,
        "answer": answer.python,
        "output_name": target.output_name,
        "mediapipe": _mediapipe(task),
        "length": source["shape"][-1],
        "rate": fed.get("rate", ""),
        "as_float": " as float32" if floating else ", one byte each, as the camera gives them",
        "kotlin_array": "FloatArray" if row["output"]["dtype"] == "float32" else "ByteArray",
        "input_bytes": math.prod(source["shape"]) * (4 if floating else 1),
        "native_order": " in native order" if floating else "",
        "integers": _INTEGERS if not floating else "",
    }


def _going_in(inputs: Inputs) -> str:
    """What the app feeds, in a sentence; of several inputs each by its name."""
    if isinstance(inputs, NamedInputs):
        each = "; ".join(f"`{name}` takes {kind.fed_with}" for name, kind in inputs.parts)
        return f"Nothing has to be scaled: {each}."
    return f"It takes {inputs.fed_with}; nothing has to be scaled."


def _measured(latency: Latency) -> str:
    """On what, and how far it can be relied on."""
    return (
        f"{latency.measured}, its rounds {latency.spread:.0%} apart"
        if not latency.is_wide
        else (f"{latency.measured}. WARNING: {latency.warning}")
    )


def _pod(runtime: Runtime) -> str:
    """The sentence up to "the file" that says how iOS gets the runtime."""
    if runtime.pod:
        return f"Add `pod 'TensorFlowLiteSwift', '{runtime.pod}'` and"
    return (
        f"No `TensorFlowLiteSwift` pod runs this file ({runtimes.POD}, the last one, is older than LiteRT "
        f"{runtime.litert}): take the Swift package below, or another file of the run's `variants/`. Add"
    )


def _rows(side: str, tensors: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of the page's table for each of a file's inputs or outputs."""
    keys = ("dtype", "shape", "scale", "zero_point")
    return [f"| {side} `{one['name']}` | {' | '.join(str(one[key]) for key in keys)} |" for one in tensors]


_INTEGERS = """
Bytes are `round(number / scale + zero point)`, cut off at 0 and 255; `(byte - zero point) * scale` is the number again.
"""


def _lines(words: tuple[str, ...] | list[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()
