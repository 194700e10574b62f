"""The page of a picture's bundle: how pixels go in, in Python, on Android and on iOS."""

PAGE = """# {recipe}

`model.tflite` ({kilobytes:.1f} kB) answers with {what}

| | type | shape | scale | zero point |
|---|---|---|---|---|
| input `image` | {input[dtype]} | {input[shape]} | {input[scale]} | {input[zero_point]} |
| output `{output_name}` | {output[dtype]} | {output[shape]} | {output[scale]} | {output[zero_point]} |

Pixels go in raw, 0 to 255{as_float}; nothing has to be scaled. Measured on {test:,} test pictures: {metric} {score}
(95 % interval {score_low} to {score_high}); {latency:.3f} ms a picture,
{measured}. SHA-256 `{sha256}`.

{needs}

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
{output_name} = (answer - zero_point) * scale if scale else answer
{answer}
```

{mediapipe}## Android

Put `model.tflite` into `app/src/main/assets` and add `implementation("com.google.ai.edge.litert:litert:{android}")`;
it needs API {sdk}.

```kotlin
{mapped}
val answer = Array(1) {{ {kotlin_array}({classes}) }}
interpreter.run(pixels, answer)  // pixels: a direct ByteBuffer of {input_bytes} bytes{native_order}
```

## iOS

{pod} the file to the app's bundle.

```swift
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
try interpreter.copy(pixels, toInputAt: 0)  // pixels: Data of {input_bytes} bytes
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```
"""

MEDIAPIPE = """## MediaPipe Tasks

`ImageClassifier` needs `model.tflite` alone: labels and the range of pixels lie inside. It scales a picture of another
size itself. For Android add `implementation("com.google.mediapipe:tasks-vision:latest.release")`, for iOS
`pod 'MediaPipeTasksVision'`.

```kotlin
val answer = ImageClassifier.createFromFile(context, "model.tflite").classify(BitmapImageBuilder(bitmap).build())
{classes_found}
```

"""
"""For pictures in colour: MediaPipe takes none of one channel."""
