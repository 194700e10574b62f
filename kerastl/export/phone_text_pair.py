"""The page of a bundle of two texts: that of one text, in which each language joins the ids of both."""

from kerastl.export import phone_text

_KOTLIN = """// [CLS] first [SEP] second [SEP]; of what does not fit the longer text loses its end
fun Tokenizer.encode(first: String, second: String, length: Int = {length}): IntArray {{
    val (a, b) = listOf(first, second).map {{ text ->
        encode(text, 18 * text.length + 3).takeWhile {{ it != 0 }}  // a character is 18 tokens at most
    }}
    val room = length - 3
    val less = minOf(a.size - 2, b.size - 2, room / 2)
    val (kept, others) = if (a.size <= b.size) less to room - less else room - less to less
    val ids = a.dropLast(1).take(1 + kept) + a.last() + b.drop(1).dropLast(1).take(others) + b.last()
    return IntArray(length) {{ ids.getOrElse(it) {{ 0 }} }}
}}

"""
_SWIFT = """// [CLS] first [SEP] second [SEP]; of what does not fit the longer text loses its end
extension Tokenizer {{
    func encode(_ first: String, _ second: String, length: Int = {length}) -> [Int32] {{
        let alone = [first, second].map {{ text in
            // a character is 18 tokens at most
            Array(encode(text, length: 18 * text.unicodeScalars.count + 3).prefix {{ $0 != 0 }})
        }}
        let a = alone[0], b = alone[1], room = length - 3
        let less = min(a.count - 2, b.count - 2, room / 2)
        let (kept, others) = a.count <= b.count ? (less, room - less) : (room - less, less)
        let ids = a.dropLast().prefix(1 + kept) + [a.last!] + b.dropFirst().dropLast().prefix(others) + [b.last!]
        return Array(ids) + Array(repeating: Int32(0), count: length - ids.count)
    }}
}}

"""
JAVASCRIPT = """// [CLS] first [SEP] second [SEP]; of what does not fit the longer text loses its end
function encodePair(tokenizer, first, second, length = {length}) {{
  const [a, b] = [first, second].map((text) =>
    // a character is 18 tokens at most
    Array.from(tokenizer.encode(text, 18 * text.length + 3)).filter((id) => id !== 0));
  const room = length - 3, less = Math.min(a.length - 2, b.length - 2, room >> 1);
  const [kept, others] = a.length <= b.length ? [less, room - less] : [room - less, less];
  const ids = [...a.slice(0, -1).slice(0, 1 + kept), a.at(-1), ...b.slice(1, -1).slice(0, others), b.at(-1)];
  return Int32Array.from({{ length }}, (_, place) => ids[place] ?? 0);
}}

"""


def _page() -> str:
    page = phone_text.PAGE
    for old, new in (
        ("A sentence goes in as {length} token ids", "Two texts go in as {length} token ids"),
        (
            """[CLS], the sentence's
tokens, [SEP], then [PAD]; what does not fit is cut off. `mask` is 0 for [PAD] and 1 for all others, `segment_ids` are 0
and read by nothing. Measured""",
            """[CLS], the first
text's tokens, [SEP], the second's, [SEP], then [PAD]; what does not fit is cut off the longer one. `mask` is 0 for
[PAD] and 1 for all others. The file finds out by itself which ids are of the second text, and reads no `segment_ids`.
Measured""",
        ),
        (
            'tokenizer.encode("a sentence of yours", {length})',
            'tokenizer.encode_pair("a sentence", "another", {length})',
        ),
        ("{mapped}", _KOTLIN + "{mapped}"),
        ("let interpreter = try Interpreter(", _SWIFT + "let interpreter = try Interpreter("),
        ("// const text = async", JAVASCRIPT + "// const text = async"),
        (
            '// const ids = tokenizer.encode("a sentence of yours")',
            '// const ids = encodePair(tokenizer, "a sentence", "another")',
        ),
    ):
        if page.count(old) != 1:
            raise ValueError(f"The page of a text has changed: {old!r} stands {page.count(old)} times in it.")
        page = page.replace(old, new)
    return page.replace('.encode("a sentence of yours")', '.encode("a sentence", "another")')


PAGE = _page()
