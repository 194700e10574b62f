"""Planted duplicates are found, and pictures of their own are not."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from kerastl.data import mnist, near_duplicates


def scenes(count, side=32, seed=0):
    """Smooth coloured pictures with a few shapes: photographs for this purpose."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side]
    made = []
    for _ in range(count):
        picture = np.zeros((side, side, 3))
        for channel in range(3):
            for _ in range(3):
                a, b, phase = draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.4), draw.uniform(0, 6)
                picture[..., channel] += draw.uniform(20, 60) * np.cos(a * rows + b * columns + phase)
        for _ in range(4):
            y, x, height, width = draw.integers(0, side - 4, 2).tolist() + draw.integers(3, side // 2, 2).tolist()
            picture[y : y + height, x : x + width] += draw.uniform(-90, 90, 3)
        made.append(picture + 128)
    return np.clip(made, 0, 255).astype(np.uint8)


def encoded_again(picture):
    memory = io.BytesIO()
    Image.fromarray(picture).save(memory, format="JPEG", quality=75)
    return np.asarray(Image.open(memory))


def mirrored(picture):
    return picture[:, ::-1]


def shifted(picture):
    moved = np.zeros_like(picture)
    moved[3:, :-2] = picture[:-3, 2:]
    return moved


def brighter(picture):
    return np.clip(picture * 1.1 + 10, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [np.array, encoded_again, mirrored, shifted, brighter])
def test_planted_duplicates_are_found(change):
    train, test = scenes(600), scenes(200, seed=1)
    planted = range(0, 200, 4)
    for index in planted:
        test[index] = change(train[3 * index % 600])
    pairs = near_duplicates.between(test, train)
    right = [pair for pair in pairs if pair.first in planted and pair.second == 3 * pair.first % 600]
    assert len(right) >= (0.99 if change is np.array else 0.9) * len(planted)
    assert len(pairs) - len(right) <= 2  # of 150 pictures of their own
    if change is mirrored:
        assert sum(pair.mirrored for pair in right) >= 0.9 * len(right)
    elif change is np.array:
        assert min(pair.correlation for pair in right) > 0.9999


@pytest.mark.parametrize("shift", [(6, 0), (-5, 6), (6, -6), (0, -5)])
def test_shifts_up_to_the_largest_are_found_among_many(shift):
    train = scenes(600)
    test = np.zeros_like(train[:100])
    here, there = ([slice(max(way * by, 0), 32 + min(way * by, 0)) for by in shift] for way in (1, -1))
    test[:, here[0], here[1]] = train[200:300, there[0], there[1]]
    test[::2] = test[::2, :, ::-1]
    found = {pair.first: pair.second for pair in near_duplicates.between(test, train)}
    assert np.mean([found.get(row) == 200 + row for row in range(100)]) >= 0.5


def test_shifts_by_parts_of_a_pixel_are_found_among_photographs(monkeypatch):
    """Ten of 96 pixels are three and a third of 32; there is noise in every pixel, as in photographs."""
    noise = np.random.default_rng(2).normal(0, 20, (300, 96, 96, 3))
    train = np.clip(scenes(300, side=96) + noise, 0, 255).astype(np.uint8)
    test = np.zeros_like(train[:100])
    test[:, 10:, :-5] = train[100:200, :-10, 5:]

    def share():
        found = {pair.first: pair.second for pair in near_duplicates.between(test, train)}
        return np.mean([found.get(row) == 100 + row for row in range(100)])

    assert share() >= 0.9
    monkeypatch.setattr(near_duplicates, "_SHORT", 0.0)
    assert share() < 0.3  # by whole pixels alone


def test_the_likeness_of_middles_is_that_of_plain_squares():
    """Each square cut out, mirrored by hand and compared by the slowest waves of a plain cosine transform."""

    def waves(square):
        basis = [[np.cos(np.pi / 20 * wave * (pixel + 0.5)) for pixel in range(20)] for wave in range(6)]
        vector = (np.array(basis) @ square @ np.array(basis).T).reshape(-1)[1:]
        return vector / np.linalg.norm(vector)

    train, test = near_duplicates.small(scenes(7)), near_duplicates.small(scenes(3, seed=1))
    alike = np.tile(np.arange(7), (3, 1))
    middles = near_duplicates.fingerprints(train).middles
    indices, likeness, (shifts, mirrored) = near_duplicates._likest(test, middles, alike, 7)
    for row, picture in enumerate(test):
        for column, index in enumerate(indices[row]):
            cosines = {
                (down - 6, across - 6, flip): waves(side[down : down + 20, across : across + 20])
                @ waves(train[index, 6:26, 6:26])
                for flip, side in ((False, picture), (True, picture[:, ::-1]))
                for down in range(13)
                for across in range(13)
            }
            assert likeness[row, column] == pytest.approx(max(cosines.values()), abs=1e-4)
            place = (*shifts[row, column].tolist(), bool(mirrored[row, column]))
            assert cosines[place] == pytest.approx(max(cosines.values()), abs=1e-4)


def test_what_was_described_once_gives_the_same_pairs():
    train = scenes(300)
    test = np.concatenate([mirrored(train[40]), shifted(train[250])]).reshape(2, 32, 32, 3)
    index = near_duplicates.fingerprints(train)
    assert near_duplicates.between(test, index) == near_duplicates.between(test, train)
    chosen = np.r_[250, 10:60]
    pairs = near_duplicates.between(test, index.take(chosen))
    assert pairs == near_duplicates.between(test, train[chosen])
    assert [chosen[pair.second] for pair in pairs] == [40, 250]


def test_pictures_that_resemble_none_are_laid_over_none(monkeypatch):
    """That is what takes the time, and most pictures resemble none."""
    laid_over = []
    compared = near_duplicates._compared
    monkeypatch.setattr(
        near_duplicates,
        "_compared",
        lambda one, *rest, **more: laid_over.append(len(one)) or compared(one, *rest, **more),
    )
    train = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 1), np.uint8)
    test = np.concatenate([train[400:], train[8:9]])
    assert [pair.first for pair in near_duplicates.between(test, train[:400])] == [100]
    assert laid_over == [1]


def test_memory_is_that_of_a_few_numbers_a_picture():
    some = near_duplicates.fingerprints(scenes(100))
    many = np.arange(60_000) % 100
    index, test = some.take(many), scenes(100, seed=1)
    tracemalloc.start()
    near_duplicates.between(test, index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70_000_000  # of all distances at once it was 100 * 60,000 * (4 + 8) bytes and more


def test_drawings_of_thin_lines_are_found_shifted():
    """28 pixels are not stretched to 32, where a shift by whole pixels would be one no more."""
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[0:28, 0:28]
    train = np.zeros((200, 28, 28), np.uint8)
    for picture in train:
        for _ in range(3):
            angle, offset, end = draw.uniform(0, np.pi), draw.uniform(-5, 5), draw.uniform(5, 9)
            down, across = rows - 13.5, columns - 13.5
            away = np.abs(down * np.cos(angle) + across * np.sin(angle) - offset)
            picture[(away < 1) & (np.hypot(down, across) < end)] = 255
    test = np.zeros_like(train[:100])
    test[:, 3:, :-2] = train[50:150, :-3, 2:]
    pairs = near_duplicates.between(test, train)
    assert np.mean([pair.second == pair.first + 50 for pair in pairs]) >= 0.95
    assert len(pairs) >= 95


@pytest.mark.parametrize(("down", "left", "columns"), [(1, 1, 28), (3, 2, 28), (3, 2, 27)])
def test_digits_that_resemble_each_other_are_found_shifted_and_mirrored(down, left, columns):
    """Thousands are alike, and ink that now touches the border must not be taken to go on behind it."""
    train = mnist.load().train.inputs[:10_000, :, :columns]
    chosen = np.arange(100, 300)
    test = np.zeros_like(train[chosen])
    test[:, down:, :-left] = train[chosen, :-down, left:]
    test[::2] = test[::2, :, ::-1]
    found = {pair.first: pair.second for pair in near_duplicates.between(test, train)}
    assert np.mean([found.get(row) == index for row, index in enumerate(chosen)]) >= 0.97


def test_other_sizes_grey_and_nothing():
    train = scenes(50, side=47)
    test = train[[7, 3]]
    assert [(pair.first, pair.second) for pair in near_duplicates.between(test, train)] == [(0, 7), (1, 3)]
    grey = train.mean(-1)
    assert [(pair.first, pair.second) for pair in near_duplicates.between(grey[[7, 3]], grey)] == [(0, 7), (1, 3)]
    assert near_duplicates.between(train[:0], train) == []
    assert near_duplicates.between(train, train[:0]) == []


def test_blank_pictures_are_no_duplicates_of_anything_else():
    train = scenes(20)
    train[4] = 255
    blank = np.full((1, 32, 32, 3), 255, np.uint8)
    pairs = near_duplicates.between(blank, train)
    assert [pair.second for pair in pairs] in ([], [4])


@pytest.mark.parametrize("size", [(224, 96), (16, 16), (33, 50), (20, 31), (32, 32)])
def test_small_pictures_average_areas(size):
    """Against the plain product with a matrix of each pixel's share of each area."""

    def shares(count):
        rows = np.zeros((32, count))
        for area in range(32):
            for pixel in range(count):
                begin, end = max(area * count / 32, pixel), min((area + 1) * count / 32, pixel + 1)
                rows[area, pixel] = max(end - begin, 0) * 32 / count
        return rows

    pictures = np.random.default_rng(0).integers(0, 256, (7, *size, 3)).astype(np.uint8)
    wanted = shares(size[0]) @ pictures.astype(np.float64).mean(-1) @ shares(size[1]).T
    wanted -= wanted.mean((1, 2), keepdims=True)
    assert near_duplicates.small(pictures).dtype == np.float32
    np.testing.assert_allclose(near_duplicates.small(pictures), wanted, atol=1e-3)
    np.testing.assert_allclose(
        near_duplicates.small(pictures[..., :1]), near_duplicates.small(pictures[..., 0]), atol=1e-3
    )
    assert near_duplicates.small(pictures[:0]).shape == (0, 32, 32)


def test_what_is_hardly_smaller_keeps_its_pixels():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 28, 30, 1)).astype(np.uint8)
    wanted = np.pad(pictures[..., 0].astype(np.float32), ((0, 0), (2, 2), (1, 1)), mode="edge")
    wanted -= wanted.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(near_duplicates.small(pictures), wanted, atol=1e-3)
