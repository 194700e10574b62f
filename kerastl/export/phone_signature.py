"""The page of a bundle whose file has any inputs and outputs: all of them by name, in Python, on Android and on iOS."""

from kerastl.export import phone_numbers

PAGE = (
    """# {recipe}

`model.tflite` ({kilobytes:.1f} kB) answers with {what}

| | type | shape | scale | zero point |
|---|---|---|---|---|
{tensors}

{going_in}
Measured on {test:,} test examples: {metric} {score} (95 % interval {score_low} to {score_high}); {latency:.3f} ms an
example, {measured}. SHA-256 `{sha256}`.

{needs}

## Python

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

"""
    + phone_numbers.FED
    + """answers = {{}}
for output in interpreter.get_output_details():
    values = interpreter.get_tensor(output["index"])[0].astype(np.float32)
    scale, zero_point = output["quantization"]
    answers[output["name"]] = (values - zero_point) * scale if scale else values
{answer}
```

## Android

Put `model.tflite` into `app/src/main/assets` and add `implementation("com.google.ai.edge.litert:litert:{android}")`;
it needs API {sdk}.

```kotlin
{mapped}
val inputs = Array<Any>(interpreter.inputTensorCount) {{  // fill each, in the order of the table
    ByteBuffer.allocateDirect(interpreter.getInputTensor(it).numBytes()).order(ByteOrder.nativeOrder())
}}
val answers = (0 until interpreter.outputTensorCount).associateWith {{
    ByteBuffer.allocateDirect(interpreter.getOutputTensor(it).numBytes()).order(ByteOrder.nativeOrder()) as Any
}}
interpreter.runForMultipleInputsOutputs(inputs, answers)
```

## iOS

{pod} the file to the app's bundle.

```swift
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
for place in 0..<interpreter.inputTensorCount {{
    try interpreter.copy(inputs[place], toInputAt: place)  // inputs: a Data each, in the order of the table
}}
try interpreter.invoke()
let answers = try (0..<interpreter.outputTensorCount).map {{ try interpreter.output(at: $0).data }}
```
{integers}"""
)
