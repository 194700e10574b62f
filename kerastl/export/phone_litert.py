"""How an app runs a file by LiteRT's second generation, whose `CompiledModel` takes the place of the Interpreter.

Looked up on 2026-12-01: the versions of LiteRT for Android and the Android that each needs
(https://ai.google.dev/edge/litert/android, v2.3.2 the newest), its Kotlin
(https://ai.google.dev/edge/litert/next/android_kotlin) and its Swift package
(https://github.com/google-ai-edge/LiteRT, `litert/swift/README.md` and `Package.swift`). The page about iOS there still
names the pods of the first generation alone, whose last stable one is of 2024. `litert-support`, which brought
`FileUtil`, has ended with 1.4.1: pages map the file themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SWIFT_FROM, ANDROID_FROM, IOS = "2.1.2", "2.1.0", 15
"""The first stable Swift package, the first for Android that is for API 23, and the iOS that the package needs."""
API, API_2 = 21, 23
"""The Android API level that LiteRT 1.4.2 needs, and that its second generation needs since 2.1.0."""
MAPPED = """val asset = context.assets.openFd("model.tflite")
val file = asset.createInputStream().channel
    .map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
val interpreter = Interpreter(file)"""
"""Kotlin that opens the file out of an app's assets, which are not compressed."""

_PAGE = """
## LiteRT 2: CompiledModel

The Interpreter above runs on the processor. `CompiledModel` of LiteRT 2 may also use a phone's graphics unit; buffers
stand in the order of the file's inputs and outputs. For Android, API {api} or newer, add
`implementation("com.google.ai.edge.litert:litert:{android}")`.

```kotlin
val model = CompiledModel.create(context.assets, "model.tflite", CompiledModel.Options(Accelerator.CPU))
val inputs = model.createInputBuffers()
val outputs = model.createOutputBuffers()
{kotlin_in}
model.run(inputs, outputs)
{kotlin_out}
```

For iOS {ios} or newer add the Swift package `https://github.com/google-ai-edge/LiteRT` from {swift} on.

```swift
let options = try Options()
try options.setHardwareAccelerators([.cpu])
let path = Bundle.main.path(forResource: "model", ofType: "tflite")!
let model = try CompiledModel(filePath: path, environment: try Environment(), options: options)
let inputs = try model.createInputBuffers(), outputs = try model.createOutputBuffers()
{swift_in}
try model.run(inputs: inputs, outputs: outputs)
{swift_out}
```
"""
_KOTLIN = {"float32": "Float", "int32": "Int", "uint8": "Int8", "int8": "Int8"}
_SWIFT = {"float32": "Float", "int32": "Int32", "uint8": "UInt8", "int8": "Int8"}


def api_of(android: str) -> int:
    """The Android API level that this LiteRT for Android needs."""
    return API if android.startswith("1.") else API_2


def section(*, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], android: str) -> str:
    """The part of a page about `CompiledModel`; empty where a tensor is of a type that its buffers do not take.

    Args:
        inputs, outputs: of the file, in its order: ``name`` where it has several, and ``dtype``.
        android: the LiteRT for Android that the file needs.
    """
    if not {one["dtype"] for one in (*inputs, *outputs)} <= set(_KOTLIN):
        return ""
    names = [one.get("name") or "values" for one in inputs]
    fed = list(zip(range(len(inputs)), names, [one["dtype"] for one in inputs], strict=True))
    read = [(place, one["dtype"]) for place, one in enumerate(outputs)]
    several = len(outputs) > 1
    return _PAGE.format(
        api=API_2,
        ios=IOS,
        swift=SWIFT_FROM,
        android=ANDROID_FROM if android.startswith("1.") else android,
        kotlin_in="\n".join(f"inputs[{place}].write{_KOTLIN[kind]}({name})" for place, name, kind in fed),
        swift_in="\n".join(f"try inputs[{place}].write({name})  // [{_SWIFT[kind]}]" for place, name, kind in fed),
        kotlin_out="\n".join(
            f"val answer{place if several else ''} = outputs[{place}].read{_KOTLIN[kind]}()" for place, kind in read
        ),
        swift_out="\n".join(
            f"let answer{place if several else ''}: [{_SWIFT[kind]}] = try outputs[{place}].read()"
            for place, kind in read
        ),
    )
