"""JSON of strangers ends in a value or in words."""

import os

import pytest

from kerastl.system import bounded_json

BAD = ["[" * 100_000, '{"a":' * 100_000, "{", "", "9" * 10_000, b"\xff\xfe"]


def test_values_come_as_from_json():
    assert bounded_json.loads('{"a": [1, 2.5, null, "ü"]}') == {"a": [1, 2.5, None, "ü"]}
    assert bounded_json.loads(b"[true]") == [True]


@pytest.mark.parametrize("text", BAD)
def test_everything_else_is_a_value_error(text, tmp_path):
    with pytest.raises(ValueError):  # noqa: PT011  json's own words, or "nested too deep"
        bounded_json.loads(text)
    (tmp_path / "some.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"some\.json is no JSON: "):
        bounded_json.read(tmp_path / "some.json")


def test_files_are_bounded_and_named(tmp_path):
    path = tmp_path / "some.json"
    path.write_text('{"a": 1}')
    assert bounded_json.read(path) == bounded_json.read_object(path) == {"a": 1}
    path.write_text("[1]")
    assert bounded_json.read(path) == [1]
    with pytest.raises(ValueError, match=r"Wanted an object of JSON\. Received: .*some\.json, which holds a list"):
        bounded_json.read_object(path)
    os.truncate(path, bounded_json.LARGEST + 1)
    with pytest.raises(ValueError, match=r"Wanted at most 32,000,000 bytes of JSON\. Received: .*some\.json"):
        bounded_json.read(path)
    with pytest.raises(ValueError, match="more than the 32,000,000"):
        bounded_json.loads(" " * (bounded_json.LARGEST + 1))


def test_a_pipe_or_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            bounded_json.read(path)
