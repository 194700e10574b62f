"""How many tokens are read where nobody says it."""

from __future__ import annotations

import pytest

from kerastl.data import lengths, text_csv
from kerastl.inputs import wordpiece

TOKENIZER = wordpiece.Tokenizer([*wordpiece.SPECIAL, "a"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([1] * 100, 16),
        ([20] * 100, 24),  # 22 with [CLS] and [SEP], in steps of 8
        ([22] * 100, 24),
        ([23] * 100, 32),
        ([10] * 99 + [400], 16),  # one in a hundred is cut off
        ([10] * 90 + [400] * 10, 256),
        ([30] * 50_000, 32),
    ],
)
def test_nearly_all_texts_are_read_whole(words, wanted):
    assert lengths.usual(TOKENIZER, [" ".join(["a"] * count) for count in words]) == wanted


def test_a_data_set_takes_the_length_of_its_training_texts_and_loads_again_with_it(tmp_path):
    train = [f"{'word ' * 30}{number},{'yes' if number % 2 else 'no'},train" for number in range(40)]
    rest = [
        f"{'word ' * 200}{number},{'yes' if number % 2 else 'no'},{'test' if number < 60 else 'validation'}"
        for number in range(40, 80)
    ]
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(["text,label,split", *train, *rest]) + "\n")
    found = text_csv.load(path, sequence_length=None, vocabulary=None)
    assert found.task.inputs.shape == (40,)  # 30 words, a number of two digits or so, [CLS] and [SEP]
    assert found.arguments["sequence_length"] == 40
    assert text_csv.load(**found.arguments).digest == found.digest
