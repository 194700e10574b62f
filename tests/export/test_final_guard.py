"""Files that are no longer the model they were made from, each refused in words; and who hands out files asks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import types
from kerastl.compress import ptq
from kerastl.export import final_guard, packing, tflite

TYPES = schema.TensorType
HOUSE = Path(tflite.__file__).parents[1]
BUILDING = {
    "compress/float_file.py": "opens files for those who go on working on them",
    "compress/attention_masks.py": "a step of ptq.static_int8, which asks",
    "compress/full_integer.py": "the same",
    "compress/four_bits.py": "a step of ptq.int4_weights, which asks",
    "compress/rounding.py:rounded": "a step of others, which ask",
    "compress/ptq.py:quantize": "calls the function of that name, which asks",
    "export/lookup.py": "a step of tflite.convert, which asks",
    "export/quantizable.py": "a step of tflite.convert, which asks",
    "export/rescaling.py": "a step of tflite.convert, which asks",
    "export/softplus.py": "a step of tflite.convert, which asks",
    "export/phone.py:files": "texts that lie beside a file",
    "export/phone.py:written": "the same",
    "export/phone_sentencepiece.py:files": "the same",
    "export/packing.py:pack": "writes what others have parsed, and will ask of",
}
"""Functions that return a file which nobody is handed yet, and why."""


def hand_out_files() -> Iterator[tuple[str, str, str]]:
    """File, function and its source, of every public function of the two rooms that returns bytes."""
    for path in sorted([*HOUSE.glob("compress/*.py"), *HOUSE.glob("export/*.py")]):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.returns is None:
                continue
            if "bytes" in ast.unparse(node.returns) or node.name == "search":
                place = f"{path.parent.name}/{path.name}"
                yield place, f"{place}:{node.name}", ast.unparse(node)


def test_whoever_hands_out_a_file_has_it_looked_at():
    asks = (
        "final_guard.",
        "finished_file.",
        "first_difference(",
        "_looked_at(",
        "_check_answers(",
        "convert(",
        "_static(",
    )
    found = {name: source for place, name, source in hand_out_files() if not {place, name} & set(BUILDING)}
    files = {name for name in found if "file" in name or any(word in found[name] for word in asks)}
    silent = sorted(name for name, source in found.items() if not any(word in source for word in asks))
    assert silent == ["compress/exceptions.py:search"], "its file is one that quantize= has handed out"
    assert {"compress/ptq.py:float16", "compress/mixed_precision.py:apply", "export/tflite.py:convert"} <= files
    assert len(found) >= 12


@pytest.fixture(scope="module")
def dense() -> bytes:
    keras.utils.set_random_seed(0)
    numbers = keras.Input((64,), name="numbers")
    x = keras.layers.Dense(32, activation="relu", name="hidden")(numbers)
    return tflite.convert(keras.Model(numbers, keras.layers.Dense(3, name="values")(x)))


def asked(content: bytes, reference: bytes, **claims) -> str | None:
    probes = final_guard.noise(reference)
    claim = final_guard.Claim(error=0.5, **claims)
    return final_guard.fault(content, claim, probes=probes, wanted=final_guard.answers(reference, probes))


def changed(content: bytes, change) -> bytes:
    model = packing.unpack(content)
    change(model, model.subgraphs[0])
    return packing.pack(model)


def kernels(model, graph) -> list:
    return [one for one in graph.tensors if len(one.shape) == 2 and model.buffers[one.buffer].data is not None]


def test_a_sound_file_has_no_fault(dense):
    assert asked(dense, dense) is None
    assert asked(ptq.dynamic_int8(dense), dense, weights=(TYPES.INT8,)) is None


def fill(value: float):
    def change(model, graph):
        model.buffers[kernels(model, graph)[0].buffer].data.view(np.float32)[:] = value

    return change


def name_alike(model, graph):
    graph.tensors[2].name = graph.tensors[1].name


def take_a_name(model, graph):
    graph.tensors[2].name = None


def scale_of_zero(model, graph):
    kernels(model, graph)[0].quantization.scale = np.zeros(32, np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (fill(np.nan), "answers with numbers that are not finite"),
        (fill(7.0), r"answers differ from the model's by [\d.]+ of their size"),
        (name_alike, "not told apart by their names: '"),
        (take_a_name, "not told apart by their names: 'none at all'"),
    ],
)
def test_another_network_is_found(dense, change, words):
    with np.errstate(all="ignore"):
        found = asked(changed(dense, change), dense)
    assert found is not None
    assert re.search(words, found)


def test_what_a_file_is_said_to_be_is_looked_up_in_it(dense):
    small = ptq.dynamic_int8(dense)
    assert "without a kernel of INT8" in str(asked(dense, dense, weights=(TYPES.INT8,)))
    assert "float operator, FULLY_CONNECTED at 'hidden'" in str(asked(small, dense, integer=True))
    assert "scale that is zero or not finite" in str(asked(changed(small, scale_of_zero), dense))


def test_one_answer_of_many_that_moved_is_rounding_and_most_are_not(dense):
    probes = final_guard.noise(dense)
    wanted = final_guard.answers(dense, probes)
    claim = final_guard.Claim(error=0.5)
    moved = [[-wanted[0][0]], *wanted[1:]]
    assert final_guard.fault(dense, claim, probes=probes, wanted=moved) is None
    moved = [[-one] for one, *_ in wanted]
    assert "differ" in str(final_guard.fault(dense, claim, probes=probes, wanted=moved))


def test_blocks_say_that_they_need_the_kernels_that_compute_them_rightly(dense):
    """LiteRT's plain kernels take a block's scale for a row's: without the word the file is refused."""
    blocks = ptq.int4_weights(dense, block_size=32)
    assert final_guard.needs_xnnpack(blocks)
    assert not final_guard.needs_xnnpack(ptq.int4_weights(dense))
    assert asked(blocks, dense) is None

    def take_the_word(model, graph):
        model.metadata = [entry for entry in model.metadata if entry.name != types.KERNELS_ENTRY]

    assert "with LiteRT's plain kernels one whose answers differ" in str(asked(changed(blocks, take_the_word), dense))
    assert final_guard.needs_xnnpack(packing.shrink(blocks))


def test_noise_fits_what_a_file_takes(tiny_text):
    probes = final_guard.noise(tiny_text.float32)
    assert {values.dtype for probe in probes for values in probe} == {np.dtype("int32")}
    assert max(values.max() for probe in probes for values in probe) < 5
