from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.models import all_conv_net, mobile_cnn
from kerastl.models.pretrained import backbone, local_file
from kerastl.training import transfer
from kerastl.types import Task

TASK = Task("colour", ("a", "b", "c"), (32, 32, 3))
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
    all_conv_net.tiny(Task("grey", ("a", "b"), (28, 28, 1))).save(tmp_path / "grey.keras")
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
    model = all_conv_net.tiny(Task("grey", ("a", "b"), (28, 28, 1)))
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


def test_an_ordinary_model_of_keras_gets_a_head(tmp_path):
    """Its layers have the names that a head's have, and its features are pooled under another one."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, name="logits")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(6, 3)(layers.MaxPooling2D(name="pool")(layers.Dropout(0.1, name="dropout")(x)))
    pooled = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2)(layers.Dropout(0.2)(pooled)))
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
