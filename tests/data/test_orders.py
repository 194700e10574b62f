"""Orders of an epoch in which data sets come by other shares than their sizes."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.data import orders, pipeline, sampling
from kerastl.data.sampling import Sampling
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

CLASSES = SingleLabel(("a", "b"))
TASK = Task("three", Numbers((1,)), MultiTask((("one", CLASSES), ("other", CLASSES), ("third", CLASSES))))
SIZES = {"one": 48, "other": 12, "third": 12}


@pytest.fixture(scope="module")
def split():
    """Three data sets, each of one task, mixed; the input is an example's number."""
    names = np.random.default_rng(0).permutation(np.repeat(list(SIZES), list(SIZES.values())))
    labels = {name: np.where(names == name, 1, -1).astype("int32") for name in SIZES}
    return Split("train", np.arange(len(names), dtype="float32")[:, None], labels, TASK)


def epochs(split, how, count, **options):
    """Numbers of the examples of several epochs, and which data set each is of."""
    made = pipeline.batches(split, batch_size=6, shuffle=True, sampling=how, **options)
    numbers = [np.concatenate([np.ravel(inputs) for inputs, _ in made]).astype(int) for _ in range(count)]
    names = np.array([next(key for key in SIZES if split.labels[key][row] > 0) for row in range(len(split))])
    return numbers, [names[one] for one in numbers]


@pytest.mark.parametrize("how", [Sampling("temperature", 2.0), Sampling("round_robin")])
def test_shares_of_every_epoch_are_those_that_were_asked_for(split, how):
    sizes = np.array(list(SIZES.values()))
    wanted = sampling.counts(sizes, how)
    numbers, sets = epochs(split, how, 3)
    for one in sets:
        found = [int((one == name).sum()) for name in SIZES]
        assert (found[0], sorted(found[1:])) == (wanted.max() if how.by == "temperature" else 24, sorted(wanted[1:]))
    assert len({tuple(one) for one in numbers}) == 3


def test_nothing_comes_again_before_all_of_its_data_set_came(split):
    numbers, sets = epochs(split, Sampling("temperature", 2.0), 4)
    rows, names = np.concatenate(numbers), np.concatenate(sets)
    # in an epoch the order is mixed: of whole epochs an example was seen as often as any other of its set, or once more
    for end in range(1, 5):
        upto = end * len(split)
        for name, size in SIZES.items():
            seen = np.bincount(rows[:upto][names[:upto] == name], minlength=len(split))[split.labels[name] > 0]
            assert len(seen) == size
            assert seen.max() - seen.min() <= 1


def test_every_batch_has_all_data_sets_in_turn(split):
    _, sets = epochs(split, Sampling("round_robin"), 1)
    for batch in sets[0].reshape(-1, 6):
        assert [int((batch == name).sum()) for name in SIZES] == [2, 2, 2]


def test_an_equal_call_and_a_count_of_epochs_give_the_same(split):
    how = Sampling("temperature", 3.0)
    first, again = (epochs(split, how, 3, seed=5)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    made = pipeline.batches(split, batch_size=6, shuffle=True, sampling=how, seed=5)
    made.epochs_begun.assign(2)  # as a training that goes on sets it
    np.testing.assert_array_equal(np.concatenate([np.ravel(inputs) for inputs, _ in made]), first[2])
    np.testing.assert_array_equal(made.course.order(3), first[2])


def test_by_size_is_the_order_of_before(split):
    np.testing.assert_array_equal(epochs(split, Sampling(), 2)[0], epochs(split, None, 2)[0])


def test_without_shuffle_or_of_one_task_it_is_refused(split):
    with pytest.raises(ValueError, match=r"--sampling\.by round_robin without shuffle"):
        pipeline.batches(split, batch_size=6, sampling=Sampling("round_robin"))
    one = Split("train", split.inputs, np.zeros(len(split), "int32"), Task("one", Numbers((1,)), CLASSES))
    with pytest.raises(ValueError, match="Received: one task"):
        orders.sampled(one, Sampling("round_robin"), seed=0)


class Stored:
    """Answers to several views, as a cache has them."""

    shape, outputs = (2, 72, 2), {}

    def check(self, course):
        pass

    def __getitem__(self, place):
        return np.zeros((len(place[1]), 2), "float32")


def test_stored_answers_know_no_other_order(split):
    with pytest.raises(ValueError, match="temperature with stored answers"):
        pipeline.batches(split, batch_size=6, shuffle=True, sampling=Sampling("temperature"), answers=Stored())


def test_a_permutation_is_the_same_everywhere():
    """Philox, whose numbers are the same on every machine: a change of them would move every training."""
    found = orders.permutation(8, seed=3, epoch=tf.constant(2, tf.int64)).numpy()
    assert sorted(found) == list(range(8))
    assert found.tolist() == orders.permutation(8, seed=3, epoch=tf.constant(2, tf.int64)).numpy().tolist()
    assert found.tolist() != orders.permutation(8, seed=3, epoch=tf.constant(3, tf.int64)).numpy().tolist()


def test_every_example_comes_into_a_batch_by_a_chance_of_its_own():
    """Counts of 400 batches beside those of the binomial law, by example and by batch; no draw hangs on another."""
    chosen = np.zeros((400, 300), bool)
    for step in range(400):
        rows = orders.poisson(300, 0.2, seed=5, epoch=tf.constant(1 + step // 100), step=tf.constant(step % 100))
        chosen[step, rows.numpy()] = True
    for axis, trials in ((0, 400), (1, 300)):
        counts = chosen.sum(axis)
        assert abs(counts.mean() - 0.2 * trials) < 0.01 * trials
        assert counts.var() == pytest.approx(trials * 0.2 * 0.8, rel=0.3)
    together = np.corrcoef(chosen.T.astype(float))
    assert np.abs(together[~np.eye(300, dtype=bool)]).max() < 5 / np.sqrt(400)
    again = orders.poisson(300, 0.2, seed=5, epoch=tf.constant(4), step=tf.constant(99))
    np.testing.assert_array_equal(np.flatnonzero(chosen[-1]), again)
    assert orders.poisson(300, 1.0, seed=5, epoch=tf.constant(1), step=tf.constant(0)).shape == (300,)
