"""Texts: token ids of a vocabulary, made by the tokenizer that goes to the phone as well."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.inputs import columns, lines, sentencepiece, wordpiece
from kerastl.types import LazyArray, Task, Word

if TYPE_CHECKING:
    import tensorflow as tf

PADDING = 0
"""Id of [PAD] in every vocabulary of WordPiece: MediaPipe Tasks fill a text up with zeros."""
SENTENCEPIECE = "sentencepiece"
"""Under which texts that are read with SentencePiece describe their model."""
Settings = wordpiece.Settings | sentencepiece.Settings
Tokenizer = wordpiece.Tokenizer | sentencepiece.TextTokenizer


@dataclasses.dataclass(frozen=True)
class Text:
    """Token ids of texts cut or padded to one length, int32 ``(examples, length)``; see `types.Inputs`.

    An exported file takes BERT's three inputs, by the names that MediaPipe Tasks know: the ids, a mask that is 1 where
    a token is and 0 where padding is, and the number of the sentence, which is 0, for a text here is one.

    Attributes:
        length: tokens of a text, with [CLS] and [SEP].
        vocabulary: the token of each id.
        settings: how a text is brought to the vocabulary; that of BERT's uncased models where nobody says it. With a
            SentencePiece model the vocabulary is that of the model's `sentencepiece.TextTokenizer`.

    Raises:
        ValueError: if the length is not positive, or a token of WordPiece is not one line of text without a space at
            its end, as in ``vocab.txt``.
    """

    length: int
    vocabulary: tuple[str, ...] = dataclasses.field(repr=False)
    settings: Settings = wordpiece.UNCASED

    kind: ClassVar[str] = "text"
    tensors: ClassVar[tuple[str, ...]] = ("ids", "mask", "segment_ids")
    column_kind: ClassVar[str] = "text"
    predict_batch: ClassVar[int] = 50  # every token looks at every other
    augmentable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        lines_of_a_file = self.vocabulary if isinstance(self.settings, wordpiece.Settings) else ()
        broken = [token for token in lines_of_a_file if token.splitlines() != [token] or token != token.rstrip()]
        if broken or not self.vocabulary or self.length < 1:
            raise ValueError(
                "Texts are (length,) token ids, and tokens are one line of text each. Received: length "
                f"{self.length}, {', '.join(map(ascii, broken[:5])) or 'no broken token'} of "
                f"{len(self.vocabulary):,} tokens."
            )

    @property
    def tokenizer(self) -> Tokenizer:
        """What makes ids of a text. Raises `ValueError` as the tokenizer does."""
        return tokenizer_of(self.vocabulary, self.settings)

    @property
    def padding(self) -> int:
        """Id that a text is filled up with: `PADDING`, or where a SentencePiece model has it."""
        return PADDING if isinstance(self.settings, wordpiece.Settings) else self.tokenizer.padding

    def marks(self) -> dict[str, Any]:
        """What the tokens are called, and which go on with a word: fields of `pretraining.masked_language.Marks`.

        Raises:
            ValueError: as the tokenizer; or the model has no token for what is hidden, as ALBERT's published one does.
        """
        if isinstance(self.settings, wordpiece.Settings):
            return {
                "special": wordpiece.SPECIAL,
                "mask": wordpiece.MASK,
                "padding": wordpiece.PAD,
                "within": wordpiece.SUFFIX,
            }
        tokenizer = tokenizer_of((), self.settings)
        assert isinstance(tokenizer, sentencepiece.TextTokenizer)
        special, mask = tokenizer.special_tokens(), sentencepiece.MASKS[self.settings.convention]
        if mask not in self.vocabulary:
            raise ValueError(f"Wanted a model of pieces with {mask}, which stands for what is hidden. Received: none.")
        return {
            "special": special,
            "mask": mask,
            "padding": self.vocabulary[self.padding],
            "begins": sentencepiece.SPACE,
        }

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> str:
        return "int32"

    @property
    def batch_dtype(self) -> str:
        return "int32"

    def check(self, examples: np.ndarray | LazyArray, *, where: str) -> None:
        """Ids lie in the vocabulary."""
        if tuple(examples.shape[1:]) != self.shape or examples.dtype.name != "int32":
            raise ValueError(
                f"Wanted inputs (examples, {self.length}), int32 token ids. Received: {examples.shape} of "
                f"{examples.dtype} in {where}."
            )
        ids = np.asarray(examples)
        outside = (ids < 0) | (ids >= len(self.vocabulary))
        if outside.any():
            row, column = (int(index) for index in np.argwhere(outside)[0])
            raise ValueError(
                f"Token ids have to lie in 0..{len(self.vocabulary) - 1}. Received: {ids[row, column]} in {where}, row "
                f"{row}, column {column}."
            )

    def calibration_range(self) -> tuple[float, int] | None:
        return 1.0, 0  # ids stay ids in any file

    def fed(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        ids = np.asarray(examples, np.int32)
        values = (ids, (ids != self.padding).astype(ids.dtype), ids * 0)
        return dict(zip(self.tensors, values, strict=True))

    def in_graph(self, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The ids where the mask is, padding elsewhere; segments are read by nothing, for a text is one sentence."""
        import tensorflow as tf

        return tf.where(tensors["mask"] != 0, tensors["ids"], self.padding)

    def scaling(self) -> tuple[float | list[float], float | list[float]]:
        raise ValueError("Token ids are no numbers to be scaled: an embedding reads them. Received: texts.")

    def noise(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Ids of the first five tokens, which every vocabulary has."""
        return np.random.default_rng(seed).integers(0, 5, (count, self.length)).astype(np.int32)

    def read(self, argument: str) -> np.ndarray:
        """A sentence; or an array of token ids in a file, ``.npy`` or ``.npz``.

        Raises:
            ValueError: if it is empty, names a table or a text file, see `lines.refuse_path`, or the array does not
                fit.
        """
        is_file = os.path.isfile(argument)
        if is_file and argument.endswith(lines.ARRAYS):
            from kerastl.inputs import array_file

            ids = array_file.read_batch(Path(argument), shape=self.shape).astype(np.int32)
            self.check(ids, where=argument)
            return ids
        if is_file and lines.is_path(argument):
            lines.refuse_path(argument, kind=self.kind)
        if not argument.strip():
            raise ValueError("Wanted a sentence. Received: an empty text.")
        return self._encoded(argument)

    def columns_in(self, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
        """The one column of a table that holds sentences; see `types.TableInputs`.

        Raises:
            ValueError: if none does, or several do.
        """
        return columns.of_sentences(header, rows)

    def of_row(self, values: Mapping[str, str | None]) -> np.ndarray:
        """A sentence of a table, or a line of a text, whatever it looks like.

        Raises:
            ValueError: if it is empty.
        """
        (sentence,) = values.values()
        if not (sentence or "").strip():
            raise ValueError("Wanted a sentence. Received: an empty text.")
        return self._encoded(sentence or "")

    def _encoded(self, sentence: str) -> np.ndarray:
        return np.asarray([self.tokenizer.encode(sentence, self.length)], np.int32)

    def shown(self, example: np.ndarray) -> dict[str, str]:
        """The text as the model read it, out of its tokens."""
        return {"text": self.decoded(np.asarray(example))}

    def decoded(self, ids: np.ndarray) -> str:
        """A text that reads like what ids were made from."""
        if isinstance(self.settings, wordpiece.Settings):
            return wordpiece.decode(ids.tolist(), self.vocabulary)
        return self.tokenizer.decode(ids.tolist())

    def words(self, example: np.ndarray, written: str = "") -> list[Word]:
        """The words that an example's tokens make.

        Args:
            example: token ids.
            written: the text that they were made from, where it is known: words then read as they stand there, with
                their capitals and accents, and not as the vocabulary has them.
        """
        found: list[tuple[int, list[int]]] = []
        tokenizer = self.tokenizer
        for place, number in enumerate(np.asarray(example).tolist()):
            if tokenizer.is_special(number):
                continue
            if tokenizer.goes_on(number) and found:
                found[-1][1].append(number)
            else:
                found.append((place, [number]))
        places = tokenizer.places(written)
        words = [Word(place, tokenizer.decode(numbers)) for place, numbers in found]
        stand = [list(tokenizer.ids_of([part])) for part in self._parts(written, places)[: len(found)]]
        same = all(one[: len(numbers)] == numbers for one, (_, numbers) in zip(stand, found, strict=False))
        if len(stand) < len(found) or not same:  # another text, or one whose words are not apart as these are
            return words
        behind, put = 0, []
        for word, (start, end) in zip(words, places, strict=False):
            between = written[behind:start]
            put.append(word._replace(text=written[start:end], before=" " if between.isspace() else between))
            behind = end
        return put

    def _parts(self, written: str, places: Sequence[tuple[int, int]]) -> list[str]:
        """What stands at some places of a text, as the tokenizer compares it."""
        words = (self.tokenizer.words(written[start:end]) for start, end in places)
        return ["".join(some) for some in words]

    @property
    def fed_with(self) -> str:
        if isinstance(self.settings, sentencepiece.Settings):
            return "texts as token ids, which `sentencepiece.model` makes of them"
        return "texts as token ids, each the number of a line of `vocab.txt`"

    def described(self) -> dict[str, Any]:
        if isinstance(self.settings, sentencepiece.Settings):  # which has the vocabulary inside
            model = base64.b64encode(self.settings.model).decode()
            return {"length": self.length, SENTENCEPIECE: {**self.settings.config(), "model": model}}
        described = {"vocabulary": list(self.vocabulary), "length": self.length}
        return described | ({} if self.settings == wordpiece.UNCASED else {"tokenizer": self.settings.config()})


def tokenizer_of(vocabulary: Sequence[str], settings: Settings) -> Tokenizer:
    """The tokenizer of a vocabulary and its settings.

    Raises:
        ValueError: as that tokenizer.
    """
    return _tokenizer(() if isinstance(settings, sentencepiece.Settings) else tuple(vocabulary), settings)


@functools.lru_cache(maxsize=4)  # that of a large SentencePiece model takes seconds
def _tokenizer(vocabulary: tuple[str, ...], settings: Settings) -> Tokenizer:
    if isinstance(settings, sentencepiece.Settings):
        return sentencepiece.TextTokenizer(settings)
    return wordpiece.Tokenizer(vocabulary, settings)


def pieces_of(kind: object) -> sentencepiece.Settings | None:
    """The SentencePiece model that a kind's texts are read with; ``None`` where another tokenizer reads, or no text."""
    settings = kind.settings if isinstance(kind, Text) else None
    return settings if isinstance(settings, sentencepiece.Settings) else None


def of(task: Task) -> Text:
    """The kind of a task's inputs, for builders that read token ids.

    Raises:
        ValueError: if they are no texts.
    """
    if not isinstance(task.inputs, Text):
        raise ValueError(
            f"Wanted a task of texts, with a vocabulary. Received: task {task.name!r} of {task.inputs.kind} "
            f"{task.inputs.shape}."
        )
    return task.inputs


def read_with(task: Task, tokenizer: Tokenizer, *, encoder: str, load_with: str) -> tuple[str, ...]:
    """The vocabulary of an encoder's tokenizer, which has to be the one that a task's texts were read with.

    Args:
        task: of texts.
        tokenizer: the encoder's.
        encoder: its name, for the message.
        load_with: the value of ``vocabulary`` that loads texts for it, for the message.

    Raises:
        ValueError: if the texts were read with other tokens or other settings, or are no texts.
    """
    kind = of(task)
    if kind.vocabulary != tokenizer.vocabulary:
        raise ValueError(
            f"{encoder} reads ids of its own vocabulary, {len(tokenizer.vocabulary):,} tokens; load the texts with "
            f"vocabulary={load_with}. Received: {len(kind.vocabulary):,} tokens in task {task.name!r}."
        )
    if kind.settings != tokenizer.settings:
        raise ValueError(
            f"{encoder} reads texts with {tokenizer.settings}; load them with vocabulary={load_with}. Received: texts "
            f"in task {task.name!r} that were read with {kind.settings}."
        )
    return tokenizer.vocabulary


def restored(described: Mapping[str, Any]) -> Text | None:
    """The kind that `Text.described` described, ``None`` where another one did.

    Files that were made before a tokenizer had settings are of BERT's uncased models.

    Raises:
        ValueError: as `Text`, `wordpiece.Settings.of_config` and `sentencepiece.TextTokenizer`.
    """
    if SENTENCEPIECE in described and "texts" not in described:
        said = described[SENTENCEPIECE]
        try:
            model = base64.b64decode(said["model"], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError(f"Wanted a SentencePiece model in base 64. Received: {error!r}.") from error
        settings = sentencepiece.Settings.of_config(model, said)
        return Text(described["length"], tokenizer_of((), settings).vocabulary, settings)
    if "vocabulary" not in described or "texts" in described:
        return None
    settings = wordpiece.Settings.of_config(described.get("tokenizer", {}))
    return Text(described["length"], tuple(described["vocabulary"]), settings)
