"""What goes to the phone: the file, its labels, a page that says how to run it; of texts vocabulary and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastl import types
from kerastl.export import metadata, phone_text
from kerastl.inputs import wordpiece

_PAGE = """# {recipe}

`model.tflite` ({kilobytes:.1f} kB) answers with one probability for each line of `labels.txt`.{sets}

| | type | shape | scale | zero point |
|---|---|---|---|---|
| input `image` | {input[dtype]} | {input[shape]} | {input[scale]} | {input[zero_point]} |
| output `probabilities` | {output[dtype]} | {output[shape]} | {output[scale]} | {output[zero_point]} |

Pixels go in raw, 0 to 255{as_float}; nothing has to be scaled. Measured on {test:,} test pictures: {metric} {score:.4f}
(95 % interval {score_low:.4f} to {score_high:.4f}); {latency:.3f} ms a picture on one thread of the machine it was
made on. SHA-256 `{sha256}`.

## Python

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("model.tflite")
interpreter.allocate_tensors()
picture = np.zeros({input[shape]}, np.{input[dtype]})  # your pixels, 0..255
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
interpreter.invoke()
output = interpreter.get_output_details()[0]
answer = interpreter.get_tensor(output["index"])[0].astype(np.float32)
scale, zero_point = output["quantization"]
probabilities = (answer - zero_point) * scale if scale else answer
{answer}
```

{tasks}## Android

Put `model.tflite` into `app/src/main/assets` and add `implementation("com.google.ai.edge.litert:litert:1.4.0")`.

```kotlin
val interpreter = Interpreter(FileUtil.loadMappedFile(context, "model.tflite"))
val answer = Array(1) {{ {kotlin_array}({classes}) }}
interpreter.run(pixels, answer)  // pixels: a direct ByteBuffer of {input_bytes} bytes{native_order}
```

## iOS

Add `pod 'TensorFlowLiteSwift'` and the file to the app's bundle.

```swift
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
try interpreter.copy(pixels, toInputAt: 0)  // pixels: Data of {input_bytes} bytes
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```
"""


_BEST = """labels = open("labels.txt", encoding="utf-8").read().splitlines()
print(labels[probabilities.argmax()], probabilities.max())"""
_SETS = """ A {what} may
have none of these classes, one or several: those with a probability of {threshold:g} or more."""
_THOSE = """labels = open("labels.txt", encoding="utf-8").read().splitlines()
print([name for name, p in zip(labels, probabilities) if p >= {threshold:g}])"""

_TASKS = """## MediaPipe Tasks

`ImageClassifier` needs `model.tflite` alone: labels and the range of pixels lie inside. It scales a picture of another
size itself. For Android add `implementation("com.google.mediapipe:tasks-vision:latest.release")`, for iOS
`pod 'MediaPipeTasksVision'`.

```kotlin
val answer = ImageClassifier.createFromFile(context, "model.tflite").classify(BitmapImageBuilder(bitmap).build())
%s
```

"""  # for colour only: MediaPipe takes no picture of one channel
_BEST_OF_TASKS = """val best = answer.classificationResult().classifications()[0].categories()[0]
println("${best.categoryName()} ${best.score()}")"""
_THOSE_OF_TASKS = """// the threshold lies inside of the file
val found = answer.classificationResult().classifications()[0].categories()
found.forEach { println("${it.categoryName()} ${it.score()}") }"""


def files(data: bytes, *, report: Mapping[str, Any]) -> dict[str, bytes]:
    """The content of ``mobile/``: file name -> bytes.

    Args:
        data: the chosen TFLite file, metadata inside.
        report: the run's report; the row of the chosen variant gives every number on the page.

    Raises:
        ValueError: if the file carries no labels in its metadata, or takes whole words, for which there is no page.
    """
    described = metadata.read(data)
    labels, vocabulary = described["class_names"], described["input"].get("vocabulary")
    if described["input"].get("between_words"):
        raise ValueError("Wanted a file of pictures or of a text's three inputs. Received: one that takes whole words.")
    threshold = described["output"].get("score_threshold")  # of an example that may have several classes
    of_tasks = _BEST_OF_TASKS if threshold is None else _THOSE_OF_TASKS
    row = next(row for row in report["variants"] if row["name"] == report["chosen"])
    floating = row["input"]["dtype"] == "float32"
    size = 4 if floating else 1
    for extent in row["input"]["shape"]:
        size *= extent
    page = (_PAGE if vocabulary is None else phone_text.PAGE).format(
        **{name: row[name] for name in ("input", "output", "score", "score_low", "score_high", "sha256")},
        recipe=report["recipe"],
        metric=report["metric"],
        test=report["data"]["test"],
        kilobytes=row["bytes"] / 1000,
        latency=row["latency_ms"]["median"],
        classes=len(labels),
        inputs=", ".join(f"`{name}`" for name in types.TEXT_INPUTS),
        sets=""
        if threshold is None
        else _SETS.format(what="picture" if vocabulary is None else "text", threshold=threshold),
        answer=_BEST if threshold is None else _THOSE.format(threshold=threshold),
        tasks=_TASKS % of_tasks if described["input"].get("color_space") == "rgb" else "",
        of_tasks=of_tasks,
        length=row["input"]["shape"][-1],
        as_float=" as float32" if floating else ", one byte each, as the camera gives them",
        kotlin_array="FloatArray" if row["output"]["dtype"] == "float32" else "ByteArray",
        input_bytes=size,
        native_order=" in native order" if floating else "",
    )
    made = {"model.tflite": data, "labels.txt": _lines(labels), "README.md": page.encode()}
    if vocabulary is not None:
        made |= {"vocab.txt": _lines(vocabulary), "tokenizer.py": Path(wordpiece.__file__).read_bytes()}
    return made


def _lines(words: list[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()
