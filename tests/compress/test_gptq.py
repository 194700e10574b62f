from __future__ import annotations

import itertools

import numpy as np
import pytest

from kerastl.compress import gptq


def drawn(*, groups: int, rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and the second moments of inputs that go together as neighbouring pixels do."""
    random = np.random.default_rng(seed)
    inputs = np.cumsum(random.normal(size=(groups, 3 * columns, columns)), -1)
    return random.normal(size=(groups, rows, columns)), inputs.mT @ inputs / inputs.shape[1]


def one_by_one(weights: np.ndarray, moments: np.ndarray, scale: float, *, largest: int) -> list[int]:
    """Optimal brain quantization of a row as its paper has it: a weight is rounded, the best answer of those that are
    left is that of the inverse of their moments, made anew for every weight."""
    left, integers = weights.copy(), []
    for place in range(len(weights)):
        inverse = np.linalg.inv(moments[place:, place:])
        integers.append(int(np.clip(np.rint(left[place] / scale), -largest, largest)))
        left[place:] -= (left[place] - integers[-1] * scale) / inverse[0, 0] * inverse[0]
    return integers


def test_the_triangle_takes_the_steps_of_a_surgeon_with_explicit_inverses():
    weights, moments = drawn(groups=2, rows=3, columns=150)  # more than two blocks
    scales = np.abs(weights).max(-1) / 7 * 0.8
    integers = gptq._in_turn(
        weights, gptq._triangle(moments), scales[..., None].repeat(150, -1), largest=7, counts=np.ones((2, 3, 150))
    )
    for group, row in itertools.product(range(2), range(3)):
        wanted = one_by_one(weights[group, row], moments[group], scales[group, row], largest=7)
        np.testing.assert_array_equal(integers[group, row], wanted)


def test_between_nearest_rounding_and_the_best_of_all_integers():
    """A row of five weights has 3 ** 5 answers at each scale: all are tried."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=5)), float)
    excess = []
    for seed in range(20):
        weights, moments = drawn(groups=1, rows=1, columns=5, seed=seed)
        found = gptq.rounded(weights, moments, largest=1)
        error = gptq.error(weights - found.weights, moments).item()
        scales = np.abs(weights).max() * gptq._SHARES
        differences = weights[0] - every[:, None] * scales[:, None]
        least = np.einsum("isc,cd,isd->is", differences, moments[0], differences).min()
        nearest = weights[0] - np.clip(np.rint(weights[0] / scales[:, None]), -1, 1) * scales[:, None]
        assert least <= error * (1 + 1e-9)
        assert error <= np.einsum("sc,cd,sd->s", nearest, moments[0], nearest).min() * (1 + 1e-9)
        excess.append(error / least)
    assert np.median(excess) < 1.5


@pytest.mark.parametrize("one_scale", [False, True])
def test_never_worse_than_nearest_and_mostly_far_better(one_scale):
    weights, moments = drawn(groups=2, rows=4, columns=40)
    weights *= np.geomspace(0.5, 1, 4)[:, None]
    found = gptq.rounded(weights, moments, largest=7, one_scale=one_scale)
    limits = np.abs(weights).max(-1)
    scales = np.full_like(limits, limits.max()) / 7 if one_scale else limits / 7
    nearest = np.rint(weights / scales[..., None]) * scales[..., None]
    before, after = (gptq.error(weights - kernel, moments) for kernel in (nearest, found.weights))
    assert after.sum() < 0.3 * before.sum()
    assert one_scale or (after <= before).all()
    assert np.abs(found.integers).max() <= 7
    np.testing.assert_array_equal(found.integers, np.rint(found.integers))
    assert len(np.unique(found.scales)) == (1 if one_scale else 8)


@pytest.mark.parametrize("largest", [7, 127])
def test_a_row_of_zeros_leaves_the_others_their_scale(largest):
    weights, moments = drawn(groups=1, rows=3, columns=9)
    weights *= 0.01
    weights[0, 0] = 0.0
    found = gptq.rounded(weights, moments, largest=largest, one_scale=True)
    without = gptq.rounded(weights[:, 1:], moments, largest=largest, one_scale=True)
    np.testing.assert_array_equal(found.integers[:, 1:], without.integers)
    np.testing.assert_array_equal(found.scales[:, 1:], without.scales)
    assert not found.integers[0, 0].any()


def test_zeros_stay_and_the_others_make_up_for_them():
    weights, moments = drawn(groups=2, rows=4, columns=40)
    zeros = np.random.default_rng(3).uniform(size=weights.shape) < 0.5
    weights[zeros] = 0
    free, found = (gptq.rounded(weights, moments, largest=7, zeros=mask) for mask in (None, zeros))
    assert (found.integers[zeros] == 0).all()
    assert (free.integers[zeros] != 0).any()
    scales = np.abs(weights).max(-1, keepdims=True) / 7
    before = gptq.error(weights - np.rint(weights / scales) * scales, moments)
    assert (gptq.error(weights - found.weights, moments) <= before).all()


def test_the_error_is_that_of_the_products():
    random = np.random.default_rng(0)
    inputs, difference = random.normal(size=(2, 50, 6)), random.normal(size=(2, 3, 6))
    wanted = np.mean(np.square(inputs @ difference.mT), 1)
    np.testing.assert_allclose(gptq.error(difference, inputs.mT @ inputs / 50), wanted)


def test_inputs_that_say_nothing_leave_nearest_rounding():
    weights, _ = drawn(groups=1, rows=3, columns=9)
    weights[:, 1] = 0
    weights[:, 2] *= 1e-40
    moments = np.zeros((1, 9, 9))
    moments[0, 0, 0] = 4
    np.testing.assert_allclose(gptq.damped(moments)[0], moments[0] + np.eye(9) * 0.01 * 4 / 9)
    blank = gptq.damped(np.zeros((1, 9, 9)))
    np.testing.assert_array_equal(blank[0], np.eye(9))
    found = gptq.rounded(weights, blank, largest=7)
    np.testing.assert_array_equal(found.integers, np.clip(np.rint(weights / found.scales[..., None]), -7, 7))
    assert (found.integers[:, 1:] == 0).all()
    assert (found.scales.astype("float32") > 1e-30).all()
