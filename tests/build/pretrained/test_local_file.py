from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.build import mobile_cnn, strided_cnn
from kerastl.build.pretrained import local_file
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
    strided_cnn.tiny(Task("grey", ("a", "b"), (28, 28, 1))).save(tmp_path / "grey.keras")
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
