"""The tokenizer in plain Python against Hugging Face's, id by id; and the file by itself, as it lies in a bundle."""

import itertools
import json
import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from benchmarks.data import token_ids
from kerastl.inputs import wordpiece
from kerastl.inputs.wordpiece import LEARNT, UNCASED, Settings

WORDS = ["the", "movie", "##s", "was", "un", "##believ", "##able", "cafe", "strasse", "!", ".", "好", "no", "##o"]
VOCABULARY = [*wordpiece.SPECIAL, *"abcdefghijklmnopqrstuvwxyz0123456789", *WORDS]
VOCABULARY += [f"##{letter}" for letter in "abcdefghijklmnpqrtuvwxyz0123456789é"] + list("éüßаяñ[]#'")
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
    "ΟΔΥΣΣΕΥΣ İI\u0307 ẞ ǅ \u1e9e \ua7da \U0001e900 \U00010d50",
    "\u302e\U0001d165 \U0001d166\u034f\U0001d165 \U0001d160\u302e \u08d4\u08e1\u0301\u302e \U0001e944\u1bf2",
    "\u1734a \U0001171eb \u166dc \U000111c9d \ufffde \ue000f \U000f0000g \U000e0001h \u08e2i \ufdd0j",
    "ភាសាខ្មែរ ပြည်သူ့ ລາວ พระ ひらがな カタカナ ﾊﾝｶｸ 𠀀𫠠𰀀",
    "\ud7a3 \u1112\u1161\u11ab \ufffd \U0001f600 \U0002a6d6 \U0002f800",
]

MARKS = [letter for letter in map(chr, range(0x20000)) if unicodedata.category(letter) in ("Mn", "Mc", "Me")]


@pytest.mark.parametrize("settings", token_ids.SETTINGS.values(), ids=token_ids.SETTINGS)
def test_ids_are_those_of_hugging_face(settings):
    generator = random.Random(3)
    marked = ["".join(("a", *generator.choices(MARKS, k=6), "b")) for _ in range(200)]
    texts = [*HARD, *marked, *token_ids.random_strings(300, seed=1)]
    for vocabulary in (VOCABULARY, token_ids.spelling(texts, token_ids.reference(wordpiece.SPECIAL, settings))):
        reference, ours = token_ids.reference(vocabulary, settings), wordpiece.Tokenizer(vocabulary, settings)
        for text in texts:
            assert ours.encode(text, 48) == token_ids.reference_ids(text, reference, 48), ascii(text)


@pytest.mark.parametrize(
    "settings", [UNCASED, Settings(lowercase=False, strip_accents=False)], ids=["uncased", "cased"]
)
def test_every_character_becomes_what_it_becomes_in_the_reference(settings):
    """Those of the planes that letters, signs and marks are in; Python's own tables are of another year."""
    reference = token_ids.reference(wordpiece.SPECIAL, settings)
    codes = [*range(0xD800), *range(0xE000, 0x20000), *range(0x2B700, 0x2BA00), *range(0xE0000, 0xE0200)]
    letters = map(chr, [*codes, *range(0x10FF00, 0x110000)])
    looked = 0
    while chunk := list(itertools.islice(letters, 2000)):
        text = "\n".join(f"a{letter}b" for letter in chunk)
        looked += len(chunk)
        ours, theirs = wordpiece.words(text, settings), token_ids.reference_words(text, reference)
        if ours != theirs:  # which one
            for letter in chunk:
                text = f"a{letter}b"
                assert wordpiece.words(text, settings) == token_ids.reference_words(text, reference), ascii(letter)
        assert ours == theirs
    assert looked > 128_000


def test_letters_of_scripts_without_spaces_are_words_of_their_own_and_marks_stay():
    assert wordpiece.words("ภาษาไทย ok", LEARNT) == [*"ภาษาไทย", "ok"]
    assert wordpiece.words("លាវ ລາວ မြန်", LEARNT) == list("លាវລາວမြန်")
    assert wordpiece.words("カタカナ ひら 漢字 ﾊﾝｶｸ 々 𰀀", LEARNT) == list("カタカナひら漢字ﾊﾝｶｸ々𰀀")
    assert wordpiece.words("हिन्दी Việt NAM 한국어", LEARNT) == ["हिन्दी", "việt", "nam", "한국어"]
    assert wordpiece.words("हिन्दी Việt", UNCASED) == ["हिनदी", "viet"]
    assert wordpiece.words("ภาษาไทย") == ["ภาษาไทย"]  # no published model takes them apart


def test_words_of_more_than_a_hundred_characters_are_unknown():
    tokenizer = wordpiece.Tokenizer(VOCABULARY)
    unknown = VOCABULARY.index("[UNK]")
    assert tokenizer.encode("é" * 101, 8).count(unknown) == 1
    assert unknown not in tokenizer.encode("é" * 100, 128)  # 200 bytes


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
        "\u302e\U0001d165" * 200_000,  # marks that stay, and change places
    ],
    ids=["words", "one word", "accents", "variation selectors", "chinese", "other marks", "nothing", "marks in order"],
)
@pytest.mark.parametrize("settings", [UNCASED, LEARNT], ids=["uncased", "learnt"])
def test_time_grows_with_the_length_alone(text, settings):
    tokenizer = wordpiece.Tokenizer(VOCABULARY, settings)
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


def test_words_are_compared_as_the_settings_say():
    assert wordpiece.words("Café, STRAẞE!") == wordpiece.words("CAFE , straße !")
    assert wordpiece.words("Café") == ["cafe"]
    assert wordpiece.words("Café", Settings(strip_accents=False)) == ["café"]
    assert wordpiece.words("Café", Settings(lowercase=False, strip_accents=False)) == ["Café"]
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


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, UNCASED),
        ({"tokenizer_config.json": {"do_lower_case": True}}, UNCASED),
        ({"tokenizer_config.json": {"do_lower_case": False}}, Settings(False, False)),
        ({"tokenizer_config.json": {"do_lower_case": False, "strip_accents": None}}, Settings(False, False)),
        ({"tokenizer_config.json": {"strip_accents": False}}, Settings(True, False)),
        ({"tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}}, Settings(False, True)),
        ({"tokenizer_config.json": {"tokenize_chinese_chars": False}}, Settings(True, True, False)),
        ({"tokenizer_config.json": LEARNT.config()}, LEARNT),
        ({"tokenizer.json": "cased"}, Settings(False, False)),
        ({"tokenizer.json": "cased", "tokenizer_config.json": {"do_lower_case": True}}, UNCASED),
        ({"tokenizer.json": {}}, UNCASED),
    ],
)
def test_settings_are_those_that_were_published_with_the_vocabulary(files, wanted, tmp_path):
    """What Hugging Face's own library writes into ``tokenizer.json`` of a cased model is among them."""
    for name, content in files.items():
        if content == "cased":
            token_ids.reference(VOCABULARY, Settings(lowercase=False, strip_accents=False)).save(str(tmp_path / name))
            content = json.loads((tmp_path / name).read_text())
            content["normalizer"]["strip_accents"] = None  # as most models have it: as the case
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    assert wordpiece.Tokenizer.from_file(tmp_path / "vocab.txt").settings == wanted
    assert Settings.of_config(wanted.config()) == wanted


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer_config.json", '{"tokenizer_class": "BertJapaneseTokenizer"}', "settings of a BertTokenizer"),
        ("tokenizer_config.json", '{"do_lower_case": "no"}', "each true or false. Received: None with"),
        ("tokenizer_config.json", "[1]", "an object of JSON"),
        ("tokenizer_config.json", "[" * 100_000, "is no JSON"),
        ("tokenizer.json", '{"normalizer": {"type": "NFKC"}}', "a BertNormalizer.* Received: NFKC and None"),
        ("tokenizer.json", '{"normalizer": null}', "Received: None and None"),
        ("tokenizer.json", '{"normalizer": {"type": "BertNormalizer"}, "model": {"type": "BPE"}}', "and BPE"),
    ],
)
def test_another_tokenizer_is_refused(name, content, words, tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        wordpiece.Tokenizer.from_file(tmp_path / "vocab.txt")
