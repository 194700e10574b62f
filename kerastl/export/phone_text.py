"""The page of a text's bundle: how a sentence becomes token ids in Python, on Android and on iOS, and ids an answer."""

PAGE = """# {recipe}

`model.tflite` ({kilobytes:.1f} kB) answers with {what}

| | type | shape | scale | zero point |
|---|---|---|---|---|
| inputs {inputs} | {input[dtype]} | {input[shape]} | {input[scale]} | {input[zero_point]} |
| output `{output_name}` | {output[dtype]} | {output[shape]} | {output[scale]} | {output[zero_point]} |

A sentence goes in as {length} token ids, each the number of a line of `vocab.txt`, from 0: [CLS], the sentence's
tokens, [SEP], then [PAD]; what does not fit is cut off. `mask` is 0 for [PAD] and 1 for all others, `segment_ids` are 0
and read by nothing. Measured on {test:,} test texts: {metric} {score} (95 % interval {score_low} to
{score_high}); {latency:.3f} ms a text,
{measured}. SHA-256 `{sha256}`.

{needs}

## Python

`tokenizer.py` needs Python and nothing else.

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tokenizer import Tokenizer

tokenizer = Tokenizer.from_file("vocab.txt")
interpreter = Interpreter("model.tflite")
interpreter.allocate_tensors()
ids = np.array([tokenizer.encode("a sentence of yours", {length})], np.int32)
fed = {{"ids": ids, "mask": (ids != 0).astype(np.int32), "segment_ids": np.zeros_like(ids)}}
for source in interpreter.get_input_details():
    interpreter.set_tensor(source["index"], fed[source["name"]])
interpreter.invoke()
{output_name} = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
{answer}
```

{mediapipe}## Android

Put `model.tflite` and `vocab.txt` into `app/src/main/assets` and add
`implementation("com.google.ai.edge.litert:litert:{android}")`. `android.icu` is there from API 24 on.

```kotlin
import android.icu.lang.UCharacter
import android.icu.text.Normalizer2

class Tokenizer(private val vocabulary: List<String>) {{
    private val ids = vocabulary.withIndex().associate {{ it.value to it.index }}
    private val folding = Normalizer2.getNFKCCasefoldInstance()
    private val white = setOf(
        Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
        Character.CONTROL, Character.FORMAT).map {{ it.toInt() }}.toSet()
    private val signs = setOf(
        Character.CONNECTOR_PUNCTUATION, Character.DASH_PUNCTUATION, Character.START_PUNCTUATION,
        Character.END_PUNCTUATION, Character.INITIAL_QUOTE_PUNCTUATION, Character.FINAL_QUOTE_PUNCTUATION,
        Character.OTHER_PUNCTUATION).map {{ it.toInt() }}.toSet()
    private val chinese = listOf(0x3400..0x4DBF, 0x4E00..0x9FFF, 0xF900..0xFAFF, 0x20000..0x2A6DF,
        0x2A700..0x2B73F, 0x2B740..0x2B81F, 0x2B820..0x2CEAF, 0x2F800..0x2FA1F)

    fun encode(text: String, length: Int = {length}): IntArray {{
        val found = mutableListOf(ids.getValue("[CLS]"))
        for (word in words(text)) {{
            if (found.size >= length - 1) break
            found += pieces(folding.normalize(word))
        }}
        val kept = found.take(length - 1) + ids.getValue("[SEP]")
        return IntArray(length) {{ kept.getOrElse(it) {{ ids.getValue("[PAD]") }} }}
    }}

    private fun words(text: String): List<String> {{
        val spaced = StringBuilder()
        Normalizer2.getNFDInstance().normalize(text).codePoints().forEach {{ code ->
            val kind = UCharacter.getType(code)
            val asciiSign = code in 33..126 && !Character.isLetterOrDigit(code)
            when {{
                kind == Character.NON_SPACING_MARK.toInt() -> {{}}
                kind in white -> spaced.append(' ')
                asciiSign || kind in signs || chinese.any {{ code in it }} ->
                    spaced.append(' ').appendCodePoint(code).append(' ')
                else -> spaced.appendCodePoint(code)
            }}
        }}
        return spaced.split(' ').filter {{ it.isNotEmpty() }}
    }}

    private fun pieces(word: String): List<Int> {{
        val unknown = listOf(ids.getValue("[UNK]"))
        if (word.toByteArray().size > 100) return unknown
        val found = mutableListOf<Int>()
        var start = 0
        while (start < word.length) {{
            val end = (word.length downTo start + 1).firstOrNull {{ end ->
                ids.containsKey((if (start > 0) "##" else "") + word.substring(start, end))
            }} ?: return unknown
            found += ids.getValue((if (start > 0) "##" else "") + word.substring(start, end))
            start = end
        }}
        return found
    }}
}}

val tokenizer = Tokenizer(context.assets.open("vocab.txt").bufferedReader().readLines())
val interpreter = Interpreter(FileUtil.loadMappedFile(context, "model.tflite"))
val ids = tokenizer.encode("a sentence of yours")
val mask = IntArray(ids.size) {{ if (ids[it] != 0) 1 else 0 }}
val answer = Array(1) {{ FloatArray({classes}) }}
val fed = arrayOf<Any>(arrayOf(ids), arrayOf(mask), arrayOf(IntArray(ids.size)))  // ids, mask, segment_ids
interpreter.runForMultipleInputsOutputs(fed, mapOf(0 to answer))
```

## iOS

{pod} the files to the app's bundle.

```swift
struct Tokenizer {{
    let ids: [String: Int32]

    init(vocabulary: String) {{
        let tokens = vocabulary.components(separatedBy: "\\n")
        ids = Dictionary(tokens.enumerated().map {{ ($1, Int32($0)) }}, uniquingKeysWith: {{ $1 }})
    }}

    func encode(_ text: String, length: Int = {length}) -> [Int32] {{
        var found = [ids["[CLS]"]!]
        for word in words(text) where found.count < length - 1 {{
            let folded = word.precomposedStringWithCompatibilityMapping
                .folding(options: .caseInsensitive, locale: nil).precomposedStringWithCompatibilityMapping
            found += pieces(Array(folded.unicodeScalars))
        }}
        found = found.prefix(length - 1) + [ids["[SEP]"]!]
        return found + Array(repeating: ids["[PAD]"]!, count: length - found.count)
    }}

    private func words(_ text: String) -> [String] {{
        var spaced = String.UnicodeScalarView()
        for scalar in text.decomposedStringWithCanonicalMapping.unicodeScalars {{
            let code = scalar.value
            let chinese = [0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
                           0x2B740...0x2B81F, 0x2B820...0x2CEAF, 0x2F800...0x2FA1F]
                .contains {{ $0.contains(Int(code)) }}
            let asciiSign = (33...47).contains(code) || (58...64).contains(code) || (91...96).contains(code)
                || (123...126).contains(code)
            switch scalar.properties.generalCategory {{
            case .nonspacingMark: continue
            case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .format: spaced.append(" ")
            case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
                 .finalPunctuation, .otherPunctuation: spaced.append(contentsOf: [" ", scalar, " "])
            default: spaced.append(contentsOf: asciiSign || chinese ? [" ", scalar, " "] : [scalar])
            }}
        }}
        return String(spaced).split(separator: " ").map(String.init)
    }}

    private func pieces(_ word: [Unicode.Scalar]) -> [Int32] {{
        func text(_ part: ArraySlice<Unicode.Scalar>) -> String {{
            var view = String.UnicodeScalarView()
            view.append(contentsOf: part)
            return String(view)
        }}
        if text(word[...]).utf8.count > 100 {{ return [ids["[UNK]"]!] }}
        var found: [Int32] = [], start = 0
        while start < word.count {{
            guard let end = stride(from: word.count, to: start, by: -1).first(where: {{
                ids[(start > 0 ? "##" : "") + text(word[start..<$0])] != nil
            }}) else {{ return [ids["[UNK]"]!] }}
            found.append(ids[(start > 0 ? "##" : "") + text(word[start..<end])]!)
            start = end
        }}
        return found
    }}
}}

let vocabulary = try String(contentsOfFile: Bundle.main.path(forResource: "vocab", ofType: "txt")!, encoding: .utf8)
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
let ids = Tokenizer(vocabulary: vocabulary).encode("a sentence of yours")
let mask = ids.map {{ $0 != 0 ? Int32(1) : 0 }}, segments = ids.map {{ _ in Int32(0) }}
for (place, values) in [ids, mask, segments].enumerated() {{
    try interpreter.copy(values.withUnsafeBytes {{ Data($0) }}, toInputAt: place)
}}
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```

Both follow `tokenizer.py`, which is the reference: `python tokenizer.py vocab.txt {length} "a sentence"` prints the ids
to compare with.
"""

MEDIAPIPE = """## MediaPipe Tasks

`TextClassifier` needs `model.tflite` alone: vocabulary and labels lie inside, and it makes ids of a sentence itself.
For Android add `implementation("com.google.mediapipe:tasks-text:latest.release")`, for iOS `pod 'MediaPipeTasksText'`.

```kotlin
val folding = Normalizer2.getNFKCCasefoldInstance()  // of android.icu.text, there from API 24 on
val bare = Normalizer2.getNFDInstance().normalize("a sentence of yours").replace(Regex("\\\\p{{Mn}}+"), "")
val answer = TextClassifier.createFromFile(context, "model.tflite").classify(folding.normalize(bare))
{classes_found}
```

The first two lines are for letters that are not ASCII: MediaPipe leaves their accents and capitals as they are, and the
model has never seen any. With them ids are those of `tokenizer.py`, but for control characters, spaces that are none of
ASCII, and signs that stand for several, as "…" does.

"""
