from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.models import mobile_cnn, pretrained
from kerastl.models.pretrained import resolve
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("colour", Image((32, 32, 3)), SingleLabel(("a", "b")))


def test_what_is_fetched_is_found_by_looking():
    assert resolve.fetched() == ("efficientnet_lite0", "mobilenet_v2")


def test_a_fetched_name():
    found = pretrained.load("mobilenet_v2", image_size=96)
    assert (found.name, found.image_size) == ("mobilenet_v2", 96)
    assert found.model.input_shape == (None, 96, 96, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobilnet_v2", "There is no foundation model 'mobilnet_v2'. Did you mean mobilenet_v2?"),
        ("minilm_l6", "Available: efficientnet_lite0, mobilenet_v2, applications:NAME, preset:NAME, and the path"),
        ("applications:ResNet-50", "Did you mean ResNet50"),
        ("preset:resnet_18_imagenot", "Did you mean resnet_18_imagenet"),
        ("preset:bert_base_en", "no preset 'bert_base_en' that takes pictures"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(name, words):
    with pytest.raises(ValueError, match=words):
        pretrained.load(name)


@pytest.mark.parametrize("name", ["here/nothing", "nothing.keras"])
def test_files_that_are_not_there(name):
    with pytest.raises(FileNotFoundError, match=f"There is no file or folder {name}"):
        pretrained.load(name)


def test_the_folder_of_a_run_is_no_preset(tmp_path):
    keras.utils.set_random_seed(0)
    model = mobile_cnn.tiny(TASK)
    model.save(tmp_path / "model.keras")
    (tmp_path / "config.json").write_text('{"seed": 0}')  # a run's, not a preset's
    found = pretrained.load(str(tmp_path))
    raw = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    wanted = keras.Model(model.input, model.get_layer("pool").output)(raw, training=False)
    np.testing.assert_allclose(found.model(raw, training=False), wanted, atol=1e-6)


def test_the_door_is_lazy():
    assert pretrained.load is resolve.load
