"""Mistakes in a report: each can be found again, files stand side by side, lists are bounded and counts are not."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from kerastl import types
from kerastl.inputs.image import Image
from kerastl.runs.page import mistakes
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 3, 120).astype(np.int32)
TASK = types.Task("toy", Image((4, 4, 1)), SingleLabel(("a", "b", "c")))
PICTURES = DRAW.integers(0, 256, (120, 4, 4, 1)).astype(np.uint8)
SPLIT = types.Split("test", PICTURES, LABELS, TASK, np.array([f"{row}.png" for row in range(120)], object))


def answers(seed: int, *, sure: float) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(120, 3)) + sure * np.eye(3)[LABELS]
    return (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)


GIVEN = {"float32": answers(1, sure=3.0), "int8": answers(1, sure=2.0), "teacher_float32": answers(2, sure=3.0)}


def test_a_mistake_can_be_found_again():
    found = mistakes.described(SPLIT, GIVEN, chosen="int8")
    wrong = np.flatnonzero(GIVEN["int8"].argmax(-1) != LABELS)
    assert found["files"] == ["int8", "float32", "teacher_float32"]
    assert (found["total"], found["examples"], len(found["rows"])) == (len(wrong), 120, len(wrong))
    for row in found["rows"]:
        place = row["row"]
        assert place in wrong
        assert row["origin"] == f"{place}.png"
        assert row["digest"] == hashlib.sha256(PICTURES[place].tobytes()).hexdigest()
        assert row["label"] == "abc"[LABELS[place]]
        assert row["said"] == {name: "abc"[table[place].argmax()] for name, table in GIVEN.items()}
        assert row["right"] == {name: table[place].argmax() == LABELS[place] for name, table in GIVEN.items()}
        assert row["confidence"] == pytest.approx(GIVEN["int8"][place].max())
    confidences = [row["confidence"] for row in found["rows"]]
    assert confidences == sorted(confidences, reverse=True)


def test_where_files_disagree():
    found = mistakes.described(SPLIT, GIVEN, chosen="int8")["disagreements"]
    said = np.stack([table.argmax(-1) for table in GIVEN.values()])
    assert sorted(row["row"] for row in found["rows"]) == np.flatnonzero((said != said[0]).any(0)).tolist()
    assert found["total"] == len(found["rows"]) > 0


def test_a_wrong_label_is_doubted():
    labels = LABELS.copy()
    labels[7] = (LABELS[7] + 1) % 3
    sure = {
        name: np.where(np.eye(3, dtype=bool)[LABELS], 0.98, 0.01).astype(np.float32) for name in ("int8", "float32")
    }
    wrong = types.Split("test", PICTURES, labels, TASK)
    found = mistakes.described(wrong, sure, chosen="int8")
    assert [row["row"] for row in found["doubtful"]["rows"]] == [7]
    assert "origin" not in found["doubtful"]["rows"][0]


def test_lists_are_bounded_and_counts_are_not(monkeypatch):
    for name in ("LISTED", "DISAGREEMENTS", "DOUBTFUL"):
        monkeypatch.setattr(mistakes, name, 2)
    found, whole = (mistakes.described(SPLIT, GIVEN, chosen="int8") for _ in range(2))
    assert found == whole
    assert len(found["rows"]) == len(found["disagreements"]["rows"]) == 2
    assert found["total"] > 2


def test_a_text_is_as_somebody_wrote_it(tiny_text):
    texts = np.array([f"Sentence, No. {row}!" for row in range(len(tiny_text.labels))], object)
    split = types.Split("test", tiny_text.inputs, 1 - tiny_text.labels, tiny_text.task, texts=texts)
    found = mistakes.described(split, {"one": tiny_text.expected}, chosen="one")
    assert found["rows"][0]["text"] == f"Sentence, No. {found['rows'][0]['row']}!"
    shown = mistakes.misclassified(split, tiny_text.expected, limit=3)
    assert shown.shown[0]["text"].startswith("Sentence, No. ")


def test_numbers_have_mistakes_and_no_doubtful_labels():
    task = types.Task("toy", TASK.inputs, Regression(("size",), (0.0,), (1.0,), "mm"))
    labels = DRAW.normal(size=(120, 1)).astype(np.float32)
    found = mistakes.described(types.Split("test", PICTURES, labels, task), {"one": labels + 0.5}, chosen="one")
    assert found["doubtful"] is None
    assert found["rows"][0]["confidence"] == pytest.approx(0.5, abs=1e-5)
    assert found["rows"][0]["label"].endswith("mm")


def test_which_files_stand_beside_the_chosen_one():
    rows = [
        {"name": "int8", "technique": "int8", "model": "model.keras", "bytes": 1},
        {"name": "float32", "technique": "float32", "model": "model.keras", "bytes": 4},
        {"name": "teacher_float32", "technique": "float32", "model": "teacher_float32", "bytes": 40},
        {"name": "other_float32", "technique": "float32", "model": "other_float32", "bytes": 4},
    ]
    assert mistakes.beside(rows, "int8") == ["float32", "teacher_float32"]
    assert mistakes.beside(rows[:1], "int8") == []
