from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress.channels import cost, coupling, rebuild


def test_what_is_left_is_counted_again_as_units_go():
    """Against the sum counted anew each time; unit 3 makes two channels of one factor, unit 1 lies in both."""
    factors = [(np.array([0, 1, 2]), np.array([3, 3, 4])), (np.array([1, 5]),)]
    constants = [7, 11]
    ledger = cost.Cost(list(zip(constants, factors, strict=True)))

    def counted(gone: set[int]) -> int:
        left = [np.prod([np.sum(~np.isin(one, list(gone))) for one in each]) for each in factors]
        return int(np.dot(constants, left))

    assert ledger.total == counted(set()) == 7 * 3 * 3 + 11 * 2
    for units in ([1], [3], [0, 5]):
        gone = ledger.gone | set(units)
        assert ledger.saving(units) == ledger.total - counted(gone)
        ledger.remove(units)
        assert ledger.total == counted(gone)
        assert ledger.gone == gone


@pytest.fixture
def flat() -> keras.Model:
    image = keras.Input((6, 6, 2), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return rebuild.rebuilt(keras.Model(image, keras.layers.Dense(3, name="logits")(x)), {})


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        ("multiply_adds", 4 * 4 * 3 * 3 * 2 * 4 + 4 * 3),
        ("parameters", 3 * 3 * 2 * 4 + 4 + 4 * 3 + 3),
        ("bytes", 4 * (3 * 3 * 2 * 4 + 4 + 4 * 3 + 3)),
    ],
)
def test_a_model_costs_what_is_counted_by_hand(flat, of, wanted):
    assert cost.Cost(cost.products(flat, coupling.coupled(flat), of=of)).total == wanted


def test_pictures_of_any_size_have_no_multiply_adds():
    image = keras.Input((None, None, 2), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    flat = rebuild.rebuilt(keras.Model(image, keras.layers.Dense(3, name="logits")(x)), {})
    with pytest.raises(ValueError, match=r"size of the pictures.*'conv'"):
        cost.products(flat, coupling.coupled(flat), of="multiply_adds")
