from __future__ import annotations

import gzip
import hashlib
import time

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from toy import changed

from kerastl import types, verify
from kerastl.system import machine
from kerastl.verify import benchmark, kernel_stats


def constant(model, axes: int):
    return next(
        tensor
        for tensor in model.subgraphs[0].tensors
        if len(tensor.shape) == axes and model.buffers[tensor.buffer].data is not None
    )


def test_size_and_digest(tiny_files, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    found = benchmark.inspect(tmp_path / "model.tflite")
    assert found == benchmark.inspect(tiny_files.float32)
    assert found.sha256 == hashlib.sha256(tiny_files.float32).hexdigest()
    assert found.bytes == len(tiny_files.float32)
    assert found.gzip_bytes == len(gzip.compress(tiny_files.float32, 9, mtime=0))


@pytest.mark.parametrize("kind", ["float32", "integer"])
def test_parameters_are_those_of_the_network(kind, tiny_files):
    """Kernel, dense layer and its bias; the converter adds a zero bias of six to the convolution."""
    found = benchmark.inspect(getattr(tiny_files, kind))
    assert found.parameters == tiny_files.kernel.size + tiny_files.dense.size + 4 + 6


def test_operators_ends_and_dtypes(tiny_files):
    found = benchmark.inspect(tiny_files.float32)
    assert found.operators == types.Operators(
        total=4, integer=0, float=4, flex=0, by_type={"CONV_2D": 1, "FULLY_CONNECTED": 1, "RESHAPE": 1, "SOFTMAX": 1}
    )
    assert found.input == types.Tensor("image", "float32", (1, 8, 8, 1))
    assert found.output == types.Tensor("probabilities", "float32", (1, 4))
    found = benchmark.inspect(tiny_files.integer)
    assert (found.operators.total, found.operators.integer) == (6, 6)
    assert found.operators.by_type["QUANTIZE"] == 2
    assert found.input == types.Tensor("image", "uint8", (1, 8, 8, 1), 1.0, 0)
    assert found.output == types.Tensor("probabilities", "uint8", (1, 4), 1 / 256, 0)


def test_verify_counts_the_same_kernels(tiny_files):
    """Two readers of one file, written apart."""
    for data in (tiny_files.float32, tiny_files.integer):
        found = kernel_stats.of(flatbuffer_utils.read_model_from_bytearray(bytearray(data)))
        size = sum(kernel.size for kernel in found)
        assert size == tiny_files.kernel.size + tiny_files.dense.size
        assert benchmark.inspect(data).sparsity == pytest.approx(sum(kernel.zeros for kernel in found) / size)


def test_sparsity_is_the_share_of_zeros(tiny_files):
    def pruned(model):
        model.buffers[constant(model, 4).buffer].data.view(np.float32)[:24] = 0

    total = tiny_files.kernel.size + tiny_files.dense.size
    assert benchmark.inspect(tiny_files.float32).sparsity == 0
    assert benchmark.inspect(changed(tiny_files.float32, pruned)).sparsity == pytest.approx(24 / total)


def test_zero_is_the_zero_point(tiny_files):
    def shifted(model):
        """The same real values at another zero point, one an output channel."""
        tensor = constant(model, 4)
        values = model.buffers[tensor.buffer].data.view(np.int8).reshape(tensor.shape)
        values[:] = np.clip(values, -100, 100)
        values[:, 0, 0, 0] = 0
        points = np.arange(len(values))
        values += points.astype(np.int8)[:, None, None, None]
        tensor.quantization.zeroPoint, tensor.quantization.quantizedDimension = points.astype(np.int64), 0
        kernel_zeros.append(int((values == points[:, None, None, None]).sum()))
        dense_zeros.append(int((model.buffers[constant(model, 2).buffer].data == 0).sum()))

    kernel_zeros, dense_zeros = [], []
    found = benchmark.inspect(changed(tiny_files.integer, shifted))
    assert kernel_zeros[0] >= 6
    wanted = (kernel_zeros[0] + dense_zeros[0]) / (tiny_files.kernel.size + tiny_files.dense.size)
    assert found.sparsity == pytest.approx(wanted)


def test_four_bit_weights_are_unpacked(tiny_files):
    random = np.random.default_rng(0)
    wanted = random.integers(-8, 8, (4, 24)).astype(np.int8)

    def narrowed(model):
        tensor = constant(model, 2)
        assert list(tensor.shape) == [4, 24]
        nibbles = wanted.reshape(-1).view(np.uint8) & 15
        tensor.type = schema.TensorType.INT4
        model.buffers[tensor.buffer].data = nibbles[0::2] | nibbles[1::2] << 4

    data = changed(tiny_files.integer, narrowed)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    values = next(v for t, v in benchmark._weights(model) if t.type == schema.TensorType.INT4)
    assert np.array_equal(values, wanted)
    assert benchmark.inspect(data).parameters == benchmark.inspect(tiny_files.integer).parameters
    assert (96, int((wanted == 0).sum()), True) in [kernel[:3] for kernel in kernel_stats.of(model)]
    assert len(np.unique(wanted)) in [kernel.distinct for kernel in kernel_stats.of(model) if kernel.size == 96]
    # An odd count leaves half a byte over, which is no weight.
    assert benchmark._values(np.array([0x21, 0x0F], np.uint8), "INT4", (3,)).tolist() == [1, 2, -1]


def test_dynamic_range_operators_count_as_float(tiny_files):
    """int8 weights between float tensors: the hybrid kernels."""

    def hybrid(model):
        tensor = constant(model, 2)
        buffer = model.buffers[tensor.buffer]
        values = buffer.data.view(np.float32)
        scale = np.abs(values).max() / 127
        buffer.data = np.rint(values / scale).astype(np.int8).view(np.uint8)
        tensor.type = schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.zeros(1, np.int64)

    data = changed(tiny_files.float32, hybrid)
    assert np.isfinite(verify.predict_tflite(data, tiny_files.inputs[:3])).all()
    assert benchmark.inspect(data).operators.float == 4


def test_foreign_operators_are_flex_alone(tiny_files):
    def foreign(model):
        code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"FlexSoftmax"

    data = changed(tiny_files.float32, foreign)
    found = benchmark.inspect(data).operators
    assert (found.total, found.float, found.integer, found.flex) == (4, 3, 0, 1)
    assert found.by_type["FlexSoftmax"] == 1
    with pytest.raises(ValueError, match="built-in"):
        benchmark.latency(data)


def test_latency_against_a_clock_of_its_own(tiny_files, monkeypatch):
    monkeypatch.setattr(benchmark, "LEAST_SECONDS", 1.0)  # as it is outside of tests
    start = time.perf_counter()
    found = benchmark.latency(tiny_files.float32)
    seconds = time.perf_counter() - start
    assert found.threads == 1
    assert (found.clock, found.cpu) == ("processor time", machine.processor())
    assert found.measured == f"processor time on one thread of {machine.processor()}"
    assert found.runs >= 200
    assert seconds >= 1.0 or found.runs == benchmark.MOST_RUNS
    assert 0 < found.median <= found.p95
    interpreter = Interpreter(model_content=tiny_files.float32, num_threads=1)
    interpreter.allocate_tensors()
    start = time.perf_counter()
    for _ in range(2000):
        interpreter.invoke()
    mean = (time.perf_counter() - start) / 2000 * 1000
    assert found.median < 10 * mean, "the two clocks must be of one order"
    assert mean < 10 * found.p95


@pytest.mark.parametrize(("runs", "seconds"), [(200, 0.3), (50_000, 0.0)])
def test_a_quick_file_runs_long_and_often_enough(tiny_files, monkeypatch, runs, seconds):
    monkeypatch.setattr(benchmark, "LEAST_RUNS", runs)
    monkeypatch.setattr(benchmark, "LEAST_SECONDS", seconds)
    monkeypatch.setattr(benchmark, "MOST_RUNS", 10**9)
    start = time.perf_counter()
    found = benchmark.latency(tiny_files.float32)
    assert found.runs >= runs
    assert time.perf_counter() - start >= seconds


def test_runs_as_asked(tiny_files):
    assert benchmark.latency(tiny_files.integer, runs=7, threads=2).runs == 7
    with pytest.raises(ValueError, match="runs=0"):
        benchmark.latency(tiny_files.integer, runs=0)
    with pytest.raises(ValueError, match="threads=0"):
        benchmark.latency(tiny_files.integer, threads=0)


def test_files_are_timed_in_turns(tiny_files, monkeypatch):
    """Who goes first changes from round to round, and every median stands under its own name."""
    order = []

    def timed(file, runs, **options):
        order.append(file)
        return [len(order) * 1_000_000] * runs

    with monkeypatch.context() as patched:
        patched.setattr(benchmark, "_parsed", lambda data: None)
        patched.setattr(benchmark, "_ready", lambda data, threads: data)
        patched.setattr(benchmark, "_warm", lambda interpreter, runs: None)
        patched.setattr(benchmark, "_timed", timed)
        found = benchmark.interleaved_latency({"a": b"A", "b": b"B"}, rounds=3, runs=5)
        assert b"".join(order) == b"ABBAAB"
        assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}
        patched.setattr(benchmark, "ROUNDS", 3)
        order.clear()
        both = benchmark.latencies({"a": b"A", "b": b"B"}, runs=7)
    assert b"".join(order) == b"ABBAAB"
    assert {name: one.runs for name, one in both.items()} == {"a": 7, "b": 7}
    assert both["a"].median == np.percentile([1, 4, 5], 25)
    found = benchmark.interleaved_latency(
        {"float": tiny_files.float32, "integer": tiny_files.integer}, rounds=2, runs=3
    )
    assert all(len(times) == 2 and min(times) > 0 for times in found.values())


def test_other_bytes_are_refused():
    for function in (benchmark.inspect, benchmark.latency):
        with pytest.raises(ValueError, match="TFLite"):
            function(b"PK\x03\x04 a zip file")


def test_a_kernel_of_fewer_bytes_than_its_shape_is_refused(tiny_files):
    def shortened(model):
        buffer = model.buffers[constant(model, 2).buffer]
        buffer.data = buffer.data[:-4]

    with pytest.raises(ValueError, match="a dense tensor of shape"):
        benchmark.inspect(changed(tiny_files.float32, shortened))


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_every_end_of_a_file_is_listed(side, tiny_files):
    def doubled(model):
        graph = model.subgraphs[0]
        setattr(graph, side, [graph.operators[-1].inputs[0], *getattr(graph, side)])
        model.signatureDefs = None

    found = getattr(benchmark.inspect(changed(tiny_files.float32, doubled)), side)
    assert [tensor.shape for tensor in found] == [(1, 4), (1, 8, 8, 1) if side == "inputs" else (1, 4)]
    assert len({tensor.name for tensor in found}) == 2

    def without(model):
        setattr(model.subgraphs[0], side, [])
        model.signatureDefs = None

    with pytest.raises(ValueError, match=f"Received: one without {side}"):
        benchmark.inspect(changed(tiny_files.float32, without))


def test_a_texts_facts_are_those_of_its_ids(tiny_text):
    facts = benchmark.inspect(tiny_text.float32)
    assert (facts.input.name, facts.input.dtype, facts.input.shape) == ("ids", "int32", (1, 8))
    assert {tensor.name for tensor in facts.inputs} == {"ids", "mask", "segment_ids"}
    assert {(tensor.dtype, tensor.shape) for tensor in facts.inputs} == {("int32", (1, 8))}


def test_a_text_is_timed_with_ids_that_its_vocabulary_has(tiny_text):
    assert benchmark.latency(tiny_text.float32, runs=5).median > 0


def test_median_and_percentile_by_hand(tiny_files, monkeypatch):
    monkeypatch.setattr(benchmark, "_timed", lambda *_, **options: [n * 1_000_000 for n in range(1, 102)])
    found = benchmark.latency(tiny_files.float32)
    assert (found.median, found.p95, found.runs, found.spread) == (51.0, 96.0, 202, 0.0)
    assert not found.is_wide


def test_rounds_that_other_programs_slowed_do_not_count_and_are_reported():
    """Three of five rounds took twice as long."""
    rounds = [[slowed * n * 1_000_000 for n in range(1, 102)] for slowed in (2, 1, 2, 2, 1)]
    found = benchmark._summary(rounds, threads=2, clock="wall clock")
    assert (found.median, found.p95, found.runs) == (51.0, 96.0, 505)
    assert found.spread == 1.0
    assert found.is_wide
    assert "100% apart" in found.warning
    assert found.measured == f"wall clock on 2 threads of {machine.processor()}"


def test_time_that_other_programs_had_the_core_is_not_the_files():
    """A clock that stands while this thread waits; of several threads only the one on the wall knows."""

    class Waiting:
        def invoke(self):
            time.sleep(0.01)

    def median(threads):
        return np.median(benchmark._timed(Waiting(), 3, share=1, clock=benchmark._clock(threads))) / 1e6

    assert median(threads=1) < 2
    assert median(threads=2) >= 10
