"""Tagging: a tag a token, and the spans that tags say: names of persons and places, amounts, titles."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, confusion, dense_prediction
from kerastl.tasks.dense_prediction import DensePrediction
from kerastl.types import Score, Word

if TYPE_CHECKING:
    import keras

OUTSIDE = "O"
"""The tag of what belongs to no span."""
IGNORED = -1
"""Stands for a label where nothing is asked: at [CLS], [SEP], padding, and every piece of a word but its first."""
_RESAMPLES, _SHOWN = 1000, 20
_BEGINS, _GOES_ON, _ENDS = "BSU", "IEL", "ESLU"
"""First letters of tags in BIO, IOB1, BIOES and BILOU that begin a span, may go on with one, and end it."""

Span = tuple[int, int, str]
"""First word, the one behind the last, and kind of a span."""


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a row of tags, ``B-PER I-PER O``, in any of the schemes BIO, IOB1, BIOES and BILOU.

    A tag that goes on with nothing begins a span, as in the evaluation of CoNLL-2000 (Tjong Kim Sang & Buchholz 2000,
    ``conlleval``) and in ``seqeval``'s default.
    """
    found: list[Span] = []
    start, kind, open_ = 0, "", False
    for place, tag in enumerate([*tags, OUTSIDE]):
        first, own = tag[:1], tag[2:]
        goes_on = open_ and first in _GOES_ON and own == kind
        if open_ and not goes_on:
            found.append((start, place, kind))
            open_ = False
        if not goes_on and tag != OUTSIDE:
            start, kind, open_ = place, own, True
        if open_ and first in _ENDS:
            found.append((start, place + 1, kind))
            open_ = False
    return found


def in_bio(tags: Sequence[str]) -> list[str]:
    """The same spans in BIO (IOB2): the first word's tag begins with ``B``, those of the others with ``I``."""
    made = [OUTSIDE] * len(tags)
    for start, end, kind in spans(tags):
        for place in range(start, end):
            made[place] = f"{'B' if place == start else 'I'}-{kind}"
    return made


def is_tag(word: str) -> bool:
    """Whether a word is a tag of one of the schemes."""
    return word == OUTSIDE or (word[:1] in _BEGINS + _GOES_ON and word[1:2] == "-" and len(word) > 2)


@dataclasses.dataclass(frozen=True)
class Tagging(DensePrediction):
    """Tags of a text's tokens in BIO, labels int32 ``(examples, tokens)``, `IGNORED` where nothing is asked.

    A model ends in logits ``(batch, tokens, tags)``, an exported file in probabilities that sum to one a token. The
    score is the micro-averaged F1 of spans, of which first word, last word and kind are right (Tjong Kim Sang & De
    Meulder 2003, "Introduction to the CoNLL-2003 Shared Task"), with a bootstrap interval over the texts (Efron 1979).
    See `types.Target`.

    Attributes:
        names: of the tags: ``O``, and ``B-`` and ``I-`` of each kind, in the order of the model's outputs.

    Raises:
        ValueError: if they are no tags of BIO, or ``O`` is not among them.
    """

    names: tuple[str, ...]

    kind: ClassVar[str] = "tagging"
    metric: ClassVar[str] = "span F1"
    label_dtype: ClassVar[str] = "int32"
    place: ClassVar[str] = "token"
    weighed: ClassVar[tuple[str, str]] = ("Tags", "tokens")

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", classes.check_names(self.names))
        wrong = [name for name in self.names if not is_tag(name) or name[0] not in "OBI"]
        if wrong or OUTSIDE not in self.names:
            raise ValueError(
                f"Wanted tags of BIO: {OUTSIDE}, B-PER, I-PER ... Received: {', '.join(self.names[:10])}, of which "
                f"{', '.join(wrong[:5]) or 'none'} are no such tags."
            )

    @classmethod
    def of(cls, kinds: Sequence[str]) -> Tagging:
        """The target of spans of these kinds."""
        return cls((OUTSIDE, *(f"{first}-{kind}" for kind in kinds for first in "BI")))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of spans, in the order of their tags."""
        return tuple(dict.fromkeys(name[2:] for name in self.names if name != OUTSIDE))

    def check(self, labels: np.ndarray, *, where: str, rows: int) -> None:
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.ndim != 2 or len(labels) != rows:
            raise ValueError(
                f"Labels of tokens are integers (examples, tokens). Received: shape {labels.shape} of {labels.dtype} "
                f"in {where}, of {rows} examples."
            )
        outside = (labels < IGNORED) | (labels >= self.outputs)
        if outside.any():
            row, column = (int(index) for index in np.argwhere(outside)[0])
            raise ValueError(
                f"Labels have to lie in 0..{self.outputs - 1}, or be {IGNORED} where nothing is asked. Received: "
                f"{labels[row, column]} in {where}, row {row}, column {column}."
            )

    def check_split(self, labels: np.ndarray, *, where: str) -> None:
        counts = dict.fromkeys(self.kinds, 0)
        for row in np.asarray(labels):
            for _, _, kind in self._spans(row[row != IGNORED]):
                counts[kind] += 1
        if lacking := [kind for kind, count in counts.items() if not count]:
            raise ValueError(
                f"Every kind of span has to stand in every split. Received: none of {', '.join(lacking[:5])} in "
                f"{where} ({len(labels)} texts). Get more texts with it, or take more of them for validation and test."
            )

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """The rarest kind of span that each text has, counted from 1; 0 for none."""
        labels = np.asarray(labels)
        return 1 + dense_prediction.rarest(np.stack([self._having(labels, kind) for kind in self.kinds], -1))

    def loss(self) -> keras.losses.Loss:
        """The cross-entropy of the tokens that are asked for."""
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)

    def predictions(self, answers: np.ndarray) -> np.ndarray:
        return np.asarray(answers).argmax(-1)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        counts = self._counts(answers, labels).sum(-1)  # of each text: right, given, wanted
        draw, texts = np.random.default_rng(0), len(counts)
        drawn = [f1(counts[draw.integers(0, texts, texts)].sum(0)) for _ in range(_RESAMPLES)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Score(value=f1(counts.sum(0)), low=float(low), high=float(high), count=texts)

    def agree(self, answers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Whether every token has the same tag."""
        return (self.predictions(answers) == self.predictions(expected)).all(-1)

    def lost(self, answers: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> tuple[str, object, object] | None:
        """A kind of span that the model finds and the file never does."""
        asked, given = (self._counts(table, labels)[:, 1].sum(0) for table in (expected, answers))
        return classes.lost(self.kinds, asked, given)

    def details(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Precision, recall and F1 of each kind of span with their intervals, and which tags are taken for which."""
        right, given, wanted = (one.tolist() for one in self._counts(answers, labels).sum(0))
        rows = []
        for kind, hits, named, there in zip(self.kinds, right, given, wanted, strict=True):
            row: dict[str, Any] = {"name": kind, "spans": there, "named": named, "hits": hits}
            for key, whole in (("precision", named), ("recall", there)):
                low, high = classes.wilson_bounds(hits / whole, whole) if whole else (None, None)
                row |= {key: hits / whole if whole else None, f"{key}_low": low, f"{key}_high": high}
            either = there + named - hits
            low, high = classes.f1_bounds(hits, either) if either else (None, None)
            rows.append(row | {"f1": f1(np.array([hits, named, there])), "f1_low": low, "f1_high": high})
        keys = ("precision", "recall", "f1")
        cells = [
            [row["name"], f"{row['spans']:,}"]
            + ["none" if row[key] is None else classes.with_interval(row, key) for key in keys]
            for row in sorted(rows, key=lambda row: row["f1"])
        ]
        macro = float(np.mean([row["f1"] for row in rows if row["spans"]]))
        note = (
            "Of the chosen file on the test texts, with 95 % intervals, the kind of the least F1 first; a span is "
            f"right where its first word, its last and its kind are. Macro F1, the mean: {classes.percent(macro)}."
        )
        columns = ["Kind", "Spans", "Precision", "Recall", "F1"]
        table = {"title": "Kinds of span", "note": note, "columns": columns, "rows": cells}
        asked = np.asarray(labels) != IGNORED
        tags = confusion.matrix(self.names, np.asarray(labels)[asked], self.predictions(answers)[asked])
        tags |= {"title": "Confusion matrix of tags", "note": "Tokens of the test texts: rows are true, columns said."}
        return {"by_kind": rows, "macro_f1": macro, "confusions": [tags], "tables": [table]}

    def summary(self, details: Mapping[str, Any]) -> str:
        least = min(details["by_kind"], key=lambda row: row["f1"])
        found = sum(row["spans"] for row in details["by_kind"])
        kinds = phrases.counted(len(details["by_kind"]), "kind", "kinds")
        return f"{found:,} spans of {kinds}; least F1 {classes.percent(least['f1'])} of {least['name']}"

    def confidence(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The share of spans, given and wanted, that are wrong; 0 where all are right."""
        right, given, wanted = self._counts(answers, labels).sum(-1).T
        return 1 - np.divide(2 * right, given + wanted, out=np.ones(len(right)), where=given + wanted > 0)

    def said(self, answer: np.ndarray) -> dict[str, Any]:
        """The tag of each token; `spans_of` says which words they are of."""
        tags = [self.names[index] for index in self.predictions(answer)]
        return {"tags": tags, "words": " ".join(tags)}

    def spans_of(self, answer: np.ndarray, words: Sequence[Word]) -> dict[str, Any]:
        """The spans of a text with their words.

        Args:
            answer: ``(tokens, tags)``.
            words: of the text.
        """
        tags = [self.names[index] for index in self.predictions(answer)[[word.token for word in words]]]
        found = []
        for first, behind, kind in spans(tags):
            rest = (word.before + word.text for word in words[first + 1 : behind])
            found.append({"kind": kind, "text": words[first].text + "".join(rest)})
        said = ", ".join(f"{one['text']} ({one['kind']})" for one in found) or "no span"
        return {"spans": found, "words": said}

    def label_words(self, label: np.ndarray) -> str:
        tags = [self.names[index] for index in np.asarray(label) if index != IGNORED]
        return " ".join(tags[:_SHOWN]) + (" ..." if len(tags) > _SHOWN else "")

    def described(self) -> dict[str, Any]:
        return {"tags": list(self.names)}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        what = "a probability for each token and each line\nof `labels.txt`, in BIO: `B-` begins a span, `I-` goes on."
        python = 'labels = open("labels.txt", encoding="utf-8").read().splitlines()\n'
        python += f"for token, tag in zip(ids[0], {self.output_name}.argmax(-1)):\n"
        return what, f"{python}    print(tokenizer.vocabulary[token], labels[tag])"

    def _spans(self, indices: np.ndarray) -> list[Span]:
        return spans([self.names[index] for index in indices])

    def _having(self, labels: np.ndarray, kind: str) -> np.ndarray:
        """Which texts have a span of a kind."""
        own = [index for index, name in enumerate(self.names) if name[2:] == kind]
        return np.asarray(np.isin(labels, own).any(-1))

    def _counts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Spans that are right, given and wanted, ``(examples, 3, kinds)``."""
        answers, labels = np.asarray(answers), np.asarray(labels)
        if not len(labels) or answers.shape != (*labels.shape, self.outputs):
            raise ValueError(
                f"Wanted answers (examples, tokens, {self.outputs}) and a label a token. Received: {answers.shape} and "
                f"labels {labels.shape}."
            )
        place = {kind: index for index, kind in enumerate(self.kinds)}
        found = np.zeros((len(labels), 3, len(place)), np.int64)
        for row, (tags, label) in enumerate(zip(self.predictions(answers), labels, strict=True)):
            asked = label != IGNORED
            given, wanted = set(self._spans(tags[asked])), set(self._spans(label[asked]))
            for column, some in enumerate((given & wanted, given, wanted)):
                for _, _, kind in some:
                    found[row, column, place[kind]] += 1
        return found


def f1(counts: np.ndarray) -> float:
    """Harmonic mean of precision and recall, of spans that are right, given and wanted; 1 where there is none."""
    right, given, wanted = counts
    return float(2 * right / (given + wanted)) if given + wanted else 1.0


def restored(described: Mapping[str, Any]) -> Tagging | None:
    """The kind that `Tagging.described` described, ``None`` where another one did."""
    return Tagging(tuple(described["tags"])) if "tags" in described else None
