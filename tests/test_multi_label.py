"""Pictures that have none, one or several classes: the whole chain, from a table to what `kerastl predict` prints."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import keras
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

import kerastl
from kerastl import types, verify
from kerastl.compress import ptq
from kerastl.data import image_folder, pipeline, splits
from kerastl.data.reading import PictureReading
from kerastl.export import metadata, serving, tflite
from kerastl.recipes import image_classifier
from kerastl.runs import Acceptance, publishing, stage_files, store
from kerastl.runs.checkpoints import Workspace
from kerastl.runs.page import mistakes as mistaken
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting

NAMES = ("disc", "green", "red", "square")


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def draw(generator, shape: str | None, colours: set[str]) -> np.ndarray:
    """A grey picture with a shape in it, or none, in red, green, both (yellow) or none (white)."""
    picture = generator.integers(60, 90, (16, 16, 3)).astype(np.uint8)
    y, x = np.mgrid[:16, :16] - generator.integers(6, 10, (2, 1, 1))
    inside = {"disc": x**2 + y**2 <= 16, "square": np.maximum(abs(x), abs(y)) <= 4}.get(shape, x > 99)
    paint = [220 if "red" in colours else 30, 220 if "green" in colours else 30, 30] if colours else [250, 250, 250]
    picture[inside] = paint
    return picture


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """160 pictures, and beside them a table that names their classes twice: separated, and in columns."""
    folder, generator = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    with open(folder / "shapes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *NAMES])
        for index in range(160):
            shape = (None, "disc", "square")[index % 3]
            colours = {name for name in ("red", "green") if shape and generator.random() < 0.5}
            Image.fromarray(draw(generator, shape, colours)).save(folder / f"{index}.png")
            having = colours | ({shape} if shape else set())
            flags = [int(name in having) for name in NAMES]
            writer.writerow([f"{index}.png", "|".join(sorted(having, reverse=True)), *flags])
    return folder / "shapes.csv"


@pytest.fixture(scope="session")
def dataset(table):
    return image_folder.load(table, size=(16, 16), validation=0.2, test=0.25, label_separator="|")


@pytest.fixture(scope="session")
def model(dataset):
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.ReLU(name="relu1")(keras.layers.Conv2D(16, 3, strides=2, name="conv1")(x))
    x = keras.layers.ReLU(name="relu2")(keras.layers.Conv2D(32, 3, name="conv2")(x))
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(x))
    curves = fitting.fit(
        model,
        pipeline.batches(splits.repeated(dataset.train, 4 * len(dataset.train)), batch_size=16, shuffle=True),
        schedule=types.Schedule(epochs=10, peak_learning_rate=3e-3),
        validation=pipeline.batches(dataset.validation, batch_size=16),
        progress=False,
    )
    assert max(curves.values["val_exact_match"]) > 0.8
    return model


@pytest.fixture(scope="session")
def files(dataset, model):
    float32 = tflite.convert(model, dataset.task)
    return {
        "float32": float32,
        "float16": ptq.float16(float32),
        "dynamic_int8": ptq.dynamic_int8(float32),
        "static_int8": ptq.static_int8(float32, calibration=dataset.train.inputs, inputs=dataset.task.inputs),
    }


@pytest.fixture(scope="session")
def shipped(dataset, model, files, tmp_path_factory):
    with store.Run(
        tmp_path_factory.mktemp("runs") / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1
    ) as run:
        run.use_dataset(dataset)
        candidates = [publishing.Candidate(name, name, content, model) for name, content in files.items()]
        loose = Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.9, max_saturation=0.05)
        return run.folder, publishing.publish(run, dataset, model=model, candidates=candidates, accept=loose)


def test_both_kinds_of_table_give_the_same_data_set(table, dataset):
    columns = image_folder.load(table, size=(16, 16), validation=0.2, test=0.25, label_columns=NAMES)
    assert dataset.task.target.names == columns.task.target.names == NAMES
    assert dataset.task.target == MultiLabel(NAMES)
    assert dataset.task.target.metric == "exact match"
    assert columns.digest == dataset.digest
    assert image_folder.load(**json.loads(json.dumps(dict(columns.arguments)))).digest == dataset.digest
    assert image_folder.load(**json.loads(json.dumps(dict(dataset.arguments)))).digest == dataset.digest
    with open(table, newline="") as file:
        rows = [[int(flag) for flag in row[2:]] for row in csv.reader(file) if row[0] != "path"]
    stated = {}
    for index, row in enumerate(rows):
        stated[np.asarray(Image.open(table.parent / f"{index}.png")).tobytes()] = row
    splits = [dataset.train, dataset.validation, dataset.test]
    assert [len(split) for split in splits] == [96, 24, 40]
    for split in splits:
        assert split.labels.dtype == np.uint8
        assert (split.labels.sum(0) > 0).all()
        for picture, label in zip(split.inputs, split.labels, strict=True):
            assert stated.pop(picture.tobytes()) == label.tolist()
    assert not stated


def test_files_answer_like_the_model(dataset, model, files):
    logits = fitting.predict(model, dataset.test.inputs).astype(np.float64)
    expected = 1 / (1 + np.exp(-logits))
    assert (expected.sum(-1) > 1.5).any(), "several classes at once, which no softmax says"
    for name, allowed in {"float32": 1e-5, "float16": 1e-2, "dynamic_int8": 0.1, "static_int8": 0.15}.items():
        answers = verify.predict_tflite(files[name], dataset.test.inputs)
        assert np.abs(answers - expected).max() < allowed, name
        assert ((answers >= 0.5) == (expected >= 0.5)).all(-1).mean() > 0.9, name
    integer = kerastl.verify.benchmark.inspect(files["static_int8"])
    assert integer.operators.float == 0
    assert (integer.output.name, integer.output.dtype) == ("probabilities", "uint8")
    assert (integer.output.scale, integer.output.zero_point) == (1 / 256, 0)
    assert (integer.input.scale, integer.input.zero_point) == (1.0, 0)


def test_the_report_states_what_a_count_by_hand_gives(dataset, shipped):
    folder, result = shipped
    assert result["metric"] == "exact match"
    labels = dataset.test.labels.astype(bool)
    chosen = next(row for row in result["variants"] if row["name"] == result["chosen"])
    answers = verify.predict_tflite(folder / chosen["file"], dataset.test.inputs) >= 0.5
    right = [all(a == b for a, b in zip(one, other, strict=True)) for one, other in zip(answers, labels, strict=True)]
    assert chosen["score"] == sum(right) / len(right)
    assert chosen["score_low"] < chosen["score"] <= chosen["score_high"]
    for index, row in enumerate(result["by_class"]):
        hits = sum(bool(a and b) for a, b in zip(answers[:, index], labels[:, index], strict=True))
        assert row["examples"] == labels[:, index].sum()
        assert row["recall"] == pytest.approx(hits / labels[:, index].sum())
        assert row["precision"] == pytest.approx(hits / answers[:, index].sum())
        assert row["f1"] == pytest.approx(2 * row["recall"] * row["precision"] / (row["recall"] + row["precision"]))
    assert result["macro_f1"] == pytest.approx(np.mean([row["f1"] for row in result["by_class"]]))
    page = (folder / "report.html").read_text()
    for words in ("Test exact match", "Macro F1", "mean average precision", "Average precision"):
        assert words in page


def test_the_published_files_say_what_they_are(shipped, dataset, model):
    folder, _ = shipped
    content = (folder / "mobile" / "model.tflite").read_bytes()
    assert metadata.read(content)["output"]["score_threshold"] == 0.5
    page = (folder / "mobile" / "README.md").read_text()
    assert "none of these classes, one or several: those with a probability of 0.5 or more" in page
    assert "argmax" not in page
    saved = keras.saving.load_model(folder / "model.keras")
    expected = fitting.predict(serving.with_answers(model, dataset.task), dataset.test.inputs)
    np.testing.assert_allclose(fitting.predict(saved, dataset.test.inputs), expected, atol=1e-6)
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    answers = signature(image=dataset.test.inputs.astype("float32"))["probabilities"]
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_the_snippet_of_the_bundle_names_the_classes_at_half_or_more(shipped, dataset, monkeypatch, capsys):
    folder, _ = shipped
    monkeypatch.chdir(folder / "mobile")
    code = re.search(r"```python\n(.*?)```", (folder / "mobile" / "README.md").read_text(), re.DOTALL)[1]
    code = re.sub(r"picture = np\.zeros\(.*?\), np\.(\w+)\).*", r"picture = example.astype(np.\1)", code)
    code = re.sub(r"picture = np\.zeros\(\[.*?\], np\.(\w+)\).*", r"picture = example.astype(np.\1)", code)
    for example in dataset.test.inputs[:6]:
        exec(compile(code, "README.md", "exec"), {"example": example[None]})
        row = verify.predict_tflite(folder / "mobile" / "model.tflite", example[None])[0]
        said = re.findall(r"'(\w+)'", capsys.readouterr().out)
        assert said == [name for name, p in zip(NAMES, row, strict=True) if p >= 0.5]


def test_predict_prints_every_class_at_half_or_more(shipped, dataset, table, capsys):
    folder, _ = shipped
    paths = [str(table.parent / f"{index}.png") for index in range(24)]
    pictures = np.stack([np.asarray(Image.open(path)) for path in paths])
    rows = verify.predict_tflite(folder / "mobile" / "model.tflite", pictures)
    assert kerastl.cli.main(["predict", str(folder), *paths, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    for answer, row in zip(answers, rows, strict=True):
        assert answer["labels"] == [name for name, p in zip(NAMES, row, strict=True) if p >= 0.5]
        assert answer["probabilities"] == {name: round(float(p), 6) for name, p in zip(NAMES, row, strict=True)}
        assert "label" not in answer
    counts = {len(answer["labels"]) for answer in answers}
    assert {0, 2} <= counts
    assert kerastl.cli.main(["predict", str(folder), *paths]) == 0
    for line, answer in zip(capsys.readouterr().out.splitlines(), answers, strict=True):
        said = line.split(": ", 1)[1].split(" (then")[0]
        assert set(re.findall(r"[a-z]+", said)) == (set(answer["labels"]) or {"none"})


def test_verify_measures_the_run_again(shipped):
    assert kerastl.cli.main(["verify", str(shipped[0])]) == 0


def test_a_softmax_in_place_of_the_sigmoid_is_not_published(dataset, model, tmp_path):
    """What is shipped when a recipe converts for another task than its data's."""
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        one_label = dataclasses.replace(dataset.task, target=SingleLabel(NAMES))
        wrong = publishing.Candidate("float32", "float32", tflite.convert(model, one_label), model)
        with pytest.raises(verify.VerificationError):
            publishing.publish(run, dataset, model=model, candidates=[wrong])
        assert not (run.folder / "mobile").exists()


def test_the_recipe_takes_such_a_table(table, tmp_path):
    config = dataclasses.replace(image_classifier.Config.smoke(), data=str(table), epochs=0, balanced=True)
    config = dataclasses.replace(config, reading=dataclasses.replace(config.reading, label_separator="|"))
    result = image_classifier.run(config, tmp_path / "run")
    assert result["metric"] == "exact match"
    assert result["mean_average_precision"] > 0.5
    content = (tmp_path / "run" / "mobile" / "model.tflite").read_bytes()
    assert metadata.score_threshold(content) == 0.5
    reading = dataclasses.replace(config.reading, label_separator=None, label_columns=NAMES)
    columns = dataclasses.replace(config, reading=reading)
    data = image_classifier.load(columns)
    assert data.digest == result["data"]["digest"]
    having = data.train.labels.astype(int).sum(0)
    expected = dict(enumerate((len(data.train) - having) / having))
    assert image_classifier.weights(config, data) == pytest.approx(expected)
    stage = {name: next((tmp_path / "run" / "stages").glob(f"{name}-*")) for name in ("features", "linear_probe")}
    plain = image_classifier.train_probe(
        dataclasses.replace(config, balanced=False),
        data,
        kerastl.training.transfer.plan_for(data.train, batch_size=config.batch_size, epochs=config.epochs),
        stage_files.load(stage["features"]),
        Workspace("plain", folder=tmp_path / "plain", logs=tmp_path / "logs"),
    )
    assert plain.curves.values["loss"] != fitting.load(stage["linear_probe"]).curves.values["loss"]
    with pytest.raises(ValueError, match="listed in a table"):
        image_classifier.load(dataclasses.replace(config, data=None))
    beside = image_classifier.load(dataclasses.replace(columns, data=str(table.parent)))
    assert beside.train.labels.shape == data.train.labels.shape  # a folder's table is found in it


def test_the_recipe_takes_a_parquet_file_of_such_pictures(table, dataset, tmp_path, capsys):
    contents = [(table.parent / f"{index}.png").read_bytes() for index in range(160)]
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [int(row[name]) for row in rows] for name in NAMES}
    made = pyarrow.table({"image": [*contents, b"<html>"], **{name: [*some, 0] for name, some in columns.items()}})
    pyarrow.parquet.write_table(made, tmp_path / "set.parquet")
    reading = PictureReading(label_columns=NAMES, on_unreadable="skip")
    config = image_classifier.Config(data=str(tmp_path / "set.parquet"), image_size=16, reading=reading)
    data = image_classifier.load(config)
    assert "row 160: unreadable picture" in capsys.readouterr().err
    assert data.task.target.names == NAMES
    stated = dict(zip(contents, zip(*columns.values(), strict=True), strict=True))
    stated = {np.asarray(Image.open(io.BytesIO(content))).tobytes(): row for content, row in stated.items()}
    for split in (data.train, data.validation, data.test):
        for picture, label in zip(split.inputs, split.labels.tolist(), strict=True):
            assert stated[picture.tobytes()] == tuple(label)
    with pytest.raises(ValueError, match="listed in a table"):
        image_classifier.load(dataclasses.replace(config, reading=PictureReading(label_separator="|")))


def test_mistakes_are_told_in_sets(dataset):
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], np.uint8)
    split = types.Split("test", dataset.test.inputs[:3], labels, dataset.task)
    probabilities = np.array([[0.9, 0.1, 0.8, 0.2], [0.01, 0.7, 0.2, 0.95], [0.1, 0.02, 0.3, 0.4]], np.float32)
    found = mistaken.misclassified(split, probabilities)
    assert (found.total, found.examples) == (2, 3)
    assert found.labels == ("green", "none")  # the surest first: 98 % that no green is there
    assert found.predictions == ("none", "green, square")
    assert found.confidences == pytest.approx((0.98, 0.95))
