"""JSON of strangers ends in a value or in words."""

import pytest

from kerastl.system import bounded_json


def test_values_come_as_from_json():
    assert bounded_json.loads('{"a": [1, 2.5, null, "ü"]}') == {"a": [1, 2.5, None, "ü"]}
    assert bounded_json.loads(b"[true]") == [True]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "", "9" * 10_000, b"\xff\xfe"])
def test_everything_else_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  json's own words, or "nested too deep"
        bounded_json.loads(text)
