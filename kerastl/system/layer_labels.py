"""What the layers of a TFLite file are called where people read of them: by number, kind and shape.

Converters name a tensor after the layer that it came from, and a packed file after nothing at all; the order of the
operators is the same in both, and in what quantization makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_CARRIERS = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS")
"""What only carries numbers from one layer to the next."""


def labels(operators: Iterable[tuple[str, Sequence[int]]]) -> list[str | None]:
    """`"3. CONV_2D [14, 14, 64]"` for each operator, ``None`` for one that only carries numbers.

    Args:
        operators: of a file's main graph in its order: the kind of each, and the shape of what it writes, batch first.
    """
    found: list[str | None] = []
    number = 0
    for kind, shape in operators:
        number += kind not in _CARRIERS
        found.append(None if kind in _CARRIERS else f"{number}. {kind} {[int(size) for size in shape[1:]]}")
    return found


def is_called(label: str | None, wanted: str) -> bool:
    """Whether somebody means this layer: by the whole of its label, without the shape, or by the number alone with its
    full stop, ``"3."``.
    """
    if label is None:
        return False
    number, kind, _ = label.split(" ", 2)
    return wanted.strip() in (label, f"{number} {kind}", number)
