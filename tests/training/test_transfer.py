"""Transfer: cached features against the model itself, the optimizer against NumPy, the plan in its regimes."""

from __future__ import annotations

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import models
from kerastl.data import pipeline
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, transfer
from kerastl.types import Schedule, Split, Task

FEATURES = Numbers((4,))
TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("dark", "middle", "bright")))


@pytest.fixture
def pictures() -> Split:
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(3, dtype=np.int32), 10)
    inputs = 80 * labels[:, None, None, None] + generator.integers(0, 60, (30, 8, 8, 1))
    return Split("train", inputs.astype(np.uint8), labels, TASK)


def network(seed: int = 0) -> keras.Model:
    """A backbone of one convolution with BatchNormalization, and its head."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, name="convolution")(x)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x), name="network")


# ----------------------------------------------------------------------------------------------------------------- plan


@pytest.mark.parametrize(
    ("examples", "classes", "epochs", "views"),
    [(40, 10, 0, 7), (140, 14, 40, 7), (675, 14, 19, 3), (3000, 10, 40, 1), (100_000, 10, 3, 1)],
)
def test_the_plan_follows_the_amount_of_data(examples, classes, epochs, views):
    plan = transfer.plan(examples=examples, classes=classes)
    assert (plan.fine_tune.epochs if plan.fine_tune else 0) == epochs
    assert plan.views == views
    assert f"{examples} examples" in plan.why
    assert ("by heart" in plan.why) == (epochs == 0)


def test_epochs_that_are_given_stand():
    plan = transfer.plan(examples=675, classes=14, epochs=2)
    assert plan.fine_tune is not None
    assert plan.fine_tune.epochs == 2
    assert transfer.plan(examples=675, classes=14, epochs=0).fine_tune is None


def test_the_plan_counts_the_examples_of_a_class_where_one_may_have_several():
    plan = transfer.plan(examples=60, classes=4, each=30.0)
    assert "60 examples, 30 a class" in plan.why
    assert plan.views == transfer.plan(examples=120, classes=4).views == 3
    assert transfer.plan(examples=60, classes=4).views == 7


def test_the_plan_for_a_split_counts_what_it_is_asked(pictures):
    plan = transfer.plan_for(pictures, batch_size=8)
    assert plan == transfer.plan(examples=30, classes=3, batch_size=8)
    assert transfer.plan_for(pictures, batch_size=8, epochs=0, learning_rate=0.5).fine_tune is None
    faster = transfer.plan_for(pictures, batch_size=8, epochs=2, learning_rate=0.5)
    assert faster.fine_tune == dataclasses.replace(
        transfer.plan(examples=30, classes=3, batch_size=8, epochs=2).fine_tune, peak_learning_rate=0.5
    )
    labels = np.eye(3, dtype=np.uint8)[pictures.labels]
    labels[:15, 0] = 1  # of two classes, those that had another one
    task = dataclasses.replace(TASK, target=MultiLabel(TASK.target.names))
    several = dataclasses.replace(pictures, labels=labels, task=task)
    assert transfer.plan_for(several, batch_size=8) == transfer.plan(
        examples=30, classes=3, batch_size=8, each=labels.sum() / 3
    )


@pytest.mark.parametrize(("examples", "classes"), [(10, 1), (3, 4)])
def test_no_plan_for_nothing(examples, classes):
    with pytest.raises(ValueError, match="two classes or more with an example each"):
        transfer.plan(examples=examples, classes=classes)


# ------------------------------------------------------------------------------------------------------------- features


def test_cached_features_are_the_models_own(pictures):
    model = network()
    found = transfer.extract_features(
        transfer.feature_extractor(model), pipeline.batches(pictures, batch_size=7), features_kind=FEATURES
    )
    kernel, bias = model.get_layer("logits").get_weights()
    expected = model.predict(pictures.inputs, verbose=0)
    np.testing.assert_allclose(found.inputs @ kernel + bias, expected, atol=1e-5)
    np.testing.assert_array_equal(found.labels, pictures.labels)


def test_every_view_is_another_one_of_the_same_example(pictures):
    body = transfer.feature_extractor(network())
    batches = pipeline.batches(
        pictures, batch_size=8, augment=augmentation.image_augmentation(translation=0.3, brightness=0.2)
    )
    found = transfer.extract_features(body, batches, views=3, features_kind=FEATURES)
    first, second, third = np.split(found.inputs, 3)
    np.testing.assert_array_equal(found.labels, np.tile(pictures.labels, 3))
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    plain = transfer.extract_features(body, pipeline.batches(pictures, batch_size=8), features_kind=FEATURES)
    apart = np.linalg.norm(first[:, None] - plain.inputs[None], axis=-1)
    assert (pictures.labels[apart.argmin(1)] == pictures.labels).mean() > 0.7, "views do not resemble their examples"
    both = transfer.concatenate(plain, found)
    assert (both.name, len(both)) == ("train", 120)
    np.testing.assert_array_equal(both.inputs[:30], plain.inputs)


def test_features_are_vectors(pictures):
    model = network()
    whole = keras.Model(model.input, model.get_layer("relu").output)
    with pytest.raises(ValueError, match=r"vectors.*\(None, 6, 6, 4\)"):
        transfer.extract_features(whole, pipeline.batches(pictures, batch_size=8), features_kind=FEATURES)
    with pytest.raises(ValueError, match="views=0"):
        transfer.extract_features(
            transfer.feature_extractor(model), pipeline.batches(pictures, batch_size=8), views=0, features_kind=FEATURES
        )
    with pytest.raises(ValueError, match="layer 'pool'"):
        transfer.feature_extractor(whole)


def test_features_that_do_not_fit_into_memory_are_said_in_words(pictures):
    """The body asks for seven terabytes, which no machine that runs this has."""
    image = keras.Input((8, 8, 1))
    large = keras.layers.UpSampling2D(60_000)(image)
    model = keras.Model(image, keras.layers.GlobalMaxPooling2D()(large))
    with pytest.raises(MemoryError, match="Out of memory while computing features: a smaller batch needs less"):
        transfer.extract_features(model, pipeline.batches(pictures, batch_size=8), features_kind=Numbers((1,)))


def test_features_know_what_is_asked_of_them(pictures):
    body = transfer.feature_extractor(network())
    plain = tf.data.Dataset.from_tensor_slices((pictures.inputs.astype("float32"), pictures.labels)).batch(8)
    found = transfer.extract_features(body, plain, features_kind=FEATURES, task=TASK)
    assert found.task == Task("toy", FEATURES, TASK.target)
    assert (
        transfer.extract_features(body, pipeline.batches(pictures, batch_size=8), features_kind=FEATURES).task
        == found.task
    )
    with pytest.raises(ValueError, match=r"Wanted task=.*Received: no task"):
        transfer.extract_features(body, plain, features_kind=FEATURES)
    with pytest.raises(ValueError, match=r"of the shape of the features, \(4,\)\. Received: features_kind=Numbers"):
        transfer.extract_features(body, plain, features_kind=Numbers((5,)), task=TASK)


def test_views_keep_the_origins_where_all_have_them():
    task = dataclasses.replace(TASK, inputs=Numbers((2,)))
    one, two = (
        Split("train", np.zeros((2, 2), np.float32), np.arange(2), task, np.array([f"{name}1", f"{name}2"]))
        for name in "ab"
    )
    assert transfer.concatenate(one, two).origins.tolist() == ["a1", "a2", "b1", "b2"]
    assert transfer.concatenate(one, dataclasses.replace(two, origins=None)).origins is None


def test_a_head_that_learnt_apart_answers_in_the_whole_model(pictures):
    model = network()
    found = transfer.extract_features(
        transfer.feature_extractor(model), pipeline.batches(pictures, batch_size=8), features_kind=FEATURES
    )
    head = transfer.head(TASK, 4)
    fitting.fit(
        head,
        pipeline.batches(found, batch_size=10, shuffle=True),
        schedule=Schedule(epochs=30, peak_learning_rate=0.1),
        progress=False,
    )
    transfer.set_head_weights(model, head)
    answers = fitting.predict(model, pictures.inputs)
    np.testing.assert_allclose(answers, fitting.predict(head, found.inputs), atol=1e-4)
    assert (answers.argmax(-1) == pictures.labels).mean() > 0.8
    with pytest.raises(ValueError, match=r"\(4, 3\).*Received: .*\(5, 3\)"):
        transfer.set_head_weights(model, transfer.head(TASK, 5))


# ---------------------------------------------------------------------------------------------------------- fine-tuning


def test_statistics_stay_bitwise_as_they_came(pictures):
    model = network()
    batches = pipeline.batches(pictures, batch_size=10)
    layer = model.get_layer("normalization")
    layer.set_weights([np.array([2, 1, 1, 1.0]), np.ones(4), np.full(4, 0.3), np.full(4, 0.7)])
    before, kernel = layer.get_weights(), model.get_layer("convolution").get_weights()[0]
    assert transfer.freeze_batch_norm(model) == 1
    fitting.fit(model, batches, schedule=Schedule(epochs=2, peak_learning_rate=0.01), progress=False)
    for one, other in zip(layer.get_weights(), before, strict=True):
        assert one.tobytes() == other.tobytes()
    assert not np.array_equal(model.get_layer("convolution").get_weights()[0], kernel), "nothing was trained"
    # inference mode in training too: an example's answer does not depend on the others of its batch
    body = transfer.feature_extractor(model)
    alone = body(pictures.inputs[:1].astype(np.float32), training=True)
    among = body(pictures.inputs.astype(np.float32), training=True)[:1]
    np.testing.assert_allclose(alone, among, atol=1e-6)


def test_statistics_of_a_model_inside_a_model_stay_too(pictures):
    inner = network()
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(3, name="last")(inner(image)))
    assert transfer.freeze_batch_norm(model) == 1
    before = inner.get_layer("normalization").get_weights()
    data = pipeline.batches(pictures, batch_size=10)
    fitting.fit(model, data, schedule=Schedule(epochs=1, peak_learning_rate=0.01), progress=False)
    for one, other in zip(inner.get_layer("normalization").get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rates_fall_from_group_to_group():
    rates = transfer.layer_rates([["stem"], ["a", "b"], ["logits"]], layer_decay=0.5)
    assert rates == {"stem": 0.25, "a": 0.5, "b": 0.5, "logits": 1.0}
    assert transfer.gradual_unfreezing([["stem"], ["a", "b"], ["logits"]], steps=10) == {
        "stem": 20,
        "a": 10,
        "b": 10,
        "logits": 0,
    }
    with pytest.raises(ValueError, match="Received twice: a"):
        transfer.layer_rates([["a"], ["a"]], layer_decay=0.5)
    with pytest.raises(ValueError, match=r"Received: 1\.5"):
        transfer.layer_rates([["a"]], layer_decay=1.5)
    with pytest.raises(ValueError, match="Received: -1"):
        transfer.gradual_unfreezing([["a"]], steps=-1)


def numpy_adamw(weight, gradients, *, rate, begin, decay, learning_rate=0.01, one=0.9, two=0.999, epsilon=1e-7):
    """Loshchilov & Hutter 2019, algorithm 2, with a rate and a first step of its own; moments gather from the start."""
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients):
        first = one * first + (1 - one) * gradient
        second = two * second + (1 - two) * gradient**2
        if step < begin:
            continue
        alpha = learning_rate * np.sqrt(1 - two ** (step + 1)) / (1 - one ** (step + 1))
        weight = weight * (1 - learning_rate * rate * (decay if weight.ndim > 1 else 0))
        weight = weight - rate * alpha * first / (np.sqrt(second) + epsilon)
    return weight


@pytest.mark.parametrize("compiled", [False, True])
def test_the_optimizer_against_numpy(compiled):
    keras.utils.set_random_seed(0)
    vector = keras.Input((3,))
    x = keras.layers.Dense(4, name="early", bias_initializer="ones")(vector)
    model = keras.Model(vector, keras.layers.Dense(2, name="late")(x))
    before = [weight.numpy() for weight in model.trainable_variables]
    generator = np.random.default_rng(1)
    steps = [[generator.normal(size=value.shape).astype(np.float32) for value in before] for _ in range(6)]
    optimizer = transfer.LayerwiseAdamW(0.01, rates={"early": 0.25}, begin={"early": 2}, weight_decay=0.1)
    optimizer.build(model.trainable_variables)

    def apply(gradients):
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    run = tf.function(apply) if compiled else apply
    for gradients in steps:
        run([tf.constant(gradient) for gradient in gradients])
    for index, (start, weight) in enumerate(zip(before, model.trainable_variables, strict=True)):
        early = weight.path.startswith("early")
        expected = numpy_adamw(
            start.astype(np.float64),
            [gradients[index] for gradients in steps],
            rate=0.25 if early else 1.0,
            begin=2 if early else 0,
            decay=0.1,
        )
        np.testing.assert_allclose(weight.numpy(), expected, atol=2e-6, err_msg=weight.path)


def test_layers_that_have_not_begun_stand_still_in_a_fit(pictures):
    model = network()
    before = model.get_layer("convolution").get_weights()
    fitting.fit(
        model,
        pipeline.batches(pictures, batch_size=10),
        schedule=Schedule(epochs=2, peak_learning_rate=0.01, weight_decay=0.1),
        optimizer=functools.partial(transfer.LayerwiseAdamW, begin={"convolution": 1000}),
        progress=False,
    )
    for one, other in zip(model.get_layer("convolution").get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    restored = transfer.LayerwiseAdamW.from_config(model.optimizer.get_config())
    assert restored.begin == {"convolution": 1000}


@pytest.fixture
def encoder():
    """Two layers of an encoder with random weights, and ids for it."""
    keras.utils.set_random_seed(0)
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(95)))
    task = Task("texts", Text(16, words), SingleLabel(("no", "yes")))
    ids = np.random.default_rng(0).integers(1, 100, (48, 16)).astype(np.int32)
    return models.pretrained.minilm_l6.small(task), ids, (ids[:, 0] > 50).astype(np.int32)


def test_lora_learns_thin_matrices_beside_frozen_kernels_and_a_saved_model_holds_the_sums(encoder, tmp_path):
    model, ids, labels = encoder
    before = model.predict(ids, verbose=0)
    assert transfer.add_lora(model, rank=3) == [
        f"transformer_layer_{number}/self_attention_layer/{name}" for number in (1, 0) for name in ("value", "query")
    ]
    np.testing.assert_array_equal(model.predict(ids, verbose=0), before)
    learning = {variable.path: tuple(variable.shape) for variable in model.trainable_variables}
    assert {path.rpartition("/")[2] for path in learning if not path.startswith("logits")} == {
        "lora_kernel_a",
        "lora_kernel_b",
    }
    shapes = sorted(
        shape for path, shape in learning.items() if path.startswith("transformer_layer_0") and "query" in path
    )
    assert shapes == [(3, 32), (64, 2, 3)]
    assert len(learning) == 4 * 2 + 2
    frozen = {
        variable.path: variable.numpy() for variable in model.non_trainable_variables if "seed" not in variable.path
    }
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(ids, labels, epochs=3, verbose=0)
    for variable in model.non_trainable_variables:
        if variable.path in frozen:
            np.testing.assert_array_equal(variable.numpy(), frozen[variable.path])
    after = model.predict(ids, verbose=0)
    assert np.abs(after - before).max() > 0.1

    (layer,) = (one for one in model._flatten_layers() if one.path == "transformer_layer_0/self_attention_layer/query")
    sums = layer._kernel.numpy() + np.tensordot(layer.lora_kernel_a.numpy(), layer.lora_kernel_b.numpy(), 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(ids, verbose=0), after, atol=1e-5)
    (twin,) = (one for one in loaded._flatten_layers() if one.path == layer.path)
    assert not twin.lora_enabled
    np.testing.assert_allclose(twin.kernel.numpy(), sums, atol=1e-6)


def test_lora_says_which_layers_there_are(encoder):
    model, *_ = encoder
    with pytest.raises(ValueError, match=r"layers dense. Available: .*query, .*value"):
        transfer.add_lora(model, layers=["dense"])
    with pytest.raises(ValueError, match="rank 0"):
        transfer.add_lora(model, rank=0)
    transfer.add_lora(model)
    with pytest.raises(ValueError, match="adapted once"):
        transfer.add_lora(model)


class Dies(Exception):
    pass


def test_features_go_on_after_an_interruption(tmp_path):
    """At random instants: what was computed is not computed again, and the end is bitwise the same."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 1, 1, 3)).astype(np.uint8)
    image = keras.Input((1, 1, 3))
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(image)))
    task = Task("toy", Image((1, 1, 3)), SingleLabel(("even", "odd")))
    split = Split("train", pixels, np.arange(10, dtype=np.int32) % 2, task)
    computed = []

    def cached(workspace, *, die_after=None):
        augment = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.GaussianNoise(1.0, seed=3)])

        def predicted(batch):
            if die_after is not None and len(computed) == die_after:
                raise Dies
            computed.append(1)
            return keras.Model.predict_on_batch(model, batch)

        model.predict_on_batch = predicted
        options = {"workspace": workspace}
        plain = transfer.extract_features(
            model, pipeline.batches(split, batch_size=4), **options, features_kind=FEATURES
        )
        changed = pipeline.batches(split, batch_size=4, augment=augment)
        views = transfer.extract_features(model, changed, views=3, name="views", **options, features_kind=FEATURES)
        return (
            plain,
            views,
            transfer.extract_features(
                model, pipeline.batches(split, batch_size=4), name="validation", **options, features_kind=FEATURES
            ),
        )

    whole = cached(None)
    assert len(computed) == 3 + 9 + 3
    assert not np.array_equal(whole[1].inputs[:10], whole[1].inputs[10:20])
    computed.clear()
    for die_after in (2, 3, 7, 8, 13):
        with pytest.raises(Dies):
            cached(Workspace("features", folder=tmp_path, logs=tmp_path, every_seconds=0), die_after=die_after)
    parts = cached(Workspace("features", folder=tmp_path, logs=tmp_path, every_seconds=0))
    assert len(computed) == 3 + 9 + 3
    for one, other in zip(whole, parts, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.labels, other.labels)
