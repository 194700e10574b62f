"""The accountant of differential privacy: what steps of noisy gradients on sampled batches cost, as epsilon and delta.

A mechanism is (epsilon, delta)-differentially private if, for any two data sets of which one has one example more, no
answer of it is more than ``exp(epsilon)`` times as likely on the one as on the other, but for a probability of
``delta``. Costs are counted as Renyi differential privacy, which adds up over steps, and are converted at the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

ORDERS = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 256, 384, 512, 768, 1024)
"""Orders of the Renyi divergence, all integer: for these there is a sum, and no integral. The smallest epsilon of all
holds."""


def renyi(
    sampling_rate: float, noise_multiplier: float, *, steps: int = 1, orders: Sequence[int] = ORDERS
) -> np.ndarray:
    """Renyi differential privacy of the Poisson-subsampled Gaussian mechanism, float64 ``(orders,)``.

    Mironov, Talwar & Zhang 2019, "Renyi differential privacy of the sampled Gaussian mechanism", section 3.3
    (https://arxiv.org/abs/1908.10530); two data sets are neighbours where one has one example more.

    Args:
        sampling_rate: the probability with which each example is in a batch, 0..1.
        noise_multiplier: standard deviation of the noise, as a multiple of the longest gradient of one example.
        steps: how often the mechanism is used; costs add up.
        orders: whole numbers of 2 or more.

    Raises:
        ValueError: a number is out of its range.
    """
    _check(sampling_rate=sampling_rate, noise_multiplier=noise_multiplier, steps=steps)
    if any(order < 2 or order != int(order) for order in orders):
        raise ValueError(f"Wanted whole orders of 2 or more. Received: {list(orders)}.")
    if sampling_rate == 0 or steps == 0:
        return np.zeros(len(orders))
    if noise_multiplier == 0:
        return np.full(len(orders), np.inf)
    if sampling_rate == 1:
        return steps * np.array(orders, np.float64) / (2 * noise_multiplier**2)
    return steps * np.array([_of_order(sampling_rate, noise_multiplier, int(order)) for order in orders])


def epsilon_of(spent: np.ndarray, *, delta: float, orders: Sequence[int] = ORDERS) -> float:
    """Epsilon by what was spent at each order, the smallest one of all orders.

    Canonne, Kamath & Steinke 2020, "The discrete Gaussian for differential privacy", proposition 12
    (https://arxiv.org/abs/2004.00010); also Balle et al. 2020, theorem 21 (https://arxiv.org/abs/1905.09982).

    Args:
        spent: as `renyi` gives it, of several mechanisms their sum, ``(orders,)``.
        delta: above 0, below 1: less than one part in as many as there are examples.
        orders: those of ``spent``.

    Raises:
        ValueError: a number is out of its range, or there is not one cost an order.
    """
    _check(delta=delta)
    spent, order = np.asarray(spent, np.float64), np.array(orders, np.float64)
    if spent.shape != order.shape:
        raise ValueError(f"Wanted a cost for each of {len(order)} orders. Received: shape {spent.shape}.")
    found = spent + constants(delta, orders=orders)
    # so little is spent that the total variation is below delta, by Bretagnolle and Huber
    found = np.where(delta**2 + np.expm1(-spent) > 0, 0.0, found)
    return max(0.0, float(found.min()))


def constants(delta: float, *, orders: Sequence[int] = ORDERS) -> np.ndarray:
    """What is added to the cost at each order to make an epsilon of it, float64 ``(orders,)``; see `epsilon_of`."""
    order = np.array(orders, np.float64)
    return np.log1p(-1 / order) - (math.log(delta) + np.log(order)) / (order - 1)


def epsilon(*, sampling_rate: float, noise_multiplier: float, steps: int, delta: float) -> float:
    """Epsilon of so many steps; see `renyi` and `epsilon_of`."""
    return epsilon_of(renyi(sampling_rate, noise_multiplier, steps=steps), delta=delta)


def noise_multiplier(epsilon: float, *, sampling_rate: float, steps: int, delta: float) -> float:
    """The least noise with which so many steps cost no more than ``epsilon``, found to one part in a million.

    Args:
        epsilon: what may be spent, above 0.
        sampling_rate, steps, delta: see `renyi` and `epsilon_of`.

    Raises:
        ValueError: a number is out of its range, or no noise of up to a million is enough.
    """
    _check(epsilon=epsilon, delta=delta, sampling_rate=sampling_rate, steps=steps)

    def cost(noise: float) -> float:
        return epsilon_of(renyi(sampling_rate, noise, steps=steps), delta=delta)

    low, high = 0.0, 1.0
    while cost(high) > epsilon:
        low, high = high, 2 * high
        if high > 1e6:
            raise ValueError(
                f"Wanted an epsilon that some noise reaches. Received: {epsilon} for {steps} steps at a sampling rate "
                f"of {sampling_rate} and a delta of {delta}."
            )
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) > epsilon else (low, middle)
    return high


def _of_order(rate: float, noise: float, order: int) -> float:
    """``log(sum of C(order, k) (1 - rate)^(order - k) rate^k exp((k^2 - k) / (2 noise^2))) / (order - 1)``."""
    k = np.arange(order + 1)
    terms = _log_binomials(order) + k * math.log(rate) + (order - k) * math.log1p(-rate)
    terms += (k * k - k) / (2 * noise**2)
    largest = terms.max()
    return max(0.0, float(largest + math.log(np.exp(terms - largest).sum())) / (order - 1))


@functools.cache
def _log_binomials(order: int) -> np.ndarray:
    logs = [math.lgamma(number + 1) for number in range(order + 1)]
    return np.array([logs[order] - logs[k] - logs[order - k] for k in range(order + 1)])


_RANGES = {
    "sampling_rate": (lambda value: 0 <= value <= 1, "of 0 to 1"),
    "noise_multiplier": (lambda value: value >= 0, "of 0 or more"),
    "steps": (lambda value: value >= 0 and value == int(value), "that is whole, of 0 or more"),
    "delta": (lambda value: 0 < value < 1, "above 0 and below 1"),
    "epsilon": (lambda value: value > 0, "above 0"),
}


def _check(**numbers: float) -> None:
    for name, value in numbers.items():
        allowed, words = _RANGES[name]
        if not (math.isfinite(value) and allowed(value)):
            raise ValueError(f"Wanted {name} as a number {words}. Received: {value}.")
