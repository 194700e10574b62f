from __future__ import annotations

import pytest

from kerastl.data import vocabularies
from kerastl.inputs import wordpiece


def test_learned_vocabularies():
    tokens = vocabularies.learn_vocabulary(["low low low lower lowest", "new newer é"], size=24)
    assert tokens[:5] == wordpiece.SPECIAL
    assert len(tokens) == len(set(tokens)) <= 24
    assert {"low", "l", "##o", "##w"} <= set(tokens)
    tokenizer = wordpiece.Tokenizer(tokens)
    assert wordpiece.decode(tokenizer.encode("low", 8), tokens) == "low"
    assert vocabularies.learn_vocabulary(["b a"], size=7) == (*wordpiece.SPECIAL, "a", "b")
    strange = vocabularies.learn_vocabulary(
        ["x\u00a0y \ue000 \u2028"], size=100
    )  # folding makes a plain space of the first
    assert all(token.isprintable() and " " not in token for token in strange)


def test_tokens_of_a_file_and_of_texts(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in (*wordpiece.SPECIAL, "low")))
    assert vocabularies.tokens(path, ["new"], size=10) == (*wordpiece.SPECIAL, "low")
    assert vocabularies.tokens(None, ["new"], size=7) == vocabularies.learn_vocabulary(["new"], size=7)
    with pytest.raises(FileNotFoundError, match=r"no vocabulary file .*berta\. Available without one: 'bert'"):
        vocabularies.tokens("berta", [], size=10)


def test_a_path_is_the_same_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vocabularies.from_anywhere("vocab.txt") == str(tmp_path / "vocab.txt")
    assert vocabularies.from_anywhere("bert") == "bert"
    assert vocabularies.from_anywhere(None) is None
