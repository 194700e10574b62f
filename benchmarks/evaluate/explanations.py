"""Explanations: what Grad-CAM costs on MobileNetV2, and how alike the maps of a float and an integer file are.

    python benchmarks/evaluate/explanations.py [--pictures 20] [--run saved_models/image_classifier/default]

Grad-CAM of 224-pixel pictures, traced once, one picture at a time; beside it integrated gradients, occlusion and RISE.
Where a run of pictures is given: occlusion maps of its float32 and its integer file on test pictures, correlated.

Asked: Grad-CAM within 0.2 s a picture; maps of the run's files that correlate by 0.95 on average.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.evaluate.explanations import grad_cam, integrated_gradients, occlusion, rise, sanity
from kerastl.runs import reverification
from kerastl.runs.evaluation.subject import Settings, Subject


def timed(explain: Callable[[int], object], count: int) -> results.Interval:
    """Seconds a picture, after one that is traced."""
    explain(0)
    seconds = []
    for row in range(count):
        start = time.perf_counter()
        explain(row)
        seconds.append(time.perf_counter() - start)
    return results.quartiles(seconds)


def network() -> keras.Model:
    """MobileNetV2 with weights as they begin: its time does not depend on them."""
    image = keras.Input((224, 224, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    body = keras.applications.MobileNetV2(input_tensor=x, include_top=False, weights=None, pooling="avg")
    return keras.Model(image, keras.layers.Dense(14, name="logits")(body.output))


def costs(count: int) -> dict[str, results.Interval]:
    model, random = network(), np.random.default_rng(0)
    pictures = random.integers(0, 256, (count, 224, 224, 3)).astype(np.uint8)
    place, black = np.array([3]), np.zeros((224, 224, 3), np.float32)
    cam, integrated = grad_cam.explainer(model), integrated_gradients.explainer(model, batch_size=16)

    def answer(some: np.ndarray) -> np.ndarray:
        return np.asarray(model(some.astype(np.float32), training=False))

    few = max(1, count // 10)
    return {
        "Grad-CAM": timed(lambda row: cam(pictures[row : row + 1], place), count),
        "integrated gradients": timed(lambda row: integrated(pictures[row : row + 1], place, black), few),
        "occlusion": timed(lambda row: occlusion.picture(answer, pictures[row], 3), few),
        "RISE, 100 glimpses": timed(lambda row: rise.picture(answer, pictures[row], 3, masks=100), few),
    }


def alike(folder: str, count: int) -> tuple[str, list[float]]:
    """The integer file of a run, and how its occlusion maps correlate with the float32 file's."""
    run = kerastl.open(folder)
    data = reverification.dataset_of(run, source=None, path=None)
    integer = next(row["name"] for row in run.report["variants"] if row["name"].endswith("static_int8"))
    found = []
    with kerastl.untrusted.tflite_file.SandboxedModel() as reader:
        subject = Subject(run, data, reader, settings=Settings(), progress=False)
        places = np.asarray(subject.answers(integer, data.test.take(count))).argmax(-1)
        for picture, place in zip(data.test.take(count).inputs[:], places, strict=True):
            maps = [occlusion.picture(subject.answer_of(name), picture, int(place)) for name in (integer, "float32")]
            found.append(sanity.correlation(*maps))
    return integer, [one for one in found if not np.isnan(one)]


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--run", help="folder of a finished run of pictures, with a file static_int8")
    options = parser.parse_args()
    found = costs(options.pictures)
    table = results.Table("Seconds a picture, MobileNetV2 at 224", {"method": "{}", "seconds": "{:.3f}"})
    for name, seconds in found.items():
        table.add(name, seconds)
    options.results.show(table)
    cam = found["Grad-CAM"].value
    asked = {f"Grad-CAM takes {cam:.3f} s a picture, 0.2 asked": cam <= 0.2}
    if options.run:
        name, correlations = alike(options.run, options.pictures)
        mean = float(np.mean(correlations))
        rows = [{"picture": row, "correlation": one} for row, one in enumerate(correlations)]
        options.results.keep("occlusion maps", rows)
        words = f"maps of {name} and float32 on {len(correlations)} pictures correlate by {mean:.3f}, 0.95 asked"
        asked[words] = mean >= 0.95
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
