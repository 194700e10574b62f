"""A text's bundle: its Python snippet runs as it stands, with nothing of kerastl on the path."""

from __future__ import annotations

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerastl.export import phone_text
from kerastl.inputs import wordpiece
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.embedding import Embedding
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging


@pytest.fixture
def bundle(write_bundle, tmp_path):
    write_bundle(SingleLabel(("bad", "gut")))
    return tmp_path


def test_what_lies_in_it(bundle, tiny_text):
    assert {path.name for path in bundle.iterdir()} == {
        "model.tflite",
        "labels.txt",
        "vocab.txt",
        "tokenizer.py",
        "README.md",
    }
    assert wordpiece.Tokenizer.from_file(bundle / "vocab.txt").vocabulary == tiny_text.vocabulary
    page = (bundle / "README.md").read_text()
    assert "inputs `ids`, `mask`, `segment_ids` | int32 | [1, 8]" in page
    assert "FloatArray(2)" in page
    assert "pixels" not in page
    assert r'Regex("\\p{Mn}+")' in page  # as Kotlin writes it
    assert [word for word in ("kotlin", "swift", "python") if f"```{word}\n" not in page] == []


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


def test_every_brace_of_the_page_is_filled_or_code():
    assert "{{" in phone_text.PAGE
    names = set(re.findall(r"(?<!\{)\{(\w+)", phone_text.PAGE))
    assert {"recipe", "length", "classes", "inputs"} <= names
