from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.models.pretrained import backbone, efficientnet_lite0, mobilenet_v2
from kerastl.models.pretrained.backbone import Backbone
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("fruit", Image((96, 96, 3)), SingleLabel(("apple", "banana", "kiwi")))


def with_head(build, **options) -> keras.Model:
    return backbone.with_head(Backbone("test", build(image_size=96), 96, None), TASK, **options)


def test_a_head_makes_one_flat_graph():
    model = with_head(mobilenet_v2.build, dropout=0.3)
    assert model.input_shape == (None, 96, 96, 3)
    assert model.output_shape == (None, 3)
    assert model.layers[0].name == "image"
    assert [layer.name for layer in model.layers[-3:]] == ["pool", "dropout", "logits"]
    assert model.layers[-2].rate == 0.3
    assert model.layers[-1].activation is keras.activations.linear
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert "dropout" not in [layer.name for layer in with_head(mobilenet_v2.build, dropout=0).layers]


def test_the_head_is_a_mean_and_a_product():
    body = mobilenet_v2.build(image_size=96)
    model = backbone.with_head(Backbone("test", body, 96, None), TASK)
    raw = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype("float32")
    features = body.predict(raw, verbose=0)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(model.predict(raw, verbose=0), features.mean((1, 2)) @ kernel + bias, atol=1e-5)


def test_pictures_of_another_shape_are_refused():
    body = Backbone("test", mobilenet_v2.build(image_size=128), 128, None)
    with pytest.raises(ValueError, match=r"takes pictures \(128, 128, 3\). Received: task 'fruit' with .*96, 96, 3"):
        backbone.with_head(body, TASK)


def names(model: keras.Model) -> list[str]:
    return [group.name for group in backbone.groups(model)]


def test_groups_of_mobilenet_v2():
    model = with_head(mobilenet_v2.build)
    found = backbone.groups(model)
    assert names(model) == ["stem", "expanded_conv", *(f"block_{number}" for number in range(1, 17)), "top", "head"]
    assert [layer.name for group in found for layer in group.layers] == [layer.name for layer in model.layers]
    stem, top, head = found[0], found[-2], found[-1]
    assert [layer.name for layer in stem.layers] == ["image", "rescale", "Conv1", "bn_Conv1", "Conv1_relu"]
    assert [layer.name for layer in top.layers] == ["Conv_1", "Conv_1_bn", "out_relu"]
    assert [layer.name for layer in head.layers] == ["pool", "dropout", "logits"]


def test_groups_of_efficientnet_lite0():
    model = with_head(efficientnet_lite0.build)
    assert names(model) == ["stem", *(f"block{number}" for number in range(1, 17)), "top", "head"]
    assert names(efficientnet_lite0.build(image_size=96)) == names(model)[:-1]
