from __future__ import annotations

import functools
import re
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import kerastl
from kerastl import verify
from kerastl.compress import exceptions, float_file, mixed_precision, ptq
from kerastl.export import metadata, tflite
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement
from kerastl.types import Task
from kerastl.verify import layers

SERIES = np.sin(np.linspace(0, 60, 40)[:, None] * np.linspace(0.1, 3.1, 64)).astype("float32")
SERIES[:, 0] = 0
KIND = Numbers((64,))


@pytest.fixture(scope="module")
def spectral() -> bytes:
    """A front end whose channels have one large weight, for what is silent in all examples: 8 bits have no step left
    for the others. A logarithm behind it, as behind DFT and mel kernels, then two ordinary dense layers."""
    keras.utils.set_random_seed(0)
    series = keras.Input((64,), name="series")
    front = keras.layers.Dense(32, use_bias=False, name="dft")
    x = keras.ops.log(keras.ops.square(front(series)) + 1e-3)
    x = keras.layers.Dense(24, activation="relu", name="hidden")(x)
    model = keras.Model(series, keras.layers.Dense(3, name="values")(x))
    kernel = np.random.default_rng(0).normal(size=(64, 32))
    kernel[0] = 100.0
    front.set_weights([kernel])
    return tflite.convert(model)


def with_front_end() -> keras.Model:
    """A transform and a logarithm whose last layer is called as that of `models.audio.front_end`, then a picture."""
    keras.utils.set_random_seed(0)
    series = keras.Input((64,), name="series")
    x = keras.layers.Dense(32, use_bias=False, name="dft")(series)
    x = keras.layers.Reshape((8, 4, 1), name="front_end_image")(keras.ops.log(keras.ops.square(x) + 1e-3))
    x = keras.layers.Flatten(name="flatten")(keras.layers.Conv2D(4, 3, activation="relu", name="hidden")(x))
    return keras.Model(series, keras.layers.Dense(3, name="values")(x))


def interpreted(file: bytes) -> dict:
    """What the interpreter says of a file's first input."""
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    return interpreter.get_input_details()[0]


def error(file: bytes, reference: bytes) -> float:
    got, wanted = (verify.predict_tflite(one, SERIES) for one in (file, reference))
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def kinds(file: bytes) -> dict[tuple[int, ...], int]:
    """Shape of every kernel -> its type."""
    model = float_file.parsed(file)
    return {
        tuple(tensor.shape): tensor.type
        for graph in model.subgraphs
        for tensor in graph.tensors
        if len(tensor.shape) == 2 and model.buffers[tensor.buffer].data is not None
    }


@pytest.mark.parametrize(
    "technique", ["dynamic_int8", "weight_only_int8", "float16", "int4_weights", "static_int16_activations"]
)
def test_a_layer_is_left_float_by_its_name(spectral, technique):
    options = {"calibration": SERIES, "inputs": KIND} if technique.startswith("static") else {}
    if options:  # the logarithm has no integer kernel in 16 bits
        options["keep_float"] = [one for one in names(spectral) if not one.startswith(("hidden", "values"))]
    result = getattr(ptq, technique)(spectral, **{"keep_float": ["dft"], **options})
    found = kinds(result)
    assert found[32, 64] == schema.TensorType.FLOAT32
    assert schema.TensorType.FLOAT32 not in (found[24, 32], found[3, 24])


def names(file: bytes) -> list[str]:
    model = float_file.parsed(file)
    return [graph.tensors[one.outputs[0]].name.decode() for graph in model.subgraphs for one in graph.operators]


def test_what_loses_most_is_found_and_left_float(spectral):
    measured = mixed_precision.sensitivities(
        spectral,
        answers=lambda file: verify.predict_tflite(file, SERIES),
        bits=(8,),
        target=Agreement.of(verify.predict_tflite(spectral, SERIES)),
    )
    whole = error(ptq.dynamic_int8(spectral), spectral)
    found = exceptions.search(
        spectral, measured, quantize=ptq.dynamic_int8, score=lambda file: -error(file, spectral), least=-whole / 3
    )
    assert found.keep_float == ("dft",)
    assert -found.score < whole / 3
    assert found.tried == {0: pytest.approx(-whole), 1: found.score}
    assert kinds(found.content)[32, 64] == schema.TensorType.FLOAT32
    with pytest.raises(
        ValueError, match=r"scores 1 with an operator left to quantize\. Received: -[\d.e-]+ with 2 of 3"
    ):
        exceptions.search(
            spectral, measured, quantize=ptq.dynamic_int8, score=lambda file: -error(file, spectral), least=1
        )
    with pytest.raises(ValueError, match="Wanted sensitivities"):
        exceptions.search(spectral, [], quantize=ptq.dynamic_int8, score=len, least=1)


@pytest.fixture(scope="module")
def packed(spectral) -> bytes:
    """The same file as a run keeps it: its inner tensors have numbers for names."""
    target = Agreement.of(verify.predict_tflite(spectral, SERIES), names=("values",))
    return metadata.add(spectral, Task("series", KIND, target), description="float32")


@pytest.mark.parametrize("name", ["1. FULLY_CONNECTED [32]", "1. FULLY_CONNECTED", "1."])
def test_what_a_report_calls_a_layer_goes_for_a_packed_file_too(spectral, packed, name):
    assert [one.layer for one in float_file.operators(packed)] == [one.layer for one in float_file.operators(spectral)]
    assert [one.name.isdigit() for one in float_file.operators(packed)] == [True, True, False], "the last is the output"
    assert float_file.operators(packed)[0].shown == "1. FULLY_CONNECTED [32]"
    assert float_file.operators(spectral)[0].shown == "dft"
    for file in (spectral, packed):
        found = kinds(ptq.dynamic_int8(file, keep_float=[name]))
        assert found[32, 64] == schema.TensorType.FLOAT32
        assert schema.TensorType.FLOAT32 not in (found[24, 32], found[3, 24])


def test_names_that_are_offered_are_names_that_are_taken(packed):
    with pytest.raises(ValueError, match="Available: ") as raised:
        float_file.left_float(packed, ["mel"])
    offered = re.findall(r"\d+\. \w+ \[[\d, ]*\]", str(raised.value))
    assert {one.layer for one in float_file.operators(packed)} <= set(offered)
    for name in offered:
        assert len(float_file.left_float(packed, [name])) == 1
    rest = re.sub(r"\d+\. \w+ \[[\d, ]*\]", "", str(raised.value).partition("Available: ")[2])
    assert not re.search(r"\d", rest), "no bare number"


def test_reports_and_exceptions_call_layers_alike(spectral):
    errors = layers.layer_errors(ptq.dynamic_int8(spectral), spectral, inputs=SERIES, kind=KIND)
    assert {one.layer for one in float_file.operators(spectral)} <= {one.layer for one in errors}


def test_the_page_shows_what_works(packed, tmp_path, capsys):
    page = (Path(__file__).parents[2] / "docs" / "shrink_model.md").read_text()
    section = page.partition("## By hand: layers that stay float")[2].partition("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    (tmp_path / "variants").mkdir()
    (tmp_path / "variants" / "float32.tflite").write_bytes(packed)
    whole = error(ptq.dynamic_int8(packed), packed)
    target = Agreement.of(verify.predict_tflite(packed, SERIES))
    found = {
        "kerastl": kerastl,
        "predict_tflite": verify.predict_tflite,
        "run": types.SimpleNamespace(folder=tmp_path),
        "examples": SERIES,
        "task": Task("series", KIND, target),
        "score": lambda file: -error(file, packed),
        "least": -whole / 3,
        "model": with_front_end(),
    }
    exec(code, found)
    assert kinds(found["small"])[32, 64] == schema.TensorType.FLOAT32
    assert any(name.startswith("1. FULLY_CONNECTED [32]") for name in found["front_end"])
    assert kinds(found["integers"])[32, 64] == schema.TensorType.INT8
    given = interpreted(found["integers"])
    assert given["dtype"] is np.float32, "what begins in float is fed with float numbers"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("1. FULLY_CONNECTED [32] ")
    assert printed[-1].startswith("('1. FULLY_CONNECTED [32]',) ")


def test_a_name_of_nothing_is_refused(spectral):
    with pytest.raises(ValueError, match=r"Received: 'mel'\. Available: .*dft.*values"):
        ptq.dynamic_int8(spectral, keep_float=["mel"])
    assert set(float_file.left_float(spectral, "hidden")) == {"hidden"}
    whole = functools.partial(ptq.dynamic_int8, spectral)
    with pytest.raises(ValueError, match="without a kernel of INT8"):
        whole(keep_float=["dft", "hidden", "values"])
