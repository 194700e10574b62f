"""TFLite files that crash, hang, eat memory or lie: the process that asks lives, and says what was wrong."""

from __future__ import annotations

import collections
import hashlib
import time

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import inputs, tasks, types, verify
from kerastl.export import metadata
from kerastl.system import digests
from kerastl.tasks import multi_label
from kerastl.tasks.multi_label import MultiLabel
from kerastl.untrusted import tflite_file
from kerastl.verify import benchmark


@pytest.fixture(scope="module")
def reader():
    with tflite_file.SandboxedModel() as found:
        yield found


def test_harmless_files_give_the_same_facts_answers_and_latency(reader, tiny_files, tmp_path):
    for file in (tiny_files.float32, tiny_files.integer):
        path = tmp_path / "model.tflite"
        path.write_bytes(file)
        assert reader.facts(path) == reader.facts(file) == benchmark.inspect(file)
        np.testing.assert_array_equal(
            reader.run(path, tiny_files.inputs), verify.predict_tflite(file, tiny_files.inputs)
        )
        found = reader.latency(path, threads=2, runs=7)
        assert (found.threads, found.runs) == (2, 7)
        assert 0 < found.median <= found.p95 < 100


def test_what_is_wrong_is_said_in_words(reader, tiny_files, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("no model")
    with pytest.raises(tflite_file.TfliteError, match=r"model\.tflite is no TFLite file that can be read: .*TFL3"):
        reader.facts(path)
    with pytest.raises(tflite_file.TfliteError, match=r"the file cannot be run: .*wants inputs of shape"):
        reader.run(tiny_files.float32, tiny_files.inputs[:, :4])
    with pytest.raises(tflite_file.TfliteError, match="at least one thread"):
        reader.latency(tiny_files.float32, threads=0)
    with pytest.raises(ValueError, match="Wanted numbers"):
        reader.run(tiny_files.float32, np.array([object()]))
    with pytest.raises(FileNotFoundError):
        reader.facts(tmp_path / "none.tflite")
    with pytest.raises(FileNotFoundError):
        reader.facts(tmp_path)


def test_a_threshold_is_read_and_not_believed_if_it_is_no_share(reader, tiny_files, monkeypatch):
    several = types.Task("toy", tiny_files.task.inputs, MultiLabel(tuple("abcd")))
    assert reader.score_threshold(metadata.add(tiny_files.float32, several, description="toy")) == 0.5
    assert reader.score_threshold(metadata.add(tiny_files.float32, tiny_files.task, description="toy")) is None
    assert reader.score_threshold(tiny_files.float32) is None
    with pytest.raises(tflite_file.TfliteError, match="metadata of the file cannot be read"):
        reader.score_threshold(b"no file")
    monkeypatch.setattr(multi_label, "THRESHOLD", 7.0)
    with pytest.raises(tflite_file.TfliteError, match=r"a threshold of 7\.0"):
        reader.score_threshold(metadata.add(tiny_files.float32, several, description="toy"))


def converted(function, shape=(1, 4)) -> bytes:
    traced = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    return tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], tf.Module()).convert()


def test_a_file_that_never_ends(tiny_files):
    endless = converted(lambda x: tf.while_loop(lambda x: tf.reduce_all(x < 1e30), lambda x: x * 1.0, [x])[0])
    with tflite_file.SandboxedModel(seconds=2) as reader:
        assert reader.facts(endless).operators.by_type["WHILE"] == 1
        for ask in (lambda: reader.run(endless, np.zeros((1, 4))), lambda: reader.latency(endless)):
            start = time.monotonic()
            with pytest.raises(tflite_file.TfliteError, match="took longer than 2 seconds") as error:
                ask()
            assert error.value.how == "late"
            assert time.monotonic() - start < 10
        assert reader.facts(tiny_files.float32) == benchmark.inspect(tiny_files.float32)


def test_a_file_that_wants_all_memory(tiny_files):
    def greedy(x):
        return tf.reduce_sum(tf.sqrt(tf.broadcast_to(x, (200_000, 50_000, 4))), (0, 1))[None]

    file = converted(greedy)
    with tflite_file.SandboxedModel() as reader:
        with pytest.raises(tflite_file.TfliteError):
            reader.run(file, np.ones((1, 4)))
        assert reader.facts(tiny_files.float32) == benchmark.inspect(tiny_files.float32)


def renamed(file: bytes, name: bytes) -> bytes:
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    model.signatureDefs = None
    for tensor in model.subgraphs[0].tensors:
        tensor.name = name
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_names_cannot_write_to_the_terminal(reader, tiny_files):
    found = reader.facts(renamed(tiny_files.float32, b"\x1b[2J\nfine"))
    assert found.input.name == "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}fine"
    assert found.input.name.isprintable()


def test_words_of_a_child_are_not_believed(tiny_files, monkeypatch):
    """A stranger's file that has taken the child over may say anything."""
    with tflite_file.SandboxedModel() as reader:
        for said, raw in (
            ({"outputs": [{"name": "", "shape": [3, 1]}]}, bytes(12)),
            ({}, b""),
            ({"outputs": []}, b""),
            ({"outputs": [7]}, b""),
            ({"outputs": [{"name": "", "shape": [1]}]}, b""),
            ({"outputs": [{"name": "", "shape": [2, -1]}]}, b"x" * 32),
            ({"outputs": [{"name": "", "shape": "x"}]}, b""),
            ({"outputs": [{"name": "", "shape": [2, 2]}]}, b"x" * 32),  # more numbers than it says
            ({"outputs": [{"name": "", "shape": [2, 9]}]}, b"x" * 32),
            ({"outputs": [{"name": "", "shape": [2, 2]}, {"name": "b", "shape": [2, 2]}]}, b"x" * 32),
        ):
            monkeypatch.setattr(reader._child, "ask", lambda *_, said=said, raw=raw, **__: (said, raw))
            with pytest.raises(tflite_file.TfliteError, match="wanted 2 answers"):
                reader.run(tiny_files.float32, tiny_files.inputs[:2])
            with pytest.raises(tflite_file.TfliteError, match="no facts"):
                reader.facts(tiny_files.float32)


# ------------------------------------------------------------------------------------------------------ changed files


def mutated(file: bytes, draw: np.random.Generator) -> bytes:
    """The file with something wrong in it: a flipped bit, a part lost, blank, doubled, moved or overwritten."""
    while True:
        content = bytearray(file)
        for _ in range(draw.choice([1, 1, 2, 8])):
            if not content:
                break
            at = int(draw.integers(len(content)))
            length = int(min(draw.geometric(1 / 40), len(content) - at))
            match int(draw.choice([0, 0, 1, 2, 3, 4, 4, 4, 5])):
                case 0:
                    content[at] ^= 1 << int(draw.integers(8))
                case 1:
                    content = content[: max(at, 1)]
                case 2:
                    content[at : at + length] = bytes(length)
                case 3:
                    content[at:at] = content[at : at + length]
                case 4:
                    at -= at % 4
                    number = int(draw.choice([-1, 0, 1, 2, 3, 9, 255, 2**31 - 1, draw.integers(-(2**31), 2**31)]))
                    content[at : at + 4] = number.to_bytes(4, "little", signed=True)
                case 5:
                    del content[at : at + length]
        if bytes(content) != file:
            return bytes(content)


def fuzz(files: list[bytes], inputs: np.ndarray, count: int, folder) -> collections.Counter:
    """Asks about changed files; every one either answers or raises TfliteError, within ten seconds."""
    path = folder / "model.tflite"
    stated = []
    for file in files:
        path.write_bytes(file)
        stated.append(digests.of_file(path))
    draw, became = np.random.default_rng(0), collections.Counter()
    with tflite_file.SandboxedModel(seconds=4) as reader:
        for index in range(count):
            changed = mutated(files[index % len(files)], draw)
            path.write_bytes(changed)
            assert digests.of_file(path) not in stated, "a changed file passed for the original"
            for ask in (lambda: reader.facts(path), lambda: reader.run(path, inputs)):
                start = time.monotonic()
                try:
                    answer = ask()
                    became["answered"] += 1
                except tflite_file.TfliteError as error:
                    answer = None
                    became[error.how] += 1
                assert time.monotonic() - start < 10, f"mutant {index} held up its reader"
                if isinstance(answer, np.ndarray):
                    assert answer.shape[0] == len(inputs)
                elif answer is not None:
                    assert answer.sha256 == hashlib.sha256(changed).hexdigest() not in stated
        assert reader.facts(files[0]) == benchmark.inspect(files[0]), "the reader still reads"
    return became


def test_two_hundred_changed_files(tiny_files, tmp_path):
    became = fuzz([tiny_files.float32, tiny_files.integer], tiny_files.inputs[:2], 200, tmp_path)
    print(dict(became))
    assert became["answered"] > 20
    assert became["refused"] > 20


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_thousand_changed_files(tiny_files, tmp_path):
    start = time.monotonic()
    became = fuzz([tiny_files.float32, tiny_files.integer], tiny_files.inputs[:2], 20_000, tmp_path)
    print(f"{dict(became)} in {time.monotonic() - start:.0f} s")
    assert sum(became.values()) == 40_000
    assert became["died"] > 0, "no child died: nothing was proved"


def test_streamed_pictures_go_to_the_child_a_few_at_a_time(reader, tiny_files, stream):
    inputs = np.concatenate([tiny_files.inputs, tiny_files.inputs[::-1]])
    np.testing.assert_array_equal(
        reader.run(tiny_files.float32, stream(inputs)), verify.predict_tflite(tiny_files.float32, inputs)
    )


def test_arrays_larger_than_the_child_go_to_it_in_parts(reader, tiny_files, monkeypatch):
    asked = []
    ask = reader._child.ask
    monkeypatch.setattr(tflite_file, "_AT_ONCE", 100 * tiny_files.inputs[0].nbytes)
    monkeypatch.setattr(reader._child, "ask", lambda question, *more, **options: (
        asked.append(question["inputs"][0]["shape"][0]), ask(question, *more, **options))[1])  # fmt: skip
    inputs = tiny_files.inputs[np.arange(250) % len(tiny_files.inputs)]
    np.testing.assert_array_equal(
        reader.run(tiny_files.float32, inputs), verify.predict_tflite(tiny_files.float32, inputs)
    )
    assert asked == [100, 100, 50]


def test_several_inputs_and_outputs_go_and_come_by_name(reader, monkeypatch):
    def both(one, other):
        return {"sum": tf.reduce_sum(one, 1, keepdims=True) + other[:, :1], "twice": 2 * other}

    specs = [tf.TensorSpec((1, 3), tf.float32, name="one"), tf.TensorSpec((1, 2), tf.float32, name="other")]
    traced = tf.function(both, input_signature=specs, autograph=False).get_concrete_function()
    file = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module()).convert()
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    names = [model.subgraphs[0].tensors[index].name.decode() for index in model.subgraphs[0].inputs]
    random = np.random.default_rng(0)
    values = {name: random.normal(size=(7, 3 if "one" in name else 2)).astype(np.float32) for name in names}
    monkeypatch.setattr(tflite_file, "_AT_ONCE", 60)  # three examples of twenty bytes
    found = reader.run(file, values)
    one, other = (next(array for array in values.values() if array.shape[1] == width) for width in (3, 2))
    by_width = {answers.shape[1]: answers for answers in found.values()}
    np.testing.assert_allclose(by_width[1], one.sum(1, keepdims=True) + other[:, :1], atol=1e-5)
    np.testing.assert_array_equal(by_width[2], 2 * other)
    with pytest.raises(ValueError, match=r"as many examples for every input. Received: .*\(7, 3\)"):
        reader.run(file, {names[0]: values[names[0]], names[1]: values[names[1]][:2]})
    with pytest.raises(ValueError, match="Received: no input"):
        reader.run(file, {})
    with pytest.raises(tflite_file.TfliteError, match="cannot be run"):
        reader.run(file, {"else": one})


def test_a_file_says_what_its_task_is(tiny_files):
    file = metadata.add(tiny_files.float32, tiny_files.task, description="a toy")
    with tflite_file.SandboxedModel() as reader:
        described = reader.described(file)
        assert reader.described(tiny_files.float32) is None
    assert inputs.restored(described["inputs"]) == tiny_files.task.inputs
    assert tasks.restored(described["target"]) == tiny_files.task.target
    assert described["name"] == tiny_files.task.name
    assert (described["mean"], described["std"]) == ((0.0,), (1.0,))
