import keras
import numpy as np
import pytest

import kerastl
from kerastl.export.tflite import Converted
from kerastl.runs import stage_files
from kerastl.types import History


def test_a_model_and_a_file_come_back_as_they_were(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    curves = History("net", {"loss": (1.0, 0.5)})
    for name, result in {
        "model": kerastl.training.Trained(model, curves),
        "file": Converted(b"TFL3 and more", curves),
    }.items():
        (tmp_path / name).mkdir()
        stage_files.save(result, tmp_path / name)
        found = stage_files.load(tmp_path / name)
        assert type(found) is type(result)
        assert found.curves == curves
    assert stage_files.load(tmp_path / "file").content == b"TFL3 and more"
    found = stage_files.load(tmp_path / "model").model
    np.testing.assert_array_equal(found.get_weights()[0], model.get_weights()[0])


def test_an_array_comes_back_as_it_was(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    stage_files.save(array, tmp_path)
    found = stage_files.load(tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)
    with pytest.raises(ValueError, match="Object arrays"):
        stage_files.save(np.array([object()]), tmp_path)
