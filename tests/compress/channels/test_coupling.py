from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kerastl.compress.channels import coupling


def families(model: keras.Model) -> set[frozenset[str]]:
    """Which layers share the channels that they make, of those that can lose some."""
    found = coupling.coupled(model)
    return {
        frozenset(name for name, units in found.made.items() if set(family.tolist()) & set(units.tolist()))
        for family in found.families
    }


def test_a_residual_sum_ties_and_a_concatenation_does_not():
    image = keras.Input((8, 8, 3), name="image")
    stem = layers.Conv2D(4, 3, padding="same", name="stem")(image)
    inner = layers.Conv2D(6, 3, padding="same", name="inner")(stem)
    back = layers.Conv2D(4, 3, padding="same", name="back")(layers.ReLU(name="relu")(inner))
    x = layers.Add(name="add")([stem, back])
    left, right = layers.Conv2D(2, 1, name="left")(x), layers.Conv2D(3, 1, name="right")(x)
    x = layers.Concatenate(name="join")([left, right])
    tied = layers.Conv2D(5, 1, name="tied")(stem)
    x = layers.Add(name="sum")([x, tied])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(image, layers.Dense(7, name="logits")(x))
    assert families(model) == {
        frozenset({"stem", "back"}),
        frozenset({"inner"}),
        frozenset({"left", "tied"}),
        frozenset({"right", "tied"}),
    }
    found = coupling.coupled(model)
    assert [len(found.made[name]) for name in ("left", "right", "tied")] == [2, 3, 5]
    np.testing.assert_array_equal(found.made["tied"], np.concatenate([found.made["left"], found.made["right"]]))
    np.testing.assert_array_equal(found.cuts["norm"][0][0].labels, found.made["tied"])
    np.testing.assert_array_equal(found.made["stem"], found.made["back"])
    assert set(found.reasons.values()) == {"they are an input of the model", "they are an output of the model"}
    assert {found.reasons[unit] for unit in found.made["logits"].tolist()} == {"they are an output of the model"}


def test_every_number_and_every_multiplication_is_counted():
    image = keras.Input((9, 9, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, name="conv")(image)  # 4x4
    x = layers.Conv2D(12, 3, groups=4, padding="same", use_bias=False, name="grouped")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = layers.SeparableConv2D(5, 3, padding="same", name="separable")(x)
    x = layers.Conv2DTranspose(6, 2, strides=2, name="transposed")(x)  # 8x8
    x = layers.Dense(7, name="everywhere")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.Flatten(name="flat")(x)))
    found = coupling.coupled(model)
    sums: dict[str, int] = {}
    for item in found.work:
        sums[item.layer] = sums.get(item.layer, 0) + item.constant * int(np.prod([len(one) for one in item.factors]))
    assert sums == {
        "conv": 16 * 9 * 3 * 8,
        "grouped": 16 * 9 * 2 * 12,
        "depthwise": 16 * 9 * 24,
        "separable": 16 * (9 * 24 + 24 * 5),
        "transposed": 16 * 4 * 5 * 6,
        "everywhere": 64 * 6 * 7,
        "logits": 64 * 7 * 2,
    }
    total = sum(item.constant * int(np.prod([len(one) for one in item.factors])) for item in found.parameters)
    assert total == model.count_params()


class Own(layers.Layer):
    def call(self, inputs):
        return inputs


def test_what_is_not_known_is_untouchable_and_said():
    image = keras.Input((8, 8, 3), name="image")
    free = layers.Conv2D(4, 3, name="free")(image)
    x = layers.Conv2D(4, 3, name="held")(free)
    x = Own(name="mystery")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalMaxPooling2D(name="pool")(x)))
    found = coupling.coupled(model)
    assert {found.reasons[unit] for unit in found.made["held"].tolist()} == {
        "'mystery' of class Own is not known to treat every channel by itself"
    }
    assert families(model) == {frozenset({"free"})}
    assert not set(found.made["free"].tolist()) & set(found.reasons)
