"""Training: the schedule against its formula, the guards against injected faults."""

import contextlib
import dataclasses
import json
import math

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, SEVERAL, At, Killed, batches, quiet, small_model

from kerastl.data import pipeline
from kerastl.distil import distiller, terms
from kerastl.inputs.numbers import Numbers
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import batching, fitting
from kerastl.types import Schedule, Split, Task


def workspace(folder):
    return Workspace("lesson", folder=folder / "checkpoints", logs=folder / "lesson")


@pytest.mark.parametrize("warmup_fraction", [0.0, 0.1, 0.5])
def test_warmup_cosine_equals_its_formula(warmup_fraction):
    total, peak = 100, 0.4
    schedule = fitting.warmup_cosine(
        Schedule(epochs=1, peak_learning_rate=peak, warmup_fraction=warmup_fraction), total
    )
    warmup = warmup_fraction * total
    for step in [0, 1, 5, 9, 10, 11, 50, 77, 100]:
        if step < warmup:
            expected = peak * step / warmup
        else:
            expected = peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-6)


def test_fit_learns_and_returns_one_value_an_epoch(tmp_path, examples):
    curves = quiet(small_model(), batches(*examples), validation=batches(*examples), workspace=workspace(tmp_path))
    assert curves.stage == "lesson"
    assert set(curves.values) >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(series) == 2 for series in curves.values.values())
    assert curves.values["loss"][1] < curves.values["loss"][0]


def test_two_runs_with_one_seed_are_bitwise_equal(examples):
    weights = []
    for _ in range(2):
        fitting.set_seed(7)
        model = small_model(seed=7)
        quiet(model, batches(*examples))
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


class SetWeights(keras.callbacks.Callback):
    """Makes the weights of one epoch recognisably good or bad."""

    def __init__(self, by_epoch):
        super().__init__()
        self.by_epoch = by_epoch

    def on_train_batch_end(self, batch, logs=None):
        self.model.set_weights(self.by_epoch[self.epoch])

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


@pytest.mark.parametrize(("keep", "expected"), [("best", 1), ("last", 2)])
def test_keep(examples, keep, expected):
    inputs, labels = examples
    good = small_model()
    quiet(good, batches(inputs, labels), schedule=Schedule(epochs=30, peak_learning_rate=3e-2))
    bad = [np.zeros_like(w) for w in good.get_weights()]
    by_epoch = [bad, good.get_weights(), bad]
    model = small_model()
    quiet(
        model,
        batches(inputs, labels),
        validation=batches(inputs, labels),
        schedule=Schedule(epochs=3),
        keep=keep,
        callbacks=[SetWeights(by_epoch)],
    )
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), by_epoch[expected], strict=True))


def test_unknown_and_zero_numbers_of_batches_are_refused(examples):
    endless = batches(*examples).repeat()
    empty = batches(*examples).take(0)
    for data in (endless, empty, endless.filter(lambda x, y: True)):
        with pytest.raises(ValueError, match="known, positive number"):
            quiet(small_model(), data)
    with pytest.raises(ValueError, match="'best' or 'last'"):
        quiet(small_model(), batches(*examples), keep="first")


def test_save_and_load(tmp_path, examples):
    model = small_model()
    curves = quiet(model, batches(*examples))
    fitting.save(fitting.Trained(model, curves), tmp_path)
    again = fitting.load(tmp_path)
    assert again.curves == curves
    np.testing.assert_array_equal(fitting.predict(again.model, examples[0]), fitting.predict(model, examples[0]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.json", "model.keras"]
    assert json.loads((tmp_path / "curves.json").read_text())["stage"] == "training"


def test_a_failed_save_leaves_the_previous_file(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    fitting.save_model(small_model(), path)
    before = path.read_bytes()

    class Unsaveable(keras.layers.Layer):
        def call(self, inputs):
            return inputs

        def save_own_variables(self, store):
            raise OSError("disk full")

    inputs = keras.Input((2,))
    with pytest.raises(OSError, match="disk full"):
        fitting.save_model(keras.Model(inputs, Unsaveable()(inputs)), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_predict_is_numpys_matrix_product(examples):
    model = small_model()
    kernel1, bias1, kernel2, bias2 = model.get_weights()
    expected = np.maximum(examples[0] @ kernel1 + bias1, 0) @ kernel2 + bias2
    np.testing.assert_allclose(fitting.predict(model, examples[0], batch_size=10), expected, atol=1e-5)


def test_tensorboard_logs(tmp_path, examples):
    quiet(small_model(), batches(*examples), workspace=workspace(tmp_path))
    assert list((tmp_path / "lesson").rglob("events.out.tfevents.*"))


def test_frozen_layers_are_bitwise_unchanged_by_fine_tuning(examples):
    """A frozen BatchNormalization keeps its moving statistics as well as its weights; the head alone learns."""
    inputs, labels = examples
    keras.utils.set_random_seed(0)
    start = keras.Input((4,), name="vector")
    x = keras.layers.Dense(8, name="dense")(start)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    model = keras.Model(start, keras.layers.Dense(3, name="logits")(x))
    fitting.fit(model, batches(inputs, labels), schedule=Schedule(epochs=2), task=DIRECTIONS, progress=False)
    for name in ("dense", "norm"):
        model.get_layer(name).trainable = False
    before = {layer.name: [weight.tobytes() for weight in layer.get_weights()] for layer in model.layers}
    fitting.fit(model, batches(inputs * 3 + 1, labels), schedule=Schedule(epochs=3), task=DIRECTIONS, progress=False)
    after = {layer.name: [weight.tobytes() for weight in layer.get_weights()] for layer in model.layers}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"logits"}


@pytest.mark.parametrize(
    "metrics", [None, [], ["accuracy"], [keras.metrics.SparseTopKCategoricalAccuracy(k=2, name="top_2")]]
)
def test_patience_stops_and_keeps_the_best_epoch(examples, metrics):
    """Validation labels that training can only unlearn: the first epoch is the best, and the third the last."""
    inputs, labels = examples
    curves = quiet(
        small_model(),
        batches(inputs, labels),
        validation=batches(inputs, (labels + 1) % 3),
        schedule=Schedule(epochs=9, batch_size=8, peak_learning_rate=0.05),
        patience=2,
        metrics=metrics,
    )
    assert set(curves.values) - {"val_top_2", "top_2"} == {"loss", "accuracy", "val_loss", "val_accuracy"}
    scores = curves.values["val_accuracy"]
    assert len(scores) < 9
    assert int(np.argmax(scores)) == len(scores) - 3


def test_patience_needs_something_to_wait_for(examples):
    with pytest.raises(ValueError, match="no validation"):
        quiet(small_model(), batches(*examples), patience=2)
    with pytest.raises(ValueError, match="keep='last', validation"):
        quiet(small_model(), batches(*examples), validation=batches(*examples), keep="last", patience=2)


def test_the_optimizer_that_is_asked_for_trains(examples):
    model = small_model()
    quiet(model, batches(*examples), optimizer=keras.optimizers.Lion)
    assert isinstance(model.optimizer, keras.optimizers.Lion)


def test_predict_reads_streamed_pictures_a_batch_at_a_time(stream):
    pictures = np.random.default_rng(0).integers(0, 256, (103, 6, 5, 3)).astype(np.uint8)
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.Dropout(0.5), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 5, 3)), *layers])
    inputs = stream(pictures)
    for batch_size in (10, 500):
        np.testing.assert_array_equal(
            fitting.predict(model, inputs, batch_size=batch_size),
            fitting.predict(model, pictures, batch_size=batch_size),
        )


def test_class_weights_are_the_targets():
    labels = np.array([0] * 6 + [1] * 3 + [2], np.int32)
    assert fitting.class_weights(labels, DIRECTIONS.target) == {0: 10 / 18, 1: 10 / 9, 2: 10 / 3}


def test_class_weight_weighs_the_loss_and_nothing_else(examples):
    inputs, labels = examples
    weight = {0: 0.2, 1: 1.0, 2: 7.0}
    found = {}
    for name, given in (("plain", None), ("weighed", weight)):
        model = small_model()
        logits = fitting.predict(model, inputs).astype(np.float64)
        data = batches(inputs, labels, size=len(inputs))
        curves = quiet(model, data, validation=data, schedule=Schedule(epochs=1), class_weight=given, keep="last")
        found[name] = curves.values, model.get_weights()
    log_sums = np.log(np.exp(logits).sum(-1))
    losses = log_sums - logits[np.arange(len(labels)), labels]
    assert found["plain"][0]["loss"][0] == pytest.approx(losses.mean(), rel=1e-5)
    weights = np.array([weight[label] for label in labels.tolist()])
    assert found["weighed"][0]["loss"][0] == pytest.approx((weights * losses).mean(), rel=1e-5)
    assert found["weighed"][0]["accuracy"] == found["plain"][0]["accuracy"]
    assert any((one != other).any() for one, other in zip(found["weighed"][1], found["plain"][1], strict=True))


def test_class_weight_survives_an_interruption(examples, tmp_path):
    """The rest of an epoch that was begun is a `fit` of its own: it is weighed too."""

    class Stop(keras.callbacks.Callback):
        again = False

        def on_train_batch_end(self, batch, logs=None):
            if batch == 3 and not Stop.again:
                raise KeyboardInterrupt

    inputs, labels = examples
    options = {"class_weight": {0: 0.2, 1: 1.0, 2: 7.0}, "schedule": Schedule(epochs=2)}
    whole = small_model()
    due = Workspace("lesson", folder=tmp_path / "checkpoints", logs=tmp_path / "lesson", every_seconds=0.0)
    quiet(whole, batches(inputs, labels), **options)
    model = small_model()
    with pytest.raises(KeyboardInterrupt):
        quiet(model, batches(inputs, labels), workspace=due, callbacks=[Stop()], **options)
    again, Stop.again = small_model(seed=5), True
    quiet(again, batches(inputs, labels), workspace=due, callbacks=[Stop()], **options)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_texts_are_predicted_fifty_at_a_time(tiny_text, monkeypatch):
    sizes = []
    plain = keras.Model.predict_on_batch

    def predict(self, batch):
        sizes.append(len(batch))
        return plain(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict)
    task = tiny_text.task
    assert len(tiny_text.inputs) == 120
    fitting.predict(tiny_text.model, tiny_text.inputs, task=task)
    fitting.predict(tiny_text.model, tiny_text.inputs[:15], batch_size=7, task=task)
    fitting.predict(tiny_text.model, tiny_text.inputs)
    assert sizes == [50, 50, 20, 7, 7, 1, 120]


def test_predictions_are_those_of_keras_and_traced_once(examples):
    """Of arrays in any number of batches, and of whole numbers and float64 in place of the model's float32."""
    inputs, _ = examples
    model, traced = small_model(), []
    step = model.predict_step
    model.predict_step = lambda data: traced.append(data) or step(data)
    found = [fitting.predict(model, inputs[:count], batch_size=20) for count in (64, 30, 1)]
    assert len(traced) == 1
    for received, count in zip(found, (64, 30, 1), strict=True):
        np.testing.assert_array_equal(received, small_model().predict(inputs[:count], batch_size=20, verbose=0))
    whole = (10 * inputs).astype("uint8")
    for values in (whole, inputs.astype("float64")):
        wanted = model(values.astype("float32"), training=False)
        np.testing.assert_allclose(fitting.predict(model, values), wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"one at least. Received: \[\(0, 4\)\]"):
        fitting.predict(model, inputs[:0])


def several(examples):
    inputs, _ = examples
    return inputs, (inputs @ np.random.default_rng(1).normal(size=(4, 3)) > 0.5).astype("int32")


def test_loss_and_score_of_several_classes_are_the_written_down_ones(examples):
    inputs, labels = several(examples)
    model = small_model()
    logits = fitting.predict(model, inputs).astype(np.float64)
    data = batches(inputs, labels, size=len(inputs))
    curves = quiet(
        model, data, validation=data, schedule=Schedule(epochs=1, peak_learning_rate=1e-9), keep="last", task=SEVERAL
    )
    p = 1 / (1 + np.exp(-logits))
    entropy = -(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    assert curves.values["val_loss"][0] == pytest.approx(entropy.mean(), rel=1e-5)
    right = [
        all((q >= 0.5) == bool(label) for q, label in zip(*row, strict=True)) for row in zip(p, labels, strict=True)
    ]
    assert curves.values["val_exact_match"][0] == pytest.approx(sum(right) / len(right))


def test_the_best_epoch_of_several_classes_is_that_of_the_best_exact_match(examples):
    data = batches(*several(examples))
    model = small_model()
    schedule = Schedule(epochs=8, peak_learning_rate=0.5)
    curves = quiet(model, data, validation=data, schedule=schedule, keep="best", task=SEVERAL)
    score = model.evaluate(data, verbose=0, return_dict=True)["exact_match"]
    assert score == pytest.approx(max(curves.values["val_exact_match"]))
    assert score > curves.values["val_exact_match"][0]


def test_several_classes_are_seen_beside_stored_answers(examples):
    inputs, labels = several(examples)
    answers = inputs @ np.random.default_rng(2).normal(size=(4, 3)).astype("float32")

    def each(teacher, student):
        chances = keras.ops.sigmoid(teacher)
        return keras.ops.mean(keras.ops.binary_crossentropy(chances, student, from_logits=True), -1)

    named = {"labels": terms.LabelLoss(0.5), "soft": terms.LogitLoss(each, 0.5, independent=True)}
    model = distiller.Distiller(student=small_model(), teacher=None, losses=named)
    lesson, held = batches(inputs, (labels, answers)), batches(inputs, labels)
    schedule = Schedule(epochs=8, peak_learning_rate=0.5)
    curves = quiet(model, lesson, validation=held, schedule=schedule, keep="best", task=SEVERAL)
    score = model.evaluate(held, verbose=0, return_dict=True)["exact_match"]
    assert score == pytest.approx(max(curves.values["val_exact_match"]))
    assert score > curves.values["val_exact_match"][0]


def weighed_by_hand(labels, logits, weights):
    p = 1 / (1 + np.exp(-logits))
    return -(weights * labels * np.log(p) + (1 - labels) * np.log(1 - p))


def test_positive_weights_are_in_the_loss_and_in_its_gradient(examples):
    """One step of plain gradient descent is the gradient, derived by hand: ``w y (p - 1) + (1 - y) p`` a logit."""
    inputs, labels = several(examples)
    weight = {2: 4.0, 0: 0.5, 1: 2.5}
    weights = np.array([0.5, 2.5, 4.0])
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((inputs.shape[1],)), keras.layers.Dense(3)])
    kernel, bias = (array.astype(np.float64) for array in model.get_weights())
    data = batches(inputs, labels, size=len(inputs))
    schedule = Schedule(epochs=1, peak_learning_rate=0.1)
    rule = {"optimizer": lambda rate, weight_decay: keras.optimizers.SGD(rate), "keep": "last", "task": SEVERAL}
    curves = quiet(model, data, validation=data, schedule=schedule, class_weight=weight, **rule)
    logits = inputs @ kernel + bias
    assert curves.values["loss"][0] == pytest.approx(weighed_by_hand(labels, logits, weights).mean(), rel=1e-5)
    p = 1 / (1 + np.exp(-logits))
    slope = (weights * labels * (p - 1) + (1 - labels) * p) / labels.size
    plain = (p - labels) / labels.size
    after, after_bias = model.get_weights()
    np.testing.assert_allclose(after, kernel - 0.1 * inputs.T @ slope, atol=1e-6)
    np.testing.assert_allclose(after_bias, bias - 0.1 * slope.sum(0), atol=1e-6)
    assert np.abs(inputs.T @ (slope - plain)).max() > 1e-2, "the weights make a difference"
    logits = inputs @ after.astype(np.float64) + after_bias
    assert curves.values["val_loss"][0] == pytest.approx(weighed_by_hand(labels, logits, weights).mean(), rel=1e-5)
    assert list(curves.values) == ["exact_match", "loss", "val_exact_match", "val_loss"]


def test_a_weighed_model_is_saved_with_its_loss(examples, tmp_path):
    inputs, labels = several(examples)
    model = small_model()
    weights = {0: 2.0, 1: 0.5, 2: 9.0}
    quiet(model, batches(inputs, labels), schedule=Schedule(epochs=1), class_weight=weights, task=SEVERAL)
    fitting.save_model(model, tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.weights == [2.0, 0.5, 9.0]
    expected = weighed_by_hand(labels, fitting.predict(model, inputs).astype(np.float64), np.array([2.0, 0.5, 9.0]))
    assert again.evaluate(inputs, labels, verbose=0)[0] == pytest.approx(expected.mean(), rel=1e-5)


class Never(keras.callbacks.Callback):
    """No step may be reached."""

    def on_train_batch_begin(self, batch, logs=None):
        raise AssertionError("a step was taken")


@pytest.mark.parametrize("task", [DIRECTIONS, SEVERAL], ids=["one class", "several"])
@pytest.mark.parametrize(
    "weight",
    [
        {0: 1.0, 1: 2.0},
        {0: 1.0, 1: 2.0, 3: 1.0},
        {0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0},
        *({0: 1.0, 1: wrong, 2: 1.0} for wrong in (0.0, -1.0, float("nan"), float("inf"))),
    ],
    ids=["lacking", "another", "one too many", "zero", "negative", "nan", "infinite"],
)
def test_weights_that_do_not_fit_the_classes_are_refused_before_the_first_step(examples, task, weight):
    data = examples if task is DIRECTIONS else several(examples)
    with pytest.raises(ValueError, match=r"positive, finite weight for each class, by its index 0\.\.2 \(a, b, c\)"):
        quiet(small_model(), batches(*data), class_weight=weight, task=task, callbacks=[Never()])


def test_weights_beside_a_loss_that_does_not_know_them_are_refused(examples):
    weight = {0: 1.0, 1: 2.0, 2: 1.0}
    own = keras.losses.BinaryCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"in its own loss.*Received: weights of \[0, 1, 2\] and the loss"):
        quiet(small_model(), batches(*several(examples)), class_weight=weight, loss=own, task=SEVERAL)
    with pytest.raises(ValueError, match=r"task=.*loss= where classes have no weights"):
        quiet(small_model(), batches(*examples), class_weight=weight, loss=own, task=None)


def test_an_optimizer_gets_the_schedules_weight_decay(examples):
    given = []

    def made(rate, weight_decay):
        given.append(weight_decay)
        return keras.optimizers.AdamW(rate, weight_decay=weight_decay)

    quiet(small_model(), batches(*examples), optimizer=made, schedule=Schedule(epochs=1, weight_decay=0.3))
    assert given == [0.3]


def test_without_a_task_a_loss_is_wanted_and_is_the_score(examples):
    inputs, labels = examples
    with pytest.raises(ValueError, match=r"task= .*loss= .*Received: no task, no loss"):
        quiet(small_model(), batches(inputs, labels), task=None)
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model, data = small_model(), batches(inputs, labels)
    other = batches(inputs, (labels + 1) % 3)
    options = {"loss": own, "task": None, "schedule": Schedule(epochs=4, peak_learning_rate=0.05)}
    curves = quiet(model, data, validation=other, **options)
    assert set(curves.values) == {"loss", "val_loss"}
    best = min(curves.values["val_loss"])
    assert model.evaluate(other, verbose=0, return_dict=True)["loss"] == pytest.approx(best, rel=1e-5)
    assert best < curves.values["val_loss"][-1], "the last epoch is another one"


@dataclasses.dataclass(frozen=True)
class Distance(SingleLabel):
    """The same classes, with a score of which less is better."""

    higher_is_better = False

    def training_metric(self):
        return keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="distance")


def test_the_best_epoch_is_that_of_the_least_score_where_less_is_better(examples):
    inputs, labels = examples
    task = dataclasses.replace(DIRECTIONS, target=Distance(("a", "b", "c")))
    held = batches(inputs, (labels + 1) % 3)
    schedule, model = Schedule(epochs=6, peak_learning_rate=0.05), small_model()
    curves = quiet(model, batches(inputs, labels), validation=held, schedule=schedule, task=task)
    distances = curves.values["val_distance"]
    assert min(distances) < distances[-1]
    score = model.evaluate(held, verbose=0, return_dict=True)["distance"]
    assert score == pytest.approx(min(distances), rel=1e-5)


@pytest.mark.parametrize("form", ["split", "arrays", "batches"])
def test_a_split_arrays_and_batches_teach_the_same(examples, form):
    """A split and a pair of arrays are shuffled as the pipeline shuffles them, in batches of the schedule's size."""
    split = Split("train", *examples, DIRECTIONS)
    options = {"schedule": Schedule(epochs=3, batch_size=16, peak_learning_rate=1e-2), "keep": "last"}
    wanted = small_model()
    made = pipeline.batches(split, batch_size=16, shuffle=True, seed=4)
    expected = quiet(wanted, made, validation=pipeline.batches(split, batch_size=16), **options)
    data, held = {
        "split": (split, split),
        "arrays": (examples, examples),
        "batches": (
            batching.batches(split, batch_size=16, shuffle=True, seed=4),
            batching.batches(split, batch_size=16, shuffle=False),
        ),
    }[form]
    model = small_model()
    options |= {"task": DIRECTIONS if form != "split" else None}
    curves = fitting.fit(model, data, validation=held, seed=4, progress=False, **options)
    assert curves == expected
    for one, other in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_arrays_without_a_task_are_refused(examples):
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"wanted task=.*Received: no task"):
        fitting.fit(small_model(), examples, schedule=Schedule(epochs=1), loss=own, progress=False)


def test_batches_of_the_pipeline_know_what_is_asked(examples):
    inputs, labels = several(examples)
    made = pipeline.batches(Split("train", inputs, labels, SEVERAL), batch_size=8)
    curves = fitting.fit(small_model(), made, schedule=Schedule(epochs=1), progress=False)
    assert "exact_match" in curves.values


@pytest.mark.parametrize(("task", "word"), [(DIRECTIONS, "accuracy"), (SEVERAL, "exact_match"), (None, "loss")])
def test_a_line_of_progress_tells_the_score(examples, task, word, capsys):
    data = examples if task is not SEVERAL else several(examples)
    own = None if task else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitting.fit(
        small_model(), batches(*data), schedule=Schedule(epochs=1), validation=batches(*data), task=task, loss=own
    )
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "epoch 1/1" in line]
    assert f" {word} 0." in line or f" {word} 1." in line
    assert f"val_{word} " in line


def test_a_split_goes_on_after_an_interruption_in_the_same_order(examples, tmp_path):
    split, found = Split("train", *examples, DIRECTIONS), {}
    for folder, stop in (("whole", 0), ("parts", 11), ("parts", 0)):
        model = small_model()
        due = Workspace("lesson", folder=tmp_path / folder / "w", logs=tmp_path / folder, every_seconds=0)
        with pytest.raises(Killed) if stop else contextlib.nullcontext():
            quiet(model, split, workspace=due, callbacks=[At(stop)], task=None)
        found[folder] = model.get_weights()
    for one, other in zip(found["whole"], found["parts"], strict=True):
        np.testing.assert_array_equal(one, other)


SERIES = np.random.default_rng(0).normal(size=(80, 4)).astype("float32")


def two_heads():
    keras.utils.set_random_seed(0)
    row = keras.Input((4,), name="row")
    x = keras.layers.Dense(16, activation="relu", name="hidden")(row)
    heads = {name: keras.layers.Dense(size, name=f"{name}_dense")(x) for name, size in (("far", 2), ("near", 3))}
    return keras.Model(row, heads)


def test_a_model_of_several_outputs_learns_by_the_loss_of_each():
    teacher = two_heads()
    labels = fitting.predict(teacher, SERIES)
    labels = {"far": 1000 * labels["far"], "near": labels["near"]}
    task = Task("rows", Numbers((4,)), Agreement.of(labels))
    split = Split("train", SERIES, labels, task)
    student = two_heads()
    student.set_weights([0.5 * weight for weight in teacher.get_weights()])
    student.get_layer("far_dense").set_weights([1000 * w for w in student.get_layer("far_dense").get_weights()])
    schedule = Schedule(epochs=30, batch_size=20, peak_learning_rate=0.02)
    history = fitting.fit(student, split, schedule=schedule, validation=split, progress=False)
    assert set(history.values) == {
        *("loss", "far_loss", "near_loss", "val_loss", "val_far_loss", "val_near_loss"),
    }
    assert history.values["val_near_loss"][-1] < 0.1 * history.values["val_near_loss"][0]
    answers = fitting.predict(student, SERIES, task=task)
    best = min(history.values["val_loss"])  # the weights of the epoch with the least loss are kept
    errors = [
        np.square((answers[n] - labels[n]) / np.array(s)).mean()
        for n, s in zip(task.target.names, task.target.spread, strict=True)
    ]
    assert sum(errors) == pytest.approx(best, rel=1e-3)


def test_answers_of_several_outputs_come_by_name():
    model = two_heads()
    wanted = model(SERIES, training=False)
    found = fitting.predict(model, SERIES)
    assert list(found) == ["far", "near"]
    for name in found:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6)
        assert found[name].dtype == np.float32
    listed = keras.Model(model.inputs, [wanted for _, wanted in sorted(model.output.items())])
    assert list(fitting.predict(listed, SERIES)) == listed.output_names
    task = Task("rows", Numbers((4,)), Agreement(("a", "b"), (1.0, 1.0)))
    named = fitting.predict(listed, SERIES, task=task)
    np.testing.assert_array_equal(named["b"], found["near"])


@pytest.mark.parametrize("structure", [list, lambda outputs: {"named": outputs[0]}], ids=["list", "mapping"])
def test_one_output_in_a_list_or_a_mapping_is_one_output(structure):
    keras.utils.set_random_seed(0)
    row = keras.Input((4,))
    model = keras.Model(row, structure([keras.layers.Dense(2)(row)]))
    labels = (SERIES[:, 0] > 0).astype("int32")
    task = Task("rows", Numbers((4,)), SingleLabel(("a", "b")))
    split = Split("train", SERIES, labels, task)
    schedule = Schedule(epochs=20, batch_size=20, peak_learning_rate=0.1)
    fitting.fit(model, split, schedule=schedule, validation=split, progress=False)
    answers = fitting.predict(model, SERIES, task=task)
    assert answers.shape == (len(SERIES), 2)
    assert task.target.score(answers, labels).value > 0.9


def test_two_outputs_of_one_name_are_refused_where_no_task_names_them():
    row = keras.Input((4,))
    halves = keras.ops.split(keras.layers.Dense(4)(row), 2, axis=-1)
    model = keras.Model(row, list(halves))
    with pytest.raises(ValueError, match="outputs of different names"):
        fitting.predict(model, SERIES)
    labels = {"left": np.ones((2, 2), "float32"), "right": np.zeros((2, 2), "float32")}
    task = Task("rows", Numbers((4,)), Agreement.of(labels))
    assert sorted(fitting.predict(model, SERIES, task=task)) == ["left", "right"]


def test_the_epoch_of_the_best_agreement_is_kept():
    """That of the least loss: the score is better the higher it is, and may be 0 in every epoch."""
    keras.utils.set_random_seed(0)
    row = keras.Input((4,))
    model = keras.Model(row, keras.layers.Dense(2, name="answer")(row))
    labels, own = fitting.predict(model, SERIES), model.get_weights()
    split = Split("train", SERIES, labels, Task("rows", Numbers((4,)), Agreement.of(labels)))
    by_epoch = [[0.5 * weight for weight in own], own, [0.0 * weight for weight in own]]
    history = fitting.fit(
        model,
        split,
        schedule=Schedule(epochs=3, batch_size=80),
        validation=split,
        callbacks=[SetWeights(by_epoch)],
        progress=False,
    )
    losses = history.values["val_loss"]
    assert losses[1] == 0 < min(losses[0], losses[2])
    for kept, wanted in zip(model.get_weights(), own, strict=True):
        np.testing.assert_array_equal(kept, wanted)
