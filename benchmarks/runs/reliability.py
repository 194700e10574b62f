"""What a fault leaves behind: plain Keras and kerastl under the same injections, side by side.

    python benchmarks/runs/reliability.py                       the table
    python benchmarks/runs/reliability.py kills --count 100     one run, killed at 100 random instants (15 minutes)
    python benchmarks/runs/reliability.py kills --job quantize  the same of quantization-aware training

Every injection happens in a process of its own, on a tiny model and made-up pictures. Exits non-zero if kerastl fails
one of them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Imported here, before any child is forked: a child then starts in seconds. TensorFlow starts its threads with its
# first operation, and the parent never runs one.
import keras
import numpy as np

import kerastl
from benchmarks.tools import preloading, results
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

TASK = Task("halves", Image((8, 8, 1)), SingleLabel(("right", "left")))
EPOCHS, STEPS, BATCH = 4, 12, 16
PATIENCE = 180  # seconds for a child that should take ten


def pictures(seed: int) -> Split:
    generator = np.random.default_rng(seed)
    inputs = generator.integers(0, 256, (STEPS * BATCH, 8, 8, 1), np.uint8)
    return Split("train", inputs, (inputs[:, :, :4].mean((1, 2, 3)) > 127).astype("int32"), TASK)


def network(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(8, 3, name="convolution")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dropout(0.3, seed=5, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x), name="tiny")


def digest(model: keras.Model) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


class Pause(keras.callbacks.Callback):
    """Makes steps long enough to be killed in."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


class DieIn(keras.callbacks.Callback):
    """Kills the process in an epoch, the first time only."""

    def __init__(self, folder: Path, epoch: int):
        super().__init__()
        self.mark, self.epoch = folder / "died", epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 5 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------------------------------------- one run, killed again


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 3


def job(folder: Path) -> None:
    """A recipe in small: a teacher, a student that is distilled and pruned, a score, a bundle."""
    with kerastl.runs.Run(folder, recipe="reliability", tag="kills", config=Config(), needed_bytes=1_000_000) as run:
        train, held_out = pictures(1), pictures(2)
        batches, models = (
            kerastl.data.pipeline.batches,
            {"save": kerastl.training.save, "load": kerastl.training.load},
        )
        validation = functools.partial(batches, held_out, batch_size=64)

        def lesson(model, workspace, callbacks=()):
            views = kerastl.inputs.augmentation.image_augmentation(
                horizontal_flip=True, translation=0.1, erasing=0.3, seed=1
            )
            return kerastl.training.fit(
                model,
                batches(train, batch_size=BATCH, shuffle=True, seed=4, augment=views),
                schedule=Schedule(epochs=EPOCHS, peak_learning_rate=1e-2, weight_decay=1e-2),
                workspace=workspace,
                validation=validation(),
                callbacks=[*callbacks, Pause()],
                progress=False,
            )

        def teach(workspace):
            workspace.every_seconds = 0.3
            model = network(1)
            return kerastl.training.Trained(model, lesson(model, workspace))

        def distil(workspace):
            workspace.every_seconds = 0.3
            student = network(2)
            soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=2.0)
            model = kerastl.distil.distiller.Distiller(student=student, teacher=teacher.model, loss=soft, weight=0.5)
            pruning = kerastl.compress.prune.Prune(
                sparsity=0.5, begin_step=2, end_step=30, frequency=3, model=student, layers=["convolution"]
            )
            return kerastl.training.Trained(student, lesson(model, workspace, [pruning]))

        teacher = run.stage("teacher", teach, key=[1], **models)
        student = run.stage("student", distil, key=[run.stage_key("teacher")], **models)
        answers = kerastl.training.predict(student.model, held_out.inputs)
        score = float((answers.argmax(-1) == held_out.labels).mean())
        report = {"weights": digest(student.model), "score": score, "curves": student.curves.to_json()}
        kerastl.system.atomic_files.write_json(folder / "report.json", report)
        kerastl.training.save_model(student.model, folder / "model.keras")
        kerastl.runs.store.publish(folder, {"labels.txt": b"a\nb\n", "model.tflite": digest(student.model).encode()})


def quantize(folder: Path) -> None:
    """A recipe of one stage: quantization-aware training of a network with a dropout and a batch normalization."""
    with kerastl.runs.Run(folder, recipe="reliability", tag="kills", config=Config(), needed_bytes=1_000_000) as run:
        train, held_out = pictures(1), pictures(2)
        batches = kerastl.data.pipeline.batches

        def lesson(workspace):
            workspace.every_seconds = 0.3
            kerastl.training.set_seed(5)
            twin = kerastl.compress.tf_keras.bridge.to_tf_keras(
                network(1), probe=np.asarray(train.take(16).inputs, "float32")
            )
            aware = kerastl.compress.qat.train(
                twin,
                batches(train, batch_size=BATCH, shuffle=True, seed=4),
                epochs=EPOCHS,
                learning_rate=1e-3,
                validation=batches(held_out, batch_size=64),
                workspace=workspace,
                callbacks=[Pause()],
            )
            weights = hashlib.sha256(b"".join(weight.tobytes() for weight in aware.get_weights())).hexdigest()
            return {"weights": weights, "curves": kerastl.compress.qat.curves(aware).to_json()}

        result = run.stage(
            "quantized",
            lesson,
            key=[1],
            save=lambda found, place: kerastl.system.atomic_files.write_json(place / "found.json", found),
            load=lambda place: json.loads((place / "found.json").read_text()),
        )
        kerastl.system.atomic_files.write_json(folder / "report.json", result)


JOBS = {"distil": job, "quantize": quantize}


def child(function: Callable[[], None], *, kill_after: float | None = None, file_limit: int | None = None) -> int:
    """Runs a function in a forked process, killed after so many seconds; its exit status, negative for a signal."""
    number = os.fork()
    if number == 0:
        try:
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
            function()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + (PATIENCE if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return -signal.SIGKILL
        time.sleep(0.005)


def litter(folder: Path) -> list[str]:
    wanted = {"config.json", "report.json", "model.keras", "files.json", ".lock", "mobile", "logs", "stages"}
    strange = [path.name for path in folder.iterdir() if path.name not in wanted]
    strange += [path.name for path in (folder / "stages").iterdir() if path.name.startswith(".")]
    return strange + [path.name for path in folder.rglob("*") if "unfinished" in path.name]


def kills(count: int, seed: int, job: Callable[[Path], None], found: results.Results) -> int:
    """Kills one run `count` times at random instants, as often as it takes from the start."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        start = time.monotonic()
        whole = Path(root, "whole")
        if child(functools.partial(job, whole)) != 0:
            print("the undisturbed run failed", file=sys.stderr)
            return 1
        seconds = time.monotonic() - start
        expected = json.loads((whole / "report.json").read_text())
        killed, finished, wrong = 0, 0, []
        while killed < count:
            folder = Path(root, f"run-{finished}")
            while True:
                status = child(functools.partial(job, folder), kill_after=draw.uniform(0.5, 0.8 * seconds))
                if status == 0:
                    break
                if status != -signal.SIGKILL:
                    wrong.append(f"run {finished}: a restart ended with status {status}")
                    break
                killed += 1
                if killed >= count and child(functools.partial(job, folder)) != 0:
                    wrong.append(f"run {finished}: the last restart did not finish")
                if killed >= count:
                    break
            finished += 1
            if not (folder / "report.json").exists():
                wrong.append(f"run {finished - 1}: no report")
            elif json.loads((folder / "report.json").read_text()) != expected:
                wrong.append(f"run {finished - 1}: another result than the undisturbed run")
            if rest := litter(folder):
                wrong.append(f"run {finished - 1}: litter {rest}")
            print(f"{killed} kills, {finished} runs finished, {len(wrong)} wrong", flush=True)
        for line in wrong:
            print(line)
        row = {"kills": killed, "runs": finished, "seconds of a run": seconds, "wrong": wrong}
        found.keep("killed at random instants", [row])
        verdict = "every" if not wrong else "NOT every"
        print(f"{killed} kills at random instants of a run of {seconds:.0f} s: {verdict} restart ended bitwise equal")
        return 1 if wrong else 0


# -------------------------------------------------------------------------------------------- the same fault, two ways


def full_disk_keras(folder: Path) -> tuple[bool, str]:
    return _full_disk(folder, lambda model, path: model.save(path))


def full_disk_kerastl(folder: Path) -> tuple[bool, str]:
    return _full_disk(folder, kerastl.training.save_model)


def _full_disk(folder: Path, save: Callable[[keras.Model, Path], None]) -> tuple[bool, str]:
    path = folder / "model.keras"
    child(lambda: save(network(1), path))
    before = path.read_bytes()
    status = child(lambda: save(network(2), path), file_limit=len(before) // 2)
    kept = path.is_file() and path.read_bytes() == before
    return kept and status != 0, "the previous file is intact" if kept else "the previous file is lost"


def _two_lives(folder: Path, life: Callable[[], None]) -> str:
    died, _ = child(life), child(life)
    if died != -signal.SIGKILL:
        raise RuntimeError(f"Wanted a first life that is killed. Received: one that ended with status {died}.")
    path = folder / "weights"
    return path.read_text() if path.exists() else "nothing"


def killed_keras(folder: Path) -> tuple[bool, str]:
    def life(place: Path, die: bool) -> None:
        model = network(1)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        backup = keras.callbacks.BackupAndRestore(str(place / "backup"))
        split = pictures(1)
        callbacks = [backup, *([DieIn(place, 2)] if die else [])]
        model.fit(
            split.inputs.astype("float32"),
            split.labels,
            epochs=EPOCHS,
            batch_size=BATCH,
            verbose=0,
            callbacks=callbacks,
        )
        (place / "weights").write_text(digest(model))

    return _compare_lives(folder, life)


def killed_kerastl(folder: Path) -> tuple[bool, str]:
    def life(place: Path, die: bool) -> None:
        model = network(1)
        workspace = kerastl.runs.checkpoints.Workspace("lesson", folder=place / "work", logs=place / "logs")
        kerastl.training.fit(
            model,
            kerastl.data.pipeline.batches(pictures(1), batch_size=BATCH, shuffle=True),
            schedule=Schedule(epochs=EPOCHS),
            workspace=workspace,
            callbacks=[DieIn(place, 2)] if die else [],
            progress=False,
        )
        (place / "weights").write_text(digest(model))

    return _compare_lives(folder, life)


def _compare_lives(folder: Path, life: Callable[[Path, bool], None]) -> tuple[bool, str]:
    whole, parts = folder / "whole", folder / "parts"
    for place in (whole, parts):
        place.mkdir()
    child(lambda: life(whole, False))
    same = _two_lives(parts, lambda: life(parts, True)) == (whole / "weights").read_text()
    return same, "the weights are bitwise those of an undisturbed run" if same else "it ends with other weights"


class Scripted(keras.callbacks.Callback):
    """Good weights in the second epoch, useless ones in all others; dies in the third, once."""

    def __init__(self, folder: Path, good: list[np.ndarray]):
        super().__init__()
        self.die, self.good = DieIn(folder, 2), good

    def on_epoch_begin(self, epoch, logs=None):
        self.die.on_epoch_begin(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.die.on_train_batch_end(batch)
        self.model.set_weights(self.good if self.die.now == 1 else [weight * 0 for weight in self.good])


def worse_epoch_keras(folder: Path) -> tuple[bool, str]:
    def life() -> None:
        split, model, good = pictures(1), network(1), network(9).get_weights()
        held_out = _labelled_by(good, split)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
        best = folder / "best.keras"
        callbacks = [
            Scripted(folder, good),
            keras.callbacks.ModelCheckpoint(str(best), monitor="val_accuracy", mode="max", save_best_only=True),
            keras.callbacks.BackupAndRestore(str(folder / "backup")),
        ]
        inputs = split.inputs.astype("float32")
        model.fit(
            inputs,
            split.labels,
            validation_data=(inputs, held_out.labels),
            epochs=EPOCHS,
            batch_size=BATCH,
            verbose=0,
            callbacks=callbacks,
        )
        kept = keras.saving.load_model(best).get_weights()
        (folder / "weights").write_text("best" if any(weight.any() for weight in kept[:1]) else "useless")

    kept = _two_lives(folder, life)
    return kept == "best", f"the model kept is the {kept} one"


def worse_epoch_kerastl(folder: Path) -> tuple[bool, str]:
    def life() -> None:
        split, model, good = pictures(1), network(1), network(9).get_weights()
        kerastl.training.fit(
            model,
            kerastl.data.pipeline.batches(split, batch_size=BATCH),
            schedule=Schedule(epochs=EPOCHS),
            workspace=kerastl.runs.checkpoints.Workspace("lesson", folder=folder / "work", logs=folder / "logs"),
            validation=kerastl.data.pipeline.batches(_labelled_by(good, split), batch_size=BATCH),
            callbacks=[Scripted(folder, good)],
            progress=False,
        )
        (folder / "weights").write_text("best" if model.get_weights()[0].any() else "useless")

    kept = _two_lives(folder, life)
    return kept == "best", f"the model kept is the {kept} one"


def _labelled_by(weights: list[np.ndarray], split: Split) -> Split:
    """Labels as a network with these weights gives them: it has all of them right."""
    model = network(1)
    model.set_weights(weights)
    labels = model.predict(split.inputs, verbose=0).argmax(-1).astype("int32")
    return Split("validation", split.inputs, labels, TASK)


class Poison(keras.callbacks.Callback):
    """One NaN in a kernel, before the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            kernel = self.model.get_layer("convolution").kernel
            value = kernel.numpy()
            value[0, 0, 0, 0] = np.nan
            kernel.assign(value)


def nan_keras(folder: Path) -> tuple[bool, str]:
    def life() -> None:
        split, model = pictures(1), network(1)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        model.fit(
            split.inputs.astype("float32"),
            split.labels,
            epochs=2,
            batch_size=BATCH,
            verbose=0,
            callbacks=[Poison(), keras.callbacks.TerminateOnNaN()],
        )
        model.save(folder / "model.keras")
        finite = all(np.isfinite(weight).all() for weight in model.get_weights())
        (folder / "weights").write_text("finite" if finite else "NaN")

    child(life)
    saved = (folder / "weights").read_text()
    return saved == "finite", f"it ends without an error and saves {saved}"


def nan_kerastl(folder: Path) -> tuple[bool, str]:
    said = folder / "said"

    def life() -> None:
        try:
            kerastl.training.fit(
                network(1),
                kerastl.data.pipeline.batches(pictures(1), batch_size=BATCH),
                schedule=Schedule(epochs=2),
                callbacks=[Poison()],
                progress=False,
            )
        except kerastl.training.callbacks.NonFiniteError as error:
            said.write_text(str(error))

    child(life)
    words = said.read_text() if said.exists() else ""
    stopped = "after step" in words and "convolution" in words
    return stopped, "the run stops and names step and weight" if stopped else "nobody noticed"


INJECTIONS = {
    "disk full while saving over a good model": (full_disk_keras, full_disk_kerastl),
    "kill -9 in the third epoch, started again": (killed_keras, killed_kerastl),
    "a worse epoch after a restart": (worse_epoch_keras, worse_epoch_kerastl),
    "one NaN weight in the second epoch": (nan_keras, nan_kerastl),
}


def compare(found: results.Results) -> int:
    """The table; non-zero if kerastl fails one of the injections."""
    table = results.Table("the same fault, twice", {"fault": "{}", "Keras": "{}", "kerastl": "{}"})
    failed = False
    for fault, ways in INJECTIONS.items():
        cells = []
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                holds, words = way(Path(folder))
            cells.append(f"{'holds' if holds else 'FAILS'}: {words}")
            failed |= not holds and way is ways[1]
        table.add(fault, *cells)
    found.show(table)
    return 1 if failed else 0


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("what", nargs="?", choices=["compare", "kills"], default="compare")
    parser.add_argument("--count", type=int, default=100, help="how many kills (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--job", choices=JOBS, default="distil", help="what is killed (default distil)")
    options = parser.parse_args()
    preloading.preload()
    if options.what == "kills":
        return kills(options.count, options.seed, JOBS[options.job], options.results)
    return compare(options.results)


if __name__ == "__main__":
    sys.exit(main())
