"""Numbers and counts in messages, as people write them."""

from __future__ import annotations


def plain(value: float, *, digits: int = 4) -> str:
    """A number without an exponent where it is large: all digits before the point, in thousands.

    Args:
        value: any number.
        digits: significant ones, of a number that has fewer of them before the point.

    Returns:
        ``"4,294,967,295"``, ``"1,235"``, ``"67.96"``, ``"0.003"``, ``"1e-05"``.
    """
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"  # of infinity, too: inf
    return f"{value:,.{digits}g}"


def counted(count: int, one: str, many: str) -> str:
    """``"1 input carries"``, ``"2,000 inputs carry"``: a count with the words for one thing or for all others."""
    return f"{count:,} {one if count == 1 else many}"
