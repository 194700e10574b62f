from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import verify
from kerastl.compress import exceptions, float_file, mixed_precision, ptq
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement

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


def test_a_name_of_nothing_is_refused(spectral):
    with pytest.raises(ValueError, match=r"Received: 'mel'\. Available: .*dft.*values"):
        ptq.dynamic_int8(spectral, keep_float=["mel"])
    assert set(float_file.left_float(spectral, "hidden")) == {"hidden"}
    whole = functools.partial(ptq.dynamic_int8, spectral)
    with pytest.raises(ValueError, match="without a kernel of INT8"):
        whole(keep_float=["dft", "hidden", "values"])
