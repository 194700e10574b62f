"""A finished run as an object: what it made, how good it is, what its file answers."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_run
from PIL import Image

import kerastl
from kerastl import cli, types
from kerastl.export import metadata
from kerastl.inputs import wordpiece
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.runs import finished as finished_runs
from kerastl.types import Task


def expected(pictures: np.ndarray) -> np.ndarray:
    """The file of `toy_run` in NumPy."""
    logits = 0.02 * pictures.reshape(-1, 4, 4).astype(np.float64)[:, :3].sum(-1)
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


def test_a_run_says_what_it_made(finished):
    run = kerastl.open(finished)
    assert repr(run) == f"FinishedRun({str(finished)!r})"
    assert run.file == finished / "mobile" / "model.tflite"
    assert run.task == toy_run.TASK
    assert run.labels == ("first", "second", "third")
    (row,) = run.report["variants"]
    assert (run.score.value, run.score.low, run.score.high) == (row["score"], row["score_low"], row["score_high"])
    assert run.score.count == 40
    assert run.config["data"]["source"] == "toy"
    with pytest.raises(FileNotFoundError, match=r"holds no model\.keras"):
        _ = run.model


def test_a_table_of_its_files_for_a_notebook_and_a_terminal(finished, capsys):
    run = kerastl.open(finished)
    page = run._repr_html_()
    assert page.count("<tr") == 2
    assert '<tr style="font-weight:bold"><td>float32</td>' in page
    assert f"<td>{100 * run.score.value:.2f} %</td>" in page
    assert "<p>ms: processor time on one thread of " in page
    toy_run.restate(finished, "report.json", lambda report: report.update(why="<script>"))
    assert "<p>&lt;script&gt;</p>" in kerastl.open(finished)._repr_html_()
    run.show()
    assert "float32 *" in capsys.readouterr().out


def test_pictures_files_and_arrays_are_answered(finished, here):
    pictures = toy_run.load().test.inputs[:3]
    Image.fromarray(pictures[1, ..., 0]).save("second.png")
    np.save("batch.npy", pictures)
    run = kerastl.open(finished)
    answers = run.predict(["second.png", here / "batch.npy"])
    batch = [f"{here / 'batch.npy'}[{place}]" for place in range(3)]
    assert [answer["input"] for answer in answers] == ["second.png", *batch]
    assert [answer["label"] for answer in answers] == ["second", "first", "second", "third"]
    for answer, row in zip(answers, expected(pictures[[1, 0, 1, 2]]), strict=True):
        assert list(answer["probabilities"]) == ["first", "second", "third"]
        np.testing.assert_allclose(list(answer["probabilities"].values()), row, atol=1e-6)
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["words"].startswith(f"{answer['label']} {answer['probability']:.1%} (then ")
    assert [one["input"] for one in run.predict("second.png")] == ["second.png"]
    given = run.predict(pictures)
    assert [one["input"] for one in given] == ["array[0]", "array[1]", "array[2]"]
    assert [one["label"] for one in given] == ["first", "second", "third"]
    assert run.predict(pictures[0])[0]["input"] == "array"
    assert run.predict([pictures[0], "second.png"])[1]["label"] == "second"


def test_a_run_of_one_input_takes_a_mapping_of_it(finished):
    run, pictures = kerastl.open(finished), toy_run.load().test.inputs[:2]
    assert run.predict({"image": pictures}) == run.predict(pictures)
    for strange in ({"image": pictures, "more": pictures}, {}, {"image": [1, 2]}):
        with pytest.raises(ValueError, match="takes one input, image: an array under that name"):
            run.predict(strange)


def test_answers_in_numbers(finished):
    run, pictures = kerastl.open(finished), toy_run.load().test.inputs[:5]
    np.testing.assert_allclose(run.answers(pictures), expected(pictures), atol=1e-6)
    np.testing.assert_array_equal(run.answers(pictures[..., 0]), run.answers(pictures))  # stored without the channel
    np.testing.assert_array_equal(run.answers(pictures[2, ..., 0]), run.answers(pictures[2:3]))
    np.testing.assert_array_equal(run.answers(pictures, variant="float32"), run.answers(pictures))
    with pytest.raises(ValueError, match=r"There is no variant 'int8' in .*\. Available: float32"):
        run.answers(pictures, variant="int8")
    with pytest.raises(ValueError, match=r"Wanted inputs \(examples, 4, 4, 1\)"):
        run.answers(pictures[:, :3])
    with pytest.raises(FileNotFoundError, match=r"no input file .*nothing\.png"):
        run.predict("nothing.png")


def test_a_bundle_alone_is_asked_like_its_run(finished, here):
    shutil.copytree(finished / "mobile", here / "alone")
    pictures = toy_run.load().test.inputs[:4]
    for folder in (finished / "mobile", here / "alone"):
        run = kerastl.open(folder)
        np.testing.assert_array_equal(run.answers(pictures), kerastl.open(finished).answers(pictures))
        assert run.labels == ("first", "second", "third")
        for what in ("report", "config"):
            with pytest.raises(FileNotFoundError, match=f"holds no finished run: {what}.json is missing"):
                getattr(run, what)
    (here / "nothing").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no bundle: mobile/model\.tflite is missing\. Has the run"):
        kerastl.open(here / "nothing")
    with pytest.raises(FileNotFoundError, match=rf"is missing\. Runs inside: {re.escape(str(finished))}\."):
        kerastl.open(finished.parent)
    with pytest.raises(FileNotFoundError, match=r"^There is no folder .*nowhere\.$"):
        kerastl.open(here / "nowhere")


def test_a_file_that_is_none_is_said_in_words(finished):
    (finished / "mobile" / "model.tflite").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"no TFLite file|cannot be read"):
        _ = kerastl.open(finished).task


def test_a_file_that_answers_otherwise_than_it_says(finished):
    task = Task("toy", toy_run.TASK.inputs, type(toy_run.TASK.target)(("first", "second", "third", "fourth")))
    model = finished / "mobile" / "model.tflite"
    wrong = metadata.add(toy_run.written_file(), toy_run.TASK, description="toy")
    labels = b"first\nsecond\nthird\n"
    assert wrong.count(labels) == 1
    model.write_bytes(wrong.replace(labels, b"firstsecond\nthird\n"))  # as long, one name less
    with pytest.raises(ValueError, match=r"labels\.txt names 2 outputs, and the model answers \(3,\)|cannot be read"):
        kerastl.open(finished).predict(toy_run.load().test.inputs[:1])
    assert task.target.outputs == 4


def test_json_of_anybody(tmp_path):
    path = tmp_path / "report.json"
    for content, words in (
        ("[]", "Wanted an object of JSON. Received: .* a list"),
        ("{", "is no JSON"),
        ("[" * 100_000, "nested too deep|is no JSON"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=words):
            finished_runs.read_json(path)
    path.write_text(json.dumps({"a": 1}))
    assert finished_runs.read_json(path) == {"a": 1}


@pytest.fixture
def texts(tiny_text, tmp_path):
    """A bundle of texts, whose tokenizer would leave a trace."""
    folder = tmp_path / "run" / "mobile"
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(metadata.add(tiny_text.float32, tiny_text.task, description="toy"))
    (folder / "tokenizer.py").write_text("open('it-ran', 'w').write('')\n")
    return folder.parent


def test_sentences_are_answered(texts, tiny_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good, bad = kerastl.open(texts).predict(["A GOOD film!", "the bad films"])
    assert (good["input"], good["label"], bad["label"]) == ("A GOOD film!", "good", "bad")
    ids = np.asarray([wordpiece.Tokenizer(tiny_text.vocabulary).encode("A GOOD film!", 8)], np.int32)
    logits = np.asarray(tiny_text.model(ids))[0].astype(np.float64)
    np.testing.assert_allclose(list(good["probabilities"].values()), np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    np.save("ids.npy", ids)
    assert kerastl.open(texts).predict("ids.npy")[0]["label"] == "good"
    assert not (tmp_path / "it-ran").exists(), "somebody's tokenizer is never run"


def test_a_path_is_never_a_sentence_and_a_name_that_is_typed_is_one(texts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").write_text("a good film\n\n- the bad films\n")
    (tmp_path / "films").mkdir()
    run, problems = kerastl.open(texts), {}
    assert [one["input"] for one in run.predict(["good", "films"])] == ["good", "films"], "words, from Python"
    assert run.predict([Path("good"), Path("gone.npy"), "good film"], problems=problems)[0]["input"] == "good film"
    assert list(problems) == ["good", "gone.npy"]
    assert "the name of a file, good" in problems["good"]
    with pytest.raises(ValueError, match="the name of a folder, films"):
        run.predict(Path("films"))
    assert cli.main(["predict", str(texts), "good", "films", "gone.txt", "a good film"]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.count("Wanted a sentence") == 3
    assert "There is no file gone.txt" in said.err


def test_a_table_and_a_text_file_are_answered_row_by_row(texts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text("stars,said\n5,a good film\n1,\n1,the bad films\n")
    (tmp_path / "texts.txt").write_text("a good film\nthe bad films\n")
    assert cli.main(["predict", str(texts), "reviews.csv", "texts.txt", "--column", "said"]) == 1
    said = capsys.readouterr()
    assert [line.partition(" ")[0] for line in said.out.splitlines()] == [
        "reviews.csv:2:", "reviews.csv:4:", "texts.txt:1:", "texts.txt:2:",
    ]  # fmt: skip
    assert said.err == "kerastl: reviews.csv, line 3: Wanted a sentence. Received: an empty text.\n"
    run = kerastl.open(texts)
    (texts / "config.json").write_text(json.dumps({"data": {"arguments": {"text_column": "said"}}}))
    assert [one["label"] for one in run.predict(Path("texts.txt"))] == ["good", "bad"]
    (tmp_path / "more.csv").write_text("said,text\na good film,x\n")
    (row,) = run.predict("more.csv")
    assert row == {**run.predict("a good film")[0], "input": "more.csv:2"}, "the column that the run learned from"
    with pytest.raises(ValueError, match="line 3: Wanted a sentence"):
        run.predict("reviews.csv")


def test_arrays_of_impossible_categories_are_refused(finished):
    run = kerastl.open(finished)
    rows = np.array([[3, 1, 0], [4, 0, 1]], np.float32)
    kind = Numbers.of(rows, columns=("hour", "sky=clear", "sky=mist"))
    for inputs, given in ((kind, rows), (Named((("row", kind),)), {"row": rows})):
        run.task = Task("weather", inputs, toy_run.TASK.target)
        with pytest.raises(ValueError, match=r"Wanted sky to be one of clear, mist.* clear 0.5, mist 0 in the array"):
            run.predict(types.each(lambda part: part * [1, 0.5, 0], given))


def test_lines_of_standard_input_are_inputs(texts, finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").write_text("")
    monkeypatch.setattr("sys.stdin", io.StringIO("good\n\n- the bad films\n-\n"))
    assert cli.main(["predict", str(texts), "-"]) == 0
    names = [line.rpartition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["good", "- the bad films", "-"], "a sentence each, also where a file has its name"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("a b.png")
    monkeypatch.setattr("sys.stdin", io.StringIO("a b.png\ngone.png\n"))
    assert cli.main(["predict", str(finished), "a b.png", "-"]) == 1
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["a b.png", "a b.png"]
    assert "gone.png" in said.err
    assert cli.main(["predict", str(finished), "-"]) == 1
    assert "no line, or blank ones alone" in capsys.readouterr().err


def test_rows_may_begin_with_a_negative_number(monkeypatch, finished):
    given = []
    monkeypatch.setattr(finished_runs.FinishedRun, "each_answer", lambda run, inputs, **_: given.extend(inputs) or [])
    assert cli.main(["predict", str(finished), "-5,1,2", "-.5", "--json", "-1e3,2", "--", "-7"]) == 0
    assert given == ["-5,1,2", "-.5", "-1e3,2", "-7"]
    with pytest.raises(SystemExit):
        cli.main(["predict", str(finished), "-x"])


def test_an_empty_text_is_not_answered(texts):
    problems = {}
    answers = kerastl.open(texts).predict(["", "good", " \t"], problems=problems)
    assert [one["input"] for one in answers] == ["good"]
    assert problems == dict.fromkeys(["", " \t"], "Wanted a sentence. Received: an empty text.")


@pytest.mark.parametrize("sentence", ["\x00\x07", "👍🏽 好 é", "good " * 100_000, "[SEP][CLS]", "\udcff"])
def test_any_sentence_is_answered(texts, sentence):
    (answer,) = kerastl.open(texts).predict(sentence)
    assert answer["input"] == (sentence if len(sentence) <= 300 else f"{sentence[:297]}...")


def test_a_folder_is_its_pictures_and_what_cannot_be_read_is_said(finished, here, capsys):
    pictures = toy_run.load().test.inputs[:2, ..., 0]
    (here / "new" / ".hidden").mkdir(parents=True)
    (here / "empty").mkdir()
    for place in ("a.png", "inside.png", ".hidden/c.png"):
        Image.fromarray(pictures[0]).save(here / "new" / place)
    np.savez(here / "new" / "z.npz", inputs=pictures, labels=np.zeros(2))
    whole = (here / "new" / "a.png").read_bytes()
    (here / "new" / "broken.png").write_bytes(whole[: len(whole) // 2])
    run, problems = kerastl.open(finished), {}
    answers = run.predict(["new", "gone.png"], problems=problems)
    assert [one["input"] for one in answers] == ["new/a.png", "new/inside.png", "new/z.npz[0]", "new/z.npz[1]"]
    assert list(problems) == ["new/broken.png", "gone.png"]
    with pytest.raises(ValueError, match=r"broken.png is no picture that can be read"):
        run.predict("new")
    with pytest.raises(ValueError, match="Received: empty, which holds none"):
        run.predict("empty")
    assert [one["input"] for one in run.predict("new/[az]*.*")] == ["new/a.png", "new/z.npz[0]", "new/z.npz[1]"]
    with pytest.raises(ValueError, match=r"Wanted a pattern of files. Received: new/\*.gif, which holds none"):
        run.predict("new/*.gif")
    assert cli.main(["predict", str(finished), "new", "empty"]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert "broken.png is no picture" in printed.err
