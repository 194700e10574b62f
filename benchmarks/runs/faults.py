"""Faults of the machine around a run: hostile names, a folder nobody may write to, no memory, signals, two processes.

    python benchmarks/runs/faults.py

Each is injected into a whole tiny run by the command line, in a process of its own. Exits non-zero unless each ends as
it should: refused before the first epoch, or well, or stopped in words with everything that stood there before. Disks
that fill up are in `disk_full.py`, kills at random instants in `reliability.py`.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Imported before any child is forked, which then starts in seconds; the parent runs no operation of TensorFlow's.
import kerastl
from benchmarks.runs import disk_full
from benchmarks.tools import preloading, results, tiny_run

RECIPE = str(Path(tiny_run.__file__).resolve())
BUNDLE = ["MODEL_CARD.md", "README.md", "index.html", "labels.txt", "model.tflite"]


def command(*words: str) -> int:
    return kerastl.cli.main(list(words))


def run(folder: Path, *flags: str, pause: float = 0.0) -> int:
    os.environ["TINY_PAUSE"] = str(pause)
    return command("run", RECIPE, "--out", str(folder), *flags)


def ended(function: Callable[[], Any], *, status: int, said: tuple[str, ...] = (), unsaid: tuple[str, ...] = ()) -> Any:
    """What is wrong with how a child ended: its status, what it has to say and what not."""
    found, text = disk_full.child(function)
    wrong = [f"ended with {found}"] if found != status else []
    wrong += [f"does not say {words!r}" for words in said if words not in text]
    wrong += [f"says {words!r}" for words in ("Traceback", *unsaid) if words in text]
    return [f"{'; '.join(wrong)}: {text.strip()[-1500:]}"] if wrong else []


# ----------------------------------------------------------------------------------------------------- names and places


def hostile_names(root: Path) -> list[str]:
    """Folders that are not there yet and names as nobody should give them: the whole run works, and what reads it."""
    folder = root / "with  space" / "näme-日本" / "100%s %d %" / "new\nline" / "quote'\"\\" / "[x]* {0}" / "[/tag]"
    wrong = ended(functools.partial(run, folder, "--names", "strange"), status=0, said=("finished: ",))
    if wrong:
        return wrong
    wrong += ended(functools.partial(command, "verify", str(folder)), status=0, said=("verified: 1 file ",))
    picture = root / "100% [new]\npïcture.npy"
    with picture.open("wb") as file:
        tiny_run.np.save(file, tiny_run.load().test.inputs[0])
    label = tiny_run.NAMES["strange"][0]
    wrong += ended(functools.partial(command, "predict", str(folder), str(picture)), status=0, said=(label,))
    lines = (folder / "mobile" / "labels.txt").read_text(encoding="utf-8").split("\n")
    wrong += [] if lines == [*tiny_run.NAMES["strange"], ""] else [f"labels.txt holds {lines}"]
    wrong += [] if sorted(os.listdir(folder / "mobile")) == BUNDLE else ["mobile/ lacks files"]
    wrong += [] if [*(folder / "logs").rglob("events*")] else ["no logs"]
    return wrong + [f"litter: {path}" for path in root.rglob("*") if "unfinished" in path.name]


def names_that_are_no_line(root: Path) -> list[str]:
    said = ("Class names are one line of text each", "'ri\\nght'")
    return ended(functools.partial(run, root / "run", "--names", "newline"), status=1, said=said, unsaid=("epoch 1/",))


def a_name_that_is_no_text(root: Path) -> list[str]:
    """A folder whose name is no UTF-8: TensorFlow cannot take it."""
    folder = root / os.fsdecode(b"caf\xe9")
    return ended(functools.partial(run, folder), status=1, said=("UTF-8",), unsaid=("epoch 1/",))


def without_privilege(function: Callable[[], Any]) -> Any:
    """Calls a function in a process that, being root, gives up writing where the permissions forbid it."""
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None, use_errno=True)
    if system.capget(header, data) == 0:
        for index in (0, 1):  # effective and permitted; CAP_DAC_OVERRIDE is bit 1, CAP_DAC_READ_SEARCH bit 2
            data[index] &= ~0b110
        system.capset(header, data)
    return function()


def read_only_folder(root: Path) -> list[str]:
    (root / "shut").mkdir(mode=0o555)
    (root / "run").mkdir(mode=0o555)
    wrong = []
    for folder in (root / "shut" / "run", root / "run"):
        job = functools.partial(without_privilege, functools.partial(run, folder))
        said = ("kerastl: The run folder must be writable", str(folder), "Permission denied")
        wrong += ended(job, status=1, said=said, unsaid=("epoch 1/",))
        wrong += [f"{folder} is not as before"] if folder.exists() and any(folder.iterdir()) else []
    return wrong


def read_only_inside(root: Path) -> list[str]:
    """A run that somebody has copied with its permissions: one of its folders cannot be written."""
    wrong = []
    with kerastl.runs.Run(root / "run", recipe="tiny", tag="run", config=tiny_run.Config(), needed_bytes=1):
        pass
    for name in ("stages", "logs", "variants", "saved_model", "mobile"):
        (root / "run" / name).mkdir(parents=True, mode=0o555)
        job = functools.partial(without_privilege, functools.partial(run, root / "run"))
        said = ("kerastl: The run folder must be writable", str(root / "run" / name))
        wrong += ended(job, status=1, said=said, unsaid=("epoch 1/",))
        (root / "run" / name).rmdir()
    return wrong


def a_file_in_the_way(root: Path) -> list[str]:
    (root / "file").write_text("mine")
    said = ("kerastl: The run folder must be writable", str(root / "file"))
    wrong = ended(functools.partial(run, root / "file"), status=1, said=said, unsaid=("epoch 1/",))
    wrong += ended(functools.partial(run, root / "file" / "run"), status=1, said=said, unsaid=("epoch 1/",))
    return wrong + ([] if (root / "file").read_text() == "mine" else ["the file is gone"])


# --------------------------------------------------------------------------------------------------------------- memory


def no_memory(root: Path) -> list[str]:
    """A batch that does not fit: said in words with the flag to turn, and the earlier result stays.

    The command line gives TensorFlow what is free as its limit. Here that is less than the 820 MB of floats that the
    batch makes of the pictures.
    """
    folder = root / "run"
    words = ("--examples", "3200000", "--schedule.batch-size", "3200000")
    settings = tiny_run.Config(
        examples=3_200_000, schedule=dataclasses.replace(tiny_run.Config().schedule, batch_size=3_200_000)
    )
    with kerastl.runs.Run(folder, recipe="tiny", tag="run", config=settings, needed_bytes=1):
        kerastl.system.atomic_files.write_bytes(folder / "model.keras", b"an earlier model")
        kerastl.runs.store.publish(folder, {"model.tflite": b"an earlier file"})
    before = disk_full.kept(folder)
    said = ("Out of memory while training: a smaller batch needs less", "--schedule.batch-size (now 3200000)")
    wrong = ended(functools.partial(limited, folder, *words), status=1, said=said)
    return wrong + ([] if disk_full.kept(folder) == before else ["the run is not as before"])


def limited(folder: Path, *words: str) -> int:
    os.environ["TF_MKL_ALLOC_MAX_BYTES"] = "700000000"
    return run(folder, *words)


# ---------------------------------------------------------------------------------------------- signals and two at once


def begun(folder: Path) -> tuple[int, Any]:
    """A run in the middle of its first epoch: its process, and what it prints from now on."""
    number, stream = disk_full.start(functools.partial(run, folder, pause=0.15))
    for line in stream:
        if line.startswith("step 5"):
            break
    return number, stream


def place_of(folder: Path) -> list[Any]:
    """Epoch and step of the newest checkpoint of a stage in the making."""
    (desk,) = (folder / "stages").glob(".work-*")
    found = kerastl.runs.checkpoints.Workspace("net", folder=desk, logs=folder).latest_checkpoint()
    return found[1]["place"][:2] if found else []


def asked_to_stop(root: Path, number: int, *, status: int) -> list[str]:
    folder = root / "run"
    process, stream = begun(folder)
    asked = time.monotonic()
    os.kill(process, number)
    text = stream.read()
    ended_with = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    seconds = time.monotonic() - asked
    wrong = [] if ended_with == status else [f"ended with {ended_with}: {text[-1500:]}"]
    wrong += [] if seconds < 5 else [f"it took {seconds:.1f} s"]
    wrong += [] if "the same command again goes on" in text and "Traceback" not in text else [f"said: {text[-1500:]}"]
    if wrong:
        return wrong
    wrong += [] if place_of(folder) in ([0, 5], [0, 6]) else [f"its checkpoint is of {place_of(folder)}, not step 5"]
    return wrong + ended(functools.partial(run, folder), status=0, said=("goes on after step", "finished: "))


def two_processes(root: Path) -> list[str]:
    """The second run exits and names the first; the first is killed, and the next one takes over."""
    folder = root / "run"
    process, stream = begun(folder)
    said = (f"process {process} is at work", "kerastl: One process at a time")
    wrong = ended(functools.partial(run, folder, pause=0.15), status=1, said=said, unsaid=("epoch 1/",))
    wrong += [] if os.waitpid(process, os.WNOHANG) == (0, 0) else ["the first run has ended over it"]
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    stream.close()
    wrong += [] if (folder / ".lock").read_text() == f"{process}\n" else ["the dead one's lock is gone: no test of it"]
    # What a kill leaves is also what TensorFlow's abort leaves, where a kernel finds no memory for its scratch space.
    said = (f"process {process}, which was at work here, ended without a word", "a smaller batch", "finished: ")
    return wrong + ended(functools.partial(run, folder), status=0, said=said)


FAULTS: dict[str, Callable[[Path], list[str]]] = {
    "hostile names of folders and classes": hostile_names,
    "class names that are no line": names_that_are_no_line,
    "a folder whose name is no text": a_name_that_is_no_text,
    "a read-only folder": read_only_folder,
    "a read-only folder inside the run": read_only_inside,
    "a file in the way": a_file_in_the_way,
    "no memory for a batch": no_memory,
    "Ctrl-C": functools.partial(asked_to_stop, number=signal.SIGINT, status=130),
    "SIGTERM": functools.partial(asked_to_stop, number=signal.SIGTERM, status=143),
    "two processes in one folder, one killed": two_processes,
}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", help="one fault")
    options = parser.parse_args()
    preloading.preload()
    found = []
    for name, fault in FAULTS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as root:
                found.append({"fault": name, "wrong": fault(Path(root))})
            print(f"{name}: {'; '.join(found[-1]['wrong']) or 'holds'}", flush=True)
    options.results.keep("what is wrong after each fault", found)
    return 1 if any(row["wrong"] for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
