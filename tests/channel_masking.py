"""What channel pruning has to equal, found without it: the old model in which everything that did not stay is zero."""

from __future__ import annotations

import keras
import numpy as np


def at_random(model: keras.Model, seed: int = 0) -> keras.Model:
    """No two weights are the same number, so that a number tells where it came from; variances are positive."""
    draw = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):  # holds statistics, of what no channel is cut from
            continue
        for weight in layer.weights:
            size = weight.shape if len(weight.shape) < 2 else (1, *weight.shape[:-1])
            values = draw.normal(0, 1 / np.sqrt(max(np.prod(size), 1)) if len(weight.shape) > 1 else 0.3, weight.shape)
            if weight.name in ("gamma", "moving_variance"):
                values = np.abs(values) + 0.5
            weight.assign(values)
    return model


def masked(model: keras.Model, small: keras.Model) -> keras.Model:
    """A copy of ``model``: each of its weights is zero that ``small`` does not have in the layer of the same name.

    A channel that is removed on one side of a sum and another one on the other would be zero on neither, and which
    rows of a kernel belong to which channel is not asked anywhere.
    """
    copy = keras.models.clone_model(model)
    for old, new in zip(model.layers, copy.layers, strict=True):
        kept = small.get_layer(old.name).weights
        assert len(kept) == len(old.weights)
        for before, after, stayed in zip(old.weights, new.weights, kept, strict=True):
            values = before.numpy()
            if before.name != "moving_variance" and before.shape != stayed.shape:
                values = np.where(np.isin(values, stayed.numpy()), values, 0)
            after.assign(values)
    return copy


def assert_like_masked(model: keras.Model, small: keras.Model, inputs) -> None:
    """The pruned model answers as the old one with zeros, to the last bits of float64, and not as the whole one."""
    wanted, received = masked(model, small)(inputs, training=False), small(inputs, training=False)
    wanted, received = (np.asarray(keras.tree.flatten(one)[0]) for one in (wanted, received))
    assert wanted.dtype == "float64"
    np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    whole = np.asarray(keras.tree.flatten(model(inputs, training=False))[0])
    assert np.abs(whole - wanted).max() > 1e-4 * np.abs(whole).max()
