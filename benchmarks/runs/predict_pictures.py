"""`kerastl predict` of a folder of pictures beside the bare interpreter, which gets them decoded.

    python benchmarks/runs/predict_pictures.py [--pictures 10000] [--size 224] [--side 480] [--alpha 1.0]

A MobileNetV2 without training is exported and bundled; JPEG pictures of noise made smooth are written into a folder,
some hundred different ones under as many names as are asked for. The bare interpreter is LiteRT's own, on one thread,
fed one picture after the other out of an array that was decoded before its clock starts. kerastl's clock has all of it:
the child that runs a file of anybody's, finding, reading and decoding the pictures, and the words of each answer.

Asked: at least 0.8 of the bare interpreter's rate, and the same classes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

from benchmarks.tools import results

LEAST, DIFFERENT, CLASSES = 0.8, 200, 10


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224, help="side that the model takes, in pixels")
    parser.add_argument("--side", type=int, default=480, help="longer side of the files, in pixels")
    parser.add_argument("--alpha", type=float, default=1.0, help="width of the MobileNetV2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        bundle, folder = Path(place, "bundle"), Path(place, "pictures")
        write_bundle(bundle, size=options.size, alpha=options.alpha)
        decoded = write_pictures(folder, count=options.pictures, side=options.side, size=options.size)
        bare_seconds, bare = by_interpreter(bundle / "model.tflite", decoded, count=options.pictures)
        seconds, labels = by_kerastl(bundle, folder)
    columns = {"who": "{}", "pictures": "{:,}", "seconds": "{:.1f}", "pictures a second": "{:,.1f}"}
    table = results.Table("a folder of pictures", columns)
    for who, taken in (("LiteRT's interpreter, decoded pictures", bare_seconds), ("kerastl predict, files", seconds)):
        table.add(who, options.pictures, taken, options.pictures / taken)
    options.results.show(table)
    share, same = bare_seconds / seconds, float(np.mean(np.array(labels) == bare))
    asked = {
        f"{share:.2f} of the bare interpreter's rate, {LEAST} asked": share >= LEAST,
        f"{same:.2%} of the classes are the same": same == 1.0,
    }
    return options.results.verdict(asked)


def write_bundle(folder: Path, *, size: int, alpha: float) -> None:
    """A file that answers with one of ten classes, and its labels."""
    import keras

    from kerastl import types
    from kerastl.export import metadata, tflite
    from kerastl.inputs.image import Image as Pictures
    from kerastl.tasks.single_label import SingleLabel

    keras.utils.set_random_seed(0)
    task = types.Task("noise", Pictures((size, size, 3)), SingleLabel(tuple(map(str, range(CLASSES)))))
    pixels = keras.Input((size, size, 3), name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, -1.0)(pixels)
    body = keras.applications.MobileNetV2((size, size, 3), alpha=alpha, include_top=False, weights=None, pooling="avg")
    model = keras.Model(pixels, keras.layers.Dense(CLASSES, name="logits")(body(scaled)))
    folder.mkdir()
    (folder / "model.tflite").write_bytes(metadata.add(tflite.convert(model, task), task, description="untrained"))
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in task.target.names))


def write_pictures(folder: Path, *, count: int, side: int, size: int) -> np.ndarray:
    """The files; of the different ones what they decode to, ``(pictures, size, size, 3)``."""
    from kerastl.inputs import pictures

    folder.mkdir()
    generator, decoded = np.random.default_rng(0), []
    for number in range(min(count, DIFFERENT)):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8))
        coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg", quality=90)
        decoded.append(pictures.read(folder / f"{number:06}.jpg", size=(size, size)).pixels)
    for number in range(DIFFERENT, count):
        os.link(folder / f"{number % DIFFERENT:06}.jpg", folder / f"{number:06}.jpg")
    return np.stack(decoded)


def by_interpreter(file: Path, decoded: np.ndarray, *, count: int) -> tuple[float, np.ndarray]:
    """Seconds of all answers, and the name of each class."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    start = time.perf_counter()
    for number in range(count):
        interpreter.set_tensor(source["index"], decoded[number % len(decoded)][None].astype(source["dtype"]))
        interpreter.invoke()
        found.append(str(interpreter.get_tensor(target["index"]).argmax()))
    return time.perf_counter() - start, np.array(found)


def by_kerastl(bundle: Path, folder: Path) -> tuple[float, list[str]]:
    """The same by `FinishedRun.predict`, as the command calls it."""
    import kerastl

    start = time.perf_counter()
    said = kerastl.open(bundle).predict(folder)
    return time.perf_counter() - start, [one["label"] for one in said]


if __name__ == "__main__":
    raise SystemExit(main())
