"""A model of one's own beside its data: whether it answers for labels, and what it then learns from."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.data import arrays
from kerastl.data.reading import PictureReading, Reading
from kerastl.inputs.numbers import Numbers
from kerastl.runs import own_model
from kerastl.training import fitting

ROWS = np.random.default_rng(0).normal(size=(90, 5)).astype("float32")
PICTURES = np.random.default_rng(0).integers(0, 256, (90, 8, 8, 1)).astype("uint8")


@pytest.fixture
def folder(tmp_path):
    keras.utils.set_random_seed(0)
    row = keras.Input((5,), name="row")
    keras.Model(row, layers.Dense(3, activation="softmax", name="shares")(row)).save(tmp_path / "rows.keras")
    image = keras.Input((8, 8, 1))
    dense = layers.Dense(2, activation="softmax")
    keras.Model(image, dense(layers.GlobalAveragePooling2D()(image))).save(tmp_path / "pictures.keras")
    np.savez(tmp_path / "rows.npz", x=ROWS)
    np.savez(tmp_path / "labelled.npz", x=PICTURES, y=np.arange(90) % 2)
    return tmp_path


def test_who_answers_where_there_are_no_labels(folder):
    rows, pictures = str(folder / "rows.keras"), str(folder / "pictures.keras")
    assert own_model.needs_answers(rows, str(folder / "rows.npz"), labels="auto")
    assert not own_model.needs_answers(pictures, str(folder / "labelled.npz"), labels="auto")
    assert own_model.needs_answers(pictures, str(folder / "labelled.npz"), labels="none")
    assert not own_model.needs_answers("", "fashion_mnist", labels="auto")
    with pytest.raises(ValueError, match=r"Wanted a classifier of pictures.*rows\.keras.*--labels none"):
        own_model.needs_answers(rows, str(folder / "labelled.npz"), labels="auto")
    with pytest.raises(ValueError, match=r"Wanted --labels auto or none\. Received: labels='all'"):
        own_model.needs_answers(rows, "mnist", labels="all")
    for data, labels in ((str(folder / "rows.npz"), "auto"), ("mnist", "none")):
        words = r"\.keras or \.h5 file.*Received: no model, .*For example: kerastl run shrink_model --model my\.keras"
        with pytest.raises(ValueError, match=words):
            own_model.needs_answers("", data, labels=labels)


def test_data_with_the_models_answers_and_the_model_that_gave_them(folder):
    path = str(folder / "rows.keras")
    reading = Reading(validation=0.2, test=0.15)
    data = own_model.load(path, str(folder / "rows.npz"), labelled=lambda: pytest.fail("read"), reading=reading)
    assert own_model.has_own_answers(data)
    assert data.task.inputs == Numbers((5,))
    assert data.task.target.names == ("shares",)
    model = own_model.opened(path, data)
    np.testing.assert_array_equal(fitting.predict(model, data.test.inputs, task=data.task), data.test.labels)
    np.testing.assert_allclose(data.test.labels.sum(1), 1, atol=1e-6)
    own = keras.saving.load_model(path)
    np.testing.assert_allclose(own.predict(data.test.inputs, verbose=0), data.test.labels, atol=1e-6)


def test_a_setting_that_nothing_would_follow_is_refused(folder):
    reading = PictureReading(label_columns=("price", "size"), path_column="file", test=0.3)
    words = r"--label-columns \('price', 'size'\), --path-column 'file' for .*rows\.npz, whose labels are not read"
    with pytest.raises(ValueError, match=words):
        own_model.load(str(folder / "rows.keras"), str(folder / "rows.npz"), labelled=list, reading=reading)


def test_what_has_labels_is_loaded_by_who_knows_how(folder):
    labelled = arrays.load(folder / "labelled.npz")
    data = own_model.load(str(folder / "pictures.keras"), "mnist", labelled=lambda: labelled, pixels="0..255")
    assert (data.source, data.digest) == ("arrays", labelled.digest)
    assert data.train.labels.shape == (len(data.train), 2)


def test_a_classifier_of_labelled_pictures_is_opened_to_its_logits(folder):
    data = arrays.load(folder / "labelled.npz")
    model = own_model.opened(str(folder / "pictures.keras"), data, pixels="0..1")
    own = keras.saving.load_model(folder / "pictures.keras")
    answers = np.asarray(keras.ops.softmax(model(data.test.inputs.astype("float32"))))
    np.testing.assert_allclose(answers, own(data.test.inputs / 255.0), atol=1e-5)


def test_classes_are_put_into_the_order_of_the_answers(monkeypatch):
    """Only where there are two orders, and nobody has said one."""
    names, as_text = ("1", "2", "10"), ("1", "10", "2")
    split = SimpleNamespace(take=lambda count: None)

    def labelled(class_names=None, *, source="image_folder", names=names):
        target = SimpleNamespace(names=tuple(class_names or names))
        return SimpleNamespace(task=SimpleNamespace(target=target), validation=split, source=source)

    asked = []
    monkeypatch.setattr(
        own_model.local_classifier, "class_order", lambda *_, orders, **__: asked.append(orders) or as_text
    )
    found = own_model.in_order_of_answers("mine.keras", labelled)
    assert found.task.target.names == as_text
    assert asked == [[names, as_text]]
    for model, load, named in (
        ("", labelled, False),
        ("mine.keras", labelled, True),
        ("mine.keras", functools.partial(labelled, source="arrays"), False),
        ("mine.keras", functools.partial(labelled, names=as_text), False),
    ):
        found = own_model.in_order_of_answers(model, load, named=named)
        assert found.task.target.names == load().task.target.names
    assert len(asked) == 1


def test_whom_a_smaller_model_learns_from(folder):
    """The model as a teacher beside labels; or the labels, where these are its own answers."""
    path = str(folder / "rows.keras")
    data = own_model.load(path, str(folder / "rows.npz"), labelled=list)
    model = own_model.opened(path, data)
    assert own_model.under(data, model, temperature=2.0, weight=0.5) is None
    assert own_model.teaching(data, model) == {}
    labelled = arrays.load(folder / "labelled.npz")
    classifier = own_model.opened(str(folder / "pictures.keras"), labelled, pixels="0..1")
    assert own_model.teaching(labelled, classifier) == {"teacher": classifier}
    under = own_model.under(labelled, classifier, temperature=2.0, weight=0.5)
    assert under is not None
    assert under(keras.models.clone_model(classifier)).student.output_shape == (None, 2)
