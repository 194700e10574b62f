"""Run folders: one lock, stages that are finished once, atomic writes, digests.

A stage is a folder that appears whole or not at all: it is written under a temporary name, flushed to disk, renamed.
Its name carries the digest of everything its result depends on, so the same command again finds it and a changed
setting does not. A run that was killed resumes at its last finished stage.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from kerastl import types
from kerastl.runs import acceptance, checkpoints, provenance, run_folder, selective, stage_files, untouched
from kerastl.system import atomic_files, bounded_json, code_digests, digests, output, phrases, run_marks

_MANIFEST = "manifest.json"
_FILES = "files.json"
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


_MAKERS = ("kerastl", "tensorflow", "keras", "tf_keras", "tensorflow-model-optimization")
"""Packages whose version belongs to what a stage has made."""


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


def publish(folder: Path, files: Mapping[str, bytes], *, kept: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Puts the bundle `mobile/` into a finished run folder, whole or not at all, then pins the run in `files.json`.

    Call it last, when every check has passed and the report is written: `files.json` holds the SHA-256 of every file of
    the run.

    Args:
        folder: the run folder, or the one in which the next run is made.
        files: file name in `mobile/` -> its bytes.
        kept: files of an earlier run that will stand beside these, and their digests.

    Returns:
        The bundle's folder.

    Raises:
        ValueError: if there is no file, or a name that would leave `mobile/`.
    """
    wrong = [name for name in files if name != Path(name).name or name in (".", "..")]
    if not files or wrong:
        raise ValueError(f"A bundle needs plain file names. Received: {wrong or 'no files'}.")
    bundle = folder / "mobile"
    pinned = {**kept, **digests.of_folder(folder, leave_out=(".lock", "mobile", _FILES, *run_folder.inner(folder)))}
    pinned.pop(run_folder.LOG, None)
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

    Entering checks, before anything is trained, that Keras runs on TensorFlow, that the folder is this recipe's and can
    be written, that it has room, and that no other process is at work in it. Where a run is finished in it, it stays as
    it is until the next one is published: that one is made in `.next` inside, see `run_folder`.

    Attributes:
        folder: where to write what belongs to the run; see `place` for what is to be used again.

    Args:
        folder: made if it is not there; else an empty folder, or one of a run of this recipe.
        recipe, tag: names of the run.
        config: the recipe's frozen dataclass; its `seed`, if it has one, is the run's, and its `accept` what `publish`
            holds the files to.
        needed_bytes: free disk space that the run asks for.
    """

    def __init__(self, folder: Path, *, recipe: str, tag: str, config: object, needed_bytes: int = 500_000_000) -> None:
        if not dataclasses.is_dataclass(config) or isinstance(config, type):
            raise ValueError(f"A run's config is an instance of a dataclass. Received: {config!r}.")
        self.home = self.folder = Path(folder)
        self.config = config
        self.notes: list[str] = []
        self._needed_bytes = needed_bytes
        self._rows: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}
        self._lock: int | None = None
        self._before: untouched.Before | None = None
        seed = getattr(config, "seed", None)
        self.metadata: dict[str, Any] = {"recipe": recipe, "tag": tag, "seed": seed, "versions": versions()}
        self.metadata["made"] = provenance.of(config)
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

    @property
    def settings(self) -> dict[str, Any]:
        """The config as JSON says it."""
        return self._config

    def stage_key(self, name: str) -> str:
        """The key of a stage that this run has passed, for the keys of the stages that build on it."""
        if name not in self._keys:
            raise ValueError(f"No stage {name!r} has been passed yet. Available: {', '.join(self._keys) or 'none'}.")
        return self._keys[name]

    def __enter__(self) -> Run:
        check_backend()
        run_folder.check_own(self.home, recipe=self.metadata["recipe"])
        self._before = untouched.Before(self.home)
        try:
            run_folder.check_room(self.home, needed_bytes=self._needed_bytes)
            self._lock = run_folder.take_lock(self.home, note=self._note)
            run_folder.clear_leftovers(self.home)
            run_folder.finish_publishing(self.home)
            if run_marks.is_finished(self.home):
                self.folder = self.home / run_folder.NEXT
            self._before.look(self.folder)
            self.folder.mkdir(exist_ok=True)
            self._write_config()
            output.log_to(self.folder / run_folder.LOG)
        except BaseException:
            self._end(failed=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(failed=error is not None)

    def place(self, name: str) -> Path:
        """A folder of the run for something that is costly to make and knows by itself whether it is still right.

        What an earlier run left there is there again: as links to the same files, which whoever replaces them leaves as
        they are.
        """
        here, earlier = self.folder / name, self.home / name
        if here != earlier and earlier.is_dir() and not here.exists():
            shutil.copytree(earlier, here, copy_function=run_folder.link)
        return here

    def publish(self, files: Mapping[str, bytes]) -> Path:
        """Publishes the bundle, see `publish`; the run then takes the place of an earlier one.

        Args:
            files: file name in `mobile/` -> its bytes.
        """
        kept = {} if self.folder == self.home else run_folder.kept(self.home)
        publish(self.folder, files, kept=kept)
        run_folder.finish_publishing(self.home)
        self.folder = self.home
        return self.home / "mobile"

    def use_dataset(self, dataset: types.Dataset) -> None:
        """Writes into `config.json` which data set the run stands on, so that `kerastl verify` can load it again.

        Raises:
            ValueError: if the classes, or their order, are not those that the run began with: a model that was trained
                then would answer with other names. Or answers are to be sure, of what has not one class an example.
        """
        accept = getattr(self.config, "accept", None)
        if isinstance(accept, acceptance.Acceptance):
            acceptance.check_reject_option(accept, dataset.task.target)
            selective.others(accept.other, dataset.task.inputs)  # before anything is trained
        content = json.loads((self.folder / "config.json").read_text())
        names, before = list(dataset.task.target.names), (content.get("data") or {}).get("class_names")
        if before is not None and before != names:
            raise ValueError(
                f"The run in {self.folder} began with the classes {', '.join(before)}. Received: {', '.join(names)}. "
                "Start another run for them, with --tag or --out."
            )
        shared = [
            phrases.counted(count, one, many)
            for key, one, many in (
                (
                    "exact_duplicates",
                    "held-out example stands in another split as well",
                    "held-out examples stand in another split as well",
                ),
                ("contradicting_labels", "input carries more than one label", "inputs carry more than one label"),
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
        uninterrupted one had. The versions of kerastl, Keras and TensorFlow belong to the key as well, and so does the
        recipe, see `system.code_digests.of_maker`: an edited one does not get its old models back.

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
        made_by = {package: self.metadata["versions"].get(package) for package in _MAKERS}
        whole = digests.sha256_of([name, list(key), made_by, code_digests.of_maker(make, leave_out=[self.config])])
        folder, earlier = (place / "stages" / f"{name}-{whole[:12]}" for place in (self.folder, self.home))
        seconds = self._intact(folder, whole)
        if seconds is None and earlier != folder and (found := self._intact(earlier, whole)) is not None:
            folder, seconds = earlier, found
        reused = seconds is not None
        desk = (self.folder / "stages" / folder.name).with_name(f".work-{folder.name}")
        others = [one for one in desk.parent.glob(f".work-{name}-{'[0-9a-f]' * 12}") if reused or one != desk]
        begun = reused
        try:
            if seconds is None:
                workspace = checkpoints.Workspace(name, folder=desk, logs=self.folder / "logs" / name)
                result = make(workspace)
                begun, seconds = True, workspace.seconds()
                self._commit(folder, key=whole, seconds=seconds, write=lambda path: save(result, path))
                atomic_files.remove(desk)
                del result  # two copies of a large model need not live at once
        finally:
            # left by a kill after the stage was committed, or begun with other settings: where these ones are refused
            # nothing was begun, and those stay
            for other in others if begun or desk.exists() else ():
                atomic_files.remove(other)
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
        """Seconds the stage took if its folder is as it was committed, else None.

        A damaged one is taken away, unless it belongs to a run that is finished.
        """
        if not folder.exists() and not folder.is_symlink():
            return None
        try:
            manifest = bounded_json.read_object(folder / _MANIFEST)
            files = {} if folder.is_symlink() else digests.of_folder(folder, leave_out=(_MANIFEST,))
            if manifest["key"] == key and manifest["files"] == files:
                return float(manifest["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._note(f"stage {folder.name} is damaged (its files are not those that were committed): made anew")
        if self.folder == self.home or not folder.is_relative_to(self.home / "stages"):
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
        content = {**self.metadata, "config": self._config, "created": _now()}
        before = run_marks.config_of(self.folder) or run_marks.config_of(self.home) or {}
        same = all(before.get(name) == content[name] for name in ("recipe", "tag", "seed", "config"))
        if before and same:
            content["data"] = before.get("data")
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        atomic_files.write_text(self.folder / "config.json", text)
        if self.folder != self.home and not same:
            self._note("the settings differ from the run that is finished in this folder: it stays until this one is")

    def _end(self, *, failed: bool) -> None:
        if failed and self._before is not None:
            self._before.put_back()
        if self._lock is not None:
            run_folder.release_lock(self._lock)
            self._lock = None

    def _note(self, text: str) -> None:
        self.notes.append(text)
        print(f"kerastl: {text}", file=sys.stderr)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
