"""A file of several tasks beside a file a task, each counted again by NumPy."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np
import pytest

import kerastl
from kerastl import verify
from kerastl.inputs.numbers import Numbers
from kerastl.models import multilayer_perceptron
from kerastl.runs import Acceptance, candidates, publishing, report, single_tasks, store
from kerastl.runs.page import words as wording
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Dataset, Schedule, Split, Task

COUNTS = {"train": 200, "validation": 80, "test": 80}
TARGET: Any = MultiTask(
    (("side", SingleLabel(("low", "high"))), ("heat", Regression(("heat",), (20.0,), (11.5,), "C")))
)


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    accept: Acceptance = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0)


@pytest.fixture(scope="module")
def dataset():
    """A hidden number decides both labels; the first quarter of a split lacks the class, the last the number."""
    made, draw = {}, np.random.default_rng(0)
    for name, count in COUNTS.items():
        hidden = draw.permutation(np.linspace(0, 1, count)).astype("float32")
        inputs = np.stack([hidden * 100, 1 - hidden], -1)
        side, heat = (hidden > 0.5).astype("int32"), (40 * hidden[:, None]).astype("float32")
        side[: count // 4], heat[-count // 4 :] = -1, np.nan
        made[name] = inputs, {"side": side, "heat": heat}
    task = Task("toy", Numbers.of(made["train"][0]), TARGET)
    splits = [Split(name, inputs, labels, task) for name, (inputs, labels) in made.items()]
    return Dataset(task, *splits, digest="0" * 64, source="toy")


def trained(task, data):
    keras.utils.set_random_seed(0)
    model = multilayer_perceptron.build(task, widths=(8,))
    curves = fitting.fit(model, data, schedule=Schedule(3, 20, 0.03), progress=False)
    return fitting.Trained(model, curves)


@pytest.fixture(scope="module")
def models(dataset):
    """The model of all tasks, and one of each."""
    alone = {name: single_tasks.dataset_of(dataset, name) for name in TARGET.names}
    found = {name: trained(one.task, one.train) for name, one in alone.items()}
    return trained(dataset.task, dataset.train), found


@pytest.fixture(scope="module")
def published(dataset, models, tmp_path_factory):
    together, alone = models
    folder = tmp_path_factory.mktemp("runs") / "run"
    with store.Run(folder, recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        files = candidates.post_training(together.model, dataset.train, techniques=["float32", "dynamic_int8"])
        return folder, publishing.publish(
            run, dataset, model=together.model, candidates=files, single=alone, file_per_task=True
        )


def test_one_task_is_the_examples_that_have_its_label(dataset):
    side, heat = (single_tasks.dataset_of(dataset, name) for name in TARGET.names)
    assert [len(side.train), len(heat.train)] == [150, 150]
    np.testing.assert_array_equal(side.train.inputs, dataset.train.inputs[50:])
    np.testing.assert_array_equal(heat.test.labels, dataset.test.labels["heat"][:60])
    assert (side.task.target, side.train.task) == (dict(TARGET.parts)["side"], side.task)
    with pytest.raises(ValueError, match=r"one of the tasks side, heat\. Received: 'age'"):
        single_tasks.dataset_of(dataset, "age")
    with pytest.raises(ValueError, match="of a target of several"):
        single_tasks.dataset_of(side, "side")


def test_a_model_of_one_task_learns_for_as_many_steps(dataset):
    schedule = Schedule(epochs=30, batch_size=10, peak_learning_rate=0.1)
    one, longer = single_tasks.alone(dataset, "side", schedule=schedule)
    assert longer == dataclasses.replace(schedule, epochs=40)
    assert longer.steps(len(one.train)) == schedule.steps(len(dataset.train)) == 600


def test_every_number_of_the_comparison(published, dataset):
    folder, result = published
    found = result["single_tasks"]
    chosen = next(row for row in result["variants"] if row["name"] == result["chosen"])
    assert [row["name"] for row in found["rows"]] == ["side", "heat"]
    assert sorted(path.name for path in (folder / "single_tasks").iterdir()) == ["heat.tflite", "side.tflite"]
    for row in found["rows"]:
        path = folder / row["file"]
        assert row["bytes"] == path.stat().st_size
        for key, split in (("validation_score", dataset.validation), ("score", dataset.test)):
            labels = split.labels[row["name"]]
            there = labels >= 0 if row["name"] == "side" else ~np.isnan(labels[:, 0])
            shared = verify.predict_tflite(folder / chosen["file"], split.inputs[there], kind=split.task.inputs)
            alone = verify.predict_tflite(path, split.inputs[there], kind=split.task.inputs)
            for which, answers in (("shared", shared[row["name"]]), ("alone", alone)):
                assert row[f"{which}_{key}"] == pytest.approx(by_hand(row["name"], answers, labels[there]), rel=1e-6)
        assert row["alone_score_low"] <= row["alone_score"] <= row["alone_score_high"]
    side, heat = found["rows"]
    assert side["gain"] == pytest.approx(side["shared_score"] - side["alone_score"])
    assert heat["gain"] == pytest.approx((heat["alone_score"] - heat["shared_score"]) / 11.5)
    assert (found["bytes"], found["sum_bytes"]) == (chosen["bytes"], side["bytes"] + heat["bytes"])
    assert found["sum_latency_ms"] == pytest.approx(side["latency_ms"] + heat["latency_ms"])
    assert f"{found['bytes'] / found['sum_bytes']:.0%} of the bytes" in found["words"]
    assert f"side {100 * side['gain']:+.2f} points" in found["words"]


def by_hand(name, answers, labels):
    return (answers.argmax(-1) == labels).mean() if name == "side" else np.abs(answers - labels).mean()


def test_files_are_stored_as_the_chosen_one_is(published, dataset, models, tmp_path):
    folder, result = published
    reader = kerastl.verify.benchmark.inspect(folder / "single_tasks" / "side.tflite")
    files = candidates.post_training(models[1]["side"].model, dataset_of_one(dataset), techniques=[result["chosen"]])
    assert reader.operators.by_type == kerastl.verify.benchmark.inspect(files[0].tflite).operators.by_type
    own = candidates.Candidate("own", candidates.Technique("own", kerastl.verify.checks.INT8, integer=True), b"", None)
    single_tasks.write(models[1]["side"].model, dataset_of_one(dataset), how=own, path=tmp_path / "one.tflite")
    integer = kerastl.verify.benchmark.inspect(tmp_path / "one.tflite")
    assert integer.operators.float == 0, "beside a file of integers stands one of integers"


def dataset_of_one(dataset):
    return single_tasks.split_of(dataset.train, "side")


def test_the_page_and_the_table_have_them(published, capsys):
    folder, result = published
    page = (folder / "report.html").read_text()
    assert "Beside a model a task" in page
    assert wording.score_words(result["single_tasks"]["rows"][1]["alone_score"], "C") in page
    report.print_table(result)
    assert "Beside a model a task, trained for as many steps" in " ".join(capsys.readouterr().out.split())


def test_it_is_measured_again(published, dataset):
    folder, result = published
    run = kerastl.open(folder)
    assert run.verify(dataset=dataset, progress=False) == ()
    for change in ({"bytes": 1}, {"shared_score": 0.5}, {"alone_validation_score": 0.25}, {"gain": 3.0}):
        forged = json.loads(json.dumps(result))
        forged["single_tasks"]["rows"][0] |= change
        (folder / "report.json").write_text(json.dumps(forged))
        found = kerastl.open(folder).verify(dataset=dataset, progress=False)
        (key,) = change
        assert any(f"single_tasks.rows[side].{key} stated" in words for words in found), key
    (folder / "report.json").write_text(json.dumps(result, indent=2) + "\n")
    path = folder / "single_tasks" / "heat.tflite"
    content = path.read_bytes()
    path.unlink()
    assert run.verify(dataset=dataset, progress=False) == (
        "single_tasks/heat.tflite: named in files.json, but missing",
    )
    path.write_bytes(content)


def test_one_file_a_head_answers_as_the_file_of_all_tasks(published, dataset):
    folder, result = published
    chosen = next(row for row in result["variants"] if row["name"] == result["chosen"])
    together = verify.predict_tflite(folder / chosen["file"], dataset.test.inputs, kind=dataset.task.inputs)
    for row in result["heads"]["rows"]:
        path, labels = folder / "heads" / f"{row['name']}.tflite", dataset.test.labels[row["name"]]
        assert (row["file"], row["bytes"]) == (f"heads/{path.name}", path.stat().st_size)
        answers = verify.predict_tflite(path, dataset.test.inputs, kind=dataset.task.inputs)
        # of dynamic ranges each file has its own in front of the head that they share
        np.testing.assert_allclose(answers, together[row["name"]], rtol=0.05, atol=0.05)
        there = labels >= 0 if row["name"] == "side" else ~np.isnan(labels[:, 0])
        assert row["score"] == pytest.approx(by_hand(row["name"], answers[there], labels[there]), rel=1e-6)
        assert row["bytes"] < chosen["bytes"]
        assert row["agreement"] > 0.95
    assert "One file a head" in (folder / "report.html").read_text()
    forged = json.loads(json.dumps(result))
    forged["heads"]["rows"][1]["score"] = 0.5
    (folder / "report.json").write_text(json.dumps(forged))
    found = kerastl.open(folder).verify(dataset=dataset, progress=False)
    (folder / "report.json").write_text(json.dumps(result, indent=2) + "\n")
    assert any("heads.rows[heat].score stated" in words for words in found)


def test_a_model_is_wanted_for_each_task(published, dataset, models):
    one = {"side": models[1]["side"]}
    with pytest.raises(ValueError, match=r"a model for each of the tasks side, heat\. Received: side"):
        single_tasks.compare(one, dataset, chosen=None, file=published[0], folder=published[0])  # pyright: ignore
