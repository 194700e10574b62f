"""kerastl-light: the same code where no framework is installed. A real run goes through it in `test_end_to_end.py`."""

from __future__ import annotations

import json
import subprocess
import sys

import light_installation
import numpy as np
import pytest
from PIL import Image

from kerastl import cli
from kerastl.cli import doctor
from kerastl.system import digests

COMMAND = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def light(tmp_path_factory) -> dict[str, str]:
    return light_installation.environment(tmp_path_factory.mktemp("absent"))


def test_what_it_brings_is_small_and_holds_no_framework():
    brought = light_installation.distributions()
    assert {"ai-edge-litert", "numpy", "pillow"} <= brought
    assert not brought & {"tensorflow", "keras", "tf-keras", "scipy", "pyarrow", "h5py", "matplotlib", "rich", "tyro"}
    size = light_installation.bytes_of(brought)
    print(f"{len(brought)} packages of {size:,} bytes")
    assert size < 180_000_000, "200 MB with the code, Python's own files of a virtual environment, and pip"


def test_what_opens_bundles_and_reads_data_imports_no_more(light, tmp_path):
    rooms = [
        "verify.benchmark",
        "verify.predictions",
        "verify.answers",
        "verify.selection",
        "tasks.single_label",
        "tasks.multi_label",
        "runs.finished",
        "runs.reverification",
        "runs.demo",
        "verify.checks",
        "untrusted.tflite_file",
        "untrusted.tflite_child",
        "untrusted.model_file",
        "inputs.pictures",
        "inputs.wordpiece",
        "system.digests",
        "system.downloads",
        "runs.store",
        "data.mnist",
        "data.fashion_mnist",
        "data.cifar10",
        "data.groceries",
        "data.movie_reviews",
        "data.image_folder",
        "data.arrays",
        "data.text_csv",
        "data.parquet_table",
        "data.audit",
    ]
    code = "import " + ", ".join(f"kerastl.{room}" for room in rooms)
    done = subprocess.run([sys.executable, "-c", code], env=light, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("tensorflow", "keras", "rich", "scipy"):  # or the line above would prove nothing
        done = subprocess.run([sys.executable, "-c", f"import {name}"], env=light, cwd=tmp_path, capture_output=True)
        assert done.returncode == 1, name


def test_picture_folders_are_read_without_a_progress_bar(light, tmp_path):
    for index in range(40):
        path = tmp_path / "pictures" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    code = """
import sys
from kerastl.data import image_folder
print(len(image_folder.load(sys.argv[1], size=(8, 8)).train))
"""
    words = [sys.executable, "-c", code, str(tmp_path / "pictures")]
    done = subprocess.run(words, env=light, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_a_model_of_keras_is_refused_in_words(light, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04")
    done = subprocess.run([*COMMAND, "audit", "model.keras"], env=light, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not installed here" in done.stdout + done.stderr


def test_verify_says_what_it_could_not_measure_and_what_it_found(light, tmp_path):
    """A run on data of TensorFlow Datasets, of which one file was changed."""
    config = {"data": {"source": "tfds", "arguments": {"name": "mnist"}, "digest": "0" * 64}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "report.json").write_text(json.dumps({"variants": [], "chosen": "float32"}))
    (tmp_path / "report.html").write_text("as it was")
    (tmp_path / "mobile").mkdir()
    (tmp_path / "mobile" / "model.tflite").write_bytes(b"a model")
    names = ("config.json", "report.json", "report.html", "mobile/model.tflite")
    (tmp_path / "files.json").write_text(json.dumps({name: digests.of_file(tmp_path / name) for name in names}))
    (tmp_path / "report.html").write_text("changed")
    done = subprocess.run([*COMMAND, "verify", "."], env=light, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "differs: report.html: files.json states SHA-256" in done.stderr
    assert "No module named 'tensorflow'" in done.stderr
    assert "No score was measured again: the data come from kerastl.data.tfds" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "words"), [("kerastl-light", "for all else: pip install kerastl"), ("kerastl", "`kerastl doctor` shows")]
)
def test_a_package_that_is_missing_comes_with_where_to_get_it(monkeypatch, capsys, name, words):
    def lacking(**_: object) -> int:
        raise ModuleNotFoundError("No module named 'tyro'", name="tyro")

    monkeypatch.setattr(doctor, "doctor", lacking)
    monkeypatch.setattr(doctor, "distribution", lambda: name)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "No module named 'tyro'" in said
    assert words in said


def test_the_doctor_asks_for_what_the_light_installation_needs_alone(monkeypatch):
    monkeypatch.setattr(doctor, "distribution", lambda: "kerastl-light")
    wanted = [name for name, _ in doctor._requirements()]
    assert wanted == [requirement.partition(">=")[0] for requirement in light_installation.project()["dependencies"]]
    assert all(finding.what != "Keras backend" for finding in doctor._settings())


def test_a_checkout_without_installation_is_kerastl(monkeypatch):
    import importlib.metadata

    found = importlib.metadata.distribution

    def only(name):
        def look(asked: str):
            if asked.startswith("kerastl") and asked != name:
                raise importlib.metadata.PackageNotFoundError(asked)
            return found("numpy")

        return look

    monkeypatch.setattr(importlib.metadata, "distribution", only("nothing"))
    assert doctor.distribution() == "kerastl"
    monkeypatch.setattr(importlib.metadata, "distribution", only("kerastl-light"))
    assert doctor.distribution() == "numpy", "the installed one's own name"


def test_answers_of_a_model_are_asked_for_where_keras_is(light, tmp_path):
    """A run whose labels are its model's own answers."""
    np.save(tmp_path / "rows.npy", np.zeros((40, 3), np.float32))
    arguments = {"path": str(tmp_path / "rows.npy"), "shapes": {"row": [3]}}
    config = {"data": {"source": "unlabelled", "arguments": arguments, "digest": "0" * 64}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = {"variants": [], "chosen": "float32", "task": "agreement with the model"}
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "files.json").write_text("{}")
    (tmp_path / "mobile").mkdir()
    (tmp_path / "mobile" / "model.tflite").write_bytes(b"a model")
    done = subprocess.run([*COMMAND, "verify", "."], env=light, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No score was measured again: labels are the answers of model.keras, which needs Keras." in done.stderr
    assert "Traceback" not in done.stderr
