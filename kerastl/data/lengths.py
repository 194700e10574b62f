"""How many tokens of a text are read, where nobody says it: enough for nearly all of the texts, and no more.

What an encoder computes for a text grows with its length, padding included: of questions of 14 tokens on average, 256
tokens take six times as long as 48, for the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerastl.inputs import text

LEAST, MOST, STEP = 16, 256, 8
"""Tokens that are read at least and at most; a length is a multiple of the last."""
_SHARE, _SAMPLE = 98, 2000


def usual(tokenizer: text.Tokenizer, texts: Sequence[str]) -> int:
    """Tokens, [CLS] and [SEP] among them, that 98 in 100 training texts do not exceed: a multiple of 8, 16 to 256.

    Args:
        tokenizer: of the vocabulary that the texts are read with.
        texts: of train alone, one or more; of many 2,000 are looked at, evenly spread.
    """
    rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _SAMPLE)).astype(int))
    counts = [MOST - tokenizer.encode(texts[int(row)], MOST).count(tokenizer.padding) for row in rows]
    needed = float(np.percentile(counts, _SHARE))
    return int(np.clip(-(-needed // STEP) * STEP, LEAST, MOST))
