"""`shrink_model --trust layers.py`: layers and models of one's own are opened, laid flat and exported."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from kerastl import verify
from kerastl.export import tflite
from kerastl.recipes import shrink_model
from kerastl.runs import own_model, recipes
from kerastl.untrusted import keras_config, keras_file, trusted

LAYERS = '''
import keras


class Gate(keras.layers.Layer):
    """A learned gate for each channel."""

    def __init__(self, strength=1.0, **options):
        super().__init__(**options)
        self.strength = strength

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1],), initializer="glorot_uniform" if False else "ones", name="gate")

    def call(self, inputs):
        return inputs * keras.ops.sigmoid(self.strength * self.gate)

    def get_config(self):
        return {**super().get_config(), "strength": self.strength}


@keras.saving.register_keras_serializable("mine")
def bent(inputs):
    return keras.ops.maximum(inputs, 0.1 * inputs)


@keras.saving.register_keras_serializable("mine")
class Net(keras.Model):
    """A model whose class is one's own."""

    def __init__(self, units=8, **options):
        super().__init__(**options)
        self.units = units
        self.first = keras.layers.Dense(units, activation="relu")
        self.gate = Gate(2.0)
        self.last = keras.layers.Dense(3)

    def call(self, inputs):
        return self.last(self.gate(self.first(inputs)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}
'''
ROWS = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "layers.py"
    path.write_text(LAYERS)
    return recipes.load_file(path, name="trusted_layers_of_a_test")


def saved(model: keras.Model, path: Path) -> np.ndarray:
    """The model's answers; its weights are noise."""
    random = np.random.default_rng(1)
    answers = model(ROWS)
    model.set_weights([random.normal(size=one.shape) for one in model.get_weights()])
    answers = model.predict(ROWS, verbose=0)
    model.save(path)
    return answers


@pytest.mark.parametrize("name", ["layers.keras", "layers.h5", "class.keras"])
def test_they_become_a_file_that_answers_as_the_model(module, tmp_path, name):
    keras.utils.set_random_seed(0)
    if name == "class.keras":
        model = module.Net()
    else:
        inner = [keras.layers.Dense(6, activation=module.bent), module.Gate(0.5), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input((5,)), *inner])
    wanted = saved(model, tmp_path / name)
    with pytest.raises(keras_file.KerasFileError, match=r"--trust FILE\.py loads layers of your own"):
        keras_file.load(tmp_path / name)
    np.savez(tmp_path / "rows.npz", x=ROWS)
    (tmp_path / "mine.py").write_text(LAYERS)
    config = shrink_model.Config(
        model=str(tmp_path / name), data=str(tmp_path / "rows.npz"), trust=str(tmp_path / "mine.py")
    )
    with own_model.trusting(config.trust):
        data = shrink_model.load(config)
        content = tflite.convert(own_model.opened(config.model, data), data.task)
    np.testing.assert_allclose(verify.predict_tflite(content, ROWS, kind=data.task.inputs), wanted, atol=1e-4)
    assert keras_config.TRUSTED.get() == frozenset()
    assert shrink_model.model_digest(config) != shrink_model.model_digest(shrink_model.Config(model=config.model))


def test_nothing_else_is_let_in(module, tmp_path):
    keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda x: x)]).save(tmp_path / "hostile.keras")
    with trusted.trusting(module), pytest.raises(keras_file.KerasFileError, match="names Lambda"):
        keras_file.load(tmp_path / "hostile.keras")
    config = {"class_name": "Net", "module": "os", "registered_name": "mine>system", "config": {}}
    with trusted.trusting(module):
        assert list(keras_config.findings(config)), "registered as another thing"
        assert not list(keras_config.findings({**config, "registered_name": "mine>Net"}))


def test_what_is_no_file_of_layers_is_said(tmp_path):
    (tmp_path / "empty.py").write_text("A = 3\n")
    with (
        pytest.raises(ValueError, match=r"--trust\. Received: .*empty\.py"),
        own_model.trusting(str(tmp_path / "empty.py")),
    ):
        pass
    with own_model.trusting(""):
        assert keras_config.TRUSTED.get() == frozenset()


def test_a_model_that_was_never_called_has_no_signature(module):
    with pytest.raises(ValueError, match="Net, built with nothing"):
        trusted.by_signature(module.Net())
