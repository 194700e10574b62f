"""The bundle of texts that are read with SentencePiece makes the ids that the model was trained with."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece as library
from toy_pieces import WORDS, reads_ids, sentencepiece_model, sentencepiece_text

from benchmarks.data import token_ids
from benchmarks.tools import phone_tokenizers
from kerastl import inputs
from kerastl.export import character_table, metadata, phone_sentencepiece
from kerastl.inputs import sentencepiece
from kerastl.inputs.text_pair import TextPair
from kerastl.tasks.single_label import SingleLabel

CONVENTIONS = ("xlm-roberta", "albert")
HARD = ("", " ", "e\u0301 é ﬃ ½", "\u3000gut\u3000", "ΑΣ İ", "``gut'' 19, 9,000 9,", "\ud800a", "👍🏽", "<s> [MASK] x")


def asked(page: str, folder, old: str, new: str) -> list[str]:
    """What the page's Python prints of another text."""
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    assert old in snippet.group(1)
    code = snippet.group(1).replace(old, new)
    code += "import sys\nassert not any(name.startswith('kerastl') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_lies_in_it_and_the_python_snippet_runs(convention, write_bundle, tmp_path):
    kind = sentencepiece_text(8, convention)
    model = reads_ids(kind)
    page = write_bundle(SingleLabel(("bad", "gut")), kind=kind, model=model)
    files = {
        "model.tflite",
        "labels.txt",
        "README.md",
        "sentencepiece.model",
        "tokenizer.py",
        "tokenizer_config.json",
        "index.html",
    }
    letters = {"characters.txt"} if convention == "albert" else set()
    assert {path.name for path in tmp_path.iterdir()} == files | letters
    assert (tmp_path / "sentencepiece.model").read_bytes() == sentencepiece_model(convention)
    assert sentencepiece.TextTokenizer.from_file(tmp_path / "sentencepiece.model").settings == kind.settings
    described = metadata.read((tmp_path / "model.tflite").read_bytes())["inputs"]
    assert inputs.restored(described) == kind
    wanted = np.asarray(model(kind.read("Très gut film")))[0]
    label, probability = asked(page, tmp_path, "a sentence of yours", "Très gut film")
    assert label == ("bad", "gut")[wanted.argmax()]
    assert float(probability) == pytest.approx(np.exp(wanted.max()) / np.exp(wanted).sum(), abs=1e-4)
    assert "MediaPipe" not in page
    assert "vocab" not in page.replace("vocabulary", "")
    assert ('"characters.txt"' in page) == (convention == "albert")
    assert 'val ids = tokenizer.encode("a sentence of yours")' in page


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_page_of_two_texts_joins_their_pieces(convention, write_bundle, tmp_path):
    alone = sentencepiece_text(10, convention)
    kind = TextPair(10, alone.vocabulary, alone.settings)
    model = reads_ids(kind)
    page = write_bundle(SingleLabel(("bad", "gut")), kind=kind, model=model)
    wanted = np.asarray(model(kind.read("gut\tschlecht film")))[0]
    label, probability = asked(page, tmp_path, '"a sentence", "another"', '"gut", "schlecht film"')
    assert label == ("bad", "gut")[wanted.argmax()]
    assert float(probability) == pytest.approx(np.exp(wanted.max()) / np.exp(wanted).sum(), abs=1e-4)
    assert inputs.restored(metadata.read((tmp_path / "model.tflite").read_bytes())["inputs"]) == kind


@pytest.mark.skipif(phone_tokenizers.node() is None, reason="Node.js is not installed")
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_javascript_of_the_page_makes_the_same_ids(convention, tmp_path):
    """Run as it is printed there; Kotlin and Swift go the same steps over the same file."""
    texts = [*HARD, *token_ids.random_strings(300, seed=2), *(" ".join(WORDS[n:] + WORDS[:n]) for n in range(13))]
    texts += [f"{one} {other.upper()}{one}" for one in WORDS for other in WORDS]
    tokenizer = sentencepiece_text(48, convention).tokenizer
    phone_tokenizers.written(tmp_path, tokenizer)
    node = phone_tokenizers.node()
    assert node is not None
    found = phone_tokenizers.in_node(node, tmp_path, texts, 48, tokenizer)
    assert token_ids.differing(texts, [tokenizer.encode(text, 48) for text in texts], found) == []
    if convention == "xlm-roberta":  # which are those of the library, counted from 4 on
        theirs = library.SentencePieceProcessor(model_proto=sentencepiece_model())
        some = [text for text in texts if "\ud800" not in text]
        ids = [[3 if one == 0 else one + 1 for one in theirs.encode(text)][:46] for text in some]
        wanted = [[0, *one, 2] + [1] * (46 - len(one)) for one in ids]
        assert token_ids.differing(some, wanted, [tokenizer.encode(text, 48) for text in some]) == []


@pytest.mark.skipif(phone_tokenizers.node() is None, reason="Node.js is not installed")
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_javascript_joins_two_texts(convention, tmp_path):
    tokenizer = sentencepiece_text(12, convention).tokenizer
    phone_tokenizers.written(tmp_path, tokenizer)
    pairs = [(one, other) for one in ("gut", "gut film gut film gut film", "a b") for other in ("bad", "x" * 30, "")]
    code = phone_tokenizers.printed("javascript", tokenizer)
    code += "const files = require('fs');\n"
    code += "const tokenizer = new Tokenizer(files.readFileSync('sentencepiece.model'), "
    code += "files.readFileSync('characters.txt', 'utf8'));\n"
    code += f"const found = {json.dumps(pairs)}.map(([a, b]) => [...tokenizer.encodePair(a, b, 12)]);\n"
    code += "console.log(JSON.stringify(found));\n"
    node = phone_tokenizers.node()
    assert node is not None
    done = subprocess.run([node, "-e", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [tokenizer.encode_pair(one, other, 12) for one, other in pairs]


def test_letters_of_albert_stand_in_the_table_of_characters():
    settings = sentencepiece_text(8, "albert").settings
    assert isinstance(settings, sentencepiece.Settings)
    rows = [line.split() for line in character_table.lines(settings)]
    assert ["41", "5A", "+61"] in rows  # A to Z
    assert ["C8", "CB", "65"] in rows  # E with an accent
    assert [row[2:] for row in rows if int(row[0], 16) <= 0x301 <= int(row[1], 16)] == [[]]  # an acute accent
    assert character_table.lines(sentencepiece.Settings(settings.model, sentencepiece.XLM_ROBERTA)) == ()


@pytest.mark.parametrize("language", ["kotlin", "swift", "javascript"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_each_tokenizer_of_the_page_is_whole(convention, language):
    kind = sentencepiece_text(8, convention)
    code = phone_tokenizers.printed(language, kind.tokenizer)
    assert all(code.count(one) == code.count(other) for one, other in ("()", "[]", "{}"))
    assert "CONSTANTS" not in code
    assert isinstance(kind.settings, sentencepiece.Settings)
    page = phone_sentencepiece.page(kind.settings, pair=False)
    names = set(re.findall(r"(?<!\{)\{(\w+)", page))
    assert {"recipe", "length", "classes", "inputs"} <= names
