"""Weight decay and steps: bitwise Keras' own, of one answer of the schedule and one step size of Adam's."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.training import fitting, weight_decay
from kerastl.types import Schedule


class Counted(keras.optimizers.schedules.CosineDecay):
    """A schedule that counts how often it is put into a graph."""

    asked = 0

    def __call__(self, step):
        self.asked += 1
        return super().__call__(step)


OPTIMIZERS = {
    "AdamW": keras.optimizers.AdamW,
    "SGD": keras.optimizers.SGD,
    "gathered": lambda rate, **options: keras.optimizers.AdamW(rate, gradient_accumulation_steps=2, **options),
    "averaged": lambda rate, **options: keras.optimizers.AdamW(rate, use_ema=True, **options),
    "amsgrad": lambda rate, **options: keras.optimizers.AdamW(rate, amsgrad=True, **options),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_are_bitwise_those_of_keras_and_the_schedule_is_asked_once_for_all_of_them(name):
    random, ended, asked = np.random.default_rng(0), [], []
    rows, labels = random.normal(size=(60, 5)).astype("float32"), random.integers(0, 3, 60)
    for change in (lambda optimizer: optimizer, weight_decay.ask_once):
        keras.utils.set_random_seed(0)
        row = keras.Input((5,))
        model = keras.Model(row, keras.layers.Dense(3)(keras.layers.Dense(8, activation="relu")(row)))
        schedule = Counted(0.0, 20, warmup_target=0.05, warmup_steps=4)
        optimizer = change(OPTIMIZERS[name](schedule, weight_decay=0.1))
        model.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=False,
            jit_compile=False,
        )
        model.fit(tf.data.Dataset.from_tensor_slices((rows, labels)).batch(10), epochs=3, verbose=0)
        asked.append(schedule.asked)
        ended.append([*model.get_weights(), np.asarray(optimizer.learning_rate)])
    for own, keras_own in zip(*ended, strict=True):
        np.testing.assert_array_equal(own, keras_own)
    traces = asked[1]  # TensorFlow traces a step twice where it makes variables
    assert traces > 0
    assert asked[0] == 5 * traces, "once for the step itself, and for each of four variables"


@pytest.mark.parametrize(("name", "powers"), [("AdamW", 2), ("SGD", 0), ("amsgrad", 8)])
def test_adam_makes_its_step_size_once_for_all_variables(name, powers):
    """Keras raises both decay rates to the power of the step for each of four variables, as it still does elsewhere."""
    row = keras.Input((5,))
    model = keras.Model(row, keras.layers.Dense(3)(keras.layers.Dense(8)(row)))
    optimizer = weight_decay.ask_once(OPTIMIZERS[name](0.1, weight_decay=0.1))
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda: optimizer.apply([tf.ones(one.shape) for one in model.trainable_variables]))
    found = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert found.count("Pow") == powers


def test_fit_asks_once_and_the_saved_model_names_an_optimizer_of_keras(tmp_path, examples, monkeypatch):
    row = keras.Input((4,))
    model = keras.Model(row, keras.layers.Dense(3)(keras.layers.Dense(8)(row)))
    schedule = Counted(0.01, 20)
    monkeypatch.setattr(fitting, "warmup_cosine", lambda *_: schedule)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    settings = Schedule(epochs=1, batch_size=16, peak_learning_rate=0.01, weight_decay=0.1)
    batches = tf.data.Dataset.from_tensor_slices(examples).batch(16)
    fitting.fit(model, batches, schedule=settings, loss=loss, progress=False)
    assert schedule.asked == 1, "for the step itself and for the decay of all variables"
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        described = json.loads(file.read("config.json"))["compile_config"]["optimizer"]
    assert (described["module"], described["class_name"]) == ("keras.optimizers", "AdamW")
