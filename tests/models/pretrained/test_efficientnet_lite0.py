"""Against the same network written out in plain TensorFlow from the file's own names, and against PyTorch's answers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.models.pretrained import efficientnet_lite0, torch_file, weights

# Of the paper's table 1, block by block: kernel size, stride, expansion, input and output channels.
BLOCKS = [
    (3, 1, 1, 32, 16),
    *((3, 2 if first else 1, 6, 16 if first else 24, 24) for first in (1, 0)),
    *((5, 2 if first else 1, 6, 24 if first else 40, 40) for first in (1, 0)),
    *((3, 2 if first else 1, 6, 40 if first else 80, 80) for first in (1, 0, 0)),
    *((5, 1, 6, 80 if first else 112, 112) for first in (1, 0, 0)),
    *((5, 2 if first else 1, 6, 112 if first else 192, 192) for first in (1, 0, 0, 0)),
    (3, 1, 6, 192, 320),
]


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return torch_file.read(efficientnet_lite0.fetch())


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    return efficientnet_lite0.classifier(image_size=96)


def pictures(size: int = 96) -> np.ndarray:
    """Pixels that a reader can make anywhere: three waves a picture, in the whole range of bytes."""
    rows, columns = np.mgrid[:size, :size] / size
    waves = [np.sin(2 * np.pi * (k * rows + (3 - k) * columns) + k) for k in range(3)]
    first = np.stack(waves, -1)
    return np.rint(127.5 + 127.5 * np.stack([first, first[::-1, :, ::-1] ** 3])).astype("float32")


def written_out(state: dict[str, np.ndarray], raw: np.ndarray) -> dict[str, tf.Tensor]:
    """The network operation by operation, PyTorch's own names in hand; padding by hand, as much behind as in front,
    and one more behind where that does not come out even."""

    def convolved(x, name, *, stride=1, depthwise=False):
        kernel = state[f"{name}.weight"]
        for axis in (1, 2):
            size, side = x.shape[axis], kernel.shape[2]
            missing = max((-(-size // stride) - 1) * stride + side - size, 0)
            padding = [[0, 0]] * 4
            padding[axis] = [missing // 2, missing - missing // 2]
            x = tf.pad(x, padding)
        if depthwise:
            return tf.nn.depthwise_conv2d(x, kernel.transpose(2, 3, 0, 1), [1, stride, stride, 1], "VALID")
        return tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), stride, "VALID")

    def normalized(x, name):
        gamma, beta, mean, variance = (
            state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def clipped(x):
        return tf.clip_by_value(x, 0, 6)

    taps = {}
    x = clipped(normalized(convolved((raw - 127.0) / 128.0, "_conv_stem", stride=2), "_bn0"))
    taps["stem_relu"] = x
    for index, (_, stride, expansion, channels, filters) in enumerate(BLOCKS):
        block, shortcut = f"_blocks.{index}", x
        assert x.shape[-1] == channels
        if expansion > 1:
            x = clipped(normalized(convolved(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = clipped(
            normalized(convolved(x, f"{block}._depthwise_conv", stride=stride, depthwise=True), f"{block}._bn1")
        )
        x = normalized(convolved(x, f"{block}._project_conv"), f"{block}._bn2")
        x = x + shortcut if stride == 1 and channels == filters else x
        taps[f"block{index + 1}"] = x
    taps["top_relu"] = clipped(normalized(convolved(x, "_conv_head"), "_bn1"))
    features = tf.reduce_mean(taps["top_relu"], (1, 2))
    taps["logits"] = features @ state["_fc.weight"].T + state["_fc.bias"]
    return taps


def test_every_layer_answers_as_the_network_written_out(state, classifier):
    raw = pictures()
    taps = written_out(state, raw)
    names = {
        name: name if name in ("stem_relu", "top_relu", "logits") else _last_of_block(classifier, name) for name in taps
    }
    outputs = keras.Model(classifier.input, {tap: classifier.get_layer(name).output for tap, name in names.items()})
    received = outputs(raw, training=False)
    assert len(taps) == 19
    for name, wanted in taps.items():
        scale = float(np.abs(wanted).max())
        assert np.abs(received[name] - wanted).max() <= 2e-5 * scale, name


# What PyTorch 2.13 answers to the same pixels, less 127 and divided by 128, with the network of the package
# efficientnet-lite-pytorch 0.1.0 and this file: every 111th logit, the class of the largest, and that one.
OF_PYTORCH = [
    [
        4.544514,
        -4.3922205,
        -1.3618395,
        2.8275306,
        -1.8893588,
        -2.0883553,
        -4.3703895,
        -0.09857161,
        -1.2375299,
        -5.093326,
    ],
    [2.4157383, -2.5515087, -5.211985, 1.5069768, -1.5688812, 0.09209014, -0.990619, -2.3799834, -2.365226, -1.3158153],
]


def test_it_answers_as_pytorch(classifier):
    logits = classifier.predict(pictures(), verbose=0)
    np.testing.assert_allclose(logits[:, ::111], OF_PYTORCH, atol=1e-4)
    assert logits.argmax(1).tolist() == [506, 723]  # coil, pinwheel
    np.testing.assert_allclose(logits.max(1), [13.789429, 17.201967], atol=1e-4)


def _last_of_block(model: keras.Model, block: str) -> str:
    names = [layer.name for layer in model.layers]
    return f"{block}_add" if f"{block}_add" in names else f"{block}_project_norm"


def test_every_weight_is_accounted_for(state):
    found = efficientnet_lite0.load(image_size=96)
    account = found.accounting
    assert len(account.loaded) == len(found.model.weights) == 245
    assert account.left_out == ("logits/kernel", "logits/bias")
    assert sum(array.size for name, array in state.items() if "num_batches" not in name) == 4_694_024
    # 4,652,008 are trained, as its authors count; the rest are means and variances
    assert efficientnet_lite0.build(image_size=96, top=True).count_params() == 4_694_024
    assert found.model.output_shape == (None, 3, 3, 1280)


def test_a_file_that_lacks_or_has_more_is_refused(state):
    model = efficientnet_lite0.build(image_size=96)
    arrays = efficientnet_lite0.arrays(efficientnet_lite0.fetch())
    with pytest.raises(weights.WeightsError, match="unknown to the model: logits/kernel, logits/bias"):
        weights.fill(model, arrays, source="the file")
    del arrays["block7_expand/kernel"]
    arrays["block16_project_norm/gamma"] = np.ones(100)
    with pytest.raises(weights.WeightsError) as caught:
        weights.fill(model, arrays, source="the file", left_out=("logits",))
    assert "missing from the file: block7_expand/kernel" in str(caught.value)
    assert "block16_project_norm/gamma is (100,) in the file and (320,) in the model" in str(caught.value)


@pytest.mark.parametrize("size", [32, 100, 127, 224])
def test_any_square_from_32_up(size):
    model = efficientnet_lite0.build(image_size=size)
    side = size
    for _ in range(5):
        side = -(-side // 2)
    assert model.output_shape == (None, side, side, 1280)
    assert [layer.name for layer in model.layers[:2]] == ["image", "rescale"]
    with pytest.raises(ValueError, match=r"32 pixels at least\. Received: 31"):
        efficientnet_lite0.build(image_size=31)
