"""Files of finished runs in the runtimes that phones have: right, or refused when they are loaded.

    python benchmarks/export/older_runtimes.py [RUN ...] [--examples 200] [--chosen]

Each runtime stands in an environment of its own, made once below the cache; a file that destroys its process is wrong
like one that answers otherwise. Every file of each run is tried (with ``--chosen`` the bundle's alone) on examples of
its test split; right is what answers as the newest runtime here does to 99 of 100.

Asked: nothing is wrong. tflite-runtime 2.14 wants Python 3.11 or earlier.
"""

from __future__ import annotations

import json
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
from kerastl.runs import reverification
from kerastl.system import downloads

RUNTIMES = {
    "tflite-runtime 2.14.0": ["tflite-runtime==2.14.0", "numpy<2"],
    "LiteRT 1.0.1": ["ai-edge-litert==1.0.1", "numpy<2"],
    "LiteRT 1.4.0": ["ai-edge-litert==1.4.0"],
    "LiteRT 2.1.0": ["ai-edge-litert==2.1.0"],
    "LiteRT, the newest": ["ai-edge-litert"],
}
AGREES = 0.99
ASKED = """
import json, sys
import numpy as np
try:
    from tflite_runtime.interpreter import Interpreter
except ImportError:
    from ai_edge_litert.interpreter import Interpreter
file, inputs, answers = sys.argv[1:]
try:
    interpreter = Interpreter(model_path=file, num_threads=1)
    interpreter.allocate_tensors()
except Exception as error:
    print("refused:", str(error).splitlines()[0])
    sys.exit(3)
fed = np.load(inputs)
found = []
for row in range(len(next(iter(fed.values())))):
    for one in interpreter.get_input_details():
        interpreter.set_tensor(one["index"], fed[one["name"]][row].reshape(one["shape"]).astype(one["dtype"]))
    interpreter.invoke()
    found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
np.save(answers, np.stack(found))
"""


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument(
        "runs", nargs="*", type=Path, help="folders of finished runs; by default those in saved_models/"
    )
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--chosen", action="store_true", help="the bundle's file alone")
    options = parser.parse_args()
    runs = options.runs or sorted(path.parent for path in Path("saved_models").glob("*/*/report.json"))
    pythons = {name: environment(name, wanted) for name, wanted in RUNTIMES.items()}
    table = results.Table("each file in each runtime", {"run": "{}", "file": "{}"} | dict.fromkeys(RUNTIMES, "{}"))
    wrong = 0
    for folder in runs:
        run = kerastl.open(folder)
        split = reverification.load_data(run.config).test.take(options.examples)
        fed = _fed(split, run.task)
        files = [Path(run.file)] if options.chosen else sorted((folder / "variants").glob("*.tflite"))
        for file in files:
            found = {name: answers(python, file, fed) for name, python in pythons.items()}
            newest = found["LiteRT, the newest"]
            words = {name: said(one, newest) for name, one in found.items()}
            wrong += sum(one.startswith("WRONG") for one in words.values())
            table.add(f"{folder.parent.name}/{folder.name}", file.stem, *words.values())
    options.results.show(table, width=170)
    return options.results.verdict({f"{wrong} of {len(table.rows) * len(RUNTIMES)} wrong, asked 0": wrong == 0})


def environment(name: str, wanted: list[str]) -> Path:
    """The Python of an environment with a runtime, made where it is not there yet."""
    folder = downloads.home() / "runtimes" / f"{name.replace(' ', '_').replace(',', '')}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        (folder / "ready").write_text(json.dumps(wanted))
    return python


def answers(python: Path, file: Path, fed: dict[str, np.ndarray]) -> np.ndarray | str:
    """What a runtime answers, or in words why it does not."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, found = Path(folder, "inputs.npz"), Path(folder, "answers.npy")
        np.savez(inputs, **fed)  # pyright: ignore[reportArgumentType]
        done = subprocess.run([python, "-c", ASKED, file, inputs, found], capture_output=True, text=True, check=False)
        if found.exists() and done.returncode == 0:
            return np.load(found)
        return "refused" if done.returncode == 3 else f"WRONG: ended with {done.returncode}"


def said(found: np.ndarray | str, newest: np.ndarray | str) -> str:
    if isinstance(found, str) or isinstance(newest, str):
        return found if isinstance(found, str) else "right"
    if found.shape[-1] > 1:
        agreement = float((found.argmax(-1) == newest.argmax(-1)).mean())
    else:
        agreement = float((np.abs(found - newest) <= 0.1 * newest.std()).mean())
    return f"{'right' if agreement >= AGREES else 'WRONG'} {agreement:.1%}"


def _fed(split, task) -> dict[str, np.ndarray]:
    """Examples by the names of a file's inputs."""
    rows = [task.inputs.fed(split.inputs[place : place + 1]) for place in range(len(split))]
    return {name: np.stack([row[name][0] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    raise SystemExit(main())
