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
    strange = vocabularies.learn_vocabulary(["x\u00a0y \ue000 \u2028 \u0378"], size=100)
    assert all(token.isprintable() and " " not in token for token in strange)


@pytest.mark.parametrize(
    ("texts", "other"),
    [
        (["हिन्दी में किताब"], "दिहन्कीमेंबता"),
        (["ภาษาไทยไม่มีเว้นวรรค" * 20], "วรรค"),  # longer than any word that is known
        (["Việt Nam có nhiều"], "nhiềuviệtcó"),
        (["日本語のカタカナとひらがな。漢字"], "語漢の"),
        (["ប្រទេស កម្ពុជា", "ပြည်ထောင်စု", "ພາສາລາວ"], "កម្ពុជាຖ"[:-1]),
    ],
    ids=["hindi", "thai", "vietnamese", "japanese", "khmer"],
)
def test_every_script_is_spelled_with_its_marks(texts, other):
    tokens = vocabularies.learn_vocabulary(texts, size=300)
    tokenizer = wordpiece.Tokenizer(tokens, wordpiece.LEARNT)
    for text in (*texts, other):  # also in words that no text has
        ids = tokenizer.encode(text, 1000)
        assert ids.count(tokens.index("[UNK]")) == 0, text
        kept = "".join(wordpiece.decode(ids, tokens).replace(" ", "").split())
        assert kept == "".join(text.lower().split())


def test_tokens_of_a_file_and_of_texts(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in (*wordpiece.SPECIAL, "low")))
    assert vocabularies.tokens(path, ["new"], size=10) == (*wordpiece.SPECIAL, "low")
    assert vocabularies.tokens(None, ["new"], size=7) == vocabularies.learn_vocabulary(["new"], size=7)
    again = {"vocabulary": [*wordpiece.SPECIAL, "low"], "length": 8, "tokenizer": wordpiece.LEARNT.config()}
    assert vocabularies.tokens(again, ["new"], size=10) == (*wordpiece.SPECIAL, "low")
    with pytest.raises(ValueError, match=r"what texts say of themselves\. Received: the keys image"):
        vocabularies.tokens({"image": [1]}, [], size=10)
    with pytest.raises(FileNotFoundError, match=r"no vocabulary file .*berta\. Available without one: 'bert'"):
        vocabularies.tokens("berta", [], size=10)


def test_settings_come_with_the_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in (*wordpiece.SPECIAL, "low")))
    cased = wordpiece.Settings(lowercase=False, strip_accents=False)
    assert vocabularies.settings(str(path)) == wordpiece.UNCASED
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert vocabularies.settings(path) == cased
    assert vocabularies.settings(None) == wordpiece.LEARNT
    assert vocabularies.settings("bert") == vocabularies.settings([*wordpiece.SPECIAL]) == wordpiece.UNCASED
    described = {"vocabulary": [*wordpiece.SPECIAL], "length": 8, "tokenizer": cased.config()}
    assert vocabularies.settings(described) == cased
    assert vocabularies.settings(vocabularies.from_anywhere(described)) == cased


def test_a_path_is_the_same_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vocabularies.from_anywhere("vocab.txt") == str(tmp_path / "vocab.txt")
    assert vocabularies.from_anywhere("bert") == "bert"
    assert vocabularies.from_anywhere(None) is None
