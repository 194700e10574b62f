"""Ten digits learnt from synthetic voices alone, tested on people: a pretrained embedding beside what has none.

    python benchmarks/training/spoken_digits.py [--voices 120] [--recordings FILE.npz] [--epochs 20] [--keep FOLDER]

All arms learn from the same clips of `kerastl.data.spoken_words` and are tested on the same recordings of people, by
default those of `kerastl.data.recorded_digits`; ``--recordings`` names an archive with ``inputs`` (int16, a second at
16 kHz) and ``labels``. A linear layer on the frozen embedding is trained by `kerastl run keyword_spotting --epochs 0`,
to its verified file. Beside it stand the same with fine-tuning, ridge regression on the embedding, logistic regression
on the means and deviations of MFCC (scikit-learn's), and a DS-CNN, from scratch and as `keyword_mobile` distils it.
Noise is white, 10 dB below the clip; "noisy copies" is the linear layer once more, which has heard three copies of each
clip, two of them with noise at 5 to 20 dB. Nothing is chosen by test.
Asked: every recording, or 0.93 of more than thirty; the file within half a point of the float model; at most 600 KB; at
most 0.005 seconds of one core for a second of sound; noise takes six points at most where copies had it; a
student of 60,000 bytes and three points at most below its teacher.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kerastl
from benchmarks.tools import results
from kerastl.models.audio import ds_cnn, front_end
from kerastl.models.pretrained import speech_embedding
from kerastl.recipes import keyword_spotting
from kerastl.types import Dataset, Schedule
from kerastl.verify import predictions

BYTES, STUDENT, FACTOR, DROP, LOST = 600_000, 60_000, 0.005, 0.005, 0.06


def recordings(options: Any, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Samples int16 ``(clips, 16000)`` of people, and the digit of each."""
    if options.recordings:
        with np.load(options.recordings) as archive:
            return archive["inputs"], archive["labels"]
    split = kerastl.data.recorded_digits.as_test_split(data.task)
    return np.asarray(split.inputs), np.asarray(split.labels)


def with_noise(clips: np.ndarray, *, low: float, high: float, seed: int) -> np.ndarray:
    """White noise at a ratio of so many decibels, drawn for each clip, where power is that of what is not silence."""
    draw, samples = np.random.default_rng(seed), clips.astype("float64")
    decibels = draw.uniform(low, high, len(clips))
    loud = np.abs(samples) > 0.02 * np.abs(samples).max(1, keepdims=True)
    power = (samples**2 * loud).sum(1) / np.maximum(loud.sum(1), 1)
    noise = draw.normal(size=samples.shape) * np.sqrt(power * 10 ** (-decibels / 10))[:, None]
    return np.rint(np.clip(samples + noise, -32768, 32767)).astype("int16")


def right(answers: np.ndarray, labels: np.ndarray) -> results.Interval:
    """The share of right answers with its 95 % interval (Wilson 1927)."""
    score = kerastl.tasks.classes.wilson((answers == labels).astype("float64"))
    return results.Interval(score.value, score.low, score.high)


def embedded(data: Dataset, clips: np.ndarray) -> np.ndarray:
    """The mean embedding of every clip, ``(clips, 96)``."""
    body = kerastl.training.transfer.feature_extractor(speech_embedding.classifier(data.task))
    return body.predict(clips.astype(data.task.inputs.batch_dtype), batch_size=32, verbose=0)


def asked(model: keras.Model, clips: np.ndarray) -> np.ndarray:
    """What a Keras model answers to clips, ``(clips, outputs)``."""
    return model.predict(clips.astype(np.float32), verbose=0)


def coefficients(data: Dataset, clips: np.ndarray) -> np.ndarray:
    """Means and deviations over time of 13 MFCC, ``(clips, 26)``."""
    given = keras.Input(data.task.inputs.shape, name="samples")
    settings = front_end.Features(kind="mfcc", coefficients=13)
    scale = front_end.full_scale(data.task)
    model = keras.Model(given, front_end.features(given, settings, full_scale=scale))
    found = model.predict(clips.astype("float32"), batch_size=64, verbose=0)
    return np.concatenate([found.mean(1), found.std(1)], -1)


def shipped(config: keyword_spotting.Config, folder: Path) -> tuple[bytes, keras.Model, dict[str, Any]]:
    """The file of a run of the recipe, its float model, and the chosen file's row of the report."""
    report = keyword_spotting.run(config, folder)
    row = next(row for row in report["variants"] if row["name"] == report["chosen"])
    return (folder / row["file"]).read_bytes(), kerastl.open(folder).model, row


def linear(features: np.ndarray, labels: np.ndarray, classifier: Any) -> Any:
    return make_pipeline(StandardScaler(), classifier).fit(features, labels)


def from_scratch(options: Any, data: Dataset) -> keras.Model:
    """DS-CNN on the same clips; validation keeps the best epoch."""
    schedule = Schedule(epochs=options.epochs, batch_size=64, peak_learning_rate=3e-3, weight_decay=1e-4)
    batches = kerastl.data.pipeline.training_batches(data, schedule=schedule, seed=0)
    return kerastl.training.train(lambda: ds_cnn.small(data.task), batches, seed=1).model


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--voices", type=int, default=120, help="synthetic speakers")
    parser.add_argument("--recordings", type=Path, help="an archive of recordings in the place of the fetched ones")
    parser.add_argument("--epochs", type=int, default=20, help="of the network from scratch")
    parser.add_argument("--tuning", type=int, default=4, help="epochs of fine-tuning")
    parser.add_argument("--keep", type=Path, help="where the runs are kept, so that they go on")
    options = parser.parse_args()
    data = keyword_spotting.load(keyword_spotting.Config(voices=options.voices))
    clips, labels = recordings(options, data)
    noisy = with_noise(clips, low=10, high=10, seed=0)
    train, wanted = np.asarray(data.train.inputs), np.asarray(data.train.labels)
    columns = {"recordings": "{:.3f}", "with noise": "{:.3f}", "synthetic test": "{:.3f}", "bytes": "{:,}"}
    table = results.Table(f"{len(clips)} recordings of people, {len(train)} synthetic clips", {"arm": "{}"} | columns)
    asked: dict[str, bool] = {}
    reached = 0.0

    def row(name: str, answers: Any, size: int | None = None) -> tuple[float, float]:
        heard = [(clips, labels), (noisy, labels), (np.asarray(data.test.inputs), np.asarray(data.test.labels))]
        scores = [right(answers(one).argmax(-1), truth) for one, truth in heard]
        table.add(name, *scores, size)
        print(name, *(f"{score.value:.4f}" for score in scores), flush=True)
        return scores[0].value, scores[1].value

    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        arms = {
            "linear layer": keyword_spotting.Config(voices=options.voices, epochs=0),
            "fine-tuned": keyword_spotting.Config(voices=options.voices, epochs=options.tuning),
            "student": keyword_spotting.Mobile(voices=options.voices),
        }
        for name, config in arms.items():
            file, model, report = shipped(config, place / name.replace(" ", "_"))
            of_file = functools.partial(predictions.predict_tflite, file, kind=data.task.inputs)
            of_model = functools.partial(asked, model)
            real, _ = row(f"embedding, {name}, file", of_file, len(file))
            whole, _ = row(f"embedding, {name}, float model", of_model)
            factor = report["latency_ms"]["median"] / 1000 / (data.task.inputs.shape[0] / 16000)
            if name == "student":
                asked[f"student: {len(file):,} bytes, at most {STUDENT:,}"] = len(file) <= STUDENT
                lost = reached - report["score"]
                asked[f"student: {lost:+.4f} on synthetic test beside its teacher, 0.03 at most"] = lost <= 0.03
                continue
            least, reached = 1.0 if len(clips) <= 30 else 0.93, report["score"]
            asked[f"{name}: {real:.4f} of the recordings, at least {least}"] = real >= least
            asked[f"{name}: the file {real - whole:+.4f} beside its model, {-DROP} at least"] = real >= whole - DROP
            asked[f"{name}: {len(file):,} bytes, at most {BYTES:,}"] = len(file) <= BYTES
            asked[f"{name}: {factor:.5f} seconds a second of sound, at most {FACTOR}"] = factor <= FACTOR
    features = embedded(data, train)
    ridge = linear(features, wanted, RidgeClassifier(alpha=10.0))
    row("embedding, ridge", lambda one: ridge.decision_function(embedded(data, one)))
    plain = linear(features, wanted, LogisticRegression(C=0.1, max_iter=500))
    clean, lost = row("embedding, logistic regression", lambda one: plain.decision_function(embedded(data, one)))
    copies = [train, *(with_noise(train, low=5, high=20, seed=seed) for seed in (1, 2))]
    hardened = linear(
        np.concatenate([features, *(embedded(data, one) for one in copies[1:])]),
        np.tile(wanted, 3),
        LogisticRegression(C=0.1, max_iter=500),
    )
    held, kept = row("the same, noisy copies", lambda one: hardened.decision_function(embedded(data, one)))
    asked[f"noise takes {held - kept:.3f} with noisy copies ({clean - lost:.3f} without), at most {LOST}"] = (
        held - kept <= LOST
    )
    spectra = linear(coefficients(data, train), wanted, LogisticRegression(C=0.1, max_iter=500))
    row("MFCC, logistic regression", lambda one: spectra.decision_function(coefficients(data, one)))
    scratch = from_scratch(options, data)
    row("DS-CNN from scratch", functools.partial(asked, scratch))
    options.results.show(table, width=160)
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
