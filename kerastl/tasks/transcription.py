"""Transcription: a sequence of symbols, heard or seen in frames of which nobody said where each symbol stands."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, decoding
from kerastl.tasks.decoding import PADDING
from kerastl.tasks.dense_prediction import DensePrediction
from kerastl.types import Score

if TYPE_CHECKING:
    import keras

BLANK, SPACE = "<blank>", "<space>"
"""Names of the first output, which says nothing, and of a space, as a line of ``labels.txt``."""
_RESAMPLES, _SHOWN, _PAIRS = 1000, 40, 20
_BEAM, _SEARCHED = 16, 100
"""Width of the beam that is compared with greedy reading, and on how many sequences."""


@dataclasses.dataclass(frozen=True)
class Transcription(DensePrediction):
    """A sequence of symbols, labels int32 ``(examples, most)`` of numbers from 1 on, `PADDING` behind; see `Target`.

    A model ends in logits ``(batch, frames, outputs)``, an exported file in probabilities that sum to one a frame: the
    first is the blank's. It is trained by connectionist temporal classification (Graves et al. 2006; see
    `transcription_training`). An answer is read greedily: the best output of each frame, repeated ones as one, blanks
    taken out. The score is the word error rate: words to be changed, put in or taken out, per word that should have
    been said, of the whole split, with a bootstrap interval over its examples (Efron 1979). It may be above 1.

    Attributes:
        symbols: what outputs stand for behind the blank: words, or the characters of an alphabet.
        separator: between two symbols of a text: a space for words, nothing for characters.

    Raises:
        ValueError: if a symbol is empty, comes twice or is not one line, or is called as the blank.
    """

    symbols: tuple[str, ...]
    separator: str = " "

    kind: ClassVar[str] = "transcription"
    metric: ClassVar[str] = "word error rate"
    higher_is_better: ClassVar[bool] = False
    label_dtype: ClassVar[str] = "int32"
    place: ClassVar[str] = "frame"
    weighed: ClassVar[tuple[str, str]] = ("Symbols", "sequences")

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        classes.check_names(self.names)

    @classmethod
    def of_characters(cls, texts: Sequence[str]) -> Transcription:
        """The target of texts spelled by the characters that they have, in the order of Unicode."""
        return cls(tuple(sorted(set("".join(texts)))), separator="")

    @property
    def names(self) -> tuple[str, ...]:
        return (BLANK, *(SPACE if symbol == " " else symbol for symbol in self.symbols))

    def labels(self, sequences: Sequence[Sequence[str]]) -> np.ndarray:
        """Sequences of symbols as labels.

        Raises:
            ValueError: a symbol is none of these.
        """
        numbers = {symbol: place for place, symbol in enumerate(self.symbols, 1)}
        unknown = sorted({symbol for one in sequences for symbol in one} - set(numbers))
        if unknown:
            raise ValueError(
                f"Wanted symbols among {', '.join(map(repr, self.symbols[:20]))}. Received: "
                f"{', '.join(map(repr, unknown[:5]))}."
            )
        found = np.full((len(sequences), max(map(len, sequences), default=0)), PADDING, np.int32)
        for row, one in zip(found, sequences, strict=True):
            row[: len(one)] = [numbers[symbol] for symbol in one]
        return found

    def text(self, sequence: np.ndarray) -> str:
        """A row of labels, or of `predictions`, as text."""
        return self.separator.join(self.symbols[number - 1] for number in np.asarray(sequence) if number != PADDING)

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.ndim != 2 or len(labels) != rows:
            raise ValueError(
                f"Sequences are integers (examples, symbols). Received: shape {labels.shape} of {labels.dtype} in "
                f"{where}, of {rows} examples."
            )
        padded = labels == PADDING
        outside = (~padded & ((labels < 1) | (labels >= self.outputs))) | (~padded & (np.cumsum(padded, -1) > 0))
        if outside.any():
            row, column = (int(index) for index in np.argwhere(outside)[0])
            raise ValueError(
                f"Symbols have to lie in 1..{self.outputs - 1}, and {PADDING} behind the last of a sequence. Received: "
                f"{labels[row, column]} in {where}, row {row}, column {column}."
            )

    def check_frames(self, labels: np.ndarray, *, frames: int) -> None:
        """Raises `ValueError` for a sequence that a model of so many frames cannot say: a symbol takes one of them, and
        between two that are the same there is a blank.
        """
        labels = np.asarray(labels)
        repeated = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] != PADDING)
        needed = (labels != PADDING).sum(-1) + repeated.sum(-1)
        if (needed > frames).any():
            row = int((needed > frames).argmax())
            raise ValueError(
                f"A sequence has to fit into the {frames} frames that the model answers. Received: "
                f"{self.label_words(labels[row])!r} in row {row}, which takes {needed[row]} "
                f"({int((needed > frames).sum())} such sequences)."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        if not (np.asarray(labels) != PADDING).any():
            raise ValueError(
                f"A split needs a sequence with a symbol in it. Received: {len(labels)} empty ones in {where}."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """How many symbols each sequence has."""
        return (np.asarray(labels) != PADDING).sum(-1)

    def loss(self) -> keras.losses.Loss:
        from kerastl.tasks import transcription_training

        return transcription_training.ConnectionistTemporalClassification()

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        """What answers say, read greedily: int32 ``(examples, frames)``, `PADDING` behind."""
        return decoding.greedy(answers)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        counts = self._counts(answers, labels, words=True)
        draw, examples = np.random.default_rng(0), len(counts)
        drawn = [_rate(counts[draw.integers(0, examples, examples)]) for _ in range(_RESAMPLES)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        value = _rate(counts)
        return Score(value=value, low=min(float(low), value), high=max(float(high), value), count=examples)

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Whether the same is said."""
        return (self.predictions(answers) == self.predictions(expected)).all(-1)

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """A symbol that the model says and the file never does."""
        numbers = np.arange(1, self.outputs)
        asked, given = ((self.predictions(one)[..., None] == numbers).sum((0, 1)) for one in (expected, answers))
        return classes.lost(self.symbols, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Error rates of words and characters, whole sequences that are right, and what is taken for what."""
        counts = {words: self._counts(answers, labels, words=words) for words in (True, False)}
        exact = classes.wilson(self.confidence(answers, labels) == 0)
        changes = collections.Counter(
            change
            for wanted, given in zip(*self._texts(answers, labels), strict=True)
            for change in decoding.edits(wanted.split(), given.split())
        )
        kinds = collections.Counter(
            "insertions" if wanted is None else "deletions" if given is None else "substitutions"
            for wanted, given in changes.elements()
        )
        rates = {"word_error_rate": _rate(counts[True]), "character_error_rate": _rate(counts[False])}
        beam = self._beam_search(answers[:_SEARCHED], labels[:_SEARCHED])
        total = int(counts[True][:, 1].sum())
        rows = [
            ["Word error rate", classes.percent(rates["word_error_rate"])],
            ["Character error rate", classes.percent(rates["character_error_rate"])],
            *([kind.capitalize(), f"{kinds[kind]:,}"] for kind in ("substitutions", "insertions", "deletions")),
            ["Whole sequences right", classes.percent(exact.value)],
            [f"Word error rate of {len(beam):,} sequences, greedy", classes.percent(_rate(counts[True][:_SEARCHED]))],
            [f"The same, by a beam of {_BEAM}", classes.percent(_rate(beam))],
        ]
        note = f"Of the chosen file on the test sequences, read greedily; {total:,} words should have been said."
        pairs = [
            [wanted or "(nothing)", given or "(nothing)", f"{count:,}"]
            for (wanted, given), count in changes.most_common(_PAIRS)
        ]
        common = "A word that was left out is taken for nothing, one that was put in is nothing taken for it."
        return {
            **rates,
            **{kind: kinds[kind] for kind in ("substitutions", "insertions", "deletions")},
            "words": total,
            "exact": exact.value,
            "beam_word_error_rate": _rate(beam),
            "tables": [
                {"title": "Error rates", "note": note, "columns": ["Measure", "Value"], "rows": rows},
                {
                    "title": "Most common changes",
                    "note": common,
                    "columns": ["Word", "Taken for", "Times"],
                    "rows": pairs,
                },
            ],
        }

    def summary(self, details: Mapping[str, Any]) -> str:
        words = phrases.counted(details["words"], "word", "words")
        return (
            f"{words}: {details['substitutions']:,} taken for others, {details['insertions']:,} put in, "
            f"{details['deletions']:,} left out; characters wrong {classes.percent(details['character_error_rate'])}, "
            f"whole sequences right {classes.percent(details['exact'])}"
        )

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The word error rate of each example; 0 where all is right."""
        edited, words = self._counts(answers, labels, words=True).T
        return edited / np.maximum(words, 1)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        text = self.text(self.predictions(answer[None])[0])
        return {"text": text, "words": text or "(nothing)"}

    def label_words(self, label: np.ndarray) -> str:
        """A row of labels, or of `predictions`, in words."""
        few = [number for number in np.asarray(label) if number != PADDING]
        return (self.text(np.array(few[:_SHOWN], np.int64)) + (" ..." if len(few) > _SHOWN else "")) or "(nothing)"

    def described(self) -> dict[str, Any]:
        return {"symbols": list(self.symbols), "separator": self.separator}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = "probabilities a frame, one for each line of\n`labels.txt`, of which the first says nothing."
        python = f"""labels = open("labels.txt", encoding="utf-8").read().replace("<space>", " ").split("\\n")
best = {self.output_name}.reshape(-1, len({self.output_name}[0, 0])).argmax(-1)
said = [labels[now] for before, now in zip([0, *best], best) if now and now != before]
print({self.separator!r}.join(said))
"""
        return what, python

    def _texts(self, answers: np.ndarray, labels: np.ndarray) -> tuple[list[str], list[str]]:
        """What should have been said, and what was."""
        answers, labels = np.asarray(answers), np.asarray(labels)
        if not len(labels) or answers.ndim != 3 or (len(answers), answers.shape[-1]) != (len(labels), self.outputs):
            raise ValueError(
                f"Wanted answers (examples, frames, {self.outputs}) and a sequence each. Received: {answers.shape} and "
                f"labels {labels.shape}."
            )
        return [self.text(row) for row in labels], [self.text(row) for row in self.predictions(answers)]

    def _counts(self, answers: np.ndarray, labels: np.ndarray, *, words: bool) -> np.ndarray:
        """Changes and parts that should have been said of each example, ``(examples, 2)``: words, or characters."""
        return _changed(*self._texts(answers, labels), words=words)

    def _beam_search(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """As `_counts` of words, of sequences that a beam finds."""
        best = [decoding.beam_search(one / one.sum(-1, keepdims=True), width=_BEAM)[0][0] for one in answers]
        given = [self.text(np.array(one, np.int64)) for one in best]
        return _changed([self.text(row) for row in labels], given, words=True)


def _changed(wanted: Sequence[str], given: Sequence[str], *, words: bool) -> np.ndarray:
    """Changes from one text to the other, and parts of the first, ``(texts, 2)``: words, or characters."""
    found = []
    for one, other in zip(wanted, given, strict=True):
        parts = (one.split(), other.split()) if words else (list(one), list(other))
        found.append((sum(1 for _ in decoding.edits(*parts)), len(parts[0])))
    return np.array(found, np.int64)


def _rate(counts: np.ndarray) -> float:
    """Changes per part; of parts there is one at least, or an empty split drawn from an interval would be undefined."""
    edited, parts = counts.sum(0)
    return float(edited / max(parts, 1))


def restored(described: Mapping[str, Any]) -> Transcription | None:
    """The kind that `Transcription.described` described, ``None`` where another one did."""
    if "symbols" not in described:
        return None
    return Transcription(tuple(described["symbols"]), str(described["separator"]))
