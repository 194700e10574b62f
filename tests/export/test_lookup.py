from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import lookup, packing
from kerastl.verify import benchmark


def gathers(rows=10, width=4, *, axis=0, constant=True) -> bytes:
    """A file of one GATHER, as the converter writes it."""
    import tensorflow as tf

    table = np.arange(rows * width, dtype=np.float32).reshape(rows, width)

    @tf.function(input_signature=[tf.TensorSpec((1, 5), tf.int32, name="ids")], autograph=False)
    def function(ids):
        source = table if constant else tf.reshape(tf.cast(ids[0, :4], tf.float32), (2, 2))
        return {"rows": tf.gather(source, ids, axis=axis)}

    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], tf.Module()).convert()


def operators(data: bytes) -> dict[str, int]:
    return dict(benchmark.inspect(data).operators.by_type)


def test_a_table_is_looked_up_and_answers_the_same():
    before = gathers()
    after = lookup.as_lookups(before)
    assert operators(before) == {"GATHER": 1}
    assert operators(after) == {"EMBEDDING_LOOKUP": 1, "RESHAPE": 2}
    assert packing.first_difference(before, after) is None


@pytest.mark.parametrize("options", [{"axis": 1}, {"constant": False}])
def test_other_gathers_stay_as_they_are(options):
    before = gathers(width=12, **options)
    assert lookup.as_lookups(before) is before


def test_files_of_pictures_stay_as_they_are(tiny_files):
    assert lookup.as_lookups(tiny_files.float32) is tiny_files.float32


def test_the_table_of_a_converted_model_shrinks_fourfold(tiny_text):
    small = ptq.dynamic_int8(tiny_text.float32)
    tables = [
        tensor
        for tensor in packing.unpack(small).subgraphs[0].tensors
        if tensor.shape is not None and list(tensor.shape) == [len(tiny_text.vocabulary), 64]
    ]
    assert [tensor.type for tensor in tables] == [schema.TensorType.INT8]
    assert len(tables[0].quantization.scale) == len(tiny_text.vocabulary)  # a scale a row
    found = verify.predict_tflite(small, tiny_text.inputs, kind=tiny_text.task.inputs)
    np.testing.assert_allclose(found, tiny_text.expected, atol=0.02)
