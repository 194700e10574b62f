"""Every backbone through every technique: the file is made and proven, or the reason why not is given.

    python benchmarks/compress/compression_matrix.py [--only NAME ...] [--flat] [--techniques NAME ...]
        [--keep FILE [--again]]

A cell is green if the technique gave a file that is what it claims to be (`kerastl.verify.check`: operators, dtypes,
share of zeros, distinct values) and that answers 64 pictures like the model it was made from, to `TOLERANCES`. The bar
of the bridge is a relative difference of 1e-4 on pictures.
Backbones have random weights that behave like trained ones (`compression_backbones.py`); each is judged laid flat, and
nested as one layer of a transfer model. A row runs in a process of its own: what it leaks or breaks is its own. With
--keep the cells are kept, and those there are not run again without --again. Asked: 90 % of the cells are green.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results

TECHNIQUES = ("bridge", "prune", "cluster", "qat", "float16", "dynamic_int8", "int4_weights", "static_int8")
WANTED = 0.9
LIMIT = 900  # seconds of one cell
LEAST_SPREAD = 0.02  # of probabilities: what answers almost the same to every picture is not judged by the last digit
SPARSITY, CLUSTERS, STEPS, BATCH = 0.5, 8, 4, 8


@dataclasses.dataclass
class Cell:
    row: str
    technique: str
    green: bool
    said: str
    """What was measured, or why there is no file."""
    seconds: float


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", nargs="+", help="names of backbones, or of rows")
    parser.add_argument("--flat", action="store_true", help="leaves out nested rows")
    parser.add_argument("--techniques", nargs="+", choices=TECHNIQUES, default=list(TECHNIQUES))
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--keep", type=Path, help="a file of the cells, which goes on where it stopped")
    parser.add_argument("--again", action="store_true", help="runs cells that are kept already")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        run_row(options.row, options.techniques)
        return 0
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else []
    cells = {(cell["row"], cell["technique"]): Cell(**cell) for cell in kept}
    rows = [row for row in rows_named(options.only) if not (options.flat and "," in row)]
    lock = threading.Lock()

    def add(cell: Cell) -> None:
        with lock:
            cells[cell.row, cell.technique] = cell
            print(f"{'ok ' if cell.green else 'NO '} {cell.row} | {cell.technique} | {cell.said}", flush=True)
            if options.keep:
                words = [dataclasses.asdict(one) for one in cells.values()]
                options.keep.with_suffix(".part").write_text(json.dumps(words, indent=1))
                options.keep.with_suffix(".part").replace(options.keep)

    def run(row: str) -> None:
        wanted = [name for name in options.techniques if options.again or (row, name) not in cells]
        while wanted:  # a process that dies takes one cell with it
            done = watch(row, wanted, add)
            wanted = wanted[done:]

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(run, rows))
    shown = [cells[row, name] for row in rows for name in options.techniques if (row, name) in cells]
    show(rows, options.techniques, shown)
    options.results.keep("cells", [dataclasses.asdict(cell) for cell in shown])
    green = sum(cell.green for cell in shown)
    words = f"{green} of {len(shown)} cells are green, at least {WANTED:.0%}"
    return options.results.verdict({words: green >= WANTED * len(shown)})


def rows_named(only: list[str] | None) -> list[str]:
    listing = "from benchmarks.tools import compression_backbones as it; print('\\n'.join(it.names()))"
    words = [sys.executable, "-c", listing]
    every = subprocess.run(words, env=environment(), capture_output=True, check=True, text=True).stdout.splitlines()
    unknown = [name for name in only or () if not any(row.split(",")[0] == name or row == name for row in every)]
    if unknown:
        sys.exit(f"Wanted names of rows. Received: {unknown}. Available: {every}.")
    return [row for row in every if only is None or row in only or row.split(",")[0] in only]


def environment() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def watch(row: str, techniques: list[str], add: Callable[[Cell], None]) -> int:
    """Runs some cells of a row in a process; how many are done, the last of them perhaps with the process' end."""
    words = [sys.executable, __file__, "--row", row, "--techniques", *techniques]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, env=environment(), text=True)
        lines: queue.Queue = queue.Queue()
        threading.Thread(target=read, args=(process.stdout, lines), daemon=True).start()
        start = time.perf_counter()
        for done, technique in enumerate(techniques):
            said = None
            while said is None:
                try:
                    line = lines.get(timeout=LIMIT)
                except queue.Empty:
                    said = f"no answer in {LIMIT} seconds"
                    process.kill()
                    break
                if line.startswith("CELL "):
                    add(Cell(**json.loads(line[5:])))
                    break
                if not line:
                    errors.seek(0)
                    said = f"its process ended with {process.wait()}: {' '.join(errors.read().split())[-300:]}"
            if said is not None:
                add(Cell(row, technique, False, said, time.perf_counter() - start))
                process.wait()
                return done + 1
        process.wait()
    return len(techniques)


def read(source: Iterable[str], lines: queue.Queue) -> None:
    """Puts lines into a queue as they come, and an empty one at the end."""
    for line in source:
        lines.put(line)
    lines.put("")


def run_row(name: str, techniques: list[str]) -> None:
    from benchmarks.tools import compression_backbones

    work = Work(compression_backbones.row(name))
    for technique in techniques:
        start = time.perf_counter()
        try:
            green, said = True, getattr(work, technique)()
        except Exception as error:
            green, said = False, f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"
        cell = Cell(name, technique, green, said, time.perf_counter() - start)
        print("CELL " + json.dumps(dataclasses.asdict(cell)), flush=True)


class Work:
    """The techniques on one row; each leaves the model as it was."""

    def __init__(self, row: Any) -> None:
        import numpy as np

        self.model, self.train, self.test = row
        self.task = self.train.task
        self.inputs = np.asarray(self.train.inputs, self.task.inputs.batch_dtype)
        self._float: bytes | None = None

    def bridge(self) -> str:
        import keras
        import numpy as np

        bridged = self._bridged()
        probe = np.asarray(self.test.inputs[:8], self.inputs.dtype)
        wanted = keras.ops.convert_to_numpy(self.model(probe, training=False))
        difference = np.abs(np.asarray(bridged(probe, training=False)) - wanted).max() / np.abs(wanted).max()
        if not difference <= 1e-4:
            raise ValueError(f"a relative difference of {difference:.1e}")
        return f"relative difference {difference:.0e}"

    def prune(self) -> str:
        import keras

        from kerastl.compress import prune

        weights = self.model.get_weights()
        try:
            self.model.compile(keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            callback = prune.Prune(sparsity=SPARSITY, begin_step=0, end_step=STEPS, frequency=1)
            count = BATCH * STEPS
            self.model.fit(
                self.inputs[:count], self.train.labels[:count], batch_size=BATCH, verbose=0, callbacks=[callback]
            )
            return self._proved(self._exported(self.model), "float32", sparsity=SPARSITY)
        finally:
            self.model.set_weights(weights)

    def cluster(self) -> str:
        from kerastl.compress import cluster
        from kerastl.compress.tf_keras import bridge

        network = cluster.train(
            self._bridged(), self._batches(), number_of_clusters=CLUSTERS, epochs=0, initialization="linear"
        )
        home = bridge.to_keras(network, like=self.model)
        claim = cluster.claim(home, number_of_clusters=CLUSTERS)
        return self._proved(self._exported(home), "float32", model=home, clusters=claim)

    def qat(self) -> str:
        from kerastl.compress import qat
        from kerastl.export import tflite

        network = qat.train(self._bridged(), self._batches(), epochs=1, learning_rate=1e-7)
        return self._proved(tflite.convert(network, self.task, integer=True), "qat", integer=True)

    def float16(self) -> str:
        from kerastl.compress import ptq

        return self._proved(ptq.float16(self._exported_once()), "float16")

    def dynamic_int8(self) -> str:
        from kerastl.compress import ptq

        return self._proved(ptq.dynamic_int8(self._exported_once()), "dynamic_int8")

    def int4_weights(self) -> str:
        from kerastl.compress import ptq

        data = ptq.int4_weights(self._exported_once(), calibration=self.train.inputs[:64], inputs=self.task.inputs)
        return self._proved(data, "int4_weights")

    def static_int8(self) -> str:
        from kerastl.compress import ptq

        data = ptq.static_int8(self._exported_once(), calibration=self.train.inputs[:64], inputs=self.task.inputs)
        return self._proved(data, "static_int8", integer=True)

    def _bridged(self) -> Any:
        from kerastl.compress.tf_keras import bridge

        return bridge.to_tf_keras(self.model, probe=self.inputs[:4])

    def _batches(self) -> Any:
        """Few and large: batch norms learn new statistics in a training, and small batches have others each."""
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.inputs[:64], self.train.labels[:64])).batch(32)

    def _exported(self, model: Any) -> bytes:
        from kerastl.export import tflite

        return tflite.convert(model, self.task)

    def _exported_once(self) -> bytes:
        if self._float is None:
            self._float = self._exported(self.model)
        return self._float

    def _proved(self, data: bytes, kind: str, *, model: Any = None, **claims: Any) -> str:
        """Checks a file against its model, and how far its answers are off."""
        import numpy as np

        import kerastl
        from kerastl.types import Artifact, Split

        inputs = np.asarray(self.test.inputs, self.inputs.dtype)
        logits = np.asarray((model or self.model).predict(inputs, batch_size=32, verbose=0), "float64")
        expected = np.exp(logits - logits.max(-1, keepdims=True))
        expected /= expected.sum(-1, keepdims=True)
        agreement, wanted = TOLERANCES[kind]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            path.write_bytes(data)
            split = Split("test", self.test.inputs, expected.argmax(-1).astype("int32"), self.task)
            tolerance = kerastl.verify.Tolerance(agreement=agreement, score_drop=1.0)
            found = kerastl.verify.check(
                Artifact(kind, kind, path, **claims), split, expected=expected, tolerance=tolerance
            )
        answers = kerastl.verify.predict_tflite(data, self.test.inputs, kind=self.task.inputs)
        spread = max(np.sqrt(np.mean((expected - expected.mean(0)) ** 2)), LEAST_SPREAD)
        error = np.sqrt(np.mean((answers - expected) ** 2)) / spread
        if not error <= wanted:
            raise ValueError(f"its answers are off by {error:.3f} of how they vary, more than {wanted}")
        return f"off by {error:.3f}, agrees on {found.agreement:.0%}, {len(data) / 1e3:,.0f} kB"


# Technique -> least agreement of answers, and most that probabilities may be off: root mean square, as a share of how
# the model's own vary from picture to picture.
TOLERANCES = {
    "float32": (0.9995, 0.001),
    "float16": (0.98, 0.01),
    "dynamic_int8": (0.9, 0.25),
    "int4_weights": (0.9, 0.25),
    "static_int8": (0.9, 0.25),
    "qat": (0.9, 0.25),
}


def show(rows: list[str], techniques: list[str], cells: list[Cell]) -> None:
    from rich.console import Console
    from rich.table import Table

    found = {(cell.row, cell.technique): cell for cell in cells}
    table = Table(title="green: seconds until the file is proven; red: see below")
    for column in ("backbone", *techniques):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    for row in rows:
        marks = []
        for technique in techniques:
            cell = found.get((row, technique))
            mark = "" if cell is None else f"{cell.seconds:.0f} s"
            marks.append(mark if cell is None else f"[green]{mark}[/]" if cell.green else "[red]NO[/]")
        table.add_row(row, *marks)
    console = Console(width=140)
    console.print(table)
    for cell in cells:
        if not cell.green:
            console.print(f"[red]{cell.row} | {cell.technique}[/]: {cell.said}", highlight=False, markup=True)
    console.print(f"{sum(cell.seconds for cell in cells) / 60:.0f} minutes")


if __name__ == "__main__":
    raise SystemExit(main())
