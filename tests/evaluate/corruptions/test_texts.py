"""Corruptions of texts."""

from __future__ import annotations

import pytest

from kerastl.evaluate.corruptions import texts

SENTENCE = "The quick brown Fox jumps over the lazy dog near a café in Düsseldorf " * 100


@pytest.mark.parametrize("name", ["typos", "case"])
def test_as_many_words_are_changed_as_is_stated(name):
    words = SENTENCE.split()
    changed = []
    for strength in texts.STRENGTHS:
        (found,) = texts.corrupted([SENTENCE], name, strength)
        assert len(found.split()) == len(words)
        assert texts.corrupted([SENTENCE], name, strength) == [found]
        changed.append(sum(one != other for one, other in zip(words, found.split(), strict=True)) / len(words))
    typed = 13 / 14 if name == "typos" else 1  # words of one letter are typed rightly
    assert changed == pytest.approx([typed * share for share in texts.LEVELS[name]], abs=0.04)


def test_a_slip_is_one_slip():
    """A neighbour, a doubled letter, one that is missing or two that change places: Damerau's distance of 1."""
    for word in texts.corrupted(["keyboard"] * 200, "typos", 5):
        assert abs(len(word) - 8) <= 1
        if len(word) == 8 and word != "keyboard":
            apart = [place for place in range(8) if word[place] != "keyboard"[place]]
            assert len(apart) == 1 or (len(apart) == 2 and sorted(word) == sorted("keyboard"))
    assert set(texts.corrupted(["a"] * 20, "typos", 5)) == {"a"}


def test_accents_go_and_nothing_else():
    assert texts.corrupted(["café Straße naïve plain 日本"], "missing_accents", 5) == ["cafe Strasse naive plain 日本"]
    assert texts.corrupted(["plain words"], "missing_accents", 5) == ["plain words"]
    assert texts.corrupted(["loud"], "case", 5) == ["LOUD"]
    assert texts.corrupted(["LOUD"], "case", 5) == ["loud"]


def test_a_neighbour_is_one_on_the_keyboard():
    import numpy as np

    found = {texts._neighbour("g", np.random.default_rng(seed)) for seed in range(20)}
    assert found == {"f", "h"}
    assert texts._neighbour("Q", np.random.default_rng(0)) == "W"


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match="typos, case"):
        texts.corrupted(["a"], "rain", 1)
