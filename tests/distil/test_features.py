"""Taps against models cut by hand, projections against NumPy."""

import keras
import numpy as np
import pytest

from kerastl.distil import features


def picture_model(**sizes):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(3, 3, activation="relu", name="block1_conv", **sizes)(image)
    x = keras.layers.BatchNormalization(name="block1_norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(4, name="answers")(x), name="pictures")


@pytest.fixture
def pictures():
    return np.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype("float32")


def test_taps_are_what_a_model_cut_there_says(pictures):
    model = picture_model()
    tapped = features.intermediate_outputs(model, layers=["block1_norm", "pool"])
    found = tapped(pictures, training=False)
    assert list(found) == ["logits", "block1_norm", "pool"]
    np.testing.assert_array_equal(found["logits"], model(pictures, training=False))
    kernel, bias = model.get_layer("answers").get_weights()
    np.testing.assert_allclose(found["pool"] @ kernel + bias, found["logits"], atol=1e-6)
    np.testing.assert_allclose(found["pool"], np.mean(found["block1_norm"], (1, 2)), atol=1e-6)


def test_taps_share_the_callers_layers_and_change_nothing(pictures):
    model = picture_model()
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    tapped = features.intermediate_outputs(model, layers=["pool"])
    assert [id(v) for v in tapped.weights] == [id(v) for v in model.weights]
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]
    before = model.get_layer("block1_norm").moving_mean.numpy()
    tapped(pictures, training=True)
    assert np.abs(model.get_layer("block1_norm").moving_mean.numpy() - before).max() > 1e-4


def test_a_sequential_model_and_named_inputs_have_taps():
    sequential = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="one"), keras.layers.Dense(1)])
    found = features.intermediate_outputs(sequential, layers=["one"])(np.ones((2, 3), "float32"))
    assert found["one"].shape == (2, 2)
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"left": left, "right": right}, keras.layers.Add(name="sum")([left, right]))
    tapped = features.intermediate_outputs(model, layers=["sum"])
    answer = tapped({"left": np.ones((1, 2)), "right": 2 * np.ones((1, 2))})["sum"]
    np.testing.assert_array_equal(answer, [[3, 3]])


def nested_model():
    """A model in a model in a model, and a layer behind them."""
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 2), name="photo")
    x = keras.layers.Rescaling(0.5, name="rescale")(image)
    x = keras.Sequential([picture_model(), keras.layers.Dropout(0.5, name="drop")], name="backbone")(x)
    x = keras.layers.Dense(6, activation="relu", name="neck")(x)
    return keras.Model(image, keras.layers.Dense(3, name="head")(x), name="classifier")


def test_layers_of_models_inside_are_heard_in_one_pass(pictures):
    model = nested_model()
    wanted = ["backbone/pictures/block1_norm", "neck", "backbone/pictures/pool", "backbone/drop"]
    tapped = features.intermediate_outputs(model, layers=wanted)
    assert [id(v) for v in tapped.weights] == [id(v) for v in model.weights]
    found = tapped(pictures, training=False)
    assert list(found) == ["logits", *wanted]
    np.testing.assert_allclose(found["logits"], model(pictures, training=False), atol=1e-6)
    inner = model.get_layer("backbone").get_layer("pictures")
    alone = features.intermediate_outputs(inner, layers=["block1_norm", "pool"])(pictures * 0.5, training=False)
    for name in ("block1_norm", "pool"):
        np.testing.assert_allclose(found[f"backbone/pictures/{name}"], alone[name], atol=1e-6)
    kernel, bias = model.get_layer("neck").get_weights()
    np.testing.assert_allclose(found["neck"], np.maximum(found["backbone/drop"] @ kernel + bias, 0), atol=1e-5)
    # statistics move once a pass: nothing inside runs twice
    norm = inner.get_layer("block1_norm")
    mean = norm.moving_mean.numpy()
    maps = inner.get_layer("block1_conv")(pictures * 0.5).numpy().mean((0, 1, 2))
    tapped(pictures, training=True)
    np.testing.assert_allclose(norm.moving_mean.numpy(), 0.99 * mean + 0.01 * maps, atol=1e-6)


def test_a_path_that_leads_nowhere_is_answered_with_near_ones():
    for path, words in (("bakbone/pool", "Near: .*'backbone'"), ("backbone/pictures/pol", "Near: .*'pool'")):
        with pytest.raises(ValueError, match=words):
            features.intermediate_outputs(nested_model(), layers=[path])
    with pytest.raises(ValueError, match="functional or sequential"):
        features.intermediate_outputs(nested_model(), layers=["neck/inside"])


def test_a_layer_that_other_models_use_as_well_is_not_unclear(pictures):
    model = picture_model()
    other = keras.Input((8, 8, 2))
    keras.Model(other, model.get_layer("block1_conv")(other))
    found = features.intermediate_outputs(model, layers=["block1_conv"])(pictures)
    assert found["block1_conv"].shape == (5, 6, 6, 3)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match=r"Received: 'block1_cnov'\. Near: \['block1_conv'.*'pool'"):
        features.intermediate_outputs(picture_model(), layers=["block1_cnov"])


def test_unclear_taps_are_refused():
    shared = keras.layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="2 outputs in 2 uses"):
        features.intermediate_outputs(keras.Model(inputs, shared(shared(inputs))), layers=["shared"])
    inner = keras.layers.Dense(3, name="logits")(inputs)
    with pytest.raises(ValueError, match="another name"):
        features.intermediate_outputs(keras.Model(inputs, keras.layers.Softmax()(inner)), layers=["logits"])
    with pytest.raises(ValueError, match=r"outputs of different names\. Received: logits, logits"):
        features.intermediate_outputs(keras.Model(inputs, [inner, inner]), layers=["logits"])

    class Free(keras.Model):
        pass

    with pytest.raises(ValueError, match="Received: Free"):
        features.intermediate_outputs(Free(), layers=["logits"])


def test_a_map_is_resized_then_projected():
    values = np.array([[1.0, 3.0], [5.0, 9.0]], "float32")[None, :, :, None]
    lesson = features.projection((None, 2, 2, 1), (None, 4, 4, 2))
    kernel, bias = (np.asarray(v) for v in lesson.get_weights())
    # bilinear with half-pixel centres, from 2 to 4
    rows = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    expected = (rows @ values[0, :, :, 0] @ rows.T)[..., None] * kernel[0, 0, 0] + bias
    np.testing.assert_allclose(lesson(values)[0], expected, atol=1e-6)
    assert len(lesson.trainable_variables) == 2


def test_a_map_that_shrinks_sees_all_of_its_pixels():
    values = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    lesson = features.projection((None, 8, 8, 3), (None, 2, 2, 5), width=False)
    assert lesson(values).shape == (1, 2, 2, 3)
    assert lesson.trainable_variables == []
    distance = np.abs(np.arange(8) + 0.5 - np.array([[2.0], [6.0]]))
    rows = np.maximum(0, 1 - distance / 4)  # a triangle as wide as the step, twice
    rows /= rows.sum(1, keepdims=True)
    expected = np.einsum("ai,bj,ijc->abc", rows, rows, values[0])
    np.testing.assert_allclose(lesson(values)[0], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (7, 4), (None, 4)])
def test_vectors_and_tokens_go_through_a_dense_layer(shape):
    lesson = features.projection((None, *shape), (None, *shape[:-1], 6))
    values = np.random.default_rng(0).normal(size=(2, *[size or 3 for size in shape])).astype("float32")
    kernel, bias = lesson.get_weights()
    np.testing.assert_allclose(lesson(values), values @ kernel + bias, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((None, 4), (None, 3, 4)),
        ((None, 5, 4), (None, 3, 4)),
        ((None, None, None, 4), (None, 3, 3, 4)),
        ((None, None), (None, 3)),
        ((None, 2, 2, 2, 4), (None, 2, 2, 2, 4)),
    ],
)
def test_shapes_that_nothing_leads_between_are_refused(student, teacher):
    with pytest.raises(ValueError, match="A projection goes between"):
        features.projection(student, teacher)
