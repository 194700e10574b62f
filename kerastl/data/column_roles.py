"""What each column of a table is for: found by its name where it has the one asked for, else by what it holds.

What is found otherwise than by the name is said; where two columns would do, it is asked.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Literal

from kerastl.data import splits
from kerastl.data.tables import headers
from kerastl.data.tables.table import Cell, Table, TableError
from kerastl.inputs import pictures

Kind = Literal["pictures", "texts", "numbers"]
_LABELS = ("label", "labels", "class", "classes", "category", "target", "sentiment", "intent", "emotion", "y", "tag")
_LABELS += ("class_name", "classname", "label_name", "label_text", "species", "breed", "diagnosis", "topic", "stars")
_LABELS += ("rating", "dx", "breed_name", "finding", "labels_text")
_TEXTS = ("text", "texts", "sentence", "review", "content", "message", "comment", "tweet", "question", "query")
_TEXTS += ("utterance", "document", "body", "headline", "comment_text", "review_text", "sms", "phrase")
_SPLITS = ("split", "set", "subset", "partition", "fold", "usage", "data_set", "phase")
_BOXES = {"xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "bbox"}
_FLAGS_FILE = "_classes.csv"
"""What Roboflow calls a table of 0 and 1, a column a class."""
UNASSIGNED = "unassigned"
"""What AutoML's tables say of an example that is in no split yet."""
_LOOKED_AT, _MOSTLY, _WORDS, _LONGEST_LABEL = 500, 0.8, 3, 60
"""Rows by which a column is judged; the share that has to be so; words of a category, and characters of a label."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """Names of columns as somebody gives them, or the usual ones; the fields of `reading.Reading`."""

    path: str = "path"
    text: str = "text"
    label: str = "label"
    split: str | None = "split"
    label_columns: tuple[str, ...] = ()
    label_separator: str | None = None
    second_text: str = ""

    @property
    def names(self) -> list[str]:
        """All of them, which tell delimiters and headers apart."""
        some = (self.path, self.text, self.second_text, self.label, self.split, *self.label_columns)
        return [name for name in some if name]


@dataclasses.dataclass(frozen=True)
class Roles:
    """What is what.

    Attributes:
        kind: of the examples.
        example: the column of texts, or of pictures' files; empty for numbers.
        label: the column of labels; empty where there are ``label_columns``, and for numbers.
        split: the column of splits, ``None`` where there is none.
        said: what was found by its contents, a sentence.
        boxes: whether a row is a thing in a picture, of which one may have several.
        more_labels: columns behind the one of labels that hold further ones, in a table without names.
        flags: columns of 0 and 1, a class each, where the table itself says that they are such.
    """

    kind: Kind
    example: str = ""
    label: str = ""
    split: str | None = None
    said: tuple[str, ...] = ()
    boxes: bool = False
    more_labels: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def find(
    table: Table, asked: Asked = Asked(), *, kind: Kind | None = None, is_picture: Callable[[str], bool] | None = None
) -> Roles:
    """The roles of a table's columns.

    Args:
        table: the rows.
        asked: names that columns may have; one that is no usual name has to be there.
        kind: of the examples, where it is known; else it is found out.
        is_picture: whether a word names a picture that is there, with or without its ending.

    Raises:
        TableError: a column is lacking, or two would do: says which there are, and the flags.
    """
    strange = [
        name
        for field in dataclasses.fields(Asked)
        if field.name in ("path", "text", "label", "split")
        and (name := getattr(asked, field.name)) not in (None, field.default)
        and (field.name not in ("path", "text") or kind == {"path": "pictures", "text": "texts"}[field.name])
    ]
    table.require([*strange, *asked.label_columns, *([asked.second_text] if asked.second_text else [])])
    kind = kind or kind_of(table, asked)
    if kind == "numbers":
        return Roles(kind)
    said: dict[str, str] = {}
    split = _split(table, asked, said)
    taken = {split, asked.second_text, *asked.label_columns}
    example = (
        _pictures(table, asked, taken, said, is_picture) if kind == "pictures" else _text(table, asked, taken, said)
    )
    found = Roles(kind, example, "", split)
    if kind == "pictures" and table.path.name == _FLAGS_FILE and not asked.label_columns:
        found = dataclasses.replace(found, flags=tuple(name for name in table.columns if name not in (split, example)))
    elif not asked.label_columns:
        more = _more_labels(table, {*taken, example}) if kind == "pictures" and table.unnamed else ()
        label = more[0] if more else _label(table, asked, {*taken, example}, said)
        boxes = kind == "pictures" and _has_boxes(table)
        found = dataclasses.replace(found, label=label, more_labels=more[1:], boxes=boxes)
    words = ", ".join(f"{what} in the column {name!r} ({flag})" for flag, (what, name) in _flags(said).items())
    sentences = [f"{table.path.name}: {words}"] if said else []
    if found.boxes:
        sentences.append(f"{table.path.name}: a row is one of the boxes in a picture, whose classes are those of them")
    if found.more_labels:
        sentences.append(f"{table.path.name}: a picture's classes are in the columns {', '.join(more)}")
    return dataclasses.replace(found, said=tuple(sentences))


def _flags(said: dict[str, str]) -> dict[str, tuple[str, str]]:
    words = {"path": "pictures", "text": "texts", "label": "labels", "split": "splits"}
    return {f"--{what}-column": (words[what], name) for what, name in said.items()}


def kind_of(table: Table, asked: Asked = Asked()) -> Kind:
    """Sentences where there is a column asked for as such, else pictures where one holds their files, else numbers
    where one holds some beyond 0 and 1 and none holds a sentence.
    """
    if _named(table, asked.text) is not None:
        return "texts"
    if _named(table, asked.path) is not None or any(_names_pictures(table.values(name)) for name in table.columns_once):
        return "pictures"
    return "numbers" if _holds_numbers(table) else "texts"


def _some(values: Sequence[Cell]) -> list[str]:
    """The words in a column's first rows, blank ones left out."""
    return [one.strip() for one in values[:_LOOKED_AT] if isinstance(one, str) and one.strip()]


def _names_pictures(values: Sequence[Cell]) -> bool:
    endings = (*pictures.ENDINGS, *pictures.FOREIGN)
    some = _some(values)
    return bool(some) and sum(PurePath(one).suffix.lower() in endings for one in some) >= _MOSTLY * len(some)


def names_some(values: Sequence[Cell], is_picture: Callable[[str], bool]) -> bool:
    """Whether most of a column's words name pictures that are there."""
    some = _some(values)
    return bool(some) and sum(map(is_picture, some)) >= _MOSTLY * len(some)


def _holds_numbers(table: Table) -> bool:
    """Whether a table is one of numbers and categories: a column of numbers beyond 0 and 1, and no sentences."""
    cells = [_some(table.values(name)) for name in table.columns_once]
    counted = any(some and all(map(headers.is_number, some)) and set(some) - {"0", "1"} for some in cells)
    return len(cells) > 1 and counted and not any(len(one.split()) > _WORDS for some in cells for one in some)


def _split(table: Table, asked: Asked, said: dict[str, str]) -> str | None:
    if not asked.split or asked.split in table.columns:
        return asked.split or None
    if asked.split.isdecimal():
        return table.columns[table.place(asked.split)]
    for name in table.columns_once:
        some = {one.lower() for one in _some(table.values(name))}
        known = {splits.BY_WORD.get(one) for one in some - {UNASSIGNED}}
        alone = table.unnamed and some == {"train"}  # of labels, one would be all there is
        if (len(some) > 1 or alone) and "train" in known and None not in known:
            said["split"] = name
            return name
    return None


def _pictures(
    table: Table,
    asked: Asked,
    taken: set[str | None],
    said: dict[str, str],
    is_picture: Callable[[str], bool] | None,
) -> str:
    if (found := _named(table, asked.path)) is not None:
        return found
    some = [name for name in table.columns_once if name not in taken and _names_pictures(table.values(name))]
    if not some and is_picture is not None:
        some = [name for name in table.columns_once if name not in taken and names_some(table.values(name), is_picture)]
    usual = ("file_name", "filename", "file", "image", "image_path", "img", "image_id", "id", "picture")
    some = some or [name for name in table.columns_once if name.lower() in usual][:1]
    return _one(table, some, "path", "name the files of pictures", said)


def _text(table: Table, asked: Asked, taken: set[str | None], said: dict[str, str]) -> str:
    if (found := _named(table, asked.text)) is not None:
        return found
    words = {}
    for name in table.columns_once:
        some = _some(table.values(name))
        if name in (*taken, asked.label) or not some or all(map(headers.is_number, some)):
            continue
        words[name] = statistics.fmean(len(one) for one in some)
    usual = [name for name in words if name.lower() in _TEXTS]
    if len(usual) != 1 and words:
        longest = max(words, key=lambda name: words[name])
        usual = [longest] if len(words) == 1 or _varied(table, longest) else list(words)
    return _one(table, usual, "text", "hold texts", said)


def _varied(table: Table, name: str) -> bool:
    some = _some(table.values(name))
    return len(set(some)) > len(some) / 2 or len(some) < 4


def _has_boxes(table: Table) -> bool:
    """Whether a row has a box, by the names of its columns, or without such by four fractions."""
    if not table.unnamed:
        return any(name.lower() in _BOXES for name in table.columns)
    return sum(_are_fractions(table.values(name)) for name in table.columns) >= 4


def _are_fractions(values: Sequence[Cell]) -> bool:
    some = _some(values)
    return bool(some) and all(headers.is_number(one) and not one.strip("-+").isdecimal() for one in some)


def _more_labels(table: Table, taken: set[str | None]) -> tuple[str, ...]:
    """The columns at the end that hold labels, each as far as the one before it, of which some rows have fewer."""
    names = [name for name in table.columns if name not in taken]
    held = [{number for number, cell in enumerate(table.values(name)) if cell} for name in names]
    nested = all(later <= before for before, later in itertools.pairwise(held)) and held[-1:] != held[:1]
    words = not any(_are_fractions(table.values(name)) for name in names)
    return tuple(names) if len(names) > 1 and nested and words and len(held[0]) == len(table.rows) else ()


def _label(table: Table, asked: Asked, taken: set[str | None], said: dict[str, str]) -> str:
    if (found := _named(table, asked.label)) is not None:
        return found
    some = [name for name in table.columns_once if name not in taken and _is_label(table.values(name))]
    flags = [name for name in some if _are_flags(_some(table.values(name)))]
    if len(flags) > 1 and len(flags) == len(some):
        raise TableError(
            f"Wanted one column of labels. Received: {table.path} with {len(flags)} columns of 0 and 1: "
            f"--label-columns {' '.join(flags[:20])} takes each for a class that an example may have."
        )
    usual = [name for name in table.columns_once if name not in taken and name.lower() in _LABELS]
    left = [name for name in table.columns_once if name not in taken and not _holds_sentences(table.values(name))]
    return _one(table, usual or some or (left if len(left) == 1 else []), "label", "hold labels", said)


def _is_label(values: Sequence[Cell]) -> bool:
    """Whether a column holds few words, each of them often."""
    some = _some(values)
    lists = [one for one in values[:_LOOKED_AT] if isinstance(one, tuple)]
    if lists:  # of names, and not the same of each row, as what an annotator could choose from is
        return any(name for one in lists for name in one) and (len(set(lists)) > 1 or len(lists) == 1)
    short = bool(some) and max(map(len, some)) <= _LONGEST_LABEL and (not _are_fractions(values) or _are_flags(some))
    return short and 1 < len(set(some)) <= max(len(some) / 2, 2)


def _holds_sentences(values: Sequence[Cell]) -> bool:
    some = _some(values)
    return bool(some) and statistics.fmean(len(one.split()) for one in some) > _WORDS


def more_texts(table: Table, roles: Roles, asked: Asked) -> tuple[str, ...]:
    """Columns beside those that are read that hold sentences, more than half of them different."""
    taken = {roles.example, roles.label, roles.split, asked.second_text, *asked.label_columns, *roles.more_labels}
    left = [name for name in table.columns_once if name not in taken]
    return tuple(name for name in left if _holds_sentences(table.values(name)) and _varied(table, name))


def _are_flags(some: Sequence[str]) -> bool:
    return bool(some) and set(some) <= {"0", "1", "0.0", "1.0"}


def _named(table: Table, name: str) -> str | None:
    """The column of a name, or of a number; ``None`` where there is none."""
    if name in table.columns or name.isdecimal():
        return table.columns[table.place(name)]
    return None


def _one(table: Table, some: Sequence[str], what: str, does: str, said: dict[str, str]) -> str:
    if len(some) == 1:
        said[what] = some[0]
        return some[0]
    if not some:
        try:
            table.require([what])
        except TableError as error:
            raise TableError(f"{error} --{what}-column NAME, or a number from 1, says which.") from None
    raise TableError(
        f"Wanted one column that may {does}. Received: {', '.join(map(repr, some))} of {table.path}: --{what}-column "
        "NAME, or a number from 1, says which."
    )
