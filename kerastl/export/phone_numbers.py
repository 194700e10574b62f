"""The page of any other bundle: plain numbers go in, named numbers come out, in Python, on Android and on iOS."""

FED = """interpreter = Interpreter("model.tflite")
interpreter.allocate_tensors()
for source in interpreter.get_input_details():
    numbers = np.zeros(source["shape"], np.float32)  # yours, for the input source["name"]
    scale, zero_point = source["quantization"]
    if scale:  # a file of integers
        ends = np.iinfo(source["dtype"])
        numbers = np.clip(np.rint(numbers / scale + zero_point), ends.min, ends.max)
    interpreter.set_tensor(source["index"], numbers.astype(source["dtype"]))
interpreter.invoke()
"""
"""Python that feeds a file of any inputs numbers as they are, and runs it."""

PAGE = (
    """# {recipe}

`model.tflite` ({kilobytes:.1f} kB) answers with {what}

| | type | shape | scale | zero point |
|---|---|---|---|---|
| input {inputs} | {input[dtype]} | {input[shape]} | {input[scale]} | {input[zero_point]} |
| output `{output_name}` | {output[dtype]} | {output[shape]} | {output[scale]} | {output[zero_point]} |

{going_in}
Measured on {test:,} test examples: {metric} {score} (95 % interval {score_low} to {score_high}); {latency:.3f} ms an
example, {measured}. SHA-256 `{sha256}`.

{needs}

## Python

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

"""
    + FED
    + """output = interpreter.get_output_details()[0]
answer = interpreter.get_tensor(output["index"])[0].astype(np.float32)
scale, zero_point = output["quantization"]
{output_name} = (answer - zero_point) * scale if scale else answer
{answer}
```

## Android

Put `model.tflite` into `app/src/main/assets` and add `implementation("com.google.ai.edge.litert:litert:{android}")`;
it needs API {sdk}.

```kotlin
{mapped}
val answer = ByteBuffer.allocateDirect(interpreter.getOutputTensor(0).numBytes()).order(ByteOrder.nativeOrder())
// numbers: a direct ByteBuffer of {input_bytes} bytes{native_order}, {input[dtype]}, one for each input
interpreter.runForMultipleInputsOutputs(arrayOf<Any>(numbers), mapOf(0 to answer))
```

## iOS

{pod} the file to the app's bundle.

```swift
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
try interpreter.copy(numbers, toInputAt: 0)  // numbers: Data of {input_bytes} bytes, {input[dtype]}
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```
{integers}"""
)
