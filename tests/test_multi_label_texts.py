"""Texts that have none, one or several classes: the whole chain, from a file to what `kerastl predict` prints."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest

import kerastl
from kerastl import cli, verify
from kerastl.cli import running
from kerastl.data.reading import TextReading
from kerastl.export import metadata, tflite
from kerastl.inputs import wordpiece
from kerastl.recipes import text_classifier, text_mobile
from kerastl.runs import FineTuning, publishing, recipes, store
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, transfer

NAMES = ("goal", "rain", "vote")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """320 texts, each of the words that say its classes and of others; beside them the same as JSON lines."""
    folder, generator = tmp_path_factory.mktemp("news"), np.random.default_rng(0)
    lines, objects = ["text,label"], []
    for number in range(320):
        having = [name for name in NAMES if generator.random() < 0.4]
        words = [*(f"{name}s" for name in having), *generator.choice(["and", "the", "of", "many", "few"], 4)]
        text = f"{' '.join(generator.permutation(words))} {number}"
        lines.append(f"{text},{'|'.join(having)}")
        objects.append(json.dumps({"text": text, "label": having}))
    (folder / "news.csv").write_text("\n".join(lines))
    (folder / "news.jsonl").write_text("\n".join(objects))
    return folder / "news.csv"


@pytest.fixture(scope="module")
def config(table):
    tune = FineTuning(epochs=10, learning_rate=3e-3, batch_size=16)
    reading = TextReading(label_separator="|")
    small = dataclasses.replace(text_classifier.Config.smoke(), sequence_length=16, fine_tune=tune)
    return dataclasses.replace(small, data=str(table), reading=reading)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, text_classifier.run(config, folder), text_classifier.load(config)


def test_the_report_states_what_a_count_by_hand_gives(finished):
    folder, result, data = finished
    assert result["metric"] == "exact match"
    assert result["data"]["digest"] == data.digest
    chosen = next(row for row in result["variants"] if row["name"] == result["chosen"])
    answers = verify.predict_tflite(folder / chosen["file"], data.test.inputs, kind=data.task.inputs)
    assert (answers.sum(-1) > 1.5).any(), "several classes at once, which no softmax says"
    said, labels = answers >= 0.5, data.test.labels.astype(bool)
    right = [all(a == b for a, b in zip(one, other, strict=True)) for one, other in zip(said, labels, strict=True)]
    assert chosen["score"] == sum(right) / len(right) > 0.8
    assert [row["name"] for row in result["by_class"]] == list(NAMES)
    for index, row in enumerate(result["by_class"]):
        hits = sum(bool(a and b) for a, b in zip(said[:, index], labels[:, index], strict=True))
        assert row["examples"] == labels[:, index].sum()
        assert row["recall"] == pytest.approx(hits / labels[:, index].sum())
        assert row["precision"] == pytest.approx(hits / said[:, index].sum())
    page = (folder / "report.html").read_text()
    for words in ("Test exact match", "Macro F1", "mean average precision", "Average precision"):
        assert words in page


def test_the_file_answers_with_a_sigmoid_of_the_models_logits(finished):
    folder, _, data = finished
    stage = next((folder / "stages").glob("fine_tuned-*"))
    logits = fitting.predict(fitting.load(stage).model, data.test.inputs).astype(np.float64)
    for name, allowed in {"float32": 1e-5, "float16": 1e-2, "dynamic_int8": 0.1}.items():
        file = folder / "variants" / f"{name}.tflite"
        answers = verify.predict_tflite(file, data.test.inputs, kind=data.task.inputs)
        assert np.abs(answers - 1 / (1 + np.exp(-logits))).max() < allowed, name
    content = (folder / "mobile" / "model.tflite").read_bytes()
    assert metadata.read(content)["output"]["score_threshold"] == 0.5
    assert metadata.read(content)["class_names"] == list(NAMES)


def test_verify_measures_the_run_again(finished):
    assert cli.main(["verify", str(finished[0])]) == 0


def asked(folder, sentence, task):
    """What the bundle's file says, by its own vocabulary."""
    ids = wordpiece.Tokenizer.from_file(folder / "mobile" / "vocab.txt").encode(sentence, 16)
    ids = np.asarray([ids], np.int32)
    return verify.predict_tflite(folder / "mobile" / "model.tflite", ids, kind=task.inputs)[0]


def test_predict_prints_every_class_at_half_or_more(finished, capsys):
    folder = finished[0]
    sentences = ["many goals and rains", "the few", "votes of the many", "goals rains votes"]
    assert cli.main(["predict", str(folder), *sentences, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    for sentence, answer in zip(sentences, answers, strict=True):
        row = asked(folder, sentence, finished[2].task)
        assert answer["labels"] == [name for name, p in zip(NAMES, row, strict=True) if p >= 0.5]
        assert answer["labels"] == [name for name in NAMES if f"{name}s" in sentence]
        assert "label" not in answer
    assert cli.main(["predict", str(folder), "the few"]) == 0
    assert capsys.readouterr().out.startswith("the few: none (then ")


def test_the_snippet_of_the_bundle_names_the_classes_at_half_or_more(finished):
    bundle = finished[0] / "mobile"
    page = (bundle / "README.md").read_text()
    assert "A text may\nhave none of these classes, one or several: those with a probability of 0.5 or more" in page
    assert "argmax" not in page
    assert "categories()[0]" not in page, "of none there is no first"
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1].replace("a sentence of yours", "the goals and votes")
    done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True, check=True)
    assert done.stdout == "['goal', 'vote']\n"


def test_lists_in_json_lines_are_the_same_texts(config, table, finished):
    lists = dataclasses.replace(config, data=str(table.with_suffix(".jsonl")), reading=TextReading())
    assert text_classifier.load(lists).digest == finished[2].digest
    with pytest.raises(ValueError, match="in a file of your own"):
        text_classifier.load(dataclasses.replace(config, data=""))


def test_advise_counts_each_class_and_prints_a_command_that_parses(table, capsys):
    assert cli.main(["advise", str(table), "--label-separator", "|", "--megabytes", "1"]) == 0
    command, amount, *_ = capsys.readouterr().out.splitlines()
    recipe = recipes.load(recipes.find("text_classifier"))
    words = shlex.split(command)
    parsed = running.parse(recipe, recipe.Config(), words[3:], given="text_classifier")
    assert (parsed.data, parsed.reading.label_separator, parsed.encoder) == (str(table), "|", "small")
    each = sorted(sum(name in line.split(",")[1] for line in table.read_text().splitlines()[1:]) for name in NAMES)
    assert f"320 texts of none, one or several of 3 classes, {each[0]} to {each[-1]} each." in amount


@pytest.mark.parametrize("teacher", [False, True])
def test_distillation_refuses_them_before_any_training(config, table, finished, teacher, tmp_path):
    """Of lists no flag says so; a teacher that learnt them cannot be compared with a student of one class a text."""
    data = table.with_suffix(".jsonl")
    if teacher:
        data = tmp_path / "one.csv"
        rows = [f"{' '.join(NAMES)} {n},{'|'.join(NAMES[: n % 3])}x" for n in range(60)]
        data.write_text("\n".join(["text,label", *rows]))
    student = dataclasses.replace(text_mobile.Config.smoke(), reading=TextReading(), data=str(data))
    student = dataclasses.replace(student, teacher=str(finished[0]) if teacher else "")
    with pytest.raises(ValueError, match=r"one class each. Received: texts of none or several classes in"):
        text_mobile.run(student, tmp_path / "run")
    assert not list((tmp_path / "run").glob("stages/*"))


class Enough(BaseException):
    """Ends a run behind its training: of its files nothing is asked."""


def test_the_recipe_weighs_what_is_rare(config, finished, tmp_path, monkeypatch):
    """The loss that is stored with the stage has the training texts' negatives / positives."""

    def no_files(*_: object, **__: object):
        raise Enough

    monkeypatch.setattr(kerastl.runs, "post_training", no_files)
    short = dataclasses.replace(config, balanced=True, fine_tune=FineTuning(epochs=1, batch_size=16))
    with pytest.raises(Enough):
        text_classifier.run(short, tmp_path / "run")
    stage = next((tmp_path / "run" / "stages").glob("fine_tuned-*"))
    custom = {"LayerwiseAdamW": transfer.LayerwiseAdamW}
    model = keras.saving.load_model(stage / "model.keras", custom_objects=custom)
    having = finished[2].train.labels.astype(int).sum(0)
    assert model.loss.weights == pytest.approx((len(finished[2].train) - having) / having)


def test_a_softmax_in_place_of_the_sigmoid_is_not_published(config, finished, tmp_path):
    """What is shipped when a recipe converts for another task than its data's."""
    folder, _, data = finished
    model = fitting.load(next((folder / "stages").glob("fine_tuned-*"))).model
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=config, needed_bytes=1) as run:
        run.use_dataset(data)
        one_label = dataclasses.replace(data.task, target=SingleLabel(NAMES))
        wrong = publishing.Candidate("float32", "float32", tflite.convert(model, one_label), model)
        with pytest.raises(verify.VerificationError):
            publishing.publish(run, data, model=model, candidates=[wrong])
        assert not (run.folder / "mobile").exists()
