"""Every field of a report, forged one after the other by somebody who mends digests, page and bundle as well."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import toy_run

import kerastl
from kerastl.compress import ptq
from kerastl.export import phone, tflite
from kerastl.runs import Acceptance, candidates, publishing, reverification, store
from kerastl.runs.page import mistakes as mistaken
from kerastl.runs.page import overview, rendering
from kerastl.system import digests
from kerastl.training import fitting
from kerastl.types import History
from kerastl.untrusted import keras_file, tflite_file


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    accept: Acceptance = Acceptance(max_quantization_drop=0.1, min_agreement=0.8, max_saturation=0.2)


def model(seed: int) -> keras.Model:
    """A class is its brightest row; the noise of a seed beside it."""
    image = keras.Input((4, 4, 1), name="image")
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(image)))
    kernel = np.zeros((4, 4, 3))
    kernel[[0, 1, 2], :, [0, 1, 2]] = 0.02
    noise = np.random.default_rng(seed).normal(0, 0.001 * (1 + seed), (16, 3))
    network.get_layer("logits").set_weights([kernel.reshape(16, 3) + noise, np.zeros(3)])
    return network


WHY = "On validation teacher 0.6400, student 0.6500: student is taken."


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A student's and a teacher's files, chosen, and what the teacher gave."""
    data, folder = toy_run.load(seed=0), tmp_path_factory.mktemp("runs") / "run"
    student, teacher = model(0), model(1)
    made = []
    for network, prefix, eligible in ((student, "", True), (teacher, "teacher_", False)):
        float32 = tflite.convert(network, data.task)
        files = {"float32": float32, "dynamic_int8": ptq.dynamic_int8(float32)}
        made += [
            candidates.Candidate(prefix + name, name, content, network, eligible=eligible, model_choice=prefix and WHY)
            for name, content in files.items()
        ]
    with store.Run(folder, recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(data)
        control = candidates.Baseline(teacher, [student, model(2)], [model(3), model(4)], steps=5, seeds=[0, 1])
        run.stage("student", lambda at: np.zeros(1), key=[0])
        skipped = {"int4_weights": "it has no kernel for it"}
        curves = [History("student", {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]})]
        publishing.publish(run, data, model=student, candidates=made, control=control, skipped=skipped, curves=curves)
    return folder


@pytest.fixture(scope="module")
def quick(published) -> Iterator[None]:
    """Files are run once: a forger of a report changes none."""
    asked: dict[Any, Any] = {}

    def once(function):
        def answered(self, question, content, rest=b"", **options):
            key = digests.sha256_of([json.dumps(question), content, rest])
            if key not in asked:
                asked[key] = function(self, question, content, rest, **options)
            return asked[key]

        return answered

    opened, predict = keras_file.load(published / "model.keras"), fitting.predict

    def predicted(network, inputs, **options):
        key = digests.sha256_of([np.asarray(inputs)])
        if key not in asked:
            asked[key] = predict(network, inputs, **options)
        return asked[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kerastl.data, "toy", toy_run, raising=False)
        patch.setattr(kerastl.data, "__all__", [*kerastl.data.__all__, "toy"])
        patch.setattr(tflite_file.SandboxedModel, "_ask", once(tflite_file.SandboxedModel._ask))
        patch.setattr(keras_file, "load", lambda path: opened)
        patch.setattr(fitting, "predict", predicted)
        yield


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything that holds a value, and of what is empty."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not pairs:
        yield path
    for key, value in pairs:
        yield from leaves(value, (*path, key))


def forged(value: Any) -> Any:
    """Another value of the same kind that a reader would notice."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + max(1, value // 10) if isinstance(value, int) else 0.9 * value + 0.0437
    if value is None:
        return 0.5
    return f"{value}0" if isinstance(value, str) else {"x": "y"} if isinstance(value, dict) else ["x"]


def field(path: tuple[str | int, ...]) -> str:
    """A field's name, whichever variant, class or seed it is of."""
    return re.sub(r"\.\d+", "", ".".join(map(str, path)))


def put(tree: Any, path: tuple[str | int, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    if value is KeyError:
        del tree[path[-1]]
    else:
        tree[path[-1]] = value


def write(folder: Path, name: str, content: Any) -> None:
    """A JSON file of the run; where it is the report, also the page and the bundle that go with it; their digests."""
    (folder / name).write_text(json.dumps(content))
    if name == "report.json":
        data = toy_run.load(seed=0)
        try:
            answers = kerastl.verify.predict_tflite(folder / "mobile" / "model.tflite", data.test.inputs)
            shown: dict[str, Any] = {"examples": overview.examples(data)}
            page = rendering.render(content, mistakes=mistaken.misclassified(data.test, answers), **shown)
            made = phone.written((folder / "mobile" / "model.tflite").read_bytes(), content, data.task)
            (folder / "report.html").write_text(page)
            for page_name in ("README.md", "MODEL_CARD.md"):
                (folder / "mobile" / page_name).write_bytes(made[page_name])
        except Exception:  # no page can be made of it
            pass
    pins = json.loads((folder / "files.json").read_text())
    pins |= {name: digests.of_file(folder / name) for name in pins}
    (folder / "files.json").write_text(json.dumps(pins))


def caught(folder: Path) -> list[str]:
    try:
        return list(reverification.verify(kerastl.open(folder), progress=False).differences)
    except (ValueError, FileNotFoundError) as error:
        return [str(error)]


UNNOTICED = {
    "created", "stages.name", "stages.seconds", "stages.reused", "skipped.int4_weights",
    "variants.latency_ms.clock", "variants.latency_ms.spread", "variants.latency_ms.cpu",
    "variants.latency_ms.p95", "variants.latency_ms.threads", "variants.latency_ms.runs", "variants.latency_ms.median",
    "control.steps", "control.seeds", "control.teacher.validation_score", "control.distilled.validation_score",
    "control.alone.validation_score", "model_choice",
}  # fmt: skip
"""What a forger may say, for nobody can measure it: all of it is said not to have been measured."""


def test_an_honest_run_is_verified_and_what_was_not_measured_is_said(published, quick):
    found = reverification.verify(kerastl.open(published), progress=False)
    assert found.differences == ()
    said = " ".join(found.unmeasured)
    for name in UNNOTICED:
        assert name.split(".")[0] in said, f"{name} is not said"
    assert found.unmeasured["float_score, agreement, max_difference of teacher_float32"]
    assert "float_score, agreement, max_difference of teacher_dynamic_int8" not in found.unmeasured


def of_each(report: dict[str, Any]) -> dict[str, tuple[str | int, ...]]:
    """A path of each field; of the variants one that has every field, and one of a model that no run keeps."""
    found: dict[str, tuple[str | int, ...]] = {}
    for path in leaves(report):
        if path[0] != "variants" or report["variants"][path[1]]["name"] == "dynamic_int8":
            found.setdefault(field(path), path)
        elif report["variants"][path[1]]["name"] == "teacher_dynamic_int8":
            found[f"teacher's {field(path)}"] = path
    return found


def test_every_forged_field_of_a_report_is_noticed(published, quick, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(published, folder)
    honest = json.loads((folder / "report.json").read_text())
    paths, missed = of_each(honest), set()
    for name, path in paths.items():
        false = copy.deepcopy(honest)
        put(false, path, forged(_at(honest, path)))
        write(folder, "report.json", false)
        missed |= set() if caught(folder) else {name.removeprefix("teacher's ")}
    print(f"{len(paths)} fields, not noticed: {sorted(missed)}")
    assert len(paths) > 150
    warned = {"warnings"} if honest["warnings"] else set()  # of latencies that a busy machine made wide
    assert missed == UNNOTICED | warned
    write(folder, "report.json", honest)
    assert caught(folder) == []


def test_what_a_report_lacks_or_has_too_much_is_noticed(published, quick, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(published, folder)
    honest = json.loads((folder / "report.json").read_text())
    row = next(number for number, one in enumerate(honest["variants"]) if one["name"] == "dynamic_int8")
    paths = [(key,) for key in honest] + [("variants", row, key) for key in honest["variants"][row]]
    changes: list[Any] = [(path, KeyError) for path in paths] + [(("more",), 1), (("variants", row, "more"), "x")]
    changes.append((("variants",), [one for one in honest["variants"] if one["name"] != "teacher_dynamic_int8"]))
    for path, value in changes:
        false = copy.deepcopy(honest)
        put(false, path, value)
        write(folder, "report.json", false)
        assert caught(folder), path
    assert len(changes) > 50


def test_of_what_a_recipe_drew_the_number_it_drew_from_is_measured(published, quick, tmp_path):
    """Whatever its settings are called: the report says that train is a part, and of how many."""
    folder = tmp_path / "run"
    shutil.copytree(published, folder)
    honest = json.loads((folder / "report.json").read_text())
    whole = honest["data"]["train"]
    for train, drawn_from, words in (
        (whole - 5, whole, None),
        (whole - 5, whole + 1, f"drawn_from stated {whole + 1}, measured {whole}"),
        (whole + 1, whole, f"train stated {whole + 1}, measured {whole}"),
    ):
        drawn = copy.deepcopy(honest)
        drawn["data"] |= {"train": train, "drawn_from": drawn_from}
        write(folder, "report.json", drawn)
        found = reverification.verify(kerastl.open(folder), progress=False)
        assert bool(found.differences) == bool(words), found.differences
        assert words is None or any(words in one for one in found.differences)
        assert ("data.train, baselines" in found.unmeasured) == (train < whole)


def test_every_forged_field_of_config_that_names_the_data_is_noticed(published, quick, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(published, folder)
    honest, missed = json.loads((folder / "config.json").read_text()), set()
    for path in leaves(honest):
        false = copy.deepcopy(honest)
        put(false, path, forged(_at(honest, path)))
        write(folder, "config.json", false)
        missed |= set() if caught(folder) else {".".join(map(str, path))}
    assert missed == {"created"}, "seed, bounds and versions stand in the report as well"


def test_what_is_drawn_alone_may_differ_on_the_page_and_no_script_goes_there(published):
    page = (published / "report.html").read_text()
    assert page.count("<h2>Training</h2>") == 1
    other = page.replace("<h3>student</h3>", "<h3>other</h3>").replace("<svg", "<svg a", 1)
    assert reverification._text_of(other) == reverification._text_of(page)
    assert "Training" not in reverification._text_of(page)
    for false in (
        page.replace("</svg>", "<script>alert(1)</script></svg>", 1),
        page.replace("</main>", "<p>better than all others</p></main>"),
        page.replace("<h3>student</h3>", "<p>better than all others</p><h3>student</h3>"),
    ):
        assert reverification._text_of(false) != reverification._text_of(page)


def _at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree
