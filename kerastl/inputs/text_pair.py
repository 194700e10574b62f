"""Pairs of texts in one sequence, as BERT reads two: a question and an answer, a sentence and what may follow of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kerastl.inputs import lines, sentencepiece, text, wordpiece
from kerastl.types import Task

BETWEEN = "\t"
"""Stands between the two texts of an argument of `kerastl predict`, and of a line."""


@dataclasses.dataclass(frozen=True)
class TextPair(text.Text):
    """Token ids ``[CLS] first [SEP] second [SEP]`` cut or padded to one length, int32 ``(examples, length)``.

    What does not fit is cut off at the end of the longer text (`wordpiece.Tokenizer.encode_pair`). Which ids are of the
    second text (BERT's segments, Devlin et al. 2019, section 3) follows from the ids: those behind the first [SEP]. A
    model finds them in its own graph, so that an example is one array as of a text; an exported file takes
    ``segment_ids`` beside the ids as of BERT, and does not need them.

    Attributes:
        length: tokens of both texts, with [CLS] and twice [SEP].
        vocabulary: the token of each id.
        columns: names of the columns of a table that hold the two.

    Raises:
        ValueError: as `text.Text`; or there is no room for a token of each, or there are not two names.
    """

    columns: tuple[str, ...] = ("text", "second_text")

    kind: ClassVar[str] = "text pair"
    column_kind: ClassVar[str] = ""  # a pair stands in two columns

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "columns", tuple(self.columns))
        shortest = wordpiece if isinstance(self.settings, wordpiece.Settings) else sentencepiece
        if self.length < shortest.SHORTEST_PAIR or len(set(self.columns)) != 2:
            raise ValueError(
                f"Pairs of texts have {shortest.SHORTEST_PAIR} tokens or more, and stand in two columns. Received: "
                f"length {self.length}, columns {', '.join(map(repr, self.columns))}."
            )

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        ids = np.asarray(examples, np.int32)
        behind = segments(ids, end=self.end, padding=self.padding)
        values = (ids, (ids != self.padding).astype(ids.dtype), behind)
        return dict(zip(self.tensors, values, strict=True))

    @property
    def end(self) -> int:
        """The id of [SEP]."""
        return self.tokenizer.end

    def read(self, argument: str) -> np.ndarray:
        """Two sentences with a tab between them; or an array of token ids in a file, ``.npy`` or ``.npz``.

        Raises:
            ValueError: there are not two; or as `text.Text.read`.
        """
        is_file = os.path.isfile(argument)
        if is_file and argument.endswith(lines.ARRAYS):
            return super().read(argument)
        if is_file and lines.is_path(argument):
            lines.refuse_path(Path(argument), kind=self.kind)
        parts = argument.split(BETWEEN)
        if len(parts) != 2:
            raise ValueError(
                "Wanted two texts with a tab between them, $'first\\tsecond' in a shell. Received: "
                f"{len(parts)}, {argument[:100]!r}."
            )
        return self.of_row(dict(zip(self.columns, parts, strict=True)))

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
        """The two columns that the run learned from.

        Raises:
            ValueError: if one of them is not there.
        """
        if missing := [name for name in self.columns if name not in header]:
            raise ValueError(
                f"Wanted the columns {' and '.join(self.columns)}. Received: {', '.join(header[:20])}, without "
                f"{', '.join(missing)}."
            )
        return self.columns

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """Two texts of a table. Raises `ValueError` if one is empty."""
        first, second = (values[name] or "" for name in self.columns)
        if empty := [name for name, part in zip(self.columns, (first, second), strict=True) if not part.strip()]:
            raise ValueError(f"Wanted two texts. Received: an empty one under {', '.join(empty)}.")
        return np.asarray([self.tokenizer.encode_pair(first, second, self.length)], np.int32)

    def shown(self, example: np.ndarray) -> dict[str, str]:
        """Both texts as the model read them, a bar between them."""
        ids = np.asarray(example)
        behind = segments(ids[None], end=self.end, padding=self.padding)[0] == 1
        parts = [self.decoded(ids[which]) for which in (~behind, behind)]
        return {"text": " | ".join(parts)}

    @property
    def fed_with(self) -> str:
        return f"pairs of {super().fed_with}"

    def described(self) -> dict[str, Any]:
        return {**super().described(), "texts": list(self.columns)}


def segments(ids: np.ndarray, *, end: int, padding: int = text.PADDING) -> np.ndarray:
    """BERT's segments of ids ``(examples, length)``: 1 for the second text and its [SEP], 0 elsewhere; int32."""
    ends = (ids == end).astype(np.int32)
    behind = np.cumsum(ends, axis=-1) - ends > 0
    return (behind & (ids != padding)).astype(np.int32)


def of_pairs(task: Task) -> TextPair | None:
    """The kind of a task's inputs where these are pairs, for builders whose encoder tells two texts apart."""
    return task.inputs if isinstance(task.inputs, TextPair) else None


def restored(described: Mapping[str, Any]) -> TextPair | None:
    """The kind that `TextPair.described` described, ``None`` where another one did."""
    if "texts" not in described:
        return None
    alone = text.restored({name: value for name, value in described.items() if name != "texts"})
    assert alone is not None
    given = {field.name: getattr(alone, field.name) for field in dataclasses.fields(alone)}
    return TextPair(**given, columns=tuple(described["texts"]))
