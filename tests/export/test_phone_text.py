"""A text's bundle: its Python snippet runs as it stands, with nothing of kerastl on the path."""

from __future__ import annotations

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import kerastl
from benchmarks.data import token_ids
from benchmarks.tools import phone_tokenizers
from kerastl.export import character_table, metadata, phone_text
from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.inputs.wordpiece import LEARNT, UNCASED, Settings
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.embedding import Embedding
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging

CASED = Settings(lowercase=False, strip_accents=False)


@pytest.fixture(params=[UNCASED, LEARNT], ids=["uncased", "learnt"])
def bundle(request, write_bundle, tiny_text, tmp_path):
    kind = Text(tiny_text.task.inputs.length, tiny_text.vocabulary, request.param)
    write_bundle(SingleLabel(("bad", "gut")), kind=kind)
    return tmp_path


def test_what_lies_in_it(bundle, tiny_text):
    assert {path.name for path in bundle.iterdir()} == {
        "model.tflite",
        "labels.txt",
        "vocab.txt",
        "tokenizer.py",
        "tokenizer_config.json",
        "characters.txt",
        "README.md",
        "index.html",
    }
    assert wordpiece.Tokenizer.from_file(bundle / "vocab.txt").vocabulary == tiny_text.vocabulary
    said = metadata.read((bundle / "model.tflite").read_bytes())["inputs"]
    settings = wordpiece.Tokenizer.from_file(bundle / "vocab.txt").settings
    assert settings == wordpiece.Settings.of_config(said.get("tokenizer", {}))
    assert (bundle / "characters.txt").read_text().splitlines() == list(character_table.lines(settings))
    page = (bundle / "README.md").read_text()
    assert "inputs `ids`, `mask`, `segment_ids` | int32 | [1, 8]" in page
    assert "FloatArray(2)" in page
    assert "pixels" not in page
    assert r'split(separator: "\n"' in page  # as Swift writes it
    assert [word for word in ("kotlin", "swift", "python", "javascript") if f"```{word}\n" not in page] == []


def test_the_python_snippet_runs(bundle, tiny_text):
    snippet = re.search(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    assert snippet is not None
    code = snippet.group(1).replace("a sentence of yours", "a good film!")
    code += "import sys\nassert not any(name.startswith('kerastl') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True, check=True)
    label, probability = done.stdout.split()
    assert label == "gut"
    ids = wordpiece.Tokenizer(tiny_text.vocabulary).encode("a good film!", 8)
    assert np.asarray(tiny_text.model(np.asarray([ids]))).argmax() == 1
    assert float(probability) > 0.9


@pytest.mark.parametrize("target", [Embedding(("a", "b")), Agreement(("output",), (1.0,))])
def test_the_snippet_of_what_is_no_class_makes_ids_as_well(target, tiny_text, write_bundle, tmp_path):
    page = write_bundle(target)
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    code = snippet.group(1).replace("a sentence of yours", "a good film!")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    ids = wordpiece.Tokenizer(tiny_text.vocabulary).encode("a good film!", 8)
    wanted = np.exp(logits := np.asarray(tiny_text.model(np.asarray([ids])))[0]) / np.exp(logits).sum()
    numbers = [float(one) for one in re.findall(r"\d\.\d+", done.stdout)]
    assert "(2,)" in done.stdout
    np.testing.assert_allclose(numbers, wanted, atol=1e-4)
    assert "FloatArray(2)" in page


def test_the_page_of_tags_prints_one_for_each_token(tiny_text, write_bundle, tmp_path):
    keras.utils.set_random_seed(0)
    given = keras.Input((8,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(len(tiny_text.vocabulary), 4, name="table", embeddings_initializer="normal")(given)
    model = keras.Model(given, keras.layers.Dense(3, name="logits", kernel_initializer="normal")(x))
    page = write_bundle(target := Tagging.of(("GOOD",)), model=model)
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    code = snippet.group(1).replace("a sentence of yours", "a good film!")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    ids = wordpiece.Tokenizer(tiny_text.vocabulary).encode("a good film!", 8)
    tags = np.asarray(model(np.asarray([ids])))[0].argmax(-1)
    wanted = [f"{tiny_text.vocabulary[token]} {target.names[tag]}" for token, tag in zip(ids, tags, strict=True)]
    assert done.stdout.splitlines() == wanted
    assert "val answer = Array(1) { Array(8) { FloatArray(3) } }" in page
    assert "8 times 3 values of float32" in page


def test_spans_are_said_as_they_were_written(tiny_text, write_bundle, tmp_path):
    """A file that tags every token; the encoder reads small letters alone."""
    given = keras.Input((8,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(len(tiny_text.vocabulary), 3, name="table", embeddings_initializer="zeros")(given)
    logits = keras.layers.Dense(3, name="logits", bias_initializer=keras.initializers.Constant(1.0))
    model = keras.Model(given, logits(x))
    logits.set_weights([np.zeros((3, 3)), np.array([0.0, 0.0, 5.0])])  # I-GOOD
    write_bundle(Tagging.of(("GOOD",)), model=model)
    (tmp_path / "lines.txt").write_text("A góod FILM!\n")
    run = kerastl.open(tmp_path)
    (told,) = run.predict("A  GOOD Film!")
    assert told["spans"] == [{"kind": "GOOD", "text": "A GOOD Film!"}]
    (read,) = run.predict(str(tmp_path / "lines.txt"))
    assert read["spans"] == [{"kind": "GOOD", "text": "A góod FILM!"}]
    (blind,) = run.predict(run.task.inputs.read("A GOOD Film!"))  # ids alone: as the vocabulary has them
    assert blind["spans"] == [{"kind": "GOOD", "text": "a good film !"}]


def test_every_brace_of_the_page_is_filled_or_code():
    assert "{{" in phone_text.PAGE
    names = set(re.findall(r"(?<!\{)\{(\w+)", phone_text.PAGE))
    assert {"recipe", "length", "classes", "inputs"} <= names


@pytest.mark.skipif(phone_tokenizers.node() is None, reason="Node.js is not installed")
@pytest.mark.parametrize("settings", [UNCASED, CASED, LEARNT], ids=["uncased", "cased", "learnt"])
def test_the_javascript_of_the_page_makes_the_same_ids(settings, tmp_path):
    """Run as it is printed there; Kotlin and Swift go the same steps over the same table."""
    texts = token_ids.random_strings(400, seed=2)
    texts += ["", "ΑΣ İ café 好\u302e\U0001d165 \U0001d166\u034f\U0001d165", "é" * 100 + " " + "é" * 101, "[SEP] ภาษา"]
    spelled = token_ids.spelling(texts, token_ids.reference(wordpiece.SPECIAL, settings))
    tokenizer = wordpiece.Tokenizer(spelled, settings)
    phone_tokenizers.written(tmp_path, tokenizer)
    found = phone_tokenizers.in_node(phone_tokenizers.node(), tmp_path, texts, 64)
    assert token_ids.differing(texts, [tokenizer.encode(text, 64) for text in texts], found) == []


@pytest.mark.parametrize("language", ["kotlin", "swift", "javascript"])
def test_each_tokenizer_of_the_page_is_whole(language):
    code = phone_tokenizers.printed(language)
    assert all(code.count(one) == code.count(other) for one, other in ("()", "[]", "{}"))
    assert "[UNK]" in code
