"""How like two texts are: BLEU and chrF, as sacrebleu counts them, and what else a translation is looked at for.

Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Popović 2015, "chrF: character
n-gram F-score for automatic MT evaluation"; Post 2018, "A call for clarity in reporting BLEU scores".
"""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Sequence

_BLEU_ORDER, _CHRF_ORDER, _BETA = 4, 6, 2
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# The tokenization "13a" of mteval-v13a.pl, which BLEU is reported with unless somebody says otherwise.
_SPACED = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
# Only HTML's own elements are tags, and only names of variables stand in braces: "<none>" and "{None}" are translated.
_ELEMENTS = "a|b|big|br|code|div|em|font|h[1-6]|i|img|li|ol|p|s|small|span|strong|sub|sup|tt|u|ul"
_PLACEHOLDER = re.compile(
    rf"%\d+|%[sdif]\b|\$\(\w+\)|\$?\{{[a-z0-9_]+\}}|%[A-Z_]{{2,}}|</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>"
)


def bleu(answers: Sequence[str], expected: Sequence[str]) -> float:
    """Corpus BLEU of 0 to 100, one reference each, tokenized by "13a", exponentially smoothed.

    Raises:
        ValueError: not one reference an answer, or none at all.
    """
    _require_pairs(answers, expected)
    found, total, lengths = [0] * _BLEU_ORDER, [0] * _BLEU_ORDER, [0, 0]
    for answer, reference in zip(answers, expected, strict=True):
        words, wanted = _words(answer), _words(reference)
        lengths = [lengths[0] + len(words), lengths[1] + len(wanted)]
        for order in range(_BLEU_ORDER):
            some, right = _grams(words, order + 1), _grams(wanted, order + 1)
            found[order] += (some & right).total()
            total[order] += some.total()
    if not any(found):
        return 0.0
    logarithms, smoothed = 0.0, 1.0
    for hits, count in zip(found, total, strict=True):
        if not count:  # no answer has so many words: BLEU is of all four orders
            return 0.0
        smoothed = smoothed if hits else 2 * smoothed
        logarithms += math.log(hits / count if hits else 1 / (smoothed * count))
    penalty = min(0.0, 1 - lengths[1] / lengths[0])
    return 100 * math.exp(penalty + logarithms / _BLEU_ORDER)


def chrf(answers: Sequence[str], expected: Sequence[str]) -> float:
    """Corpus chrF2 of 0 to 100: the F-score, recall counting twice, of n-grams of 1 to 6 characters without spaces.

    Raises:
        ValueError: not one reference an answer, or none at all.
    """
    _require_pairs(answers, expected)
    counts = [[0, 0, 0] for _ in range(_CHRF_ORDER)]
    for answer, reference in zip(answers, expected, strict=True):
        signs, wanted = "".join(answer.split()), "".join(reference.split())
        for order, sums in enumerate(counts):
            some, right = _grams(signs, order + 1), _grams(wanted, order + 1)
            # An order that one side is too short for counts the other side's n-grams as no error.
            sums[0] += some.total() if right else 0
            sums[1] += right.total()
            sums[2] += (some & right).total()
    used = [(hits / made, hits / right) for made, right, hits in counts if made and right]
    if not used:
        return 0.0
    precision, recall = (sum(side) / len(used) for side in zip(*used, strict=True))
    if precision + recall == 0:
        return 0.0
    return 100 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def placeholders_kept(answers: Sequence[str], sources: Sequence[str]) -> tuple[int, int]:
    """How many placeholders of the sources (``%1``, ``<b>``, ``$(ARG1)``) the answers hold, and of how many."""
    _require_pairs(answers, sources)
    kept = total = 0
    for answer, source in zip(answers, sources, strict=True):
        wanted = collections.Counter(_PLACEHOLDER.findall(source))
        kept += (wanted & collections.Counter(_PLACEHOLDER.findall(answer))).total()
        total += wanted.total()
    return kept, total


def length_ratio(answers: Sequence[str], expected: Sequence[str]) -> float:
    """Words of all answers to words of all references, tokenized as for `bleu`; ``nan`` where these have none."""
    _require_pairs(answers, expected)
    wanted = sum(len(_words(text)) for text in expected)
    return sum(len(_words(text)) for text in answers) / wanted if wanted else math.nan


def _require_pairs(answers: Sequence[str], expected: Sequence[str]) -> None:
    if len(answers) != len(expected) or not len(answers):
        raise ValueError(
            f"Wanted one text beside each answer. Received: {len(answers)} answers, {len(expected)} texts."
        )


def _words(text: str) -> list[str]:
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    text = f" {text} "
    for pattern, spaced in _SPACED:
        text = pattern.sub(spaced, text)
    return text.split()


def _grams(units: Sequence[str], order: int) -> collections.Counter:
    return collections.Counter(tuple(units[start : start + order]) for start in range(len(units) - order + 1))
