"""Ways of sharing a network among tasks, each against a calculation of its own, and in an exported file."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from kerastl import verify
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.models import resnet
from kerastl.models.sharing import adapters, cross_stitch, ways
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TARGET: Any = MultiTask(
    (("shape", SingleLabel(("round", "square", "flat"))), ("size", Regression(("size",), (0.0,), (1.0,), "cm")))
)
TASK = Task("toy", Image((8, 8, 3)), TARGET)
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("float32")


def trunk(task):
    keras.utils.set_random_seed(len(task.target.names))  # another one for each task
    return resnet.build(task, widths=(4, 6))


@pytest.fixture(scope="module")
def stitched():
    return cross_stitch.build(trunk, TASK)


@pytest.fixture(scope="module")
def adapted():
    return adapters.build(trunk, TASK, width=5)


@pytest.fixture
def anywhere(adapted):
    """Every weight another one: what begins at nothing would hide what it does."""
    draw, old = np.random.default_rng(0), adapted.get_weights()
    adapted.set_weights([np.where(one == 0, 0.3, one) * draw.uniform(0.5, 1.5, one.shape) for one in old])
    yield adapted
    adapted.set_weights(old)


def test_adapters_begin_as_hard_sharing(adapted):
    features = np.asarray(keras.Model(adapted.input, adapted.get_layer("pool").output)(PICTURES))
    answers = adapted(PICTURES)
    for name, part in TARGET.parts:
        kernel, bias = adapted.get_layer(f"logits_{name}").get_weights()
        wanted = features @ kernel + bias
        if isinstance(part, SingleLabel):
            np.testing.assert_allclose(answers[name], wanted, atol=1e-5)
    assert set(answers) == {"shape", "size"}


def test_an_adapter_by_hand(anywhere):
    model = anywhere
    features = np.asarray(keras.Model(model.input, model.get_layer("pool").output)(PICTURES))
    scale, offset, mean, variance = (np.asarray(one) for one in model.get_layer("adapter_shape_norm").get_weights())
    inner = features @ model.get_layer("adapter_shape_down").get_weights()[0]
    inner = np.maximum((inner - mean) / np.sqrt(variance + 1e-3) * scale + offset, 0)
    up, moved = model.get_layer("adapter_shape_up").get_weights()
    kernel, bias = model.get_layer("logits_shape").get_weights()
    wanted = (features + inner @ up + moved) @ kernel + bias
    np.testing.assert_allclose(model(PICTURES)["shape"], wanted, rtol=1e-4, atol=1e-4)


def test_a_trunk_is_there_once_with_adapters_and_once_a_task_with_stitches(adapted, stitched):
    one = trunk(dataclasses.replace(TASK, target=dict(TARGET.parts)["shape"])).count_params()
    heads, width, features = 6 * 3 + 3 + 6 + 1, 5, 6
    each = 2 * features * width + 4 * width + features
    assert adapted.count_params() == one - (6 * 3 + 3) + heads + 2 * each
    # units at the end of the first stage, of the second and at the features, of two tasks by two
    assert stitched.count_params() == 2 * (one - (6 * 3 + 3)) + heads + 4 * (4 + 6 + 6)
    assert len([layer for layer in stitched.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]) == 12


def test_cross_stitch_units_by_hand(stitched):
    """The two networks, cut where the units stand, mixed by NumPy between the cuts."""
    bodies = [trunk(dataclasses.replace(TASK, target=part)) for _, part in TARGET.parts]
    mixing = np.array([[0.9, 0.1], [0.1, 0.9]])
    cuts = ["stage1_block1_relu2", "stage2_block1_relu2", "pool"]
    maps, before = [PICTURES, PICTURES], [body.inputs[0] for body in bodies]
    for cut in cuts:
        ends = [body.get_layer(cut).output for body in bodies]
        each = [np.asarray(keras.Model(*pair)(given)) for *pair, given in zip(before, ends, maps, strict=True)]
        maps = [sum(share * one for share, one in zip(row, each, strict=True)) for row in mixing]
        before = ends
    kernel, bias = stitched.get_layer("logits_shape").get_weights()
    np.testing.assert_allclose(stitched(PICTURES)["shape"], maps[0] @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_a_channel_is_mixed_with_the_same_channel_alone():
    made = cross_stitch._unit([keras.Input((4, 3)), keras.Input((4, 3))], ["a", "b"], name="unit")
    assert [tuple(one.shape) for one in made] == [(None, 4, 3)] * 2


def test_the_file_of_stitched_networks_answers_as_they_do(stitched):
    """Of adapters, `multi_task_images` makes one in its smoke size."""
    file = tflite.convert(stitched, TASK)
    answers = verify.predict_tflite(file, PICTURES.astype("uint8"), kind=TASK.inputs)
    expected: Any = TARGET.served(stitched(PICTURES))
    for name in TARGET.names:
        np.testing.assert_allclose(answers[name], expected[name], rtol=1e-3, atol=1e-4)


def test_one_task_is_its_trunk_and_what_does_not_fit_is_refused():
    alone = dataclasses.replace(TASK, target=dict(TARGET.parts)["shape"])
    for way in ("hard", "adapters", "cross_stitch"):
        assert ways.build(way, trunk, alone).output_shape == (None, 3)
    assert set(ways.build("hard", trunk, TASK).output) == {"shape", "size"}
    with pytest.raises(ValueError, match=r"Wanted several tasks.*single-label"):
        adapters.build(trunk, alone)
    with pytest.raises(ValueError, match="width=0"):
        adapters.build(trunk, TASK, width=0)
    with pytest.raises(ValueError, match="Wanted several tasks"):
        cross_stitch.build(trunk, alone)
    with pytest.raises(ValueError, match="differ by nothing but weights"):
        cross_stitch.build(lambda task: resnet.build(task, widths=(len(task.target.names),)), TASK)
