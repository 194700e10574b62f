"""The page of a text's bundle: how a sentence becomes token ids, in four languages, and ids an answer."""

JAVASCRIPT = """class Tokenizer {{
  constructor(vocabulary, characters) {{
    const lines = (text) => text.replace(/\\n$/, "").split("\\n");
    this.ids = new Map(lines(vocabulary).map((token, id) => [token, id]));
    this.rows = lines(characters).map((line) => line.split(" "));
    this.first = this.rows.map((row) => parseInt(row[0], 16));
    this.last = this.rows.map((row) => parseInt(row[1], 16));
  }}

  encode(text, length = {length}) {{
    const found = [this.ids.get("[CLS]")];
    for (const word of this.words(text)) {{
      if (found.length >= length - 1) break;
      found.push(...this.pieces(word));
    }}
    found.splice(length - 1, Infinity, this.ids.get("[SEP]"));
    return Int32Array.from({{ length }}, (_, place) => found[place] ?? this.ids.get("[PAD]"));
  }}

  words(text) {{
    const codes = [], orders = [];
    for (const character of text) {{
      const code = character.codePointAt(0);
      let low = 0, high = this.rows.length;
      while (low < high) {{
        const middle = (low + high) >> 1;
        if (this.last[middle] < code) low = middle + 1; else high = middle;
      }}
      const parts = this.first[low] <= code ? this.rows[low].slice(2) : [code.toString(16)];
      for (const part of parts) {{
        const [number, order = 0] = part.replace("+", "").split("@").map((field) => parseInt(field, 16));
        let place = codes.length;
        while (order > 0 && place > 0 && orders[place - 1] > order) place--;
        codes.splice(place, 0, part[0] === "+" ? number + code - this.first[low] : number);
        orders.splice(place, 0, order);
      }}
    }}
    const spaced = codes.filter((code) => code !== 0).map((code) => String.fromCodePoint(code)).join("");
    return spaced.split(" ").filter((word) => word !== "");
  }}

  pieces(word) {{
    if ([...word].length > 100) return [this.ids.get("[UNK]")];
    const found = [];
    for (let start = 0, end; start < word.length; start = end) {{
      const id = (stop) => this.ids.get((start > 0 ? "##" : "") + word.slice(start, stop));
      for (end = word.length; end > start && id(end) === undefined; ) end--;
      if (end === start) return [this.ids.get("[UNK]")];
      found.push(id(end));
    }}
    return found;
  }}
}}
"""
"""The tokenizer in JavaScript, a template for ``str.format`` with the field ``length``."""

PAGE = (
    """# {recipe}

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

`tokenizer.py` needs Python and nothing else. It reads in `tokenizer_config.json` what of a text is kept, accents and
capitals for example; Hugging Face's `tokenizers` and `transformers` read the same two files.

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

Put `model.tflite`, `vocab.txt` and `characters.txt` into `app/src/main/assets` and add
`implementation("com.google.ai.edge.litert:litert:{android}")`; it needs API 24.

```kotlin
class Tokenizer(vocabulary: List<String>, characters: List<String>) {{
    private val ids = vocabulary.withIndex().associate {{ it.value to it.index }}
    private val rows = characters.map {{ it.split(' ') }}
    private val first = IntArray(rows.size) {{ rows[it][0].toInt(16) }}
    private val last = IntArray(rows.size) {{ rows[it][1].toInt(16) }}

    fun encode(text: String, length: Int = {length}): IntArray {{
        val found = mutableListOf(ids.getValue("[CLS]"))
        for (word in words(text)) {{
            if (found.size >= length - 1) break
            found += pieces(word)
        }}
        val kept = found.take(length - 1) + ids.getValue("[SEP]")
        return IntArray(length) {{ kept.getOrElse(it) {{ ids.getValue("[PAD]") }} }}
    }}

    fun words(text: String): List<String> {{
        val codes = ArrayList<Int>()
        val orders = ArrayList<Int>()
        for (code in text.codePoints().toArray()) {{
            val place = first.binarySearch(code)
            val row = if (place < 0) -place - 2 else place
            val parts = if (row >= 0 && code <= last[row]) rows[row].drop(2) else listOf(code.toString(16))
            for (part in parts) {{
                val (number, order) = "$part@0".removePrefix("+").split('@').map {{ it.toInt(16) }}
                var at = codes.size
                while (order > 0 && at > 0 && orders[at - 1] > order) at--
                codes.add(at, if (part[0] == '+') number + code - first[row] else number)
                orders.add(at, order)
            }}
        }}
        val spaced = StringBuilder()
        codes.filter {{ it != 0 }}.forEach {{ spaced.appendCodePoint(it) }}
        return spaced.split(' ').filter {{ it.isNotEmpty() }}
    }}

    private fun pieces(word: String): List<Int> {{
        val unknown = listOf(ids.getValue("[UNK]"))
        if (word.codePointCount(0, word.length) > 100) return unknown
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

fun lines(name: String) = context.assets.open(name).bufferedReader().readLines()
val tokenizer = Tokenizer(lines("vocab.txt"), lines("characters.txt"))
{mapped}
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
    // by code points: of two strings that look the same Swift says that they are equal, and ids tell them apart
    let ids: [[UInt32]: Int32]
    let rows: [(first: UInt32, last: UInt32, parts: [Substring])]

    init(vocabulary: String, characters: String) {{
        let tokens = vocabulary.unicodeScalars.split(separator: "\\n", omittingEmptySubsequences: false)
        ids = Dictionary(tokens.enumerated().map {{ ($1.map(\\.value), Int32($0)) }}, uniquingKeysWith: {{ $1 }})
        rows = characters.split(separator: "\\n").map {{
            let fields = $0.split(separator: " ")
            return (UInt32(fields[0], radix: 16)!, UInt32(fields[1], radix: 16)!, Array(fields.dropFirst(2)))
        }}
    }}

    func id(_ token: String) -> Int32 {{ ids[token.unicodeScalars.map(\\.value)]! }}

    func encode(_ text: String, length: Int = {length}) -> [Int32] {{
        var found = [id("[CLS]")]
        for word in words(text) where found.count < length - 1 {{ found += pieces(word) }}
        found = found.prefix(length - 1) + [id("[SEP]")]
        return found + Array(repeating: id("[PAD]"), count: length - found.count)
    }}

    func words(_ text: String) -> [[UInt32]] {{
        var codes: [UInt32] = [], orders: [UInt32] = []
        for code in text.unicodeScalars.map(\\.value) {{
            var low = 0, high = rows.count
            while low < high {{
                let middle = (low + high) / 2
                if rows[middle].last < code {{ low = middle + 1 }} else {{ high = middle }}
            }}
            var row = (first: code, last: code, parts: [Substring(String(code, radix: 16))])
            if low < rows.count && rows[low].first <= code {{ row = rows[low] }}
            for part in row.parts {{
                let fields = part.drop {{ $0 == "+" }}.split(separator: "@").map {{ UInt32($0, radix: 16)! }}
                let order = fields.count > 1 ? fields[1] : 0
                var place = codes.count
                while order > 0 && place > 0 && orders[place - 1] > order {{ place -= 1 }}
                codes.insert(fields[0] + (part.hasPrefix("+") ? code - row.first : 0), at: place)
                orders.insert(order, at: place)
            }}
        }}
        return codes.filter {{ $0 != 0 }}.split(separator: 32).map {{ Array($0) }}
    }}

    private func pieces(_ word: [UInt32]) -> [Int32] {{
        if word.count > 100 {{ return [id("[UNK]")] }}
        var found: [Int32] = [], start = 0
        while start < word.count {{
            let prefix: [UInt32] = start > 0 ? [35, 35] : []  // ##
            guard let end = stride(from: word.count, to: start, by: -1).first(where: {{
                ids[prefix + word[start..<$0]] != nil
            }}) else {{ return [id("[UNK]")] }}
            found.append(ids[prefix + word[start..<end]]!)
            start = end
        }}
        return found
    }}
}}

func text(_ name: String) throws -> String {{
    try String(contentsOfFile: Bundle.main.path(forResource: name, ofType: "txt")!, encoding: .utf8)
}}
let tokenizer = try Tokenizer(vocabulary: text("vocab"), characters: text("characters"))
let interpreter = try Interpreter(modelPath: Bundle.main.path(forResource: "model", ofType: "tflite")!)
try interpreter.allocateTensors()
let ids = tokenizer.encode("a sentence of yours")
let mask = ids.map {{ $0 != 0 ? Int32(1) : 0 }}, segments = ids.map {{ _ in Int32(0) }}
for (place, values) in [ids, mask, segments].enumerated() {{
    try interpreter.copy(values.withUnsafeBytes {{ Data($0) }}, toInputAt: place)
}}
try interpreter.invoke()
let answer = try interpreter.output(at: 0).data  // {classes} values of {output[dtype]}
```

## JavaScript

For a page, Node.js or React Native; ids go in as `Int32Array`.

```javascript
"""
    + JAVASCRIPT
    + """
// const text = async (name) => (await fetch(name)).text();
// const tokenizer = new Tokenizer(await text("vocab.txt"), await text("characters.txt"));
// const ids = tokenizer.encode("a sentence of yours");
```

All follow `tokenizer.py`, which is the reference: `python tokenizer.py vocab.txt {length} "a sentence"` prints the ids
to compare with. What becomes of each character stands in `characters.txt`, so that no phone has to know Unicode.
"""
)

MEDIAPIPE = """## MediaPipe Tasks

`TextClassifier` needs `model.tflite` alone: vocabulary and labels lie inside, and it makes ids of a sentence itself.
For Android add `implementation("com.google.mediapipe:tasks-text:latest.release")`, for iOS `pod 'MediaPipeTasksText'`.

```kotlin
val words = tokenizer.words("a sentence of yours").joinToString(" ")  // tokenizer: see Android
val answer = TextClassifier.createFromFile(context, "model.tflite").classify(words)
{classes_found}
```

MediaPipe leaves accents and capitals as they are, and some spaces and controls too; what the model has seen of a text
are these words. With them ids are those of `tokenizer.py`, but for words of more than 100 bytes, and for punctuation
that is younger than Unicode 8, which MediaPipe takes off a word.

"""
