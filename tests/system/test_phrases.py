"""Numbers without exponents, counts without "1 inputs"."""

import math

import pytest

from kerastl.system import phrases


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (4294967295, 4, "4,294,967,295"),
        (2**32 - 1, 10, "4,294,967,295"),
        (1e12, 4, "1,000,000,000,000"),
        (-123456.7, 4, "-123,457"),
        (1234.6, 4, "1,235"),
        (1234.56, 6, "1,234.56"),
        (999.96, 4, "1,000"),
        (67.9596, 4, "67.96"),
        (0.5, 4, "0.5"),
        (0.003, 4, "0.003"),
        (0, 4, "0"),
        (8, 10, "8"),
        (1e-5, 4, "1e-05"),
        (math.inf, 4, "inf"),
        (math.nan, 4, "nan"),
    ],
)
def test_a_large_number_has_all_its_digits(value, digits, shown):
    assert phrases.plain(value, digits=digits) == shown


def test_one_thing_is_no_plural():
    words = ("input carries", "inputs carry")
    assert [phrases.counted(count, *words) for count in (0, 1, 2000)] == [
        "0 inputs carry",
        "1 input carries",
        "2,000 inputs carry",
    ]
