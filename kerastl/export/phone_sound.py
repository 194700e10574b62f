"""The page of a bundle that hears: a recording goes in, in Python, on Android and on iOS, with MediaPipe or without."""

PAGE = """# {recipe}

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

`pip install soundfile`; a recording of another rate than {rate} has to be resampled first.

```python
import numpy as np
import soundfile
from ai_edge_litert.interpreter import Interpreter

samples, rate = soundfile.read("recording.wav", dtype="float32", always_2d=True)  # -1 to 1
assert rate == {rate}
samples = samples.mean(axis=1)[:{length}]  # one channel
samples = np.pad(samples, (0, {length} - len(samples)))[None]
interpreter = Interpreter("model.tflite")
interpreter.allocate_tensors()
source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
scale, zero_point = source["quantization"]
if scale:  # a file of integers
    ends = np.iinfo(source["dtype"])
    samples = np.clip(np.rint(samples / scale + zero_point), ends.min, ends.max)
interpreter.set_tensor(source["index"], samples.astype(source["dtype"]))
interpreter.invoke()
answer = interpreter.get_tensor(output["index"])[0].astype(np.float32)
scale, zero_point = output["quantization"]
{output_name} = (answer - zero_point) * scale if scale else answer
{answer}
```

## Android

Put `model.tflite` into `app/src/main/assets` and add `implementation("com.google.ai.edge.litert:litert:{android}")`;
it needs API {sdk}. The app asks for the permission `RECORD_AUDIO`.

```kotlin
{mapped}
val recorder = AudioRecord(MediaRecorder.AudioSource.VOICE_RECOGNITION, {rate}, AudioFormat.CHANNEL_IN_MONO,
    AudioFormat.ENCODING_PCM_FLOAT, 4 * {length})
val samples = FloatArray({length})
recorder.startRecording()
recorder.read(samples, 0, samples.size, AudioRecord.READ_BLOCKING)
recorder.stop()
// numbers: a direct ByteBuffer of {input_bytes} bytes{native_order}, {input[dtype]}: the samples, -1 to 1
val answer = ByteBuffer.allocateDirect(interpreter.getOutputTensor(0).numBytes()).order(ByteOrder.nativeOrder())
interpreter.runForMultipleInputsOutputs(arrayOf<Any>(numbers), mapOf(0 to answer))
```

## iOS

{pod} the file to the app's bundle. `AVAudioConverter` brings what the microphone gives to {rate} samples a second, one
channel of `Float32`.

```swift
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
let numbers = Data(buffer: UnsafeBufferPointer(start: samples, count: {length}))  // {input_bytes} bytes, {input[dtype]}
try interpreter.copy(numbers, toInputAt: 0)
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```
{integers}"""
