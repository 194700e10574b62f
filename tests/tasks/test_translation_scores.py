"""BLEU and chrF against sacrebleu's; placeholders and lengths by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sacrebleu

from kerastl.tasks import translation_scores

TEXTS = [
    ("The cat sat on the mat.", "The cat is sitting on the mat."),
    ("It costs 1,000.50 dollars - or 20-30 &amp; more?", "It costs 1,000.50 dollars, or 20-30 & more!"),
    ("Öffnen Sie die Datei »%1« nicht (jetzt).", "Die Datei »%1« jetzt nicht öffnen."),
    ("OK", "OK"),
    ("", "Abbrechen"),
    ("打开文件", "打开 新文件"),
    ("a\nb c\td $5 {x} [y] ~z", "a b c d $5 {x} [z] ~z"),
    ("no", "something else entirely"),
]


def some(seed):
    """Answers and references of random length out of few words, signs and numbers."""
    random = np.random.default_rng(seed)
    words = [
        "the",
        "a",
        "cat",
        "dog.",
        "sat,",
        "on",
        "3.5",
        "1,2",
        "mat!",
        "(and)",
        "<b>",
        "“or”",
        "7-8",
        "Straße",
        "文件",
    ]

    def text():
        return " ".join(random.choice(words, random.integers(1, 12)))

    return [[text() for _ in range(random.integers(1, 20))] for _ in range(2)]


def corpora():
    yield [one for one, _ in TEXTS], [other for _, other in TEXTS]
    for one, other in TEXTS:
        yield [one], [other]
    for seed in range(60):
        answers, expected = some(seed)
        count = min(len(answers), len(expected))
        yield answers[:count], expected[:count]


def test_bleu_and_chrf_are_sacrebleus():
    seen = 0
    for answers, expected in corpora():
        wanted = sacrebleu.corpus_bleu(answers, [expected], force=True).score
        assert translation_scores.bleu(answers, expected) == pytest.approx(wanted, abs=1e-9), answers
        wanted = sacrebleu.corpus_chrf(answers, [expected]).score
        assert translation_scores.chrf(answers, expected) == pytest.approx(wanted, abs=1e-9), answers
        seen += 1
    assert seen == 69


def test_placeholders_are_counted_as_often_as_they_stand_there():
    sources = ["Save %1 as %2 in %1", "<b>Bold</b>", "100 %", "$(ARG1) of {count} %PRODUCTNAME", "<none> {None}"]
    answers = ["%1 als %2 sichern", "<b>Fett<b>", "100 %", "{count}: $(ARG1) %PRODUCTNAME", "<keine> {Keine}"]
    assert translation_scores.placeholders_kept(answers, sources) == (2 + 1 + 0 + 3, 3 + 2 + 0 + 3)


def test_lengths_are_of_words():
    assert translation_scores.length_ratio(["a b.", "c"], ["a b c", "d e f"]) == 4 / 6
    assert math.isnan(translation_scores.length_ratio(["a"], [""]))


def test_one_reference_an_answer():
    for measure in ("bleu", "chrf", "placeholders_kept", "length_ratio"):
        for answers in ([], ["a", "b"]):
            with pytest.raises(ValueError, match="Wanted one text beside each answer"):
                getattr(translation_scores, measure)(answers, ["a"] if answers else [])
