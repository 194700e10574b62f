"""Sentences of one's own, of any language, in a CSV, TSV or JSON lines file: token ids and labels in three splits.

Every row is looked at before anything is trained. What cannot be used is listed with its reason: all of it at once.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import bert_vocabulary, image_folder, multi_label_sets, splits, text_file
from kerastl.inputs import wordpiece

LEAST = 3
"""Examples that every class needs: one to learn from, one to choose by, one to measure on."""
_SHOWN = 20
_HALF = re.compile("[\ud800-\udfff]")  # JSON can spell it
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
"""What may stand in a column of a class, and whether it says that the class is there; JSON has words for it."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A sentence, its label, the split that the file gives it (``None``: none), and where it stands, for messages.

    Attributes:
        label: its class; where it may have none or several, their names in words.
        labels: its classes, where it may have none or several; else ``None``.
    """

    text: str
    label: str
    split: str | None
    where: str
    labels: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes, however many it may have."""
        return (self.label,) if self.labels is None else self.labels


def load(
    path: str | Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    sequence_length: int = 128,
    vocabulary: str | Path | None = "bert",
    vocabulary_size: int = 8000,
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
    measure_on_train: bool = False,
) -> types.Dataset:
    """A file of sentences in three splits.

    Args:
        path: see `text_file.read`.
        text_column, label_column: names of the columns; labels are any text or number.
        split_column: a column with train, validation and test, where the file has one; a row without such a word is
            training.
        label_separator: stands between the classes of a text, ``"|"`` for example, where a text may have none (an empty
            field), one or several of them. Of a JSON lines file a label may also be a list of names: then every text of
            it may have several, and no separator is needed.
        label_columns: instead of ``label_column`` the names of the classes, each a column of 0 and 1.
        sequence_length: token ids an example, [CLS] and [SEP] among them; longer texts are cut off.
        vocabulary: ``"bert"``, which BERT's uncased models read; the path of a file with one token a line; or ``None``
            to learn one from the training texts, see `learn_vocabulary`, for a model that is trained from nothing.
        vocabulary_size: tokens of one that is learned.
        policy: what becomes of empty texts, missing labels and texts that carry two labels: ``"fail"`` raises and lists
            them, ``"skip"`` lists them on stderr and leaves them out.
        validation, test: how many (int), or what share (float), where the file has no such split. Copies are left out
            first, see `build_dataset`, so that none stands in two of them.
        seed: decides which texts validate and test, and the order.
        limit: keeps so many training texts, and of the other splits a like share, but ten a class at least.
        class_names: the order of the classes, where it must be one that is known already; by default the labels in
            natural order: 1, 2, 10.
        measure_on_train: all three splits are the training texts, for a set too small to be divided, two sentences to
            try things out. Its scores say what was learned by heart and nothing else; that the splits share their
            texts is in the report.

    Returns:
        Inputs int32 ``(examples, sequence_length)``, labels int32 ``(examples,)``, or where a text may have several
        classes uint8 ``(examples, classes)`` of 0 and 1; ``task.vocabulary`` holds the token of each id.

    Raises:
        FileNotFoundError: there is no such file, or the vocabulary cannot be had.
        ValueError: the file cannot be read; rows that cannot be used under ``"fail"``; a class of fewer than three
            examples, with which nothing could be measured; or no such split can be made.
    """
    if policy not in ("fail", "skip"):
        raise ValueError(f"policy is 'fail' or 'skip'. Received: {policy!r}.")
    path, label_options = Path(path), multi_label_sets.columns_or_separator(label_separator, label_columns)
    examples, problems = rows(path, [text_column, label_column], split_column, label_options=label_options)
    arguments = {"path": str(path.resolve()), "text_column": text_column, "label_column": label_column}
    arguments |= {"split_column": split_column, "policy": policy} | label_options
    dataset = build_dataset(
        examples,
        name=path.stem,
        source="text_csv",
        problems=problems,
        skip=policy == "skip",
        columns=label_options.get("label_columns", ()),
        sequence_length=sequence_length,
        vocabulary=vocabulary,
        vocabulary_size=vocabulary_size,
        validation=validation,
        test=test,
        seed=seed,
        limit=limit,
        class_names=class_names,
        measure_on_train=measure_on_train,
        arguments=arguments,
    )
    # so that a label which was renamed since is found out when the data set is loaded again
    again = {**dataset.arguments, "class_names": list(dataset.task.class_names)}
    return dataclasses.replace(dataset, arguments=again)


def rows(
    path: Path, columns: Sequence[str], split_column: str, *, label_options: Mapping[str, Any] = MappingProxyType({})
) -> tuple[list[Example], list[str]]:
    """The rows that can be used, and what is wrong with each of the others: ``line 7: empty text``.

    Args:
        path, split_column: as for `load`.
        columns: of texts and of labels.
        label_options: one of ``label_separator`` and ``label_columns``, see `multi_label_sets.columns_or_separator`.

    Raises:
        FileNotFoundError, ValueError: as `text_file.read`; or a separator that stands in no label.
    """
    examples, problems = [], []
    flags, separator = label_options.get("label_columns", ()), label_options.get("label_separator")
    lists = {} if flags else text_file.lists(path, columns[1])
    wanted, separated = [columns[0], *(flags or columns[1:])], bool(lists)
    for line, (text, *cells, split), torn in text_file.read(path, columns=wanted, optional=[split_column]):
        where, split = f"line {line}", (split or "").strip().lower()
        separated |= separator is not None and separator in (cells[0] or "")
        if flags:
            found, problem = _flagged(dict(zip(flags, cells, strict=True)))
        elif label_options or lists:
            found, problem = _listed(lists.get(line, cells[0]), separator=separator)
            found = list(multi_label_sets.names_of(found))
        else:
            found = [(cells[0] or "").strip()]
            problem = None if found[0] else "no label"
        if torn is not None:
            problem = torn
        elif not (text or "").strip():
            problem = "empty text"
        elif problem is None and any(_HALF.search(value or "") for value in (text, *found)):
            problem = "half a character (a lone surrogate), which no file can hold"
        elif problem is None and (odd := [name for name in found if len(name.splitlines()) > 1]):
            problem = f"the label {odd[0][:60]!r}, which is not one line of text"
        elif problem is None and split and split not in splits.BY_WORD:
            problem = f"split {split!r}, which is none of train, validation, test"
        if problem is not None:
            problems.append(f"{where}: {problem}")
            continue
        labels = tuple(sorted(found)) if label_options or lists else None
        label = found[0] if labels is None else (separator or ", ").join(labels)
        examples.append(Example(text or "", label, splits.BY_WORD.get(split), where, labels))
    if separator is not None and not separated and (examples or problems):
        raise ValueError(
            f"Wanted texts of several classes with {separator!r} between them under {columns[1]!r}. Received: {path}, "
            f"where it stands in no field{f'; the first is {examples[0].label!r}' if examples else ''}."
        )
    return examples, problems


def _listed(label: str | Sequence[str | None] | None, *, separator: str | None) -> tuple[list[str], str | None]:
    """The names that a label holds, and what is wrong with it: a list has them apart, a text between separators."""
    if label is None:
        return [], "no label"
    if isinstance(label, str):
        return (label.split(separator), None) if separator else ([label], None if label.strip() else "no label")
    names = [name for name in label if name is not None]
    return names, None if len(names) == len(label) else "a list of labels with something in it that is no name"


def _flagged(flags: Mapping[str, str | None]) -> tuple[list[str], str | None]:
    """The classes whose column says that they are there, and what is wrong with the columns."""
    values = {name: None if flag is None else _FLAGS.get(flag.strip()) for name, flag in flags.items()}
    odd = [
        f"nothing under {name}" if flags[name] is None else f"{flags[name]!r} under {name}"
        for name, value in values.items()
        if value is None
    ]
    return [name for name in values if values[name]], f"{', '.join(odd)}, where 0 or 1 is wanted" if odd else None


def build_dataset(
    examples: Sequence[Example],
    *,
    name: str,
    source: str,
    problems: Sequence[str] = (),
    skip: bool,
    columns: Sequence[str] = (),
    sequence_length: int,
    vocabulary: str | Path | None,
    vocabulary_size: int,
    validation: int | float,
    test: int | float,
    seed: int,
    limit: int | None,
    class_names: Sequence[str] | None,
    measure_on_train: bool = False,
    arguments: Mapping[str, Any],
) -> types.Dataset:
    """Examples as a data set: copies left out, split, tokenized; arguments and errors as for `load`.

    Two texts are copies where case and white space alone tell them apart. Of copies the test split keeps its own, then
    validation, then train. A text with two labels is left out of everything.

    Args:
        examples: in the order of the file.
        name: of the task.
        source: the module that loads it again, with ``arguments`` and those that are given here.
        problems: what is wrong with examples that are not among these.
        skip: whether to go on without them.
        columns: names of classes, those without an example too, where the file has a column of each.
    """
    examples, contradicting = _without_copies(examples)
    _tell([*problems, *contradicting], found=len(examples), skip=skip)
    names = _class_names(examples, columns, wanted=class_names, least=1 if measure_on_train else LEAST)
    labels = _labels(examples, names)
    if measure_on_train:
        learned_from = [index for index, one in enumerate(examples) if (one.split or "train") == "train"]
        parts = dict.fromkeys(splits.WORDS, np.asarray(learned_from, np.int64))
    else:
        parts = _divided(examples, labels, validation=validation, test=test, seed=seed)
    if limit is not None:  # here already: what is left out need not be tokenized
        same = dict.fromkeys(parts, labels)
        parts = splits.limit_examples(parts, same, limit=limit, least=10 * len(names), seed=seed)
    tokens = _tokens(vocabulary, [examples[index].text for index in parts["train"]], size=vocabulary_size)
    tokenizer = wordpiece.Tokenizer(tokens)
    arrays = {}
    for split, rows in parts.items():
        ids = [tokenizer.encode(examples[index].text, sequence_length) for index in rows]
        arrays[f"{split}_inputs"] = np.asarray(ids, np.int32).reshape(len(rows), sequence_length)
        arrays[f"{split}_labels"] = labels[rows]
    multi_label = types.is_multi_label(labels)
    task = types.Task(name, names, (sequence_length,), vocabulary=tuple(tokens), multi_label=multi_label)
    again = {"sequence_length": sequence_length, "vocabulary": _from_anywhere(vocabulary)}
    again |= {"vocabulary_size": vocabulary_size, "validation": validation, "test": test, "limit": limit}
    again |= {"measure_on_train": True} if measure_on_train else {}
    dataset = splits.dataset(
        task,
        arrays,
        seed=seed,
        validation=validation,
        limit=None,
        source=source,
        arguments={**arguments, **again},
    )
    return dataclasses.replace(dataset, origin=_origin(examples, parts, seed=seed))


def _from_anywhere(vocabulary: str | Path | None) -> str | None:
    """A vocabulary's name, or a path that is the same from another working folder."""
    return None if vocabulary is None else "bert" if vocabulary == "bert" else os.path.abspath(vocabulary)


def _origin(examples: Sequence[Example], parts: Mapping[str, np.ndarray], *, seed: int) -> str:
    """See `types.Dataset.origin`; the seed stands for the order that `splits.dataset` brings the parts into."""
    sha256 = hashlib.sha256(f"seed {seed}\n".encode())
    for split, rows in parts.items():
        sha256.update(f"{split} {len(rows)}\n".encode())
        for index in rows:
            one = examples[index]
            for part in (one.text, *((one.label,) if one.labels is None else (str(len(one.labels)), *one.labels))):
                written = part.encode(errors="surrogatepass")
                sha256.update(f"{len(written)}:".encode() + written)
    return sha256.hexdigest()


def learn_vocabulary(texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    """A vocabulary for texts of any language: their characters, which spell every word of theirs, and frequent words.

    Args:
        texts: training texts only: what is measured must not have been looked at.
        size: tokens at most.

    Returns:
        The special tokens, the most frequent characters at the beginning and within words (half of the size at most),
        then the most frequent words; equally frequent ones in the order of their code points.
    """
    words: collections.Counter[str] = collections.Counter()
    for text in texts:
        words.update(wordpiece.words(text))
    # folding makes a plain space of an unbreakable one, which separates no words: a vocabulary file cannot hold it
    for word in [word for word in words if not word.isprintable() or " " in word]:
        del words[word]
    letters: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for place, letter in enumerate(word):
            letters[letter if place == 0 else wordpiece.SUFFIX + letter] += count
    tokens = list(wordpiece.SPECIAL)
    for counted, most in ((letters, size // 2), (words, size)):
        ranked = sorted(counted, key=lambda token: (-counted[token], token))
        known = set(tokens)
        tokens += [token for token in ranked if token not in known and not token.isspace()][: most - len(tokens)]
    return tuple(tokens)


def _tokens(vocabulary: str | Path | None, texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    if vocabulary is None:
        return learn_vocabulary(texts, size=size)
    if vocabulary == "bert":
        return bert_vocabulary.tokens()
    if not Path(vocabulary).is_file():
        raise FileNotFoundError(
            f"There is no vocabulary file {vocabulary}. Available without one: 'bert', and None to learn one."
        )
    return wordpiece.Tokenizer.from_file(vocabulary).vocabulary


def normalize(text: str) -> str:
    """What two texts share that case and white space alone tell apart."""
    return " ".join(text.casefold().split())


def _without_copies(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """The examples that are no copies, in their order, and which texts carry two labels."""
    groups: dict[str, list[Example]] = collections.defaultdict(list)
    for example in examples:
        groups[normalize(example.text)].append(example)
    kept: set[int] = set()
    problems = []
    for group in groups.values():
        labels = {example.names for example in group}
        if len(labels) > 1:
            where = ", ".join(f"{example.where} {example.label!r}" for example in group[:4])
            what = "labels" if group[0].labels is None else "sets of labels"
            problems.append(f"{where}: the same text with {len(labels)} {what}")
            continue
        # a split that was published keeps its examples: min takes the first of equal ones
        kept.add(id(min(group, key=lambda one: ("test", "validation", "train", None).index(one.split))))
    return [example for example in examples if id(example) in kept], problems


def _tell(problems: Sequence[str], *, found: int, skip: bool) -> None:
    if not problems:
        return
    more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    words = "\n".join(f"  {problem}" for problem in problems[:_SHOWN]) + more
    if not skip:
        raise ValueError(f"{len(problems)} of the texts cannot be used; policy='skip' leaves them out:\n{words}")
    print(f"kerastl: {len(problems)} texts are left out, {found} are kept:\n{words}", file=sys.stderr)


def _labels(examples: Sequence[Example], names: Sequence[str]) -> np.ndarray:
    """Class indices ``(examples,)``, or 0 and 1 ``(examples, classes)`` where an example may have several."""
    number = {name: index for index, name in enumerate(names)}
    if all(example.labels is None for example in examples):
        return np.asarray([number[example.label] for example in examples], np.int32)
    labels = np.zeros((len(examples), len(names)), np.uint8)
    for row, example in zip(labels, examples, strict=True):
        row[[number[name] for name in example.names]] = 1
    return labels


def _class_names(
    examples: Sequence[Example], columns: Sequence[str], *, wanted: Sequence[str] | None, least: int
) -> tuple[str, ...]:
    counts = collections.Counter(name for example in examples for name in example.names)
    counts.update(dict.fromkeys(columns, 0))
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in counts)
    names = sorted(counts, key=int) if whole else sorted(counts, key=image_folder.natural)
    splits.check_names(names, wanted, what="labels")
    if len(names) < 2:
        raise ValueError(f"Wanted texts of two classes at least. Received: {', '.join(map(repr, names)) or 'no text'}.")
    few = [f"{counts[name]} of {name!r}" for name in names if counts[name] < least]
    if few:
        raise ValueError(
            f"Every class needs {least} different texts at least: one to learn from, one to choose by, one to measure "
            f"on. Received: {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}, {len(examples)} texts in all. "
            "Of fewer, nothing could be said about how good a model is; to try things out all the same, "
            "measure_on_train=True measures what was learned by heart."
        )
    return tuple(wanted or names)


def _divided(
    examples: Sequence[Example], labels: np.ndarray, *, validation: int | float, test: int | float, seed: int
) -> dict[str, np.ndarray]:
    """Split -> indices of its examples; what the file does not split is split here, each class in proportion."""
    parts = {
        split: np.asarray([index for index, one in enumerate(examples) if (one.split or "train") == split], np.int64)
        for split in ("train", "validation", "test")
    }
    multi_label = types.is_multi_label(labels)
    # one of each class, where a share of a small file would be less
    least = multi_label_sets.minimum_examples(labels) if multi_label else len(set(labels.tolist()))
    for number, (split, wanted) in enumerate((("test", test), ("validation", validation))):
        if len(parts[split]):
            continue
        left = parts["train"]
        if isinstance(wanted, float) and 0 < wanted < 1:
            wanted = max(round(wanted * len(examples)), least)
        if multi_label:
            missing = sum(not len(parts[one]) for one in ("test", "validation"))
            kept, taken = splits.iterative_stratification(
                labels[left], validation=wanted, seed=2 * seed + number, leave=missing
            )
        else:
            kept, taken = splits.stratified(labels[left], validation=wanted, seed=2 * seed + number)
        parts[split], parts["train"] = left[taken], left[kept]
    return parts
