"""Files of models: those of version 0.1 name modules and classes that are called otherwise today."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

from kerastl.inputs.augmentation import Augmentation
from kerastl.tasks import multi_label_training
from kerastl.training import fitting

MODULES = {"kerastl.inputs.random_layers": "kerastl.augment", "kerastl.tasks.multi_label_training": "kerastl.train"}
"""Where the layers and losses of a saved model stand, and where they stood in version 0.1."""
NAMES = {"WeightedBinaryCrossentropy": "PositiveWeights"}


def as_written_by_0_1(text: str) -> str:
    """A model's configuration with the names that version 0.1 wrote."""
    found = text
    for new, old in (MODULES | NAMES).items():
        found = found.replace(new, old)
    return found


@pytest.fixture
def old_file(tmp_path):
    """A compiled model with every random layer of ours, as version 0.1 wrote it; and the model."""
    keras.utils.set_random_seed(0)
    augmentation = Augmentation(rotation=0.1, translation=0.1, zoom=0.1, exposure=0.2, cutout=0.2)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(augmentation.build(3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    model.compile("adam", multi_label_training.WeightedBinaryCrossentropy([2.0, 3.0]))
    new, old = tmp_path / "new.keras", tmp_path / "old.keras"
    model.save(new)
    with zipfile.ZipFile(new) as read, zipfile.ZipFile(old, "w") as write:
        for entry in read.infolist():
            content = read.read(entry)
            if entry.filename == "config.json":
                text = as_written_by_0_1(content.decode())
                assert all(name in text for name in (*MODULES.values(), *NAMES.values()))
                assert "kerastl.inputs" not in text
                content = json.dumps(json.loads(text)).encode()
            write.writestr(entry, content)
    shutil.copy(old, tmp_path / "model.keras")
    return tmp_path / "model.keras", model


def test_a_file_of_version_0_1_opens_and_answers(old_file):
    path, model = old_file
    pictures = np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 1)).astype("float32")
    again = fitting.load_model(path)
    np.testing.assert_array_equal(again.predict(pictures, verbose=0), model.predict(pictures, verbose=0))
    assert [type(one) for one in again._flatten_layers()] == [type(one) for one in model._flatten_layers()]


def test_a_compiled_file_of_version_0_1_keeps_its_loss(old_file):
    path, _ = old_file
    again = keras.saving.load_model(path)
    assert type(again.loss) is multi_label_training.WeightedBinaryCrossentropy
    assert again.loss.weights == [2.0, 3.0]
