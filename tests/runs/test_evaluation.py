"""The evaluation of finished runs: every section on pictures, a table and sentences, its page; `verify` after it."""

from __future__ import annotations

import dataclasses
import json
import re
import types as modules

import keras
import numpy as np
import pytest
from PIL import Image as Pillow

import kerastl
from kerastl import cli
from kerastl.data import table_csv
from kerastl.evaluate import calibration, groups
from kerastl.evaluate.explanations import grad_cam
from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.runs import acceptance, candidates, publishing, reverification, store
from kerastl.runs.evaluation import evaluating, explaining, explanations, fairness, rendering, robustness
from kerastl.runs.evaluation.subject import NotMeasured, Settings, Subject
from kerastl.types import Dataset, Split

LOOSE = acceptance.Acceptance(max_score_drop=1, max_quantization_drop=0.5, min_agreement=0.5, max_saturation=0.5)


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def published(folder, data, model, *techniques):
    with store.Run(folder, recipe="toy", tag="toy", config=Config(), needed_bytes=1) as run:
        run.use_dataset(data)
        made = candidates.post_training(model, data.train, techniques=techniques)
        publishing.publish(run, data, model=model, candidates=made, accept=LOOSE)
    return kerastl.open(folder)


def solved(body, head, split: Split):
    """A head that has learnt without training: least squares to the labels, four times one-hot."""
    features = np.asarray(body(np.asarray(split.inputs, np.float32)), np.float64)
    wanted = 4 * np.eye(len(split.task.target.names))[split.labels]
    found = np.linalg.lstsq(np.c_[features, np.ones(len(features))], wanted, rcond=1e-3)[0]
    head.set_weights([found[:-1], found[-1]])


@pytest.fixture(scope="module")
def pictures(tiny_files, tmp_path_factory):
    """A small convolutional net, its float and its integer file; one label in ten is another."""
    keras.utils.set_random_seed(0)
    labels = tiny_files.labels.copy()
    labels[::10] = (labels[::10] + 1) % 4
    places = np.split(np.random.default_rng(0).permutation(200), [80, 130])
    parts = [
        Split(name, tiny_files.inputs[some], labels[some], tiny_files.task, some.astype(str))
        for name, some in zip(("train", "validation", "test"), places, strict=True)
    ]
    data = Dataset(tiny_files.task, *parts, digest="0" * 64, source="toy_pictures", arguments={})
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(x)
    body = keras.Model(image, keras.layers.Flatten()(x))
    head = keras.layers.Dense(4, name="logits")
    model = keras.Model(image, head(body.outputs[0]))
    solved(body, head, data.train)
    run = published(tmp_path_factory.mktemp("pictures") / "run", data, model, "float32", "static_int8")
    found = run.evaluate(dataset=data, explain=2, coverage=0.9, progress=False, corruption_examples=40)
    return run, data, found


def test_every_section_that_pictures_have_is_measured_on_the_shipped_file(pictures):
    run, data, found = pictures
    assert set(found["skipped"]) == {"elsewhere", "fairness"}
    assert found["reference"] == "float32"
    answers = run.answers(data.test.inputs)
    again = calibration.measure(answers, data.test.labels)
    assert found["calibration"]["files"][found["file"]["name"]]["ece"] == pytest.approx(again.ece)
    assert found["scores"][found["file"]["name"]]["score"] == pytest.approx(run.score.value)
    assert set(found["conformal"]["methods"]) == {"lac", "aps", "raps"}
    assert 0.75 < found["conformal"]["methods"]["lac"]["coverage"] <= 1
    robust = found["robustness"]["files"]
    assert set(robust) == {"float32", "static_int8"}
    assert robust["float32"]["mean_corruption_error"] == 1
    assert robust["float32"]["corrupted"] > robust["float32"]["clean"]
    assert {"clean", "corrupted", "more", "more_low", "more_high"} == set(robust["static_int8"]["cost"])
    rows = found["adversarial"]["rows"]
    assert [row["method"] for row in rows] == ["FGSM", "PGD"] * 3
    assert rows[-1]["model"] >= rows[1]["model"]
    assert rows[-1]["files"]["float32"] == pytest.approx(rows[-1]["model"], abs=0.02), "the same numbers"
    explained = found["explanations"]
    assert explained["explained"] == 2
    assert explained["sanity"]["incomplete"] < 0.01
    if found["file"]["name"] != "float32":
        assert explained["occlusion_correlation"] > 0.9


def test_the_page_is_whole_and_the_run_still_verifies(pictures, monkeypatch):
    run, data, found = pictures
    page = (run.folder / "evaluation.html").read_text()
    for heading in ("Calibration", "Conformal prediction", "Robustness", "Adversarial examples", "Explanations"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/jpeg;base64,") >= 2 * 6
    assert not re.search(r"(?:src|href)=\"(?!data:)", page), "nothing outside is asked for"
    assert json.loads((run.folder / "evaluation.json").read_text()) == found
    assert reverification.verify(run, dataset=data, progress=False).differences == ()
    (run.folder / "evaluation.json").write_text("{}")
    assert any("evaluation.json" in one for one in reverification.verify(run, dataset=data, progress=False).differences)
    evaluating.write(run.folder, found, page)
    assert reverification.verify(run, dataset=data, progress=False).differences == ()


def test_an_input_that_somebody_names_is_explained(pictures, tmp_path, capsys):
    run, data, _ = pictures
    Pillow.fromarray(data.test.inputs[0, ..., 0]).save(tmp_path / "one.png")
    out = tmp_path / "page.html"
    assert cli.main(["explain", str(run.folder), str(tmp_path / "one.png"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "one.png" in said
    assert f"written: {out}" in said
    assert {"occlusion, file", "RISE, file", "Grad-CAM, model"} <= set(re.findall(r"Map of ([^\"]+)", out.read_text()))
    assert cli.main(["explain", str(run.folder), str(tmp_path / "one.png"), "--out", str(out), "--json"]) == 0
    out.write_text("a diary")
    with pytest.raises(ValueError, match="Nothing of yours is overwritten"):
        explaining.explain(run, [tmp_path / "one.png"], out=out)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """People of two towns, of whom one town's pass less often for the same points."""
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    town, points, kind = random.integers(0, 4, 900) == 0, random.normal(50, 10, 900), random.integers(0, 3, 900)
    passed = points + random.normal(0, 5, 900) > np.where(town, 58, 48)
    rows = [
        f"{one:.1f},{'xyz'[two]},{'South' if three else 'North'},{'yes' if four else 'no'}"
        for one, two, three, four in zip(points, kind, town, passed, strict=True)
    ]
    (folder / "people.csv").write_text("\n".join(["points,kind,town,passed", *rows]))
    data = table_csv.load(folder / "people.csv", label_columns=["passed"], validation=0.3)
    inputs = keras.Input(data.task.inputs.shape, name="numbers")
    scale, offset = (np.asarray(one, np.float32) for one in data.task.inputs.scaling())
    body = keras.Model(inputs, keras.layers.Rescaling(scale, offset)(inputs))
    head = keras.layers.Dense(2, name="logits")
    model = keras.Model(inputs, head(body.outputs[0]))
    solved(body, head, data.train)
    return published(folder / "run", data, model, "float32", "dynamic_int8"), data, folder


def test_groups_and_columns_of_a_table_and_a_set_from_elsewhere(table):
    run, data, folder = table
    other = folder / "other.csv"
    lines = (folder / "people.csv").read_text().splitlines()
    other.write_text("\n".join([lines[0], *lines[1:200]]))
    found = run.evaluate(group_column="town", also_test=other, progress=False)
    fair, name = found["fairness"], found["file"]["name"]
    assert fair["positive"] == "yes"
    assert [row["name"] for row in fair["rates"][name]] == ["South", "North"], "the smallest first"
    town = np.where(data.test.inputs[:, data.task.inputs.columns.index("town=South")] == 1, "South", "North")
    selected = run.answers(data.test.inputs).argmax(-1) == 1
    gaps = groups.gaps(selected, data.test.labels == 1, town)
    assert {key: one["value"] for key, one in fair["gaps"][name].items()} == pytest.approx(gaps)
    nearer = fair["thresholds"]["demographic_parity"]["demographic_parity_difference"]
    assert nearer < gaps["demographic_parity_difference"] - 0.05
    assert found["elsewhere"]["examples"] == 199
    assert 0.8 < found["elsewhere"]["files"][name]["elsewhere"]["value"] <= 1
    rows = found["explanations"]["columns"]
    assert rows[0]["column"] == "points"
    assert {row["column"] for row in rows} == {"points", "kind", "town"}
    assert max(rows, key=lambda row: row["integrated_gradients"])["column"] == "points"
    assert "Rates of yes, the smallest group first" in (run.folder / "evaluation.html").read_text()


def test_a_row_is_explained_column_by_column(table, tmp_path):
    run, _, _ = table
    found = explaining.explain(run, ["points=80,kind=x,town=North"], out=tmp_path / "row.html", progress=False)
    assert found["inputs"][0]["answer"].startswith("yes")
    page = (tmp_path / "row.html").read_text()
    columns = re.findall(r'<td class="text">(\w+)</td>', page)
    assert columns[0] == "points"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"coverage": 1.5}, "--coverage"),
        ({"group_column": "twon"}, "Did you mean town"),
        ({"group_column": "town", "positive": "maybe"}, "no class 'maybe'"),
        ({"corruptions": ("snow",)}, "no corruption 'snow'.*gaussian_noise"),
        ({"explain": -1}, "--explain"),
        ({"corruption_examples": 0}, "--corruption-examples"),
    ],
)
def test_what_was_asked_for_and_there_is_not_is_refused(table, settings, words):
    run, _, _ = table
    with pytest.raises(ValueError, match=words):
        run.evaluate(progress=False, **settings)


@pytest.mark.parametrize("name", list(evaluating.SECTIONS))
def test_a_mistake_in_a_section_is_no_skipped_section(table, monkeypatch, name):
    run, _, _ = table
    unasked = {section: lambda _: {} for section in evaluating.SECTIONS}
    monkeypatch.setattr(evaluating.rendering, "render", lambda found, *, pictures: "")
    monkeypatch.setattr(evaluating, "write", lambda *_: None)

    def mistaken(subject: Subject):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(evaluating, "SECTIONS", unasked | {name: mistaken})
    with pytest.raises(ValueError, match="broadcast"):
        run.evaluate(progress=False)

    def unmeasured(subject: Subject):
        raise NotMeasured("this kind has none")

    monkeypatch.setattr(evaluating, "SECTIONS", unasked | {name: unmeasured})
    assert run.evaluate(progress=False)["skipped"] == {name: "this kind has none"}


def test_thresholds_are_left_out_only_where_validation_lacks_a_label_of_a_group(table, monkeypatch):
    run, data, _ = table
    held, town = data.validation, data.task.inputs.columns.index("town=South")
    kept = np.flatnonzero((np.asarray(held.inputs)[:, town] == 0) | (np.asarray(held.labels) == 1))
    few = dataclasses.replace(data, validation=held.subset(kept))
    settings = Settings(group_column="town")
    subject = Subject(run, few, None, settings=settings, progress=False)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(subject, "answers", lambda name, split: run.answers(split.inputs))
    rows = fairness.measure(subject)["thresholds"]
    assert set(rows) == {"demographic_parity", "equalized_odds"}
    assert all(row["skipped"].endswith("in South") for row in rows.values())
    subject._dataset = data
    assert "accuracy" in fairness.measure(subject)["thresholds"]["equalized_odds"]

    def mistaken(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(groups, "apply_thresholds", mistaken)
    with pytest.raises(ValueError, match="broadcast"):
        fairness.measure(subject)


def test_a_model_without_feature_maps_is_said_and_a_mistake_of_grad_cam_is_not_hidden(pictures, monkeypatch):
    run, data, _ = pictures
    some, places = data.test.inputs[:1], np.zeros(1, int)
    subject = Subject(run, data, None, settings=Settings(), progress=False)  # pyright: ignore[reportArgumentType]

    def none(model):
        raise grad_cam.NoFeatureMaps("no feature maps")

    monkeypatch.setattr(grad_cam, "explainer", none)
    maps, found = explanations._of_model(subject, some, places)
    assert "Grad-CAM, model" not in maps
    assert "grad_cam_randomized" not in found

    def mistaken(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(grad_cam, "explainer", lambda model: mistaken)
    with pytest.raises(ValueError, match="broadcast"):
        explanations._of_model(subject, some, places)


def test_a_model_that_is_refused_is_not_measured_and_says_why(pictures, monkeypatch):
    run, data, _ = pictures
    subject = Subject(run, data, None, settings=Settings(), progress=False)  # pyright: ignore[reportArgumentType]

    def refused(self):
        raise ValueError("a Lambda")

    monkeypatch.setattr(type(run), "model", property(refused))
    with pytest.raises(NotMeasured, match="refused: a Lambda"):
        evaluating.adversarial.measure(subject)
    image = keras.Input((8, 8, 1), name="image")
    three = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    monkeypatch.setattr(type(run), "model", property(lambda _: three))
    subject = Subject(run, data, None, settings=Settings(), progress=False)  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotMeasured, match="no logits to ask: Wanted 4 outputs"):
        evaluating.adversarial.measure(subject)


def test_other_data_are_refused(table):
    run, data, _ = table
    with pytest.raises(ValueError, match="not those that the run was made of"):
        run.evaluate(dataset=dataclasses.replace(data, digest="1" * 64))


def test_sentences_are_corrupted_and_explained_word_by_word(tiny_text, tmp_path, monkeypatch):
    places = np.split(np.arange(120), [60, 90])
    labels = tiny_text.labels.copy()
    labels[::11] = 1 - labels[::11]
    parts = [
        Split(name, tiny_text.inputs[some], labels[some], tiny_text.task)
        for name, some in zip(("train", "validation", "test"), places, strict=True)
    ]
    data = Dataset(tiny_text.task, *parts, digest="2" * 64, source="toy_texts", arguments={})
    run = published(tmp_path / "run", data, tiny_text.model, "float32", "dynamic_int8")
    monkeypatch.setattr(kerastl.data, "toy_texts", modules.SimpleNamespace(load=lambda: data), raising=False)
    monkeypatch.setattr(kerastl.data, "__all__", [*kerastl.data.__all__, "toy_texts"])
    assert cli.main(["evaluate", str(run.folder), "--explain", "2", "--corruption-examples", "20"]) == 0
    found = json.loads((run.folder / "evaluation.json").read_text())
    assert {"case", "missing_accents"} <= set(found["robustness"]["without_effect"]), "the vocabulary is uncased"
    typos = found["robustness"]["files"]["float32"]["by_name"]["typos"]["strengths"]
    assert typos[-1] > typos[0]
    page = (run.folder / "evaluation.html").read_text()
    assert re.search(r'<span style="background: rgba\(255,120,30, 0.8\)" title="[^"]+">(good|bad)</span>', page)


def test_a_run_of_a_hand_written_file_is_evaluated_by_the_command(finished, capsys):
    assert cli.main(["evaluate", str(finished), "--json", "--corruptions", "none"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["skipped"]) == {"robustness", "adversarial", "elsewhere", "fairness"}
    assert found["calibration"]["files"]["float32"]["examples"] == 40
    assert cli.main(["verify", str(finished)]) == 0


def test_pages_escape_what_anybody_wrote():
    page = {
        "recipe": "<b>x",
        "tag": "t",
        "file": {"name": "f", "sha256": "0"},
        "units": "%",
        "skipped": {"a": "<script>"},
    }
    made = rendering.render({**page, "skipped": {"a": "<script>"}}, pictures={})
    assert "<b>x" not in made
    assert "<script>" not in made
    assert Settings().coverage == 0.95


def test_covered_words_leave_the_marks_of_a_text(tiny_text):
    ids = tiny_text.task.inputs.read("the films bad")[0]
    assert explanations._spans(tiny_text.task.inputs, ids) == [[1], [2, 3], [4]]
    assert [tiny_text.vocabulary[ids[place]] for place in (2, 3, 5)] == ["film", "##s", "[SEP]"]


def test_a_text_that_is_an_accent_alone_is_not_corrupted_into_nothing():
    settings = wordpiece.Settings(lowercase=False, strip_accents=False)
    kind = Text(4, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u0301"), settings)
    ids = kind.read("\u0301")
    assert [word.text for word in kind.words(ids[0])] == ["\u0301"]
    np.testing.assert_array_equal(robustness.corruptions_of(kind)[1](ids, "missing_accents", 5), ids)


def test_pairs_of_texts_are_not_corrupted_as_one(tiny_text):
    pair = TextPair(8, tiny_text.vocabulary, columns=("question", "answer"))
    with pytest.raises(ValueError, match="single texts"):
        robustness.corruptions_of(pair)
