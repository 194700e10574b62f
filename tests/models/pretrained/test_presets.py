"""Preset folders that keras-hub itself saves here, from small backbones of random weights; nothing is downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.models import pretrained
from kerastl.models.pretrained import backbone, graph, presets
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
TORCH = {"scale": (1 / 255 / DEVIATION).tolist(), "offset": (-MEAN / DEVIATION).tolist()}


def resnet() -> keras.Model:
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def mobilenet() -> keras.Model:
    return keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[8, 8], [16, 24]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[8, 8], [8, 16]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[0.25, None], [0.25, 0.25]],
        stackwise_activation=[["relu6", "relu6"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        input_num_filters=8,
        input_activation="hard_swish",
        output_num_filters=32,
        output_activation="hard_swish",
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=32,
        squeeze_and_excite=0.5,
        image_shape=(None, None, 3),
    )


def efficientnet() -> keras.Model:
    return keras_hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 5],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[32, 16],
        stackwise_output_filters=[16, 24],
        stackwise_expansion_ratios=[1, 6],
        stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0, 0],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_block_types=["v1", "v1"],
        activation="relu6",
    )


CONVERTERS = {
    resnet: lambda: keras_hub.layers.ResNetImageConverter(image_size=(64, 64), **TORCH),
    mobilenet: lambda: keras_hub.layers.MobileNetImageConverter(image_size=(64, 64), scale=1 / 127.5, offset=-1.0),
    efficientnet: lambda: keras_hub.layers.EfficientNetImageConverter(image_size=(64, 64), scale=1 / 128, offset=-0.99),
}


@pytest.fixture
def saved(tmp_path):
    def save(build, *, converter: bool = True) -> tuple[Path, keras.Model]:
        keras.utils.set_random_seed(0)
        body = build()
        for weight in body.weights:  # as after some training: no layer is asleep
            array = np.random.default_rng(weight.shape[0]).normal(0, 0.3, weight.shape)
            weight.assign(1 + np.abs(array) if weight.name in ("gamma", "moving_variance") else array)
        body.save_to_preset(str(tmp_path / build.__name__))
        if converter:
            CONVERTERS[build]().save_to_preset(str(tmp_path / build.__name__))
        return tmp_path / build.__name__, body

    return save


@pytest.mark.parametrize("build", CONVERTERS, ids=lambda build: build.__name__)
def test_a_folder_answers_as_its_preset(saved, build):
    folder, body = saved(build)
    found = presets.load(str(folder))
    size = found.image_size
    assert size == 64
    raw = np.random.default_rng(1).integers(0, 256, (2, size, size, 3)).astype("float32")
    scaled = {  # by hand
        resnet: (raw / 255 - MEAN) / DEVIATION,
        mobilenet: raw / 127.5 - 1,
        efficientnet: raw / 128 - 0.99,
    }[build]
    wanted = np.asarray(body(scaled.astype("float32"), training=False))
    received = np.asarray(found.model(raw, training=False))
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(received, wanted, atol=1e-4 * np.abs(wanted).max())
    assert graph.is_flat(found.model)
    assert found.model.layers[0].name == "image"
    assert set(found.accounting.loaded) == {weight.path for weight in body.weights}
    assert str(folder) in found.accounting.source
    model = backbone.with_head(found, Task("three", Image((size, size, 3)), SingleLabel(("a", "b", "c"))))
    assert model(raw).shape == (2, 3)
    assert sum(len(group.layers) for group in backbone.groups(model)) == len(model.layers)
    assert backbone.groups(model)[-1].name == "head"


def test_another_size_where_the_layers_take_it(saved):
    folder, _ = saved(resnet)
    found = pretrained.load(str(folder), image_size=96)
    assert found.model.input_shape == (None, 96, 96, 3)
    assert pretrained.load(f"preset:{folder}").image_size == 64


def test_a_preset_without_preprocessing_is_refused(saved):
    folder, _ = saved(resnet, converter=False)
    with pytest.raises(ValueError, match=r"says nowhere which range .* without image_converter\.json or preprocessor"):
        presets.load(str(folder))


def test_a_folder_that_is_no_preset_or_lacks_weights(saved, tmp_path):
    folder, _ = saved(resnet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty, which holds no config\.json"):
        presets.load(str(tmp_path / "empty"))
    lacking = shutil.copytree(folder, tmp_path / "lacking")
    (lacking / "model.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"The preset folder .*lacking cannot be loaded"):
        presets.load(str(lacking))
    (lacking / "model.weights.h5").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is not opened: it is no HDF5 file"):
        presets.load(str(lacking))
    wrong = json.loads((folder / "config.json").read_text())
    wrong["config"]["stackwise_num_filters"] = [64, 72]
    (folder / "config.json").write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match="shape"):
        presets.load(str(folder))


def test_a_hostile_folder_is_refused_before_anything_is_built(saved):
    folder, _ = saved(resnet)
    good = json.loads((folder / "config.json").read_text())
    for change in (
        {"class_name": "Lambda", "module": "keras.layers", "registered_name": None},
        {"class_name": "system", "module": "os", "registered_name": "os>system"},
        {"registered_name": "mine>Backbone", "class_name": "Backbone", "module": "mine"},
    ):
        (folder / "config.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=r"config\.json is not opened"):
            presets.load(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not opened"):
        presets.load(str(folder))


def test_a_folder_of_more_numbers_than_its_weights_have_is_refused(saved):
    folder, _ = saved(resnet)
    config = json.loads((folder / "config.json").read_text())
    config["config"]["stackwise_num_filters"] = [64, 1_000_000]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"its configuration describes [0-9,]{9,} numbers or more"):
        presets.load(str(folder))


def test_preprocessing_that_is_more_than_a_scale_and_a_shift_is_refused(saved, monkeypatch):
    folder, _ = saved(resnet)
    original = keras_hub.layers.ResNetImageConverter.call
    monkeypatch.setattr(keras_hub.layers.ResNetImageConverter, "call", lambda self, x: original(self, x)[..., ::-1])
    with pytest.raises(ValueError, match="does more to its pictures than to scale and to shift them"):
        presets.load(str(folder))


def test_a_backbone_of_text_is_refused(tmp_path):
    body = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4, max_sequence_length=8
    )
    body.save_to_preset(str(tmp_path / "bert"))
    with pytest.raises(ValueError, match="Wanted a backbone from one picture to features"):
        presets.load(str(tmp_path / "bert"))


def test_presets_are_listed_without_a_network():
    names = presets.available()
    print(len(names))
    assert len(names) > 50
    assert {"resnet_18_imagenet", "mobilenet_v3_small_100_imagenet", "vit_base_patch16_224_imagenet"} <= set(names)
    assert "bert_base_en" not in names
    with pytest.raises(ValueError, match="Did you mean resnet_50_imagenet"):
        presets.load("resnet50_imagenet")
