"""`image_classifier` on random small sets of pictures: does every run end with a bundle, and is its file a fast one?

    python benchmarks/runs/small_subsets.py [--count 20] [--folder FOLDER] [--quick] [-- FLAGS OF THE RECIPE]

A subset is 8 to 12 classes (of CIFAR-10 8 to 10) with 200 to 400 pictures in all, unevenly many of each, in turn of the
groceries and of CIFAR-10, drawn by its number. Each is a folder with a folder a class, and a run in a process of its
own. What is finished in FOLDER is not run again: after an interruption the same command goes on. With the
recipe's own backbone a run takes a quarter of an hour on two cores, with --quick (MobileNetV2 at 96 pixels) four
minutes.

Asked: every run ends with a bundle. The files within the budget and 5 % of the smallest are timed again, in turns: the
chosen one takes no more than 1.1 times as long as the fastest of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

import kerastl
from benchmarks.tools import results
from kerastl.system import downloads
from kerastl.verify import benchmark, selection

CLASSES, PICTURES, LEAST = (8, 12), (200, 400), 12
SLOWER = 1.1
QUICK = ("--backbone", "mobilenet_v2", "--image-size", "96")
Pictures = dict[str, list[bytes]]
"""Of each class its pictures, as files hold them."""


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=downloads.home() / "small_subsets")
    parser.add_argument("--quick", action="store_true", help="MobileNetV2 at 96 pixels")
    parser.add_argument("flags", nargs="*", help="of the recipe, behind --")
    options = parser.parse_args()
    flags = [*(QUICK if options.quick else ()), *options.flags]
    sources: dict[str, Pictures] = {}
    columns = {"subset": "{}", "classes": "{}", "pictures": "{}", "ended": "{}", "chosen": "{}", "KB": "{:,.0f}"}
    columns |= {"ms": "{:.3f}", "as fast a file": "{}", "times slower": "{:.2f}", "test accuracy": "{:.3f}"}
    table = results.Table("image_classifier on random small sets of pictures", columns)
    for number in range(options.count):
        name = ("groceries", "cifar10")[number % 2]
        data, run = options.folder / "data" / f"{number:02}-{name}", options.folder / "runs" / f"{number:02}-{name}"
        if not data.is_dir():
            if name not in sources:
                sources[name] = {"groceries": groceries, "cifar10": cifar10}[name]()
            write(drawn(sources[name], number), data)
        counts = [len(list(folder.iterdir())) for folder in sorted(data.iterdir())]
        ended = "before" if (run / "mobile" / "model.tflite").is_file() else attempt(data, run, flags)
        cells = [None] * 6 if not (run / "report.json").is_file() else measured(run)
        table.add(run.name, len(counts), sum(counts), ended, *cells)
        print(f"{run.name}: {len(counts)} classes, {sum(counts)} pictures: {ended}", flush=True)
        options.results.keep(f"{run.name}", table.rows[-1:])
    options.results.show(table, width=150)
    bundles = sum(row["chosen"] is not None for row in table.rows)
    slowest = max((row["times slower"] for row in table.rows if row["chosen"] is not None), default=float("inf"))
    return options.results.verdict(
        {
            f"{bundles} of {options.count} end with a bundle, asked all": bundles == options.count,
            f"the chosen file is at most {slowest:.2f} times slower, asked {SLOWER}": slowest <= SLOWER,
        }
    )


def groceries() -> Pictures:
    """The photographs as they were taken."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(
        kerastl.data.groceries.fetch(), columns=["finegrained_cat", "image_data"]
    ).to_pylist()
    found: dict[str, dict[bytes, bytes]] = {}
    for row in table:  # a third are copies of others
        content = row["image_data"]
        found.setdefault(row["finegrained_cat"], {})[hashlib.sha256(content).digest()] = content
    return {name: list(files.values()) for name, files in sorted(found.items())}


def cifar10() -> Pictures:
    """A thousand small photographs of each class."""
    data = kerastl.data.cifar10.load()
    inputs, labels = np.asarray(data.test.inputs), data.test.labels
    return {
        name: [png(picture) for picture in inputs[labels == index]] for index, name in enumerate(data.task.target.names)
    }


def png(picture: np.ndarray) -> bytes:
    """A picture as a file holds it."""
    Image.fromarray(picture).save(content := io.BytesIO(), "PNG")
    return content.getvalue()


def drawn(source: Pictures, number: int) -> Pictures:
    """A random subset: some of the classes, unevenly many pictures of each."""
    random = np.random.default_rng(number)
    most = min(CLASSES[1], len(source))
    names = random.choice(sorted(source), int(random.integers(CLASSES[0], most + 1)), replace=False).tolist()
    total, shares = int(random.integers(PICTURES[0], PICTURES[1] + 1)), random.dirichlet([3.0] * len(names))
    wanted = LEAST + random.multinomial(total - LEAST * len(names), shares)
    found = {}
    for name, count in zip(names, wanted, strict=True):
        places = random.permutation(len(source[name]))[:count]
        found[name] = [source[name][place] for place in places]
    return found


def write(pictures: Pictures, folder: Path) -> None:
    """A folder with a folder a class, whole or not at all."""
    made = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    for name, files in pictures.items():
        (made / name).mkdir(parents=True)
        for place, content in enumerate(files):
            suffix = Image.open(io.BytesIO(content)).format or "png"
            (made / name / f"{place:03}.{suffix.lower()}").write_bytes(content)
    made.rename(folder)


def attempt(data: Path, run: Path, flags: list[str]) -> str:
    """Runs the recipe in a process of its own; how it ended, in words."""
    command = [sys.executable, "-m", "kerastl", "run", "image_classifier", "--data", str(data), "--out", str(run)]
    log = run.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        path = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run([*command, *flags], stdout=file, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode == 0:
        return "with a bundle"
    return f"WRONG: {done.returncode}: {' '.join(log.read_text().split())[-200:]}"


def measured(run: Path) -> list[object]:
    """The chosen file beside the fastest of those that are within the budget and as small."""
    report = json.loads((run / "report.json").read_text())
    rows = {row["name"]: row for row in report["variants"]}
    chosen = rows[report["chosen"]]
    within = [rows[name] for name in report["within_budget"]]
    least = min(row["bytes"] for row in within)
    small = [row for row in within if row["bytes"] <= (1 + selection.SLACK) * least]
    times = benchmark.latencies({row["name"]: run / row["file"] for row in small})
    fastest = min(times, key=lambda name: times[name].median)
    own = times[chosen["name"]].median if chosen["name"] in times else float("inf")
    return [chosen["name"], chosen["bytes"] / 1000, own, fastest, own / times[fastest].median, chosen["score"]]


if __name__ == "__main__":
    raise SystemExit(main())
