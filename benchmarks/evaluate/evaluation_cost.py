"""The cost of an evaluation: all sections on 10,000 pictures, and how much of it is the files' own answers.

    python benchmarks/evaluate/evaluation_cost.py [--run saved_models/mnist_mobile/default] [--corruption-examples 1000]

A finished run; where none is given, a small one on 3,000 digits is made, with all 10,000 test digits. Files answer in a
process of their own, which is prediction, whoever asked for it; what this process computes, the model's gradients among
it, is the evaluation's. Processor time is counted: a busy machine makes the rest many times longer.

Asked: 60 s at most beyond prediction; a page of 2 MB at most.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import kerastl
from benchmarks.tools import results
from kerastl.runs.evaluation import evaluating
from kerastl.runs.evaluation.subject import Settings
from kerastl.types import Dataset, Schedule
from kerastl.untrusted import tflite_file


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run that is made."""

    seed: int = 0
    """Of weights and order."""


def made(folder: Path) -> tuple[Path, Dataset]:
    """A run on 3,000 training digits, with a float and an integer file, chosen by 5,000 and tested on all there are."""
    data = kerastl.data.mnist.load(validation=5000).drawn(slice(3000))
    with kerastl.runs.Run(folder, recipe="evaluation_cost", tag="made", config=Config()) as run:
        run.use_dataset(data)
        kerastl.training.set_seed(0)
        model = kerastl.models.all_conv_net.tiny(data.task)
        schedule = Schedule(epochs=3, batch_size=64, peak_learning_rate=5e-3)
        kerastl.training.fit(model, data.train, schedule=schedule, progress=False)
        accept = kerastl.runs.Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.8)
        made = kerastl.runs.post_training(model, data.train, techniques=("float32", "static_int8"))
        kerastl.runs.publish(run, data, model=model, candidates=made, accept=accept)
    return folder, data


class Clock:
    """Counts the wall and processor time that goes by in the sandbox, where files answer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        run = tflite_file.SandboxedModel.run

        def counted(reader: Any, *arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return run(reader, *arguments, **options)
            finally:
                self.seconds += time.perf_counter() - start

        tflite_file.SandboxedModel.run = counted  # pyright: ignore[reportAttributeAccessIssue]


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--run", help="folder of a finished run; by default one is made")
    parser.add_argument("--corruption-examples", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, data = (Path(options.run), None) if options.run else made(Path(place) / "run")
        run, clock = kerastl.open(folder), Clock()
        start, own = time.perf_counter(), time.process_time()
        settings = Settings(corruption_examples=options.corruption_examples)
        found = evaluating.evaluate(run, settings=settings, dataset=data, progress=False)
        whole, own = time.perf_counter() - start, time.process_time() - own
        page = (folder / evaluating.PAGE).stat().st_size
    table = results.Table("Seconds by section", {"section": "{}", "seconds": "{:,.1f}"})
    for name, seconds in found["seconds"].items():
        table.add(name, seconds)
    options.results.show(table)
    examples, files = found["data"]["test"], len(found["scores"])
    print(f"{whole:.1f} s in all, of which files answered for {clock.seconds:.1f} s")
    return options.results.verdict(
        {
            f"{own:.1f} s of a processor beyond prediction, {files} files, 60 asked": own <= 60,
            f"the page has {page / 1e6:.2f} MB, 2 asked": page <= 2e6,
            f"{examples:,} examples were evaluated, 10,000 asked": examples >= 10_000,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
