"""A finished run in a tracker: refused before training where it cannot be, and in a real MLflow store where there is
one.
"""

from __future__ import annotations

import json

import pytest

import kerastl
from kerastl import cli
from kerastl.runs import tracking


def test_a_tracker_that_is_not_there_is_refused_before_training(here, toy_source, capsys, monkeypatch):
    assert cli.main(["run", "my_recipe.py", "--tracker", "mlfow"]) == 1
    assert "There is no tracker 'mlfow'. Did you mean mlflow? Available: mlflow, wandb." in capsys.readouterr().err
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["run", "my_recipe.py", "--tracker=wandb"]) == 1
    assert "--tracker wandb needs its package: pip install 'kerastl[wandb]'" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError, match=r"kerastl\[mlflow\]"):
        kerastl.run("my_recipe.py", tracker="mlflow")
    assert not (here / "saved_models").exists(), "nothing was begun"


def test_what_is_tracked_is_what_the_report_says(finished):
    report = json.loads((finished / "report.json").read_text())
    row = report["variants"][0]
    found = tracking.measures(report)
    assert (found["test_score"], found["bytes"]) == (row["score"], row["bytes"])
    assert found["float32.validation_score"] == row["validation_score"]
    assert found["multiply_adds"] == 48
    settings = tracking.flat(report["settings"])
    assert (settings["teacher.epochs"], settings["seed"]) == (3, 0)


def test_a_run_in_an_mlflow_store(here, toy_source, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run = kerastl.run("my_recipe.py", tracker="mlflow")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "store").as_uri())
    experiment = client.get_experiment_by_name("kerastl/my_recipe")
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.data.metrics["test_score"] == run.score.value
    assert one.data.params["teacher.epochs"] == "3"
    names = {entry.path for entry in client.list_artifacts(one.info.run_id, "mobile")}
    assert "mobile/model.tflite" in names
