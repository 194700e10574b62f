from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.models import all_conv_net, mobile_cnn
from kerastl.models.pretrained import backbone, local_file
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import transfer
from kerastl.types import Split, Task

TASK = Task("colour", Image((32, 32, 3)), SingleLabel(("a", "b", "c")))
RAW = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")


def test_the_features_of_ones_own_model(tmp_path):
    keras.utils.set_random_seed(0)
    model = mobile_cnn.build(TASK, dropout=0.1)
    model.save(tmp_path / "mine.keras")
    found = local_file.load(tmp_path / "mine.keras")
    wanted = keras.Model(model.input, model.get_layer("pool").output)(RAW, training=False)
    np.testing.assert_allclose(found.model(RAW, training=False), wanted, atol=1e-6)
    assert found.image_size == 32
    assert found.accounting.left_out == ("logits/kernel", "logits/bias")
    assert len(found.accounting.loaded) == len(model.weights) - 2


def test_another_size_where_the_layers_take_it(tmp_path):
    mobile_cnn.tiny(TASK).save(tmp_path / "pooled.keras")
    assert local_file.load(tmp_path / "pooled.keras", image_size=64).model.input_shape == (None, 64, 64, 3)
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.ReLU()(layers.Dense(8, name="hidden")(layers.Flatten()(x)))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "flattened.keras")
    with pytest.raises(ValueError, match=r"flattened\.keras cannot be laid out for pictures of 64 pixels"):
        local_file.load(tmp_path / "flattened.keras", image_size=64)


def test_a_range_that_nobody_states_is_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "unscaled.keras")
    with pytest.raises(ValueError, match="without a Rescaling or Normalization in front of its first weights"):
        local_file.load(tmp_path / "unscaled.keras")


def test_models_of_something_else_are_refused(tmp_path):
    all_conv_net.tiny(Task("grey", Image((28, 28, 1)), SingleLabel(("a", "b")))).save(tmp_path / "grey.keras")
    with pytest.raises(ValueError, match=r"Wanted a model of colour pictures\. Received: .*grey\.keras"):
        local_file.load(tmp_path / "grey.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"text\.keras is not opened"):
        local_file.load(tmp_path / "text.keras")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.keras"):
        local_file.load(tmp_path / "none.keras")
    image = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "any.keras")
    with pytest.raises(ValueError, match="Wanted image_size"):
        local_file.load(tmp_path / "any.keras")
    assert local_file.load(tmp_path / "any.keras", image_size=40).image_size == 40


@pytest.mark.parametrize("pixels", local_file.RANGES)
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
    with pytest.raises(ValueError, match=r"one of 0\.\.255, 0\.\.1, -1\.\.1\. Received: '0\.\.2'"):
        local_file.classifier(tmp_path / "any.keras", pixels="0..2")
    image = keras.Input((8, 8, 3))
    keras.Model(image, layers.Conv2D(4, 3)(image)).save(tmp_path / "maps.keras")
    with pytest.raises(ValueError, match=r"to one vector\. Received: .*maps\.keras"):
        local_file.classifier(tmp_path / "maps.keras")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.keras"):
        local_file.classifier(tmp_path / "none.keras")


@pytest.mark.parametrize("last", ["linear", "dense", "activation", "layer", "operation", "sigmoid"])
def test_probabilities_are_taken_back_to_logits(tmp_path, last):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(image)
    x = layers.Dense(3, name="logits", activation={"dense": "softmax", "sigmoid": "sigmoid"}.get(last))(x)
    behind = {"activation": layers.Activation("softmax"), "layer": layers.Softmax(), "operation": keras.ops.softmax}
    x = behind[last](x) if last in behind else x
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


def test_an_ordinary_model_of_keras_gets_a_head(tmp_path):
    """Its layers have the names that a head's have, and its features are pooled under another one."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, name="logits")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(6, 3)(layers.MaxPooling2D(name="pool")(layers.Dropout(0.1, name="dropout")(x)))
    pooled = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2)(layers.Dropout(0.2, name="last")(pooled)))
    model.save(tmp_path / "mine.keras")
    headed = backbone.with_head(local_file.load(tmp_path / "mine.keras"), TASK)
    wanted = keras.Model(image, pooled)(RAW, training=False)
    np.testing.assert_allclose(transfer.feature_extractor(headed)(RAW, training=False), wanted, atol=1e-6)
    found = backbone.groups(headed)
    assert [group.name for group in found][-1] == "head"
    assert [layer.name for layer in found[-1].layers] == ["pool", "dropout", "logits"]
    assert sum(len(group.layers) for group in found) == len(headed.layers)


def test_a_model_with_a_single_layer_of_weights_is_one_group(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "shallow.keras")
    found = backbone.groups(backbone.with_head(local_file.load(tmp_path / "shallow.keras"), TASK))
    assert [group.name for group in found if any(layer.weights for layer in group.layers)] == ["stem", "head"]


BOTH = Named((("picture", Image((6, 6, 1))), ("row", Numbers((3,)))))


@pytest.fixture(params=["lists", "dicts"])
def several(request, tmp_path) -> keras.Model:
    """A nested model of two inputs and two outputs, one of them behind a softmax, saved."""
    keras.utils.set_random_seed(0)
    inner_picture, inner_row = keras.Input((None, 6, 1)), keras.Input((3,))
    flat = layers.GlobalAveragePooling2D()(
        layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inner_picture))
    )
    joined = layers.Concatenate()([flat, layers.Dense(5)(inner_row)])
    inner = keras.Model([inner_picture, inner_row], joined, name="inner")
    picture, row = keras.Input((None, 6, 1), name="picture"), keras.Input((3,), name="row")
    x = inner([picture, row])
    kind, price = layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="price")(x)
    if request.param == "lists":
        model = keras.Model([picture, row], [kind, price])
    else:
        model = keras.Model({"row": row, "picture": picture}, {"price": price, "kind": kind})
    model.save(tmp_path / "mine.keras")
    return model


def test_any_model_as_one_graph_that_answers_as_it_does(several, tmp_path):
    assert local_file.input_shapes(tmp_path / "mine.keras") == {"picture": (None, 6, 1), "row": (3,)}
    found, name = local_file.whole(tmp_path / "mine.keras", inputs=BOTH)
    assert name == "kind"
    assert not any(isinstance(layer, keras.Model) for layer in found.layers)
    random = np.random.default_rng(0)
    examples = {"picture": random.uniform(0, 255, (5, 6, 6, 1)), "row": random.normal(size=(5, 3))}
    answers = found.predict(examples, verbose=0)
    wanted = several.predict(examples if isinstance(several.input, dict) else list(examples.values()), verbose=0)
    wanted = wanted if isinstance(wanted, dict) else dict(zip(("kind", "price"), wanted, strict=True))
    assert sorted(answers) == sorted(wanted)
    for one, table in wanted.items():
        np.testing.assert_allclose(answers[one], table, atol=1e-6)
    np.testing.assert_allclose(answers["kind"].sum(-1), 1, atol=1e-6)  # its own softmax, once
    assert found.count_params() == several.count_params()


def test_examples_that_a_model_does_not_take_are_refused(several, tmp_path):
    wrong = [
        Image((6, 6, 1)),
        Named((("picture", Image((6, 6, 1))), ("row", Numbers((4,))))),
        Named((("picture", Image((6, 6, 1))), ("rows", Numbers((3,))))),
    ]
    for kind in wrong:
        with pytest.raises(ValueError, match=r"Wanted examples that .*mine\.keras takes, .*Received: "):
            local_file.whole(tmp_path / "mine.keras", inputs=kind)


@pytest.mark.parametrize("pixels", local_file.RANGES)
def test_a_model_without_labels_takes_bytes_once_somebody_says_its_range(pixels, tmp_path):
    image = keras.Input((6, 6, 3), name="photo")
    model = keras.Model(image, layers.Conv2DTranspose(2, 2, strides=2)(layers.Conv2D(4, 3)(image)))
    model.save(tmp_path / "mine.keras")
    with pytest.raises(ValueError, match=r"nobody can tell which range of pixels .*wanted --pixels, one of 0\.\.255"):
        local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)))
    with pytest.raises(ValueError, match=r"one of auto, 0\.\.255, 0\.\.1, -1\.\.1\. Received: '0\.\.2'"):
        local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)), pixels="0..2")
    found, _ = local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)), pixels=pixels)
    raw = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3)).astype("float32")
    own = {"0..255": raw, "0..1": raw / 255, "-1..1": raw / 127.5 - 1}[pixels]
    np.testing.assert_allclose(found(raw, training=False), model(own, training=False), atol=1e-3)
    scaled, _ = local_file.whole(tmp_path / "mine.keras", inputs=Numbers((6, 6, 3)))  # numbers go in as they are
    np.testing.assert_allclose(scaled(raw / 255, training=False), model(raw / 255, training=False), atol=1e-5)


BYTES = [
    layers.Rescaling(1 / 255),
    layers.Rescaling(1 / 127.5, offset=-1),
    layers.Normalization(mean=127, variance=5e3),
]
BYTES += [layers.Normalization(mean=[123.0, 117.0, 104.0], variance=[1.0] * 3)]  # as Caffe's models take them
OTHERS = [layers.Rescaling(2.0, offset=-1), layers.Normalization(mean=0.5, variance=0.08), layers.Rescaling(255.0)]
OTHERS += [layers.Rescaling(1.0), layers.Activation("relu"), layers.BatchNormalization()]


@pytest.mark.parametrize("front", [*BYTES, *OTHERS], ids=lambda layer: layer.name)
def test_only_what_makes_a_few_units_of_bytes_says_that_a_model_takes_them(front, tmp_path):
    image = keras.Input((6, 6, 3))
    scaled = layers.Rescaling.from_config(layers.Rescaling(1 / 255).get_config())(layers.ZeroPadding2D()(image))
    made = front if front in BYTES else type(front).from_config(front.get_config())
    x = made(image)
    if front in BYTES[:1]:  # and what follows on it changes nothing
        x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3)(x)
    outputs = [layers.Conv2D(4, 3, activation="tanh")(x), layers.Conv2D(2, 3, name="other")(scaled)]
    path, kind = tmp_path / "mine.keras", Image((6, 6, 3))
    for several in (False, True):  # every way on says it
        keras.Model(image, outputs if several else outputs[0]).save(path)
        if front in BYTES:
            local_file.whole(path, inputs=kind)
        else:
            with pytest.raises(ValueError, match="nobody can tell which range of pixels"):
                local_file.whole(path, inputs=kind)


def test_what_is_no_model_of_numbers_or_no_graph_is_refused(tmp_path):
    ids = keras.Input((5,), dtype="int32", name="ids")
    keras.Model(ids, layers.Flatten()(layers.Embedding(9, 2)(ids))).save(tmp_path / "ids.keras")
    with pytest.raises(ValueError, match=r"ids\.keras, whose input 'ids' takes int32"):
        local_file.input_shapes(tmp_path / "ids.keras")
    image = keras.Input((None, None, 3))
    keras.Model(image, layers.GlobalAveragePooling2D()(image)).save(tmp_path / "any.keras")
    assert list(local_file.input_shapes(tmp_path / "any.keras").values()) == [(None, None, 3)]
    assert list(local_file.input_shapes(tmp_path / "any.keras", image_size=40).values()) == [(40, 40, 3)]
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.keras"):
        local_file.file_of(tmp_path / "none.keras")
    image = keras.Input((None, None, 3))
    fixed = layers.Reshape((48,))(layers.Flatten()(image))
    keras.Model(image, fixed).save(tmp_path / "fixed.keras")
    with pytest.raises(ValueError, match=r"fixed\.keras cannot be laid out for inputs of \(5, 5, 3\)"):
        local_file.whole(tmp_path / "fixed.keras", inputs=Image((5, 5, 3)), pixels="0..1")


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
    found = local_file.classifier_of(tmp_path / "mine.keras", Split("validation", pictures, labels, task), predict=ask)
    assert "100.0 % of pixels 0..1, 50.0 % of pixels -1..1 right: it gets 0..1." in capsys.readouterr().out
    np.testing.assert_allclose(found(pictures[:1].astype("float32")), [[20 - 40 * 40 / 255, -20 + 40 * 40 / 255]], 1e-4)
    turned = Split("validation", pictures, 1 - labels, task)
    with pytest.raises(ValueError, match=r"in the order of its answers: dark, bright\. Received: .*mine\.keras"):
        local_file.classifier_of(tmp_path / "mine.keras", turned, predict=ask, pixels="0..1")
    three = Task("light", Image((4, 4, 1)), SingleLabel(("dark", "bright", "none")))
    with pytest.raises(ValueError, match=r"as many classes\. Received: .*; light has \(4, 4, 1\) and 3 classes"):
        local_file.classifier_of(tmp_path / "mine.keras", Split("a", pictures, labels, three), predict=ask)


def ask(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return model.predict(inputs.astype("float32"), verbose=0)
