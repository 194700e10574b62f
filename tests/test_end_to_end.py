"""Real MNIST through a whole recipe: what the integer file gets right, counted with a bare interpreter."""

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kerastl
from kerastl.types import Schedule
from recipes import mnist_cnn


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "mnist"
    schedule = Schedule(epochs=2, batch_size=64, peak_learning_rate=2e-3)
    mnist_cnn.run(mnist_cnn.Config(limit=10_000, validation=1000, schedule=schedule), folder)
    return folder


def test_the_integer_file_reads_digits(folder):
    data = kerastl.data.mnist.load(**json.loads((folder / "config.json").read_text())["data"]["arguments"])
    interpreter = Interpreter(model_path=str(folder / "variants" / "static_int8.tflite"))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert source["dtype"] == np.uint8
    correct = 0
    for picture, label in zip(data.test.inputs, data.test.labels, strict=True):
        interpreter.set_tensor(source["index"], picture[None])
        interpreter.invoke()
        correct += interpreter.get_tensor(target["index"])[0].argmax() == label
    score = correct / len(data.test)
    assert len(data.test) > 1000
    assert score > 0.96
    rows = {row["name"]: row for row in json.loads((folder / "report.json").read_text())["variants"]}
    assert rows["static_int8"]["score"] == pytest.approx(score)
    assert rows["static_int8"]["ops"]["float"] == 0
    assert rows["static_int8"]["agreement"] > 0.99
    assert rows["float32"]["bytes"] > 3.5 * rows["static_int8"]["bytes"]


def test_verify_measures_the_run_again_and_sees_a_flipped_byte(folder, capsys):
    assert kerastl.cli.main(["verify", str(folder)]) == 0
    path = folder / "variants" / "static_int8.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert kerastl.cli.main(["verify", str(folder)]) != 0
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_predict_reads_a_digit(folder, tmp_path, capsys):
    data = kerastl.data.mnist.load(**json.loads((folder / "config.json").read_text())["data"]["arguments"])
    path = tmp_path / "digits.npy"
    np.save(path, data.test.inputs[:20])
    capsys.readouterr()
    assert kerastl.cli.main(["predict", str(folder), str(path), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    labels = [answer["label"] for answer in answers]
    assert np.mean([label == str(truth) for label, truth in zip(labels, data.test.labels[:20], strict=True)]) >= 0.9
