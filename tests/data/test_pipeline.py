from __future__ import annotations

import dataclasses
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import types
from kerastl.data import pipeline
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named as Kinds
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel

TASK = types.Task("numbered", Image((8, 8, 3)), SingleLabel(tuple("abcdefg")))


def _split(examples: int = 50) -> types.Split:
    pictures = np.random.default_rng(0).integers(0, 256, (examples, 8, 8, 3), np.uint8)
    pictures[:, 0, 0, 0] = np.arange(examples)  # tells which one it is
    return types.Split("train", pictures, np.arange(examples, dtype=np.int32) % 7, TASK)


def _read(made) -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = zip(*made.as_numpy_iterator(), strict=True)
    return np.concatenate(inputs), np.concatenate(labels)


def test_without_shuffle_it_is_the_split():
    split = _split()
    made = pipeline.batches(split, batch_size=16)
    assert int(made.cardinality()) == 4
    assert made.element_spec == (tf.TensorSpec((None, 8, 8, 3), tf.float32), tf.TensorSpec((None,), tf.int32))
    for _ in range(2):
        inputs, labels = _read(made)
        assert (inputs == split.inputs.astype(np.float32)).all()
        assert (labels == split.labels).all()


def test_shuffle_is_a_permutation_new_each_epoch_and_bitwise_the_same_for_a_seed():
    split = _split()
    first, again, other = (pipeline.batches(split, batch_size=16, shuffle=True, seed=seed) for seed in (1, 1, 2))
    orders = []
    for epoch in range(3):
        tf.random.set_seed(epoch)  # the global seed has no say
        inputs, labels = _read(first)
        assert (_read(again)[0] == inputs).all()
        assert (labels == inputs[:, 0, 0, 0].astype(int) % 7).all()  # labels went along
        orders.append(tuple(inputs[:, 0, 0, 0].astype(int)))
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(orders)) == 3
    assert tuple(_read(other)[0][:, 0, 0, 0].astype(int)) not in orders


def test_drop_remainder_gives_whole_batches_of_known_shape():
    made = pipeline.batches(_split(), batch_size=16, shuffle=True, drop_remainder=True)
    assert int(made.cardinality()) == 3
    assert made.element_spec[0].shape == (16, 8, 8, 3)
    seen = _read(made)[0][:, 0, 0, 0]
    assert len(set(seen)) == 48


def test_training_batches_are_those_of_the_schedule():
    split, schedule = _split(), types.Schedule(epochs=2, batch_size=16)
    changes = Augmentation(horizontal_flip=True, zoom=0.3)
    made = pipeline.training_batches(split, schedule=schedule, seed=4, augmentation=changes)
    options = {"batch_size": 16, "shuffle": True, "seed": 4}
    wanted = pipeline.batches(split, augment=changes.build(4), drop_remainder=True, **options)
    for _ in range(2):
        assert (_read(made)[0] == _read(wanted)[0]).all()
    known = np.zeros((50, 7), np.float32)
    plain = pipeline.training_batches(split, schedule=schedule, seed=4, drop_remainder=False, answers=known)
    assert int(plain.cardinality()) == 4
    assert made.schedule is plain.schedule is schedule
    assert made.validation is None
    assert (next(iter(plain))[0].numpy() == next(iter(pipeline.batches(split, **options)))[0].numpy()).all()


def test_training_batches_of_a_data_set_are_of_its_training_split():
    split, schedule = _split(), types.Schedule(epochs=2, batch_size=16)
    held, test = (dataclasses.replace(split, name=name) for name in ("validation", "test"))
    whole = types.Dataset(TASK, split, held, test, digest="0" * 64, source="numbered")
    made = pipeline.training_batches(whole, schedule=schedule, seed=4)
    assert (_read(made)[0] == _read(pipeline.training_batches(split, schedule=schedule, seed=4))[0]).all()
    assert made.course.inputs is split.inputs
    assert made.validation is held


def _augment(seed: int) -> keras.Model:
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.RandomTranslation(0.2, 0.2, seed=seed),
        ]
    )


def test_keras_augmentation_changes_pictures_and_is_bitwise_repeatable():
    split = _split(400)
    runs = []
    for seed in (1, 1, 2):
        made = pipeline.batches(split, batch_size=8, shuffle=True, seed=0, augment=_augment(seed))
        runs.append([_read(made) for _ in range(2)])
    plain = _read(pipeline.batches(split, batch_size=8, shuffle=True, seed=0))
    for epoch in range(2):
        assert (runs[0][epoch][0] == runs[1][epoch][0]).all()
        assert (runs[0][epoch][1] == runs[1][epoch][1]).all()
    assert (runs[0][0][0] != runs[2][0][0]).any()
    assert (runs[0][0][1] == plain[1]).all()
    changed = (runs[0][0][0] != plain[0]).reshape(400, -1).any(axis=1)
    assert changed.mean() > 0.9
    assert runs[0][0][0].dtype == np.float32
    assert runs[0][0][0].min() >= 0
    assert runs[0][0][0].max() <= 255


class TwoDraws(keras.layers.Layer):
    """Replaces a batch by two draws an example, as RandomAffine draws several numbers a call."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, inputs):
        draws = [
            keras.random.uniform((keras.ops.shape(inputs)[0], 1, 1, 1), seed=self.seed_generator) for _ in range(2)
        ]
        return keras.ops.concatenate(draws, axis=-1) * keras.ops.ones_like(inputs[:, :1, :1, :1])


def test_no_draw_of_an_augmentation_comes_twice():
    """Neither in the next step, nor in the next epoch, nor as the second draw of a neighbour."""
    augment = keras.Sequential([TwoDraws()])
    made = pipeline.batches(_split(400), batch_size=4, drop_remainder=True, augment=augment)
    draws = np.concatenate([_read(made)[0].reshape(-1) for _ in range(3)])
    assert len(draws) == 3 * 400 * 2
    # float32 in 0..1 has 2**23 values: among 2,400 some 0.3 pairs are equal by chance
    assert len(np.unique(draws)) >= len(draws) - 3
    assert abs(draws.mean() - 0.5) < 0.03


def test_an_augmentation_is_left_as_it_was_and_two_readers_do_not_disturb_each_other():
    augment = _augment(1)
    made = pipeline.batches(_split(400), batch_size=8, augment=augment)
    before = [variable.numpy() for variable in augment.variables]
    alone, _ = _read(made)
    again = pipeline.batches(_split(400), batch_size=8, augment=augment)
    other = iter(pipeline.batches(_split(400), batch_size=8, augment=augment))
    together = []
    for inputs, _ in again:
        together.append(inputs.numpy())
        next(other)
    assert (np.concatenate(together) == alone).all()
    assert len(before) == 2
    for variable, value in zip(augment.variables, before, strict=True):
        assert (variable.numpy() == value).all()


def test_refuses_an_augmentation_with_weights():
    dense = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="random states and no other variables"):
        pipeline.batches(_split(), batch_size=8, augment=dense)


def test_fit_accepts_it_and_every_epoch_has_all_batches():
    model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(7)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made = pipeline.batches(_split().take(20), batch_size=8, shuffle=True, augment=lambda batch: batch / 255.0)
    history = model.fit(made, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 9


def test_order_outlives_the_function_that_made_it():
    import gc

    made = pipeline.batches(_split(), batch_size=16, shuffle=True).map(lambda inputs, labels: labels)
    gc.collect(2)
    assert sum(len(batch) for batch in made) == 50


@pytest.mark.parametrize(
    "arguments", [{"batch_size": 0}, {"batch_size": -3}, {"batch_size": 51, "drop_remainder": True}]
)
def test_refuses_to_make_no_batch(arguments):
    with pytest.raises(ValueError, match="at least one batch"):
        pipeline.batches(_split(), **arguments)
    with pytest.raises(ValueError, match="at least one batch"):
        pipeline.batches(_split().take(0), batch_size=4)
    with pytest.raises(ValueError, match=r"batch_size=51, drop_remainder=True\. A batch may hold 50 at most\.$"):
        pipeline.batches(_split(), batch_size=51, drop_remainder=True)


def test_refuses_an_augmentation_that_drops_an_axis():
    with pytest.raises(ValueError, match="same number of axes"):
        pipeline.batches(_split(), batch_size=4, augment=lambda batch: tf.reduce_mean(batch, -1))


@pytest.mark.parametrize("cache_bytes", [None, 0])
@pytest.mark.parametrize(
    "options", [{}, {"shuffle": True, "seed": 3, "drop_remainder": True}, {"shuffle": True, "augment": 5}]
)
def test_streamed_pictures_give_bitwise_the_batches_of_the_array(stream, options, cache_bytes):
    split = _split(150)
    shown = types.Split("train", stream(split.inputs, cache_bytes=cache_bytes), split.labels, TASK)
    made = []
    for one in (split, shown):
        choice = options | ({"augment": _augment(options["augment"])} if "augment" in options else {})
        made.append(pipeline.batches(one, batch_size=16, **choice))
    held, read = made
    assert held.element_spec == read.element_spec
    assert held.cardinality() == read.cardinality()
    for _ in range(3):
        for one, other in zip(held, read, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    held.epochs_begun.assign(1)
    read.epochs_begun.assign(1)
    for one, other in zip(_read(held.skip(3)), _read(read.skip(3)), strict=True):  # as after an interruption
        np.testing.assert_array_equal(one, other)


class Counted:
    """Streamed pictures that note how many were read."""

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, count):
        self.shape, self.read = (count, 4, 4, 3), 0

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        self.read += len(rows)
        return np.zeros((len(rows), 4, 4, 3), np.uint8)

    def __iter__(self):
        return iter(self[np.arange(len(self))])

    def __array__(self, dtype=None, copy=None):
        return self[np.arange(len(self))]

    def take(self, rows):
        return Counted(len(np.arange(len(self))[rows]))

    def digests(self):
        return [b""] * len(self)


def test_streamed_batches_are_read_a_few_ahead_and_no_more():
    """Each may take 40 MB: how many are held must not depend on how many there are."""
    inputs, task = Counted(4000), types.Task("counted", Image((4, 4, 3)), SingleLabel(("a", "b")))
    made = pipeline.batches(types.Split("train", inputs, np.zeros(4000, np.int32), task), batch_size=8, shuffle=True)
    reading = iter(made)
    for _ in range(100):
        next(reading)
    time.sleep(0.5)
    assert inputs.read <= (100 + 2 + 1 + 1) * 8


def test_a_streamed_file_that_went_ends_the_epoch_with_its_name(stream):
    import pathlib

    split = _split(40)
    inputs = stream(split.inputs, cache_bytes=0)
    made = pipeline.batches(types.Split("train", inputs, split.labels, TASK), batch_size=16)
    pathlib.Path(inputs.album.files[20]).unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"20.png: there is no such file"):
        _read(made)


def test_a_model_trains_on_streamed_pictures_as_on_the_array(stream):
    split = _split(40)
    weights = []
    for inputs in (split.inputs, stream(split.inputs)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(7)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        one = types.Split("train", inputs, split.labels, TASK)
        made = pipeline.batches(one, batch_size=8, shuffle=True, augment=lambda batch: batch / 255.0)
        model.fit(made, epochs=2, verbose=0, validation_data=pipeline.batches(one, batch_size=8))
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


class Ids(Numbers):
    """Whole numbers that are no pixels, as `inputs.text` has them, without a vocabulary of twenty millions."""

    kind, batch_dtype = "ids", "int32"


def test_token_ids_stay_integers():
    ids = np.arange(60, dtype=np.int32).reshape(20, 3) + 2**24  # float32 could not tell them apart
    split = types.Split("train", ids, np.zeros(20, np.int32), types.Task("ids", Ids((3,)), SingleLabel(("a", "b"))))
    made = pipeline.batches(split, batch_size=8, shuffle=True)
    assert made.element_spec[0] == tf.TensorSpec((None, 3), tf.int32)
    rows = np.concatenate([inputs.numpy() for inputs, _ in made])
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], ids)
    with pytest.raises(ValueError, match="Views are made of pictures"):
        pipeline.batches(split, batch_size=8, augment=lambda batch: batch)


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_answers_go_with_their_examples(drop_remainder):
    split = _split()
    answers = np.stack([np.arange(50), -np.arange(50)], 1).astype(np.float32)
    options = {"batch_size": 16, "shuffle": True, "drop_remainder": drop_remainder}
    made, plain = pipeline.batches(split, answers=answers, **options), pipeline.batches(split, **options)
    size = 16 if drop_remainder else None
    assert made.element_spec[1] == (tf.TensorSpec((size,), tf.int32), tf.TensorSpec((size, 2), tf.float32))
    for (inputs, (labels, taught)), (same, same_labels) in zip(made, plain, strict=True):
        np.testing.assert_array_equal(inputs, same)
        np.testing.assert_array_equal(labels, same_labels)
        np.testing.assert_array_equal(taught, answers[inputs.numpy()[:, 0, 0, 0].astype(int)])
    with pytest.raises(ValueError, match=r"one answer an example\. Received: 49 for 50"):
        pipeline.batches(split, batch_size=16, answers=answers[1:])


class Told:
    """Stored answers that say which view and which row they are of, and note what they were asked about."""

    def __init__(self, *shape):
        self.shape, self.courses, self.outputs = shape, [], {}

    def check(self, course):
        self.courses.append(course)

    def __getitem__(self, place):
        view, rows = place
        return np.stack([np.full(len(rows), view), rows], 1).astype(np.float32)


@pytest.mark.parametrize("views", [1, 3])
def test_after_its_views_the_first_epoch_comes_again(views):
    """With order, composition of batches and changes; up to then it is as if it never came."""
    split, options = _split(), {"batch_size": 16, "shuffle": True, "seed": 4}
    made = pipeline.batches(split, **options, augment=_augment(1), views=views)
    plain = pipeline.batches(split, **options, augment=_augment(1))
    found, endless = ([_read(one) for _ in range(2 * views + 1)] for one in (made, plain))
    for epoch, one in enumerate(found):
        for mine, first in zip(one, endless[epoch % views], strict=True):
            np.testing.assert_array_equal(mine, first)
    assert len({inputs.tobytes() for inputs, _ in endless}) == 2 * views + 1
    made.epochs_begun.assign(2 * views + views - 1)  # as after an interruption
    for one, other in zip(_read(made.skip(2)), endless[views - 1], strict=True):
        np.testing.assert_array_equal(one, other[32:])


def test_stored_answers_go_with_their_view_and_their_row():
    split, told = _split(), Told(3, 50, 2)
    made = pipeline.batches(split, batch_size=16, shuffle=True, augment=lambda batch: batch / 2, answers=told)
    assert made.element_spec[1][1] == tf.TensorSpec((None, 2), tf.float32)
    for epoch in range(7):
        order = made.course.order(epoch + 1)
        inputs, labels, taught = (np.concatenate(part) for part in zip(*[(x, *pair) for x, pair in made], strict=True))
        rows = (2 * inputs[:, 0, 0, 0]).astype(int)
        np.testing.assert_array_equal(taught, np.stack([np.full(50, epoch % 3), rows], 1))
        np.testing.assert_array_equal(rows, order)
        np.testing.assert_array_equal(labels, split.labels[rows])
    (course,) = told.courses
    assert course is made.course
    assert course.inputs is split.inputs
    assert (course.views, course.batch_size, course.shuffle, course.seed, course.states) == (3, 16, True, 0, ())
    still = pipeline.batches(split, batch_size=16, shuffle=True, answers=Told(1, 50, 2))
    assert still.course.views is None  # what nothing changes may come in a new order for ever
    assert len({_order_of(still) for _ in range(4)}) == 4


def _order_of(made):
    return tuple(int(row) for _, (_, taught) in made for row in taught[:, 1])


def test_refuses_views_that_do_not_go_with_the_answers():
    options = {"batch_size": 16, "augment": lambda batch: batch}
    with pytest.raises(ValueError, match=r"one view of every example or more\. Received: views=0"):
        pipeline.batches(_split(), **options, views=0)
    with pytest.raises(ValueError, match=r"as many views as were answered, 3\. Received: views=4"):
        pipeline.batches(_split(), **options, views=4, answers=Told(3, 50, 2))
    with pytest.raises(ValueError, match=r"one answer an example\. Received: 49 for 50"):
        pipeline.batches(_split(), **options, answers=Told(3, 49, 2))


class Named:
    """Targets or inputs of several parts, of one type each."""

    label_dtype = "float32"


def test_float_targets_stay_floats():
    """Cut off to whole numbers they would train to something else, without a word."""
    targets = np.random.default_rng(0).normal(size=(20, 2))
    split = types.Split("train", np.zeros((20, 3), np.float64), targets, types.Task("rows", Numbers((3,)), Named()))
    made = pipeline.batches(split, batch_size=8)
    assert made.element_spec == (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, 2), tf.float32))
    np.testing.assert_array_equal(_read(made)[1], targets.astype(np.float32))


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_several_inputs_and_targets_come_by_name(stream, drop_remainder):
    pictures, rows = _split().inputs, np.arange(50)
    inputs = {"picture": stream(pictures), "row": rows[:, None] + 0.5}
    labels = {"row": rows.astype(np.float64), "third": (rows % 3)[:, None]}
    split = types.Split("train", inputs, labels, types.Task("named", Numbers((1,)), Named()))
    options = {"batch_size": 16, "shuffle": True, "drop_remainder": drop_remainder}
    made, size, seen = pipeline.batches(split, **options), 16 if drop_remainder else None, []
    assert made.element_spec == (
        {"picture": tf.TensorSpec((size, 8, 8, 3), tf.float32), "row": tf.TensorSpec((size, 1), tf.float32)},
        {"row": tf.TensorSpec((size,), tf.float32), "third": tf.TensorSpec((size, 1), tf.float32)},
    )
    for batch, targets in made.as_numpy_iterator():
        order = targets["row"].astype(int)
        np.testing.assert_array_equal(batch["picture"], pictures[order])
        np.testing.assert_array_equal(batch["row"][:, 0], order + 0.5)
        np.testing.assert_array_equal(targets["third"][:, 0], order % 3)
        seen += order.tolist()
    assert len(seen) == len(set(seen)) == (48 if drop_remainder else 50)


def test_several_inputs_are_changed_together():
    """As a kind of input may allow it: every part of a batch by one function."""

    class Both(Numbers):
        augmentable = True

    inputs = {"a": np.ones((6, 2), np.float32), "b": np.full((6, 2), 3, np.float32)}
    task = types.Task("both", Both((2,)), SingleLabel(("a", "b")))
    split = types.Split("train", inputs, np.zeros(6, np.int32), task)
    made = pipeline.batches(split, batch_size=4, augment=lambda batch: {"a": batch["b"], "b": batch["a"] * 2})
    for batch, _ in made.as_numpy_iterator():
        assert set(batch["a"].ravel()) == {3.0}
        assert set(batch["b"].ravel()) == {2.0}


def test_each_of_several_inputs_has_its_own_type():
    """A picture's bytes become floats, and token ids stay whole."""
    kind = Kinds((("picture", Image((8, 8, 3))), ("row", Numbers((2,)))))
    inputs = {"picture": _split().inputs, "row": np.arange(100.0).reshape(50, 2)}
    split = types.Split("train", inputs, np.zeros(50), types.Task("both", kind, Named()))
    (spec, _) = pipeline.batches(split, batch_size=10, drop_remainder=True).element_spec
    assert spec == {
        "picture": tf.TensorSpec((10, 8, 8, 3), tf.float32),
        "row": tf.TensorSpec((10, 2), tf.float32),
    }


def test_batches_of_chance_have_their_examples_labels_and_a_known_number():
    inputs = np.arange(90, dtype=np.float32)[:, None]
    split = types.Split(
        "train", inputs, (np.arange(90) % 3).astype("int32"), types.Task("t", Numbers((1,)), SingleLabel(tuple("abc")))
    )
    made = pipeline.poisson_batches(split, schedule=types.Schedule(epochs=2, batch_size=20), seed=3)
    assert (int(made.cardinality()), made.sampling_rate) == (4, 20 / 90)
    epochs = [[(np.ravel(one).astype(int), np.asarray(labels)) for one, labels in made] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) == 4
        for numbers, labels in epoch:
            assert (np.diff(numbers) > 0).all()
            np.testing.assert_array_equal(labels, numbers % 3)
    sizes = [len(numbers) for epoch in epochs for numbers, _ in epoch]
    assert len(set(sizes)) > 2
    assert abs(np.mean(sizes) - 20) < 5
    made.epochs_begun.assign(1)
    for (numbers, _), (again, _) in zip(epochs[1], made, strict=True):
        np.testing.assert_array_equal(numbers, np.ravel(again).astype(int))
    with pytest.raises(ValueError, match="as many examples as a batch"):
        pipeline.poisson_batches(split, schedule=types.Schedule(epochs=2, batch_size=91), seed=3)
