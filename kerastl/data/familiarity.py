"""Whether a pretrained encoder knows the language of texts: what its vocabulary lacks, and whose words they are.

A vocabulary alone does not tell: BERT's English one spells French, Spanish and Vietnamese with pieces that it has. So
the commonest words of some languages that are written with Latin letters are counted as well: those that stand in any
text, whatever it is about. Of a language that is not in the table nothing is said.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kerastl.inputs import text, wordpiece

ENGLISH = "English"
FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        ENGLISH: "the of and to in is it that this for was with on are be my not you have but they at as from his "
        "her we a i an or so if what how do can can't there has had would will all no out up just by who "
        "which when your their been were",
        "French": "le la les des et est une du que qui dans pour pas sur au avec ce il elle sont vous nous je plus "
        "mais en de un à par",
        "Spanish": "el la los las de que en un una por con para es se su lo al como más pero está muy del sus tiene "
        "si esta",
        "Portuguese": "os as de que em um uma por com para não se seu ao como mais mas está muito do da dos das na no "
        "pelo sua",
        "Italian": "il la gli di che in un una per con non si del della dei sono come più ma ho questo alla nel le "
        "ed anche",
        "German": "der die das und ist nicht ein eine zu den mit von für auf im ich sie es auch dem wir aber sind "
        "sich wie bei",
        "Dutch": "de het een en van is niet dat op te voor met zijn ik je er aan maar ook bij heeft deze wij naar "
        "wat die",
        "Swedish": "och att det en är som på för med av inte den jag till har var ett om men de vi så eller från mig",
        "Danish": "og at det en er som på for med af ikke den jeg til har var et om men de vi så eller fra mig",
        "Polish": "na nie się to jest do że jak ale co za od po dla są jego być przez oraz każdy czy tak tylko już mi",
        "Czech": "na se je že do to by pro jako jsem jsou ale nebo který jeho ve má každý být jen při když si až co",
        "Turkish": "ve bir bu için ile da de çok ne gibi daha ama her olan var ben değil kadar en mi olarak veya hiç",
        "Indonesian": "dan yang di ini itu untuk dengan dari tidak ke pada adalah saya akan dalam atau ada juga setiap "
        "bisa sudah",
        "Vietnamese": "và là của có không được các cho trong một những với này người đã khi cũng tôi đó như hay về mọi "
        "rất",
        "Romanian": "și de la în nu un este care cu pe să din sau mai pentru ce sunt orice al am fost ca le prin",
        "Hungarian": "az és hogy nem is egy van meg de ez volt csak mint vagy ki minden joga el kell nagyon még ha már",
        "Finnish": "ja on ei se että en hän oli mutta kun niin myös ovat tai joka jokaisella sen ole hyvin jos mitä",
    }.items()
}
_TIMES, _LEAST = 1.5, 0.08
"""How much more of a language's own words than of English ones say that texts are of it, and what share at least."""
_SAMPLE = 300
PIECES = 2.0
"""Pieces a word from which texts are not of BERT's English: such have 1.1 to 1.4."""


class Familiarity(NamedTuple):
    """How well a vocabulary knows texts.

    Attributes:
        unknown: share of their tokens that are ``[UNK]``.
        pieces: tokens a word; one without a spelling counts as five.
        language: that they look to be of, by `language_of`; empty where nothing is said.
    """

    unknown: float
    pieces: float
    language: str


def of(texts: Sequence[str], tokenizer: text.Tokenizer) -> Familiarity:
    """How well a tokenizer's vocabulary knows texts, by the first hundred words of some of them.

    Args:
        texts: at least one; some are looked at, spread over all.
        tokenizer: of the encoder.
    """
    some = [texts[place] for place in spread(len(texts), _SAMPLE)]
    beginnings = [words[:100] for one in some if (words := tokenizer.words(one))]
    ids = np.asarray([number for words in beginnings for number in tokenizer.ids_of(words)])
    count = sum(len(words) for words in beginnings)
    if not count:
        return Familiarity(0.0, 1.0, "")
    unknown = int(np.count_nonzero(ids == tokenizer.unknown))
    return Familiarity(unknown / len(ids), (len(ids) + 4 * unknown) / count, language_of(some))


def language_of(texts: Sequence[str]) -> str:
    """The language whose commonest words are most of the texts' words, empty where none stands out.

    Another language than English has to have half as many again as English has.
    """
    words = collections.Counter(word for one in texts for word in wordpiece.words(one[:2000], wordpiece.LEARNT))
    spoken = sum(count for word, count in words.items() if word.isalpha())
    shares = {
        language: sum(words[word] for word in common) / max(spoken, 1) for language, common in FUNCTION_WORDS.items()
    }
    best = max(shares, key=lambda language: (shares[language], language == ENGLISH))
    stands_out = shares[best] >= max(_LEAST, 0 if best == ENGLISH else _TIMES * shares[ENGLISH])
    return best if stands_out else ""


def spread(count: int, most: int) -> list[int]:
    """Places of so many of ``count`` at most, evenly over all."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(int)).tolist() if count else []


def foreign(found: Familiarity, *, english: bool) -> str:
    """What tells that texts are none for a pretrained encoder, a sentence; nothing of others.

    Args:
        found: by the encoder's own vocabulary.
        english: whether the encoder is of English alone.
    """
    if found.unknown >= 1 / 3:
        return f"{found.unknown:.0%} of the texts' tokens are unknown to the encoder's vocabulary"
    if english and found.language not in ("", ENGLISH):
        return f"the texts look {found.language}, and the encoder knows English"
    if english and found.pieces >= PIECES:
        return f"the encoder's vocabulary spells the texts out, {found.pieces:.1f} pieces a word"
    return ""


def warnings(texts: Sequence[str], tokenizer: text.Tokenizer, *, english: bool) -> tuple[str, ...]:
    """What a run says of training texts that its encoder hardly knows; see `foreign`."""
    words = foreign(of(texts, tokenizer), english=english) if texts else ""
    elsewhere = "give --encoder one of their language, or --encoder small, which learns from them alone"
    return (f"WARNING: {words}; {elsewhere}",) if words else ()
