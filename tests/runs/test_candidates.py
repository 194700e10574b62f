"""The files that a run measures, and how each is said to have been made."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.runs import candidates
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import ClusterClaim, Split, Task
from kerastl.verify import checks

TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))
PICTURES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Rescaling(1 / 255, name="rescale")(image))
    return keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="flatten")(x)))


def test_a_technique_is_a_known_one_or_ones_own(model):
    known = candidates.Candidate("small", "static_int8", b"", model)
    assert known.how is candidates.TECHNIQUES["static_int8"]
    own = candidates.Technique("by hand", checks.FLOAT32)
    assert candidates.Candidate("small", own, b"", model).how is own
    with pytest.raises(ValueError, match=r"no technique 'static_int'\. Did you mean static_int8.*Available: float32"):
        candidates.Candidate("small", "static_int", b"", model)


def test_only_files_that_claim_integers_do_so():
    integers = {name for name, technique in candidates.TECHNIQUES.items() if technique.integer}
    assert integers == {"static_int8", "qat_int8", "static_int16_activations"}
    assert all(technique.layers is None for name, technique in candidates.TECHNIQUES.items() if "float" in name)


def test_files_of_post_training_quantization_in_the_order_wanted(model):
    names = ["static_int8", "float32", "dynamic_int8"]
    found = candidates.post_training(model, TASK, techniques=names, calibration=PICTURES, sparsity=0.5, prefix="own_")
    assert [one.name for one in found] == [f"own_{name}" for name in names]
    assert [one.technique for one in found] == names
    assert all(one.model is model and one.sparsity == 0.5 and one.eligible for one in found)
    float32 = tflite.convert(model, TASK)
    wanted = [ptq.static_int8(float32, calibration=PICTURES, inputs=TASK.inputs), float32, ptq.dynamic_int8(float32)]
    assert [one.tflite for one in found] == wanted
    every = [name for name in candidates.TECHNIQUES if name not in ("qat_int8", "mixed_precision")]
    assert len(candidates.post_training(model, TASK, techniques=every, calibration=PICTURES)) == len(every) == 7


def test_what_no_file_can_be_made_by_is_refused(model):
    with pytest.raises(ValueError, match=r"Wanted techniques of float32, .*Received: float32, qat_int8"):
        candidates.post_training(model, TASK, techniques=["float32", "qat_int8"], calibration=PICTURES)
    with pytest.raises(ValueError, match=r"Received: static_int8, no calibration"):
        candidates.post_training(model, TASK, techniques=["static_int8"])
    with pytest.raises(ValueError, match=r"mixed_precision needs validation=\. Received: mixed_precision, .*no split"):
        candidates.post_training(model, TASK, techniques=["mixed_precision"])


def test_a_split_says_its_task_and_calibrates_with_its_first_500(model):
    many = np.random.default_rng(1).integers(0, 256, (510, 8, 8, 1)).astype(np.uint8)
    many[:500] //= 8  # what is looked at beyond widens the ranges
    split = Split("train", many, np.zeros(510, np.int32), TASK)
    names = ["float32", "static_int8"]
    float32, integers = candidates.post_training(model, split, techniques=names)
    assert float32.tflite == tflite.convert(model, TASK)
    assert integers.tflite == ptq.static_int8(float32.tflite, calibration=many[:500], inputs=TASK.inputs)
    _, given = candidates.post_training(model, split, techniques=names, calibration=PICTURES)
    assert given.tflite == ptq.static_int8(float32.tflite, calibration=PICTURES, inputs=TASK.inputs) != integers.tflite


def test_streamed_examples_of_a_split_calibrate_too(model, stream):
    many = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    split, lazy = (Split("train", inputs, np.zeros(30, np.int32), TASK) for inputs in (many, stream(many)))
    first, second = (candidates.post_training(model, one, techniques=["static_int8"]) for one in (split, lazy))
    assert first[0].tflite == second[0].tflite


def test_a_baseline_has_a_pair_a_seed(model):
    candidates.Baseline(model, distilled=[model, b"file"], trained_alone=[model, model], seeds=[0, 1], steps=3)
    for distilled, alone, seeds in (([model], [], [0, 1]), ([model], [model], [0, 1]), ([], [], [])):
        with pytest.raises(ValueError, match=f"{len(distilled)} and {len(alone)} for seeds"):
            candidates.Baseline(model, distilled=distilled, trained_alone=alone, seeds=seeds, steps=3)
    assert candidates.Baseline(model, distilled=[model], trained_alone=[model], steps=3).seeds is None
    assert candidates.Baseline(model, distilled=[model] * 2, trained_alone=[], seeds=[0, 1], steps=3).seeds == [0, 1]
    with pytest.raises(ValueError, match="1 and 2 for seeds of the run"):
        candidates.Baseline(model, distilled=[model], trained_alone=[model, model], steps=3)


def test_those_of_a_teacher_are_not_eligible(model):
    (made,) = candidates.post_training(model, TASK, techniques=["float32"], prefix="teacher_", eligible=False)
    assert (made.name, made.eligible) == ("teacher_float32", False)


@pytest.fixture(scope="module")
def validation() -> Split:
    pictures = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1)).astype(np.uint8)
    return Split("validation", pictures, (np.arange(60) % 3).astype("int32"), TASK)


def test_mixed_precision_and_rounding_by_answers(model, validation):
    names = ["float32", "int4_weights", "mixed_precision"]
    options = {"validation": validation, "max_score_drop": 1.0}
    nearest = candidates.post_training(model, TASK, techniques=names, **options)
    rounded = candidates.post_training(model, TASK, techniques=names, rounding=PICTURES, **options)
    clusters = ClusterClaim(4, (36,))
    few = candidates.post_training(model, TASK, techniques=names, rounding=PICTURES, clusters=clusters, **options)
    assert [one.tflite == other.tflite for one, other in zip(nearest, rounded, strict=True)] == [True, False, False]
    assert [one.tflite for one in few] == [one.tflite for one in nearest]  # of clusters the nearest integers stay
    assert all(one.clusters is clusters for one in few)
    assert len(rounded[2].tflite) <= len(rounded[1].tflite)  # whatever it may lose, it is the smallest
    wanted = ptq.int4_weights(nearest[0].tflite, calibration=PICTURES, inputs=TASK.inputs)
    assert rounded[1].tflite == wanted


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_mixed_precision_loses_no_more_than_is_accepted(drop, validation):
    """Of numbers the drop is counted in their standard deviations, and a smaller score is a better one."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(keras.layers.Rescaling(1 / 255, name="rescale")(image))
    network = keras.Model(image, keras.layers.Dense(1, name="values")(keras.layers.Dense(20, name="hidden")(x)))
    labels = network.predict(validation.inputs.astype("float32"), verbose=0)
    task = Task("numbers", TASK.inputs, Regression.of(labels, names=("one",)))
    held = Split("validation", validation.inputs, labels, task)
    float32, small = candidates.post_training(
        network, task, techniques=["float32", "mixed_precision"], validation=held, max_score_drop=drop
    )
    scores = [
        task.target.score(verify.predict_tflite(one.tflite, held.inputs, kind=task.inputs), labels).value
        for one in (float32, small)
    ]
    assert task.target.drop(scores[1], scores[0]) <= drop
    assert (len(small.tflite) < len(float32.tflite)) == (drop > 0)


def test_what_cannot_be_done_is_said_where_somebody_keeps_it(validation):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Rescaling(1 / 255, name="rescale")(image))
    flat = keras.layers.Flatten(name="flatten")(keras.ops.sin(x))  # without an integer kernel
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(flat))
    names = ["float32", "static_int8", "float16"]
    made = candidates.post_training(network, TASK, techniques=names, calibration=PICTURES)
    assert [(one.name, bool(one.tflite), bool(one.failed)) for one in made] == [
        ("float32", True, False),
        ("static_int8", False, True),
        ("float16", True, False),
    ]
    assert "would stay float" in made[1].failed
    skipped = {}
    made = candidates.post_training(
        network, TASK, techniques=names, calibration=PICTURES, prefix="own_", skipped=skipped
    )
    assert [one.name for one in made] == ["own_float32", "own_float16"]
    assert set(skipped) == {"own_static_int8"}
    assert "would stay float" in skipped["own_static_int8"]
    assert "\n" not in skipped["own_static_int8"]


def test_an_attempt_gives_what_it_makes_or_keeps_the_reason(capsys):
    skipped = {}
    assert candidates.attempt("good", lambda: 3, skipped=skipped) == 3

    def bad():
        raise ValueError("not\n  possible")

    assert candidates.attempt("bad", bad, skipped=skipped) is None
    assert skipped == {"bad": "not possible"}
    assert "skipped: bad: not possible" in capsys.readouterr().out
    with pytest.raises(TypeError):  # a fault of ours is no technique that cannot be done
        candidates.attempt("worse", lambda: 1 + "1", skipped=skipped)
