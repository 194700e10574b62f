"""Run folders: one lock, stages that are finished once, atomic writes, digests.

A stage is a folder that appears whole or not at all: it is written under a temporary name, flushed to disk, renamed.
Its name carries the digest of everything its result depends on, so the same command again finds it and a changed
setting does not. A run that was killed resumes at its last finished stage.
"""

from __future__ import annotations

import dataclasses
import datetime
import errno
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kerastl import types
from kerastl.runs import checkpoints, stage_files
from kerastl.system import atomic_files, digests

try:  # on Windows there is no flock; two runs in one folder are then only warned about by the store's notes
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None

_MANIFEST = "manifest.json"
_FILES = "files.json"
_FOLDERS = ("stages", "logs", "variants", "saved_model", "mobile")
_PACKAGES = (
    "kerastl",
    "tensorflow",
    "keras",
    "tf_keras",
    "tensorflow-model-optimization",
    "ai-edge-litert",
    "litert-quantizer",
    "numpy",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, without importing them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def check_backend() -> None:
    """Raises `ValueError` unless Keras will run on TensorFlow (the exporters and TF-MOT know nothing else)."""
    wanted = os.environ.get("KERAS_BACKEND")
    origin = "the environment variable KERAS_BACKEND"
    if not wanted:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        try:
            wanted = json.loads((home / "keras.json").read_text()).get("backend")
        except (OSError, ValueError, AttributeError):
            return  # Keras then falls back on its own default, which is TensorFlow
        origin = str(home / "keras.json")
    if wanted and wanted != "tensorflow":
        raise ValueError(
            f"kerastl needs Keras on TensorFlow. Received: backend {wanted!r} from {origin}. "
            "Run with KERAS_BACKEND=tensorflow."
        )


def publish(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Puts the bundle `mobile/` into a finished run folder, whole or not at all, then pins the run in `files.json`.

    Call it last, when every check has passed and the report is written: `files.json` holds the SHA-256 of every file of
    the run.

    Args:
        folder: the run folder.
        files: file name in `mobile/` -> its bytes.

    Returns:
        The bundle's folder.

    Raises:
        ValueError: if there is no file, or a name that would leave `mobile/`.
    """
    wrong = [name for name in files if name != Path(name).name or name in (".", "..")]
    if not files or wrong:
        raise ValueError(f"A bundle needs plain file names. Received: {wrong or 'no files'}.")
    bundle = folder / "mobile"
    pinned = digests.of_folder(folder, leave_out=(".lock", "mobile", _FILES))
    pinned |= {f"mobile/{name}": hashlib.sha256(content).hexdigest() for name, content in files.items()}
    pins = json.dumps(dict(sorted(pinned.items())), indent=2).encode() + b"\n"
    # Both are on disk before either takes its place: a disk that fills up between them leaves the earlier pair.
    with (
        atomic_files.atomic_replace(bundle, needed_bytes=sum(map(len, files.values())) + len(pins)) as new_bundle,
        atomic_files.atomic_replace(folder / _FILES, needed_bytes=len(pins)) as new_pins,
    ):
        new_bundle.mkdir()
        for name, content in files.items():
            (new_bundle / name).write_bytes(content)
        new_pins.write_bytes(pins)
    return bundle


class Run:
    """A run folder, held by one process at a time.

    ```
    with store.Run(folder, recipe="mnist_mobile", tag="default", config=config) as run:
        dataset = data.mnist.load(seed=config.seed)
        run.use_dataset(dataset)
        teacher = run.stage("teacher", make, key=[config.teacher, dataset.digest], save=save, load=load)
        student = run.stage("student", make, key=[config.student, run.stage_key("teacher")], save=save, load=load)
    ```

    Entering checks, before anything is trained, that Keras runs on TensorFlow, that the folder can be written, that it
    has room, and that no other process is at work in it.

    Args:
        folder: made if it is not there.
        recipe, tag: names of the run.
        config: the recipe's frozen dataclass; its `seed`, if it has one, is the run's, and its `accept` what `publish`
            holds the files to.
        needed_bytes: free disk space that the run asks for.
    """

    def __init__(self, folder: Path, *, recipe: str, tag: str, config: object, needed_bytes: int = 500_000_000) -> None:
        if not dataclasses.is_dataclass(config) or isinstance(config, type):
            raise ValueError(f"A run's config is an instance of a dataclass. Received: {config!r}.")
        self.folder, self.config = Path(folder), config
        self.notes: list[str] = []
        self._needed_bytes = needed_bytes
        self._rows: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}
        self._lock: int | None = None
        seed = getattr(config, "seed", None)
        self.metadata: dict[str, Any] = {"recipe": recipe, "tag": tag, "seed": seed, "versions": versions()}
        self._config = json.loads(json.dumps(dataclasses.asdict(config), default=atomic_files.to_json_types))

    @property
    def seeds(self) -> range:
        """As many as the config's `seeds` says, one where it says none, from its `seed` on."""
        first = getattr(self.config, "seed", 0)
        return range(first, first + getattr(self.config, "seeds", 1))

    @property
    def stages(self) -> list[dict[str, Any]]:
        """One row a stage, in order: name, seconds that making it took (also when it was reused), reused."""
        return list(self._rows.values())

    def stage_key(self, name: str) -> str:
        """The key of a stage that this run has passed, for the keys of the stages that build on it."""
        if name not in self._keys:
            raise ValueError(f"No stage {name!r} has been passed yet. Available: {', '.join(self._keys) or 'none'}.")
        return self._keys[name]

    def __enter__(self) -> Run:
        check_backend()
        self._check_room()
        self._take_lock()
        try:
            atomic_files.clear_leftovers(self.folder)
            self._write_config()
        except BaseException:
            self._release_lock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A bundle stands only beside a run that passed: a failed check takes an earlier one away. A full disk, want of
        # memory or Ctrl-C says nothing against it.
        if isinstance(error, Exception) and not isinstance(error, OSError | MemoryError):
            self._withdraw(("mobile", _FILES))
        self._release_lock()

    def use_dataset(self, dataset: types.Dataset) -> None:
        """Writes into `config.json` which data set the run stands on, so that `kerastl verify` can load it again.

        Raises:
            ValueError: if the classes, or their order, are not those that the run began with: a model that was trained
                then would answer with other names.
        """
        content = json.loads((self.folder / "config.json").read_text())
        names, before = list(dataset.task.target.names), (content.get("data") or {}).get("class_names")
        if before is not None and before != names:
            raise ValueError(
                f"The run in {self.folder} began with the classes {', '.join(before)}. Received: {', '.join(names)}. "
                "Start another run for them, with --tag or --out."
            )
        shared = [
            f"{count} {words}"
            for key, words in (
                ("exact_duplicates", "held-out examples stand in another split as well"),
                ("contradicting_labels", "inputs carry more than one label"),
            )
            if (count := dataset.leakage.get(key))
        ]
        if shared:
            self._note(f"data set {dataset.task.name}: {'; '.join(shared)}. Scores may be flattered by it")
        content["data"] = {
            "name": dataset.task.name,
            "source": dataset.source,
            "arguments": dict(dataset.arguments),
            "digest": dataset.digest,
            "class_names": names,
            "counts": {split.name: len(split) for split in (dataset.train, dataset.validation, dataset.test)},
        }
        atomic_files.write_json(self.folder / "config.json", content)

    def stage(
        self,
        name: str,
        make: Callable[[types.Workspace], Any],
        *,
        key: Sequence[object],
        save: Callable[[Any, Path], object] | None = None,
        load: Callable[[Path], Any] | None = None,
    ) -> Any:
        """A stage's result: loaded if it was finished before with the same key, else made, saved and loaded.

        What comes back has always passed through `save` and `load`, so a resumed run goes on with exactly what an
        uninterrupted one had. kerastl's version belongs to the key as well, and so does the code of `make` with the
        functions and constants of its own module that it names: an edited recipe does not get its old models back.

        Args:
            name: unique in the run, usable as a folder name.
            make: makes it; its argument says where logs go, and checkpoints on the way.
            key: everything the result depends on: parts of the config, the data's digest, `run.stage_key(...)` of the
                stages it builds on.
            save: writes the object's files into an empty folder; `training.Trained`, `tflite.Converted`, an array and a
                tuple of splits need none, see `stage_files.save`.
            load: reads them back from that folder; as for ``save``.

        Raises:
            ValueError: for a name that is taken or no folder name, or a key that cannot be digested.
        """
        if name in self._rows or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"A stage needs a name of its own of letters, digits, '-' and '_'. Received: {name!r}.")
        save, load = save or stage_files.save, load or stage_files.load
        if self._lock is None:
            raise ValueError(f"A stage runs inside `with store.Run(...)`. Received: stage {name!r} outside it.")
        whole = digests.sha256_of(
            [name, list(key), self.metadata["versions"].get("kerastl"), digests.of_function(make)]
        )
        folder = self.folder / "stages" / f"{name}-{whole[:12]}"
        seconds = self._intact(folder, whole)
        reused = seconds is not None
        desk = folder.with_name(f".work-{folder.name}")
        for other in folder.parent.glob(f".work-{name}-{'[0-9a-f]' * 12}"):
            if reused or other != desk:  # left by a kill after the stage was committed, or begun with other settings
                atomic_files.remove(other)
        if seconds is None:
            workspace = checkpoints.Workspace(name, folder=desk, logs=self.folder / "logs" / name)
            result = make(workspace)
            seconds = workspace.seconds()
            self._commit(folder, key=whole, seconds=seconds, write=lambda path: save(result, path))
            atomic_files.remove(desk)
            del result  # two copies of a large model need not live at once
        self._keys[name] = whole
        self._rows[name] = {"name": name, "seconds": round(seconds, 3), "reused": reused}
        try:
            return load(folder)
        except Exception as error:
            error.add_note(f"Stage {name!r} is kept in {folder}; delete that folder to make it anew.")
            raise

    def stage_per_seed(
        self,
        name: str,
        make: Callable[[int, types.Workspace], Any],
        *,
        key: Sequence[object],
        seeds: Sequence[int] | None = None,
        save: Callable[[Any, Path], object] | None = None,
        load: Callable[[Path], Any] | None = None,
    ) -> list[Any]:
        """A `stage` a seed, named ``NAME-SEED``: what they made, in the order of the seeds.

        Args:
            name: of all of them.
            make: as for `stage`, with the seed before the place.
            key, save, load: as for `stage`; the seed joins the key.
            seeds: no two the same; by default those of the run.
        """
        return [
            self.stage(f"{name}-{seed}", functools.partial(make, seed), key=[seed, *key], save=save, load=load)
            for seed in (self.seeds if seeds is None else seeds)
        ]

    def _intact(self, folder: Path, key: str) -> float | None:
        """Seconds the stage took if its folder is as it was committed, else None; a damaged one is taken away."""
        if not folder.exists():
            return None
        try:
            manifest = json.loads((folder / _MANIFEST).read_text())
            if manifest["key"] == key and manifest["files"] == digests.of_folder(folder, leave_out=(_MANIFEST,)):
                return float(manifest["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._note(f"stage {folder.name} is damaged (its files are not those that were committed): made anew")
        atomic_files.remove(folder)
        return None

    def _commit(self, folder: Path, *, key: str, seconds: float, write: Callable[[Path], object]) -> None:
        folder.parent.mkdir(exist_ok=True)
        with atomic_files.atomic_replace(folder) as temporary:
            temporary.mkdir()
            write(temporary)
            manifest = {"key": key, "seconds": seconds, "created": _now(), "files": digests.of_folder(temporary)}
            (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2))

    def _write_config(self) -> None:
        path = self.folder / "config.json"
        content = {**self.metadata, "config": self._config, "created": _now()}
        try:
            before = json.loads(path.read_text())
        except (OSError, ValueError):
            before = {}
        same = all(before.get(name) == content[name] for name in ("recipe", "tag", "seed", "config"))
        if before and same:
            content["data"] = before.get("data")
        text = json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"
        with atomic_files.atomic_replace(path, needed_bytes=len(text)) as temporary:
            temporary.write_bytes(text)
            # Between writing and renaming: where the new settings do not fit, the earlier result stays with its own.
            if before and not same and self._withdraw(("mobile", "report.json", "report.html", _FILES)):
                self._note("the settings differ from the last run in this folder: its report and bundle are withdrawn")

    def _withdraw(self, names: Sequence[str]) -> bool:
        there = [self.folder / name for name in names if (self.folder / name).exists()]
        for path in there:
            atomic_files.remove(path)
        return bool(there)

    def _check_room(self) -> None:
        try:
            str(self.folder.absolute()).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The run folder's name must be text in UTF-8: TensorFlow takes no other. Received: {self.folder!a}."
            ) from error
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise ValueError(f"The run folder must be writable. Received: {self.folder} ({error.strerror}).") from error
        for place in (self.folder, *(self.folder / name for name in _FOLDERS)):  # a copied run may have some read-only
            try:
                with tempfile.TemporaryFile(dir=place):
                    pass
            except OSError as error:
                if not os.path.lexists(place):
                    continue
                raise ValueError(f"The run folder must be writable. Received: {place} ({error.strerror}).") from error
        if free < self._needed_bytes:
            raise ValueError(
                f"The run needs {self._needed_bytes / 1e6:,.0f} MB of free disk. "
                f"Received: {self.folder} with {free / 1e6:,.0f} MB free."
            )

    def _take_lock(self) -> None:
        # The kernel drops the lock with the process that holds it: nothing stale can stay behind a kill, and a new
        # process that happens to get the old number is not mistaken for it.
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ValueError(
                    f"One process at a time works in a run folder. Received: {self.folder}, where process {holder} is "
                    "at work. Wait for it, or choose another --tag or --out."
                ) from error
            self._note("this file system has no locks: see to it that no other run uses this folder")
            handle = os.open(self.folder / ".lock", os.O_RDWR)
        if dead := os.pread(handle, 32, 0).decode(errors="replace").strip():
            # A run that ends takes its number away. TensorFlow aborts where a kernel's scratch space does not fit, and
            # the system kills whoever takes too much: neither leaves a chance to say so at the time.
            self._note(
                f"process {dead}, which was at work here, ended without a word: what it finished is used again. If "
                "memory ran out, a smaller batch needs less"
            )
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise OSError(
                error.errno, f"No room for {self.folder / '.lock'}: it needs 20 bytes ({error.strerror})"
            ) from error
        self._lock = handle

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def _note(self, text: str) -> None:
        self.notes.append(text)
        print(f"kerastl: {text}", file=sys.stderr)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
