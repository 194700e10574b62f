"""Folders of examples as people keep them, a folder a class, with splits around the classes or inside them.

``CLASS/PICTURE``, ``train/CLASS/PICTURE``, ``seg_train/seg_train/CLASS/PICTURE``, ``CLASS/train/PICTURE``; of texts in
files alike. Nothing is decoded. What looks like splits, masks or annotations is never taken for classes.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from kerastl.data import class_order, split_names, splits
from kerastl.inputs import pictures
from kerastl.system import phrases

PICTURES = frozenset(
    {"image", "images", "img", "imgs", "picture", "pictures", "photos", "jpegimages", "rgb", "jpg", "png"}
)
"""What folders are called, in small letters, that hold pictures and are no classes."""
_BESIDE = {"mask", "masks", "annotation", "annotations", "labels", "segmentation", "segmentations", "groundtruth", "gt"}
_BESIDE |= {"ground_truth", "segmentationclass", "segmentationobject", "xmls", "xml", "bboxes", "boxes"}
"""What those beside them are called that hold what belongs to each picture."""
_MASK = re.compile(r"(.+?)[ _-]*(?:mask|seg|segmentation|groundtruth)(?:[_-]?\d+)?", re.IGNORECASE)
_NUMBERED = (re.compile(r"(.*?\w)[ ._-]*\(\d+\)"), re.compile(r"(.+?)[ ._-]+\d+"), re.compile(r"(.*\D)\d+"))
"""Names of files with a class and a number behind it: `cat (1)`, `cat.1`, `0_12`, `cat1`."""
_NO_CLASS = re.compile(r"[\d\W_]+")
"""What folders inside of classes are called that are none: numbers, days."""


class Example(NamedTuple):
    """A file, its class, and its split."""

    file: Path
    label: str
    split: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies in folders.

    Attributes:
        examples: in the order of the splits, the classes and the file names.
        places: split and class of each folder of a class, those without an example among them.
        said: what was understood, and what was left out and why, a sentence each.
    """

    examples: tuple[Example, ...]
    places: frozenset[tuple[str, str]]
    said: tuple[str, ...]


def read(
    root: Path,
    *,
    is_one: Callable[[Path], bool] | None = None,
    classes_at: Literal["auto", "top", "inner", "leaf", "name"] = "auto",
) -> Found:
    """The examples below a folder.

    Args:
        root: the folder.
        is_one: whether a file is an example by its name; a picture by default.
        classes_at: what is a class: the topmost folders, whatever is in them, the innermost by their own names or by
            their whole paths, or the names of files up to the number behind them, whatever folders they are in.
            ``"auto"`` is the topmost, where it is no question.

    Raises:
        ValueError: its folders look like splits, or like pictures and their masks, and are not certain to be; or
            folders of the same names lie in several, and nobody says which of the two are classes.
    """
    is_one = is_one or is_picture
    if classes_at == "name":
        return _by_name(root, is_one)
    parts, said = _parts(root, is_one)
    found, places, nested = [], set(), set()
    for split, part in parts.items():
        for inner in sorted(_holders(part, is_one), key=lambda inner: class_order.natural(inner.name)):
            own, divided = inner.name, _splits_inside(inner, is_one) if len(parts) == 1 else {}
            if classes_at in ("auto", "top") and not divided:
                places.add((split, composed(own)))
            for file, way in _without_masks(inner, list(filter(is_one, files(inner))), said):
                below, way = (divided[way[0]], way[1:]) if way and way[0] in divided else (split, way)
                if way:
                    nested.add("/".join((own, *way)))
                names = (own, *way)
                label = composed({"leaf": "/".join(names), "inner": names[-1]}.get(classes_at, own))
                places.add((below, label))
                found.append(Example(file, label, below))
            if divided:
                said.append(f"{inner.name} holds the splits {', '.join(divided)}")
    if nested and classes_at == "auto":
        _refuse_grid(nested, {one.label for one in found}, root)
    if nested and classes_at in ("auto", "top"):
        tops = len({one.split("/")[0] for one in nested})
        said.append(
            f"{phrases.counted(tops, 'class holds', 'classes hold')} folders of their own, {len(nested)} in all "
            f"({_some(sorted(nested))}): --classes-at leaf makes each of them a class"
        )
    return Found(tuple(found), frozenset(places), tuple(said))


def _refuse_grid(nested: Collection[str], names: Collection[str], root: Path) -> None:
    """Refuses folders of the same names in several: folds, patients, magnifications or copies with classes inside, or
    classes with such inside. Numbers and days are no classes.

    Raises:
        ValueError: so it is.
    """
    tops_of: dict[str, set[str]] = collections.defaultdict(set)
    for one in nested:
        top, *_, inner = one.split("/")
        tops_of[inner].add(top)
    tops = set().union(*tops_of.values())
    shared = all(len(some) > 1 for some in tops_of.values()) and len(tops_of) > 1
    if shared and len(tops) > 1 and tops >= set(names) and not all(_NO_CLASS.fullmatch(name) for name in tops_of):
        raise ValueError(
            f"Wanted one level of folders that are classes. Received: {_some(sorted(tops))}, with the same folders "
            f"{_some(sorted(tops_of))} inside of several, in {root}: --classes-at inner takes {_some(sorted(tops_of))} "
            f"for classes, --classes-at top {_some(sorted(tops))}."
        )


def class_in_name(name: str) -> str | None:
    """The class that a file's name begins with, before a number: `cat` of `cat.1`, `0` of `0_12`; `None` for none."""
    found = next((match for pattern in _NUMBERED if (match := pattern.fullmatch(name))), None)
    return composed(found[1].strip()) if found else None


def composed(name: str) -> str:
    """The name of a class in one of the ways in which Unicode may write it: macOS takes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _by_name(root: Path, is_one: Callable[[Path], bool]) -> Found:
    """Every file below a folder, by the class in its name; splits are folders that are called so."""
    found, without = [], collections.Counter()
    said = ["the names of files are taken for classes, up to the number behind them"]
    for file in filter(is_one, files(root)):
        ways = file.relative_to(root).parts[:-1]
        label = None if any(way.lower() in _BESIDE for way in ways) else class_in_name(file.stem)
        if label is None:
            without[ways[0] if ways else root.name] += 1
        else:
            split = next((split for way in reversed(ways) if (split := split_names.of(way))), "train")
            found.append(Example(file, label, split))
    for top, count in without.items():
        said.append(f"{top} is left out: {phrases.counted(count, 'file', 'files')} without a class in the name")
    return Found(tuple(found), frozenset((one.split, one.label) for one in found), tuple(said))


def _without_masks(folder: Path, examples: list[Path], said: list[str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The examples of a class, each with the folders that it lies in there, without masks of the others."""
    names = {file.with_suffix("") for file in examples}
    inner = {one.name.lower() for one in folders(folder)}
    apart = bool(inner & PICTURES and inner & _BESIDE)
    masks = []
    for file in examples:
        way = file.relative_to(folder).parts[:-1]
        match = _MASK.fullmatch(file.stem)
        if (apart and way and way[0].lower() in _BESIDE) or (match and file.with_name(match[1]) in names):
            masks.append(file)
        else:
            yield file, way[1:] if apart and way and way[0].lower() in PICTURES else way
    if masks:
        shown = masks[0].relative_to(folder)
        said.append(f"{folder.name}: {phrases.counted(len(masks), 'file', 'files')} like {shown}, masks, are left out")


def _holders(folder: Path, is_one: Callable[[Path], bool]) -> list[Path]:
    """The folders in a folder, without those of annotations that hold no example."""
    return [one for one in folders(folder) if one.name.lower() not in _BESIDE or _holds(one, is_one)]


def _classes(folder: Path, is_one: Callable[[Path], bool]) -> set[str]:
    """The folders in a folder that hold examples, unless all are called as folders of pictures are."""
    names = {composed(one.name) for one in folders(folder) if _holds(one, is_one)}
    return set() if {name.lower() for name in names} <= PICTURES else names


def splits_of(root: Path) -> dict[str, Path]:
    """Split -> its folder, whatever lies in it: of pictures without labels. A folder without splits is all training.

    Raises:
        ValueError: as `read`.
    """
    exact = {splits.BY_WORD[top.name.lower()]: top for top in folders(root) if top.name.lower() in splits.BY_WORD}
    return exact if "train" in exact else _parts(root, is_picture)[0]


def _parts(root: Path, is_one: Callable[[Path], bool]) -> tuple[dict[str, Path], list[str]]:
    """Split -> the folder of its classes, and what is said of that."""
    whole, root = root, _stripped(root, is_one)
    _refuse_masks(root, folders(root))
    levels = [level for level in (root, *root.parents) if level.is_relative_to(whole)]
    said = [
        f"{top.relative_to(whole)} is left out: no example in it"
        for level, inner in zip(levels, (None, *levels), strict=False)
        for top in sorted(set(folders(level)) - set([inner] if inner else _holders(level, is_one)))
    ]
    tops = sorted(_holders(root, is_one))
    inner = {top: _stripped(top, is_one) for top in tops}
    classes = {top: _classes(inner[top], is_one) for top in tops}
    named = {top: split for top in tops if (split := split_names.of(top.name))}
    exact = {top: splits.BY_WORD[top.name.lower()] for top in tops if top.name.lower() in splits.BY_WORD}
    divided = exact if any(split == "train" and classes[top] for top, split in exact.items()) else named
    divided = {top: split for top, split in divided.items() if classes[top]}
    if not divided:
        if len(exact) > 1 or (exact and len(exact) == len(tops)):
            raise ValueError(
                f"Wanted a folder a class, or splits with such folders inside. Received: {_named(exact)} in {root}, "
                "whose files lie in no class. A table that names each file and its class is given itself: "
                "--data TABLE, or --table NAME inside the folder; --classes-at name reads classes in the files' names, "
                "cat.1.jpg say."
            )
        return {"train": root}, said
    if exact is not divided and not set(divided) & set(exact) and not _are_splits(list(divided), divided, classes):
        return {"train": root}, said  # one class that is called bullet_train
    _refuse_doubtful(root, divided, classes)
    others = [top for top in tops if top not in named and _holds(top, is_one)]
    if set(divided.values()) == {"train"} and not set(named) - set(divided) and others:
        raise ValueError(
            f"A folder called train is a split where others are beside it. Received: {_named(divided)} with "
            f"{_some([top.name for top in others])} in {root}: give the folder {_named(divided)} itself, or "
            "name a class otherwise."
        )
    said += [
        f"{top.name} is taken for {split}" for top, split in divided.items() if top not in exact or inner[top] != top
    ]
    for top in tops:
        if top not in divided:
            count = sum(map(is_one, files(top)))
            why = "in no class folder" if not classes[top] else "whose name is of no split"
            said.append(f"{top.name} is left out: {phrases.counted(count, 'file', 'files')} {why}")
    return {split: inner[top] for split in splits.WORDS for top, one in divided.items() if one == split}, said


def _are_splits(tops: list[Path], divided: dict[Path, str], classes: dict[Path, set[str]]) -> bool:
    """Whether folders that bear the name of a split among other words are such: two, or of the same classes."""
    return len(set(divided.values())) > 1 or any(
        classes[one] & classes[other] for one in tops for other in tops if one != other
    )


def _refuse_doubtful(root: Path, divided: dict[Path, str], classes: dict[Path, set[str]]) -> None:
    """Raises `ValueError` for splits that may be none: of one name, without train, or of other classes."""
    words = _named(divided)
    if len(set(divided.values())) < len(divided):
        raise ValueError(f"Wanted one folder a split. Received: {words} in {root}: join those of one split.")
    train = next((top for top, split in divided.items() if split == "train"), None)
    if train is None:
        shown = ", ".join(sorted(next(iter(classes[top] for top in divided)))[:5])
        raise ValueError(
            f"A folder of splits has one called train. Received: {words}, each with {shown}, in {root}: name them "
            f"{', '.join(splits.WORDS)}."
        )
    strange = [top for top in divided if top != train and not classes[top] & classes[train]]
    if strange:
        raise ValueError(
            f"Splits hold the same classes. Received: {words} in {root}, with {_some(sorted(classes[strange[0]]))} in "
            f"{strange[0].name} and {_some(sorted(classes[train]))} in {train.name}. Name the folders of splits "
            f"{', '.join(splits.WORDS)} and give them the same classes; folders of classes have no such words in "
            "their names."
        )


def _refuse_masks(root: Path, tops: list[Path]) -> None:
    names = {top.name.lower(): top.name for top in tops}
    beside, held = sorted(names.keys() & _BESIDE), sorted(names.keys() & PICTURES)
    if beside and held:
        raise ValueError(
            f"Wanted a folder a class. Received: {', '.join(names[one] for one in (*held, *beside))} in {root}: "
            "pictures and what belongs to each of them, by their names, are no classes. kerastl classifies whole "
            "pictures: give a folder a class, or a table that names each picture and its class (--table NAME), or "
            "--classes-at name where the files' names begin with their class, cat.1.jpg say."
        )


def _splits_inside(folder: Path, is_one: Callable[[Path], bool]) -> dict[str, str]:
    """Folders in a class that are called by splits, one of them by train, and hold files and no other folders."""
    found = {
        inner.name: splits.BY_WORD[inner.name.lower()]
        for inner in folders(folder)
        if inner.name.lower() in splits.BY_WORD
    }
    if "train" not in found.values() or len(set(found.values())) < 2:
        return {}
    if deeper := [inner.name for name in found for inner in folders(folder / name) if _holds(inner, is_one)]:
        raise ValueError(
            f"Wanted a folder a class, or splits with such folders inside. Received: {', '.join(found)} in {folder}, "
            f"with {_some(deeper)} inside: give {folder} itself, or join it with what lies beside it."
        )
    return found


def _named(divided: dict[Path, str]) -> str:
    return ", ".join(sorted(top.name for top in divided))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _stripped(folder: Path, is_one: Callable[[Path], bool]) -> Path:
    """The folder inside, where one folder alone lies in another and has class folders or files of its own name."""
    while True:
        inner = [one for one in folders(folder) if _holds(one, is_one)]
        if len(inner) != 1 or any(is_one(file) for file in folder.iterdir() if file.is_file()):
            return folder
        doubled = inner[0].name.lower() == folder.name.lower()
        if not doubled and not any(_holds(one, is_one) for one in folders(inner[0])):
            return folder
        folder = inner[0]


def _holds(folder: Path, is_one: Callable[[Path], bool]) -> bool:
    return any(is_one(file) for file in folder.rglob("*"))


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, without those that no person made."""
    return [path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name)]


def files(folder: Path) -> list[Path]:
    """Files below a class folder, in an order that does not depend on the file system.

    Hidden ones are left out, and what lies in hidden folders: thumbnails are copies that no digest knows again.
    """
    found = [
        path
        for path in folder.rglob("*")
        if (path.is_file() or (path.is_symlink() and not path.exists()))  # a link to nothing is to be told of
        and not any(map(_is_hidden, path.relative_to(folder).parts))
    ]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder)))


def is_picture(file: Path) -> bool:
    """Whether it is one by its name, be it of a format that is not read."""
    return file.suffix.lower() in (*pictures.ENDINGS, *pictures.FOREIGN)


def is_text(file: Path) -> bool:
    """Whether it is a text by its name, and none that tells of the others."""
    return file.suffix.lower() in (".txt", ".text") and not is_notice(file)


def is_notice(file: Path) -> bool:
    """Whether a file is called as those that tell of a data set, and are none of it."""
    return re.match("(readme|licen[cs]e|notice|attribution)", file.name.lower()) is not None


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX", "@eaDir"))  # the last two: macOS' archives, Synology's thumbnails
