"""Sentences of one's own, of any language, in a table or in files: token ids and labels in three splits.

Every row is looked at before anything is trained. What cannot be used is listed with its reason: all of it at once.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kerastl import types
from kerastl.data import (
    class_mismatch,
    class_order,
    column_roles,
    enough,
    familiarity,
    labelled_texts,
    left_out,
    lengths,
    multi_label_columns,
    splits,
    strata,
    vocabularies,
)
from kerastl.data.labelled_texts import Example
from kerastl.data.tables.table import Layout, stored
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.system import phrases
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

Asked = Literal["classification", "regression"]
"""What labels are: names of classes, or numbers to estimate."""

LEAST = 3
"""Examples that every class needs: one to learn from, one to choose by, one to measure on."""


def load(
    path: str | Path,
    *,
    text_column: str = "text",
    second_text_column: str = "",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    sequence_length: int | None = 128,
    vocabulary: vocabularies.Vocabulary = "bert",
    vocabulary_size: int = 8000,
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
    measure_on_train: bool = False,
    task: Asked = "classification",
    unit: str = "",
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """Sentences in three splits.

    Args:
        path: a file, a folder or an archive, see `tables.files.read`.
        text_column, label_column: names of the columns; labels are any text or number. Where there is no such column
            it is found by what it holds, which is said, see `column_roles.find`.
        second_text_column: of a text that each stands with, where examples are pairs: a question and an answer, say.
        split_column: a column with train, validation and test, where the file has one; a row without such a word is
            training.
        label_separator: stands between the classes of a text, ``"|"`` for example, where a text may have none (an empty
            field), one or several of them. Of a JSON lines file a label may also be a list of names: then every text of
            it may have several, and no separator is needed.
        label_columns: instead of ``label_column`` the names of the classes, each a column of 0 and 1.
        sequence_length: token ids an example, [CLS] and [SEP] among them; longer texts are cut off. ``None`` takes the
            length that 98 in 100 training texts do not exceed, see `lengths.usual`.
        vocabulary: ``"bert"``, which BERT's uncased models read; the path of a file with one token a line, read with
            the settings that stand beside it; the tokens themselves; what ``task.inputs.described()`` says of texts
            that were read already; or ``None`` to learn them from the training texts
            (`vocabularies.learn_vocabulary`), for a model trained from nothing.
        vocabulary_size: tokens of one that is learned.
        policy: what becomes of empty texts, missing labels and texts that carry two labels: ``"fail"`` raises and lists
            them, ``"skip"`` lists them on stderr and leaves them out. Copies of a text with the same label are left
            out in any case.
        validation, test: how many (int), or what share (float), where the file has no such split. Copies are left out
            first, see `build_dataset`, so that none stands in two of them.
        seed: decides which texts validate and test, and the order.
        limit: keeps so many training texts, and of the other splits a like share, but ten a class at least.
        class_names: the order of the classes, where one is known already; by default the natural one: 1, 2, 10.
        measure_on_train: all three splits are the training texts, of a set too small to divide; its report says so.
        task: ``"regression"`` where labels are numbers to estimate, stars of a review say.
        unit: of these.
        layout: how the file is written, where somebody knows it.

    Returns:
        Inputs int32 ``(examples, sequence_length)``, labels int32 ``(examples,)``, or where a text may have several
        classes uint8 ``(examples, classes)``, of numbers float32 ``(examples, 1)``; ``task.inputs.vocabulary`` holds
        the token of each id.

    Raises:
        FileNotFoundError: there is no such file, or the vocabulary cannot be had.
        ValueError: the file cannot be read; rows that cannot be used under ``"fail"``; a class of fewer than three
            examples, with which nothing could be measured, or that one of the file's own splits lacks; or no such split
            can be made.
    """
    skip = splits.skips(policy)
    path, layout = Path(path), stored(layout)
    label_options = multi_label_columns.columns_or_separator(label_separator, label_columns)
    asked = column_roles.Asked(
        text=text_column,
        label=label_column,
        split=split_column,
        label_columns=tuple(label_options.get("label_columns", ())),
        label_separator=label_separator,
        second_text=second_text_column,
    )
    texts, problems = labelled_texts.read(path, asked, layout=layout), ()
    if task == "classification" and not measure_on_train:
        texts, problems = class_mismatch.settled_texts(texts, how=layout.class_mismatch)
    more = [
        f"the column {name!r} holds texts as well, and is not read: --second-text-column {name} reads both, as a pair"
        for name in texts.more_texts
    ]
    left_out.tell((*texts.said, *more))
    if problems:
        raise ValueError(
            f"{problems[0]} {_numbers_hint([name for one in texts.examples for name in one.names])}In {path}."
        )
    arguments: dict[str, Any] = {"path": str(path.resolve()), "text_column": texts.roles.example}
    arguments |= {"label_column": texts.roles.label or label_column, "split_column": texts.roles.split or split_column}
    arguments |= {"policy": policy} | label_options
    arguments |= {"layout": changed} if (changed := layout.changed()) else {}
    arguments |= {"second_text_column": second_text_column} if second_text_column else {}
    if task == "regression":
        arguments |= {"task": task, "unit": unit}
    dataset = build_dataset(
        texts.examples,
        name=path.stem,
        file=path.name,
        source="text_csv",
        problems=texts.problems,
        skip=skip,
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
        number=(texts.roles.label, unit) if task == "regression" else None,
        pair=(texts.roles.example, second_text_column) if second_text_column else None,
        arguments=arguments,
    )
    if task == "regression":
        return dataset
    # so that a label which was renamed since is found out when the data set is loaded again
    return dataclasses.replace(dataset, arguments={**dataset.arguments, "class_names": list(dataset.task.target.names)})


def build_dataset(
    examples: Sequence[Example],
    *,
    name: str,
    file: str,
    source: str,
    problems: Sequence[str] = (),
    skip: bool,
    columns: Sequence[str] = (),
    sequence_length: int | None,
    vocabulary: vocabularies.Vocabulary,
    vocabulary_size: int,
    validation: int | float,
    test: int | float,
    seed: int,
    limit: int | None,
    class_names: Sequence[str] | None,
    measure_on_train: bool = False,
    number: tuple[str, str] | None = None,
    pair: tuple[str, str] | None = None,
    arguments: Mapping[str, object],
) -> types.Dataset:
    """Examples as a data set: copies left out, split, tokenized; arguments and errors as for `load`.

    Two texts are copies where case and white space alone tell them apart. Of copies the test split keeps its own, then
    validation, then train. A text with two labels is left out of everything.

    Args:
        examples: in the order of the file.
        name: of the task.
        file: name of the file that the examples are lines of, where they do not say it themselves.
        source: the module that loads it again, with ``arguments`` and those that are given here.
        problems: what is wrong with examples that are not among these.
        skip: whether to go on without them.
        number: name and unit of what labels estimate; ``None`` where they are names of classes.
        pair: names of the columns of both texts; ``None`` where an example is one.
        columns: names of classes, those without an example too, where the file has a column of each.
    """
    if number is not None:
        examples, words = _of_numbers(examples, where=file)
        problems = [*problems, *words]
    examples, contradicting, _ = labelled_texts.without_copies(examples)
    left_out.refuse_or_tell([*problems, *contradicting], skip=skip, what="text", kept=len(examples))
    if number is None:
        least = 1 if measure_on_train else LEAST
        names = _class_names(examples, columns, wanted=class_names, least=least, where=file)
        target, labels = _classes(examples, names)
    else:
        names, labels = number[:1], np.asarray([[float(one.label)] for one in examples], np.float32)
        target = Regression.of(labels, names=names, unit=number[1])
    kept = target.strata(labels)
    if measure_on_train:
        learned_from = [index for index, one in enumerate(examples) if (one.split or "train") == "train"]
        parts = dict.fromkeys(splits.WORDS, np.asarray(learned_from, np.int64))
    else:
        if number is not None:
            _require_enough(examples, test=test, validation=validation)
        parts = _divided(examples, kept, validation=validation, test=test, seed=seed)
    if limit is not None:  # here already: what is left out need not be tokenized
        same = dict.fromkeys(parts, kept)
        parts = splits.limit_examples(parts, same, limit=limit, least=10 * len(names), seed=seed)
    if number is not None:  # mean and spread are those of what is learnt from
        target = Regression.of(labels[parts["train"]], names=names, unit=number[1])
    training = [text for index in parts["train"] for text in examples[index].texts]
    tokenizer = vocabularies.tokenizer(vocabulary, training, size=vocabulary_size)
    if sequence_length is None:
        sequence_length = lengths.usual(tokenizer, [" ".join(examples[index].texts) for index in parts["train"]])
        left_out.tell([f"the first {sequence_length} tokens of a text are read, see sequence_length"])
    if vocabulary is not None:
        left_out.tell(familiarity.warnings(training, tokenizer, english=vocabulary == "bert"))
    arrays = {}
    for split, rows in parts.items():
        encode: Callable[..., list[int]] = tokenizer.encode if pair is None else tokenizer.encode_pair
        ids = [encode(*examples[index].texts, sequence_length) for index in rows]
        arrays[f"{split}_inputs"] = np.asarray(ids, np.int32).reshape(len(rows), sequence_length)
        arrays[f"{split}_labels"] = labels[rows]
        arrays[f"{split}_texts"] = np.array(["\n".join(examples[index].texts) for index in rows], object)
        arrays[f"{split}_origins"] = np.array(
            [f"{examples[index].file or file}:{examples[index].line}" for index in rows], object
        )
    kind = Text(sequence_length, tokenizer.vocabulary, tokenizer.settings)
    if pair is not None:
        kind = TextPair(sequence_length, tokenizer.vocabulary, tokenizer.settings, columns=pair)
    again = {"sequence_length": sequence_length, "vocabulary": vocabularies.from_anywhere(vocabulary)}
    again |= {"vocabulary_size": vocabulary_size, "validation": validation, "test": test, "limit": limit}
    again |= {"measure_on_train": True} if measure_on_train else {}
    dataset = splits.dataset(
        types.Task(name, kind, target),
        arrays,
        seed=seed,
        validation=validation,
        limit=None,
        source=source,
        arguments={**arguments, **again},
    )
    return dataclasses.replace(dataset, origin=_origin(examples, parts, seed=seed))


def _classes(examples: Sequence[Example], names: tuple[str, ...]) -> tuple[MultiLabel | SingleLabel, np.ndarray]:
    """Classes as what is asked, and the labels by which they are numbered."""
    sets_of = [example.labels for example in examples if example.labels is not None]
    if sets_of:
        return MultiLabel(names), multi_label_columns.indicators(sets_of, names)
    return SingleLabel(names), class_order.indices([example.label for example in examples], names)


def _of_numbers(examples: Sequence[Example], *, where: str) -> tuple[list[Example], list[str]]:
    """The examples whose label is a finite number, and what is wrong with the others.

    Raises:
        ValueError: a text may have several labels, or none of them is a number.
    """
    if several := next((one for one in examples if one.labels is not None), None):
        raise ValueError(f"Regression wants one number a text. Received: several labels in {several.where} of {where}.")
    numbers = [one for one in examples if _is_finite(one.label)]
    if examples and not numbers:
        raise ValueError(
            f"Regression wants labels that are numbers. Received: {examples[0].label!r} in {examples[0].where} of "
            f"{where}, and no number; leave --task out for names of classes."
        )
    others = [one for one in examples if not _is_finite(one.label)]
    return numbers, [f"{one.where}: the label {one.label[:60]!r}, which is no number" for one in others]


def _require_enough(examples: Sequence[Example], **shares: int | float) -> None:
    """Raises `ValueError` where the splits that are still to be made would have less than two texts with numbers."""
    there = {one.split or "train" for one in examples}
    missing = {name: share for name, share in shares.items() if name not in there}
    enough.require_rows(sum((one.split or "train") == "train" for one in examples), missing, what="texts")


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _origin(examples: Sequence[Example], parts: Mapping[str, np.ndarray], *, seed: int) -> str:
    """See `types.Dataset.origin`; the seed stands for the order that `splits.dataset` brings the parts into."""
    sha256 = hashlib.sha256(f"seed {seed}\n".encode())
    for split, rows in parts.items():
        sha256.update(f"{split} {len(rows)}\n".encode())
        for index in rows:
            one = examples[index]
            for part in (*one.texts, *((one.label,) if one.labels is None else (str(len(one.labels)), *one.labels))):
                written = part.encode(errors="surrogatepass")
                sha256.update(f"{len(written)}:".encode() + written)
    return sha256.hexdigest()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes in their natural order: 1, 2, 10."""
    names = list(names)
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names)
    return tuple(sorted(names, key=int if whole else class_order.natural))


def _class_names(
    examples: Sequence[Example], columns: Sequence[str], *, wanted: Sequence[str] | None, least: int, where: str
) -> tuple[str, ...]:
    counts = collections.Counter(name for example in examples for name in example.names)
    counts.update(dict.fromkeys(columns, 0))
    names = in_order(counts)
    class_order.check(names, wanted, what="labels")
    enough.require_two(names, where=where)
    few = [f"{counts[name]} of {name!r}" for name in names if counts[name] < least]
    if few:
        raise ValueError(
            f"Every class needs {least} different texts at least: one to learn from, one to choose by, one to measure "
            f"on. Received: {', '.join(few[:5])}{' ...' if len(few) > 5 else ''}, "
            f"{phrases.counted(len(examples), 'text', 'texts')} in all. {_numbers_hint(names)}{_separator_hint(names)}"
            "Of fewer, nothing could be said about how good a model is; to try things out all the same, "
            "measure_on_train=True measures what was learned by heart."
        )
    return tuple(wanted or names)


def _separator_hint(names: Sequence[str]) -> str:
    """That labels may be several in one, a sentence, where some are others with a sign between them."""
    known = set(names)
    for sign in "|,;/":
        joined = [name for name in names if sign in name and {part.strip() for part in name.split(sign)} & known]
        if len(joined) > 1:
            return f"Some are others with {sign!r} between them, {joined[0]!r} say: --label-separator '{sign}'. "
    return ""


def _numbers_hint(names: Sequence[str]) -> str:
    """That labels may be no classes, a sentence, where all of them are numbers."""
    return "All labels are numbers: --task regression estimates them. " if all(map(_is_finite, names)) else ""


def _divided(
    examples: Sequence[Example], strata_of: np.ndarray, *, validation: int | float, test: int | float, seed: int
) -> dict[str, np.ndarray]:
    """Split -> indices of its examples; what the file does not split is split here, each class in proportion."""
    parts = {
        split: np.asarray([index for index, one in enumerate(examples) if (one.split or "train") == split], np.int64)
        for split in ("train", "validation", "test")
    }
    least = strata.minimum_examples(strata_of)  # one of each class, where a share of a small file would be less
    for number, (split, wanted) in enumerate((("test", test), ("validation", validation))):
        if len(parts[split]):
            continue
        left = parts["train"]
        if isinstance(wanted, float) and 0 < wanted < 1:
            wanted = max(round(wanted * len(examples)), least)
        missing = sum(not len(parts[one]) for one in ("test", "validation"))
        kept, taken = splits.divided(strata_of[left], validation=wanted, seed=2 * seed + number, leave=missing)
        parts[split], parts["train"] = left[taken], left[kept]
    return parts
