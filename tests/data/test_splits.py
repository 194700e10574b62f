from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from kerastl import types
from kerastl.data import splits
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.single_label import SingleLabel


def _labels(*counts: int) -> np.ndarray:
    return np.random.default_rng(3).permutation(np.repeat(np.arange(len(counts)), counts))


def test_order_is_the_written_down_one():
    # NumPy documents PCG64's stream; were it another one, splits would differ between machines.
    assert np.random.PCG64(0).random_raw(2).tolist() == [11749869230777074271, 4976686463289251617]
    expected = [11, 3, 13, 2, 15, 1, 18, 19, 17, 8, 6, 0, 7, 14, 4, 10, 12, 16, 5, 9]
    assert splits.shuffled(20, seed=0).tolist() == expected


def test_stratified_is_the_plain_calculation():
    draws = np.random.PCG64(7).random_raw(24).tolist()
    decide = sorted(range(12), key=lambda index: draws[index])
    keep = sorted(range(12), key=lambda index: draws[12 + index])
    taken = [index for label in range(3) for index in [one for one in decide if one % 3 == label][:2]]
    train, validation = splits.stratified(np.arange(12) % 3, validation=6, seed=7)
    assert train.tolist() == [index for index in keep if index not in taken]
    assert validation.tolist() == [index for index in keep if index in taken]


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("counts", [(50, 30, 20), (997, 3, 500), (2, 2, 2), (7, 0, 9)])
def test_stratified_divides_every_class_in_proportion(seed, counts):
    labels = _labels(*counts)
    train, validation = splits.stratified(labels, validation=0.34, seed=seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))  # disjoint and complete
    assert len(validation) == max(round(0.34 * len(labels)), sum(count > 1 for count in counts))
    taken = np.bincount(labels[validation], minlength=len(counts))
    exact = np.array(counts) * len(validation) / len(labels)
    assert np.abs(taken - exact).max() <= 1.0
    assert ((np.bincount(labels[train], minlength=len(counts)) > 0) == (np.array(counts) > 0)).all()


def test_no_class_is_taken_out_of_train_whole():
    train, _ = splits.stratified(_labels(1, 9), validation=0.8, seed=0)  # its one example is the nearest to a whole
    assert 0 in _labels(1, 9)[train]


def test_both_sides_are_shuffled():
    labels = _labels(*[1000] * 10)
    for side in splits.stratified(labels, validation=0.5, seed=0):
        for part in (labels[side[:1000]], labels[side[-1000:]]):  # a head, and a tail, has every class in proportion
            assert np.abs(np.bincount(part, minlength=10) - 100).max() < 40
        assert np.corrcoef(side, np.arange(len(side)))[0, 1] < 0.1


def test_seed_decides():
    labels = _labels(40, 40)
    first, again, other = (splits.stratified(labels, validation=8, seed=seed) for seed in (5, 5, 6))
    assert all((left == right).all() for left, right in zip(first, again, strict=True))
    assert set(first[1]) != set(other[1])


@pytest.mark.parametrize("validation", [0, -1, 1.0, 0.0, 99, 100, float("nan")])
def test_stratified_refuses_what_cannot_be_taken_out(validation):
    with pytest.raises(ValueError, match="Received"):
        splits.stratified(_labels(50, 50), validation=validation, seed=0)


@pytest.mark.parametrize("labels", [np.zeros((4, 2), int), np.zeros(4), np.array([0, -1, 1, 1])])
def test_stratified_refuses_labels_that_are_no_class_indices(labels):
    with pytest.raises(ValueError, match="class indices"):
        splits.stratified(labels, validation=1, seed=0)


def test_subset_keeps_one_of_each_class():
    labels = _labels(1000, 10, 1)
    indices = splits.subset(labels, count=20, seed=0)
    assert len(set(indices)) == 20
    assert np.bincount(labels[indices]).tolist() == [18, 1, 1]
    with pytest.raises(ValueError, match="3 classes"):
        splits.subset(labels, count=2, seed=0)
    assert sorted(splits.subset(labels, count=5000, seed=0)) == list(range(1011))


def _dataset(**changes) -> types.Dataset:
    task = types.Task("rows", Numbers((1,)), SingleLabel(("a", "b")))
    arrays = {
        "train_inputs": np.arange(1000, dtype=np.uint16)[:, None],
        "train_labels": _labels(500, 500),
        "test_inputs": np.arange(1000, 1400, dtype=np.uint16)[:, None],
        "test_labels": _labels(200, 200),
    }
    arguments = {"seed": 0, "validation": 100, "limit": None} | changes
    return splits.dataset(task, arrays, **arguments, source="rows", arguments=arguments)


@pytest.mark.parametrize("counts", [(50, 30, 20), (997, 3, 500), (7, 0, 9)])
def test_each_takes_so_many_of_every_class(counts):
    labels = _labels(*counts)
    rows = splits.per_class(labels, count=10, seed=4)
    assert len(set(rows.tolist())) == len(rows)
    assert np.bincount(labels[rows], minlength=3).tolist() == [min(count, 10) for count in counts]
    assert rows.tolist() == splits.per_class(labels, count=10, seed=4).tolist() != sorted(rows.tolist())
    assert rows.tolist() != splits.per_class(labels, count=10, seed=5).tolist()
    # an order of their own, not class by class
    assert np.abs(np.diff(labels[rows])).sum() > 3
    with pytest.raises(ValueError, match="one example of each class or more"):
        splits.per_class(labels, count=0, seed=4)


def test_labels_are_hidden_but_for_so_many_of_each_class():
    split = _dataset().train
    few, rest = splits.hide_labels(split, count=5, seed=4)
    assert np.bincount(few.labels).tolist() == [5] * (split.labels.max() + 1)
    assert len(few) + len(rest) == len(split)
    assert set(rest.labels.tolist()) == {splits.NO_LABEL}
    assert rest.labels.dtype == split.labels.dtype
    labels = {row.tobytes(): label for row, label in zip(split.inputs, split.labels, strict=True)}
    assert [labels[row.tobytes()] for row in few.inputs] == few.labels.tolist()
    others = [row.tobytes() for row in rest.inputs]
    assert others == [row.tobytes() for row in split.inputs if row.tobytes() in set(others)], "in their order"
    assert not {row.tobytes() for row in few.inputs} & set(others)
    assert splits.hide_labels(split, count=5, seed=5)[0].inputs.tobytes() != few.inputs.tobytes()
    assert (split.labels >= 0).all(), "those of the whole split are still there"


def test_a_split_is_repeated_until_there_are_so_many():
    split = _dataset().train.take(20)
    many = splits.repeated(split, 45)
    np.testing.assert_array_equal(many.labels, np.tile(split.labels, 3)[:45])
    np.testing.assert_array_equal(many.inputs, np.concatenate([split.inputs] * 3)[:45])
    assert len(splits.repeated(split, 7)) == 7


def test_dataset_takes_validation_out_of_train_and_leaves_test():
    made = _dataset()
    numbers = {split.name: set(split.inputs[:, 0].tolist()) for split in (made.train, made.validation, made.test)}
    assert numbers["train"] | numbers["validation"] == set(range(1000))
    assert not numbers["train"] & numbers["validation"]
    assert numbers["test"] == set(range(1000, 1400))
    assert made.train.labels.dtype == np.int32
    origin = _labels(500, 500)
    assert (made.train.labels == origin[made.train.inputs[:, 0]]).all()  # labels went along with their inputs
    assert made.test.inputs[:, 0].tolist() != sorted(made.test.inputs[:, 0].tolist())


def test_a_limit_leaves_enough_of_several_tasks_to_choose_and_to_measure_by():
    """Ten examples an output, as of one task; every split has labels of every task in their shares."""
    side, shape = SingleLabel(("left", "right")), SingleLabel(("flat", "round", "square"))
    task = types.Task("both", Numbers((2,)), MultiTask((("side", side), ("shape", shape))))
    draw = np.random.default_rng(0)

    def given(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        labels = {"side": draw.integers(0, 2, count), "shape": draw.integers(0, 3, count)}
        labels["side"][: count // 2] = -1
        return draw.normal(size=(count, 2)).astype("float32"), labels

    (train, train_labels), (test, test_labels) = given(400), given(200)
    arrays = {"train_inputs": train, "train_labels": train_labels, "test_inputs": test, "test_labels": test_labels}
    made = splits.dataset(task, arrays, seed=0, validation=100, limit=30, source="toy")
    assert [len(made.train), len(made.validation), len(made.test)] == [30, 50, 50]
    for split in (made.train, made.validation, made.test):
        assert (split.labels["side"] >= 0).mean() == pytest.approx(0.5, abs=0.06)
        assert np.bincount(split.labels["shape"]).min() > len(split) / 5


def test_limit_shrinks_all_three_and_moves_nothing_between_them():
    whole, small = _dataset(), _dataset(limit=90)
    assert [len(split) for split in (small.train, small.validation, small.test)] == [90, 20, 40]
    for name in ("train", "validation", "test"):
        few, all_of_them = (set(getattr(made, name).inputs[:, 0].tolist()) for made in (small, whole))
        assert few <= all_of_them
        assert np.bincount(getattr(small, name).labels).tolist() == [len(few) // 2] * 2


def test_digest_sees_every_byte_and_the_order():
    made = _dataset()
    assert made.digest == splits.digest(made.train, made.validation, made.test) == _dataset().digest
    assert made.digest != _dataset(seed=1).digest
    split = types.Split("train", np.array([[1], [2]], np.uint8), np.array([0, 1], np.int32), made.task)
    by_hand = b"train inputs |u1 (2, 1)\n\x01\x02train labels <i4 (2,)\n\0\0\0\0\x01\0\0\0"
    assert splits.digest(split) == hashlib.sha256(by_hand).hexdigest()
    turned = types.Split("train", split.inputs[::-1], split.labels[::-1], made.task)
    assert splits.digest(turned) != splits.digest(split)


TASK = types.Task("toy", Numbers((2, 3)), SingleLabel(("a", "b", "c")))


def _made(inputs=None, labels=None):
    inputs = np.zeros((6, 2, 3), np.float32) if inputs is None else inputs
    labels = np.array([0, 1, 2, 0, 1, 2], np.int32) if labels is None else labels
    return types.Split("validation", inputs, labels, TASK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": np.zeros((6, 3, 2), np.float32)},
            r"\(examples, 2, 3\) of numbers. Received: \(6, 3, 2\)",
        ),
        ({"labels": np.array([0.0, 1, 2, 0, 1, 2])}, "have to be integers"),
        ({"labels": np.array([0, 1, 2, 0, 3, 3])}, r"in 0..2. Received: 3 in validation, row 4 \(2 such"),
        ({"labels": np.array([0, -1, 2, 0, 1, 2])}, r"Received: -1 in validation, row 1"),
        ({"labels": np.array([0, 0, 2, 0, 2, 2])}, r"none of 'b' in validation \(6 examples\)"),
    ],
)
def test_nothing_begins_with(changes, message):
    splits.check(_made())
    with pytest.raises(ValueError, match=message):
        splits.check(_made(), _made(**changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_named_by_row_and_column(value):
    inputs = np.zeros((6, 2, 3), np.float32)
    inputs[4, 1, 2] = value
    with pytest.raises(ValueError, match=rf"Received: {value} in validation, row 4, column 1, 2"):
        splits.check(_made(inputs))


@pytest.mark.parametrize("counts", [(1000, 1, 500), (1000, 2, 1)])
def test_a_class_with_too_few_examples_for_every_split_is_said(counts):
    """1000:1, and a class with one example, which cannot be both learnt and validated."""
    labels = np.repeat([0, 1, 2], counts)
    arrays = {
        "train_inputs": np.zeros((len(labels), 2, 3), np.uint8),
        "train_labels": labels,
        "test_inputs": np.zeros((3, 2, 3), np.uint8),
        "test_labels": np.arange(3),
    }
    with pytest.raises(ValueError, match="Every class needs an example in every split"):
        splits.dataset(TASK, arrays, seed=0, validation=0.1, limit=None, source="toy")


def test_digest_of_streamed_inputs_is_written_down(stream):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 1)).astype(np.uint8)
    task = types.Task("toy", Image((4, 5, 1)), SingleLabel(("a", "b")))
    split = types.Split("train", stream(pictures), np.array([0, 1, 0], np.int32), task)
    rows = b"".join(hashlib.sha256(row.tobytes()).digest() for row in pictures)
    labels = b"train labels <i4 (3,)\n\0\0\0\0\x01\0\0\0\0\0\0\0"
    by_hand = b"train inputs streamed |u1 (3, 4, 5, 1)\n" + rows + labels
    assert splits.digest(split) == hashlib.sha256(by_hand).hexdigest()
    assert splits.digest(split.subset(slice(None, None, -1))) != splits.digest(split)
    splits.check(split)
    other = types.Task("toy", Image((5, 4, 1)), SingleLabel(("a", "b")))
    with pytest.raises(ValueError, match="Wanted inputs"):
        splits.check(dataclasses.replace(split, task=other))


def _groups(seed: int, *, groups: int, classes: int, largest: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of random sizes, each of a mixture of its own."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, largest, groups)
    drawn = [generator.choice(classes, size, p=generator.dirichlet(np.full(classes, 0.7))) for size in sizes]
    order = generator.permutation(sizes.sum())
    return np.concatenate(drawn)[order], np.repeat(np.arange(groups), sizes)[order]


def _unevenness(labels: np.ndarray, taken: np.ndarray, share: float) -> float:
    """Pearson's chi-square of the examples taken out of each class, as `grouped` documents it."""
    counts = np.bincount(labels)
    wanted = np.maximum(counts * share, 1.0)
    return float((((np.bincount(labels[taken], minlength=len(counts)) - wanted) ** 2 / wanted)[counts > 0]).sum())


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_divided_nearly_as_well_as_by_trying_all_ways(seed):
    labels, groups = _groups(seed, groups=9, classes=3)
    wanted = round(0.3 * len(labels))
    train, validation = splits.grouped(labels, groups, validation=wanted, seed=seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[validation])
    found = []
    holders = [set(groups[labels == label]) for label in range(3)]
    for bits in range(1, 2**9 - 1):
        out = {group for group in range(9) if bits >> group & 1}
        if all(holder - out and (len(holder) < 2 or holder & out) for holder in holders if holder):
            found.append(_unevenness(labels, np.isin(groups, list(out)), wanted / len(labels)))
    mine = _unevenness(labels, np.isin(np.arange(len(labels)), validation), wanted / len(labels))
    better = np.mean(np.array(found) < mine - 1e-6)
    assert len(found) > 50
    assert better <= 0.01  # hardly any of all the ways there are is better


@pytest.mark.parametrize("groups", [60, 2000])
def test_many_groups_are_divided_evenly(groups):
    labels, group = _groups(1, groups=groups, classes=5)
    train, validation = splits.grouped(labels, group, validation=0.2, seed=0)
    assert not set(group[train]) & set(group[validation])
    shares = np.bincount(labels[validation], minlength=5) / np.bincount(labels, minlength=5)
    assert np.abs(shares - 0.2).max() < (0.02 if groups == 60 else 0.002)
    again, other = (splits.grouped(labels, group, validation=0.2, seed=seed)[1] for seed in (0, 1))
    assert (again == validation).all()
    assert set(group[other]) != set(group[validation])
    assert (np.diff(labels[train]) != 0).any()
    assert np.corrcoef(train, np.arange(len(train)))[0, 1] < 0.1  # shuffled


def test_every_class_keeps_groups_on_both_sides():
    """A rare class in three groups, two of them large: one for each split, whatever their sizes."""
    for seed in range(10):
        labels = np.repeat([0, 0, 0, 0, 1, 0, 1, 0, 1], [20, 30, 25, 40, 1, 60, 1, 3, 1])
        groups = np.repeat(np.arange(6), [20, 30, 25, 41, 61, 4])
        left, test = splits.grouped(labels, groups, validation=0.2, seed=seed, leave=2)
        train, validation = (
            left[part] for part in splits.grouped(labels[left], groups[left], validation=0.2, seed=seed)
        )
        for part in (train, validation, test):
            assert set(labels[part]) == {0, 1}
        assert len(set(groups[train])) + len(set(groups[validation])) + len(set(groups[test])) == 6


def test_groups_of_one_example_each_are_the_ordinary_split():
    labels = _labels(50, 30, 20)
    train, validation = splits.grouped(labels, np.arange(100).astype(str), validation=20, seed=0)
    assert np.bincount(labels[validation]).tolist() == [10, 6, 4]
    assert len(train) == 80


def test_grouped_refuses_what_it_cannot_divide():
    labels = _labels(5, 5)
    with pytest.raises(ValueError, match="Wanted one group an example"):
        splits.grouped(labels, np.zeros(9), validation=0.2, seed=0)
    with pytest.raises(ValueError, match="none of which can go"):
        splits.grouped(labels, np.zeros(10), validation=0.2, seed=0)
    for validation in (0, 10, 1.0, -0.5):
        with pytest.raises(ValueError, match="Received"):
            splits.grouped(labels, np.arange(10), validation=validation, seed=0)


@pytest.mark.parametrize("counts", [(1000, 4), (300, 2, 2), (50, 1)])
def test_rare_classes_stand_on_both_sides(counts):
    """Where they have two, whatever their quota."""
    labels = np.repeat(np.arange(len(counts)), counts)
    train, held_out = splits.stratified(labels, validation=0.15, seed=0)
    assert set(labels[train].tolist()) == set(range(len(counts)))
    assert set(labels[held_out].tolist()) == {index for index, count in enumerate(counts) if count > 1}
    assert len(held_out) == round(0.15 * len(labels))


def test_a_count_that_cannot_hold_every_class_goes_to_the_largest():
    labels = np.repeat(np.arange(10), 5)
    assert len(splits.stratified(labels, validation=3, seed=0)[1]) == 3
    assert len(splits.stratified(labels, validation=0.06, seed=0)[1]) == 10


def test_origins_go_with_their_examples():
    arrays = {
        "train_inputs": np.arange(40, dtype=np.float32)[:, None],
        "train_labels": np.arange(40) % 2,
        "train_origins": np.array([f"train {row}" for row in range(40)], object),
        "test_inputs": np.arange(10, dtype=np.float32)[:, None],
        "test_labels": np.arange(10) % 2,
        "test_origins": np.array([f"test {row}" for row in range(10)], object),
    }
    task = types.Task("rows", Numbers((1,)), SingleLabel(("a", "b")))
    made = splits.dataset(task, arrays, seed=0, validation=8, limit=20, source="rows")
    for split, part in ((made.train, "train"), (made.validation, "train"), (made.test, "test")):
        assert split.task is task
        assert split.origins.tolist() == [f"{part} {int(row)}" for row in split.inputs[:, 0]]
    without = splits.dataset(
        task, {k: v for k, v in arrays.items() if "origins" not in k}, seed=0, validation=8, limit=20, source="rows"
    )
    assert without.train.origins is None
    assert without.digest == made.digest


class Halves:
    """Numbers as a target: what splits keep in proportion is the half of the range that they lie in."""

    names, outputs, label_dtype = ("metres",), 1, "float32"

    def check(self, labels, *, where, rows):
        if not np.isfinite(labels).all():
            raise ValueError(f"Wanted finite numbers. Received: others in {where}.")

    def check_split(self, labels, *, where):
        pass

    def strata(self, labels):
        return (np.asarray(labels) > 0).astype(int)


def test_the_target_says_what_splits_keep_in_proportion():
    lengths = np.where(np.arange(100) < 20, 1.5, -2.5)
    arrays = {
        "train_inputs": np.arange(100, dtype=np.float32)[:, None],
        "train_labels": lengths,
        "test_inputs": np.arange(10, dtype=np.float32)[:, None],
        "test_labels": lengths[:10],
    }
    task = types.Task("lengths", Numbers((1,)), Halves())
    made = splits.dataset(task, arrays, seed=0, validation=0.25, limit=None, source="lengths")
    assert made.train.labels.dtype == np.float32
    assert (made.validation.labels == 1.5).sum() == 5
    assert (made.train.labels == 1.5).sum() == 15
    broken = {**arrays, "train_labels": np.where(np.arange(100) == 3, np.nan, lengths)}
    with pytest.raises(ValueError, match="others in train"):
        splits.dataset(task, broken, seed=0, validation=0.25, limit=None, source="lengths")


def test_labels_are_looked_at_before_they_are_brought_to_a_type():
    """A cast to whole numbers would make classes of 0.9 and 1.9."""
    arrays = {
        "train_inputs": np.zeros((9, 2, 3), np.float32),
        "train_labels": np.arange(9) % 3 + 0.9,
        "test_inputs": np.zeros((3, 2, 3), np.float32),
        "test_labels": np.arange(3),
    }
    with pytest.raises(ValueError, match=r"Labels have to be integers\. Received: float64 in train"):
        splits.dataset(TASK, arrays, seed=0, validation=3, limit=None, source="toy")


def test_several_inputs_and_targets_by_name_are_divided_and_pinned_together():
    class Pair(Halves):
        def strata(self, labels):
            return labels["class"]

        def check(self, labels, *, where, rows):
            assert {len(part) for part in labels.values()} == {rows}

    class Both(Numbers):
        def check(self, examples, *, where):
            assert set(examples) == {"a", "b"}

    def brought(rows):
        inputs = {"a": rows[:, None].astype(np.float32), "b": rows + 0.5}
        return inputs, {"class": rows % 2, "height": rows / 8}

    (train, labels), (test, test_labels) = brought(np.arange(40)), brought(np.arange(40, 60))
    arrays = {"train_inputs": train, "train_labels": labels, "test_inputs": test, "test_labels": test_labels}
    task = types.Task("pair", Both((1,)), Pair())
    made = splits.dataset(task, arrays, seed=0, validation=10, limit=None, source="pair")
    assert np.bincount(made.validation.labels["class"]).tolist() == [5, 5]
    for split in (made.train, made.validation, made.test):
        rows = split.inputs["a"][:, 0]
        np.testing.assert_array_equal(split.inputs["b"], rows + 0.5)
        np.testing.assert_array_equal(split.labels["height"], rows / 8)
    assert made.leakage["exact_duplicates"] == 0
    renamed = dataclasses.replace(made.train, inputs={"a": made.train.inputs["b"], "b": made.train.inputs["a"]})
    assert splits.digest(renamed) != splits.digest(made.train)


def test_divided_goes_by_the_axes_of_the_strata():
    one = np.arange(60) % 3
    label_options = np.eye(3, dtype=np.uint8)[one]
    for first, second in zip(
        splits.divided(one, validation=9, seed=1), splits.stratified(one, validation=9, seed=1), strict=True
    ):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(
        splits.divided(label_options, validation=9, seed=1, leave=2),
        splits.iterative_stratification(label_options, validation=9, seed=1, leave=2),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


def test_there_are_two_policies():
    assert splits.skips("skip")
    assert not splits.skips("fail")
    with pytest.raises(ValueError, match=r"policy is 'fail' or 'skip'\. Received: 'ignore'"):
        splits.skips("ignore")
