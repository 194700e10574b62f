from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from kerastl import types
from kerastl.data import decoding, leakage, near_duplicates, streamed
from kerastl.inputs import image, pictures
from kerastl.tasks.single_label import SingleLabel

SIZE = (20, 16)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def files(tmp_path):
    """Photographs of noise, larger than they are read."""
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    made = []
    for index in range(40):
        pixels = generator.integers(0, 256, (50, 44, 3)).astype(np.uint8)
        made.append(tmp_path / "photos" / f"{index:02d}.{('jpg', 'png')[index % 2]}")
        Image.fromarray(pixels).save(made[-1])
    return [str(path) for path in made]


def looked(files, **changes) -> streamed.Pictures:
    found = decoding.decode_all(files, **{"size": SIZE, "channels": 3, "in_memory": 0, **changes}).inputs
    assert isinstance(found, streamed.Pictures)
    return found


@pytest.fixture(params=["cached", "decoded"])
def both(request, files):
    """The pictures from their cache, and decoded each time; and as they are read one by one."""
    read = np.stack([pictures.read(file, channels=3, size=SIZE).pixels for file in map(_path, files)])
    found = looked(files, cache_bytes=None if request.param == "cached" else 0)
    assert (found.album.cache / streamed.PIXELS).exists() == (request.param == "cached")
    return found, read


def _path(file):
    import pathlib

    return pathlib.Path(file)


def test_it_is_the_array_of_what_pictures_read_gives(both):
    found, read = both
    assert isinstance(found, types.LazyArray)
    assert not isinstance(read, types.LazyArray)
    assert (found.shape, found.dtype, found.ndim, len(found)) == (read.shape, read.dtype, read.ndim, len(read))
    places = [
        3, -1, np.int64(7), slice(5), slice(None, None, -3), slice(2, 2), np.array([9, 9, 0, -2]), [4, 1],
        np.arange(40) % 7 == 0, np.array([], int),
    ]  # fmt: skip
    for place in places:
        one, other = found[place], read[place]
        assert one.shape == other.shape, place
        np.testing.assert_array_equal(one, other)
        if not isinstance(place, int | np.integer):
            np.testing.assert_array_equal(found.take(place)[:], other)
    np.testing.assert_array_equal(np.asarray(found), read)
    np.testing.assert_array_equal(np.asarray(found, np.float32), read.astype(np.float32))
    np.testing.assert_array_equal(np.stack(list(found)), read)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found.take([3, 1])))[:], read[[3, 1]])
    assert found.digests() == leakage.of_rows(read)
    for wrong in (40, np.array([0, 40]), (0, 1), None, "a"):
        with pytest.raises(IndexError):
            found[wrong]


def test_small_pictures_are_those_of_the_array(both):
    found, read = both
    np.testing.assert_array_equal(found.small(slice(None)), near_duplicates.small(read))
    np.testing.assert_array_equal(found.small(np.array([7, 2])), near_duplicates.small(read)[[7, 2]])
    np.testing.assert_array_equal(near_duplicates.small(found.take([5])), near_duplicates.small(read)[[5]])
    assert found.small(slice(0)).shape == (0, 32, 32)


def test_near_duplicates_are_those_of_the_array(both):
    found, read = both
    moved = np.roll(read[[30, 4, 11]], 1, axis=2)
    pairs = near_duplicates.between(moved, found)
    assert [pair.second for pair in pairs] == [30, 4, 11]
    assert pairs == near_duplicates.between(moved, read)


def test_what_the_cache_has_lost_or_damaged_is_decoded(both, home):
    found, read = both
    path = found.album.cache / streamed.PIXELS
    if path.exists():
        content = bytearray(path.read_bytes())
        content[5 * read[0].size] ^= 1  # one bit of the sixth picture
        path.write_bytes(content[: 30 * read[0].size + 7])  # and the last ten torn off
        np.testing.assert_array_equal(found[:], read)
    shutil.rmtree(home)
    np.testing.assert_array_equal(found[:], read)
    np.testing.assert_array_equal(found.small(slice(None)), near_duplicates.small(read))


def test_a_file_that_changed_or_went_is_said(files):
    found = looked(files, cache_bytes=0)
    shutil.copy(files[3], files[5])
    with pytest.raises(pictures.PictureError, match=r"05.png is not the picture any more"):
        found[:8]
    _path(files[5]).unlink()
    with pytest.raises(pictures.PictureError, match=r"05.png: there is no such file"):
        found[5]
    assert found[6].shape == (20, 16, 3)


def test_splits_are_cut_without_reading(both):
    found, read = both
    for path in found.album.files:
        _path(path).unlink()
    shutil.rmtree(found.album.cache)
    task = types.Task("streamed", image.Image(found.shape[1:]), SingleLabel(tuple(map(str, range(40)))))
    split = types.Split("train", found, np.arange(40, dtype=np.int32), task)
    assert len(split.take(7)) == 7
    assert split.take(None).inputs.shape == found.shape
    part = split.subset(np.array([8, 2]))
    assert part.labels.tolist() == [8, 2]
    assert part.inputs.digests() == leakage.of_rows(read[[8, 2]])
