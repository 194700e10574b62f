"""A finished run as a teacher: its data loaded again, refused where its student would be measured on it."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest

from kerastl.data import arrays, text_csv
from kerastl.inputs.numbers import Numbers
from kerastl.runs import store, teachers
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Task

WORDS = {"vocabulary": None, "vocabulary_size": 200}


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def finished(folder, data):
    """A run that learnt from this data, as far as a student looks."""
    with store.Run(folder, recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(data)
    (folder / "report.json").write_text("{}")
    vector = keras.Input((4,))
    logits = keras.layers.Dense(2, name="logits")(vector)
    fitting.save_model(keras.Model(vector, keras.layers.Softmax()(logits)), folder / "model.keras")
    return folder


@pytest.fixture
def sentences(tmp_path):
    rows = [f"a {'good' if n % 2 else 'bad'} film {n},{'good' if n % 2 else 'bad'}" for n in range(80)]
    (tmp_path / "films.csv").write_text("\n".join(["text,label", *rows]))
    return tmp_path / "films.csv"


@pytest.fixture
def teacher(sentences, tmp_path):
    return finished(tmp_path / "teacher", text_csv.load(sentences, sequence_length=16, **WORDS))


def test_the_same_examples_as_the_teacher_reads_them(sentences, teacher):
    student = text_csv.load(sentences, sequence_length=8, vocabulary=None, vocabulary_size=90)
    data = teachers.load_data(teacher, student=student)
    assert data.task.inputs.shape == (16,)
    assert data.digest == json.loads((teacher / "config.json").read_text())["data"]["digest"] != student.digest
    for one, other in ((data.train, student.train), (data.validation, student.validation), (data.test, student.test)):
        np.testing.assert_array_equal(one.origins, other.origins)
        np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "seed 0 where the student has 1"),
        ({"validation": 10, "limit": 40}, r"limit None where the student has 40, validation 0\.15 where"),
        ({"class_names": ["good", "bad"]}, r"class_names \['bad', 'good'\] where the student has \['good', 'bad'\]"),
    ],
)
def test_another_split_is_refused(changed, words, sentences, teacher):
    student = text_csv.load(sentences, sequence_length=8, **WORDS, **changed)
    with pytest.raises(ValueError, match=rf"learn from the same examples.*Received: .*teacher, with {words}"):
        teachers.load_data(teacher, student=student)


def test_another_file_is_refused(sentences, teacher, tmp_path):
    other = tmp_path / "other" / "films.csv"
    other.parent.mkdir()
    other.write_text(sentences.read_text().replace("film 7,", "film 700,"))
    student = text_csv.load(other, sequence_length=8, **WORDS)
    with pytest.raises(ValueError, match=r"with path '.*films\.csv' where the student has '.*other/films\.csv'"):
        teachers.load_data(teacher, student=student)


def test_data_that_changed_since_is_refused(sentences, teacher):
    sentences.write_text(sentences.read_text().replace("film 7,", "film 700,"))
    student = text_csv.load(sentences, sequence_length=8, **WORDS)
    with pytest.raises(ValueError, match=r"have to be as they were\. .*teacher, which .* text_csv gives .* today"):
        teachers.load_data(teacher, student=student)


def test_what_is_no_finished_run_is_refused(sentences, teacher):
    student = text_csv.load(sentences, sequence_length=8, **WORDS)
    for name in ("model.keras", "report.json"):
        (teacher / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"is a finished run\. .*teacher without report\.json, model\.keras"):
        teachers.load_data(teacher, student=student)


def test_a_teacher_of_several_classes_an_example_is_refused(sentences, tmp_path):
    lines = [json.dumps({"text": f"film {n}", "label": ["good", "bad"][: n % 3]}) for n in range(60)]
    (tmp_path / "sets.jsonl").write_text("\n".join(lines))
    sets = text_csv.load(tmp_path / "sets.jsonl", sequence_length=16, **WORDS)
    teacher = finished(tmp_path / "teacher", sets)
    student = text_csv.load(sentences, sequence_length=8, **WORDS)
    with pytest.raises(ValueError, match=r"Wanted texts of one class each\. Received: .* several classes in .*teacher"):
        teachers.load_data(teacher, student=student)
    assert teachers.load_data(teacher, student=sets).digest == sets.digest, "a student that is asked the same may learn"


def test_sources_that_do_not_say_what_they_held_are_told_by_their_digests(tmp_path):
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", x=generator.normal(size=(80, 4)), y=np.arange(80) % 2)
    one, same, other = (arrays.load(tmp_path / "set.npz", seed=seed) for seed in (0, 0, 1))
    assert one.origin == ""
    teachers.check_same_split(one, student=same, where="here")
    with pytest.raises(ValueError, match="Received: here, with seed 0 where the student has 1"):
        teachers.check_same_split(one, student=other, where="here")
    digest = dataclasses.replace(same, digest="0" * 64)
    with pytest.raises(ValueError, match="with other examples in the file"):
        teachers.check_same_split(one, student=digest, where="here")


def test_the_model_answers_in_logits(teacher):
    task = Task("toy", Numbers((4,)), SingleLabel(("bad", "good")))
    trained = teachers.load_model(teacher, task=task, stage="teacher")
    assert (trained.curves.stage, trained.curves.values) == ("teacher", {})
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    logits = np.asarray(trained.model(rows))
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    np.testing.assert_allclose(
        powers / powers.sum(-1, keepdims=True), fitting.load_model(teacher / "model.keras")(rows), rtol=1e-5
    )
    assert abs(logits.sum(-1) - 1).max() > 1e-3


def test_a_model_that_may_be_anybodys_is_looked_at_first(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK" + bytes(100))
    with pytest.raises(ValueError, match=r"model\.keras is not opened"):
        teachers.load_model(tmp_path, task=Task("toy", Numbers((2,)), SingleLabel(("a", "b"))), stage="teacher")
