"""A detector of centre points: its map, its graph, and what it is refused."""

import dataclasses

import keras
import numpy as np
import pytest

from kerastl.data import digit_scenes
from kerastl.inputs.image import Image
from kerastl.models.detection import centre_net

TASK = digit_scenes.TASK


def test_the_map_has_a_row_a_cell_in_the_order_of_the_grid():
    model = centre_net.build(TASK, grid=(24, 24))
    assert model.output_shape == (None, 576, 14)
    assert 150_000 < model.count_params() < 200_000
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    picture = np.zeros((1, 96, 96, 1), "float32")
    plain = np.asarray(model(picture, training=False))
    assert (1 / (1 + np.exp(-plain[..., 4:])) < 0.1).all()  # at first every class is rare
    picture[0, 80:84, 20:24] = 255  # in row 20, column 5
    moved = np.abs(np.asarray(model(picture, training=False)) - plain).sum(-1).reshape(24, 24)
    # the furthest stage reaches everywhere, the head but little
    row, column = np.unravel_index(moved.argmax(), moved.shape)
    assert abs(row - 20) <= 3
    assert abs(column - 5) <= 3


def test_names_are_not_left_to_the_library():
    first, again = (centre_net.build(TASK, grid=(24, 24)) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in again.layers]
    assert keras.Model.from_config(first.get_config()).count_params() == first.count_params()


def test_a_grid_without_a_stage_is_refused():
    with pytest.raises(ValueError, match=r"Received: stages of \[\(48, 48\)"):
        centre_net.build(TASK, grid=(20, 20))
    with pytest.raises(ValueError, match="without a rest"):
        centre_net.build(dataclasses.replace(TASK, inputs=Image((92, 92, 1))), grid=(23, 23))
