"""Batches of what is handed to `fit` as it is: rows, orders and types, against the arrays themselves."""

import numpy as np
import pytest
from toy import DIRECTIONS, SEVERAL

from kerastl.data import pipeline
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import batching
from kerastl.types import Dataset, Schedule, Split, Task


def read(data):
    inputs, labels = zip(*((one.numpy(), other.numpy()) for one, other in data), strict=True)
    return np.concatenate(inputs), np.concatenate(labels), [len(one) for one in inputs]


def test_batches_are_the_rows_in_their_order(examples):
    split = Split("train", *examples, DIRECTIONS)
    made = batching.batches(split, batch_size=10, shuffle=False)
    assert int(made.cardinality()) == 7
    inputs, labels, sizes = read(made)
    np.testing.assert_array_equal(inputs, examples[0])
    np.testing.assert_array_equal(labels, examples[1])
    assert sizes == [10] * 6 + [4]


def test_orders_are_those_of_the_pipeline_and_go_on_where_they_were(examples):
    split = Split("train", *examples, DIRECTIONS)
    made = batching.batches(split, batch_size=10, shuffle=True, seed=3)
    other = pipeline.batches(split, batch_size=10, shuffle=True, seed=3)
    epochs = []
    for _ in range(3):
        one, two = read(made), read(other)
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
        epochs.append(one[0])
        assert sorted(map(tuple, one[0])) == sorted(map(tuple, examples[0]))
    assert not np.array_equal(epochs[0], epochs[1])
    made.epochs_begun.assign(1)
    np.testing.assert_array_equal(read(made)[0], epochs[1])


def test_types_are_the_tasks(examples):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 2, 1)).astype(np.uint8)
    task = Task("pixels", Image((2, 2, 1)), SingleLabel(("a", "b")))
    inputs, labels, _ = read(batching.batches(Split("t", pixels, np.arange(6) % 2, task), batch_size=4, shuffle=False))
    assert (inputs.dtype, labels.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(inputs, pixels)
    several = np.eye(3, dtype=np.uint8)[examples[1]]
    _, labels, _ = read(batching.batches(Split("t", examples[0], several, SEVERAL), batch_size=9, shuffle=False))
    np.testing.assert_array_equal(labels, several)


def test_streamed_pictures_are_read_a_batch_at_a_time(stream):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3)).astype(np.uint8)
    task = Task("pixels", Image((6, 5, 3)), SingleLabel(("a", "b")))
    split = Split("train", stream(pixels), np.arange(7, dtype=np.int32) % 2, task)
    inputs, _, sizes = read(batching.batches(split, batch_size=3, shuffle=False))
    np.testing.assert_array_equal(inputs, pixels)
    assert sizes == [3, 3, 1]


def test_several_inputs_and_targets_come_by_their_names(examples):
    inputs, labels = {"one": examples[0], "two": examples[0] * 2}, {"first": examples[1], "second": examples[1] + 1}
    made = batching.batches(Split("train", inputs, labels, DIRECTIONS), batch_size=64, shuffle=True, seed=1)
    ((found, answers),) = list(made)
    assert (set(found), set(answers)) == ({"one", "two"}, {"first", "second"})
    np.testing.assert_array_equal(found["two"], 2 * found["one"])
    np.testing.assert_array_equal(answers["second"], answers["first"] + 1)
    places = {tuple(row): label for row, label in zip(examples[0], examples[1], strict=True)}
    assert [places[tuple(row)] for row in found["one"].numpy()] == answers["first"].numpy().tolist()


def test_no_batch_is_refused(examples):
    split = Split("train", *examples, DIRECTIONS)
    for wrong, size in ((split, 0), (split.take(0), 8)):
        with pytest.raises(ValueError, match="at least one batch"):
            batching.batches(wrong, batch_size=size, shuffle=False)


def test_what_data_says_that_it_is_for(examples):
    split = Split("train", *examples, DIRECTIONS)
    assert batching.task_of(split) == batching.task_of(pipeline.batches(split, batch_size=8)) == DIRECTIONS
    assert batching.task_of(batching.batches(split, batch_size=8, shuffle=False)) is None
    assert batching.task_of(examples) is None


def test_batches_say_what_schedule_and_what_validation_they_are_for(examples):
    split, schedule = Split("train", *examples, DIRECTIONS), Schedule(epochs=3, batch_size=8)
    held = split.take(9)
    whole = Dataset(DIRECTIONS, split, held, split.take(5), digest="0" * 64, source="directions")
    made = pipeline.training_batches(whole, schedule=schedule, seed=0)
    assert batching.schedule_of(made) is schedule
    assert batching.validation_of(made) is held
    assert batching.validation_of(pipeline.training_batches(split, schedule=schedule, seed=0)) is None
    assert batching.validation_of(split) is None


def test_data_without_a_schedule_asks_for_one(examples):
    split = Split("train", *examples, DIRECTIONS)
    with pytest.raises(ValueError, match=r"Wanted schedule=, .*Received: none, with a split\."):
        batching.schedule_of(split)
    with pytest.raises(ValueError, match=r"training_batches bring theirs along\. Received: none, with batches"):
        batching.schedule_of(pipeline.batches(split, batch_size=8))


def test_weights_of_classes_come_along_with_a_teachers_answers():
    """Keras weighs labels that come alone; a distiller is trained on labels and answers."""
    task = Task("numbers", Numbers((1,)), SingleLabel(("a", "b", "c")))
    split = Split("train", np.arange(10, dtype=np.float32)[:, None], np.arange(10, dtype=np.int32) % 3, task)
    answers = np.eye(3, dtype=np.float32)[split.labels]
    batches = pipeline.batches(split, batch_size=4, shuffle=True, answers=answers)
    found = batching.weighted(batches, {0: 3.0, 1: 1.0, 2: 0.5})
    seen = []
    for _, (labels, beside), weights in found:
        np.testing.assert_array_equal(weights, np.array([3.0, 1.0, 0.5], np.float32)[labels])
        np.testing.assert_array_equal(beside, np.eye(3)[labels])
        seen += labels.numpy().tolist()
    assert sorted(seen) == sorted(split.labels.tolist())
    assert found.epochs_begun is batches.epochs_begun
    assert batching.task_of(found) is split.task
