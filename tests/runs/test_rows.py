"""A file's row in a report, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from kerastl import types
from kerastl.runs import rows


def test_a_row_says_what_is_known_of_a_file_and_that_it_lies_in_the_run(tmp_path):
    tensor = types.Tensor("image", "uint8", (1, 4), 0.5, 3)
    measured = types.Verification(types.Score(0.9, 0.8, 1.0, 10), 0.91, 0.99, 0.01)
    variant = types.Variant(
        types.Artifact("one", "by hand", tmp_path / "variants" / "one.tflite"),
        types.FileFacts("0" * 64, 100, 50, 7, 0.25, types.Operators(3, 2, 1, 0), (tensor,), (tensor, tensor)),
        types.Latency(0.1, 0.2, 1, 50),
        validation=dataclasses.replace(measured, score=types.Score(0.5, 0.0, 1.0, 20)),
        test=measured,
        worst_layer=types.LayerError("1. CONV_2D [3]", 0.1, 0.0),
        eligible=False,
        model="teacher_float32",
    )
    row = rows.of_variant(variant, tmp_path)
    assert row | rows.of_facts(variant.facts) == row
    assert (row["file"], row["eligible"], row["model"]) == ("variants/one.tflite", False, "teacher_float32")
    assert (row["validation_score"], row["score"], row["score_low"], row["float_score"]) == (0.5, 0.9, 0.8, 0.91)
    assert (row["multiply_adds"], row["arena_bytes"]) == (None, None), "which nobody has counted"
    assert row["worst_layer"] == {"layer": "1. CONV_2D [3]", "error": 0.1, "clipped": 0.0}
    assert row["ops"] == {"total": 3, "integer": 2, "float": 1, "flex": 0}
    assert row["outputs"] == [{"name": "image", "dtype": "uint8", "shape": [1, 4], "scale": 0.5, "zero_point": 3}] * 2
    with pytest.raises(ValueError, match="lies in its run folder"):
        rows.of_variant(variant, tmp_path / "elsewhere")
