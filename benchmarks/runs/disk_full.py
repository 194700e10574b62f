"""A disk that fills up, at every point where a run writes: what is left of the artefact that stood there before.

    python benchmarks/runs/disk_full.py
    unshare --map-root-user --mount python benchmarks/runs/disk_full.py --small-disk

At each point an artefact is written well, then another one is written over it with room for half of it: under a limit
on the size of files (`RLIMIT_FSIZE`), and with --small-disk also on a tmpfs that is filled up. Each happens in a
process of its own. Exits non-zero unless every earlier artefact is bit-identical, nothing is left lying about, and the
error names path and bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Imported before any child is forked, which then starts in seconds; the parent runs no operation of TensorFlow's.
import numpy as np

import kerastl
from benchmarks.tools import preloading, results, tiny_run
from kerastl.types import Artifact, Choice, History, Score, Variant, Verification

PATIENCE = 120  # seconds for a child that should take ten


def child(function: Callable[[], Any]) -> tuple[int, str]:
    """Runs a function in a forked process; its exit status, negative for a signal, and all that it printed."""
    number, stream = start(function)
    with stream:
        text = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), text


def start(function: Callable[[], Any]) -> tuple[int, Any]:
    """Starts a function in a forked process; its process id, and what it prints as a stream."""
    read, write = os.pipe()
    number = os.fork()
    if number == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(read)
        signal.alarm(PATIENCE)
        try:
            status = function() or 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            status = 1
        sys.stdout.flush()
        os._exit(status)
    os.close(write)
    return number, os.fdopen(read, encoding="utf-8", errors="replace")


# --------------------------------------------------------------------------- the points: each prepares, then is to save

Save = Callable[[Path], Any]


def checkpoint(seed: int) -> Save:
    arrays = {f"model/{index}": weight for index, weight in enumerate(tiny_run.network(seed).get_weights())}
    return lambda folder: kerastl.runs.checkpoints.Workspace(
        "net", folder=folder / "work", logs=folder
    ).save_checkpoint(arrays, {})


class Forgetful(kerastl.runs.checkpoints.Workspace):
    """Keeps logs and no checkpoints."""

    def save_checkpoint(self, arrays, facts):
        return self.logs


def logs(seed: int) -> Save:
    """TensorBoard's files, which a library writes in its own way."""
    model, desk = tiny_run.network(seed), Path(tempfile.gettempdir(), "never-made")

    def save(folder: Path) -> None:
        batches = kerastl.data.pipeline.batches(tiny_run.load().train, batch_size=96)
        place = Forgetful("net", folder=desk, logs=folder / "logs")
        kerastl.training.fit(model, batches, schedule=tiny_run.Schedule(epochs=2), workspace=place, progress=False)

    return save


def stage(seed: int) -> Save:
    trained = kerastl.training.Trained(tiny_run.network(seed), History("net", {}))

    def save(folder: Path) -> None:
        with open_run(folder) as run:
            run.stage("net", lambda at: trained, key=[seed], save=kerastl.training.save, load=lambda path: None)

    return save


def model_file(seed: int) -> Save:
    model = tiny_run.network(seed)
    return lambda folder: kerastl.training.save_model(model, folder / "model.keras")


def saved_model(seed: int) -> Save:
    model = tiny_run.network(seed)
    return lambda folder: kerastl.export.saved_model.write(model, folder / "saved_model", tiny_run.load().task)


def variant(seed: int) -> Save:
    model = tiny_run.network(seed)
    candidate = kerastl.runs.Candidate(
        "float32", "float32", kerastl.export.tflite.convert(model, tiny_run.load().task), model
    )
    accept = kerastl.runs.Acceptance()
    return lambda folder: kerastl.runs.publishing._write(candidate, folder, tiny_run.load(), accept, None)


def report(seed: int) -> Save:
    return lambda folder: kerastl.runs.report.write(report_of(folder, seed), folder)


def report_of(folder: Path, seed: int) -> dict[str, Any]:
    unseen = Verification(Score(0.5, 0.4, 0.6, 40), 0.5, 1.0, 0.0)
    data, path = tiny_run.load(), folder / "variants" / "float32.tflite"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(kerastl.export.tflite.convert(tiny_run.network(1), data.task))
    facts, latency = kerastl.verify.benchmark.inspect(path), kerastl.types.Latency(1.0, 2.0, 1, 1)
    return kerastl.runs.report.build(
        {"recipe": "tiny", "tag": "t", "seed": seed, "versions": {}},
        data,
        folder=folder,
        stages=[],
        variants=[Variant(Artifact("float32", "float32", path), facts, latency, unseen, unseen)],
        choice=Choice("float32", "the only one"),
        details=data.task.target.details(
            kerastl.verify.predict_tflite(path, data.test.inputs, kind=data.task.inputs), np.asarray(data.test.labels)
        ),
    )


def bundle(seed: int) -> Save:
    content = bytes([seed]) * 100_000
    return lambda folder: kerastl.runs.store.publish(folder, {"model.tflite": content, "labels.txt": b"a\nb\n"})


def pins(seed: int) -> Save:
    """`files.json` is larger than every file that it names."""

    def save(folder: Path) -> None:
        (folder / "variants").mkdir(exist_ok=True)
        for number in range(150):
            (folder / "variants" / f"{number}.tflite").write_bytes(bytes([number]))
        kerastl.runs.store.publish(folder, {"model.tflite": bytes([seed])})

    return save


def config(seed: int) -> Save:
    """Settings larger than the disk: the report and the bundle of the earlier ones are not withdrawn."""

    def save(folder: Path) -> None:
        settings = tiny_run.Config(seed=seed, names="plain" * 20_000)
        with open_run(folder, settings):
            pass
        if seed == 1:
            kerastl.runs.store.publish(folder, {"model.tflite": b"model"})

    return save


def conversion(seed: int) -> Save:
    """The converter's own files: it goes by way of the folder for temporary files."""
    model = tiny_run.network(seed)

    def save(folder: Path) -> None:
        tempfile.tempdir = str(folder)
        kerastl.export.tflite.write(model, folder / "model.tflite")

    return save


def open_run(folder: Path, settings: Any = None) -> kerastl.runs.Run:
    settings = settings or tiny_run.Config()
    return kerastl.runs.Run(folder, recipe="tiny", tag="t", config=settings, needed_bytes=1)


POINTS: dict[str, Callable[[int], Save]] = {
    "checkpoint": checkpoint,
    "logs/": logs,
    "stage": stage,
    "model.keras": model_file,
    "saved_model/": saved_model,
    "conversion": conversion,
    "variants/": variant,
    "report.json and report.html": report,
    "mobile/": bundle,
    "files.json": pins,
    "config.json": config,
}


# ----------------------------------------------------------------------------------------------------------- the faults


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, and every folder, but for the next run in the making.

    The lock's content is the process that has it.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] != ".next"
        and not path.name.startswith("__autograph_generated_file")  # TensorFlow's, until its process ends
    }


def largest(folder: Path, pattern: str) -> int:
    return max(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def limit_files(folder: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fill_disk(folder: Path, size: int) -> None:
    """Fills the disk but for so many bytes; a tmpfs counts in pages."""
    page = resource.getpagesize()
    with (folder.parent / "ballast").open("wb") as file:
        file.write(bytes(max(shutil.disk_usage(folder).free - size // page * page, 0)))


@contextlib.contextmanager
def place(small: bool) -> Iterator[Path]:
    """An empty folder, on a disk of its own if it is to be filled up."""
    with tempfile.TemporaryDirectory() as root:
        if small:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", root], check=True)
        try:
            folder = Path(root, "run")
            folder.mkdir()
            yield folder
        finally:
            if small:
                subprocess.run(["umount", root], check=True)


def at_point(point: Callable[[int], Save], *, small: bool) -> dict[str, list[str]]:
    """What is wrong after each fault at a point."""
    with place(small) as folder:
        status, text = child(lambda: point(1)(folder) and None)
        if status != 0:
            raise RuntimeError(f"It does not even work with room: {text}")
        before, room = snapshot(folder), largest(folder, "report.*" if point is report else "*") // 2

        def hit(fault: Callable[[Path, int], None]) -> None:
            save = point(2)
            fault(folder, room)
            save(folder)

        return {name: judged(folder, before, *child(functools.partial(hit, fault))) for name, fault in faults(small)}


def faults(small: bool) -> list[tuple[str, Callable[[Path, int], None]]]:
    return [("limit", limit_files), *([("small disk", fill_disk)] if small else [])]


def judged(folder: Path, before: dict[str, str], status: int, text: str) -> list[str]:
    wrong = []
    after = snapshot(folder)
    if "stages" in before:  # entering a run writes the time into its settings
        after["config.json"] = before["config.json"]
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    if "logs" in before:  # every training begins a file of its own, and it may be half written
        changed = [name for name in before if before[name] != after.get(name)]
    if changed:
        wrong.append(f"not as before: {', '.join(sorted(changed))}")
    if status == 0:
        wrong.append("it ended as if nothing had been")
    if not re.search(rf"No room for {re.escape(str(folder))}.*: it needs (more than )?[\d,]+ bytes", text):
        wrong.append(f"the error names no path and bytes: {text.strip()[-600:]}")
    return wrong


def whole_run(*, small: bool) -> dict[str, list[str]]:
    """The command line, first well, then with other settings under a fault: exit status, message, what is left."""
    recipe = str(Path(tiny_run.__file__).resolve())
    found = {}
    with place(small) as folder:
        status, text = child(functools.partial(kerastl.cli.main, ["run", recipe, "--out", str(folder)]))
        if status != 0:
            raise RuntimeError(f"It does not even work with room: {text}")
        before = kept(folder)

        def hit(fault: Callable[[Path, int], None]) -> int:
            fault(folder, 10_000)
            return kerastl.cli.main(["run", recipe, "--out", str(folder), "--seed", "2"])

        said = rf"kerastl: No room for {re.escape(str(folder))}.*: it needs (more than )?[\d,]+ bytes"
        for name, fault in faults(small):
            status, text = child(functools.partial(hit, fault))
            found[name] = [] if kept(folder) == before else ["the files are not as before"]
            if status != 1 or "Traceback" in text or not re.search(said, text):
                found[name].append(f"it ended with {status}: {text[-600:]}")
    return found


def kept(folder: Path) -> dict[str, str]:
    """Every file of a finished run: none of them changes before the next one is published."""
    return {name: digest for name, digest in snapshot(folder).items() if name != ".lock"}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--small-disk", action="store_true", help="also fill up a disk: a tmpfs that is mounted for it")
    parser.add_argument("--only", help="one point")
    options = parser.parse_args()
    preloading.preload()
    jobs = {name: functools.partial(at_point, point) for name, point in POINTS.items()} | {"a whole run": whole_run}
    found = {
        name: job(small=options.small_disk) for name, job in jobs.items() if not options.only or name == options.only
    }
    rows = [{"point": name, "fault": fault, "wrong": what} for name in found for fault, what in found[name].items()]
    for row in rows:
        print(f"{row['point']}, {row['fault']}: {'; '.join(row['wrong']) or 'holds'}")
    options.results.keep("what is wrong at each point", rows)
    return 1 if any(row["wrong"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
