"""The unigram tokenizer in plain Python against the library, id by id, over small models that are trained here."""

from __future__ import annotations

import io
import random
import struct
import time

import pytest
import sentencepiece as library

from benchmarks.data import token_ids
from kerastl.inputs import sentencepiece

SPOKEN = [
    "The quick brown fox jumps over the lazy dog, and the film was unbelievably good!",
    "Der schnelle braune Fuchs springt über den faulen Hund; das Straßenfest war größer.",
    "Le renard brun saute par-dessus le chien paresseux, où l'été s'achève.",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "素早い茶色の狐がのろまな犬を飛び越える。カタカナとﾊﾝｶｸ、ＦＵＬＬ　ＷＩＤＴＨ①㎏ﬁ",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ",
    "빠른 갈색 여우가 게으른 개를 뛰어넘습니다.",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है",
]
HARD = [
    *(
        "",
        " ",
        "   \t\n ",
        "a  b   c ",
        " ▁ ▁▁x▁",
        "e\u0301 é ﬃ ½ ㈠ ㍿",
        "\u3000full\u3000width\u3000",
        "\u200b\u200b",
    ),
    *(
        "zero\u200bwidth\u00adhyphen\ufeff",
        "👍🏽👨‍👩‍👧",
        "x" * 300,
        "<s> </s> <unk> [MASK]",
        "<user>the<user>",
        "a<us",
        "\x00\x07",
        "\ufffd",
    ),
]
MODELS = {
    "nmt_nfkc": {},
    "nmt_nfkc_cf, byte fallback": {"normalization_rule_name": "nmt_nfkc_cf", "byte_fallback": True},
    "nfkc, symbols": {"normalization_rule_name": "nfkc", "user_defined_symbols": ["<user>", "<us", "fox"]},
    "identity, spaces kept": {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
    },
}


def trained(**options) -> bytes:
    """A small unigram model of the sentences above: a second."""
    content = io.BytesIO()
    generator = random.Random(0)
    words = [word for line in SPOKEN for word in line.split()]
    lines = SPOKEN * 4 + [" ".join(generator.choices(words, k=12)) for _ in range(300)]
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=content,
        vocab_size=420,
        hard_vocab_limit=False,
        character_coverage=0.98,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return content.getvalue()


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def model(request) -> bytes:
    return trained(**request.param)


def lines(count: int, *, seed: int) -> list[str]:
    """Words of the sentences, put together otherwise, misspelled, and with spaces of every kind between."""
    generator = random.Random(seed)
    words = [word for line in SPOKEN for word in line.split()]

    def word() -> str:
        one = generator.choice(words)
        return one if generator.random() < 0.6 else "".join(generator.sample(one, len(one))).upper()

    spaces = [" "] * 6 + ["  ", "\u3000", "\u00a0", "\n", ""]
    return [
        "".join(word() + generator.choice(spaces) for _ in range(generator.choice((1, 3, 7)))) for _ in range(count)
    ]


def test_ids_are_those_of_the_library(model):
    ours = sentencepiece.Tokenizer(model)
    theirs = library.SentencePieceProcessor(model_proto=model)
    assert [piece.text for piece in ours.pieces] == [theirs.id_to_piece(n) for n in range(len(theirs))]
    texts = [*HARD, *SPOKEN, *lines(2_300, seed=1), *token_ids.random_strings(200, seed=4)]
    assert len(texts) > 2500  # ten thousand over the four models
    wrong = [text for text, ids in zip(texts, theirs.encode(texts), strict=True) if ours.encode(text) != ids]
    assert [ascii(text) for text in wrong[:3]] == []


def message(fields) -> bytes:
    """A protobuf message: numbers, floats, and what has a length."""
    written = b""
    for number, value in fields:
        if isinstance(value, float):
            written += bytes([number << 3 | 5]) + struct.pack("<f", value)
        elif isinstance(value, int):
            written += bytes([number << 3, value])
        else:
            written += bytes([number << 3 | 2, len(value)]) + value
    return written


def test_ways_that_float32_cannot_tell_apart_are_divided_as_in_the_library():
    """Behind a thousand pieces "a" and "b" are better than "ab" by less than float32 holds: the first found stays."""
    pieces = [(b"<unk>", 0.0, 2), (b"<s>", 0.0, 3), (b"</s>", 0.0, 3), (b"z", -5.0, 1)]
    pieces += [(b"ab", -3.0, 1), (b"a", -1.5, 1), (b"b", -1.4999, 1)]
    model = message((1, message(enumerate(piece, 1))) for piece in pieces)
    model += message([(2, message([(3, 1)])), (3, message([(1, b"identity"), (3, 0)]))])
    ours, theirs = sentencepiece.Tokenizer(model), library.SentencePieceProcessor(model_proto=model)
    assert ours.encode("ab") == theirs.encode("ab") == [5, 6]
    text = "z" * 1000 + "ab"
    assert ours.encode(text) == theirs.encode(text) == [3] * 1000 + [4]


def test_time_grows_with_the_length_alone(model):
    ours = sentencepiece.Tokenizer(model)
    for text in ("the " * 3_000, "x" * 12_000, "\u0301" * 12_000, " " * 40_000):
        start = time.process_time()
        ours.encode(text)
        assert time.process_time() - start < 5, ascii(text[:4])  # 0.2 s


def test_another_model_or_none_is_refused(tmp_path):
    for content in (b"", b"\x0a", b"\xff" * 20, b"\x0f\x00", b"\x0a\x02\x0a\x09"):
        with pytest.raises(ValueError, match="Wanted"):
            sentencepiece.Tokenizer(content)
    with pytest.raises(ValueError, match=r"Wanted a unigram model.* Received: model type 2"):
        sentencepiece.Tokenizer(trained(model_type="bpe"))
    with pytest.raises(FileNotFoundError, match="no model file"):
        sentencepiece.Tokenizer.from_file(tmp_path / "none.model")


def test_a_file_is_read(tmp_path, model):
    (tmp_path / "a.model").write_bytes(model)
    ours = sentencepiece.Tokenizer.from_file(tmp_path / "a.model")
    assert ours.encode("the fox") == library.SentencePieceProcessor(model_file=str(tmp_path / "a.model")).encode(
        "the fox"
    )
    (score,) = struct.unpack("f", struct.pack("f", ours.pieces[5].score))
    assert score == ours.pieces[5].score  # float32, as the library computes
