"""What a run says of its files of heads, counted by hand; `test_single_tasks` has real ones, measured again."""

from typing import Any

import numpy as np
import pytest

from kerastl.inputs.numbers import Numbers
from kerastl.runs import head_files
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Split, Task

TARGET: Any = MultiTask(
    (("side", SingleLabel(("low", "high"))), ("heat", Regression(("heat",), (20.0,), (11.5,), "C")))
)
TASK = Task("toy", Numbers.of(np.array([[0.0], [1.0]], "float32")), TARGET)
LABELS = {"side": np.array([0, 1, -1, 1], "int32"), "heat": np.array([[1.0], [np.nan], [3.0], [5.0]], "float32")}


def test_a_head_is_scored_on_the_examples_that_have_its_label(tmp_path):
    splits = [Split(name, np.zeros((4, 1), "float32"), LABELS, TASK) for name in ("train", "validation", "test")]
    dataset, asked = Dataset(TASK, *splits, digest="0" * 64, source="toy"), []
    given = {"side": np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), "heat": np.array([[2.0], [3.0], [2.0]])}
    paths = {name: tmp_path / f"{name}.tflite" for name in given}
    for name, path in paths.items():
        path.write_bytes(b"x" * (1000 + len(name)))

    def answers(name, split):
        asked.append((name, split.name, len(split)))
        return given[name]

    times = {"side": 0.5, "heat": 0.25}
    found = head_files.described(dataset, answers=answers, paths=paths, latencies=times, agreements={**times})
    assert asked == [("side", "test", 3), ("heat", "test", 3)]
    side, heat = found["rows"]
    assert side["score"] == pytest.approx(2 / 3)
    assert heat["score"] == pytest.approx((1 + 0 + 3) / 3)
    assert (side["bytes"], heat["latency_ms"], heat["agreement"]) == (1004, 0.25, 0.25)
    assert side["file"] == "heads/side.tflite"
    assert found["words"].endswith("heads/side.tflite 1,004 bytes, heads/heat.tflite 1,004 bytes.")
