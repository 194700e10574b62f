"""The search itself; what `splits.grouped` makes of it is tested there, against trying all ways."""

from __future__ import annotations

import numpy as np

from kerastl.data import group_search


def _searched(classes, groups, *, share, leave, seed=0):
    number = int(np.max(groups)) + 1
    order = np.random.default_rng(seed).permutation(number)
    sizes = np.bincount(groups, minlength=number)
    return group_search.search(
        np.asarray(classes), np.asarray(groups), sizes=sizes, share=share, leave=leave, order=order
    )


def test_an_even_division_is_found():
    """Ten groups of two classes in equal parts: half of them is exactly half of each class."""
    groups = np.repeat(np.arange(10), 4)
    for seed in range(5):
        taken = _searched(np.tile([0, 0, 1, 1], 10), groups, share=0.5, leave=1, seed=seed)
        assert taken.dtype == bool
        assert taken.sum() == 5


def test_two_groups_change_places_where_none_alone_should_move():
    """Of sizes 6, 5, 4, 3 a half is 6 and 3, or 5 and 4."""
    sizes = np.array([6, 5, 4, 3])
    taken = _searched(np.zeros(18, int), np.repeat(np.arange(4), sizes), share=0.5, leave=1)
    assert sizes[taken].sum() == 9


def test_so_many_groups_of_a_class_stay():
    classes, groups = np.array([0] * 6 + [1] * 3), np.array([0, 1, 2, 3, 4, 5, 0, 1, 2])
    for leave in (1, 2):
        taken = _searched(classes, groups, share=0.9, leave=leave)
        assert (~taken[:3]).sum() >= leave
        assert taken[:3].any()


def test_a_single_group_stays():
    assert not _searched([0, 0, 1], [0, 0, 0], share=0.5, leave=1).any()
