class Tokenizer(model: ByteArray, characters: List<String> = emptyList()) {
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
    private val rows = characters.map { it.split(' ') }
    private val first = IntArray(rows.size) { rows[it][0].toInt(16) }

    init {
        var number = 0
        var fallback = false
        for ((field, value) in fields(model)) {
            val inner = if (field in 1..3) fields(value as ByteArray).toMap() else emptyMap()
            if (field == 2) fallback = inner[35] == 1L
            if (field == 3) settings = inner
            if (field != 1) continue
            val text = String(inner[1] as ByteArray? ?: ByteArray(0), Charsets.UTF_8)
            var score = (inner[2] as ByteArray?)?.let { little(it).float } ?: 0f
            if (NUMBERS_APART && Regex("(?s).*\\p{Nd},").matches(text)) score -= 100f
            val kind = inner[3] ?: 1L
            if (kind == 2L) unknown = number
            if (kind == 4L) symbols.add(text)
            if (kind == 6L) bytes[text] = number
            if (kind == 1L) {
                least = minOf(least, score)
                greatest = maxOf(greatest, score)
            }
            if ((kind == 1L || kind == 4L) && text.isNotEmpty()) {
                pieces[text] = number to score
                longest = maxOf(longest, text.codePointCount(0, text.length))
            }
            number++
        }
        if (!fallback) bytes.clear()
        val table = settings[2] as ByteArray? ?: ByteArray(0)
        if (table.isNotEmpty()) {
            val size = little(table).int
            trie = IntArray(size / 4) { little(table).getInt(4 + 4 * it) }
            written = table.copyOfRange(4 + size, table.size)
        }
    }

    fun encode(text: String, length: Int = LENGTH): IntArray =
        filled(listOf(START) + pieces(text).take(length - 2) + END, length)

    // of two texts; of what does not fit the longer one loses its end
    fun encode(first: String, second: String, length: Int = LENGTH): IntArray {
        val (a, b) = pieces(first) to pieces(second)
        val room = length - 2 - BETWEEN
        val less = minOf(a.size, b.size, room / 2)
        val (kept, others) = if (a.size <= b.size) less to room - less else room - less to less
        val between = List(BETWEEN) { END }
        return filled(listOf(START) + a.take(kept) + between + b.take(others) + END, length)
    }

    private fun filled(ids: List<Int>, length: Int) = IntArray(length) { ids.getOrElse(it) { PAD } }

    fun pieces(text: String): List<Int> {
        val found = mutableListOf<Int>()
        var wasUnknown = false
        for ((piece, number) in division(normalized(prepared(text)))) {
            val isUnknown = number == unknown
            if (isUnknown && bytes.isNotEmpty()) {
                piece.toByteArray().forEach { found += bytes.getValue("<0x%02X>".format(it)) + OFFSET }
            } else if (!(isUnknown && wasUnknown)) {
                found += if (isUnknown) UNKNOWN else number + OFFSET
            }
            wasUnknown = isUnknown
        }
        return found
    }

    // the most probable division into pieces (Viterbi)
    private fun division(text: String): List<Pair<String, Int>> {
        val codes = text.codePoints().toArray()
        val score = FloatArray(codes.size + 1)
        val start = IntArray(codes.size + 1) { -1 }
        val number = IntArray(codes.size + 1)
        fun offer(end: Int, from: Int, id: Int, value: Float) {
            if (start[end] != -1 && value <= score[end]) return
            score[end] = value
            start[end] = from
            number[end] = id
        }
        for (place in codes.indices) {
            val piece = StringBuilder()
            var alone = false
            for (end in place + 1..minOf(place + longest, codes.size)) {
                val text = piece.appendCodePoint(codes[end - 1]).toString()
                val (id, own) = pieces[text] ?: continue
                if (text in symbols) {
                    val sum = text.toByteArray().size * greatest.toDouble() - 0.1 + score[place]
                    offer(end, place, id, sum.toFloat())
                } else {
                    offer(end, place, id, own + score[place])
                }
                alone = alone || end == place + 1
            }
            if (!alone) offer(place + 1, place, unknown, least - 10f + score[place])
        }
        val found = mutableListOf<Pair<String, Int>>()
        var end = codes.size
        while (end > 0) {
            found += String(codes, start[end], end - start[end]) to number[end]
            end = start[end]
        }
        return found.asReversed()
    }

    private fun normalized(text: String): String {
        val (dummy, remove, escape) = listOf(3, 4, 5).map { settings[it] != 0L }
        val codes = text.codePoints().toArray()
        val whole = StringBuilder()
        var afterSpace = remove
        var place = 0
        while (place < codes.size) {
            var (end, part) = replacement(codes, place)
            place = end
            if (afterSpace) part = part.trimStart(' ')
            whole.append(part)
            if (part.isNotEmpty() || !remove) afterSpace = part.endsWith(' ') && remove
        }
        if (remove && whole.isEmpty()) return ""
        val found = (if (dummy) " " else "") + whole
        val space = if (escape) '\u2581' else ' '
        val escaped = found.replace(' ', space)
        return if (remove) escaped.trimEnd(space) else escaped
    }

    // where the longest row of the table ends that begins at a place, and what stands for it
    private fun replacement(codes: IntArray, place: Int): Pair<Int, String> {
        val text = String(codes, place, minOf(codes.size - place, 32))
        val symbol = symbols.filter { text.startsWith(it) }.maxByOrNull { it.length }
        if (symbol != null) return place + symbol.codePointCount(0, symbol.length) to symbol
        if (codes[place] in 0xD800..0xDFFF) return place + 1 to "\uFFFD"
        var end = 0
        var value = 0
        var node = if (trie.isEmpty()) -1 else offset(trie[0])
        var at = place
        while (at < codes.size && node >= 0 && codes[at] !in 0xD800..0xDFFF) {
            var leaf = false
            for (byte in String(codes, at, 1).toByteArray()) {
                node = node xor (byte.toInt() and 255)
                val unit = trie.getOrElse(node) { 0 }
                if (unit and 0x800000FF.toInt() != byte.toInt() and 255) {
                    node = -1
                    break
                }
                node = node xor offset(unit)
                leaf = unit ushr 8 and 1 == 1
            }
            at++
            if (node >= 0 && leaf) {
                end = at
                value = trie[node] and 0x7FFFFFFF
            }
        }
        if (end == 0) return place + 1 to String(codes, place, 1)
        val length = written.drop(value).indexOf(0)
        return end to String(written, value, length, Charsets.UTF_8)
    }

    private fun offset(unit: Int) = unit ushr 10 shl (unit and 0x200 ushr 6)

    // what comes before the table: letters taken apart where characters.txt says so
    private fun prepared(text: String): String {
        if (rows.isEmpty()) return text
        val made = StringBuilder()
        for (code in text.replace("``", "\"").replace("''", "\"").codePoints().toArray()) {
            val place = first.binarySearch(code)
            val row = rows.getOrNull(if (place < 0) -place - 2 else place)
            if (row == null || code > row[1].toInt(16)) {
                made.appendCodePoint(code)
                continue
            }
            for (part in row.drop(2)) {
                val more = if (part[0] == '+') code - row[0].toInt(16) else 0
                made.appendCodePoint(part.removePrefix("+").toInt(16) + more)
            }
        }
        return made.toString()
    }

    private fun little(bytes: ByteArray) = java.nio.ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN)

    // number and value of each field of a protobuf message
    private fun fields(message: ByteArray): List<Pair<Int, Any>> {
        val found = mutableListOf<Pair<Int, Any>>()
        var place = 0
        fun varint(): Long {
            var number = 0L
            var shift = 0
            while (true) {
                val byte = message[place++].toLong()
                number = number or (byte and 127 shl shift)
                if (byte >= 0) return number
                shift += 7
            }
        }
        while (place < message.size) {
            val tag = varint().toInt()
            if (tag and 7 == 0) {
                found += tag ushr 3 to varint()
                continue
            }
            val length = if (tag and 7 == 2) varint().toInt() else if (tag and 7 == 1) 8 else 4
            found += tag ushr 3 to message.copyOfRange(place, place + length)
            place += length
        }
        return found
    }

    companion object {
        CONSTANTS
    }
}
