"""Shares of data sets against hand calculations."""

import numpy as np
import pytest

from kerastl.data import sampling
from kerastl.data.sampling import Sampling
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task, settings

TARGET = MultiTask((("side", SingleLabel(("a", "b"))), ("heat", Regression(("heat",), (0.0,), (1.0,)))))
SIZES = np.array([900, 90, 10])


def test_shares_by_size_temperature_and_turns():
    np.testing.assert_allclose(sampling.shares(SIZES, Sampling()), [0.9, 0.09, 0.01], atol=1e-12)
    roots = np.sqrt([900, 90, 10])
    two = Sampling("temperature", 2.0)
    np.testing.assert_allclose(sampling.shares(SIZES, two), roots / roots.sum(), atol=1e-12)
    np.testing.assert_allclose(sampling.shares(SIZES, Sampling("temperature", 1.0)), SIZES / 1000, atol=1e-12)
    np.testing.assert_allclose(sampling.shares(SIZES, Sampling("round_robin")), np.full(3, 1 / 3), atol=1e-12)


def test_an_epoch_has_as_many_examples_as_there_are():
    for by in ("size", "temperature", "round_robin"):
        found = sampling.counts(SIZES, Sampling(by))
        assert found.sum() == 1000
        assert np.abs(found - 1000 * sampling.shares(SIZES, Sampling(by))).max() < 1
    # remainders 0.33 each: the first is rounded up, the others down
    np.testing.assert_array_equal(sampling.counts(SIZES, Sampling("round_robin")), [334, 333, 333])


def test_turns_are_taken_example_by_example():
    # drawn set by set: 0 1 2 of the first, 3 4 of the second, 5 6 of the third
    np.testing.assert_array_equal(sampling.interleaved(np.array([3, 2, 2])), [0, 3, 5, 1, 4, 6, 2])


def test_a_data_set_is_the_examples_that_have_the_same_tasks():
    labels = {
        "side": np.array([0, -1, 1, -1, 0, -1], "int32"),
        "heat": np.array([np.nan, 1, 0, 2, np.nan, 3], "float32"),
    }
    split = Split("train", np.zeros((6, 2), "float32"), labels, Task("two", Numbers((2,)), TARGET))
    found = sampling.data_sets(split)
    assert len(set(found.tolist())) == 3
    assert [set(np.flatnonzero(found == number)) for number in found[:3]] == [{0, 4}, {1, 3, 5}, {2}]
    one = Split("train", split.inputs, labels["side"] * 0, Task("one", Numbers((2,)), SingleLabel(("a", "b"))))
    with pytest.raises(ValueError, match="Received: one task"):
        sampling.data_sets(one)


def test_what_a_setting_may_be():
    settings.check(Sampling("temperature", 5.0))
    for wrong in (Sampling("temperature", 0.5), Sampling("weight")):
        with pytest.raises(ValueError, match=r"--(temperature|by) is"):
            settings.check(wrong)
