"""The page of a bundle whose texts are read with SentencePiece: that of a text, but for the tokenizers.

Phones and pages read the published model's own file, ``sentencepiece.model``: a protobuf message with the pieces, their
scores, and the table that brings texts to their form.
"""

from __future__ import annotations

from kerastl.export import character_table, phone_text
from kerastl.inputs import sentencepiece, text

NAME = "sentencepiece.model"

_KOTLIN = """class Tokenizer(model: ByteArray, characters: List<String> = emptyList()) {{
    private val pieces = HashMap<String, Pair<Int, Float>>()
    private val symbols = HashSet<String>()  // are taken as they are
    private val bytes = HashMap<String, Int>()
    private var unknown = 0
    private var longest = 1
    private var least = Float.POSITIVE_INFINITY
    private var greatest = Float.NEGATIVE_INFINITY
    private var settings: Map<Int, Any> = emptyMap()
    private var trie = IntArray(0)
    private var written = ByteArray(0)
    private val rows = characters.map {{ it.split(' ') }}
    private val first = IntArray(rows.size) {{ rows[it][0].toInt(16) }}

    init {{
        var number = 0
        var fallback = false
        for ((field, value) in fields(model)) {{
            val inner = if (field in 1..3) fields(value as ByteArray).toMap() else emptyMap()
            if (field == 2) fallback = inner[35] == 1L
            if (field == 3) settings = inner
            if (field != 1) continue
            val text = String(inner[1] as ByteArray? ?: ByteArray(0), Charsets.UTF_8)
            var score = (inner[2] as ByteArray?)?.let {{ little(it).float }} ?: 0f
            if (NUMBERS_APART && Regex("(?s).*\\\\p{{Nd}},").matches(text)) score -= 100f
            val kind = inner[3] ?: 1L
            if (kind == 2L) unknown = number
            if (kind == 4L) symbols.add(text)
            if (kind == 6L) bytes[text] = number
            if (kind == 1L) {{
                least = minOf(least, score)
                greatest = maxOf(greatest, score)
            }}
            if ((kind == 1L || kind == 4L) && text.isNotEmpty()) {{
                pieces[text] = number to score
                longest = maxOf(longest, text.codePointCount(0, text.length))
            }}
            number++
        }}
        if (!fallback) bytes.clear()
        val table = settings[2] as ByteArray? ?: ByteArray(0)
        if (table.isNotEmpty()) {{
            val size = little(table).int
            trie = IntArray(size / 4) {{ little(table).getInt(4 + 4 * it) }}
            written = table.copyOfRange(4 + size, table.size)
        }}
    }}

    fun encode(text: String, length: Int = {length}): IntArray =
        filled(listOf(START) + pieces(text).take(length - 2) + END, length)

    // of two texts; of what does not fit the longer one loses its end
    fun encode(first: String, second: String, length: Int = {length}): IntArray {{
        val (a, b) = pieces(first) to pieces(second)
        val room = length - 2 - BETWEEN
        val less = minOf(a.size, b.size, room / 2)
        val (kept, others) = if (a.size <= b.size) less to room - less else room - less to less
        val between = List(BETWEEN) {{ END }}
        return filled(listOf(START) + a.take(kept) + between + b.take(others) + END, length)
    }}

    private fun filled(ids: List<Int>, length: Int) = IntArray(length) {{ ids.getOrElse(it) {{ PAD }} }}

    fun pieces(text: String): List<Int> {{
        val found = mutableListOf<Int>()
        var wasUnknown = false
        for ((piece, number) in division(normalized(prepared(text)))) {{
            val isUnknown = number == unknown
            if (isUnknown && bytes.isNotEmpty()) {{
                piece.toByteArray().forEach {{ found += bytes.getValue("<0x%02X>".format(it)) + OFFSET }}
            }} else if (!(isUnknown && wasUnknown)) {{
                found += if (isUnknown) UNKNOWN else number + OFFSET
            }}
            wasUnknown = isUnknown
        }}
        return found
    }}

    // the most probable division into pieces (Viterbi)
    private fun division(text: String): List<Pair<String, Int>> {{
        val codes = text.codePoints().toArray()
        val score = FloatArray(codes.size + 1)
        val start = IntArray(codes.size + 1) {{ -1 }}
        val number = IntArray(codes.size + 1)
        fun offer(end: Int, from: Int, id: Int, value: Float) {{
            if (start[end] != -1 && value <= score[end]) return
            score[end] = value
            start[end] = from
            number[end] = id
        }}
        for (place in codes.indices) {{
            val piece = StringBuilder()
            var alone = false
            for (end in place + 1..minOf(place + longest, codes.size)) {{
                val text = piece.appendCodePoint(codes[end - 1]).toString()
                val (id, own) = pieces[text] ?: continue
                if (text in symbols) {{
                    val sum = text.toByteArray().size * greatest.toDouble() - 0.1 + score[place]
                    offer(end, place, id, sum.toFloat())
                }} else {{
                    offer(end, place, id, own + score[place])
                }}
                alone = alone || end == place + 1
            }}
            if (!alone) offer(place + 1, place, unknown, least - 10f + score[place])
        }}
        val found = mutableListOf<Pair<String, Int>>()
        var end = codes.size
        while (end > 0) {{
            found += String(codes, start[end], end - start[end]) to number[end]
            end = start[end]
        }}
        return found.asReversed()
    }}

    private fun normalized(text: String): String {{
        val (dummy, remove, escape) = listOf(3, 4, 5).map {{ settings[it] != 0L }}
        val codes = text.codePoints().toArray()
        val whole = StringBuilder()
        var afterSpace = remove
        var place = 0
        while (place < codes.size) {{
            var (end, part) = replacement(codes, place)
            place = end
            if (afterSpace) part = part.trimStart(' ')
            whole.append(part)
            if (part.isNotEmpty() || !remove) afterSpace = part.endsWith(' ') && remove
        }}
        if (remove && whole.isEmpty()) return ""
        val found = (if (dummy) " " else "") + whole
        val space = if (escape) '\\u2581' else ' '
        val escaped = found.replace(' ', space)
        return if (remove) escaped.trimEnd(space) else escaped
    }}

    // where the longest row of the table ends that begins at a place, and what stands for it
    private fun replacement(codes: IntArray, place: Int): Pair<Int, String> {{
        val text = String(codes, place, minOf(codes.size - place, 32))
        val symbol = symbols.filter {{ text.startsWith(it) }}.maxByOrNull {{ it.length }}
        if (symbol != null) return place + symbol.codePointCount(0, symbol.length) to symbol
        if (codes[place] in 0xD800..0xDFFF) return place + 1 to "\\uFFFD"
        var end = 0
        var value = 0
        var node = if (trie.isEmpty()) -1 else offset(trie[0])
        var at = place
        while (at < codes.size && node >= 0 && codes[at] !in 0xD800..0xDFFF) {{
            var leaf = false
            for (byte in String(codes, at, 1).toByteArray()) {{
                node = node xor (byte.toInt() and 255)
                val unit = trie.getOrElse(node) {{ 0 }}
                if (unit and 0x800000FF.toInt() != byte.toInt() and 255) {{
                    node = -1
                    break
                }}
                node = node xor offset(unit)
                leaf = unit ushr 8 and 1 == 1
            }}
            at++
            if (node >= 0 && leaf) {{
                end = at
                value = trie[node] and 0x7FFFFFFF
            }}
        }}
        if (end == 0) return place + 1 to String(codes, place, 1)
        val length = written.drop(value).indexOf(0)
        return end to String(written, value, length, Charsets.UTF_8)
    }}

    private fun offset(unit: Int) = unit ushr 10 shl (unit and 0x200 ushr 6)

    // what comes before the table: letters taken apart where characters.txt says so
    private fun prepared(text: String): String {{
        if (rows.isEmpty()) return text
        val made = StringBuilder()
        for (code in text.replace("``", "\\"").replace("''", "\\"").codePoints().toArray()) {{
            val place = first.binarySearch(code)
            val row = rows.getOrNull(if (place < 0) -place - 2 else place)
            if (row == null || code > row[1].toInt(16)) {{
                made.appendCodePoint(code)
                continue
            }}
            for (part in row.drop(2)) {{
                val more = if (part[0] == '+') code - row[0].toInt(16) else 0
                made.appendCodePoint(part.removePrefix("+").toInt(16) + more)
            }}
        }}
        return made.toString()
    }}

    private fun little(bytes: ByteArray) = java.nio.ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN)

    // number and value of each field of a protobuf message
    private fun fields(message: ByteArray): List<Pair<Int, Any>> {{
        val found = mutableListOf<Pair<Int, Any>>()
        var place = 0
        fun varint(): Long {{
            var number = 0L
            var shift = 0
            while (true) {{
                val byte = message[place++].toLong()
                number = number or (byte and 127 shl shift)
                if (byte >= 0) return number
                shift += 7
            }}
        }}
        while (place < message.size) {{
            val tag = varint().toInt()
            if (tag and 7 == 0) {{
                found += tag ushr 3 to varint()
                continue
            }}
            val length = if (tag and 7 == 2) varint().toInt() else if (tag and 7 == 1) 8 else 4
            found += tag ushr 3 to message.copyOfRange(place, place + length)
            place += length
        }}
        return found
    }}

    companion object {{
        CONSTANTS
    }}
}}
"""
_SWIFT = """struct Tokenizer {{
    CONSTANTS
    // by code points: of two strings that look the same Swift says that they are equal, and ids tell them apart
    private var pieces: [[UInt32]: (number: Int32, score: Float)] = [:]
    private var symbols: [[UInt32]] = []  // are taken as they are, the longest first
    private var bytes: [[UInt32]: Int32] = [:]
    private var unknown: Int32 = 0
    private var longest = 1
    private var least = Float.infinity, greatest = -Float.infinity
    private var dummy = true, remove = true, escape = true
    private var trie: [UInt32] = [], written: [UInt8] = []
    private var rows: [(first: UInt32, last: UInt32, parts: [Substring])] = []

    init(model: [UInt8], characters: String = "") {{
        var number: Int32 = 0, fallback = false, table: [UInt8] = []
        for (field, value) in Tokenizer.fields(model) {{
            guard (1...3).contains(field) else {{ continue }}
            var inner: [Int: (varint: UInt64, bytes: [UInt8])] = [:]
            for (field, value) in Tokenizer.fields(value.bytes) {{ inner[field] = value }}
            if field == 2 {{ fallback = inner[35]?.varint == 1 }}
            if field == 3 {{
                (dummy, remove, escape) = (inner[3]?.varint != 0, inner[4]?.varint != 0, inner[5]?.varint != 0)
                table = inner[2]?.bytes ?? []
            }}
            guard field == 1 else {{ continue }}
            let text = String(decoding: inner[1]?.bytes ?? [], as: UTF8.self).unicodeScalars.map(\\.value)
            var score = Float(bitPattern: Tokenizer.little(inner[2]?.bytes ?? [0, 0, 0, 0], 0))
            if Tokenizer.numbersApart && text.count > 1 && text.last == 44,
                Unicode.Scalar(text[text.count - 2])?.properties.generalCategory == .decimalNumber {{ score -= 100 }}
            let kind = inner[3]?.varint ?? 1
            if kind == 2 {{ unknown = number }}
            if kind == 4 {{ symbols.append(text) }}
            if kind == 6 {{ bytes[text] = number }}
            if kind == 1 {{ (least, greatest) = (min(least, score), max(greatest, score)) }}
            if (kind == 1 || kind == 4) && !text.isEmpty {{
                pieces[text] = (number, score)
                longest = max(longest, text.count)
            }}
            number += 1
        }}
        symbols.sort {{ $0.count > $1.count }}
        if !fallback {{ bytes = [:] }}
        if !table.isEmpty {{
            let size = Int(Tokenizer.little(table, 0))
            trie = (0..<size / 4).map {{ Tokenizer.little(table, 4 + 4 * $0) }}
            written = Array(table[(4 + size)...])
        }}
        rows = characters.split(separator: "\\n").map {{
            let fields = $0.split(separator: " ")
            return (UInt32(fields[0], radix: 16)!, UInt32(fields[1], radix: 16)!, Array(fields.dropFirst(2)))
        }}
    }}

    func encode(_ text: String, length: Int = {length}) -> [Int32] {{
        filled([Tokenizer.start] + pieces(text).prefix(length - 2) + [Tokenizer.end], length)
    }}

    // of two texts; of what does not fit the longer one loses its end
    func encode(_ first: String, _ second: String, length: Int = {length}) -> [Int32] {{
        let a = pieces(first), b = pieces(second), room = length - 2 - Tokenizer.between
        let less = min(a.count, b.count, room / 2)
        let (kept, others) = a.count <= b.count ? (less, room - less) : (room - less, less)
        let between = Array(repeating: Tokenizer.end, count: Tokenizer.between)
        return filled([Tokenizer.start] + a.prefix(kept) + between + b.prefix(others) + [Tokenizer.end], length)
    }}

    private func filled(_ ids: [Int32], _ length: Int) -> [Int32] {{
        ids + Array(repeating: Tokenizer.pad, count: length - ids.count)
    }}

    func pieces(_ text: String) -> [Int32] {{
        var found: [Int32] = [], wasUnknown = false
        for (piece, number) in division(normalized(prepared(text.unicodeScalars.map(\\.value)))) {{
            let isUnknown = number == unknown
            if isUnknown && !bytes.isEmpty {{
                for byte in piece.flatMap(Tokenizer.utf8) {{
                    let name = "<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">"
                    found.append(bytes[name.unicodeScalars.map(\\.value)]! + Tokenizer.offset)
                }}
            }} else if !(isUnknown && wasUnknown) {{
                found.append(isUnknown ? Tokenizer.unknown : number + Tokenizer.offset)
            }}
            wasUnknown = isUnknown
        }}
        return found
    }}

    // the most probable division into pieces (Viterbi)
    private func division(_ codes: [UInt32]) -> [([UInt32], Int32)] {{
        var score = [Float](repeating: 0, count: codes.count + 1)
        var start = [Int](repeating: -1, count: codes.count + 1)
        var number = [Int32](repeating: 0, count: codes.count + 1)
        func offer(_ end: Int, _ from: Int, _ id: Int32, _ value: Float) {{
            if start[end] != -1 && value <= score[end] {{ return }}
            (score[end], start[end], number[end]) = (value, from, id)
        }}
        for place in codes.indices {{
            var alone = false
            for end in place + 1...min(place + longest, codes.count) {{
                let piece = Array(codes[place..<end])
                guard let (id, own) = pieces[piece] else {{ continue }}
                if symbols.contains(piece) {{
                    let length = Double(piece.flatMap(Tokenizer.utf8).count)
                    offer(end, place, id, Float(length * Double(greatest) - 0.1 + Double(score[place])))
                }} else {{
                    offer(end, place, id, own + score[place])
                }}
                alone = alone || end == place + 1
            }}
            if !alone {{ offer(place + 1, place, unknown, least - 10 + score[place]) }}
        }}
        var found: [([UInt32], Int32)] = [], end = codes.count
        while end > 0 {{
            found.append((Array(codes[start[end]..<end]), number[end]))
            end = start[end]
        }}
        return found.reversed()
    }}

    private func normalized(_ codes: [UInt32]) -> [UInt32] {{
        var whole: [UInt32] = [], afterSpace = remove, place = 0
        while place < codes.count {{
            var (end, part) = replacement(codes, place)
            place = end
            if afterSpace {{ part = Array(part.drop {{ $0 == 32 }}) }}
            whole += part
            if !part.isEmpty || !remove {{ afterSpace = part.last == 32 && remove }}
        }}
        if remove && whole.isEmpty {{ return [] }}
        let space: UInt32 = escape ? 0x2581 : 32
        whole = ((dummy ? [32] : []) + whole).map {{ $0 == 32 ? space : $0 }}
        while remove && whole.last == space {{ whole.removeLast() }}
        return whole
    }}

    // where the longest row of the table ends that begins at a place, and what stands for it
    private func replacement(_ codes: [UInt32], _ place: Int) -> (Int, [UInt32]) {{
        if let symbol = symbols.first(where: {{ codes[place...].starts(with: $0) }}) {{
            return (place + symbol.count, symbol)
        }}
        func jump(_ unit: UInt32) -> Int {{ Int((unit >> 10) << ((unit & 0x200) >> 6)) }}
        var end = 0, value = 0, node = trie.isEmpty ? -1 : jump(trie[0]), at = place
        walk: while at < codes.count && node >= 0 {{
            var leaf = false
            for byte in Tokenizer.utf8(codes[at]) {{
                node ^= Int(byte)
                let unit = node < trie.count ? trie[node] : 0
                if unit & 0x800000FF != UInt32(byte) {{ break walk }}
                node ^= jump(unit)
                leaf = unit >> 8 & 1 == 1
            }}
            at += 1
            if leaf {{ (end, value) = (at, Int(trie[node] & 0x7FFFFFFF)) }}
        }}
        if end == 0 {{ return (place + 1, [codes[place]]) }}
        let row = written[value...].prefix {{ $0 != 0 }}
        return (end, String(decoding: row, as: UTF8.self).unicodeScalars.map(\\.value))
    }}

    // what comes before the table: letters taken apart where characters.txt says so
    private func prepared(_ text: [UInt32]) -> [UInt32] {{
        if rows.isEmpty {{ return text }}
        var codes: [UInt32] = [], place = 0
        while place < text.count {{  // two quotes are one
            let pair = place + 1 < text.count && text[place] == text[place + 1] && [39, 96].contains(text[place])
            codes.append(pair ? 34 : text[place])
            place += pair ? 2 : 1
        }}
        return codes.flatMap {{ code -> [UInt32] in
            var low = 0, high = rows.count
            while low < high {{
                let middle = (low + high) / 2
                if rows[middle].last < code {{ low = middle + 1 }} else {{ high = middle }}
            }}
            guard low < rows.count && rows[low].first <= code else {{ return [code] }}
            return rows[low].parts.map {{ part in
                UInt32(part.drop {{ $0 == "+" }}, radix: 16)! + (part.hasPrefix("+") ? code - rows[low].first : 0)
            }}
        }}
    }}

    private static func utf8(_ code: UInt32) -> [UInt8] {{ Array(String(Unicode.Scalar(code)!).utf8) }}

    private static func little(_ bytes: [UInt8], _ place: Int) -> UInt32 {{
        (0..<4).reduce(0) {{ $0 | UInt32(bytes[place + $1]) << (8 * UInt32($1)) }}
    }}

    // number and value of each field of a protobuf message
    private static func fields(_ message: [UInt8]) -> [(Int, (varint: UInt64, bytes: [UInt8]))] {{
        var found: [(Int, (varint: UInt64, bytes: [UInt8]))] = [], place = 0
        func varint() -> UInt64 {{
            var number: UInt64 = 0, shift: UInt64 = 0
            while true {{
                let byte = UInt64(message[place])
                place += 1
                number |= (byte & 127) << shift
                if byte < 128 {{ return number }}
                shift += 7
            }}
        }}
        while place < message.count {{
            let tag = varint(), kind = tag & 7
            if kind == 0 {{
                found.append((Int(tag >> 3), (varint(), [])))
                continue
            }}
            let length = kind == 2 ? Int(varint()) : kind == 1 ? 8 : 4
            found.append((Int(tag >> 3), (0, Array(message[place..<place + length]))))
            place += length
        }}
        return found
    }}
}}
"""
_JAVASCRIPT = """class Tokenizer {{
  CONSTANTS

  constructor(model, characters = "") {{  // bytes of sentencepiece.model; text of characters.txt where there is one
    const text = (bytes) => new TextDecoder("utf-8", {{ ignoreBOM: true }}).decode(bytes);
    const little = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    [this.pieces, this.bytes, this.symbols] = [new Map(), new Map(), []];
    [this.least, this.greatest, this.longest] = [Infinity, -Infinity, 1];
    let number = 0, fallback = false, settings = new Map();
    for (const [field, value] of Tokenizer.fields(model)) {{
      const inner = field <= 3 ? new Map(Tokenizer.fields(value)) : new Map();
      if (field === 2) fallback = inner.get(35) === 1;
      if (field === 3) settings = inner;
      if (field !== 1) continue;
      const piece = text(inner.get(1) ?? new Uint8Array()), kind = inner.get(3) ?? 1;
      let score = inner.has(2) ? little(inner.get(2)).getFloat32(0, true) : 0;
      if (Tokenizer.NUMBERS_APART && /^.*\\p{{Nd}},$/su.test(piece)) score = Math.fround(score - 100);
      if (kind === 2) this.unknown = number;
      if (kind === 4) this.symbols.push(piece);  // are taken as they are
      if (kind === 6) this.bytes.set(piece, number);
      if (kind === 1) {{
        this.least = Math.min(this.least, score);
        this.greatest = Math.max(this.greatest, score);
      }}
      if ((kind === 1 || kind === 4) && piece !== "") {{
        this.pieces.set(piece, [number, score]);
        this.longest = Math.max(this.longest, Array.from(piece).length);
      }}
      number++;
    }}
    this.symbols.sort((one, other) => other.length - one.length);
    if (!fallback) this.bytes.clear();
    [this.dummy, this.remove, this.escape] = [3, 4, 5].map((field) => settings.get(field) !== 0);
    const table = settings.get(2) ?? new Uint8Array(), size = table.length ? little(table).getUint32(0, true) : 0;
    this.trie = Array.from({{ length: size / 4 }}, (_, place) => little(table).getUint32(4 + 4 * place, true));
    this.written = (value) => {{
      const start = 4 + size + value;
      return text(table.subarray(start, table.indexOf(0, start)));
    }};
    this.rows = characters.split("\\n").filter((line) => line !== "").map((line) => line.split(" "));
    this.first = this.rows.map((row) => parseInt(row[0], 16));
    this.last = this.rows.map((row) => parseInt(row[1], 16));
  }}

  encode(text, length = {length}) {{
    return this.filled([Tokenizer.START, ...this.ids(text).slice(0, length - 2), Tokenizer.END], length);
  }}

  encodePair(first, second, length = {length}) {{  // of what does not fit the longer text loses its end
    const [a, b] = [this.ids(first), this.ids(second)], room = length - 2 - Tokenizer.BETWEEN;
    const less = Math.min(a.length, b.length, room >> 1);
    const [kept, others] = a.length <= b.length ? [less, room - less] : [room - less, less];
    const between = Array(Tokenizer.BETWEEN).fill(Tokenizer.END);
    const both = [...a.slice(0, kept), ...between, ...b.slice(0, others)];
    return this.filled([Tokenizer.START, ...both, Tokenizer.END], length);
  }}

  filled(ids, length) {{
    return Int32Array.from({{ length }}, (_, place) => ids[place] ?? Tokenizer.PAD);
  }}

  ids(text) {{
    const found = [];
    let wasUnknown = false;
    for (const [piece, number] of this.division(this.normalized(this.prepared(text)))) {{
      const isUnknown = number === this.unknown;
      if (isUnknown && this.bytes.size) {{
        for (const byte of new TextEncoder().encode(piece)) {{
          const name = `<0x${{byte.toString(16).toUpperCase().padStart(2, "0")}}>`;
          found.push(this.bytes.get(name) + Tokenizer.OFFSET);
        }}
      }} else if (!(isUnknown && wasUnknown)) {{
        found.push(isUnknown ? Tokenizer.UNKNOWN : number + Tokenizer.OFFSET);
      }}
      wasUnknown = isUnknown;
    }}
    return found;
  }}

  division(text) {{  // the most probable one into pieces (Viterbi), in float32
    const letters = Array.from(text), best = [[0, 0, 0], ...letters.map(() => undefined)];
    const offer = (end, start, number, score) => {{
      if (!best[end] || Math.fround(score) > best[end][0]) best[end] = [Math.fround(score), start, number];
    }};
    for (let start = 0; start < letters.length; start++) {{
      let piece = "", alone = false;
      for (let end = start + 1; end <= Math.min(start + this.longest, letters.length); end++) {{
        piece += letters[end - 1];
        if (!this.pieces.has(piece)) continue;
        let [number, score] = this.pieces.get(piece);
        if (this.symbols.includes(piece)) score = new TextEncoder().encode(piece).length * this.greatest - 0.1;
        offer(end, start, number, score + best[start][0]);
        alone ||= end === start + 1;
      }}
      if (!alone) offer(start + 1, start, this.unknown, Math.fround(this.least - 10) + best[start][0]);
    }}
    const found = [];
    for (let end = letters.length; end > 0; end = best[end][1]) {{
      found.push([letters.slice(best[end][1], end).join(""), best[end][2]]);
    }}
    return found.reverse();
  }}

  normalized(text) {{
    const letters = Array.from(text);
    let whole = "", afterSpace = this.remove, place = 0;
    while (place < letters.length) {{
      let [end, part] = this.replacement(letters, place);
      place = end;
      if (afterSpace) part = part.replace(/^ +/, "");
      whole += part;
      if (part !== "" || !this.remove) afterSpace = part.endsWith(" ") && this.remove;
    }}
    if (this.remove && whole === "") return "";
    const space = this.escape ? "\\u2581" : " ";
    whole = ((this.dummy ? " " : "") + whole).replaceAll(" ", space);
    let end = whole.length;
    while (this.remove && end > 0 && whole[end - 1] === space) end--;
    return whole.slice(0, end);
  }}

  replacement(letters, place) {{  // where the longest row of the table ends that begins here, and what stands for it
    const text = letters.slice(place, place + 32).join("");
    const symbol = this.symbols.find((one) => text.startsWith(one));
    if (symbol !== undefined) return [place + Array.from(symbol).length, symbol];
    const isHalf = (letter) => /^[\\ud800-\\udfff]$/.test(letter);
    if (isHalf(letters[place])) return [place + 1, "\\ufffd"];
    const jump = (unit) => ((unit >>> 10) << ((unit & 0x200) >>> 6));
    let end = 0, value = 0, node = this.trie.length ? jump(this.trie[0]) : -1;
    for (let at = place; at < letters.length && node >= 0 && !isHalf(letters[at]); at++) {{
      let leaf = false;
      for (const byte of new TextEncoder().encode(letters[at])) {{
        node ^= byte;
        const unit = this.trie[node] ?? 0;
        if (((unit & 0x800000ff) >>> 0) !== byte) {{
          node = -1;
          break;
        }}
        node ^= jump(unit);
        leaf = (unit >>> 8 & 1) === 1;
      }}
      if (node >= 0 && leaf) [end, value] = [at + 1, this.trie[node] & 0x7fffffff];
    }}
    return end ? [end, this.written(value)] : [place + 1, letters[place]];
  }}

  prepared(text) {{  // what comes before the table: letters taken apart where characters.txt says so
    if (!this.rows.length) return text;
    return Array.from(text.replace(/``|''/g, '"'), (letter) => {{
      const code = letter.codePointAt(0);
      let low = 0, high = this.rows.length;
      while (low < high) {{
        const middle = (low + high) >> 1;
        if (this.last[middle] < code) low = middle + 1; else high = middle;
      }}
      if (!(this.first[low] <= code)) return letter;
      return this.rows[low].slice(2).map((part) =>
        String.fromCodePoint(parseInt(part.replace("+", ""), 16) + (part[0] === "+" ? code - this.first[low] : 0)),
      ).join("");
    }}).join("");
  }}

  static *fields(message) {{  // number and value of each field of a protobuf message
    let place = 0;
    const varint = () => {{
      for (let number = 0, factor = 1; ; factor *= 128) {{
        const byte = message[place++];
        number += (byte & 127) * factor;
        if (byte < 128) return number;
      }}
    }};
    while (place < message.length) {{
      const tag = varint(), kind = tag & 7;
      if (kind === 0) {{
        yield [tag >> 3, varint()];
        continue;
      }}
      const length = kind === 2 ? varint() : kind === 1 ? 8 : 4;
      yield [tag >> 3, message.subarray(place, place += length)];
    }}
  }}
}}
"""


def page(settings: sentencepiece.Settings, *, pair: bool) -> str:
    """A template for ``str.format`` with the fields of `phone_text.PAGE`.

    Args:
        settings: the model, and what comes around its pieces.
        pair: whether an example is two texts.
    """
    made = phone_text.PAGE
    for language in ("kotlin", "swift", "javascript"):
        start = made.index(f"```{language}\n") + len(f"```{language}\n")
        end = made.index("\n}}\n", start) + len("\n}}\n")
        made = made[:start] + code(settings, language) + made[end:]
    tokenizer = text.tokenizer_of((), settings)
    around = [tokenizer.vocabulary[number] for number in (tokenizer.start, tokenizer.end, tokenizer.padding)]
    for old, new in _words(around, pair=pair, characters=bool(settings.lowercase or settings.strip_accents)):
        if old not in made:
            raise ValueError(f"The page of a text has changed: {old!r} does not stand in it.")
        made = made.replace(old, new)
    return made


def files(settings: sentencepiece.Settings) -> dict[str, bytes]:
    """What a tokenizer of a phone reads, by file name."""
    made = {NAME: settings.model}
    if settings.lowercase or settings.strip_accents:
        lines = character_table.lines(settings)
        made |= {character_table.NAME: "".join(f"{line}\n" for line in lines).encode()}
    return made


def code(settings: sentencepiece.Settings, language: str) -> str:
    """The class ``Tokenizer`` in Kotlin, Swift or JavaScript, a template for ``str.format`` with the field ``length``.

    Args:
        settings: the model, and what comes around its pieces.
        language: ``"kotlin"``, ``"swift"`` or ``"javascript"``.
    """
    tokenizer = text.tokenizer_of((), settings)
    is_albert = settings.convention == sentencepiece.ALBERT
    numbers = {"START": tokenizer.start, "PAD": tokenizer.padding, "END": tokenizer.end, "UNKNOWN": tokenizer.unknown}
    numbers |= {"OFFSET": 0 if is_albert else 1, "BETWEEN": 1 if is_albert else 2}
    apart, why = str(is_albert).lower(), '// "9," is no piece'
    if language == "kotlin":
        lines = [f"const val {name} = {number}" for name, number in numbers.items()]
        made, last, indent = _KOTLIN, f"const val NUMBERS_APART = {apart}", 8
    elif language == "swift":
        typed = {name: "" if name == "BETWEEN" else ": Int32" for name in numbers}
        lines = [f"static let {name.lower()}{typed[name]} = {number}" for name, number in numbers.items()]
        made, last, indent = _SWIFT, f"static let numbersApart = {apart}", 4
    else:
        lines = [f"static {name} = {number};" for name, number in numbers.items()]
        made, last, indent = _JAVASCRIPT, f"static NUMBERS_APART = {apart};", 2
    return made.replace("CONSTANTS", ("\n" + " " * indent).join([*lines, f"{last}  {why}"]))


def _words(around: list[str], *, pair: bool, characters: bool) -> list[tuple[str, str]]:
    """What else the page of a text says otherwise: old and new."""
    start, end, pad = around
    files = f"`{NAME}`" + (" and `characters.txt`" if characters else "")
    asked = '("a sentence", "another")' if pair else '("a sentence of yours")'
    return [
        (
            _between("A sentence goes in", "read by nothing."),
            f"""{"Two texts go" if pair else "A sentence goes"} in as {{length}} token ids, which `{NAME}` makes of
{"them" if pair else "it"}: {start}, the pieces, {end}, then {pad}; what does not fit is cut off. `mask` is 0 for {pad}
and 1 for all others, `segment_ids` are read by nothing.""",
        ),
        (
            _between("`tokenizer.py` needs Python", "read the same two files."),
            f"""`tokenizer.py` needs Python and nothing else. It reads `{NAME}`, which the library `sentencepiece`
reads too, and in `tokenizer_config.json` what comes around the pieces.""",
        ),
        ("from tokenizer import Tokenizer\n", "from tokenizer import TextTokenizer\n"),
        ('Tokenizer.from_file("vocab.txt")', f'TextTokenizer.from_file("{NAME}")'),
        (
            'tokenizer.encode("a sentence of yours", {length})',
            'tokenizer.encode_pair("a sentence", "another", {length})'
            if pair
            else 'tokenizer.encode("a sentence of yours", {length})',
        ),
        ("(ids != 0)", "(ids != tokenizer.padding)"),
        ("`model.tflite`, `vocab.txt` and `characters.txt` into", f"`model.tflite` and {files} into"),
        (
            """fun lines(name: String) = context.assets.open(name).bufferedReader().readLines()
val tokenizer = Tokenizer(lines("vocab.txt"), lines("characters.txt"))""",
            f'val tokenizer = Tokenizer(context.assets.open("{NAME}").readBytes()'
            + (', context.assets.open("characters.txt").bufferedReader().readLines())' if characters else ")"),
        ),
        ("if (ids[it] != 0) 1 else 0", "if (ids[it] != Tokenizer.PAD) 1 else 0"),
        (
            """func text(_ name: String) throws -> String {{
    try String(contentsOfFile: Bundle.main.path(forResource: name, ofType: "txt")!, encoding: .utf8)
}}
let tokenizer = try Tokenizer(vocabulary: text("vocab"), characters: text("characters"))""",
            """let model = Bundle.main.url(forResource: "sentencepiece", withExtension: "model")!
"""
            + (
                """let characters = Bundle.main.url(forResource: "characters", withExtension: "txt")!
let tokenizer = try Tokenizer(model: [UInt8](Data(contentsOf: model)), characters: String(contentsOf: characters))"""
                if characters
                else "let tokenizer = try Tokenizer(model: [UInt8](Data(contentsOf: model)))"
            ),
        ),
        ("ids.map {{ $0 != 0 ? Int32(1) : 0 }}", "ids.map {{ $0 != Tokenizer.pad ? Int32(1) : 0 }}"),
        (
            """// const text = async (name) => (await fetch(name)).text();
// const tokenizer = new Tokenizer(await text("vocab.txt"), await text("characters.txt"));
""",
            f'// const model = new Uint8Array(await (await fetch("{NAME}")).arrayBuffer());\n// const tokenizer = '
            + (
                'new Tokenizer(model, await (await fetch("characters.txt")).text());\n'
                if characters
                else "new Tokenizer(model);\n"
            ),
        ),
        (
            '// const ids = tokenizer.encode("a sentence of yours")',
            f"// const ids = tokenizer.{'encodePair' if pair else 'encode'}{asked}",
        ),
        ('tokenizer.encode("a sentence of yours")\n', f"tokenizer.encode{asked}\n"),
        (
            """`python tokenizer.py vocab.txt {length} "a sentence"` prints the ids
to compare with. What becomes of each character stands in `characters.txt`, so that no phone has to know Unicode.""",
            f"""`python tokenizer.py {NAME} {{length}} "a sentence"` prints the
ids to compare with."""
            + (" Accents and capitals are taken off by `characters.txt`." if characters else ""),
        ),
    ]


def _between(first: str, last: str) -> str:
    """The words of `phone_text.PAGE` from these to those."""
    start = phone_text.PAGE.index(first)
    return phone_text.PAGE[start : phone_text.PAGE.index(last, start) + len(last)]
