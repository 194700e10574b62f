"""The data on the page: classes counted, inputs looked at, one example a class."""

from __future__ import annotations

import numpy as np
import toy_run

from kerastl import types
from kerastl.runs.page import overview


def test_classes_are_counted_and_inputs_looked_at():
    dataset = toy_run.load()
    found = overview.described(dataset)
    for place, row in enumerate(found["counts"]):
        assert row["name"] == dataset.task.target.names[place]
        for split in (dataset.train, dataset.validation, dataset.test):
            assert row[split.name] == int((np.asarray(split.labels) == place).sum())
    (pixels,) = found["inputs"]
    assert pixels["shape"] == [4, 4, 1]
    assert pixels["mean"] == np.asarray(dataset.validation.inputs, float).mean()
    assert found["words"] is None
    shown = overview.examples(dataset)
    there = sorted(set(np.asarray(dataset.validation.labels).tolist()))
    assert [one["label"] for one in shown] == [dataset.task.target.names[place] for place in there]
    assert all(one["picture"].startswith("data:image/png") for one in shown)


def test_words_of_texts_as_they_were_written(tiny_text):
    texts = np.array(["one two three"] * (len(tiny_text.labels) - 1) + ["a b c d e"], object)
    split = types.Split("validation", tiny_text.inputs, tiny_text.labels, tiny_text.task, texts=texts)
    dataset = types.Dataset(tiny_text.task, split, split, split, "0" * 64, "toy")
    assert overview.described(dataset)["words"] == {"median": 3, "most": 5}
    assert overview.examples(dataset)[0]["text"] == "one two three"
