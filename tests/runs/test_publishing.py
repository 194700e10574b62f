"""The last stretch: nothing is published that is not its model, and the test split chooses nothing."""

import contextlib
import dataclasses
import functools
import io
import json
import types

import keras
import numpy as np
import pytest

import kerastl
from kerastl import verify
from kerastl.compress import cluster, mixed_precision, prune, ptq, qat
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.runs import Acceptance, acceptance, publishing, selective, store
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Dataset, History, Schedule, Split, Task


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def build(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(8, 3, strides=2, name="conv")(x)
    x = keras.layers.Flatten(name="flatten")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(image, keras.layers.Dense(4, name="logits")(x))


@pytest.fixture(scope="module")
def dataset(tiny_files):
    inputs, labels = tiny_files.inputs, tiny_files.labels
    task = Task("toy", Image((8, 8, 1)), SingleLabel(("upper left", "upper right", "lower left", "lower right")))
    splits = [
        Split(name, inputs[part], labels[part], task)
        for name, part in (("train", slice(0, 100)), ("validation", slice(100, 150)), ("test", slice(150, None)))
    ]
    return Dataset(task, *splits, digest="0" * 64, source="toy")


@pytest.fixture(scope="module")
def model(dataset):
    model = build(0)
    batches = pipeline.batches(dataset.train, batch_size=10, shuffle=True)
    fitting.fit(model, batches, schedule=Schedule(epochs=20, peak_learning_rate=1e-2), progress=False)
    return model


@pytest.fixture(scope="module")
def float32(model, dataset) -> bytes:
    return tflite.convert(model, dataset.task)


@pytest.fixture(scope="module")
def static_int8(float32, dataset) -> bytes:
    return ptq.static_int8(float32, calibration=dataset.train.inputs, inputs=dataset.task.inputs)


@pytest.fixture
def run(tmp_path, dataset):
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        yield run


def test_ships_the_smallest_file_within_the_budget(run, dataset, model, float32, static_int8):
    candidates = [
        publishing.Candidate("float32", "float32", float32, model),
        publishing.Candidate("static_int8", "static_int8", static_int8, model),
        publishing.Candidate("teacher", "static_int8", static_int8, model, eligible=False),
    ]
    result = publishing.publish(run, dataset, model=model, candidates=candidates)
    assert result["chosen"] == "static_int8"
    assert json.loads((run.folder / "report.json").read_text()) == result
    rows = {row["name"]: row for row in result["variants"]}
    expected = fitting.predict(model, dataset.test.inputs).argmax(-1)
    assert rows["float32"]["float_score"] == pytest.approx((expected == dataset.test.labels).mean())
    assert rows["float32"]["agreement"] == 1.0
    assert (run.folder / "mobile" / "model.tflite").read_bytes() == (
        run.folder / "variants" / "static_int8.tflite"
    ).read_bytes()
    assert (run.folder / "saved_model" / "saved_model.pb").is_file()


def test_the_fastest_when_asked(run, dataset, model, float32):
    files = {"float32": float32, "float16": ptq.float16(float32), "dynamic_int8": ptq.dynamic_int8(float32)}
    candidates = [publishing.Candidate(name, name, content, model) for name, content in files.items()]
    result = publishing.publish(run, dataset, model=model, candidates=candidates, accept=Acceptance(prefer="fastest"))
    milliseconds = {row["name"]: row["latency_ms"]["median"] for row in result["variants"]}
    assert milliseconds[result["chosen"]] == min(milliseconds.values())  # two may be as fast
    assert "fastest" in result["why"]


def test_an_ineligible_file_is_never_chosen(run, dataset, model, float32):
    candidates = [
        publishing.Candidate("teacher", "dynamic_int8", ptq.dynamic_int8(float32), model, eligible=False),
        publishing.Candidate("float32", "float32", float32, model),
    ]
    assert publishing.publish(run, dataset, model=model, candidates=candidates)["chosen"] == "float32"


def test_students_with_a_teacher_and_without_are_scored_seed_by_seed(run, dataset, model, float32):
    """Models and files alike, by NumPy; the share of the gap is that of the test scores."""
    others = [build(seed) for seed in (5, 6, 8)]
    file = tflite.convert(others[2], dataset.task)
    control = publishing.Baseline(
        # by themselves, and as stages give them
        fitting.Trained(model, History("teacher", {})),
        distilled=[others[0], tflite.Converted(file, History("quantized", {}))],
        trained_alone=[fitting.Trained(others[1], History("student", {})), others[0]],
        seeds=[7, 9],
        steps=30,
    )
    candidates = [publishing.Candidate("float32", "float32", float32, model)]
    found = publishing.publish(run, dataset, model=model, candidates=candidates, control=control)["control"]

    def scores(student):
        return {
            key: pytest.approx((fitting.predict(student, split.inputs).argmax(-1) == split.labels).mean())
            for key, split in (("validation_score", dataset.validation), ("score", dataset.test))
        }

    assert found["teacher"] == scores(model)
    assert found["distilled"] == [scores(others[0]), scores(others[2])]
    assert found["alone"] == [scores(others[1]), scores(others[0])]
    assert (found["seeds"], found["steps"]) == ([7, 9], 30)
    gains = [found["distilled"][pair]["score"] - found["alone"][pair]["score"] for pair in range(2)]
    gaps = [found["teacher"]["score"] - found["alone"][pair]["score"] for pair in range(2)]
    assert found["gain"] == pytest.approx(sum(gains) / 2)
    assert found["gap"] == pytest.approx(sum(gains) / sum(gaps))
    assert found["words"] in (run.folder / "report.html").read_text()
    with pytest.raises(ValueError, match=r"2 and 1 for seeds \[7, 9\]"):
        publishing.Baseline(model, distilled=[model, model], trained_alone=[model], seeds=[7, 9], steps=1)


@dataclasses.dataclass(frozen=True)
class Loose(Config):
    seeds: int = 2
    accept: Acceptance = Acceptance(prefer="fastest", max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0)


def test_what_the_recipe_does_not_say_is_said_by_its_config(tmp_path, dataset, model, float32):
    """Bounds and preference are the setting `accept`, seeds of the control those of the run."""
    biased, logits = build(0), fitting.predict(model, dataset.train.inputs)
    biased.set_weights(model.get_weights())
    behind = logits.max(1) - logits[:, 0]
    favor = np.quantile(behind[behind > 0], 0.3)  # a third of what it answered otherwise is now the first class
    biased.get_layer("logits").bias.assign_add(np.array([favor, 0, 0, 0]))
    other = ptq.static_int8(
        tflite.convert(biased, dataset.task), calibration=dataset.train.inputs, inputs=dataset.task.inputs
    )
    candidates = [
        publishing.Candidate("float32", "float32", float32, model),
        publishing.Candidate("qat_int8", "qat_int8", other, model),
    ]
    control = publishing.Baseline(model, distilled=[model] * 2, trained_alone=[build(5)] * 2, steps=30)
    with store.Run(tmp_path / "loose", recipe="toy", tag="loose", config=Loose(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        result = publishing.publish(run, dataset, model=model, candidates=candidates, control=control)
    assert "fastest" in result["why"]
    assert result["control"]["seeds"] == [0, 1]
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        with pytest.raises(ValueError, match=r"2 and 2 for seeds \[0\]"):
            publishing.publish(run, dataset, model=model, candidates=candidates, control=control)
        assert "qat_int8" in publishing.publish(run, dataset, model=model, candidates=candidates)["skipped"]
    with store.Run(tmp_path / "other", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(dataset)
        bounds = Loose().accept
        assert publishing.publish(run, dataset, model=model, candidates=candidates, accept=bounds)["chosen"]


def test_a_teacher_that_reads_other_inputs_hands_in_its_answers(run, dataset, model, float32):
    answers = {
        split.name: np.eye(4)[np.where(np.arange(len(split)) % 10, split.labels, (split.labels + 1) % 4)]
        for split in (dataset.validation, dataset.test)
    }
    control = publishing.Baseline(answers, distilled=[model], trained_alone=[build(5)], seeds=[0], steps=30)
    candidates = [publishing.Candidate("float32", "float32", float32, model)]
    found = publishing.publish(run, dataset, model=model, candidates=candidates, control=control)["control"]
    right = {name: float((answers[name].argmax(1) == getattr(dataset, name).labels).mean()) for name in answers}
    assert right["validation"] == pytest.approx(0.9)
    assert found["teacher"] == {"validation_score": right["validation"], "score": right["test"]}
    low, high = found["alone"][0]["score"], found["distilled"][0]["score"]
    assert found["gap"] == pytest.approx((high - low) / (right["test"] - low))
    text = (run.folder / "report.html").read_text()
    assert "the same 30 steps, a pair a seed." in text  # of one seed there is no interval to explain


def test_of_many_techniques_those_that_do_not_hold_are_left_out(run, dataset, model, float32):
    strange = build(7)
    candidates = [
        publishing.Candidate("float32", "float32", float32, model),
        publishing.Candidate("strange", "dynamic_int8", ptq.dynamic_int8(tflite.convert(strange, dataset.task)), model),
        publishing.Candidate("float16", "float16", b"", model, failed="half precision holds no kernel"),
    ]
    result = publishing.publish(
        run, dataset, model=model, candidates=candidates, skipped={"qat_int8": "no such <layer>"}
    )
    assert [row["name"] for row in result["variants"]] == ["float32"]
    assert set(result["skipped"]) == {"qat_int8", "strange", "float16"}
    assert result["skipped"]["float16"] == "half precision holds no kernel"
    assert result["skipped"]["strange"].startswith("failed the check of ")
    assert result["skipped"]["strange"].endswith("--accept.min-agreement sets this limit")
    assert [path.name for path in (run.folder / "variants").iterdir()] == ["float32.tflite"]
    page = (run.folder / "report.html").read_text()
    assert "<li><b>qat_int8</b>: no such &lt;layer&gt;</li>" in page


def test_a_layer_that_is_off_says_by_which_flag_it_would_pass(run, dataset, model, float32):
    candidates = [
        publishing.Candidate("float32", "float32", float32, model),
        publishing.Candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32), model),
    ]
    loose = {"min_agreement": 0.5, "max_score_drop": 1.0, "max_quantization_drop": 1.0}
    strict = Acceptance(max_layer_error=1e-9, **loose)
    result = publishing.publish(run, dataset, model=model, candidates=candidates, accept=strict)
    assert result["skipped"]["dynamic_int8"].startswith("failed the check of layer ")
    assert result["skipped"]["dynamic_int8"].endswith("--accept.max-layer-error sets this limit")
    result = publishing.publish(run, dataset, model=model, candidates=candidates, accept=Acceptance(**loose))
    assert not result["skipped"]


def test_what_everything_is_measured_by_has_to_hold(run, dataset, model):
    wrong = publishing.Candidate("float32", "float32", tflite.convert(build(7), dataset.task), model)
    with pytest.raises(verify.VerificationError, match=r"one that holds, got float32 failed the check of agreement"):
        publishing.publish(run, dataset, model=model, candidates=[wrong])
    assert not (run.folder / "mobile").exists()
    assert not (run.folder / "report.json").exists()


def test_it_has_to_hold_on_the_test_split_too(run, dataset, model):
    """A file that answers like its model on what chooses, and otherwise on what reports."""
    model, given, other = build(0), model.get_weights(), build(0)
    model.set_weights(given)
    other.set_weights([value if value.ndim == 1 else -value for value in given])
    blank = dataclasses.replace(dataset.validation, inputs=np.zeros_like(dataset.validation.inputs))
    same = dataclasses.replace(dataset, validation=blank)
    for one in (model, other):
        one.get_layer("conv").bias.assign(np.zeros(8))
    candidates = [
        publishing.Candidate("float32", "float32", tflite.convert(other, dataset.task), model),
        publishing.Candidate("float16", "float16", ptq.float16(tflite.convert(model, dataset.task)), model),
    ]
    result = publishing.publish(run, same, model=model, candidates=candidates)
    assert (result["chosen"], list(result["skipped"])) == ("float16", ["float32"])
    dearer = Acceptance(prefer="fastest")  # whichever is chosen first
    assert publishing.publish(run, same, model=model, candidates=candidates, accept=dearer)["chosen"] == "float16"


def test_a_file_of_another_model_is_not_published(run, dataset, model, float32):
    candidates = [
        publishing.Candidate("float32", "float32", float32, model),
        publishing.Candidate("wrong", "float32", tflite.convert(build(5), dataset.task), model),
    ]
    result = publishing.publish(run, dataset, model=model, candidates=candidates)
    assert [row["name"] for row in result["variants"]] == ["float32"]
    assert "wrong" in result["skipped"]
    assert not (run.folder / "variants" / "wrong.tflite").exists()


def test_a_float_file_that_claims_to_be_integer_is_not_published(run, dataset, model, float32):
    with pytest.raises(verify.VerificationError):
        publishing.publish(
            run,
            dataset,
            model=model,
            candidates=[publishing.Candidate("static_int8", "static_int8", float32, model)],
        )
    assert not (run.folder / "mobile").exists()


def test_sparsity_that_is_not_there_is_not_published(run, dataset, model, float32):
    candidate = publishing.Candidate("float32", "float32", float32, model, sparsity=0.5)
    with pytest.raises(verify.VerificationError, match="sparsity"):
        publishing.publish(run, dataset, model=model, candidates=[candidate])


def test_the_choice_does_not_look_at_the_test_split(run, dataset, model, float32, static_int8, monkeypatch):
    """Whatever is run before the choice, no test picture is among it."""
    seen = []
    real_check, real_choose = verify.check, verify.select
    monkeypatch.setattr(verify, "check", lambda a, split, **o: (seen.append(split.name), real_check(a, split, **o))[1])
    monkeypatch.setattr(verify, "select", lambda *a, **o: (seen.append("choice"), real_choose(*a, **o))[1])

    def spied(real, name, *given, **named):
        inputs = named["inputs"] if "inputs" in named else given[1]
        seen.append(f"{'test' if np.shares_memory(inputs, dataset.test.inputs) else 'other'} pictures to {name}")
        return real(*given, **named)

    for room, name in ((verify, "check_layers"), (fitting, "predict")):
        monkeypatch.setattr(room, name, functools.partial(spied, getattr(room, name), name))
    files = {"float32": float32, "static_int8": static_int8}
    candidates = [publishing.Candidate(name, name, content, model) for name, content in files.items()]
    publishing.publish(run, dataset, model=model, candidates=candidates)
    before, after = seen[: seen.index("choice")], seen[seen.index("choice") :]
    assert not any(one.startswith("test") for one in before)
    assert before.count("validation") == after.count("test") == 2
    assert "other pictures to check_layers" in before
    assert "test pictures to predict" in after


@pytest.mark.parametrize("wrong", ["scaled range", "zeros", "noise"])
def test_bad_calibration_is_not_published(wrong, run, dataset, model, float32):
    """Whichever gate sees it first: the pictures themselves, a layer's range, the answers, the agreement."""
    generator, inputs = np.random.default_rng(0), dataset.train.inputs
    pictures = {
        "scaled range": inputs // 64,  # 0..3, as if scaled by the wrong number
        "zeros": np.zeros_like(inputs),
        "noise": generator.integers(0, 256, inputs.shape).astype(np.uint8),
    }[wrong]

    def make_and_ship():
        small = ptq.static_int8(float32, calibration=pictures, inputs=dataset.task.inputs)
        files = {"float32": float32, "static_int8": small}
        candidates = [publishing.Candidate(name, name, content, model) for name, content in files.items()]
        result = publishing.publish(run, dataset, model=model, candidates=candidates)
        assert result["chosen"] == "float32"
        raise ValueError(result["skipped"]["static_int8"])

    with pytest.raises(ValueError, match=r"raw pixels|range of|depend on|agreement"):
        make_and_ship()
    assert not (run.folder / "variants" / "static_int8.tflite").exists()


@pytest.fixture(scope="module")
def pruned(dataset):
    """A model half of whose kernels is zero, and its file."""
    model = build(0)
    batches = pipeline.batches(dataset.train, batch_size=10, shuffle=True)
    pruning = prune.Prune(sparsity=0.5, begin_step=0, end_step=50, frequency=5, layers=["conv", "logits"], model=model)
    fitting.fit(
        model, batches, schedule=Schedule(epochs=10, peak_learning_rate=1e-2), progress=False, callbacks=[pruning]
    )
    return model, tflite.convert(model, dataset.task)


@pytest.mark.parametrize("technique", sorted(publishing.TECHNIQUES))
def test_sparsity_survives_every_technique(technique, run, dataset, pruned):
    """Half of each kernel is zero in the model, and in the file whatever became of its other weights."""
    model, float32 = pruned
    made = {
        "float32": lambda: float32,
        "qat_int8": lambda: quantization_aware(model, dataset),
        "static_int8": lambda: ptq.static_int8(float32, calibration=dataset.train.inputs, inputs=dataset.task.inputs),
        "static_int16_activations": lambda: ptq.static_int16_activations(
            float32, calibration=dataset.train.inputs, inputs=dataset.task.inputs
        ),
        "mixed_precision": lambda: mixed(float32, dataset),
    }
    content = made.get(technique, lambda: getattr(ptq, technique)(float32))()
    candidate = publishing.Candidate("pruned", technique, content, model, sparsity=0.5)
    loose = {"accept": Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8)}
    row = publishing.publish(run, dataset, model=model, candidates=[candidate], **loose)["variants"][0]
    assert row["sparsity"] >= 0.495
    denser = dataclasses.replace(candidate, name="denser", sparsity=row["sparsity"] + 0.02)
    with pytest.raises(verify.VerificationError, match="claimed sparsity"):
        publishing.publish(run, dataset, model=model, candidates=[denser], **loose)


def mixed(float32, dataset):
    """4-bit kernels in one layer and 8-bit ones in the other."""
    measured = mixed_precision.sensitivities(
        float32, answers=lambda file: verify.predict_tflite(file, dataset.validation.inputs)
    )
    way = mixed_precision.assignments(measured)
    chosen = next(one for one in way if set(one.bits.values()) == {4, 8})
    return mixed_precision.apply(float32, chosen)


@pytest.mark.parametrize("technique", ["dynamic_int8", "qat_int8"])
def test_clusters_survive_to_the_published_file(technique, run, dataset, model):
    batches = pipeline.batches(dataset.train, batch_size=10, shuffle=True)
    twin = bridge.to_tf_keras(model, probe=dataset.train.inputs[:4].astype("float32"))
    network = cluster.train(
        twin, batches, number_of_clusters=8, epochs=2, learning_rate=1e-3, layers=["conv", "logits"]
    )
    home = bridge.to_keras(network, like=model)
    if technique == "qat_int8":
        aware = qat.train(network, batches, epochs=1, learning_rate=1e-3, preserve_clusters=8)
        content = tflite.convert(aware, dataset.task, integer=True)
    else:
        content = ptq.dynamic_int8(tflite.convert(home, dataset.task))
    claim = cluster.claim(home, number_of_clusters=8, layers=["conv", "logits"], per_kernel=technique == "qat_int8")
    candidate = publishing.Candidate("clustered", technique, content, home, clusters=claim)
    loose = {"accept": Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8)}
    publishing.publish(run, dataset, model=home, candidates=[candidate], **loose)
    assert (run.folder / "mobile" / "model.tflite").is_file()
    fewer = dataclasses.replace(candidate, name="fewer", clusters=dataclasses.replace(claim, num_clusters=6))
    with pytest.raises(verify.VerificationError, match="claimed clusters"):
        publishing.publish(run, dataset, model=home, candidates=[fewer], **loose)


def quantization_aware(model, dataset) -> bytes:
    batches = pipeline.batches(dataset.train, batch_size=10, shuffle=True)
    twin = bridge.to_tf_keras(model, probe=dataset.train.inputs[:4].astype("float32"))
    aware = qat.train(twin, batches, epochs=1, learning_rate=1e-3, preserve_sparsity=True)
    return tflite.convert(aware, dataset.task, integer=True)


def test_what_is_asked_of_each_kind_of_file():
    """An int8 file that may answer a tenth otherwise; a float16 file may a quarter of that, and lose half."""
    asked = publishing._asked_of_int8(Acceptance(min_agreement=0.9, max_quantization_drop=0.02))
    furthest = pytest.approx(verify.INT8.mean_difference + 0.08)
    assert asked == dataclasses.replace(verify.INT8, agreement=0.9, score_drop=0.02, mean_difference=furthest)
    strict = Acceptance(min_agreement=0.99, max_quantization_drop=0.0)
    assert publishing._asked_of_int8(strict).mean_difference == verify.INT8.mean_difference
    half = publishing._Check(int8=asked)._tolerances[verify.FLOAT16]
    assert half == dataclasses.replace(verify.FLOAT16, agreement=pytest.approx(0.975), score_drop=0.01)


def test_a_file_answers_what_it_is_sure_of(run, dataset, model, float32, monkeypatch):
    """The reject option is in the file, `predict`, the page's lines and the report; `verify` measures it again."""
    candidates = [publishing.Candidate("float32", "float32", float32, model)]
    bounds = Acceptance(answer_coverage=0.6)
    result = publishing.publish(run, dataset, model=model, candidates=candidates, accept=bounds)
    found, answers = result["selective"], verify.predict_tflite(float32, dataset.test.inputs)
    sure = answers ** (1 / found["temperature"])
    sure = (sure / sure.sum(1, keepdims=True)).max(1)
    given = sure >= found["threshold"]
    right = answers.argmax(1) == dataset.test.labels
    assert found["validation"]["coverage"] == pytest.approx(0.6, abs=0.02)
    assert found["test"]["coverage"] == given.mean()
    assert found["test"]["precision"] == pytest.approx(right[given].mean())
    assert 0 < given.sum() < len(given)
    bundle = run.folder / "mobile"
    monkeypatch.chdir(bundle)
    opened = kerastl.open(bundle)
    said = opened.predict(dataset.test.inputs[:40])
    assert [one["label"] is not None for one in said] == given[:40].tolist()
    unsure = int(np.flatnonzero(~given)[0])
    assert opened.predict(dataset.test.inputs[unsure], top=2)[0]["words"].startswith("none of these; the likeliest are")
    code = (bundle / "README.md").read_text().split("```python\n")[1].split("```")[0]
    for place in (unsure, int(np.flatnonzero(given)[0])):
        pictured = f"np.asarray({dataset.test.inputs[place][None].tolist()}, "
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code.replace("np.zeros([1, 8, 8, 1], ", pictured), {})
        name = dataset.task.target.names[answers[place].argmax()] if given[place] else "none of these"
        assert printed.getvalue().startswith(name)
    page = (run.folder / "report.html").read_text()
    assert "Selective classification: Answers of" in page


def test_examples_of_no_class_are_there_when_the_threshold_is_fitted(run, dataset, model, float32, tmp_path):
    """Half of them fits it, the other half measures it; each class has its threshold in the file and in the snippet."""
    others = np.random.default_rng(7).integers(0, 256, (60, 8, 8, 1)).astype("uint8")
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "noise.npy", others)
    candidates = [publishing.Candidate("float32", "float32", float32, model)]
    bounds = Acceptance(answer_precision=0.8, answer_by_class=True, other=str(tmp_path / "other"))
    result = publishing.publish(run, dataset, model=model, candidates=candidates, accept=bounds)
    found = result["selective"]
    option = kerastl.open(run.folder / "mobile").task.target.reject
    assert list(option.class_thresholds) == found["class_thresholds"]
    assert option.auroc == found["auroc"]
    assert found["other"]["examples"] == 30
    halves = selective.others(str(tmp_path / "other"), dataset.task.inputs)
    assert sorted(map(bytes, np.concatenate(halves))) == sorted(map(bytes, others)), "each is in one half"
    answers = verify.predict_tflite(float32, halves.held_out)
    shares = option.calibrated(answers)
    rejected = shares.max(1) < np.array(option.class_thresholds)[shares.argmax(1)]
    assert found["other"]["rejected"] == pytest.approx(rejected.mean())
    assert "examples of no class" in found["words"]
    code = (run.folder / "mobile" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "thresholds = [" in code
    for place in (int(np.flatnonzero(rejected)[0]), int(np.flatnonzero(~rejected)[0])):
        pictured = f"np.asarray({halves.held_out[place][None].tolist()}, "
        with contextlib.chdir(run.folder / "mobile"), contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code.replace("np.zeros([1, 8, 8, 1], ", pictured), {})
        name = "none of these" if rejected[place] else dataset.task.target.names[answers[place].argmax()]
        assert printed.getvalue().startswith(name)


@pytest.mark.parametrize(
    ("bounds", "target", "words"),
    [
        ({"answer_by_class": True}, SingleLabel(("a", "b")), "--accept.answer-precision"),
        ({"other": "."}, MultiLabel(("a", "b")), "--accept.other is for examples of one class each"),
        ({"answer_precision": 0.9, "answer_coverage": 0.9}, SingleLabel(("a", "b")), "a precision or for a coverage"),
        ({"answer_precision": 0.0}, SingleLabel(("a", "b")), "above 0"),
        ({"answer_coverage": 0.9}, MultiLabel(("a", "b")), "examples of one class each"),
    ],
)
def test_answers_that_cannot_be_made_sure_are_refused(bounds, target, words):
    with pytest.raises(ValueError, match=words):
        acceptance.check_reject_option(Acceptance(**bounds), target)


@pytest.mark.parametrize("lost", ["chosen", "other", "unlike"])
def test_what_fails_on_test_stands_in_no_choice(lost):
    """Whichever file it is, the last that is looked at as well: the choice is made of those that are left."""
    measured = {
        name: (types.SimpleNamespace(name=name, eligible=True), types.SimpleNamespace(name=name))
        for name in ("other", "chosen", "unlike")
    }
    asked = []

    def choose(found):
        asked.append([candidate.name for candidate, _ in found])
        return types.SimpleNamespace(name=min(asked[-1]), within=tuple(asked[-1]))

    def proven(candidate, variant):
        return None if candidate.name == lost else variant

    choice, tested = publishing._proven_on_test(measured, proven, choose=choose)
    assert set(measured) == set(tested) == {"other", "chosen", "unlike"} - {lost}
    assert set(choice.within) == set(tested)
    assert choice.name == min(tested)
    assert len(asked) == 2
