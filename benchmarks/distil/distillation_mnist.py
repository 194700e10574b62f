"""The question `mnist` of `distillation.py`: the experiment that the field began with."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import layers

import kerastl
from benchmarks.tools.distillation_bench import BATCH, MODELS, Bench, accuracy
from kerastl.distil import distiller, losses
from kerastl.types import Schedule, Task, Workspace


def network(task: Task, units: int, *, dropout: float) -> keras.Model:
    """Two layers of rectified units on the pixels."""
    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Flatten(name="flatten")(layers.Rescaling(1 / 255, name="rescale")(image))
    x = layers.Dropout(0.4 * dropout, name="pixels_dropout")(x)
    for place in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"hidden{place}")(x)
        x = layers.Dropout(dropout, name=f"hidden{place}_dropout")(x)
    return keras.Model(image, layers.Dense(task.target.outputs, name="logits")(x))


def mnist(bench: Bench) -> dict[str, bool]:
    """Hinton et al. 2015, section 3: 67 errors of the teacher, 146 of the student alone, 74 of the distilled one.

    A teacher of 2 x 1200 rectified units with dropout (0.2 of the pixels, 0.5 of the units) and pictures moved by up to
    two pixels; students of 2 x 800 with neither, at a temperature of 20. The paper bounds the teacher's weights by
    their norm; weight decay is in its place here.
    """
    data = kerastl.data.mnist.load(seed=0, validation=5000, limit=bench.limit)
    teaching = bench.epochs(Schedule(epochs=60, batch_size=BATCH, peak_learning_rate=1e-3, weight_decay=1e-3))
    learning = bench.epochs(Schedule(epochs=40, batch_size=BATCH, peak_learning_rate=1e-3, weight_decay=0.0))

    def fit(model: keras.Model, schedule: Schedule, seed: int, workspace: Workspace, **options: Any) -> Any:
        batches = kerastl.data.pipeline.batches(
            data.train, batch_size=BATCH, shuffle=True, seed=seed, drop_remainder=True, **options
        )
        held = kerastl.data.pipeline.batches(data.validation, batch_size=500)
        return kerastl.training.fit(
            model, batches, schedule=schedule, workspace=workspace, validation=held, keep="last"
        )

    def teach(workspace: Workspace) -> kerastl.training.Trained:
        kerastl.training.set_seed(0)
        model, jitter = (
            network(data.task, 1200, dropout=0.5),
            kerastl.inputs.augmentation.image_augmentation(translation=2 / 28),
        )
        return kerastl.training.Trained(model, fit(model, teaching, 0, workspace, augment=jitter))

    teacher = bench.run.stage("mnist-teacher", teach, key=[data.digest, teaching], **MODELS).model
    answers = kerastl.training.predict(teacher, data.train.inputs)  # nothing moves the students' pictures

    def learn(seed: int, workspace: Workspace, *, taught: bool) -> kerastl.training.Trained:
        kerastl.training.set_seed(seed + 1)
        student = model = network(data.task, 800, dropout=0.0)
        if taught:
            soft = functools.partial(losses.kl_divergence, temperature=20.0)
            model = distiller.Distiller(student=student, teacher=None, loss=soft, weight=0.9)
        options = {"answers": answers} if taught else {}
        return kerastl.training.Trained(student, fit(model, learning, seed, workspace, **options))

    taught_by, student = bench.run.stage_key("mnist-teacher"), functools.partial(learn, taught=True)
    students = {
        "alone": bench.students("mnist-alone", functools.partial(learn, taught=False), learning, data.digest),
        "distilled": bench.students("mnist-distilled", student, learning, taught_by),
    }
    above = accuracy(teacher, data.test)
    ways = {name: [accuracy(student, data.test) for student in each] for name, each in students.items()}
    found = bench.show("MNIST, 2 x 1200 teaches 2 x 800", teacher=above, ways=ways)["distilled"]
    wrong = [round((1 - float(np.mean(scores))) * len(data.test)) for scores in (above, *ways.values())]
    print(f"errors of teacher, alone, distilled: {', '.join(map(str, wrong))}; the paper's: 67, 146, 74")
    return {f"g = {found.gap or 0:.2f}, at least 0.80": (found.gap or 0) >= 0.8}
