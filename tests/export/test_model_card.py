"""The card of a file, from a report by hand: licences that are known, smoke runs, names with signs of tables."""

from __future__ import annotations

from typing import Any

from kerastl import types
from kerastl.export import model_card
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel

TASK = types.Task("mnist", Image((4, 4, 1)), SingleLabel(("a|b", "c")))
ROW = {
    "name": "int8", "technique": "static int8", "bytes": 1234, "sha256": "0" * 64, "score": 0.9, "score_low": 0.8,
    "score_high": 0.95, "float_score": 0.91, "agreement": 0.99, "min_runtime": {"litert": "1.1.2"},
    "latency_ms": {"median": 0.5, "p95": 0.6, "threads": 1, "runs": 10}, "multiply_adds": 12_000, "arena_bytes": 512,
}  # fmt: skip
CLASS = {"examples": 10, "recall": 0.5, "precision": None, "f1": 0.4, "f1_low": 0.2, "f1_high": 0.6}
REPORT: dict[str, Any] = {
    "recipe": "toy", "tag": "x", "task": "single-label classification", "metric": "accuracy", "units": "%",
    "chosen": "int8", "variants": [ROW], "warnings": ["Look at this."], "baselines": [{"name": "luck", "score": 0.5}],
    "settings": {"encoder": "minilm_l6", "deep": {"backbone": "mobilenet_v2"}, "epochs": 3}, "versions": {"keras": "3"},
    "stages": [{"name": "all", "seconds": 90, "reused": False}], "by_class": [{"name": "a|b", **CLASS}],
    "data": {"name": "mnist", "digest": "d" * 64, "train": 10, "validation": 5, "test": 5},
    "confusions": [{"names": ["a|b", "c"], "cells": [[0, 1, 3], [0, 0, 7]]}],
    "made": {"smoke": True, "command": "kerastl run toy", "machine": {"cpu": "a CPU", "cores": 2}},
}  # fmt: skip


def test_what_is_known_is_said_and_what_is_not_known_too():
    card = model_card.written(REPORT, TASK)
    for words in (
        "licence: not stated by its authors", "all-MiniLM-L6-v2, Apache-2.0; MobileNetV2 on ImageNet, Apache-2.0",
        "smoke run, whose tiny sizes", "a\\|b | 10 | 50.00 % |  | 40.00 % (20.0 to 60.0)", "a|b for c (3 times)",
        "LiteRT 1.1.2 or newer", "- Look at this.", "- luck: 50.00 %", "made in 1.5 minutes on a CPU, 2 cores",
    ):  # fmt: skip
        assert words in card
    other = {**REPORT, "data": {**REPORT["data"], "name": "mine"}, "settings": {}, "made": {}}
    card = model_card.written(other, TASK)
    assert "licence: not known to kerastl" in card
    assert "No pretrained weights" in card
    assert "smoke" not in card
