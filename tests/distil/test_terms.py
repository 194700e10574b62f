"""A distiller of many losses against steps worked out in NumPy."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import compiled, softmax

from kerastl.distil import feature_losses, losses, schedules, terms
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import FeatureLoss, LabelLoss, LogitLoss

KULLBACK_LEIBLER = functools.partial(losses.kl_divergence, temperature=2.0)
GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(8, 4)).astype("float32")
LABELS = GENERATOR.integers(0, 3, 8).astype("int32")


class CountingDense(keras.layers.Dense):
    """Counts how often it is called, by name."""

    calls: dict[str, int] = {}  # noqa: RUF012

    def call(self, inputs, training=None):
        self.calls[self.name] = self.calls.get(self.name, 0) + 1
        return super().call(inputs)


def two_layers(seed, *, width, layer=keras.layers.Dense, classes=3):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="numbers")
    hidden = layer(width, name=f"hidden{width}")(inputs)
    return keras.Model(inputs, keras.layers.Dense(classes, name="answers")(hidden))


def taught(terms, *, learning_rate=1.0, loss=None, student=None, teacher=None):
    keras.utils.set_random_seed(3)
    distiller = Distiller(
        student=student or two_layers(1, width=5), teacher=teacher or two_layers(2, width=6), losses=terms
    )
    return compiled(distiller, learning_rate, loss)


def forward(weights, inputs=INPUTS):
    kernel1, bias1, kernel2, bias2 = weights
    hidden = inputs @ kernel1 + bias1
    return hidden, hidden @ kernel2 + bias2


def arrays(model):
    return [np.asarray(v, np.float64) for v in model.get_weights()]


def soft_losses(teacher, student, temperature):
    target, answer = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * (target * np.log(target / answer)).sum(-1)


def entropies(logits, labels=LABELS):
    return -np.log(softmax(logits)[np.arange(len(labels)), np.maximum(labels, 0)])


def hint(**options):
    return FeatureLoss(feature_losses.hint, 0.5, student="hidden5", teacher="hidden6", projection=True, **options)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_step_follows_the_gradient_of_all_losses(weighted):
    distiller = taught({"labels": LabelLoss(0.2), "soft": LogitLoss(KULLBACK_LEIBLER, 0.7), "hints": hint()})
    student, teacher = arrays(distiller.student), two_layers(2, width=6)
    (projection,) = distiller._projections.values()
    regressor, offset = arrays(projection)
    sample_weight = np.linspace(0, 2, 8).astype("float32") if weighted else np.ones(8, "float32")
    logs = distiller.train_on_batch(INPUTS, LABELS, sample_weight=sample_weight if weighted else None, return_dict=True)

    hidden, logits = forward(student)
    teacher_hidden, teacher_logits = forward(arrays(teacher))
    soft = 2.0 * (softmax(logits, 2.0) - softmax(teacher_logits, 2.0))
    hard = softmax(logits) - np.eye(3)[LABELS]
    share = sample_weight[:, None] / 8
    on_logits = (0.7 * soft + 0.2 * hard) * share
    difference = hidden @ regressor + offset - teacher_hidden
    on_projected = 0.5 * difference / 6 * share
    on_hidden = on_logits @ student[2].T + on_projected @ regressor.T
    found = [*distiller.student.get_weights(), *projection.get_weights()]
    pairs = [(INPUTS, on_hidden), (hidden, on_logits), (hidden, on_projected)]
    before = [*student, regressor, offset]
    steps = [part for values, gradient in pairs for part in (values.T @ gradient, gradient.sum(0))]
    for value, old, step in zip(found, before, steps, strict=True):
        np.testing.assert_allclose(value, old - step, atol=1e-5)

    expected = {
        "soft_loss": (soft_losses(teacher_logits, logits, 2.0) * sample_weight).mean(),
        "labels_loss": (entropies(logits) * sample_weight).mean(),
        "hints_loss": (0.5 * (difference**2).mean(-1) * sample_weight).mean(),
    }
    expected["loss"] = 0.7 * expected["soft_loss"] + 0.2 * expected["labels_loss"] + 0.5 * expected["hints_loss"]
    assert set(logs) == {*expected, "accuracy"}
    for name, value in expected.items():
        assert logs[name] == pytest.approx(value, abs=1e-5), name


def test_however_many_losses_there_are_each_model_runs_once():
    student, teacher = (two_layers(seed, width=width, layer=CountingDense) for seed, width in ((1, 5), (2, 6)))
    kinds = (feature_losses.hint, feature_losses.similarity_preserving, feature_losses.relational_distance)
    terms = {
        kind.__name__: FeatureLoss(kind, student="hidden5", teacher="hidden6", projection=kind is feature_losses.hint)
        for kind in kinds
    }
    distiller = taught({**terms, "soft": LogitLoss(KULLBACK_LEIBLER)}, student=student, teacher=teacher)
    distiller.run_eagerly = True
    CountingDense.calls.clear()
    for steps in (1, 2):
        distiller.train_on_batch(INPUTS, LABELS)
        assert CountingDense.calls == {"hidden5": steps, "hidden6": steps}


def test_rows_without_a_label_learn_from_the_teacher_alone():
    distiller = taught({"labels": LabelLoss(0.3, ignore_label=-1), "soft": LogitLoss(KULLBACK_LEIBLER, 0.7)})
    student, teacher = arrays(distiller.student), two_layers(2, width=6)
    labels = np.where(np.arange(8) < 3, LABELS, -1).astype("int32")
    logs = distiller.train_on_batch(INPUTS, labels, return_dict=True)
    hidden, logits = forward(student)
    _, teacher_logits = forward(arrays(teacher))
    there = labels >= 0
    hard = (softmax(logits) - np.eye(3)[LABELS]) * there[:, None]
    on_logits = (0.7 * 2.0 * (softmax(logits, 2.0) - softmax(teacher_logits, 2.0)) + 0.3 * hard) / 8
    np.testing.assert_allclose(distiller.student.get_weights()[2], student[2] - hidden.T @ on_logits, atol=1e-5)
    assert logs["labels_loss"] == pytest.approx((entropies(logits) * there).mean(), abs=1e-5)
    assert logs["accuracy"] == pytest.approx((logits.argmax(-1) == labels)[there].mean())


def test_rows_without_all_of_several_labels_are_left_out():
    labels = np.array([[1, 0, 1], [-1, -1, -1], [0, 0, 0], [1, -1, 0]] * 2, "int32")
    missing = LabelLoss(ignore_label=-1).missing(labels)
    filled, weights, rows = terms.known(labels, missing=missing, sample_weight=None)
    np.testing.assert_array_equal(filled, np.maximum(labels, 0))
    np.testing.assert_array_equal(weights, [1, 0, 1, 0] * 2)
    np.testing.assert_array_equal(rows, [True, False, True, False] * 2)


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
def test_rows_without_a_label_and_weights_go_together(shape):
    distiller = taught({"labels": LabelLoss(ignore_label=-1)}, learning_rate=0.0)
    labels = np.where(np.arange(8) % 2, LABELS, -1).astype("int32")
    weights = np.linspace(0, 2, 8).astype("float32")
    _, logits = forward(arrays(distiller.student))
    expected = (entropies(logits) * weights * (labels >= 0)).mean()
    logs = distiller.train_on_batch(INPUTS, labels, sample_weight=weights.reshape(shape), return_dict=True)
    assert logs["labels_loss"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("labelled", [True, False])
def test_evaluation_leaves_out_rows_without_a_label(labelled):
    """Also where no term is of labels: those below 0 are none."""
    named = {"labels": LabelLoss(ignore_label=-1)} if labelled else {"soft": LogitLoss(KULLBACK_LEIBLER)}
    distiller = taught(named)
    labels = np.where(np.arange(8) < 3, LABELS, -1).astype("int32")
    _, logits = forward(arrays(distiller.student))
    there = labels >= 0
    logs = distiller.evaluate(INPUTS, labels, return_dict=True, verbose=0)
    assert logs["loss"] == pytest.approx((entropies(logits) * there).mean(), abs=1e-5)
    assert logs["accuracy"] == pytest.approx((logits.argmax(-1) == labels)[there].mean())


def test_a_label_below_zero_that_is_not_said_to_be_none_is_no_class():
    distiller = taught({"labels": LabelLoss(ignore_label=-100)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="label value of -1"):
        distiller.train_on_batch(INPUTS, np.where(np.arange(8) < 3, LABELS, -1).astype("int32"))


def test_batches_may_have_no_labels_at_all():
    distiller = taught({"soft": LogitLoss(KULLBACK_LEIBLER), "hints": hint()}, learning_rate=0.1)
    history = distiller.fit(INPUTS, epochs=2, validation_data=(INPUTS, LABELS), shuffle=False, verbose=0).history
    assert set(history) == {"loss", "soft_loss", "hints_loss", "val_loss", "val_accuracy"}
    assert history["loss"][1] < history["loss"][0]
    logits = distiller.student.predict(INPUTS, verbose=0)
    assert history["val_accuracy"][1] == pytest.approx((logits.argmax(-1) == LABELS).mean())
    with pytest.raises(ValueError, match="Wanted labels"):
        taught({"labels": LabelLoss(0.1), "soft": LogitLoss(KULLBACK_LEIBLER)}).train_on_batch(INPUTS)


def test_the_simple_call_needs_no_labels_when_the_teacher_counts_all():
    distiller = Distiller(
        student=two_layers(1, width=5), teacher=two_layers(2, width=6), loss=KULLBACK_LEIBLER, weight=1
    )
    distiller.compile("sgd", metrics=["accuracy"], jit_compile=False)
    logs = distiller.train_on_batch(INPUTS, return_dict=True)
    assert list(logs) == ["loss"]


def test_logs_tell_every_loss_in_training_and_none_in_evaluation():
    distiller = taught({"labels": LabelLoss(0.5), "soft": LogitLoss(KULLBACK_LEIBLER, 0.5)}, learning_rate=0.0)
    history = distiller.fit(INPUTS, LABELS, batch_size=3, epochs=2, validation_data=(INPUTS, LABELS), verbose=0).history
    assert set(history) == {"loss", "accuracy", "labels_loss", "soft_loss", "val_loss", "val_accuracy"}
    _, logits = forward(arrays(distiller.student))
    assert history["labels_loss"] == pytest.approx([entropies(logits).mean()] * 2, abs=1e-5)
    assert set(distiller.evaluate(INPUTS, LABELS, return_dict=True, verbose=0)) == {"loss", "accuracy"}


def test_weights_and_temperatures_follow_the_step():
    weight, temperature = schedules.linear(1.0, 0.0, steps=4), schedules.cosine(4.0, 1.0, steps=2)
    terms = {"soft": LogitLoss(losses.kl_divergence, weight, temperature=temperature), "labels": LabelLoss(0.5)}
    distiller = taught(terms, learning_rate=0.0)
    _, logits = forward(arrays(distiller.student))
    _, teacher_logits = forward(arrays(two_layers(2, width=6)))
    for step, (share, heat) in enumerate([(1.0, 4.0), (0.75, 2.5), (0.5, 1.0), (0.25, 1.0), (0.0, 1.0), (0.0, 1.0)]):
        distiller.reset_metrics()
        logs = distiller.train_on_batch(INPUTS, LABELS, return_dict=True)
        soft = soft_losses(teacher_logits, logits, heat).mean()
        assert logs["soft_loss"] == pytest.approx(soft, abs=1e-5), step
        assert logs["loss"] == pytest.approx(share * soft + 0.5 * entropies(logits).mean(), abs=1e-5), step


def test_a_loss_that_asks_for_labels_has_them():
    loss: Any = functools.partial(losses.decoupled_kd, temperature=3.0)
    distiller = taught({"decoupled": LogitLoss(loss), "labels": LabelLoss(0.1, ignore_label=-1)}, learning_rate=0.0)
    labels = np.where(np.arange(8) % 2, LABELS, -1).astype("int32")
    _, logits = forward(arrays(distiller.student))
    _, teacher_logits = forward(arrays(two_layers(2, width=6)))
    rows = labels >= 0
    expected = loss(teacher_logits[rows], logits[rows], labels[rows]).numpy().sum() / 8
    logs = distiller.train_on_batch(INPUTS, labels, return_dict=True)
    assert logs["decoupled_loss"] == pytest.approx(expected, abs=1e-5)


def test_a_mask_is_made_of_the_inputs():
    def mask(inputs):
        return inputs[:, 0] > 0

    term = FeatureLoss(feature_losses.similarity_preserving, student="hidden5", teacher="hidden6", mask=mask)
    distiller = taught({"alike": term}, learning_rate=0.0)
    rows = INPUTS[:, 0] > 0
    assert 1 < rows.sum() < 8
    pair = (distiller.student, two_layers(2, width=6))
    own, others = (keras.ops.convert_to_tensor(forward(arrays(model))[0][rows]) for model in pair)
    expected = np.mean(feature_losses.similarity_preserving(others, own))
    assert distiller.train_on_batch(INPUTS, return_dict=True)["alike_loss"] == pytest.approx(expected, rel=1e-4)


def test_maps_of_other_sizes_are_brought_together():
    keras.utils.set_random_seed(0)
    small, large = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    pool = keras.layers.GlobalAveragePooling2D
    seen = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="small")(small)
    student = keras.Model(small, keras.layers.Dense(3)(pool()(seen)))
    seen = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="large")(large)
    teacher = keras.Model(large, keras.layers.Dense(3)(pool()(seen)))
    distiller = taught(
        {
            "hints": FeatureLoss(feature_losses.hint, student="small", teacher="large", projection=True),
            "places": FeatureLoss(feature_losses.attention_transfer, student="small", teacher="large", resize=True),
        },
        student=student,
        teacher=teacher,
    )
    assert len(distiller.trainable_variables) == 4 + 2
    pictures = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    own, theirs = (
        keras.Model(model.input, model.get_layer(name).output)(pictures).numpy()
        for model, name in ((student, "small"), (teacher, "large"))
    )
    resized = tf.image.resize(own, theirs.shape[1:3]).numpy()
    (kernel, bias) = distiller._projections["hints"].get_weights()
    projected = resized @ kernel.reshape(4, 6) + bias
    logs = distiller.train_on_batch(pictures, return_dict=True)
    assert logs["hints_loss"] == pytest.approx(np.mean(0.5 * (projected - theirs) ** 2), rel=1e-5)
    own_places, their_places = (
        (strength := (maps.astype("float64") ** 2).sum(-1).reshape(4, -1))
        / np.linalg.norm(strength, axis=1, keepdims=True)
        for maps in (resized, theirs)
    )
    expected = 0.5 * ((own_places - their_places) ** 2).sum(-1).mean()
    assert logs["places_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_student_in_half_precision_learns_in_full_ones_losses():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        student = two_layers(1, width=5)
    finally:
        keras.config.set_dtype_policy("float32")
    terms = {"labels": LabelLoss(0.2, ignore_label=-1), "soft": LogitLoss(KULLBACK_LEIBLER, 0.7), "hints": hint()}
    distiller = taught(terms, student=student)
    hidden, logits = forward(arrays(student))
    teacher_hidden, teacher_logits = forward(arrays(two_layers(2, width=6)))
    regressor, offset = arrays(distiller._projections["hints"])
    expected = {
        "labels_loss": entropies(logits).mean(),
        "soft_loss": soft_losses(teacher_logits, logits, 2.0).mean(),
        "hints_loss": 0.5 * ((hidden @ regressor + offset - teacher_hidden) ** 2).mean(),
    }
    logs = distiller.train_on_batch(INPUTS, LABELS, return_dict=True)
    for name, value in expected.items():
        assert logs[name] == pytest.approx(value, rel=0.02), name
    assert {v.dtype for v in distiller.trainable_variables} == {"float32"}
    (projection,) = distiller._projections.values()
    assert projection.compute_dtype == "float32"


def test_losses_of_a_student_in_float16_are_scaled():
    """As Keras scales those of the student alone, without which small gradients are 0."""
    steps = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            student = two_layers(1, width=5)
        finally:
            keras.config.set_dtype_policy("float32")
        # gradients of 1e-7 and less, where float16 ends
        distiller = taught({"labels": LabelLoss(1e-7)}, student=student, learning_rate=1e6)
        scaled = isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
        before = arrays(student)
        distiller.train_on_batch(INPUTS, LABELS)
        steps.append([new - old for new, old in zip(arrays(student), before, strict=True)])
    for half, full in zip(*steps[::-1], strict=True):
        assert np.abs(full).max() > 1e-3
        np.testing.assert_allclose(half, full, atol=0.02 * np.abs(full).max())


def test_numbers_below_zero_are_labels_and_nan_is_none():
    """Of classes -1 is none; a temperature of -1 is one."""
    np.testing.assert_array_equal(terms.unlabelled(np.array([-1, 0, 3])), [True, False, False])
    np.testing.assert_array_equal(terms.unlabelled(np.array([-1.0, 0.5, np.nan], "float32")), [False, False, True])


def test_a_loss_of_several_classes_that_asks_for_labels_has_them():
    labels = np.array([[1, 0, 1], [-1, -1, -1], [0, 0, 0], [1, -1, 0]] * 2, "int32")

    def of_labels(teacher_logits, student_logits, labels):
        return tf.reduce_sum(tf.cast(labels + 1, tf.float32) * tf.square(teacher_logits - student_logits), -1)

    named = {"soft": LogitLoss(of_labels, independent=True), "labels": LabelLoss(ignore_label=-1)}
    distiller = taught(named, loss=keras.losses.BinaryCrossentropy(from_logits=True), learning_rate=0.0)
    _, logits = forward(arrays(distiller.student))
    _, teacher_logits = forward(arrays(two_layers(2, width=6)))
    values = ((labels + 1) * (teacher_logits - logits) ** 2).sum(-1) * (labels >= 0).all(-1)
    logs = distiller.train_on_batch(INPUTS, labels, return_dict=True)
    assert logs["soft_loss"] == pytest.approx(values.mean(), rel=1e-5)


def test_several_classes_an_example_where_every_loss_is_for_them():
    labels = np.eye(3, dtype="int32")[LABELS]
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def squared(teacher_logits, student_logits):
        return keras.ops.mean(keras.ops.square(teacher_logits - student_logits), -1)

    distiller = taught(
        {"soft": LogitLoss(squared, independent=True), "hints": hint(), "labels": LabelLoss()}, loss=entropy
    )
    _, logits = forward(arrays(distiller.student))
    _, teacher_logits = forward(arrays(two_layers(2, width=6)))
    logs = distiller.train_on_batch(INPUTS, labels, return_dict=True)
    assert logs["soft_loss"] == pytest.approx(((teacher_logits - logits) ** 2).mean(), rel=1e-5)
    mixed = {"soft": LogitLoss(squared, independent=True), "other": LogitLoss(squared)}
    with pytest.raises(ValueError, match="one class each"):
        taught(mixed, loss=entropy).train_on_batch(INPUTS, labels)


def test_saving_is_the_students(tmp_path):
    distiller = taught({"soft": LogitLoss(KULLBACK_LEIBLER), "hints": hint()})
    distiller.train_on_batch(INPUTS)
    distiller.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == ["numbers", "hidden5", "answers"]
    np.testing.assert_array_equal(loaded.predict(INPUTS, verbose=0), distiller.student.predict(INPUTS, verbose=0))


def test_student_and_teacher_are_the_callers_own_afterwards():
    student, teacher = two_layers(1, width=5), two_layers(2, width=6)
    teacher.layers[1].trainable = False
    teacher.compile("sgd", "mse")
    state = [(model.optimizer if model.compiled else None, model.compiled) for model in (student, teacher)]
    flags = [layer.trainable for model in (student, teacher) for layer in model._flatten_layers()]
    before = teacher.get_weights()
    nodes = [len(layer._inbound_nodes) for model in (student, teacher) for layer in model.layers]
    distiller = taught({"soft": LogitLoss(KULLBACK_LEIBLER), "hints": hint()}, student=student, teacher=teacher)
    distiller.fit(INPUTS, epochs=2, verbose=0)
    for one, other in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert state == [(model.optimizer if model.compiled else None, model.compiled) for model in (student, teacher)]
    assert flags == [layer.trainable for model in (student, teacher) for layer in model._flatten_layers()]
    assert nodes == [len(layer._inbound_nodes) for model in (student, teacher) for layer in model.layers]
    assert not {id(v) for v in teacher.weights} & {id(v) for v in distiller.variables}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"losses": {"soft": LogitLoss(KULLBACK_LEIBLER)}, "loss": KULLBACK_LEIBLER}, "Received: both"),
        ({}, "Received: neither"),
        ({"losses": {}}, "one or more"),
        ({"losses": {"soft": KULLBACK_LEIBLER}}, "'soft': 'partial'"),
        ({"losses": {"hints": hint()}, "teacher": None}, "stored answers"),
        (
            {"losses": {"far": FeatureLoss(feature_losses.hint, student="hiden5", teacher="hidden6")}},
            "Near: .*'hidden5'",
        ),
        (
            {"losses": {"far": FeatureLoss(feature_losses.hint, student="hidden5", teacher="answer")}},
            "Near: .*'answers'",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options, words):
    models = {"student": two_layers(1, width=5), "teacher": two_layers(2, width=6)}
    with pytest.raises(ValueError, match=words):
        Distiller(**models | options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LabelLoss(-0.1), "0 or more"),
        (lambda: LogitLoss(KULLBACK_LEIBLER, float("nan")), "0 or more"),
        (
            lambda: FeatureLoss(feature_losses.hint, schedules.linear(1, -1, steps=3), student="a", teacher="b"),
            "0 or more",
        ),
        (lambda: LogitLoss(KULLBACK_LEIBLER, temperature=schedules.linear(4, 0, steps=3)), "above 0"),
        (lambda: LabelLoss(ignore_label=0), "below 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
