"""Every recipe in its smoke size, from data to the verified bundle, on real pictures and texts."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import toy
from ai_edge_litert.interpreter import Interpreter

import kerastl
import kerastl.recipes
from kerastl.data.reading import TextReading
from kerastl.inputs.text import Text
from kerastl.inputs.waveform import Waveform
from kerastl.runs import Acceptance, FineTuning, recipes, reverification
from kerastl.tasks.embedding import Embedding
from kerastl.tasks.regression import Regression
from kerastl.tasks.tagging import Tagging
from kerastl.types import Schedule, settings

ROOT = Path(__file__).resolve().parents[1]
ANY = Acceptance(max_score_drop=1.0, max_quantization_drop=0.2, min_agreement=0.8)

NAMES = [one.name for recipe in recipes.built_in() for one in (recipe, *recipes.aliases(recipe))]
"""Recipes, and the settings of them that have a name of their own."""
ALIASES = {alias.name for recipe in recipes.built_in() for alias in recipes.aliases(recipe)}
CONTROLLED = [
    "cifar_mobile", "distil_features", "distil_few_labels", "distil_logits", "distil_quantized", "fashion_mobile",
    "text_mobile",
]  # fmt: skip
"""Recipes that have a teacher: they train every student without it as well."""
WITHOUT_CONTROL = [
    "distil_features", "distil_few_labels", "distil_quantized", "fashion_mobile", "multi_task_images",
    "multi_task_text", "text_mobile",
]  # fmt: skip
"""Recipes that run again with `--no-control`; `distil_logits` itself runs again as it was."""
MADE_TWICE = {"distil_quantized": 6, "text_classifier": 4}
"""Recipes that a second process runs as well, and how many files there are at least: stored answers of teachers and
integers that were learnt; a vocabulary that comes of counting words."""
ELSEWHERE = {"PYTHONHASHSEED": "4242", "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONPATH": str(ROOT)}


def test_how_many_were_found():
    print(f"{len(NAMES)} recipes: {NAMES}")
    assert {"mnist_cnn", "mnist_mobile", "fashion_mobile", "cifar_convnet", "text_classifier"} <= set(NAMES)
    assert {"text_mobile", "image_classifier", "image_few_labels"} <= set(NAMES)
    assert set(CONTROLLED) <= set(NAMES)


def named(name):
    """A recipe's module and the kind of its settings."""
    found = recipes.find(name)
    module = importlib.import_module(f"kerastl.recipes.{found.path.stem}")
    return module, type(recipes.default_config(found, module))


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    recipe, kind = named(name)
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().seed = 1
    lines = inspect.cleandoc(recipe.__doc__ if kind is recipe.Config else kind.__doc__).splitlines()
    assert lines[0].endswith(".")
    for word in ("Minutes:", "Data:", "Command:", "Expect:"):
        assert any(line.startswith(word) for line in lines), word
    # a comment under each field says where its value comes from
    source = Path(recipe.__file__).read_text()
    (settings,) = [node for node in ast.parse(source).body if getattr(node, "name", "") == kind.__name__]
    for field, after in itertools.pairwise(settings.body):
        if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation):
            assert isinstance(after, ast.Expr), ast.unparse(field)


def test_the_corridors_are_short_and_nothing_stands_in_three_of_them():
    """`run` is read aloud; a function whose body stands in three recipes belongs to a room."""
    bodies, lines = {}, 0
    for path in sorted(recipes.folder().glob("*.py")):
        lines += len(path.read_text().splitlines())
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                start = node.body[1:] if ast.get_docstring(node) else node.body
                bodies.setdefault("\n".join(ast.unparse(line) for line in start), set()).add(path.stem)
                assert node.name != "run" or node.end_lineno - node.lineno < 45, path.stem
    assert not {body: where for body, where in bodies.items() if len(where) > 2 and "lazy" not in body}
    # an average, for recipes become more: a total would be a reason to leave one out
    assert lines <= 180 * len(list(recipes.folder().glob("[!_]*.py")))


class Named(NamedTuple):
    """A recipe, or a setting of it."""

    name: str
    module: types.ModuleType
    config: Any


STEPS = {}
"""Of each recipe that was run: steps that its stages' optimizers have counted."""


def smoke(module, kind, tmp_path_factory):
    """The recipe's own smoke size; pictures on a foundation of ten layers: `test_multi_label` has the real one."""
    if module.__name__ != "kerastl.recipes.image_classifier":
        return kind.smoke()
    path = tmp_path_factory.mktemp("foundation") / "small.keras"
    toy.foundation().save(path)
    config = kind.smoke()  # weights as they begin answer all pictures nearly alike
    accept = dataclasses.replace(config.accept, min_agreement=0.0, max_quantization_drop=1.0)
    return dataclasses.replace(config, backbone=str(path), accept=accept)


@pytest.fixture(scope="module", params=NAMES)
def finished(request, tmp_path_factory):
    module, kind = named(request.param)
    recipe = Named(request.param, module, smoke(module, kind, tmp_path_factory))
    folder = tmp_path_factory.mktemp("runs") / "a run with spaces"
    fit, steps = kerastl.training.resume.fit, STEPS.setdefault(recipe.name, {})

    def counted(model, *arguments, workspace, **options):
        history = fit(model, *arguments, workspace=workspace, **options)
        steps[workspace.stage] = steps.get(workspace.stage, 0) + int(model.optimizer.iterations)
        return history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kerastl.training.resume, "fit", counted)
        report = module.run(recipe.config, folder)
    assert report["recipe"] == request.param
    return recipe, report, folder


def test_smoke(finished):
    recipe, report, folder = finished
    assert report == json.loads((folder / "report.json").read_text())
    data = getattr(kerastl.data, json.loads((folder / "config.json").read_text())["data"]["source"]).load(
        **json.loads((folder / "config.json").read_text())["data"]["arguments"]
    )
    assert data.digest == report["data"]["digest"]
    # whole classes that nothing learns from are measured on: the recipe divides what its source loads once more
    test = recipe.module.load(recipe.config).test if hasattr(recipe.config, "unseen") else data.test
    output = kerastl.open(folder).task.target.output_name
    for row in report["variants"]:
        content = (folder / row["file"]).read_bytes()
        assert len(content) == row["bytes"]
        # the score, counted by hand with a bare interpreter
        assert bare_score(content, test, output) == pytest.approx(row["score"], rel=1e-6), row["name"]
        assert row["ops"]["flex"] == 0
        if row["name"].endswith(("static_int8", "qat_int8")):
            assert row["ops"]["float"] == 0
            assert (row["input"]["dtype"], row["input"]["scale"], row["input"]["zero_point"]) == ("uint8", 1.0, 0)
    chosen = next(row for row in report["variants"] if row["name"] == report["chosen"])
    assert (folder / "mobile" / "model.tflite").read_bytes() == (folder / chosen["file"]).read_bytes()
    labels = (folder / "mobile" / "labels.txt").read_text().splitlines()
    assert labels == (["embedding"] if output == "embedding" else list(data.task.target.names))
    with zipfile.ZipFile(folder / "mobile" / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().splitlines() == labels
        assert ("vocab.txt" in archive.namelist()) == isinstance(data.task.inputs, Text)
    assert "<html" in (folder / "report.html").read_text()
    assert kerastl.cli.main(["verify", str(folder)]) == 0


def test_a_student_and_its_control_learn_for_as_many_steps(finished):
    recipe, report, _ = finished
    assert bool(report["control"]) == (recipe.name in CONTROLLED)
    if not report["control"]:
        return
    seeds, stated, steps = report["control"]["seeds"], report["control"]["steps"], STEPS[recipe.name]
    control = "student_without_teacher"
    one = {"student", control}  # what they are called where there is one seed alone
    stages = one if one <= set(steps) else {f"{arm}-{seed}" for seed in seeds for arm in ("distilled", control)}
    counted = {stage for stage in steps if stage.startswith(("distilled", control))} | stages
    assert {stage: steps[stage] for stage in counted} == dict.fromkeys(stages, stated)
    assert len(stages) == 2 * len(seeds)
    for arm in ("distilled", "alone"):
        assert len(report["control"][arm]) == len(seeds)


def test_the_float_models_are_the_files(finished):
    """`model.keras`, the SavedModel and the float32 file give the same probabilities, or numbers."""
    import tensorflow as tf

    _, _, folder = finished
    model = keras.saving.load_model(folder / "model.keras")
    (source,) = model.inputs
    ids = source.dtype == "int32"
    inputs = np.random.default_rng(0).integers(0, 5 if ids else 256, (8, *source.shape[1:])).astype(source.dtype)
    task = kerastl.open(folder).task
    target, sounds = task.target, isinstance(task.inputs, Waveform)
    numbers, answer = isinstance(target, Regression), target.output_name
    name = source.name if ids else "numbers" if numbers else "waveform" if sounds else "image"
    expected = model.predict(inputs, verbose=0)
    if isinstance(expected, dict):
        several(folder, inputs, expected, source=source.name if ids else "image")
        return
    scale = np.abs(expected).max() if numbers else 1
    if not numbers:
        whole = np.square(expected) if isinstance(target, Embedding) else expected
        np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-5)
    signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    np.testing.assert_allclose(signature(**{name: inputs})[answer], expected, atol=1e-5 * scale)
    interpreter = Interpreter(model_path=str(folder / "variants" / "float32.tflite"))
    runner = interpreter.get_signature_runner()
    fed = {name: inputs / np.float32(32768) if sounds else inputs}  # a phone's microphone gives numbers in -1..1
    if ids:
        fed = {"ids": inputs, "mask": (inputs != 0).astype(np.int32), "segment_ids": np.zeros_like(inputs)}
    singles = [{end: values[[row]] for end, values in fed.items()} for row in range(len(inputs))]
    answers = np.concatenate([runner(**single)[answer] for single in singles])
    np.testing.assert_allclose(answers, expected, atol=1e-4 * scale)


def several(folder, inputs, expected, *, source):
    """The answers of a model of several tasks, by their names, from SavedModel and TFLite file."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"](**{source: inputs})
    run, _ = answering((folder / "variants" / "float32.tflite").read_bytes())
    singles = [run(inputs[[row]]) for row in range(len(inputs))]
    assert signature.keys() == expected.keys() == singles[0].keys()
    for name, wanted in expected.items():
        scale = max(1, np.abs(wanted).max())
        np.testing.assert_allclose(signature[name], wanted, atol=1e-5 * scale)
        np.testing.assert_allclose(np.concatenate([one[name] for one in singles]), wanted, atol=1e-4 * scale)


def test_a_process_elsewhere_makes_the_same_files(finished, tmp_path):
    """Bitwise, of the same settings and seed: this process has run other tests before, that one is fresh."""
    recipe, _, folder = finished
    if recipe.name not in MADE_TWICE:
        return
    command = "import sys; from kerastl.cli import main; from kerastl.verify import benchmark; "
    command += "benchmark.LEAST_SECONDS = 0.01; benchmark.ROUNDS = 2; sys.exit(main())"
    elsewhere = tmp_path / "another folder/ünd/deeper"
    elsewhere.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", command, "run", recipe.name, "--smoke", "--out", str(elsewhere / "run")],
        cwd=elsewhere, env={**os.environ, **ELSEWHERE}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    made, again = (
        {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*.tflite")}
        for run in (folder, elsewhere / "run")
    )
    assert made.keys() == again.keys()
    assert len(made) >= MADE_TWICE[recipe.name]
    assert [name for name in made if made[name] != again[name]] == []


def test_the_same_command_again_reuses_every_stage(finished):
    recipe, report, folder = finished
    if recipe.name in ALIASES:  # the stages are those of the recipe that it is a setting of
        assert recipe.module.run is named(recipes.find(recipe.name).path.stem)[0].run
        if recipe.name not in WITHOUT_CONTROL:
            return
    if recipe.name in WITHOUT_CONTROL:
        again = recipe.module.run(dataclasses.replace(recipe.config, control=False), folder)
        names = [stage["name"] for stage in report["stages"]]
        before = [name for name in names if "without_teacher" not in name and not name.startswith("only_")]
        assert len(before) < len(names)
        assert [stage["name"] for stage in again["stages"]] == before
        assert all(stage["reused"] for stage in again["stages"])
        assert again["control"] is None
        assert "single_tasks" not in again
        assert {row["name"] for row in again["variants"]} <= {row["name"] for row in report["variants"]}
        assert kerastl.open(folder).verify() == ()
        return
    again = recipe.module.run(recipe.config, folder)
    assert all(stage["reused"] for stage in again["stages"])
    for before, after in zip(report["variants"], again["variants"], strict=True):
        assert (before["sha256"], before["score"]) == (after["sha256"], after["score"])
    assert again.get("control") == report.get("control")  # of students as they were, whatever was made of them since


def test_a_flipped_byte_anywhere_in_a_run_is_noticed(finished):
    """Of every file of every recipe, a text's vocabulary too; `runs/test_reverification.py` does it byte by byte."""
    folder, run = finished[2], kerastl.open(finished[2])
    assert reverification._files(run) == []
    paths = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size and path.name != "files.json"]
    contents = {path: path.read_bytes() for path in paths}
    for share in (0, 0.5, 1):
        for path, content in contents.items():
            place = int(share * (len(content) - 1))
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = reverification._files(run)
        for path in paths:
            assert any(str(path.relative_to(folder)) in words for words in found), path
        for path, content in contents.items():
            path.write_bytes(content)
    assert reverification._files(run) == []
    assert len(paths) > 15


def bare_score(content, split, output):
    """The share of right classes, or groups of the nearest; of numbers the mean absolute error in their unit."""
    if isinstance(split.labels, dict):
        return bare_mean(content, split)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source, *others), target = interpreter.get_input_details(), interpreter.get_output_details()[0]
    assert [other["name"] for other in others] in ([], ["mask", "segment_ids"])
    answers = []
    for example in split.inputs:
        if isinstance(split.task.inputs, Waveform):  # a file takes what a microphone gives
            example = example / np.float32(32768)
        interpreter.set_tensor(source["index"], example[None].astype(source["dtype"]))
        if others:
            interpreter.set_tensor(others[0]["index"], (example[None] != 0).astype(np.int32))
            interpreter.set_tensor(others[1]["index"], np.zeros_like(example[None]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"])[0])
    if isinstance(split.task.target, Regression):
        return np.abs(np.stack(answers).astype("float64") - split.labels.reshape(len(split), -1)).mean()
    if isinstance(split.task.target, Tagging):
        return bare_f1(np.argmax(answers, axis=-1), split)
    if output == "embedding":
        units = np.stack(answers).astype("float64")
        units = (units / np.linalg.norm(units, axis=-1, keepdims=True)).astype("float32")
        cosines = units @ units.T
        same = split.labels[:, None] == split.labels
        others = np.where(same, -np.inf, cosines).max(-1)
        np.fill_diagonal(same, False)
        own = np.where(same, cosines, -np.inf).max(-1)
        return (others <= own - 1e-6)[same.any(-1)].mean()  # who is alone cannot be found; what is as near comes last
    if split.labels.ndim == 3:  # a class a pixel
        return bare_iou(np.argmax(answers, axis=-1), split.labels)
    return (np.argmax(answers, axis=-1) == split.labels).mean()


def bare_iou(said, labels):
    """Intersection over union of each class that is there or said to be, and their mean."""
    shares = []
    for number in set(labels.ravel().tolist()) | set(said[labels != 255].tolist()):
        one, other = (said == number) & (labels != 255), labels == number
        shares.append((one & other).sum() / (one | other).sum())
    return np.mean(shares)


def bare_f1(tags, split):
    """F1 of whole spans of one kind, B followed by I, in the places that are asked."""
    found = []
    for table in (tags, split.labels):
        rows = ["".join("OBI"[tag] for tag in row[label >= 0]) for row, label in zip(table, split.labels, strict=True)]
        # what goes on with nothing begins a span
        whole = [(number, one.span()) for number, row in enumerate(rows) for one in re.finditer("[BI]I*", row)]
        found.append(set(whole))
    given, wanted = found
    return 2 * len(given & wanted) / (len(given) + len(wanted))


def bare_mean(content, split):
    """Of several tasks the mean of the share of right classes, and of 1 less the error in standard deviations."""
    run, ends = answering(content)
    answers, shares = [run(example[None]) for example in split.inputs], []
    for name, part in split.task.target.parts:
        given = np.concatenate([one[name] for one in answers])
        scale, zero_point = ends[name]["quantization"]
        given = scale * (given.astype("float64") - zero_point) if scale else given
        labels = np.asarray(split.labels[name])
        there = labels >= 0 if labels.dtype.kind == "i" else ~np.isnan(labels)
        if isinstance(part, Regression):
            errors = np.abs(given.astype("float64") - labels.reshape(len(split), -1)).mean(-1)
            shares.append(1 - errors[there].mean() / part.spread[0])
        else:
            shares.append((given.argmax(-1) == labels)[there].mean())
    return np.mean(shares)


def answering(content):
    """What a file answers to a batch of one, and what is known of its outputs, by their names."""
    runner = Interpreter(model_content=content).get_signature_runner()
    ends = runner.get_input_details()

    def run(example):
        if len(ends) == 1:
            return runner(**{name: example.astype(end["dtype"]) for name, end in ends.items()})
        return runner(ids=example, mask=(example != 0).astype(np.int32), segment_ids=np.zeros_like(example))

    return run, runner.get_output_details()


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("sentences") / "sentences.csv"
    words = {"good": "a fine, moving and funny film", "bad": "a dull, loud and hollow film"}
    rows = [f"{words[label]} of the year {1900 + year},{label}" for year in range(60) for label in words]
    path.write_text("\n".join(["text,label", *(row.replace(", ", " ") for row in rows)]) + "\n")
    return path


@pytest.fixture(scope="module")
def teacher(sentences, tmp_path_factory):
    """A finished run of text_classifier on a file of sentences."""
    recipe = importlib.import_module("kerastl.recipes.text_classifier")
    folder = tmp_path_factory.mktemp("teacher")
    recipe.run(
        dataclasses.replace(recipe.Config.smoke(), data=str(sentences), reading=TextReading(), accept=ANY), folder
    )
    return folder


def test_a_finished_text_classifier_teaches(sentences, teacher, tmp_path):
    recipe = importlib.import_module("kerastl.recipes.text_mobile")
    config = dataclasses.replace(
        recipe.Config.smoke(), data=str(sentences), reading=TextReading(), teacher=str(teacher)
    )
    report = recipe.run(dataclasses.replace(config, accept=ANY), tmp_path)
    stated = json.loads((teacher / "report.json").read_text())
    taught = next(row for row in stated["variants"] if row["name"] == "float32")
    assert report["control"]["teacher"]["score"] == pytest.approx(taught["float_score"])
    assert report["data"]["digest"] != stated["data"]["digest"], "other ids of the same texts"
    arguments = json.loads((teacher / "config.json").read_text())["data"]["arguments"]
    lessons = kerastl.data.text_csv.load(**arguments)
    kept = next((tmp_path / "stages").glob("teacher_logits-*"))
    answers = {split.name: split for split in kerastl.runs.stage_files.load(kept)}
    model = keras.saving.load_model(teacher / "model.keras")
    for name in ("train", "validation", "test"):
        split = getattr(lessons, name)
        expected = np.log(model.predict(split.inputs, verbose=0))
        logits = answers[name].inputs
        # logits are known up to a constant
        np.testing.assert_allclose(logits - logits[:, :1], expected - expected[:, :1], atol=1e-3)
        np.testing.assert_array_equal(answers[name].labels, split.labels)


def test_a_number_is_estimated_out_of_a_sentence(tmp_path):
    """The recipe's smoke size on stars that stand in the text, its probe beside it on an encoder of one embedding."""
    recipe = importlib.import_module("kerastl.recipes.text_classifier")
    path = tmp_path / "stars.csv"
    rows = [f"a film of {['no', 'few', 'some', 'many', 'all'][n % 5]} stars {n},{1 + n % 5}" for n in range(200)]
    path.write_text("\n".join(["text,stars", *rows]) + "\n")
    reading = TextReading(label_column="stars", task="regression", unit="stars")
    loose = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.5)
    tuned = FineTuning(epochs=6, batch_size=16, learning_rate=3e-3)
    changes = {"data": str(path), "reading": reading, "accept": loose, "sequence_length": 8, "fine_tune": tuned}
    report = recipe.run(dataclasses.replace(recipe.Config.smoke(), **changes), tmp_path / "run")
    assert (report["metric"], report["units"]) == ("mean absolute error", "stars")
    chosen = next(row for row in report["variants"] if row["name"] == report["chosen"])
    assert chosen["score"] < 0.6 < report["mean_baseline"]
    finished = kerastl.open(tmp_path / "run")
    assert finished.verify(progress=False) == ()
    assert isinstance(finished.task.target, Regression)
    (many, few) = finished.predict(["a film of all stars", "a film of no stars"])
    assert many["values"]["stars"] - few["values"]["stars"] > 2
    assert many["words"].endswith(" stars")


def test_pairs_of_sentences_are_told_apart(tmp_path):
    """Whether the second text names the colour of the first: the recipe's smoke size, its file asked about a table."""
    recipe = importlib.import_module("kerastl.recipes.text_classifier")
    draw, colours = np.random.default_rng(0), ["red", "green", "blue"]
    path = tmp_path / "pairs.csv"
    rows = []
    for n in range(240):
        one, other = draw.choice(colours, 2)
        rows.append(f"item {n} is {one},it is {other},{'same' if one == other else 'other'}")
    path.write_text("\n".join(["first,second,label", *rows]) + "\n")
    reading = TextReading(text_column="first", second_text_column="second")
    tuned = FineTuning(epochs=2, batch_size=16, learning_rate=1e-3)
    changes = {"data": str(path), "reading": reading, "accept": ANY, "sequence_length": 12, "fine_tune": tuned}
    recipe.run(dataclasses.replace(recipe.Config.smoke(), **changes), tmp_path / "run")
    finished = kerastl.open(tmp_path / "run")
    assert finished.verify(progress=False) == ()
    test = recipe.load(dataclasses.replace(recipe.Config.smoke(), **changes)).test
    assert finished.task.inputs == test.task.inputs
    given = finished.predict(str(path))
    assert len(given) == 240
    place = int(test.origins[0].rpartition(":")[2]) - 2
    assert given[place]["probabilities"] == finished.predict(test.inputs[:1])[0]["probabilities"]
    (typed,) = finished.predict("\t".join(rows[place].split(",")[:2]))
    assert typed["probabilities"] == given[place]["probabilities"]


def test_texts_of_an_embedding_are_groups_or_have_no_labels(sentences, tmp_path):
    recipe = importlib.import_module("kerastl.recipes.text_embedding")
    config = dataclasses.replace(recipe.Config.smoke(), data=str(sentences), reading=TextReading())
    found = recipe.load(config)
    assert found.task.target == Embedding(("bad", "good"))
    assert found.train.task.target == found.task.target
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(row.rpartition(",")[0] for row in sentences.read_text().splitlines()[1:]))
    config = dataclasses.replace(config, data=str(lines))
    with pytest.raises(ValueError, match="teach a new encoder nothing"):
        recipe.load(config)
    words = tmp_path / "vocab.txt"
    words.write_text("\n".join(found.task.inputs.vocabulary))
    bare = kerastl.data.unlabelled_texts.load(lines, sequence_length=16, vocabulary=words)
    made = recipe.build(config, bare)
    vectors = made.predict(bare.test.inputs, verbose=0)
    assert vectors.shape[1] == 64
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)


def test_few_labels_of_sentences_are_so_many_of_each_class(sentences):
    recipe = importlib.import_module("kerastl.recipes.text_classifier")
    config = dataclasses.replace(recipe.Config.smoke(), data=str(sentences), reading=TextReading(), labels=5)
    whole = recipe.load(config)
    few = recipe.draw_labels(config, whole)
    assert np.bincount(few.train.labels).tolist() == [5, 5]
    assert (len(few.validation), len(few.test), few.drawn_from) == (12, 12, len(whole.train))
    other = recipe.draw_labels(dataclasses.replace(config, seed=1), whole)
    assert not np.array_equal(few.train.inputs, other.train.inputs)
    several = dataclasses.replace(whole.task, target=kerastl.tasks.multi_label.MultiLabel(whole.task.target.names))
    with pytest.raises(ValueError, match=r"one class each. Received: texts of none or several classes in --labels"):
        recipe.draw_labels(config, dataclasses.replace(whole, task=several))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed 0 where the student has 1"),
        ({"reading": TextReading(test=0.2)}, "test 0.1 where the student has 0.2"),
        ({"reading": TextReading(max_train_examples=60)}, "limit None where the student has 60"),
        (
            {"data": "", "reading": TextReading(max_train_examples=60)},
            "source 'text_csv' where the student has 'movie_reviews'",
        ),
    ],
)
def test_a_teacher_of_another_split_is_refused(changes, words, sentences, teacher):
    recipe = importlib.import_module("kerastl.recipes.text_mobile")
    config = dataclasses.replace(
        recipe.Config.smoke(), data=str(sentences), reading=TextReading(), teacher=str(teacher)
    )
    config = dataclasses.replace(config, **changes)
    data = recipe.load(config, sequence_length=48, vocabulary=None, vocabulary_size=1000)
    with pytest.raises(ValueError, match=words):
        recipe.load_for_teacher(config, data)


def test_a_teacher_whose_texts_changed_is_refused(sentences, teacher, tmp_path):
    recipe = importlib.import_module("kerastl.recipes.text_mobile")
    config = dataclasses.replace(
        recipe.Config.smoke(), data=str(sentences), reading=TextReading(), teacher=str(tmp_path)
    )
    data = recipe.load(config, sequence_length=48, vocabulary=None, vocabulary_size=1000)
    with pytest.raises(FileNotFoundError, match=r"without config\.json, report\.json, model\.keras"):
        recipe.load_for_teacher(config, data)
    stated = json.loads((teacher / "config.json").read_text())
    stated["data"]["digest"] = "0" * 64
    for name in ("report.json", "model.keras"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(json.dumps(stated))
    with pytest.raises(ValueError, match=r"have to be as they were.* 0{64}; text_csv gives"):
        recipe.load_for_teacher(config, data)


def test_few_labels_are_so_many_of_each_class():
    recipe, kind = named("image_few_labels")
    config = kind(image_size=32)
    whole = recipe.load(config)
    few = recipe.draw_labels(config, whole)
    assert np.bincount(few.train.labels).tolist() == [10] * whole.task.target.outputs
    assert (len(few.validation), len(few.test)) == (len(whole.validation), len(whole.test))
    assert len(whole.train) > 4 * len(few.train)
    assert (few.drawn_from, whole.drawn_from) == (len(whole.train), None)


def test_students_are_as_small_as_is_asked():
    """A student of at most 40,000 parameters; the integer file of CIFAR-10 within MLPerf Tiny's reference."""
    for name in ("distil_logits", "distil_features", "distil_quantized", "distil_few_labels"):
        config = named(name)[1]()
        task = kerastl.data.fashion_mnist.TASK
        assert kerastl.models.resnet.build(task, widths=config.widths, stem_pool=2).count_params() <= 40_000
    config, task = named("cifar_mobile")[1](), kerastl.data.cifar10.TASK
    student = kerastl.models.resnet.build(task, widths=config.widths, blocks=config.blocks)
    pictures = np.random.default_rng(0).integers(0, 256, (20, *task.inputs.shape)).astype("uint8")
    integers = kerastl.export.tflite.convert(student, task, integer=True, calibration=pictures)
    whole = kerastl.export.metadata.add(integers, task, description="cifar10, quantization-aware training")
    assert len(whole) <= 98_496


@pytest.mark.parametrize("name", sorted({named(name)[0].__name__ for name in CONTROLLED}))
def test_a_student_that_is_better_alone_is_shipped(name):
    """Wherever a control is trained, validation chooses between it and the student that was taught."""
    source = inspect.getsource(importlib.import_module(name))
    students = 2 if "def compare_integers" in source else 1
    teachers = source.count(
        "best = kerastl.runs.best_on_validation(trained, texts.validation)"
    )  # a probe, or all of it
    assert source.count("kerastl.runs.best_on_validation(") == students + teachers
    assert source.count(".left_behind(") == students


@pytest.mark.parametrize("name", ["distil_logits", "cifar_mobile"])
def test_labels_of_mixed_pictures_are_refused(name):
    with pytest.raises(ValueError, match="A label says nothing of mixed pictures"):
        named(name)[1](mixup=1.0, teacher_weight=0.5)


@pytest.mark.parametrize("fading", [0.0, -0.5, 1.5])
def test_features_fade_within_the_training(fading):
    with pytest.raises(ValueError, match="--fading is a number above 0 and 1 or less"):
        settings.check(importlib.import_module("kerastl.recipes.distil_features").Config(fading=fading))


def test_features_lead_and_fade_while_labels_and_answers_stay():
    recipe = importlib.import_module("kerastl.recipes.distil_features")
    losses = recipe.distillation_losses(recipe.Config(hint=0.0), fade=10)
    assert list(losses) == ["labels", "answers", "attention", "similarity"]  # a weight of 0 leaves its term out
    weights = {
        step: [float(kerastl.distil.schedules.value_at(term.weight, step)) for term in losses.values()]
        for step in (0, 5, 10, 1000)
    }
    np.testing.assert_allclose(weights[0], [0.3, 0.7, 0.5, 3000], rtol=1e-6)
    np.testing.assert_allclose(weights[5], [0.3, 0.7, 0.25, 1500], rtol=1e-6)
    np.testing.assert_allclose([weights[10], weights[1000]], [[0.3, 0.7, 0, 0]] * 2, rtol=1e-6, atol=1e-9)


def test_integers_under_stored_answers_learn_from_batches_of_the_same_size():
    with pytest.raises(ValueError, match=r"Received: student.batch_size=128, quantize.batch_size=64"):
        named("distil_quantized")[1](quantize=Schedule(epochs=1, batch_size=64))


@pytest.mark.parametrize("name", ["distil_logits", "distil_quantized"])
def test_integer_files_are_compared_after_a_training_of_integers(name):
    with pytest.raises(ValueError, match=r"--quantize\.epochs is 1 or more\. Received: compare='integers', quantize"):
        named(name)[1](compare="integers", quantize=Schedule(epochs=0))


def test_the_integers_of_a_student_are_compared_under_the_name_that_they_had():
    module, kind = named("distil_quantized")
    config = kind()
    assert module.__name__ == "kerastl.recipes.distil_logits"
    assert (kind.name, config.data, config.compare) == ("distil_quantized", "fashion_mnist", "integers")
    assert (config.seeds, config.teachers, config.cached_views) == (3, 5, 8)
    assert (config.quantize, config.student.epochs) == (Schedule(12, 128, 1e-3), 90)
    assert (config.temperature, config.teacher_weight, config.mixup) == (2.0, 0.7, 0.0)
    assert config.accept == Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.94)
