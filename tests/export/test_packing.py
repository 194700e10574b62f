from __future__ import annotations

import flatbuffers
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from kerastl.compress import ptq
from kerastl.export import metadata, packing, tflite


def unshared(data: bytes) -> bytes:
    """The file as the ordinary builder writes it, with long names and the converter's entries put back."""
    model = packing.unpack(data)
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        if not tensor.name or tensor.name.isdigit():
            tensor.name = b"model/block/some_layer/Relu;model/block/some_layer/FusedBatchNormV3;%d" % index
        if tensor.quantization is not None:
            tensor.quantization.min = tensor.quantization.max = np.zeros(1, np.float32)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.zeros(96, np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"CONVERSION_METADATA", len(model.buffers) - 1
    model.metadata = [entry]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    model.operatorCodes.append(code)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("kind", ["float_file", "integer_file"])
@pytest.mark.parametrize("names", [True, False])
def test_shrunk_files_answer_bit_for_bit_the_same(kind, names, request):
    from ai_edge_litert.interpreter import Interpreter

    before = unshared(request.getfixturevalue(kind))
    after = packing.shrink(before, layer_of=lambda _: "l" if names else None)
    assert len(after) < len(before) - 1_000
    probe = np.random.default_rng(1).integers(0, 256, (16, 28, 28, 1))
    answers = []
    for data in (before, after):
        interpreter = Interpreter(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
        rows = []
        for example in probe:
            source = interpreter.get_input_details()[0]
            interpreter.set_tensor(source["index"], example[None].astype(source["dtype"]))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes())
        answers.append(rows)
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 1


def test_shrinking_keeps_what_is_read(integer_file):
    before = unshared(integer_file)
    before_model, after_model = packing.unpack(before), packing.unpack(packing.shrink(before))
    ends = after_model.subgraphs[0]
    assert [ends.tensors[index].name for index in (*ends.inputs, *ends.outputs)] == [b"image", b"probabilities"]
    assert after_model.metadata is None
    assert len(after_model.operatorCodes) == len(before_model.operatorCodes) - 1
    assert len(ends.tensors) == len(before_model.subgraphs[0].tensors)
    signature = after_model.signatureDefs[0]
    assert (signature.inputs[0].name, signature.outputs[0].name) == (b"image", b"probabilities")


def test_names_stay_unique_where_they_are_kept(float_file):
    names = [tensor.name for tensor in packing.unpack(float_file).subgraphs[0].tensors]
    assert len(set(names)) == len(names)
    assert all(names)


def test_packing_writes_equal_parts_once_and_leaves_the_object(integer_file):
    model = packing.unpack(integer_file)
    quantization = [tensor.quantization for tensor in model.subgraphs[0].tensors]
    shared = packing.pack(model)
    assert [tensor.quantization for tensor in model.subgraphs[0].tensors] == quantization
    assert len(shared) < len(flatbuffer_utils.convert_object_to_bytearray(model)) - 700
    assert packing._content(packing.unpack(shared)) == packing._content(packing.unpack(integer_file))


def test_buffers_are_aligned_to_16_bytes(integer_file):
    root = schema.Model.GetRootAs(integer_file)
    checked = 0
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        if buffer.DataLength() >= 16:
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0
            checked += 1
    assert checked >= 9


def test_a_change_of_answers_is_never_let_through(integer_file, monkeypatch):
    def damaged(model):
        kernel = next(t.buffer for t in model.subgraphs[0].tensors if len(t.shape) == 4 and t.buffer)
        model.buffers[kernel].data[:] = 7

    monkeypatch.setattr(packing, "_merge_buffers", damaged)
    with pytest.raises(RuntimeError, match="changed the network's answers"):
        packing.shrink(integer_file)


def test_other_bytes_are_refused():
    with pytest.raises(ValueError, match="identifier"):
        packing.unpack(b"PK\x03\x04 not a network")


def test_files_with_an_archive_appended_are_refused(float_file, digits):
    """Metadata state where in the file their archive lies; a shrunk file would have it elsewhere."""
    finished = metadata.add(float_file, digits, description="")
    with pytest.raises(ValueError, match="appended"):
        packing.shrink(finished)


def test_scales_of_blocks_stay_where_their_kernels_look_for_them():
    """They are tensors that only the kernel's own quantization names."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Dense(40, activation="relu")(keras.layers.Flatten()(image))
    blocks = ptq.int4_weights(
        tflite.convert(keras.Model(image, keras.layers.Dense(3, name="logits")(x))), block_size=32
    )
    shrunk = packing.shrink(blocks)
    assert packing.first_difference(blocks, shrunk) is None
    kernel = next(tensor for tensor in packing.unpack(shrunk).subgraphs[0].tensors if packing._scales_of_blocks(tensor))
    scales = packing.unpack(shrunk).subgraphs[0].tensors[kernel.quantization.details.scales]
    assert tuple(scales.shape) == (40, 2)
