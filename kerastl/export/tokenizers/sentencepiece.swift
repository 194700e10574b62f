struct Tokenizer {
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

    init(model: [UInt8], characters: String = "") {
        var number: Int32 = 0, fallback = false, table: [UInt8] = []
        for (field, value) in Tokenizer.fields(model) {
            guard (1...3).contains(field) else { continue }
            var inner: [Int: (varint: UInt64, bytes: [UInt8])] = [:]
            for (field, value) in Tokenizer.fields(value.bytes) { inner[field] = value }
            if field == 2 { fallback = inner[35]?.varint == 1 }
            if field == 3 {
                (dummy, remove, escape) = (inner[3]?.varint != 0, inner[4]?.varint != 0, inner[5]?.varint != 0)
                table = inner[2]?.bytes ?? []
            }
            guard field == 1 else { continue }
            let text = String(decoding: inner[1]?.bytes ?? [], as: UTF8.self).unicodeScalars.map(\.value)
            var score = Float(bitPattern: Tokenizer.little(inner[2]?.bytes ?? [0, 0, 0, 0], 0))
            if Tokenizer.numbersApart && text.count > 1 && text.last == 44,
                Unicode.Scalar(text[text.count - 2])?.properties.generalCategory == .decimalNumber { score -= 100 }
            let kind = inner[3]?.varint ?? 1
            if kind == 2 { unknown = number }
            if kind == 4 { symbols.append(text) }
            if kind == 6 { bytes[text] = number }
            if kind == 1 { (least, greatest) = (min(least, score), max(greatest, score)) }
            if (kind == 1 || kind == 4) && !text.isEmpty {
                pieces[text] = (number, score)
                longest = max(longest, text.count)
            }
            number += 1
        }
        symbols.sort { $0.count > $1.count }
        if !fallback { bytes = [:] }
        if !table.isEmpty {
            let size = Int(Tokenizer.little(table, 0))
            trie = (0..<size / 4).map { Tokenizer.little(table, 4 + 4 * $0) }
            written = Array(table[(4 + size)...])
        }
        rows = characters.split(separator: "\n").map {
            let fields = $0.split(separator: " ")
            return (UInt32(fields[0], radix: 16)!, UInt32(fields[1], radix: 16)!, Array(fields.dropFirst(2)))
        }
    }

    func encode(_ text: String, length: Int = LENGTH) -> [Int32] {
        filled([Tokenizer.start] + pieces(text).prefix(length - 2) + [Tokenizer.end], length)
    }

    // of two texts; of what does not fit the longer one loses its end
    func encode(_ first: String, _ second: String, length: Int = LENGTH) -> [Int32] {
        let a = pieces(first), b = pieces(second), room = length - 2 - Tokenizer.between
        let less = min(a.count, b.count, room / 2)
        let (kept, others) = a.count <= b.count ? (less, room - less) : (room - less, less)
        let between = Array(repeating: Tokenizer.end, count: Tokenizer.between)
        return filled([Tokenizer.start] + a.prefix(kept) + between + b.prefix(others) + [Tokenizer.end], length)
    }

    private func filled(_ ids: [Int32], _ length: Int) -> [Int32] {
        ids + Array(repeating: Tokenizer.pad, count: length - ids.count)
    }

    func pieces(_ text: String) -> [Int32] {
        var found: [Int32] = [], wasUnknown = false
        for (piece, number) in division(normalized(prepared(text.unicodeScalars.map(\.value)))) {
            let isUnknown = number == unknown
            if isUnknown && !bytes.isEmpty {
                for byte in piece.flatMap(Tokenizer.utf8) {
                    let name = "<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">"
                    found.append(bytes[name.unicodeScalars.map(\.value)]! + Tokenizer.offset)
                }
            } else if !(isUnknown && wasUnknown) {
                found.append(isUnknown ? Tokenizer.unknown : number + Tokenizer.offset)
            }
            wasUnknown = isUnknown
        }
        return found
    }

    // the most probable division into pieces (Viterbi)
    private func division(_ codes: [UInt32]) -> [([UInt32], Int32)] {
        var score = [Float](repeating: 0, count: codes.count + 1)
        var start = [Int](repeating: -1, count: codes.count + 1)
        var number = [Int32](repeating: 0, count: codes.count + 1)
        func offer(_ end: Int, _ from: Int, _ id: Int32, _ value: Float) {
            if start[end] != -1 && value <= score[end] { return }
            (score[end], start[end], number[end]) = (value, from, id)
        }
        for place in codes.indices {
            var alone = false
            for end in place + 1...min(place + longest, codes.count) {
                let piece = Array(codes[place..<end])
                guard let (id, own) = pieces[piece] else { continue }
                if symbols.contains(piece) {
                    let length = Double(piece.flatMap(Tokenizer.utf8).count)
                    offer(end, place, id, Float(length * Double(greatest) - 0.1 + Double(score[place])))
                } else {
                    offer(end, place, id, own + score[place])
                }
                alone = alone || end == place + 1
            }
            if !alone { offer(place + 1, place, unknown, least - 10 + score[place]) }
        }
        var found: [([UInt32], Int32)] = [], end = codes.count
        while end > 0 {
            found.append((Array(codes[start[end]..<end]), number[end]))
            end = start[end]
        }
        return found.reversed()
    }

    private func normalized(_ codes: [UInt32]) -> [UInt32] {
        var whole: [UInt32] = [], afterSpace = remove, place = 0
        while place < codes.count {
            var (end, part) = replacement(codes, place)
            place = end
            if afterSpace { part = Array(part.drop { $0 == 32 }) }
            whole += part
            if !part.isEmpty || !remove { afterSpace = part.last == 32 && remove }
        }
        if remove && whole.isEmpty { return [] }
        let space: UInt32 = escape ? 0x2581 : 32
        whole = ((dummy ? [32] : []) + whole).map { $0 == 32 ? space : $0 }
        while remove && whole.last == space { whole.removeLast() }
        return whole
    }

    // where the longest row of the table ends that begins at a place, and what stands for it
    private func replacement(_ codes: [UInt32], _ place: Int) -> (Int, [UInt32]) {
        if let symbol = symbols.first(where: { codes[place...].starts(with: $0) }) {
            return (place + symbol.count, symbol)
        }
        func jump(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }
        var end = 0, value = 0, node = trie.isEmpty ? -1 : jump(trie[0]), at = place
        walk: while at < codes.count && node >= 0 {
            var leaf = false
            for byte in Tokenizer.utf8(codes[at]) {
                node ^= Int(byte)
                let unit = node < trie.count ? trie[node] : 0
                if unit & 0x800000FF != UInt32(byte) { break walk }
                node ^= jump(unit)
                leaf = unit >> 8 & 1 == 1
            }
            at += 1
            if leaf { (end, value) = (at, Int(trie[node] & 0x7FFFFFFF)) }
        }
        if end == 0 { return (place + 1, [codes[place]]) }
        let row = written[value...].prefix { $0 != 0 }
        return (end, String(decoding: row, as: UTF8.self).unicodeScalars.map(\.value))
    }

    // what comes before the table: letters taken apart where characters.txt says so
    private func prepared(_ text: [UInt32]) -> [UInt32] {
        if rows.isEmpty { return text }
        var codes: [UInt32] = [], place = 0
        while place < text.count {  // two quotes are one
            let pair = place + 1 < text.count && text[place] == text[place + 1] && [39, 96].contains(text[place])
            codes.append(pair ? 34 : text[place])
            place += pair ? 2 : 1
        }
        return codes.flatMap { code -> [UInt32] in
            var low = 0, high = rows.count
            while low < high {
                let middle = (low + high) / 2
                if rows[middle].last < code { low = middle + 1 } else { high = middle }
            }
            guard low < rows.count && rows[low].first <= code else { return [code] }
            return rows[low].parts.map { part in
                UInt32(part.drop { $0 == "+" }, radix: 16)! + (part.hasPrefix("+") ? code - rows[low].first : 0)
            }
        }
    }

    private static func utf8(_ code: UInt32) -> [UInt8] { Array(String(Unicode.Scalar(code)!).utf8) }

    private static func little(_ bytes: [UInt8], _ place: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << (8 * UInt32($1)) }
    }

    // number and value of each field of a protobuf message
    private static func fields(_ message: [UInt8]) -> [(Int, (varint: UInt64, bytes: [UInt8]))] {
        var found: [(Int, (varint: UInt64, bytes: [UInt8]))] = [], place = 0
        func varint() -> UInt64 {
            var number: UInt64 = 0, shift: UInt64 = 0
            while true {
                let byte = UInt64(message[place])
                place += 1
                number |= (byte & 127) << shift
                if byte < 128 { return number }
                shift += 7
            }
        }
        while place < message.count {
            let tag = varint(), kind = tag & 7
            if kind == 0 {
                found.append((Int(tag >> 3), (varint(), [])))
                continue
            }
            let length = kind == 2 ? Int(varint()) : kind == 1 ? 8 : 4
            found.append((Int(tag >> 3), (0, Array(message[place..<place + length]))))
            place += length
        }
        return found
    }
}
