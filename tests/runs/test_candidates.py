"""The files that a run measures, and how each is said to have been made."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress import ptq
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.runs import candidates
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
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


def test_a_baseline_has_a_pair_a_seed(model):
    candidates.Baseline(model, distilled=[model, b"file"], trained_alone=[model, model], seeds=[0, 1], steps=3)
    for distilled, alone, seeds in (([model], [], [0]), ([model], [model], [0, 1]), ([], [], [])):
        with pytest.raises(ValueError, match=f"{len(distilled)} and {len(alone)} for seeds"):
            candidates.Baseline(model, distilled=distilled, trained_alone=alone, seeds=seeds, steps=3)


def test_those_of_a_teacher_are_not_eligible(model):
    (made,) = candidates.post_training(model, TASK, techniques=["float32"], prefix="teacher_", eligible=False)
    assert (made.name, made.eligible) == ("teacher_float32", False)
