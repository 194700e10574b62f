"""Made files over every reader of other people's files: a stack trace, a hang, too much memory or a write is a finding.

    python benchmarks/untrusted/fuzz_readers.py --files 100000            half an hour to an hour on one core
    python benchmarks/untrusted/fuzz_readers.py --minutes 30 --reader archive --seed 1
    python benchmarks/untrusted/fuzz_readers.py --replay FOLDER           a finding again, with its trace

Tiny sound files of every format are changed (`fuzz_mutations`) and read (`fuzz_seeds`) in a worker process, thousands
one after the other. A refusal in words is a `ValueError` or an `OSError`, as the command line shows them; of the kernel
(Landlock, where it has it) the worker may write below one folder alone. A file is what seed, reader and number make it.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import json
import os
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results
from benchmarks.untrusted import fuzz_mutations, fuzz_seeds
from kerastl.system import scratch

ROOT = Path(__file__).resolve().parents[2]
SECONDS, MEMORY, START = 10, 2_000_000_000, 180
PATIENCE = 5  # times so long may pass where somebody else has the processor
CHILD_STARTS = 40  # seconds in which a new child may import TensorFlow, on a machine that does other things
IN_A_CHILD = ("tflite", "audit", "run")  # which bounds its own memory and time
MEMORY_DISK = "/dev/shm"
KINDS = ("trace", "hang", "memory", "died", "outside")


class Hang(BaseException):
    """The alarm of a file that takes too long."""


def made(reader: str, seeds: list[fuzz_seeds.Files], number: int, seed: int) -> dict[str, bytes]:
    """The files of one number."""
    random_ = random.Random(f"{seed} {reader} {number}")
    files = dict(random_.choice(seeds))
    name = random_.choice(sorted(files))
    other = random_.choice(list(random_.choice(seeds).values()))
    files[name] = fuzz_mutations.mutated(files[name], random_, other=other)
    return files


def write(files: fuzz_seeds.Files, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def keep_within(folder: Path) -> bool:
    """Lets this process change files below a folder alone; says whether the kernel does that."""
    from kerastl.untrusted import confinement

    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    rights = (
        (1 << confinement._FILE_RIGHTS[1]) - 1 & ~confinement._READS & ~1
    )  # all that changes a file; programs start
    ruleset = libc.syscall(444, struct.pack("=Q", rights), 8, 0)
    if ruleset < 0:
        return False
    for place in (folder, Path(os.devnull)):
        handle = os.open(place, os.O_PATH)
        allowed = rights if place.is_dir() else 1 << 1
        libc.syscall(445, ruleset, 1, struct.pack("=Qi", allowed, handle), 0)
        os.close(handle)
    libc.prctl(38, 1, 0, 0, 0)
    return libc.syscall(446, ruleset, 0) == 0


class Clock:
    """Since when a file is read, and for how long it may be: of a busy machine the processor's time is what counts."""

    wall = processor = 0.0
    seconds = SECONDS

    @classmethod
    def start(cls, seconds: int) -> None:
        cls.wall, cls.processor, cls.seconds = time.monotonic(), time.process_time(), seconds
        signal.alarm(seconds)

    @classmethod
    def is_late(cls) -> bool:
        used, waited = time.process_time() - cls.processor, time.monotonic() - cls.wall
        return used >= 0.9 * cls.seconds or waited >= PATIENCE * cls.seconds


def hangs(*_: object) -> None:
    """What the alarm calls: a file is late, or the machine is busy and it has another second."""
    if Clock.is_late():
        raise Hang
    signal.alarm(1)


def worker(reader: str, first: int, last: int, seed: int, place: Path) -> None:
    """Reads file after file, and says of each what became of it, a line."""
    from kerastl.system import children
    from kerastl.untrusted import confinement

    children.end_with(os.getppid())
    confinement.leave_network()  # a reader that asks a hub for a vocabulary would measure the hub
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    for name in ("home", "tmp"):
        (place / name).mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    tempfile.tempdir = str(place / "tmp")
    one, known, inside = fuzz_seeds.READERS[reader], place / "seeds.json", place / "in"
    if not known.is_file():
        with tempfile.TemporaryDirectory() as folder:
            seeds = one.seeds(Path(folder))
        known.write_text(json.dumps([{name: content.hex() for name, content in some.items()} for some in seeds]))
    seeds = [{k: bytes.fromhex(v) for k, v in some.items()} for some in json.loads(known.read_text())]
    signal.signal(signal.SIGALRM, hangs)
    read = one.read()
    keep_within(place)
    for files in seeds:  # imports and first files take what memory they take; a sound file is read
        shutil.rmtree(inside, ignore_errors=True)
        write(files, inside)
        with contextlib.suppress(ValueError, OSError):
            read(inside)
    if reader not in IN_A_CHILD:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    own = {*os.listdir(place), "in"}
    seconds = SECONDS + CHILD_STARTS * (reader in IN_A_CHILD)
    for number in range(first, last):
        channel.write(f"{number}\n")
        shutil.rmtree(inside, ignore_errors=True)
        with contextlib.suppress(OSError, ValueError):  # a name that no file system takes
            write(made(reader, seeds, number, seed), inside)
        kind, words = judged(read, inside, seconds=seconds)
        if strange := set(os.listdir(place)) - own:
            kind, words = "outside", f"made {sorted(strange)}"
            own |= strange
        channel.write(f"{kind} {json.dumps(words)}\n")
        if number % 500 == 0:
            for name in ("home", "tmp"):
                for left in (place / name).iterdir():
                    shutil.rmtree(left, ignore_errors=True)


def judged(read, inside: Path, *, seconds: int = SECONDS) -> tuple[str, str]:
    """What becomes of one file, and where it went wrong."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Clock.start(seconds)
    try:
        read(inside)
        found = "accepted", ""
    except Hang:
        found = "hang", traceback.format_exc(limit=-6)
    except MemoryError:
        found = "memory", traceback.format_exc(limit=-6)
    except (ValueError, OSError) as error:
        cause = error
        while cause is not None and not isinstance(cause, PermissionError | MemoryError):
            cause = cause.__cause__ or cause.__context__
        found = "refused", ""
        if cause is not None:  # what is said in words had been tried all the same
            kind = "outside" if isinstance(cause, PermissionError) else "memory"
            found = kind, "".join(traceback.format_exception(cause, limit=-6))
        if not str(error):
            found = "trace", traceback.format_exc(limit=-6)
    except Exception:
        found = "trace", traceback.format_exc(limit=-6)
    finally:
        signal.alarm(0)
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before > MEMORY:
        found = "memory", "more than two gigabytes"
    return found


@dataclasses.dataclass
class Count:
    """What became of a reader's files, and the first file of each kind of finding."""

    made: int = 0
    kinds: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    first: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


def watched(
    reader: str, first: int, last: int, seed: int, place: Path, *, until: float
) -> Iterator[tuple[int, str, str]]:
    """Number, kind and words of file after file; a worker that dies or hangs is started again behind the file."""
    environment = {**os.environ, "HOME": str(place / "home"), "TMPDIR": str(place / "tmp"), "PYTHONPATH": str(ROOT)}
    environment |= {"KERASTL_HOME": str(place / "home"), "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    while first < last and time.monotonic() < until:
        command = [sys.executable, "-B", __file__, "--worker", reader, str(first), str(last), str(seed), str(place)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        current = None
        try:
            while time.monotonic() < until:
                ready, _, _ = select.select(
                    [process.stdout], [], [], START if current is None else 2 * PATIENCE * (SECONDS + CHILD_STARTS)
                )
                line = process.stdout.readline().decode() if ready else ""
                if not line:
                    break
                if line.strip().isdigit():
                    current = int(line)
                    continue
                kind, _, words = line.partition(" ")
                yield current or 0, kind, json.loads(words)
                first = (current or 0) + 1
            else:
                return
            if first < last:
                if current is None:
                    raise RuntimeError(f"the worker of {reader} does not start")
                status = None if ready else "hang"
                process.kill()
                yield current, status or "died", f"status {process.wait()}"
                first = current + 1
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def fuzz(readers: list[str], options, place: Path) -> dict[str, Count]:
    """Runs the readers in turns of some hundred files, so that a run that is ended early has seen all of them."""
    found = {reader: Count() for reader in readers}
    shares = sum(fuzz_seeds.READERS[reader].share for reader in readers)
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    files = options.files or 10**9
    wanted = {reader: max(files * fuzz_seeds.READERS[reader].share // shares, 1) for reader in readers}
    wanted[readers[0]] += files - sum(wanted.values()) if options.files else 0
    turns = max(files // 25_000, 1) if options.files else 10**6
    for turn in range(turns):
        for reader, count in found.items():
            size = wanted[reader] // turns if options.files else 5 * fuzz_seeds.READERS[reader].share
            last = wanted[reader] if options.files and turn == turns - 1 else min(count.made + size, wanted[reader])
            (place / reader).mkdir(exist_ok=True)
            for number, kind, words in watched(reader, count.made, last, options.seed, place / reader, until=until):
                count.made += 1
                count.kinds[kind] += 1
                if kind in KINDS:
                    keep(reader, number, kind, words, count, options, place)
            print(f"{reader:<12} {count.made:>8,}  {dict(count.kinds)}", file=sys.stderr, flush=True)
        if time.monotonic() > until:
            break
    return found


def keep(reader: str, number: int, kind: str, words: str, count: Count, options, place: Path) -> None:
    """Saves a finding that is not one of those before: files, and the end of its trace."""
    ends = [line for line in words.strip().splitlines() if line.strip()]
    signature = (
        f"{kind} {[line for line in ends if line.lstrip().startswith('File')][-1:]} {ends[-1:] and ends[-1][:60]}"
    )
    many, earlier = count.first.get(signature, (0, number))
    count.first[signature] = many + 1, earlier
    if many:
        return
    folder = options.findings / reader / f"{kind}-{options.seed}-{number}-{zlib.crc32(signature.encode()):08x}"
    shutil.rmtree(folder, ignore_errors=True)
    known = json.loads((place / reader / "seeds.json").read_text())
    seeds = [{k: bytes.fromhex(v) for k, v in some.items()} for some in known]
    with contextlib.suppress(OSError, ValueError):
        write(made(reader, seeds, number, options.seed), folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.with_suffix(".txt").write_text(words)
    print(f"FOUND {folder}: {ends[-1] if ends else kind}", file=sys.stderr, flush=True)


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        reader, first, last, seed, place = sys.argv[2:]
        worker(reader, int(first), int(last), int(seed), Path(place))
        return 0
    parser = results.parser(__doc__)
    parser.add_argument("--files", type=int, default=0, help="how many, over all readers")
    parser.add_argument("--minutes", type=float, default=0, help="how long at most")
    parser.add_argument("--reader", nargs="+", choices=list(fuzz_seeds.READERS), default=list(fuzz_seeds.READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir(), "kerastl-fuzz"), metavar="FOLDER")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="of a finding: FINDINGS/READER/NAME")
    options = parser.parse_args()
    options.findings = options.findings.resolve()
    if options.replay:
        fuzz_seeds.READERS[options.replay.resolve().parent.name].read()(options.replay.resolve())
        print("accepted")
        return 0
    if not options.files and not options.minutes:
        options.files = 100_000
    memory = Path(MEMORY_DISK) if os.access(MEMORY_DISK, os.W_OK) else None  # where nobody waits for a disk
    with scratch.folder("kerastl-fuzzing-", where=memory) as place:
        found = fuzz(options.reader, options, place)
    table = results.Table(
        "made files", {"reader": "{}", **dict.fromkeys(("made", "accepted", "refused", *KINDS, "distinct"), "{:,}")}
    )
    for reader, one in found.items():
        table.add(reader, one.made, *(one.kinds[kind] for kind in ("accepted", "refused", *KINDS)), len(one.first))
    options.results.show(table)
    total = sum(one.made for one in found.values())
    asked = {f"{total:,} files made" + (f" of {options.files:,}" if options.files else ""): total >= options.files}
    words = {
        "trace": "a stack trace",
        "hang": f"over {SECONDS} s",
        "memory": "over 2 GB",
        "died": "took the process along",
    }
    words["outside"] = "written outside"
    for kind, what in words.items():
        number = sum(one.kinds[kind] for one in found.values())
        asked[f"{number} of them: {what}"] = number == 0
    return options.results.verdict(asked)


if __name__ == "__main__":
    sys.exit(main())
