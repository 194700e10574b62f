"""What makes two teachers, or two sets of batches, the same and what does not."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import types
from kerastl.data import pipeline
from kerastl.distil import fingerprints, teachers
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel


def teacher_of(activation="relu", seed=1):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="image")
    x = keras.layers.Dense(5, activation=activation, name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name="teacher")


def test_a_teacher_is_its_layers_and_weights(tmp_path):
    teacher, found = teacher_of(), fingerprints.of_teacher(teacher_of())
    assert len(found) == 64
    assert found != fingerprints.of_teacher(teacher_of(seed=2))
    assert found != fingerprints.of_teacher(teacher_of("tanh"))  # the same weights
    teacher.trainable = False
    teacher.compile("sgd", "mse")
    teacher.save(tmp_path / "teacher.keras")
    assert (
        found
        == fingerprints.of_teacher(teacher)
        == fingerprints.of_teacher(keras.models.load_model(tmp_path / "teacher.keras"))
    )
    bias = teacher.get_layer("logits").bias
    bias.assign(bias + np.float32(1e-7))
    assert found != fingerprints.of_teacher(teacher)


def scaled(inputs, factor=2.0):
    return inputs * factor


def test_a_view_belongs_to_its_teacher():
    model = teacher_of()
    sizes = [3.0, 4.0]
    views = [
        None,
        scaled,
        functools.partial(scaled, factor=3.0),
        functools.partial(scaled, factor=4.0),
        lambda inputs: inputs + 1,
        *[lambda inputs, size=size: inputs * size for size in sizes],
        *[closing_over(size) for size in sizes],
        *[closing_over(other) for other in (scaled, closing_over)],
        keras.layers.Rescaling(2.0),
        keras.layers.Rescaling(3.0),
    ]
    found = [fingerprints.of_teacher(teachers.Teacher(model, view)) for view in views]
    assert len(set(found)) == len(views)
    assert found[0] == fingerprints.of_teacher(model)
    assert found[7] == fingerprints.of_teacher(teachers.Teacher(model, closing_over(3.0)))
    with pytest.raises(ValueError, match="written in Python, or a Keras layer"):
        fingerprints.of_teacher(teachers.Teacher(model, tf.function(scaled)))


def closing_over(value):
    return lambda inputs: inputs * value


def test_several_are_one_by_how_and_at_what_temperature_they_are_combined():
    pair = [teacher_of(), teacher_of(seed=2)]
    found = {
        fingerprints.of_teacher(teachers.Ensemble(members, combine=by), temperature=temperature)
        for members in (pair, pair[::-1], pair[:1])
        for by in ("mean", "confidence")
        for temperature in (1.0, 2.0)
    }
    assert len(found) == 4 + 4 + 1  # one alone is combined with nobody
    assert fingerprints.of_teacher(pair[0]) in found


@pytest.mark.parametrize(
    ("teacher", "words"), [(None, "teacher=None"), (teachers.EMATeacher(), "a moving average of the student")]
)
def test_a_teacher_stays_as_it_is(teacher, words):
    with pytest.raises(ValueError, match=rf"stays as it is\. Received: {words}"):
        fingerprints.of_teacher(teacher)


def test_a_teacher_whose_answers_depend_on_earlier_ones_is_refused():
    with pytest.raises(ValueError, match=r"alignment\.balanced.*align=\[0\.9\]"):
        fingerprints.of_teacher(teachers.Teacher(teacher_of(), align=0.9))


def test_a_model_that_cannot_be_made_anew_is_refused():
    class Odd(keras.Model):
        def __init__(self, secret):
            super().__init__()
            self.dense = keras.layers.Dense(secret.units)

        def call(self, inputs):
            return self.dense(inputs)

    odd = Odd(keras.layers.Dense(3))
    odd(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match="made anew from its configuration"):
        fingerprints.of_teacher(odd)


PIXELS = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), np.uint8)


def course_of(*, inputs=PIXELS, seed=0, strength=0.3, **options):
    labels = np.zeros(len(inputs), np.int32)
    task = types.Task("pixels", Image(inputs.shape[1:]), SingleLabel(("one",)))
    changes = augmentation.image_augmentation(horizontal_flip=True, rotation=strength, seed=seed)
    made = pipeline.batches(
        types.Split("train", inputs, labels, task),
        **({"batch_size": 8, "shuffle": True, "augment": changes, "views": 2} | options),
    )
    return fingerprints.of_course(made.course)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_course_is_the_examples_and_all_that_decides_their_views():
    one = course_of()
    assert one == course_of()  # of another model of random layers, which Keras names anew
    for name, other in {
        "inputs": course_of(inputs=PIXELS[::-1]),
        "augment": course_of(seed=1),
        "views": course_of(views=3),
        "shuffle": course_of(shuffle=False),
        "batch_size": course_of(batch_size=10),
    }.items():
        assert [key for key in one if one[key] != other[key]] == [name]
    for other in (course_of(strength=0.2), course_of(augment=lambda batch: batch / 2)):
        assert one["augment"] != other["augment"]
    used = augmentation.image_augmentation(horizontal_flip=True, rotation=0.3)
    assert used is not None
    assert course_of(augment=used) == one
    used(PIXELS.astype(np.float32))  # its random states move on
    assert course_of(augment=used)["augment"] != one["augment"]
    assert course_of(inputs=PIXELS.reshape(30, 2, 8, 1))["inputs"] != one["inputs"]
    with pytest.raises(ValueError, match=r"a number of views, `views=8` for example"):
        course_of(views=None)


def test_where_nothing_changes_the_examples_their_order_is_free():
    still = {"augment": None, "views": None}
    assert course_of(**still) == course_of(**still, shuffle=False, batch_size=5)
    assert course_of(**still) != course_of(**still, inputs=PIXELS[::-1])
    assert course_of(**still)["views"] == 1


def test_streamed_examples_are_those_of_the_array(stream):
    shown = stream(PIXELS)
    assert course_of(inputs=shown) == course_of()
    assert course_of(inputs=shown.take(np.arange(30)[::-1])) == course_of(inputs=PIXELS[::-1])
