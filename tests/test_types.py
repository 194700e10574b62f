"""What crosses from room to room: splits of one length, their rows, and the task that they carry."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest

from kerastl import types
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Inputs, NamedInputs, Schedule, Split, Target, Task, kind_of, settings

TASK = Task("animals", Image((2, 2, 1)), SingleLabel(("cat", "dog")))
PICTURES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
LABELS = np.array([0, 1, 0, 1, 0, 1], np.int32)


def test_a_task_carries_what_goes_in_and_what_is_asked():
    several = dataclasses.replace(TASK, target=MultiLabel(("cat", "dog")))
    assert isinstance(TASK.inputs, Inputs)
    assert all(isinstance(task.target, Target) for task in (TASK, several))
    assert Task("animals", Image([2, 2, 1]), SingleLabel(["cat", "dog"])) == TASK != several
    texts = Task("texts", Text(16, ("[PAD]", "a")), SingleLabel(("a", "b")))
    assert "[PAD]" not in repr(texts), "thousands of tokens are in no message"


def test_a_split_has_one_label_and_one_origin_an_input():
    Split("train", PICTURES, LABELS, TASK, np.arange(6))
    with pytest.raises(ValueError, match=r"one label an input\. Received: 6 inputs, 5 labels in split 'train'"):
        Split("train", PICTURES, LABELS[:5], TASK)
    with pytest.raises(ValueError, match="6 inputs, 6 labels, 2 origins"):
        Split("train", PICTURES, LABELS, TASK, np.arange(2))
    with pytest.raises(ValueError, match="6 inputs 'left', 5 inputs 'right', 6 labels"):
        Split("train", {"left": PICTURES, "right": PICTURES[:5]}, LABELS, TASK)


@pytest.mark.parametrize("rows", [slice(2, 5), np.array([4, 0, 4])], ids=["slice", "indices"])
def test_rows_of_a_split_stay_together(rows):
    origins = np.array([f"{number}.png" for number in range(6)])
    found = Split("train", {"one": PICTURES, "two": PICTURES + 1}, {"kind": LABELS}, TASK, origins).subset(rows)
    np.testing.assert_array_equal(found.inputs["one"], PICTURES[rows])
    np.testing.assert_array_equal(found.inputs["two"], PICTURES[rows] + 1)
    np.testing.assert_array_equal(found.labels["kind"], LABELS[rows])
    np.testing.assert_array_equal(found.origins, origins[rows])
    assert (len(found), found.name, found.task) == (3, "train", TASK)


def test_the_first_rows_of_a_split():
    split = Split("train", PICTURES, LABELS, TASK)
    assert len(split.take(2)) == 2
    assert len(split.take(None)) == len(split) == 6
    assert split.take(2).origins is None


def test_a_function_of_each_by_name():
    assert types.each(lambda one, two: one - two, 5, 2) == 3
    assert types.each(lambda one, two, three: one - two * three, {"a": 5, "b": 7}, {"b": 2, "a": 1}, 2) == {
        "a": 3,
        "b": 3,
    }


def test_a_data_set_remembers_of_how_many_examples_it_was_drawn():
    train, held = Split("train", PICTURES, LABELS, TASK), Split("test", PICTURES[:1], LABELS[:1], TASK)
    whole = Dataset(TASK, train, held, held, digest="d", source="toy")
    few = whole.drawn(np.array([4, 0, 2])).drawn(slice(2))
    np.testing.assert_array_equal(few.train.inputs, PICTURES[[4, 0]])
    assert (few.drawn_from, whole.drawn_from, few.digest, len(few.test)) == (6, None, "d", 1)


def test_rows_of_streamed_pictures_are_not_read(stream):
    lazy = stream(np.zeros((5, 4, 4, 3), np.uint8))
    split = Split("train", lazy, LABELS[:5], dataclasses.replace(TASK, inputs=Image((4, 4, 3))))
    assert type(split.subset(np.array([3, 1])).inputs) is type(lazy)


@pytest.mark.parametrize(
    ("examples", "drop", "steps"), [(100, True, 9), (100, False, 12), (96, False, 9), (31, True, 0)]
)
def test_the_steps_of_a_schedule(examples, drop, steps):
    assert Schedule(epochs=3, batch_size=32).steps(examples, drop_remainder=drop) == steps


def test_the_kind_of_one_input_of_several():
    row = Numbers((2,))
    both = Named((("picture", Image((2, 2, 1))), ("row", row)))
    assert isinstance(both, NamedInputs)
    assert not isinstance(row, NamedInputs)
    assert kind_of(both, "row") is row
    assert kind_of(row, "whatever the file calls it") is row


# ------------------------------------------------------------------------------------------------------------- settings


@dataclasses.dataclass(frozen=True)
class Inner:
    epochs: settings.CountOrNone = 3
    rate: settings.Positive | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    share: settings.Share = 0.5
    widths: tuple[settings.Count, ...] = (8, 16)
    held: settings.CountOrShare = 0.1
    kind: Literal["floats", "integers"] = "floats"
    place: settings.Place = ""
    flip: bool = False
    data: str | None = None
    inner: Inner = Inner()
    anything: Any = None


@pytest.mark.parametrize(
    "right",
    [
        *({"share": 1}, {"share": np.float32(0.5)}, {"widths": [1]}, {"widths": ()}, {"held": 100}, {"held": 0.99}),
        *(
            {"kind": "integers"},
            {"place": __file__},
            {"data": Path("x")},
            {"inner": Inner(0, 1e-9)},
            {"anything": object},
        ),
    ],
    ids=str,
)
def test_settings_within_their_ranges(right):
    settings.check(dataclasses.replace(Settings(), **right))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share": 1.5}, "--share is a number of 0 to 1. Received: 1.5."),
        ({"share": float("nan")}, "--share is a number of 0 to 1. Received: nan."),
        ({"share": "half"}, "--share is a number of 0 to 1. Received: 'half'."),
        ({"share": True}, "--share is a number of 0 to 1. Received: True."),
        ({"widths": (8, 0)}, "--widths is a list of which each is a whole number 1 or more. Received: (8, 0)."),
        ({"widths": 8}, "--widths is a list of which each is a whole number 1 or more. Received: 8."),
        ({"held": 1.0}, "--held is a whole number 1 or more, or a number above 0 and below 1. Received: 1.0."),
        ({"kind": "Integer"}, "--kind is one of floats, integers. Did you mean integers? Received: 'Integer'."),
        ({"kind": "x"}, "--kind is one of floats, integers. Received: 'x'."),
        ({"place": "gone"}, "--place is a file or folder; there is nothing at that path. Received: 'gone'."),
        ({"flip": "yes"}, "--flip is on or off. Received: 'yes'."),
        ({"data": 3}, "--data is a text. Received: 3."),
        ({"inner": Inner(epochs=-1)}, "--inner.epochs is a whole number 0 or more. Received: -1."),
        ({"inner": Inner(epochs=cast(Any, 1.5))}, "--inner.epochs is a whole number 0 or more. Received: 1.5."),
        ({"inner": Inner(rate=0)}, "--inner.rate is a number above 0. Received: 0."),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_said_with_its_flag(wrong, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        settings.check(dataclasses.replace(Settings(), **wrong))


def test_a_range_has_all_its_digits():
    assert str(settings.Range(0, 2**32 - 1)) == "of 0 to 4,294,967,295"
    assert str(settings.Range(above=0, most=1)) == "above 0 and 1 or less"
    assert str(settings.Range(1_000_000)) == "1,000,000 or more"
    assert str(settings.Range(0.5, 0.75)) == "of 0.5 to 0.75"
