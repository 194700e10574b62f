"""The accountant beside figures that dp-accounting 0.6.0 printed, at the same orders, and beside integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kerastl.training.private import accountant


@pytest.mark.parametrize(
    ("parts", "delta", "expected"),
    [
        ([(256 / 60000, 1.1, 3515)], 1e-5, 1.2811442759635217),  # 15 epochs of MNIST in batches of 256
        ([(512 / 55000, 0.9, 1074)], 1e-5, 2.6241069504175725),
        ([(0.01, 4.0, 10000)], 1e-6, 1.1694689236889932),
        ([(0.2, 20.0, 100)], 1e-7, 0.4841192828728411),
        ([(1.0, 10.0, 5)], 1e-5, 0.8969598057188236),
        ([(0.0001, 0.6, 50)], 1e-5, 1.4584098873624627),
        ([(0.01, 1.0, 500), (0.02, 2.0, 300)], 1e-5, 1.8024772546470662),
        ([(0.001, 50.0, 1)], 1e-5, 0.003501614601766186),
    ],
)
def test_epsilon_is_that_of_dp_accounting(parts, delta, expected):
    spent = sum(accountant.renyi(rate, noise, steps=steps) for rate, noise, steps in parts)
    assert accountant.epsilon_of(np.asarray(spent), delta=delta) == pytest.approx(expected, abs=1e-9)


def test_costs_at_each_order_are_those_of_dp_accounting():
    printed = [
        5.596078392680444e-05, 8.449378374030335e-05, 0.00023316833171760603, 2.3574932607812142, 52.26565921197535,
    ]  # fmt: skip
    found = accountant.renyi(0.01, 1.5, orders=(2, 3, 8, 32, 256))
    np.testing.assert_allclose(found, printed, rtol=1e-9)


@pytest.mark.parametrize("order", [2, 5])
def test_a_cost_is_the_divergence_of_the_two_densities(order):
    """The mixture against the noise alone, integrated numerically: the larger of both directions."""
    rate, noise = 0.1, 0.8
    x = np.linspace(-30, 30, 400_001)

    def density(mean):
        return np.exp(-((x - mean) ** 2) / (2 * noise**2)) / math.sqrt(2 * math.pi * noise**2)

    without, with_one = density(0), (1 - rate) * density(0) + rate * density(1)
    integral = np.trapezoid(without * (with_one / np.maximum(without, 1e-300)) ** order, x)
    assert accountant.renyi(rate, noise, orders=(order,))[0] == pytest.approx(
        math.log(integral) / (order - 1), rel=1e-7
    )


def test_noise_is_the_least_that_is_enough():
    plan = {"sampling_rate": 1024 / 55000, "steps": 1080, "delta": 1e-5}
    found = accountant.noise_multiplier(1.25, **plan)
    assert found == pytest.approx(2.192744322357163, rel=1e-6)  # dp_accounting.calibrate_dp_mechanism
    assert accountant.epsilon(noise_multiplier=found, **plan) <= 1.25
    assert accountant.epsilon(noise_multiplier=found * (1 - 3e-6), **plan) > 1.25


def test_nothing_spent_is_nothing_and_more_is_more():
    assert accountant.epsilon(sampling_rate=0.1, noise_multiplier=1.0, steps=0, delta=1e-5) == 0
    assert accountant.epsilon(sampling_rate=1e-9, noise_multiplier=100.0, steps=1, delta=1e-2) == 0
    assert accountant.epsilon(sampling_rate=0.1, noise_multiplier=0.0, steps=1, delta=1e-5) == math.inf
    costs = [accountant.epsilon(sampling_rate=0.1, noise_multiplier=1.0, steps=n, delta=1e-5) for n in (1, 10, 100)]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: accountant.renyi(1.5, 1.0),
        lambda: accountant.renyi(0.5, -1.0),
        lambda: accountant.renyi(0.5, math.nan),
        lambda: accountant.renyi(0.5, 1.0, steps=-1),
        lambda: accountant.renyi(0.5, 1.0, orders=(1,)),
        lambda: accountant.epsilon_of(np.zeros(3), delta=1e-5),
        lambda: accountant.epsilon(sampling_rate=0.5, noise_multiplier=1.0, steps=1, delta=0.0),
        lambda: accountant.noise_multiplier(0.0, sampling_rate=0.5, steps=1, delta=1e-5),
        lambda: accountant.noise_multiplier(1e-9, sampling_rate=1.0, steps=10**6, delta=1e-9),
    ],
)
def test_what_is_no_mechanism_is_refused(call):
    with pytest.raises(ValueError, match="Received"):
        call()
