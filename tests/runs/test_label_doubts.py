"""`kerastl audit --model RUN` finds the wrong labels of pictures and of sentences: findings, a table, a page."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import re
import shutil

import numpy as np
import pytest
import toy_run
from PIL import Image

import kerastl
from kerastl import cli
from kerastl.export import metadata
from kerastl.runs import label_doubts
from kerastl.tasks.single_label import SingleLabel

NAMES = toy_run.TASK.target.names


@pytest.fixture
def pictures(here):
    """A folder a class, by what the toy's file answers; one picture lies in the wrong one, one is broken."""
    inputs = np.asarray(toy_run.load().test.inputs)
    sums = inputs[:, :3, :, 0].sum(-1, dtype=int)
    answers, sure = sums.argmax(-1), int(sums.max(-1).argmax())
    for row, (picture, answer) in enumerate(zip(inputs, answers, strict=True)):
        name = NAMES[(answer + (row == sure)) % 3]
        (here / "set" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(here / "set" / name / f"{row}.png")
    return here / "set", f"{NAMES[(answers[sure] + 1) % 3]}/{sure}.png", NAMES[answers[sure]]


def test_the_wrong_label_of_a_picture_is_found_and_shown(finished, pictures, capsys):
    folder, wrong, right = pictures
    (folder / "first" / "broken.png").write_bytes(b"no picture")
    page = folder.parent / "doubts.html"
    words = ["audit", str(folder), "--quick", "--model", str(finished), "--page", str(page), "--json"]
    assert cli.main(words) == 1, "of the broken picture"
    (found,) = [row for row in json.loads(capsys.readouterr().out) if "looks wrong" in row["what"]]
    assert found["severity"] == "warning"
    assert f"1 label looks wrong: {wrong} = {wrong.split('/')[0]} ({right} " in found["what"]
    with page.with_suffix(".csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == label_doubts.COLUMNS
    assert (row["where"], row["label"], row["answer"]) == (wrong, wrong.split("/")[0], right)
    (run,) = kerastl.open(finished).predict(str(folder / wrong))
    assert float(row["probability_of_answer"]) == pytest.approx(run["probability"], abs=1e-5)
    assert float(row["probability_of_label"]) == pytest.approx(run["probabilities"][row["label"]], abs=1e-5)
    content = page.read_text()
    assert content.count("<article") == content.count("data:image/png;base64,") == 1
    assert f'data-where="{wrong}"' in content
    assert not re.search(r"(src|href)=.https?:", content), "the page needs nobody"


def test_classes_that_the_run_does_not_know_are_named_with_near_ones(finished, pictures):
    folder, wrong, _ = pictures
    (folder / "third").rename(folder / "thirds")
    found = label_doubts.find(folder, kerastl.open(finished))
    (unknown, *doubts) = found.findings()
    assert re.search(r"no class 'thirds' \(\d+\) Did you mean third", unknown.what)
    assert [one.example.where for one in found.found] == ([] if wrong.startswith("third") else [wrong])
    assert len(doubts) == len(found.found)
    assert found.looked + sum(found.unknown.values()) == 40


def test_archives_are_read_as_everywhere(finished, pictures, here, cache):
    folder, wrong, _ = pictures
    path = shutil.make_archive(str(here / "packed"), "zip", folder)
    (found,) = label_doubts.find(path, kerastl.open(finished)).found
    assert found.example.where.endswith(wrong)


@pytest.fixture
def reader(tiny_text, here):
    folder = here / "texts" / "mobile"
    folder.mkdir(parents=True)
    task = dataclasses.replace(tiny_text.task, target=SingleLabel(("bad", "good")))
    (folder / "model.tflite").write_bytes(metadata.add(tiny_text.float32, task, description="toy"))
    return kerastl.open(here / "texts")


def test_the_wrong_label_of_a_sentence_is_found(reader, here, capsys):
    rows = [(f"a {word} film {'very ' * (n % 3)}<b>&", word) for n, word in enumerate(["good", "bad"] * 10)]
    rows[4] = (rows[4][0], "bad")
    with (here / "set.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("sentence", "kind"), *rows])
    assert cli.main(["audit", "set.csv", "--model", "texts", "--page", "page.html"]) in (0, 1)
    printed = capsys.readouterr().out
    assert "looks wrong: line 6 = bad (good " in printed
    content = (here / "page.html").read_text()
    assert html.escape(rows[4][0]) in content, "nothing of a text is markup"
    found = label_doubts.find("set.csv", reader)
    assert np.isclose(found.found[0].own + found.found[0].probability, 1, atol=1e-3)


def test_what_cannot_be_asked_is_refused_with_what_helps(finished, reader, pictures, here, capsys):
    folder, _, _ = pictures
    for words, expected in (
        (["set", "--model", "texts"], "Wanted a run of pictures"),
        (["set", "--model", "set"], "no folder of a finished run"),
        (["set", "--page", "x.html"], "--model RUN"),
        (["set", "--model", str(finished), "--page", "x.txt"], "Wanted a page FILE.html"),
        (["set", "--model", str(finished), "--label-separator", "|"], "leave --model out"),
    ):
        assert cli.main(["audit", *words]) == 1
        assert expected in capsys.readouterr().err
    for name in NAMES:
        (folder / name).rename(folder / f"other {name[0]}{name}")
    with pytest.raises(ValueError, match=r"Wanted examples of the classes of .*: first, second, third"):
        label_doubts.find(folder, kerastl.open(finished))
