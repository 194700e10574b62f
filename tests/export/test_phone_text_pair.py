"""The bundle of two texts: its Python snippet joins their ids, and so do the other languages' by the same lines."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from kerastl.export import metadata
from kerastl.inputs import wordpiece
from kerastl.inputs.text_pair import TextPair
from kerastl.tasks.single_label import SingleLabel


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
    assert page.count('tokenizer.encode("a sentence", "another")') == 1  # Kotlin
    assert page.count('.encode("a sentence", "another")') == 2  # and Swift
    assert "fun Tokenizer.encode(first: String, second: String, length: Int = 8): IntArray {" in page
    assert metadata.read((tmp_path / "model.tflite").read_bytes())["inputs"] == kind.described()
