"""ONNX of finished runs, by tf2onnx in an environment of its own: the answers of the SavedModel and of the float file.

    python benchmarks/export/onnx.py [RUN ...] [--examples 50] [--environment FOLDER]

The environment is made once, below the cache. Each run's `saved_model/` is converted and, where there is one, its
`variants/float32.tflite`; ONNX Runtime answers examples of the kind of input's noise, and so does the float file.

Asked: both answer within 1e-3 of the float file, and name the same class.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.system import downloads

PACKAGES = ["tf2onnx==1.17.0", "onnxruntime==1.32.0", "tensorflow-cpu==2.21.0"]
FURTHEST = 1e-3
ASKED = """
import sys
import numpy as np
import onnxruntime
file, inputs, answers = sys.argv[1:]
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
(source,), fed = session.get_inputs(), np.load(inputs)
# a SavedModel takes float32 pixels, as the float file does
rows = [session.run(None, {source.name: row[None].astype(np.float32)})[0][0] for row in fed]
np.save(answers, np.stack(rows))
"""


def python_of(folder: Path) -> Path:
    """The Python of an environment with the converter, made where it is not there yet."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def measured(run: kerastl.runs.finished.FinishedRun, python: Path, *, examples: int) -> dict[str, float | str]:
    """How far the answers of each ONNX file are from those of the run's float file, at most; or why there are none."""
    inputs = run.task.inputs.noise(examples)
    found: dict[str, float | str] = {}
    float32 = run.folder / "variants" / "float32.tflite"
    wanted = kerastl.verify.predict_tflite(float32, inputs, kind=run.task.inputs)
    for flag, source in (("--saved-model", run.folder / "saved_model"), ("--tflite", float32)):
        with tempfile.TemporaryDirectory() as folder:
            file, fed, answers = (str(Path(folder, name)) for name in ("model.onnx", "fed.npy", "answers.npy"))
            np.save(fed, inputs)
            done = subprocess.run(
                [python, "-m", "tf2onnx.convert", flag, str(source), "--output", file], capture_output=True, text=True
            )
            if done.returncode == 0:
                done = subprocess.run([python, "-c", ASKED, file, fed, answers], capture_output=True, text=True)
            if done.returncode:
                found[flag] = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
                continue
            got = np.load(answers)
            same = bool((got.argmax(-1) == wanted.argmax(-1)).all())
            found[flag] = float(np.abs(got - wanted).max()) if same else "another class"
    return found


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("runs", nargs="*", help="folders of finished runs of pictures")
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--environment", default="", help="one that has tf2onnx, onnxruntime and TensorFlow")
    options = parser.parse_args()
    runs = options.runs or [str(path.parent) for path in sorted(Path("saved_models").glob("*/*/report.json"))]
    python = python_of(Path(options.environment) if options.environment else downloads.home() / "environments" / "onnx")
    table = results.Table("furthest from the float file", {"run": "{}", "--saved-model": "{}", "--tflite": "{}"})
    wrong = 0
    for folder in runs:
        found = measured(kerastl.open(folder), python, examples=options.examples)
        wrong += sum(not isinstance(one, float) or one > FURTHEST for one in found.values())
        table.add(folder, *(one if isinstance(one, str) else f"{one:.1e}" for one in found.values()))
    options.results.show(table)
    return options.results.verdict({f"{wrong} of {2 * len(runs)} wrong, asked 0": wrong == 0})


if __name__ == "__main__":
    raise SystemExit(main())
