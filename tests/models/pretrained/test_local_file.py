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
from kerastl.models.pretrained.pixel_ranges import RANGES
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import transfer
from kerastl.types import Task
from tests.models.pretrained.test_pixel_ranges import own

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


@pytest.mark.parametrize("pixels", RANGES)
def test_a_model_without_labels_takes_bytes_once_somebody_says_its_range(pixels, tmp_path):
    image = keras.Input((6, 6, 3), name="photo")
    model = keras.Model(image, layers.Conv2DTranspose(2, 2, strides=2)(layers.Conv2D(4, 3)(image)))
    model.save(tmp_path / "mine.keras")
    with pytest.raises(ValueError, match=r"nobody can tell which range of pixels .*wanted --pixels, one of 0\.\.255"):
        local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)))
    with pytest.raises(
        ValueError, match=r"one of auto, 0\.\.255, 0\.\.1, -1\.\.1, mean_std, caffe_bgr\. Received: '0\.\.2'"
    ):
        local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)), pixels="0..2")
    found, _ = local_file.whole(tmp_path / "mine.keras", inputs=Image((6, 6, 3)), pixels=pixels)
    raw = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(found(raw, training=False), model(own(raw, pixels), training=False), atol=1e-3)
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


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet", "densenet"])
def test_preprocessing_of_applications_inside_a_graph_says_its_range(name):
    """Operations on tensors, and no layers: tutorials of transfer learning have them."""
    image = keras.Input((8, 8, 3))
    values = getattr(keras.applications, name).preprocess_input(image)
    keras.Model(image, layers.Conv2D(1, 1)(values))
    assert local_file.makes_its_range(image)


@pytest.mark.parametrize(
    ("scaled", "known"),
    [
        (lambda x: x / 255, True),
        (lambda x: (x - 127.5) / 127.5, True),
        (lambda x: x * (1 / 255), True),
        (lambda x: x * 2 - 1, False),
        (lambda x: x - 0.5, False),
        (lambda x: 1 - x, False),
        (lambda x: x, False),
    ],
)
def test_operations_that_lead_from_bytes_to_a_few_units_say_the_range(scaled, known):
    image = keras.Input((8, 8, 3))
    keras.Model(image, layers.Conv2D(1, 1)(scaled(image)))
    assert local_file.makes_its_range(image) is known


def test_a_range_of_pixels_for_what_are_no_pictures_is_refused(tmp_path):
    """Numbers went into the file as they came, and what was said of them was passed over."""
    keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(3)]).save(tmp_path / "flat.keras")
    with pytest.raises(ValueError, match=r"--pixels 0\.\.1 is of pictures.*leave --pixels out"):
        local_file.whole(tmp_path / "flat.keras", inputs=Numbers((28, 28)), pixels="0..1")
