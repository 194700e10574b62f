"""Files written as ``torch.save`` writes them, harmless and hostile: the format is pickles, so a test can make both."""

from __future__ import annotations

import collections
import io
import pickle
import resource
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kerastl.models.pretrained import torch_file

KERNEL = np.arange(12, dtype="<f4").reshape(3, 4)
STEPS = np.array(7, dtype="<i8")


class Storage:
    """What `torch.save` sees of a storage: a persistent id in place of its numbers."""

    def __init__(self, key: str, kind: str, array: np.ndarray):
        self.key, self.kind, self.array = key, kind, array


class Name:
    """Pickled as a name of a module, whether there is such a module or not."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Tensor:
    def __init__(self, storage: Storage, shape: tuple, strides: tuple, offset: int = 0):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())


class Call:
    def __init__(self, module: str, name: str, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


def pickled(content, *, archive: bool) -> bytes:
    class Pickler(pickle._Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                kind = Name("torch", thing.kind)
                return ("storage", kind, thing.key, "cpu", thing.array.size, *(() if archive else (None,)))
            return None

        def save_name(self, thing):
            self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())

        def save_call(self, thing):
            self.save_name(thing)
            self.save(thing.arguments)
            self.write(pickle.REDUCE)

        def save_tensor(self, thing):
            self.save_call(Call("torch._utils", "_rebuild_tensor_v2", *thing.arguments))

    ours = {Name: Pickler.save_name, Call: Pickler.save_call, Tensor: Pickler.save_tensor}
    Pickler.dispatch = {**pickle._Pickler.dispatch, **ours}
    stream = io.BytesIO()
    Pickler(stream, 2).dump(content)
    return stream.getvalue()


def stream(path: Path, content, storages: list[Storage], *, magic: int = 0x1950A86A20F9469CFC6C) -> Path:
    """The format before PyTorch 1.6."""
    parts = [pickle.dumps(magic, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2)]
    parts += [pickled(content, archive=False), pickle.dumps([storage.key for storage in storages], 2)]
    parts += [struct.pack("<q", storage.array.size) + storage.array.tobytes() for storage in storages]
    path.write_bytes(b"".join(parts))
    return path


def archive(path: Path, content, storages: list[Storage], **members: bytes) -> Path:
    """The format since."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled(content, archive=True))
        for storage in storages:
            file.writestr(f"archive/data/{storage.key}", storage.array.tobytes())
        for name, extra in members.items():
            file.writestr(f"archive/{name}", extra)
    return path


def compressed(path: Path, content, storages: list[Storage]) -> Path:
    """What may unpack to a thousand times its size; PyTorch never writes one."""
    with zipfile.ZipFile(archive(path, content, storages)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, member in members.items():
            new.writestr(name, member)
    return path


@pytest.fixture(params=[stream, archive], ids=["stream", "archive"])
def write(request):
    return request.param


def harmless() -> tuple[dict, list[Storage]]:
    kernel, steps = Storage("0", "FloatStorage", KERNEL), Storage("1", "LongStorage", STEPS)
    content = collections.OrderedDict(
        plain=Tensor(kernel, (3, 4), (4, 1)),
        turned=Tensor(kernel, (4, 3), (1, 4)),
        part=Tensor(kernel, (2, 2), (4, 1), offset=5),
        steps=Tensor(steps, (), ()),
    )
    return content, [kernel, steps]


def test_tensors_are_read_as_pytorch_lays_them(write, tmp_path):
    arrays = torch_file.read(write(tmp_path / "w.pth", *harmless()))
    np.testing.assert_array_equal(arrays["plain"], KERNEL)
    np.testing.assert_array_equal(arrays["turned"], KERNEL.T)
    np.testing.assert_array_equal(arrays["part"], [[5, 6], [9, 10]])
    assert arrays["steps"] == 7
    assert arrays["steps"].dtype == np.int64
    assert arrays["plain"].flags.writeable


@pytest.mark.parametrize(
    "call",
    [
        ("os", "system", "touch ran"),
        ("posix", "system", "touch ran"),
        ("builtins", "eval", "open('ran', 'w')"),
        ("builtins", "getattr", "x", "upper"),
        ("torch", "load", "other.pth"),
        ("torch.storage", "_load_from_bytes", b""),
        ("numpy", "fromfile", "/etc/passwd"),
        ("collections", "OrderedDict.fromkeys", ()),
        ("nobody_imported_this", "run"),
    ],
    ids=lambda call: ".".join(call[:2]),
)
def test_a_malicious_pickle_is_refused_and_nothing_runs(write, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    trap = types.ModuleType("nobody_imported_this")
    trap.run = lambda: Path("ran").write_text("it ran")
    trap.__getattr__ = lambda name: Path("ran").write_text("it was looked up")
    monkeypatch.setitem(sys.modules, "nobody_imported_this", trap)
    content, storages = harmless()
    content["evil"] = Call(*call)
    with pytest.raises(torch_file.TorchFileError, match=rf"it names {call[0]}\.{call[1]}, which no state dict needs"):
        torch_file.read(write(Path("w.pth"), content, storages))
    assert not Path("ran").exists()


def test_the_traps_do_spring_without_the_guard(tmp_path, monkeypatch):
    """The same bytes, read by pickle itself."""
    monkeypatch.chdir(tmp_path)
    data = pickled({"evil": Call("os", "system", "touch ran")}, archive=True)
    pickle.loads(data)
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (lambda s: Tensor(s, (3, 5), (5, 1)), "reaches beyond its storage"),
        (lambda s: Tensor(s, (2, 2), (4, 1), offset=8), "reaches beyond its storage"),
        (lambda s: Tensor(s, (3, 4), (-4, 1), offset=11), "reaches beyond its storage"),
        (lambda s: Tensor(s, (3, 4), (4, 1), offset=-1), "reaches beyond its storage"),
        (lambda s: Tensor(s, (10**9, 10**9), (0, 0)), "reaches beyond its storage"),
        (lambda s: Tensor(s, (3, 4.0), (4, 1)), "no tensor"),
        (lambda s: Tensor(s, ("3", 4), (4, 1)), "no tensor"),
        (lambda s: Tensor("storage", (3, 4), (4, 1)), "no tensor"),
        (lambda s: "a text", "entry 'bad' is no tensor"),
    ],
)
def test_tensors_that_are_none_are_refused(write, tmp_path, tensor, words):
    content, storages = harmless()
    content["bad"] = tensor(storages[0])
    with pytest.raises(torch_file.TorchFileError, match=words):
        torch_file.read(write(tmp_path / "w.pth", content, storages))


def test_attributes_that_a_pickle_changes_change_nothing(write, tmp_path):
    """A pickle may set attributes of whatever it has made: what stands for a tensor has none."""
    _, storages = harmless()
    data = pickled({"a": Tensor(storages[0], (3, 4), (4, 1))}, archive=True)
    # in front of the dictionary's SETITEM: BUILD with a state
    at = data.rindex(pickle.SETITEM)
    state = pickle.MARK + b"X\x06\0\0\0offset" + b"K\x64" + pickle.DICT
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as file:
        file.writestr("archive/data.pkl", data[:at] + state + pickle.BUILD + data[at:])
        file.writestr("archive/data/0", KERNEL.tobytes())
    with pytest.raises(torch_file.TorchFileError, match="no PyTorch file, or damaged"):
        torch_file.read(tmp_path / "w.pth")


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        torch_file.read(tmp_path / "none.pth")
    content, storages = harmless()
    for name, write in {
        "magic": lambda path: stream(path, content, storages, magic=1),
        "cut": lambda path: path.write_bytes(stream(path, content, storages).read_bytes()[:-1]),
        "cut_pickle": lambda path: path.write_bytes(stream(path, content, storages).read_bytes()[:200]),
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("weights"),
        "list": lambda path: stream(path, [1, 2], []),
        "no_tensors": lambda path: stream(path, {}, []),
        "lacking": lambda path: archive(path, content, storages[:1]),
        "short": lambda path: archive(path, content, [storages[0], Storage("1", "LongStorage", KERNEL)]),
        "big_endian": lambda path: archive(path, content, storages, byteorder=b"big"),
        "compressed": lambda path: compressed(path, content, storages),
        "two": lambda path: archive(path, content, storages, **{"inner/data.pkl": b""}),
    }.items():
        write(tmp_path / name)
        with pytest.raises(torch_file.TorchFileError, match=name) as caught:  # the path is named
            torch_file.read(tmp_path / name)
        assert name != "cut" or "it ends before its numbers do" in str(caught.value)


@pytest.mark.parametrize("put", [b"r\x00\x00\x00\x04", b"p67108864\n"])
def test_a_place_in_the_memo_takes_no_memory(tmp_path, put):
    """Five bytes that had the unpickler take a gigabyte."""
    (tmp_path / "file.pth").write_bytes(b"\x80\x02K\x01" + put + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(torch_file.TorchFileError, match="its pickle numbers an object 67,108,864"):
        torch_file.read(tmp_path / "file.pth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_text_that_claims_to_be_long_takes_no_memory(tmp_path):
    (tmp_path / "file.pth").write_bytes(b"\x80\x02X\xff\xff\xff\x7fabc.")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 1_000_000_000, limits[1]))
    try:
        with pytest.raises(torch_file.TorchFileError, match="no PyTorch file, or damaged") as found:
            torch_file.read(tmp_path / "file.pth")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert not isinstance(found.value.__cause__, MemoryError)


@pytest.mark.parametrize(
    "nested",
    [b"\x85" * 3_000_000, b"q\0\x85" * 1_000_000, b"\x85Nb" * 1_000_000, b"2\x86" * 1_000_000],
    ids=["plain", "remembered", "built", "doubled"],
)
def test_a_key_of_tuples_in_tuples_is_refused_and_not_hashed(tmp_path, nested):
    """Three megabytes that took the process along: a tuple is hashed by recursion in C."""
    (tmp_path / "file.pth").write_bytes(b"\x80\x02})" + nested + b"K\x01s.")
    with pytest.raises(torch_file.TorchFileError, match="tuples in tuples"):
        torch_file.read(tmp_path / "file.pth")


def test_a_pickle_that_takes_more_than_it_has_is_refused(tmp_path):
    for operations in (b"\x85", b"0", b"(0t", b"e", b"q\0"):
        (tmp_path / "file.pth").write_bytes(b"\x80\x02" + operations + b".")
        with pytest.raises(torch_file.TorchFileError):
            torch_file.read(tmp_path / "file.pth")
