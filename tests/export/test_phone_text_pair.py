"""The bundle of two texts: its Python snippet joins their ids, and so do the other languages' by the same lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.tools import phone_tokenizers
from kerastl.export import metadata
from kerastl.inputs import wordpiece
from kerastl.inputs.text_pair import TextPair
from kerastl.tasks.single_label import SingleLabel

TEXTS = ["a good film!", "a good", "film! film! film! film! film!", "a", "good good good good"]


@pytest.mark.skipif(phone_tokenizers.node() is None, reason="Node.js is not installed")
def test_the_javascript_of_the_page_joins_them_as_well(tiny_text, write_bundle, tmp_path):
    page = write_bundle(SingleLabel(("bad", "gut")), kind=TextPair(8, tiny_text.vocabulary))
    block = re.search(r"```javascript\n(.*?)```", page, re.DOTALL)
    assert block is not None
    code = 'const read = (name) => require("fs").readFileSync(name, "utf8");\n' + block.group(1)
    code += 'const tokenizer = new Tokenizer(read("vocab.txt"), read("characters.txt"));\n'
    code += f"const texts = {json.dumps(TEXTS)};\n"
    code += "console.log(JSON.stringify(texts.flatMap((a) => texts.map((b) => [...encodePair(tokenizer, a, b)]))));\n"
    node = phone_tokenizers.node()
    assert node is not None
    done = subprocess.run([node, "-e", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    tokenizer = wordpiece.Tokenizer(tiny_text.vocabulary)
    assert json.loads(done.stdout) == [tokenizer.encode_pair(a, b, 8) for a in TEXTS for b in TEXTS]


def test_the_page_of_two_texts_joins_their_ids(tiny_text, write_bundle, tmp_path):
    kind = TextPair(8, tiny_text.vocabulary, columns=("question", "answer"))
    page = write_bundle(SingleLabel(("bad", "gut")), kind=kind)
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    code = snippet.group(1).replace('"a sentence", "another"', '"a good", "film!"')
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    ids = wordpiece.Tokenizer(tiny_text.vocabulary).encode_pair("a good", "film!", 8)
    wanted = np.asarray(tiny_text.model(np.asarray([ids])))[0]
    label, probability = done.stdout.split()
    assert label == ("bad", "gut")[wanted.argmax()]
    assert float(probability) == pytest.approx(np.exp(wanted.max()) / np.exp(wanted).sum(), abs=1e-4)
    assert "MediaPipe" not in page
    assert page.count('tokenizer.encode("a sentence", "another")') == 2  # Kotlin and Swift
    assert "fun Tokenizer.encode(first: String, second: String, length: Int = 8): IntArray {" in page
    assert metadata.read((tmp_path / "model.tflite").read_bytes())["inputs"] == kind.described()
