from __future__ import annotations

import pytest

from kerastl.data import bert_vocabulary
from kerastl.inputs import wordpiece


def test_it_is_the_published_one():
    try:
        tokens = bert_vocabulary.tokens()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert len(tokens) == 30_522
    # ids that BERT's own documentation names
    assert [tokens.index(token) for token in wordpiece.SPECIAL] == [0, 100, 101, 102, 103]
    assert wordpiece.Tokenizer(tokens).encode("Hello, world!", 8) == [101, 7592, 1010, 2088, 999, 102, 0, 0]
