"""What a model costs, and what it costs without some of its channels."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from kerastl.compress.channels.coupling import Coupling
from kerastl.compress.channels.labels import Product


class Cost:
    """The sum of all products, and what it becomes as units go.

    Args:
        products: of each a constant, and the unit of each channel of each factor, as `products` gives them.

    Attributes:
        total: of what is left.
        gone: units that were removed.
    """

    def __init__(self, products: Sequence[tuple[int, tuple[np.ndarray, ...]]]) -> None:
        self._constants = [constant for constant, _ in products]
        self._left = [[len(factor) for factor in factors] for _, factors in products]
        self._places: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)
        for product, (_, factors) in enumerate(products):
            for place, factor in enumerate(factors):
                for unit in factor.tolist():
                    self._places[unit][product, place] += 1
        self.total = sum(self._value(product) for product in range(len(products)))
        self.gone: set[int] = set()

    def saving(self, units: Iterable[int]) -> int:
        """What would be saved without these."""
        return sum(before - after for before, after, _ in self._changed(units))

    def remove(self, units: Sequence[int]) -> None:
        """Takes units away."""
        for before, after, (product, left) in self._changed(units):
            self._left[product] = left
            self.total -= before - after
        self.gone |= set(units)

    def _changed(self, units: Iterable[int]) -> list[tuple[int, int, tuple[int, list[int]]]]:
        touched: dict[int, list[int]] = {}
        for unit in units:
            for (product, place), count in self._places[unit].items():
                touched.setdefault(product, list(self._left[product]))[place] -= count
        return [
            (self._value(product), self._constants[product] * math.prod(left), (product, left))
            for product, left in touched.items()
        ]

    def _value(self, product: int) -> int:
        return self._constants[product] * math.prod(self._left[product])


def products(flat: keras.Model, found: Coupling, *, of: str) -> list[tuple[int, tuple[np.ndarray, ...]]]:
    """What a `Cost` is the sum of, an item a weight or a layer's work.

    Args:
        flat: the model that was coupled.
        found: which of its channels are tied.
        of: ``"multiply_adds"``, ``"parameters"`` or ``"bytes"``.

    Raises:
        ValueError: for multiply-adds of a model whose pictures may have any size.
    """
    items: Sequence[Product] = found.work if of == "multiply_adds" else found.parameters
    unknown = [item.layer for item in items if item.constant is None]
    if unknown:
        raise ValueError(
            "Multiply-adds depend on the size of the pictures. Received: a model of pictures of any size, of which "
            f"layers {unknown[:5]} make maps. Build it for one size, or prune by `cost='parameters'`."
        )
    bytes_each = {layer.name: max((w.value.dtype.size for w in layer.weights), default=4) for layer in flat.layers}
    return [
        (int(item.constant or 0) * (bytes_each[item.layer] if of == "bytes" else 1), item.factors) for item in items
    ]
