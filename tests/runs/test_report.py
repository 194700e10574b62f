"""The report: the schema as the design states it, and a page that stands alone."""

from __future__ import annotations

import base64
import dataclasses
import errno
import html.parser
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from kerastl import types
from kerastl.inputs import image as images
from kerastl.runs import report
from kerastl.runs.page import mistakes as mistaken
from kerastl.runs.page import rendering
from kerastl.tasks.single_label import SingleLabel

VARIANT_KEYS = {
    "name", "file", "sha256", "technique", "bytes", "gzip_bytes", "parameters", "sparsity", "validation_score", "score",
    "score_low", "score_high", "float_score", "agreement", "max_difference", "worst_layer",
    "latency_ms", "ops", "input", "output", "inputs", "outputs", "min_runtime", "eligible",
    "model", "multiply_adds", "arena_bytes", "validation_low", "validation_high",
}  # fmt: skip


OVERLAPS = {
    "exact_duplicates": 3, "contradicting_labels": 1, "near_duplicates": 4, "near_duplicates_looked_for": 30,
}  # fmt: skip
TASK = types.Task("toy", images.Image((4, 4, 1)), SingleLabel(("<a>", "b", "c")))
LABELS, GIVEN = np.array([0, 0, 0, 0, 1, 1, 1]), np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 1]]
DETAILS = TASK.target.details(GIVEN, LABELS)
"""Three of four are found of the first class, all three of the second; the third has no example."""


def variant(folder: Path, name: str, *, size: int, score: float = 0.9, integer: bool = True) -> types.Variant:
    verification = types.Verification(types.Score(score, score - 0.01, score + 0.01, 10), 0.91, 0.995, 0.01)
    tensor = types.Tensor("image", "uint8", (1, 4, 4, 1), 1.0, 0)
    return types.Variant(
        artifact=types.Artifact(name, f"made as {name}", folder / "variants" / f"{name}.tflite", integer),
        facts=types.FileFacts("0" * 64, size, size // 2, 100, 0.25, types.Operators(3, 3, 0, 0), (tensor,), (tensor,)),
        latency=types.Latency(0.021, 0.034, 1, 500, 0.07, "processor time", "an EPYC"),
        validation=dataclasses.replace(verification, score=types.Score(score - 0.002, 0.0, 1.0, 20)),
        test=verification,
    )


@pytest.fixture
def dataset() -> types.Dataset:
    generator = np.random.default_rng(0)

    def split(name, count):
        pictures = generator.integers(0, 256, (count, 4, 4, 1), np.uint8)
        return types.Split(name, pictures, np.arange(count, dtype=np.int32) % 3, TASK)

    splits = split("train", 30), split("validation", 20), split("test", 10)
    return types.Dataset(TASK, *splits, "d" * 64, "toy", leakage=OVERLAPS)


@pytest.fixture
def built(tmp_path, dataset):
    return report.build(
        {"recipe": "toy_mobile", "tag": "default", "seed": 3, "versions": {"keras": "3.15.1"}},
        dataset,
        folder=tmp_path,
        stages=[{"name": "teacher", "seconds": 61.5, "reused": True, "more": 1}],
        variants=[
            variant(tmp_path, "teacher_float32", size=1_000_000, score=0.95),
            variant(tmp_path, "static_int8", size=20_000),
        ],
        choice=types.Choice("static_int8", "the smallest within 0.3 points"),
        details=DETAILS,
    )


def test_why_another_model_was_taken_stands_on_page_and_table(built, capsys):
    why = "On validation student_without_teacher 0.9300, distilled 0.9200: student_without_teacher is taken."
    assert "Which model the files are of" not in rendering.render(built)
    told = {**built, "model_choice": why}
    assert why in rendering.render(told)
    report.print_table(told)
    assert why in " ".join(capsys.readouterr().out.split())
    del told["model_choice"]  # a report of an earlier run
    assert "Which model the files are of" not in rendering.render(told)


def test_notes_and_baselines_are_said(built, capsys):
    rows = [{"name": "always the same answer", "validation_score": 0.25, "score": 0.3}]
    report.print_table({**built, "baselines": rows, "warnings": ["It may not have been done."]})
    printed = " ".join(capsys.readouterr().out.split())
    assert "Baselines, on validation and on test: always the same answer 25.00 % and 30.00 %." in printed
    assert "WARNING: It may not have been done." in printed
    report.print_table(built)
    assert "Baselines" not in capsys.readouterr().out


def test_the_schema_is_the_designs(built):
    assert set(built) == {
        "schema", "recipe", "tag", "created", "versions", "seed", "data", "metric", "stages", "variants", "chosen",
        "why", "model_choice", "within_budget", "by_class", "balanced_accuracy", "majority_baseline", "skipped",
        "frontier", "control", "accept", "baselines", "warnings", "task", "units", "higher_is_better", "tables",
        "summary", "macro_f1", "averages", "charts", "confusions", "thresholds", "budget", "ties", "mistakes", "made",
        "settings", "data_overview",
    }  # fmt: skip
    assert built["schema"] == 1
    assert (built["task"], built["units"], built["higher_is_better"]) == ("single-label classification", "%", True)
    assert [table["title"] for table in built["tables"]] == ["Class by class", "Averages over classes"]
    first = {"name": "<a>", "examples": 4, "recall": 0.75, "precision": 1.0, "f1": pytest.approx(6 / 7)}
    assert first.items() <= built["by_class"][0].items()
    none = {"name": "c", "examples": 0, "recall": None, "precision": None, "f1": None, "roc_auc": None}
    assert none.items() <= built["by_class"][2].items()
    assert built["data"] == {
        "name": "toy", "digest": "d" * 64, "train": 30, "validation": 20, "test": 10, "overlaps": OVERLAPS,
    }  # fmt: skip
    assert built["stages"] == [{"name": "teacher", "seconds": 61.5, "reused": True}]
    assert [row["name"] for row in built["variants"]] == ["teacher_float32", "static_int8"]
    row = built["variants"][1]
    assert set(row) == VARIANT_KEYS
    assert row["file"] == "variants/static_int8.tflite"
    assert (row["validation_score"], row["score"], row["float_score"]) == (0.898, 0.9, 0.91)
    assert (row["score_low"], row["score_high"]) == (0.89, 0.91)
    measured = {"spread": 0.07, "clock": "processor time", "cpu": "an EPYC"}
    assert row["latency_ms"] == {"median": 0.021, "p95": 0.034, "threads": 1, "runs": 500} | measured
    assert (row["min_runtime"], built["baselines"], built["warnings"]) == (None, [], [])
    assert row["ops"] == {"total": 3, "integer": 3, "float": 0, "flex": 0}
    assert row["input"] == {"dtype": "uint8", "shape": [1, 4, 4, 1], "scale": 1.0, "zero_point": 0}
    assert row["inputs"] == row["outputs"] == [{"name": "image", **row["input"]}]


def test_build_refuses_what_does_not_fit(tmp_path, dataset):
    arguments = {"folder": tmp_path, "stages": [], "details": DETAILS}
    metadata = {"recipe": "r", "tag": "t", "seed": 0, "versions": {}}
    one = variant(tmp_path, "one", size=10)
    with pytest.raises(ValueError, match="chosen 'two'"):
        report.build(metadata, dataset, variants=[one], choice=types.Choice("two", ""), **arguments)
    with pytest.raises(ValueError, match="names of their own"):
        report.build(metadata, dataset, variants=[one, one], choice=types.Choice("one", ""), **arguments)
    outside = variant(tmp_path.parent / "elsewhere", "one", size=10)
    with pytest.raises(ValueError, match="lies in its run folder"):
        report.build(metadata, dataset, variants=[outside], choice=types.Choice("one", ""), **arguments)


PAIR = types.Task("pair", images.Image((4, 6, 3)), SingleLabel(("a", "b")))
PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.95, 0.05], [0.2, 0.8], [0.3, 0.7]], np.float32)
PAIR_LABELS = np.array([0, 0, 1, 1, 0], np.int32)


def pictured(shown: dict[str, str]) -> np.ndarray:
    """The picture that a page shows."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["picture"].removeprefix("data:image/png;base64,")))))


def test_mistakes_are_the_most_confident_ones():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    origins = np.array([f"{number}.png" for number in range(5)])
    split = types.Split("test", pictures, PAIR_LABELS, PAIR, origins)
    found = mistaken.misclassified(split, PROBABILITIES, limit=2)
    assert (found.total, found.examples) == (3, 5)
    # the two surest ones, then what is left of the pairs most often confused
    assert found.surest == 2
    assert found.labels == ("b", "a", "a")
    assert found.predictions == ("a", "b", "b")
    assert found.confidences == pytest.approx((0.95, 0.7, 0.6))
    assert found.origins == ("2.png", "4.png", "1.png")
    for shown, picture in zip(found.shown, pictures[[2, 4, 1]], strict=True):
        np.testing.assert_array_equal(pictured(shown), picture)
    with pytest.raises(ValueError, match=r"Received: \(4, 2\) and 5 labels"):
        mistaken.misclassified(split, PROBABILITIES[:4])


class Page(html.parser.HTMLParser):
    """Collects every tag, attribute and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data") and value]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_page_stands_alone_and_shows_everything(tmp_path, dataset, built):
    wrong = mistaken.misclassified(dataset.test, np.eye(3, dtype=np.float32)[np.zeros(10, int)])
    curves = [
        types.History("teacher", {"loss": (2.0, 1.0, 0.5), "val_loss": (2.0, 1.5, 1.0), "accuracy": (0.1, 0.5, 0.9)}),
        types.History("student", {"loss": (1.0,), "learning_rate": (0.1,)}),
        types.History("nothing", {}),
    ]
    path = report.write(built, tmp_path, curves=curves, mistakes=wrong)
    text = path.read_text()
    page = Page(text)
    assert json.loads((tmp_path / "report.json").read_text()) == built
    inside = {"mobile/README.md", "variants/static_int8.tflite", "report.json", "config.json", "logs/run.log"}
    assert {link for link in page.links if not link.startswith(("data:", "#"))} == inside, "files of the run's folder"
    assert not re.search(r"url\((?!#)|@import|<link", text)
    assert page.tags.count("svg") >= 8
    assert len(page.ids) == len(set(page.ids)) > 3, "ids of two plots on one page must not meet"
    assert "currentColor" in text
    assert "50 times" in page.texts
    assert "90.00 %" in text
    assert "21 µs" in text
    assert "87.50 %" in text
    assert "no example" in text
    assert "1 min 02 s" in text
    assert page.tags.count("img") == 6
    assert "<a>" not in text, "class names are escaped"
    first = next(link for link in page.links if "png" in link)
    assert first == wrong.shown[0]["picture"]
    np.testing.assert_array_equal(pictured(wrong.shown[0]), np.asarray(dataset.test.inputs)[1, ..., 0])


def test_the_page_without_teacher_curves_and_mistakes(tmp_path, dataset):
    built = report.build(
        {"recipe": "r", "tag": "t", "seed": None, "versions": {}},
        dataset,
        folder=tmp_path,
        stages=[],
        variants=[variant(tmp_path, "float32", size=999)],
        choice=types.Choice("float32", "the only one"),
        details=DETAILS,
    )
    text = rendering.render(built)
    assert "Against the teacher" not in text
    assert "999 B" in text
    assert "gets wrong" not in text


def test_what_a_teacher_gave_is_on_the_page_and_in_the_table(tmp_path, dataset):
    pairs = {
        "teacher": {"validation_score": 0.93, "score": 0.92},
        "distilled": [{"validation_score": 0.91, "score": 0.905}, {"validation_score": 0.9, "score": 0.9123}],
        "alone": [{"validation_score": 0.88, "score": 0.8876}, {"validation_score": 0.89, "score": 0.885}],
    }
    found = {"gain": 0.02, "gain_low": 0.01, "gain_high": 0.03, "gap": 0.5, "low": None, "high": None}
    built = report.build(
        {"recipe": "r", "tag": "t", "seed": None, "versions": {}},
        dataset,
        folder=tmp_path,
        stages=[],
        variants=[variant(tmp_path, "float32", size=999)],
        choice=types.Choice("float32", "the only one"),
        details=DETAILS,
        control={**pairs, "seeds": [3, 4], "steps": 1200, **found, "words": "Half <of> it."},
    )
    report.write(built, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["control"]["alone"] == pairs["alone"]
    text = (tmp_path / "report.html").read_text()
    assert "Half &lt;of&gt; it." in text
    assert "the same 1,200 steps, a pair a seed; intervals are 95 %, over seeds." in text
    texts = Page(text).texts
    start = texts.index("With the teacher and without")
    cells = [cell for cell in texts[start:] if cell][9:]
    assert cells[:6] == ["3", "88.00 %", "91.00 %", "88.76 %", "90.50 %", "+1.74 points"]
    assert cells[6:12] == ["4", "89.00 %", "90.00 %", "88.50 %", "91.23 %", "+2.73 points"]
    assert cells[12:15] == ["teacher", "93.00 %", "92.00 %"]
    console = Console(record=True, width=80, file=io.StringIO())
    report.print_table(built, console=console)
    assert "Half <of> it." in console.export_text()


def test_write_refuses_nan_and_keeps_the_old_report(tmp_path, built):
    report.write(built, tmp_path)
    before = (tmp_path / "report.json").read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.write({**built, "seed": float("nan")}, tmp_path)
    assert (tmp_path / "report.json").read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.html"}
    report.write({**built, "seed": np.int64(7)}, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["seed"] == 7


def test_rows_that_do_not_fit_leave_the_earlier_page(tmp_path, built, monkeypatch):
    report.write(built, tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    real = Path.write_bytes

    def write_bytes(path, content):
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "full")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match=r"No room for .*report\.html: it needs"):
        report.write({**built, "tag": "other"}, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.html"}


def test_a_tag_may_look_like_markup(built):
    console = Console(record=True, width=80, file=io.StringIO())
    report.print_table({**built, "tag": "[/red]"}, console=console)
    assert f"{built['recipe']} / [/red]" in console.export_text()


def test_a_notebook_gets_the_table_as_plain_text_and_nothing_beside_it(built, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *pieces: shown.append(pieces))
    report.print_table(built)
    printed = capsys.readouterr().out
    assert "static_int8 *" in printed
    assert "\x1b" not in printed
    assert shown == []


def test_the_table_is_sorted_by_size_and_marks_the_choice(built):
    console = Console(record=True, width=80, file=io.StringIO())
    report.print_table(built, console=console)
    lines = console.export_text().splitlines()
    first, second = (
        next(i for i, line in enumerate(lines) if name in line) for name in ("static_int8 *", "teacher_float32")
    )
    assert first < second
    assert re.search(r"20,000 +89.80 +90.00 +89.00-91.00 +99.50 +0.021$", lines[first].rstrip()), lines[first]
    end = " ".join(line.strip() for line in lines[second + 1 :])
    assert "the smallest within 0.3 points" in end
    assert (
        "balanced accuracy 87.50 %; worst class <a> 75.00 %; always answering the most frequent class: 57.14 %" in end
    )


def test_what_has_to_be_said_loudly_is_said_on_the_terminal_and_on_the_page(tmp_path, dataset):
    files = [variant(tmp_path, "float32", size=999), variant(tmp_path, "int8", size=300)]
    slow = dataclasses.replace(files[0].latency, spread=0.4)
    needs = types.Runtime(tensorflow="2.21.0", litert="2.1.0", android="2.1.0", pod="")
    files = [dataclasses.replace(files[0], latency=slow), dataclasses.replace(files[1], runtime=needs)]
    built = report.build(
        {"recipe": "r", "tag": "t", "seed": None, "versions": {}},
        dataset,
        folder=tmp_path,
        stages=[],
        variants=files,
        choice=types.Choice("int8", "the smallest"),
        details=DETAILS,
        baselines=[
            {"name": "a linear model", "validation_score": 0.8, "score": 0.93},
            {"name": "always the same answer", "validation_score": 0.3, "score": 0.31},
        ],
    )
    beaten, wide = built["warnings"]
    assert beaten.startswith("a linear model scores 93.00 % on test, and the chosen int8 90.00 %")
    assert wide.startswith("The latency of float32 says little; of float32 its rounds are 40% apart")
    assert built["variants"][1]["min_runtime"]["litert"] == "2.1.0"
    text = rendering.render(built)
    assert "a linear model scores 93.00 % on test" in text
    assert "LiteRT 2.1.0 or newer; for Android 2.1.0</dd>" in text
    assert "processor time on one thread of an EPYC" in text
    texts = [cell for cell in Page(text).texts if cell]
    start = texts.index("Baselines")
    assert texts[start + 8 : start + 11] == ["always the same answer", "30.00 %", "31.00 %"]
    console = Console(record=True, width=200, file=io.StringIO())
    report.print_table(built, console=console)
    said = console.export_text()
    assert f"WARNING: {beaten}" in said
    assert "0.021?" in said
    assert "ms: processor time on one thread of an EPYC." in said


def test_mistakes_of_streamed_pictures_are_those_of_the_array(stream):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    one, other = (
        mistaken.misclassified(types.Split("test", inputs, PAIR_LABELS, PAIR), PROBABILITIES, limit=2)
        for inputs in (pictures, stream(pictures))
    )
    assert one.shown == other.shown
    assert one.labels == other.labels


def test_mistakes_of_texts_are_read_back_out_of_their_tokens(tiny_text):
    split = types.Split("test", tiny_text.inputs, 1 - tiny_text.labels, tiny_text.task)  # every answer is wrong
    found = mistaken.misclassified(split, tiny_text.expected, limit=5)
    assert found.total == len(split)
    assert found.surest == 5
    assert len(found.shown) >= 5
    assert all(shown["text"].split()[0] in ("good", "bad") for shown in found.shown)


def test_an_example_is_shown_with_where_it_was_found(tmp_path, dataset, built):
    origins = np.array([f"folder/<{number}>.png" for number in range(10)])
    split = dataclasses.replace(dataset.test, origins=origins)
    wrong = mistaken.misclassified(split, np.eye(3, dtype=np.float32)[np.zeros(10, int)])
    text = rendering.render(json.loads(json.dumps(built)), mistakes=wrong)
    assert "folder/&lt;1&gt;.png" in text
    assert "folder/&lt;0&gt;.png" not in text, "which was answered right"


def test_several_inputs_and_outputs_stand_on_the_page_by_name(dataset, tmp_path):
    made = variant(tmp_path, "static_int8", size=900)
    ends = tuple(types.Tensor(name, "uint8", (1, 3), 0.5, 7) for name in ("left", "right"))
    several = dataclasses.replace(made, facts=dataclasses.replace(made.facts, inputs=ends))
    options = {"folder": tmp_path, "stages": [], "details": DETAILS, "choice": types.Choice("static_int8", "alone")}
    metadata = {"recipe": "toy", "tag": "x", "seed": 0, "versions": {}}
    pages = [rendering.render(report.build(metadata, dataset, variants=[one], **options)) for one in (made, several)]
    assert "<dt>in</dt>" in pages[0]
    assert "<dt>in, left</dt>" in pages[1]
    assert "<dt>in, right</dt>" in pages[1]
    assert all("<dt>out</dt>" in page for page in pages)
