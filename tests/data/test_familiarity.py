from __future__ import annotations

import pytest

from kerastl.data import bert_vocabulary, familiarity, text_csv, vocabularies
from kerastl.inputs import wordpiece

TEXTS = {
    "English": ["I can't say that this was the best film of the year, but it is good.", "How do I get my card?"],
    "French": ["Ce film n'est pas le meilleur de l'année, mais il est très bon.", "Je ne sais pas où est ma carte."],
    "Spanish": ["No es la mejor película del año, pero está muy bien.", "¿Cómo puedo pedir una tarjeta para mi hijo?"],
    "Vietnamese": ["Đây không phải là bộ phim hay của năm nhưng cũng được.", "Tôi đã mất thẻ và không có tiền."],
    "German": ["Das ist nicht der beste Film des Jahres, aber er ist gut.", "Wie bekomme ich eine neue Karte?"],
}
HARD = {
    "russian": ["Это не лучший фильм года, но он хороший."],
    "thai": ["นี่ไม่ใช่ภาพยนตร์ที่ดีที่สุดของปี"],
    "chinese": ["这不是今年最好的电影,但还不错。"],
}


@pytest.fixture(scope="module")
def bert():
    return wordpiece.Tokenizer(bert_vocabulary.tokens())


@pytest.mark.parametrize("language", TEXTS)
def test_a_language_is_told_by_its_commonest_words(language, bert):
    assert familiarity.language_of(TEXTS[language]) == language
    found = familiarity.of(TEXTS[language], bert)
    assert found.unknown == 0  # the vocabulary alone does not tell
    said = familiarity.foreign(found, english=True)
    assert said == ("" if language == "English" else f"the texts look {language}, and the encoder knows English")
    assert familiarity.foreign(found, english=False) == ""


def test_short_english_texts_are_no_other_language():
    texts = ["good film", "bad film", "5 stars", "Los Angeles de luxe", "a e o i", "", "404"]
    assert familiarity.language_of(texts) in ("", "English")
    assert familiarity.language_of([]) == ""


@pytest.mark.parametrize("language", HARD)
def test_scripts_that_the_vocabulary_spells_or_lacks(language, bert):
    found = familiarity.of(HARD[language], bert)
    words = [word for text in HARD[language] for word in wordpiece.words(text)]
    ids = [number for word in words for number in bert.encode(word, 128) if number not in (0, 101, 102)]
    assert found.unknown == ids.count(100) / len(ids)
    assert found.pieces == pytest.approx((len(ids) + 4 * ids.count(100)) / len(words))
    assert familiarity.foreign(found, english=True)
    if found.unknown >= 1 / 3:
        assert "unknown to the encoder's vocabulary" in familiarity.foreign(found, english=False)


def test_nothing_to_look_at(bert):
    assert familiarity.of(["  ", ""], bert) == (0.0, 1.0, "")
    assert familiarity.warnings([], bert, english=True) == ()


def test_a_run_says_so(tmp_path, capsys):
    """While it reads its data, whatever the vocabulary is called; of one that is learnt from the texts nothing."""
    rows = [f"{'ok' if n % 2 else 'quokka zebra'} zebra {n},{'a' if n % 3 else 'b'}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in (*wordpiece.SPECIAL, "ok")))
    text_csv.load(tmp_path / "texts.csv", sequence_length=8, vocabulary=tmp_path / "vocab.txt")
    said = capsys.readouterr().err
    assert "WARNING" in said
    assert "of the texts' tokens are unknown to the encoder's vocabulary; give --encoder one of" in said
    text_csv.load(tmp_path / "texts.csv", sequence_length=8, vocabulary=None)
    assert "WARNING" not in capsys.readouterr().err
    assert vocabularies.tokens(None, rows, size=100)


def test_tables_of_words_are_each_of_their_own_language():
    tables = familiarity.FUNCTION_WORDS
    assert len(tables) >= 16
    for language, words in tables.items():
        assert len(words) >= 20, language
        assert all(word == word.lower() and wordpiece.words(word, wordpiece.LEARNT) for word in words)
        assert familiarity.language_of([" ".join(sorted(words))]) == language
