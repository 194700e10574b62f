from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.inputs.image import Image
from kerastl.models import all_conv_net
from kerastl.models.pretrained import local_classifier, local_file
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task


@pytest.mark.parametrize("pixels", ["0..255", "0..1", "-1..1"])
def test_a_whole_classifier_takes_bytes_whatever_range_it_was_trained_for(tmp_path, pixels):
    keras.utils.set_random_seed(0)
    model = all_conv_net.tiny(Task("grey", Image((28, 28, 1)), SingleLabel(("a", "b"))))
    image = keras.Input((28, 28, 1))
    nested = keras.Model(image, layers.Softmax()(model(image)))
    nested.save(tmp_path / "mine.keras")
    raw = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1)).astype("float32")
    found = local_file.classifier(tmp_path / "mine.keras", pixels=pixels)
    own = {"0..255": raw, "0..1": raw / 255, "-1..1": raw / 127.5 - 1}[pixels]
    answers = keras.ops.softmax(found(raw, training=False))
    np.testing.assert_allclose(answers, nested(own, training=False), atol=1e-5)
    assert not any(isinstance(layer, keras.Model) for layer in found.layers)
    assert found.input.name == "image"
    assert nested.count_params() == found.count_params()


def test_what_is_no_classifier_of_pictures_is_refused(tmp_path):
    image = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "any.keras")
    with pytest.raises(ValueError, match="Wanted image_size"):
        local_file.classifier(tmp_path / "any.keras")
    assert local_file.classifier(tmp_path / "any.keras", image_size=40).input_shape == (None, 40, 40, 3)
    with pytest.raises(ValueError, match=r"one of 0\.\.255, .*caffe_bgr\. Received: '0\.\.2'"):
        local_file.classifier(tmp_path / "any.keras", pixels="0..2")
    image = keras.Input((8, 8, 3))
    keras.Model(image, layers.Conv2D(4, 3)(image)).save(tmp_path / "maps.keras")
    with pytest.raises(ValueError, match=r"to one vector\. Received: .*maps\.keras"):
        local_file.classifier(tmp_path / "maps.keras")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.keras"):
        local_file.classifier(tmp_path / "none.keras")


BEHIND = {
    "activation": lambda: layers.Activation("softmax"),
    "layer": layers.Softmax,
    "operation": lambda: keras.ops.softmax,
    "logarithm": lambda: layers.Activation("log_softmax"),
}
NOTHING = {
    "float32": lambda: layers.Activation("linear", dtype="float32"),
    "dropout": lambda: layers.Dropout(0.1),
    "identity": layers.Identity,
    "reshape": lambda: layers.Reshape((3,)),
    "flatten": layers.Flatten,
    "cast": lambda: lambda value: keras.ops.cast(value, "float32"),
}


@pytest.mark.parametrize("last", ["linear", "dense", "sigmoid", *BEHIND, *NOTHING])
def test_probabilities_are_taken_back_to_logits(tmp_path, last):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(image)
    activation = {"sigmoid": "sigmoid"} | dict.fromkeys(("dense", *NOTHING), "softmax")
    x = layers.Dense(3, name="logits", activation=activation.get(last))(x)
    for behind in (BEHIND, NOTHING):
        x = behind[last]()(x) if last in behind else x
    model = keras.Model(image, x)
    model.save(tmp_path / "mine.keras")
    if last == "sigmoid":
        with pytest.raises(ValueError, match=r"mine\.keras, whose last layer 'logits' ends in sigmoid"):
            local_file.classifier(tmp_path / "mine.keras")
        return
    raw = np.random.default_rng(0).uniform(0, 1, (4, 8, 8, 3)).astype("float32")
    kernel, bias = model.get_layer("logits").get_weights()
    logits = local_file.classifier(tmp_path / "mine.keras")(raw, training=False)
    np.testing.assert_allclose(logits, raw.reshape(4, -1) @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("last", ["sigmoid", "layer", "logit"])
def test_one_number_becomes_the_logits_of_two_classes(tmp_path, last):
    """The head of every tutorial on cats and dogs; the second class is the one that the number speaks for."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    x = layers.Dense(1, activation="sigmoid" if last == "sigmoid" else None, name="end")(x)
    model = keras.Model(image, layers.Activation("sigmoid")(x) if last == "layer" else x)
    model.save(tmp_path / "one.keras")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    found = keras.ops.softmax(local_file.classifier(tmp_path / "one.keras")(pictures))
    given = model(pictures)
    second = np.ravel(keras.ops.sigmoid(given) if last == "logit" else given)
    np.testing.assert_allclose(found, np.stack([1 - second, second], -1), atol=1e-6)


def test_the_range_that_labels_are_answered_best_by_is_found(tmp_path, capsys):
    """A model of pixels 0..1 that tells dark from bright at a half."""
    image = keras.Input((4, 4, 1))
    dense = layers.Dense(2, activation="softmax")
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(image)))
    dense.set_weights([np.array([[-40.0, 40.0]]), np.array([20.0, -20.0])])
    model.save(tmp_path / "mine.keras")
    labels = np.arange(60) % 2
    pictures = np.broadcast_to((40 + 150 * labels)[:, None, None, None], (60, 4, 4, 1)).astype("uint8")
    task = Task("light", Image((4, 4, 1)), SingleLabel(("dark", "bright")))
    found = local_classifier.classifier_of(
        tmp_path / "mine.keras", Split("validation", pictures, labels, task), predict=ask
    )
    assert "it gets 0..1." in capsys.readouterr().out
    np.testing.assert_allclose(found(pictures[:1].astype("float32")), [[20 - 40 * 40 / 255, -20 + 40 * 40 / 255]], 1e-4)
    turned = Split("validation", pictures, 1 - labels, task)
    words = r"in the order of its answers: dark, bright\. Received: .* by the order bright, dark\. --class-names FILE"
    with pytest.raises(ValueError, match=words):
        local_classifier.classifier_of(tmp_path / "mine.keras", turned, predict=ask, pixels="0..1")
    three = Task("light", Image((4, 4, 1)), SingleLabel(("dark", "bright", "none")))
    with pytest.raises(ValueError, match=r"as many classes\. Received: .*; light has \(4, 4, 1\) and 3 classes"):
        local_classifier.classifier_of(tmp_path / "mine.keras", Split("a", pictures, labels, three), predict=ask)


def ask(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return model.predict(inputs.astype("float32"), verbose=0)


def tells(pictures: np.ndarray, *, names=("dark", "bright")) -> Split:
    """Such pictures, every second one of the second class."""
    task = Task("light", Image(pictures.shape[1:]), SingleLabel(tuple(names)))
    return Split("validation", pictures, np.arange(len(pictures)) % len(names), task)


def test_two_ranges_that_fit_alike_are_asked_about(tmp_path):
    """A model that looks at which half is brighter, and at nothing else, takes any range."""
    image, dense = keras.Input((2, 1, 1)), layers.Dense(2, activation="softmax")
    values = layers.Flatten()(image)
    model = keras.Model(image, dense(keras.ops.sign(values[:, 1:] - values[:, :1])))
    dense.set_weights([np.array([[-3.0, 3.0]]), np.zeros(2)])
    model.save(tmp_path / "mine.keras")
    pictures = np.tile(np.array([[200, 40], [40, 200]], "uint8").reshape(2, 2, 1, 1), (30, 1, 1, 1))
    with pytest.raises(ValueError, match=r"nobody can tell: .* fit alike.*Say it: --pixels"):
        local_classifier.classifier_of(tmp_path / "mine.keras", tells(pictures), predict=ask)
    found = local_classifier.classifier_of(tmp_path / "mine.keras", tells(pictures), predict=ask, pixels="0..1")
    assert ask(found, pictures).argmax(1).tolist() == [0, 1] * 30


def test_the_order_of_the_answers_is_found(tmp_path):
    """One of twelve levels of grey each, learnt in the order of text; a model that knows two of the orders is asked."""
    names = tuple(str(number) for number in range(12))
    as_text = tuple(sorted(names))
    image, dense = keras.Input((2, 2, 1)), layers.Dense(12, activation="softmax")
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))))
    levels = np.array([int(name) for name in as_text]) / 12
    dense.set_weights([900 * levels[None], -450 * levels**2])  # the nearest level has the largest logit
    model.save(tmp_path / "mine.keras")
    labels = np.arange(120) % 12
    pictures = np.rint(np.broadcast_to(labels[:, None, None, None] * 255 / 12, (120, 2, 2, 1))).astype("uint8")
    split = tells(pictures, names=names)
    options = {"predict": ask, "orders": [names, as_text]}
    assert local_classifier.class_order(tmp_path / "mine.keras", split, **options) == as_text
    few = split.subset(np.flatnonzero(labels < 2))  # 0 and 1 have their places in both
    with pytest.raises(ValueError, match=r"nobody can tell: .*Say it: --class-names FILE"):
        local_classifier.class_order(tmp_path / "mine.keras", few, **options)


@pytest.mark.parametrize("shape", [(28, 28), (6, 5, 4), (6, 5, 2)])
def test_pictures_of_any_channels_and_of_none(tmp_path, shape):
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    model = keras.Model(image, layers.Dense(1000)(layers.Flatten()(image)))
    model.save(tmp_path / "mine.keras")
    height, width, channels = local_file.picture_shape(tmp_path / "mine.keras")
    assert (height, width, channels) == (*shape, 1)[:3]
    raw = np.random.default_rng(0).integers(0, 256, (2, height, width, channels)).astype("float32")
    found = local_file.classifier(tmp_path / "mine.keras")
    np.testing.assert_allclose(found(raw), model(raw.reshape(2, *shape)), rtol=1e-4, atol=1e-3)


def test_random_changes_of_pictures_are_left_out(tmp_path):
    image = keras.Input((6, 6, 3))
    inside = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2)])
    x = layers.Flatten()(layers.Resizing(3, 3)(inside(image)))
    model = keras.Model(image, layers.Dense(3)(x))
    model.save(tmp_path / "mine.keras")
    found = local_file.classifier(tmp_path / "mine.keras")
    raw = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(found(raw, training=True), model(raw, training=False), rtol=1e-4, atol=1e-3)


def test_a_model_of_channels_first_takes_pictures_as_they_are(tmp_path):
    image = keras.Input((3, 8, 6))
    x = layers.Conv2D(4, 3, data_format="channels_first")(image)
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    model.save(tmp_path / "mine.keras")
    assert local_file.picture_shape(tmp_path / "mine.keras") == (8, 6, 3)
    raw = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype("float32")
    found = local_file.classifier(tmp_path / "mine.keras", pixels="0..1")
    wanted = model(raw.transpose(0, 3, 1, 2) / 255, training=False)
    np.testing.assert_allclose(keras.ops.softmax(found(raw, training=False)), wanted, atol=1e-4)
