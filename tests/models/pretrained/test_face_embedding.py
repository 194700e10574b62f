"""The published face embedding against its graph in NumPy, scale layers and all, on a face of the same package."""

import numpy as np
import pytest

from kerastl.models.pretrained import face_embedding


def convolved(x, arrays, name, *, stride=1, same=True):
    """Convolution, bias, scale, bias, as published, of one picture ``(height, width, channels)`` in float64."""
    kernel = arrays[f"{name}/conv/filters"].astype("float64")
    side = kernel.shape[0]
    if same:
        x = np.pad(x, ((side // 2, side // 2), (side // 2, side // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))[::stride, ::stride]
    rows = windows.transpose(0, 1, 3, 4, 2).reshape(windows.shape[0] * windows.shape[1], -1)
    out = (rows @ kernel.reshape(-1, kernel.shape[-1])).reshape(*windows.shape[:2], -1)
    return (out + arrays[f"{name}/conv/bias"]) * arrays[f"{name}/scale/weights"] + arrays[f"{name}/scale/biases"]


def twin(picture, arrays):
    x = (picture.astype("float64") - [122.782, 117.001, 104.298]) / 255
    x = np.maximum(convolved(x, arrays, "conv32_down", stride=2, same=False), 0)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max((-1, -2))
    for name in ["conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3",
                 "conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2",
                 "conv256_down_out"]:  # fmt: skip
        down = "down" in name
        y = np.maximum(convolved(x, arrays, f"{name}/conv1", stride=2 if down else 1, same=not down), 0)
        y = convolved(y, arrays, f"{name}/conv2")
        if down:
            height, width = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean((1, 3))
            wider = np.zeros((height, width, y.shape[-1]))
            wider[..., : x.shape[-1]] = x
            padded = np.zeros_like(wider)
            padded[: y.shape[0], : y.shape[1]] = y
            x, y = wider, padded
        x = np.maximum(x + y, 0)
    return x.mean((0, 1)) @ arrays["fc"].astype("float64")


@pytest.fixture(scope="module")
def model():
    return face_embedding.load()


def test_the_net_is_the_published_graph(model):
    arrays = face_embedding.published()
    draw = np.random.default_rng(0)
    smooth = np.kron(draw.uniform(0, 255, (2, 15, 15, 3)), np.ones((1, 10, 10, 1)))
    pictures = np.stack([smooth[0], draw.uniform(0, 255, (150, 150, 3))]).astype("float32")
    found = model.predict(pictures, verbose=0)
    for picture, one in zip(pictures, found, strict=True):
        wanted = twin(picture, arrays)
        assert np.abs(one - wanted).max() <= 1e-4
        assert np.abs(wanted).max() > 0.05


def test_every_published_array_is_used_once(model):
    arrays = face_embedding.published()
    assert len(arrays) == 117
    assert set(face_embedding.folded(arrays)) == {
        f"{layer.name}/{weight.name}" for layer in model.layers for weight in layer.weights
    }
