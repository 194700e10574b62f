"""The folder of a run where data are wanted: whoever reads data says what it is, and where its data lie."""

import json
import re

import pytest

from kerastl import cli
from kerastl.data import arrays, audit, facts, image_folder, loading, no_runs, unlabelled
from kerastl.system import run_marks

CONFIG = {"recipe": "mnist_cnn", "tag": "default", "versions": {"kerastl": "0.1.0"}, "config": {}}
LOADERS = {
    "audit": audit.audit,
    "facts": facts.summarize,
    "arrays": arrays.load,
    "image_folder": lambda path: image_folder.load(path, size=(8, 8)),
    "pictures": lambda path: loading.pictures(path, size=(8, 8)),
    "texts": lambda path: loading.texts(path, sequence_length=8, vocabulary=None),
    "tables": loading.tables,
    "has_labels": lambda path: unlabelled.has_labels(path, inputs=["x"]),
    "unlabelled": lambda path: unlabelled.load(path, shapes={"x": (8, 8, 3)}),
}


@pytest.fixture
def run(tmp_path):
    """A finished run as far as its folders go; one of them holds a picture, as classes do."""
    folder = tmp_path / "saved models" / "mnist_cnn" / "default"
    for name in ("mobile", "variants", "logs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "plot.png").touch()
    for name in ("mobile/model.tflite", "mobile/README.md", run_marks.FILES):
        (folder / name).touch()
    data = {"source": "image_folder", "arguments": {"path": "/data/my flowers"}}
    (folder / "config.json").write_text(json.dumps({**CONFIG, "data": data}))
    return folder


@pytest.mark.parametrize("name", LOADERS)
def test_every_loader_says_that_it_is_a_run(run, name):
    words = re.escape(f"kerastl verify '{run}'` measures") + r".*lie in '/data/my flowers'.*kerastl audit '/data/my fl"
    with pytest.raises(ValueError, match=rf"the folder of a run of 'mnist_cnn'.*{words}"):
        LOADERS[name](run)


@pytest.mark.parametrize("words", [["audit"], ["advise"], ["run", "image_classifier", "--data"]])
def test_every_command_says_so(run, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, str(run)]) == 1
    assert "the folder of a run of 'mnist_cnn'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "mnist", "arguments": {"seed": 0}}, "Its data are the set 'mnist'"),
        (None, "names no data yet"),
        ("mnist", "names no data yet"),
        ({"source": "mnist", "arguments": 1}, "names no data yet"),
    ],
)
def test_what_its_config_says_of_its_data(run, data, said):
    (run / "config.json").write_text(json.dumps({**CONFIG, "data": data}))
    with pytest.raises(ValueError, match=said):
        no_runs.refuse(run)


def test_bundles_folders_of_runs_and_unfinished_ones(run):
    with pytest.raises(ValueError, match=r"the bundle of a run for the phone.*kerastl predict"):
        no_runs.refuse(run / "mobile")
    with pytest.raises(ValueError, match=r"holds runs: mnist_cnn/default\."):
        no_runs.refuse(run.parents[1])
    (run / run_marks.FILES).unlink()
    with pytest.raises(ValueError, match="unfinished"):
        no_runs.refuse(run)


def test_data_pass(run, tmp_path):
    (run.parents[1] / "tulips").mkdir()
    for path in (run.parents[1], tmp_path / "nothing", run / "variants", run / "config.json"):
        no_runs.refuse(path)
