"""The tokenizer in plain Python against keras-hub's, id by id; and the file by itself, as it lies in a bundle."""

import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from kerastl.inputs import wordpiece

WORDS = ["the", "movie", "##s", "was", "un", "##believ", "##able", "cafe", "strasse", "!", ".", "好", "no", "##o"]
VOCABULARY = [*wordpiece.SPECIAL, *"abcdefghijklmnopqrstuvwxyz0123456789", *WORDS]
VOCABULARY += [f"##{letter}" for letter in "abcdefghijklmnpqrtuvwxyz0123456789é"] + list("éüßаяñ[]#'")
SPACES = [sign for sign in map(chr, range(0x110000)) if unicodedata.category(sign) in ("Zs", "Zl", "Zp")]
HARD = [
    "",
    "   \t\r\n\f ",
    "The movies was unbelievable!!",
    "café CAFÉ cafe\u0301 naïve Straße STRASSE ΣΑΣ ς",
    "好電影。不好!日本語テスト한국어 ﾊﾝｶｸ",
    "👍🏽👨‍👩‍👧 ❤️ 🇩🇪 ok",
    "a\x00b\x07c\x7fd\u200be\u200df\ufeffg\u00adh\u2028i\x0bj\x85k\u00a0l\u3000m",
    "[CLS] [SEP] [PAD] [UNK] [MASK] [cls] ##s # # s",
    "ﬁne ｆｕｌｌ ＷＩＤＴＨ ² ½ ㎏ Ⅷ ᾂ İstanbul ıI ǅ",
    "e\u0323\u0301\u0327 q\u0307\u0323 \u0301start \u302e\u302f \U0001d165\U0001d16d",
    "\u115f\u1160\u3164\uffa0 \ufe0f\ufe0e \U000e0041 x\u034fy",
    "x" * 100 + " " + "x" * 101 + " " + "é" * 50 + " " + "é" * 51,
    "don't stop-it e.g. 3.14 $5 50% a_b a/b <br /><br />",
    "Việt Nam ăâđêôơư ₫ שָׁלוֹם عَرَبِي हिन्दी ไทย",
    "\ud7a3 \u1112\u1161\u11ab \ufffd \U0001f600 \U0002a6d6 \U0002f800",
]


def sentences(count: int, seed: int) -> list[str]:
    """Mixed sentences: words, letters of every script that is assigned, marks, controls, signs."""
    generator = random.Random(seed)
    ranges = [(0x20, 0x7E)] * 6 + [(0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF)]
    ranges += [
        (0xE00, 0x11FF),
        (0x1E00, 0x206F),
        (0x2000, 0x2BFF),
        (0x3000, 0x4FFF),
        (0xAC00, 0xD7A3),
        (0xF900, 0xFFFD),
    ]
    ranges += [
        (0x1D100, 0x1D7FF),
        (0x1F300, 0x1FAFF),
        (0x20000, 0x2A6DF),
        (0xE0000, 0xE01EF),
        (0x00, 0x1F),
        (0x7F, 0xA0),
    ]

    def word() -> str:
        kind = generator.random()
        if kind < 0.4:
            return generator.choice([*WORDS, "Movie", "THE", "great", *wordpiece.SPECIAL]).lstrip("#")
        first, last = generator.choice(ranges)
        letters = (chr(generator.randint(first, last)) for _ in range(generator.randint(1, 12)))
        return "".join(letter for letter in letters if unicodedata.category(letter) not in ("Cn", "Cs"))

    made = []
    for _ in range(count):
        separator = generator.choice([" ", " ", " ", "", "\t", "\u00a0", "-"])
        made.append(separator.join(word() for _ in range(generator.choice([0, 1, 3, 10, 30, 200]))))
    return made


def keras_hub_ids(vocabulary, texts, *, length: int, strip_accents: bool) -> np.ndarray:
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(
        list(vocabulary), lowercase=True, strip_accents=strip_accents, sequence_length=None
    )
    pack = keras_hub.layers.MultiSegmentPacker(
        sequence_length=length,
        start_value=tokenizer.cls_token_id,
        end_value=tokenizer.sep_token_id,
        pad_value=tokenizer.pad_token_id,
    )
    return np.stack([np.asarray(pack(tokenizer([text]))[0])[0] for text in texts])


def assert_same(vocabulary, texts, *, length: int, strip_accents: bool) -> None:
    ours = wordpiece.Tokenizer(vocabulary, strip_accents=strip_accents)
    plain = [text.translate(dict.fromkeys(map(ord, SPACES), " ")) for text in texts]  # which keras-hub knows
    wanted = keras_hub_ids(vocabulary, plain, length=length, strip_accents=strip_accents)
    for text, row in zip(texts, wanted.tolist(), strict=True):
        assert ours.encode(text, length) == row, ascii(text)


@pytest.mark.parametrize("strip_accents", [True, False])
def test_ids_are_those_of_keras_hub(strip_accents):
    texts = HARD + sentences(300, seed=1)
    print(f"{len(texts)} sentences")
    assert_same(VOCABULARY, texts, length=48, strip_accents=strip_accents)


@pytest.mark.parametrize("strip_accents", [True, False])
def test_every_space_of_unicode_separates_words_as_in_the_reference(strip_accents):
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    normalizer = BertNormalizer(lowercase=True, strip_accents=strip_accents)
    assert len(SPACES) >= 19
    for space in SPACES:
        text = f"good{space}film{space}{space}was"
        reference = [word for word, _ in BertPreTokenizer().pre_tokenize_str(normalizer.normalize_str(text))]
        assert reference == wordpiece.words(text) == ["good", "film", "was"], ascii(space)
        ours = wordpiece.Tokenizer(VOCABULARY, strip_accents=strip_accents)
        assert ours.encode(text, 24) == ours.encode("good film was", 24), ascii(space)


@pytest.mark.slow
@pytest.mark.parametrize("strip_accents", [True, False])
def test_ten_thousand_sentences_in_the_vocabulary_of_bert(strip_accents):
    from kerastl.data import bert_vocabulary

    vocabulary = bert_vocabulary.tokens()
    assert_same(vocabulary, HARD + sentences(10_000, seed=2), length=64, strip_accents=strip_accents)


def test_truncation_and_padding():
    tokenizer = wordpiece.Tokenizer(VOCABULARY)
    pad, start, end = (VOCABULARY.index(token) for token in ("[PAD]", "[CLS]", "[SEP]"))
    assert tokenizer.encode("", 4) == [start, end, pad, pad]
    the = VOCABULARY.index("the")
    assert tokenizer.encode("the " * 100_000, 5) == [start, the, the, the, end]
    with pytest.raises(ValueError, match="Received: 2"):
        tokenizer.encode("the", 2)


@pytest.mark.parametrize(
    "text",
    [
        "word " * 100_000,
        "x" * 1_000_000,
        "a" + "\u0301\u0323\u0327" * 100_000,  # a row of accents that normalization would sort
        "\ufe0f" * 500_000 + "a",
        "好" * 300_000,
        "\u302f\u302e" * 100_000,
        "\u200b" * 1_000_000,
    ],
    ids=["words", "one word", "accents", "variation selectors", "chinese", "other marks", "nothing"],
)
@pytest.mark.parametrize("strip_accents", [True, False])
def test_time_grows_with_the_length_alone(text, strip_accents):
    tokenizer = wordpiece.Tokenizer(VOCABULARY, strip_accents=strip_accents)
    start = time.process_time()
    assert len(tokenizer.encode(text, 128)) == 128
    assert time.process_time() - start < 3  # 0.1 s; sorting the accents took 11 s


def test_special_tokens_are_not_read_out_of_a_text():
    tokenizer = wordpiece.Tokenizer(VOCABULARY)
    ids = tokenizer.encode("[SEP] [PAD] [MASK]", 32)
    assert ids.count(VOCABULARY.index("[SEP]")) == 1
    assert VOCABULARY.index("[MASK]") not in ids


def test_a_vocabulary_needs_its_special_tokens():
    with pytest.raises(ValueError, match=r"without \[MASK\]"):
        wordpiece.Tokenizer([token for token in VOCABULARY if token != "[MASK]"])
    # the last one's id would pad, and the model would read it for a word
    with pytest.raises(ValueError, match=r"Received: \[PAD\] more than once"):
        wordpiece.Tokenizer([*VOCABULARY, "[PAD]"])


def test_decoded_text_reads_like_the_text():
    ids = wordpiece.Tokenizer(VOCABULARY).encode("The movies, unbelievable!", 16)
    assert wordpiece.decode(ids, VOCABULARY) == "the movies [UNK] unbelievable !"


def test_words_are_compared_folded():
    assert wordpiece.words("Café, STRAẞE!") == wordpiece.words("CAFE , strasse !")
    assert wordpiece.words("not good") != wordpiece.words("notgood")


def test_the_file_runs_by_itself(tmp_path):
    """As it lies in a bundle: copied, without kerastl on the path."""
    copy = tmp_path / "tokenizer.py"
    copy.write_bytes(Path(wordpiece.__file__).read_bytes())
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(copy), str(tmp_path / "vocab.txt"), "8", "The movies"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [int(word) for word in done.stdout.split()] == wordpiece.Tokenizer(VOCABULARY).encode("The movies", 8)
    assert wordpiece.Tokenizer.from_file(tmp_path / "vocab.txt").vocabulary == tuple(VOCABULARY)
