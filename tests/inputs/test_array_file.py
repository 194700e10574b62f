"""Array files of strangers."""

from __future__ import annotations

import gzip
import io
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from kerastl.inputs import array_file


def npy(array, **options):
    memory = io.BytesIO()
    np.save(memory, array, **options)
    return memory.getvalue()


def declaring(shape, kind="<f4", held=100):
    """A ``.npy`` whose header promises more than it holds."""
    memory = io.BytesIO()
    np.lib.format.write_array_header_1_0(memory, {"descr": kind, "fortran_order": False, "shape": shape})
    return memory.getvalue() + bytes(held)


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def test_sound_files(tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 3, 2))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(array_file.read_npy(tmp_path / "a.npy"), array)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=array, y=np.asfortranarray(array), z=np.array(3), empty=np.zeros((0, 4), np.uint8))
        read = dict(array_file.read_npz(tmp_path / "a.npz"))
        assert set(read) == {"x", "y", "z", "empty"}
        np.testing.assert_array_equal(read["y"], array)
        assert read["empty"].shape == (0, 4)


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**62,), (50_000, 1000)])
def test_a_header_that_promises_too_much_is_refused_without_memory(tmp_path, shape):
    (tmp_path / "bomb.npy").write_bytes(declaring(shape))
    archive(tmp_path / "bomb.npz", {"x.npy": declaring(shape), "y.npy": npy(np.arange(3))})
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(array_file.ArrayFileError, match="declares"):
        array_file.read_npy(tmp_path / "bomb.npy")
    read = dict(array_file.read_npz(tmp_path / "bomb.npz"))
    assert isinstance(read["x"], array_file.ArrayFileError)
    np.testing.assert_array_equal(read["y"], [0, 1, 2])
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_zip_bomb_is_refused_without_memory(tmp_path):
    path = archive(tmp_path / "bomb.npz", {"x.npy": npy(np.zeros(100_000_000, np.uint8))})
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(array_file.ArrayFileError, match="more than 200 times"):
        list(array_file.read_npz(path))
    noise = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8)  # for which the file as a whole is sound
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("y.npy", npy(noise))
    (name, error), (_, sound) = array_file.read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert name == "x"
    assert "more than 200 times" in str(error)
    np.testing.assert_array_equal(sound, noise)


def test_a_zip_bomb_of_many_parts_is_refused_without_memory(tmp_path):
    """None of them is large enough to be looked at by itself."""
    part = npy(np.zeros(9_000_000, np.uint8))
    path = archive(tmp_path / "bomb.npz", {f"x{number}.npy": part for number in range(20)})
    tracemalloc.start()
    with pytest.raises(array_file.ArrayFileError, match="unpack to 180,002,560: more than 200 times"):
        list(array_file.read_npz(path))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(("shape", "kind"), [((10**12, 0), "<f4"), ((10**12,), "|V0"), ((1, 10**12), "<U0")])
def test_examples_that_hold_nothing_are_refused(tmp_path, shape, kind):
    """They take no memory in the array, and all of it in whoever goes through them."""
    (tmp_path / "bomb.npy").write_bytes(declaring(shape, kind))
    with pytest.raises(array_file.ArrayFileError, match="1,000,000,000,000 examples that hold nothing"):
        array_file.read_npy(tmp_path / "bomb.npy")


def test_all_arrays_together_have_a_limit(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(100), y=np.zeros(100), z=np.zeros(10))
    read = dict(array_file.read_npz(tmp_path / "a.npz", largest=1000))
    assert [type(read[name]) for name in "xyz"] == [np.ndarray, array_file.ArrayFileError, np.ndarray]


def test_pickles_are_never_read(tmp_path):
    class Run:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    pickled = npy(np.array([Run()], object), allow_pickle=True)
    (tmp_path / "a.npy").write_bytes(pickled)
    archive(tmp_path / "a.npz", {"x.npy": pickled})
    with pytest.raises(array_file.ArrayFileError, match="Python objects"):
        array_file.read_npy(tmp_path / "a.npy")
    ((_, error),) = array_file.read_npz(tmp_path / "a.npz")
    assert "Python objects" in str(error)
    assert not (tmp_path / "ran").exists()


def test_damage(tmp_path):
    whole = npy(np.arange(1000))
    for content in (whole[: len(whole) // 2], b"", b"<html>", b"\x93NUMPY\x09\x00"):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(array_file.ArrayFileError):
            array_file.read_npy(tmp_path / "a.npy")
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(array_file.ArrayFileError, match="cannot be read"):
            list(array_file.read_npz(tmp_path / "a.npz"))
    path = archive(tmp_path / "b.npz", {"x.npy": whole, "y.npy": whole}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[400] ^= 1  # inside x
    path.write_bytes(content)
    read = dict(array_file.read_npz(path))
    assert isinstance(read["x"], array_file.ArrayFileError)
    np.testing.assert_array_equal(read["y"], np.arange(1000))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_idx(compress, tmp_path):
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(compress(b"\0\0\x08\x03" + b"\0\0\0\x02\0\0\0\x01\0\0\0\x03" + bytes(range(6))))
    assert array_file.read_idx(path).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x01\0\0\0\x03ab", b"\0\0\x08\x03\0\0"]
)
def test_what_is_no_idx_is_refused(data, tmp_path):
    (tmp_path / "broken").write_bytes(data)
    with pytest.raises(ValueError, match="broken"):
        array_file.read_idx(tmp_path / "broken")


def test_an_idx_bomb_is_refused_before_it_unpacks(tmp_path):
    header = b"\0\0\x08\x01" + (300_000_000).to_bytes(4, "big")
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header + bytes(300_000_000), 1))
    assert path.stat().st_size < 1_500_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="too many"):
        array_file.read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x03" + bytes(50_000_000)))  # announces three, holds more
    with pytest.raises(ValueError, match="holds more"):
        array_file.read_idx(path)


def test_whatever_the_directory_of_an_npz_provokes_is_said_in_words(tmp_path):
    np.savez(tmp_path / "set.npz", x=np.arange(12), y=np.arange(3))
    path = tmp_path / "set.npz"
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    for place in range(start, len(data)):
        for value in (0, 20, 255):  # 20 among them: a version of the format that is to come
            mutant = bytearray(data)
            mutant[place] = value
            path.write_bytes(bytes(mutant))
            arrays, problems = array_file.read_set(path)
            assert all(isinstance(one, np.ndarray) for one in arrays.values())
            assert all(isinstance(words, str) for words in problems.values())
