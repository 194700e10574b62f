"""Real MNIST through a whole recipe: what the integer file gets right, counted with a bare interpreter."""

import base64
import functools
import json
import signal
import subprocess
import sys

import browser
import light_installation
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kerastl
from kerastl.recipes import mnist_cnn
from kerastl.types import Schedule


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "mnist"
    schedule = Schedule(epochs=2, batch_size=64, peak_learning_rate=2e-3)
    mnist_cnn.run(mnist_cnn.Config(max_train_examples=10_000, validation=1000, schedule=schedule), folder)
    return folder


def test_the_integer_file_reads_digits(folder, data):
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


@pytest.fixture(scope="module")
def data(folder):
    return kerastl.data.mnist.load(**json.loads((folder / "config.json").read_text())["data"]["arguments"])


def test_wrong_labels_are_found(folder, data):
    """5 % of the labels made wrong: at least 60 % of them are flagged, and half of what is flagged is wrong."""
    labels, generator = data.test.labels.copy(), np.random.default_rng(0)
    planted = generator.choice(len(labels), len(labels) // 20, replace=False)
    labels[planted] = (labels[planted] + generator.integers(1, 10, len(planted))) % 10
    answers = kerastl.verify.predict_tflite(folder / "mobile" / "model.tflite", data.test.inputs)
    flagged = kerastl.data.label_errors.find(labels, answers)
    hits = len(np.intersect1d(flagged, planted))
    assert hits >= 0.6 * len(planted)
    assert hits >= 0.5 * len(flagged)


STROKES = {
    "1": [(0, -90), (0, 90)],
    "3": [(-45, -75), (0, -90), (45, -65), (40, -25), (0, 0), (50, 25), (50, 65), (0, 90), (-50, 75)],
}


@pytest.mark.skipif(not browser.is_there(), reason="apt-get install chromium chromium-driver")
@pytest.mark.parametrize("digit", STROKES)
def test_a_digit_drawn_in_the_browser_is_read_as_predict_reads_it(digit, folder, demo, tmp_path):
    """The bundle's page, with the file that was chosen."""
    demo.run("document.querySelector('.pad + p button').click()")  # Clear
    demo.run("delete document.getElementById('answer').dataset.values")
    demo.draw(".pad", STROKES[digit])
    (values,) = json.loads(demo.wait("document.getElementById('answer').dataset.values")).values()
    drawn = demo.run("return document.querySelector('.pad').toDataURL()").partition(",")[2]
    (tmp_path / "drawn.png").write_bytes(base64.b64decode(drawn))
    wanted = kerastl.open(folder).predict(tmp_path / "drawn.png")[0]
    found = demo.run("return {...document.querySelector('.said').dataset}")
    assert found["label"] == wanted["label"] == digit
    assert float(found["probability"]) == pytest.approx(wanted["probability"], abs=1e-5)
    np.testing.assert_allclose(values, list(wanted["probabilities"].values()), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def demo(folder):
    """A browser that shows what `kerastl demo`, the command itself, serves; Ctrl-C ends it."""
    command = [sys.executable, "-m", "kerastl", "demo", str(folder), "--port", "0"]
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background ignores it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heard)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"Open {said.split()[1]} in a browser. Ctrl-C ends it.\n"
        with browser.Browser() as opened:
            opened.open(said.split()[1])
            assert opened.wait("document.documentElement.dataset.loaded") == "true"
            yield opened
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def rightly_calibrated(folder, data):
    float32 = (folder / "variants" / "float32.tflite").read_bytes()
    return kerastl.compress.ptq.static_int8(float32, calibration=data.train.inputs[:500], inputs=data.task.inputs)


@pytest.mark.parametrize("wrong", ["one digit", "noise", "negatives"])
def test_a_file_calibrated_on_other_pictures_is_refused(wrong, folder, data, rightly_calibrated, tmp_path):
    """Such a file may still answer like its model; its layers are cut off."""
    inputs, labels = data.train.inputs[:2000], data.train.labels[:2000]
    pictures = {
        "one digit": inputs[labels == 1],
        "noise": np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1)).astype(np.uint8),
        "negatives": 255 - inputs[:200],
    }
    float32 = (folder / "variants" / "float32.tflite").read_bytes()
    path = tmp_path / "model.tflite"
    artifact = kerastl.types.Artifact("static_int8", "test", path, integer=True)
    check = {"inputs": data.validation.inputs[:100], "tolerance": kerastl.verify.LAYERS_INT8}
    path.write_bytes(rightly_calibrated)
    assert kerastl.verify.check_layers(artifact, float32, **check).error < 0.1
    path.write_bytes(kerastl.compress.ptq.static_int8(float32, calibration=pictures[wrong], inputs=data.task.inputs))
    with pytest.raises(kerastl.verify.VerificationError, match="the range of"):
        kerastl.verify.check_layers(artifact, float32, **check)


def test_verify_measures_the_run_again_and_sees_a_flipped_byte(folder, capsys):
    assert kerastl.cli.main(["verify", str(folder)]) == 0
    path = folder / "variants" / "static_int8.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert kerastl.cli.main(["verify", str(folder)]) != 0
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_predict_reads_a_digit(folder, data, tmp_path, capsys):
    path = tmp_path / "digits.npy"
    np.save(path, data.test.inputs[:20])
    capsys.readouterr()
    assert kerastl.cli.main(["predict", str(folder), str(path), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    labels = [answer["label"] for answer in answers]
    assert np.mean([label == str(truth) for label, truth in zip(labels, data.test.labels[:20], strict=True)]) >= 0.9


def test_a_light_installation_predicts_benchmarks_and_verifies_it(folder, data, tmp_path, capsys):
    """In processes that can import nothing which kerastl-light does not bring; their children cannot either."""
    (tmp_path / "absent").mkdir()
    environment = light_installation.environment(tmp_path / "absent")
    np.save(tmp_path / "digits.npy", data.test.inputs[:20])
    predict = ["predict", str(folder), str(tmp_path / "digits.npy"), "--json"]
    capsys.readouterr()
    assert kerastl.cli.main(predict) == 0
    expected = json.loads(capsys.readouterr().out)
    answers = []
    for words in (predict, ["benchmark", str(folder / "mobile" / "model.tflite"), "--json"], ["verify", str(folder)]):
        command = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())", *words]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    assert json.loads(answers[0]) == expected
    assert json.loads(answers[1])[0]["sha256"] == kerastl.system.digests.of_file(folder / "mobile" / "model.tflite")
    assert answers[2].startswith("verified: ")
