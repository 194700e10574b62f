"""The page of a bundle whose texts are read with SentencePiece: that of a text, but for the tokenizers.

Phones and pages read the published model's own file, ``sentencepiece.model``: a protobuf message with the pieces, their
scores, and the table that brings texts to their form.
"""

from __future__ import annotations

from pathlib import Path

from kerastl.export import character_table, phone_text
from kerastl.inputs import sentencepiece, text

NAME = "sentencepiece.model"
_FOLDER = Path(__file__).parent / "tokenizers"


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
        ending, last, indent = "kt", f"const val NUMBERS_APART = {apart}", 8
    elif language == "swift":
        typed = {name: "" if name == "BETWEEN" else ": Int32" for name in numbers}
        lines = [f"static let {name.lower()}{typed[name]} = {number}" for name, number in numbers.items()]
        ending, last, indent = "swift", f"static let numbersApart = {apart}", 4
    else:
        lines = [f"static {name} = {number};" for name, number in numbers.items()]
        ending, last, indent = "js", f"static NUMBERS_APART = {apart};", 2
    made = (_FOLDER / f"sentencepiece.{ending}").read_text(encoding="utf-8")
    made = made.replace("CONSTANTS", ("\n" + " " * indent).join([*lines, f"{last}  {why}"]))
    return made.replace("{", "{{").replace("}", "}}").replace("LENGTH", "{length}")


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
