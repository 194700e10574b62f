from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import leakage, splits
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

WAVES = Task("waves", Image((16, 16, 1)), SingleLabel(("even", "odd")))
VECTORS = Task("vectors", Numbers((4,)), SingleLabel(("even", "odd")))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "home"))


def made(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures 16 x 16 of random waves, no two alike."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 6, 6)).astype(np.float64)
    grid = np.linspace(0, 5, 16)
    low, part = np.minimum(grid.astype(int), 4), grid - np.minimum(grid.astype(int), 4)
    rows = coarse[:, low] * (1 - part)[:, None] + coarse[:, low + 1] * part[:, None]
    fine = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return fine.astype(np.uint8)[..., None], (np.arange(count) % 2).astype(np.int32)


def test_planted_overlaps_are_counted():
    inputs, labels = made(200, 0)
    train = Split("train", inputs[:120], labels[:120], WAVES)
    validation = Split("validation", inputs[120:160].copy(), labels[120:160].copy(), WAVES)
    test = Split("test", inputs[160:].copy(), labels[160:].copy(), WAVES)
    clean = leakage.between(train, validation, test, digest="clean")
    assert clean == {
        "exact_duplicates": 0, "contradicting_labels": 0, "near_duplicates": 0, "near_duplicates_looked_for": 80,
        "near_duplicates_within_train": 0, "near_duplicates_within_train_looked_for": 80,
    }  # fmt: skip
    validation.inputs[0] = train.inputs[7]  # an exact one, and of another class
    validation.labels[0] = 1 - train.labels[7]
    test.inputs[1], test.labels[1] = validation.inputs[3], validation.labels[3]
    test.inputs[2] = np.roll(train.inputs[9], 1, 1)  # shifted
    test.inputs[3] = np.clip(train.inputs[11].astype(int) + 5, 0, 255)  # brighter
    found = leakage.between(train, validation, test, digest="planted")
    assert found["exact_duplicates"] == 2
    assert found["contradicting_labels"] == 1
    assert found["near_duplicates"] == 3  # the exact one of train as well


def test_counts_are_cached_by_digest_and_a_damaged_cache_is_counted_anew(tmp_path):
    inputs, labels = made(30, 1)
    parts = [Split(name, inputs[start : start + 10], labels[:10], WAVES) for start, name in enumerate(("a", "b", "c"))]
    first = leakage.between(*parts, digest="once")
    assert first["exact_duplicates"] == 18
    path = tmp_path / "home" / "overlaps" / f"once-{leakage._VERSION}.json"
    path.write_text(path.read_text().replace("18", "17"))
    assert leakage.between(*parts, digest="once")["exact_duplicates"] == 17
    for damage in ("", "{", "[1]", '{"exact_duplicates": "many"}'):
        path.write_text(damage)
        assert leakage.between(*parts, digest="once") == first


def test_a_count_says_what_it_means():
    """Pictures that are all alike are as alike within train as across; copies that went astray are not."""
    inputs, labels = made(90, 3)
    alike = (inputs[:1] * 0.98 + inputs * 0.02).astype(np.uint8)
    for pictures, across, within in ((alike, 30, 30), (np.concatenate([inputs[:60], inputs[5:35]]), 30, 0)):
        train = Split("train", pictures[:60], labels[:60], WAVES)
        validation, test = (Split("x", pictures[at : at + 15], labels[:15], WAVES) for at in (60, 75))
        found = leakage._near(train, validation, test)
        assert found["near_duplicates"] == across
        assert found["near_duplicates_within_train"] == within
        assert found["near_duplicates_within_train_looked_for"] == 30


def test_of_a_large_set_as_many_are_looked_at_as_there_is_time_for(monkeypatch):
    inputs, labels = made(90, 4)
    train, validation, test = (Split("x", inputs[at : at + 30], labels[:30], WAVES) for at in (0, 30, 60))
    validation.inputs[:] = train.inputs
    monkeypatch.setattr(leakage, "MOST_PAIRS", 20 * 30)
    found = leakage._near(train, validation, test)
    assert found["near_duplicates_looked_for"] == 20
    assert found["near_duplicates"] == 10, "they are evenly spread"


def test_vectors_have_no_near_duplicates():
    inputs = np.arange(40, dtype=np.float32).reshape(10, 4)
    parts = [Split(name, inputs, np.zeros(10, np.int32), VECTORS) for name in ("a", "b", "c")]
    found = leakage.between(*parts, digest="vectors")
    assert found["exact_duplicates"] == 20
    assert found["near_duplicates_looked_for"] == 0


def test_every_source_counts_them():
    """`splits.dataset` is what every source ends in."""
    inputs, labels = made(60, 2)
    arrays = {
        "train_inputs": inputs[:40], "train_labels": labels[:40],
        "test_inputs": np.concatenate([inputs[40:], inputs[:2]]), "test_labels": np.r_[labels[40:], labels[:2]],
    }  # fmt: skip
    dataset = splits.dataset(WAVES, arrays, seed=0, validation=10, limit=None, source="waves")
    assert dataset.leakage["exact_duplicates"] == 2


def test_streamed_pictures_are_counted_as_the_array(stream):
    inputs, labels = made(90, 5)
    inputs[50], inputs[70] = inputs[3], inputs[51]
    inputs[55] = np.roll(inputs[9], 1, 1)
    names = (("train", slice(40)), ("validation", slice(40, 60)), ("test", slice(60, 90)))
    held = [Split(name, inputs[rows], labels[rows], WAVES) for name, rows in names]
    shown = stream(inputs)
    read = [Split(name, shown.take(rows), labels[rows], WAVES) for name, rows in names]
    found = leakage.between(*held, digest="held")
    assert (found["exact_duplicates"], found["near_duplicates"]) == (2, 2)
    assert leakage.between(*read, digest="read") == found
    mixed = leakage.between(held[0], read[1], read[2], digest="mixed")
    assert mixed == found


def test_sets_of_classes_that_contradict_each_other_are_counted():
    inputs = np.arange(6, dtype=np.uint8).repeat(4).reshape(6, 4)
    sets = np.array([[1, 0], [1, 1], [0, 0]], np.uint8)
    task = Task("vectors", Numbers((4,)), MultiLabel(("even", "odd")))
    train = Split("train", inputs[:3], sets, task)
    validation = Split("validation", inputs[[0, 3]], sets[[0, 1]], task)  # the same input and the same set
    test = Split("test", inputs[[1, 4]], sets[[0, 1]], task)  # the same input and another set
    found = leakage._exact(train, validation, test)
    assert found == {"exact_duplicates": 2, "contradicting_labels": 1}


def test_of_several_inputs_two_examples_are_equal_where_all_are():
    task = Task("both", Numbers((1,)), SingleLabel(("even", "odd")))
    left, right = np.array([1, 1, 2, 2])[:, None], np.array([5, 6, 5, 5])[:, None]
    parts = [
        Split(name, {"left": left[rows], "right": right[rows]}, {"class": np.array(labels)}, task)
        for name, rows, labels in (("a", [0], [0]), ("b", [1, 2], [0, 0]), ("c", [3], [1]))
    ]
    assert leakage._exact(*parts) == {"exact_duplicates": 1, "contradicting_labels": 1}


def test_only_pictures_are_looked_through_for_near_ones():
    """Numbers of a picture's shape, a spectrogram say, have no mirror image and no shift that means nothing."""
    inputs, labels = made(60, 5)
    task = Task("spectrograms", Numbers((16, 16, 1)), SingleLabel(("even", "odd")))
    parts = [Split("x", inputs[at : at + 20], labels[:20], task) for at in (0, 20, 40)]
    assert leakage.between(*parts, digest="numbers")["near_duplicates_looked_for"] == 0
