"""How fast pictures come out of a folder: kerastl with all its checks beside bare tf.data; and what memory that takes.

    python benchmarks/data/read_pictures.py [--pictures 2000] [--rounds 5] [--size 224] [--height 480 --width 640]
    python benchmarks/data/read_pictures.py --pictures 300 --height 3024 --width 4032
    python benchmarks/data/read_pictures.py --memory [--counts 1000 50000]

The folder is made up (JPEG photographs, two classes): small ones as they come from the web, or a phone's 12 megapixels,
which are decoded at an eighth of their size here. Bare is what one writes by hand: list_files,
read_file, decode_jpeg, resize, batch, all with parallel calls. Ours is `image_folder.load` (every file looked at,
exact copies and near duplicates searched, digests pinned) and `pipeline.batches` over the three splits. The first epoch
of ours includes all of that from an empty cache; later epochs come from the cache of pixels, or, in the last row, from
the files. Rounds are interleaved and every epoch runs in a fresh process; the ratio of pictures a second is taken
within a round, and printed with its median and quartiles: by the clock, and by the processor time of all threads, which
other tenants of the machine disturb less. Asked: later epochs at least 0.9 times as fast by the clock.

With ``--memory``, the peak of resident memory of a child that loads so many files and reads them all once. Asked:
the most files take at most a quarter more than the fewest. Its files are smaller (160 x 120), so that making them does
not take an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

from benchmarks.tools import results

ROOT = Path(__file__).resolve().parents[2]
BATCH = 64
LEAST, FLAT = 0.9, 1.25
KINDS = ("bare", "ours, first epoch", "ours, later epochs", "ours, without a cache")
TOGETHER = (2, 5)
"""Epochs that are added up, in rows of their own."""


def photograph(number: int, height: int = 480, width: int = 640) -> Image.Image:
    """Smooth shapes and the noise of a sensor: about 100 KB as a JPEG."""
    generator = np.random.default_rng(number)
    coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    noise = generator.integers(-12, 13, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(np.int16) + noise, 0, 255).astype(np.uint8))


def plant(folder: Path, count: int, *, height: int, width: int) -> None:
    """A folder of two classes."""
    for number in range(count):
        path = folder / f"class_{number % 2}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(number, height, width).save(path, quality=90)


def bare(folder: Path, size: int):
    """What one writes by hand."""
    import tensorflow as tf

    def read(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        label = tf.strings.substr(path, -12, 1)
        return tf.image.resize(picture, (size, size)), tf.strings.to_number(label, tf.int32)

    files = tf.data.Dataset.list_files(str(folder / "*" / "*.jpg"), shuffle=True, seed=0)
    return files.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def ours(folder: Path, size: int, cache_bytes: int | None):
    """All three splits, so that as many pictures are read."""
    from kerastl.data import image_folder, pipeline

    data = image_folder.load(folder, size=(size, size), in_memory=0, cache_bytes=cache_bytes)
    return [
        pipeline.batches(split, batch_size=BATCH, shuffle=True) for split in (data.train, data.validation, data.test)
    ]


def child(kind: str, folder: Path, size: int) -> None:
    """Runs one kind of epoch; prints seconds of clock and processor, pictures, and the peak of memory in bytes."""
    import tensorflow  # noqa: F401  the import is not what is measured

    from kerastl.data import image_folder, pipeline  # noqa: F401

    cache_bytes = 0 if kind == "ours, without a cache" else None
    if kind in KINDS[2:]:
        made = ours(folder, size, cache_bytes)
        count = sum(len(labels) for each in made for _, labels in each)  # an epoch before
    clock, processor = time.perf_counter(), time.process_time()
    if kind not in KINDS[2:]:
        made = [bare(folder, size)] if kind == "bare" else ours(folder, size, cache_bytes)
    count = sum(len(labels) for each in made for _, labels in each)
    seconds = (time.perf_counter() - clock, time.process_time() - processor)
    print(json.dumps([seconds, count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))


def run(kind: str, folder: Path, size: int, home: Path) -> tuple[tuple[float, float], int, int]:
    if kind == KINDS[3]:  # pixels that another kind has left in the cache would be taken from there
        home = home.with_name(f"{home.name}-without")
    command = [sys.executable, str(Path(__file__).resolve()), "--child", kind, str(folder), "--size", str(size)]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"KERASTL_HOME": str(home), "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if kind == KINDS[1]:
        shutil.rmtree(home, ignore_errors=True)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return tuple(json.loads(done.stdout))


def speed(options: argparse.Namespace) -> float:
    """The table; how many times as fast as bare ours is in later epochs, by the clock."""
    count, rounds, size, height, width = (
        getattr(options, name) for name in ("pictures", "rounds", "size", "height", "width")
    )
    taken: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as temporary:
        folder, home = Path(temporary, "set"), Path(temporary, "home")
        plant(folder, count, height=height, width=width)
        for _ in range(rounds):
            for kind in KINDS:
                seconds, read, _ = run(kind, folder, size, home)
                if read != count:
                    raise ValueError(f"Wanted {count} pictures. Received: {read} from {kind}.")
                taken[kind].append(np.array(seconds))
    rows: dict[str, list[np.ndarray]] = dict(taken)
    for epochs in TOGETHER:
        together = zip(taken[KINDS[1]], taken[KINDS[2]], strict=True)
        rows[f"ours, {epochs} epochs"] = [(first + (epochs - 1) * later) / epochs for first, later in together]
    title = f"{count} JPEGs of {width} x {height} to {size} x {size}, {rounds} rounds, {os.cpu_count()} cores"
    columns = ("against bare, clock (quartiles)", "processor (quartiles)")
    table = results.Table(title, {"way": "{}", "pictures/s": "{:,.0f}"} | dict.fromkeys(columns, "{:.2f}"))
    for kind, values in rows.items():
        pairs = list(zip(values, taken["bare"], strict=True))
        ratios = [results.quartiles(theirs[which] / own[which] for own, theirs in pairs) for which in (0, 1)]
        table.add(kind, count / statistics.median(clock for clock, _ in values), *ratios)
    options.results.show(table, width=110)
    return statistics.median(theirs[0] / own[0] for own, theirs in zip(taken[KINDS[2]], taken["bare"], strict=True))


def memory(options: argparse.Namespace) -> float:
    """The table; how many times the memory of the fewest files ours takes for the most, at the worst."""
    counts, size = options.counts, options.size
    if len(set(counts)) < 2:
        raise ValueError(f"Wanted two counts to compare. Received: {counts}.")
    every: list[list[int]] = []
    columns = {"files": "{:,}"} | dict.fromkeys((*KINDS[:2], KINDS[3]), "{:,.0f} MB")
    table = results.Table(f"peak of resident memory, JPEGs brought to {size} x {size}", columns)
    with tempfile.TemporaryDirectory() as temporary:
        for count in sorted(counts):
            folder, home = Path(temporary, str(count)), Path(temporary, "home")
            plant_alike(folder, count)
            peaks = [run(kind, folder, size, home)[2] for kind in (*KINDS[:2], KINDS[3])]
            every.append(peaks)
            table.add(count, *(peak / 1e6 for peak in peaks))
            shutil.rmtree(folder)
    options.results.show(table, width=100)
    return max(last / first for first, last in list(zip(every[0], every[-1], strict=True))[1:])


def plant_alike(folder: Path, count: int) -> None:
    """Small files, each with a corner of its own, for none may be an exact copy of another: made fast."""
    base = np.asarray(photograph(0, 120, 160))
    for number in range(count):
        pixels = base.copy()
        corner = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        pixels[:64, :64] = np.kron(corner, np.ones((8, 8, 1), np.uint8))
        path = folder / f"class_{number % 2}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=80)


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]), options.size)
        return 0
    if options.memory:
        grown = memory(options)
        words = f"the most files take {grown:.2f} times the fewest, at most {FLAT}"
        return options.results.verdict({words: grown <= FLAT})
    later = speed(options)
    return options.results.verdict({f"later epochs {later:.2f} times as fast, at least {LEAST}": later >= LEAST})


if __name__ == "__main__":
    raise SystemExit(main())
