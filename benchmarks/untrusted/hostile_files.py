"""Hostile model files: the plain stack and kerastl open the same ones, side by side.

    python benchmarks/untrusted/hostile_files.py          the table (about eight minutes, two of them spent hanging)

Every file is built for real and opened in a process of its own. Exits non-zero if kerastl falls for one of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results

PATIENCE = 120  # seconds for a process that should take fifteen
MARK, SECRET = "the stranger was here", "a word nobody was to know"


def leaves_a_mark(folder: Path) -> Callable:
    return eval(f"lambda x: (open({str(folder / MARK)!r}, 'w').close(), x)[1]")


def small(library: Any, *layers: Any) -> Any:
    return library.Sequential([library.layers.Input((4,)), *(layers or [library.layers.Dense(3, name="dense")])])


def with_lambda(library: Any, path: Path) -> None:
    small(library, library.layers.Lambda(leaves_a_mark(path.parent), output_shape=(4,))).save(path)
    (path.parent / MARK).unlink(missing_ok=True)  # building it ran it


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """A `.keras` archive with its members changed by hand."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def build_lambda_keras(folder: Path) -> None:
    import keras

    with_lambda(keras, folder / "model.keras")


def build_lambda_h5(folder: Path) -> None:
    import tf_keras

    with_lambda(tf_keras, folder / "model.h5")


def build_vocabulary(folder: Path) -> None:
    import keras

    (folder / "secret.txt").write_text(SECRET)
    words = keras.Input((), dtype="string")
    keras.Model(words, keras.layers.StringLookup(vocabulary=["a"])(words)).save(folder / "model.keras")

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1]["config"]["vocabulary"] = str(folder / "secret.txt")
        members["config.json"] = json.dumps(config).encode()

    rewritten(folder / "model.keras", change)


def build_link(folder: Path) -> None:
    import h5py
    import keras

    small(keras).save(folder / "model.keras")
    small(keras).save_weights(folder / "secret.weights.h5")
    with h5py.File(folder / "link.h5", "w") as file:
        file["layers/dense/vars"] = h5py.ExternalLink(str(folder / "secret.weights.h5"), "/layers/dense/vars")
    content = (folder / "link.h5").read_bytes()
    rewritten(folder / "model.keras", lambda members: members.update({"model.weights.h5": content}))


def _save(folder: Path, function: Callable, signature: Any) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.call = tf.function(function, input_signature=[signature], autograph=False)
    tf.saved_model.save(module, str(folder / "model"), signatures={"serving_default": module.call})


def build_writing(folder: Path) -> None:
    import tensorflow as tf

    def writing(value: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(folder / MARK), "x")]):
            return {"y": tf.identity(value)}

    _save(folder, writing, tf.TensorSpec((None, 4), tf.float32))


def build_reading(folder: Path) -> None:
    import tensorflow as tf

    (folder / "secret.txt").write_text(SECRET)
    _save(folder, lambda value: {"y": tf.io.read_file(str(folder / "secret.txt"))}, tf.TensorSpec((None, 4)))


def build_endless(folder: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4))], autograph=False)
    def endless(x: Any) -> Any:
        return tf.while_loop(lambda x: tf.reduce_all(x < 1e30), lambda x: x * 1.0, [x])[0]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([endless.get_concrete_function()], tf.Module())
    (folder / "model.tflite").write_bytes(converter.convert())


def plain_keras(folder: Path) -> None:
    import keras

    model = keras.saving.load_model(folder / "model.keras")
    print(getattr(model.layers[-1], "get_vocabulary", list)())


def plain_tf_keras(folder: Path) -> None:
    import tf_keras

    tf_keras.models.load_model(folder / "model.h5")


def plain_saved_model(folder: Path) -> None:
    import tensorflow as tf

    print(tf.saved_model.load(str(folder / "model")).signatures["serving_default"](tf.ones((1, 4))))


def plain_tflite(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    interpreter.invoke()


def our_keras(folder: Path) -> None:
    import kerastl

    kerastl.untrusted.keras_file.load(next(folder.glob("model.*")))


def our_saved_model(folder: Path) -> None:
    import kerastl

    kerastl.untrusted.saved_model_folder.load(folder / "model")


def our_tflite(folder: Path) -> None:
    import kerastl

    with kerastl.untrusted.tflite_file.SandboxedModel() as reader:
        reader.latency(folder / "model.tflite")


def our_audit(folder: Path) -> int:
    import kerastl

    (model,) = (path for path in folder.glob("model*"))
    return kerastl.cli.main(["audit", str(model)])


CASES: dict[str, tuple[Callable, Callable, Callable]] = {
    "a Lambda in .keras": (build_lambda_keras, plain_keras, our_keras),
    "a Lambda in .h5 (tf_keras)": (build_lambda_h5, plain_tf_keras, our_keras),
    "a StringLookup that names a file": (build_vocabulary, plain_keras, our_keras),
    "an external link among the weights": (build_link, plain_keras, our_keras),
    "a SavedModel that writes a file": (build_writing, plain_saved_model, our_saved_model),
    "a SavedModel that reads a file": (build_reading, plain_saved_model, our_saved_model),
    "a .tflite that never ends": (build_endless, plain_tflite, our_tflite),
}


def _process(step: str, case: str, folder: Path) -> tuple[int | None, str, str]:
    """Exit status of one step in a process of its own, `None` if it had to be ended, what it printed, its last word."""
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, __file__, step, case, str(folder)]
    environment = {**os.environ, "PYTHONPATH": root}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None, "", ""
    return done.returncode, done.stdout, (done.stderr.strip().splitlines() or [""])[-1]


def judged(case: str, step: str) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root).resolve()
        status, _, last = _process("build", case, folder)
        if status != 0:
            raise RuntimeError(f"{case} could not be built: {last}")
        status, printed, last = _process(step, case, folder)
        if (folder / MARK).exists():
            return False, "the stranger's code ran, or wrote a file"
        if SECRET in printed:
            return False, "a file outside was read"
        if status is None:
            return False, f"it hangs (over {PATIENCE} s)"
        if status < 0:
            return False, f"the process died of signal {-status}"
        if step == "kerastl" and status and not last.startswith("kerastl.untrusted."):
            return False, f"an error of its own: {last[:80]}"
        if step == "audit" and not (status == 1 and printed.startswith("error")):
            return False, f"no error among the findings: {(last or printed)[:80]}"
        return status != 0, "refused" if status else "opened"


def table(found: results.Results) -> int:
    """Prints both sides of every case; non-zero if kerastl falls for one."""
    columns = ("file", "plain stack", "kerastl", "kerastl audit")
    shown = results.Table("other people's files", dict.fromkeys(columns, "{}"))
    failed = False
    for case in CASES:
        cells = []
        for step in ("plain", "kerastl", "audit"):
            holds, words = judged(case, step)
            cells.append(f"{'holds' if holds else 'FAILS'}: {words}")
            failed |= not holds and step != "plain"
        shown.add(case, *cells)
    found.show(shown)
    return 1 if failed else 0


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("step", nargs="?", choices=["table", "build", "plain", "kerastl", "audit"], default="table")
    parser.add_argument("case", nargs="?", choices=list(CASES))
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    if options.step == "table":
        return table(options.results)
    if options.step == "audit":
        return our_audit(options.folder)
    CASES[options.case][("build", "plain", "kerastl").index(options.step)](options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
