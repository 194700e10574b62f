from __future__ import annotations

import pytest

from kerastl.models import advice
from kerastl.training import sentences

FRUIT = {"pear": 60, "fig": 40}


def ask(**changes):
    settings = {"kind": "pictures", "counts": FRUIT, "length": 480, "forward_passes": 4, "epochs": 10}
    return advice.advise(**(settings | changes))


def test_the_best_features_of_those_within_the_budget():
    best = ask()
    assert (best.model.name, best.model.size) == ("efficientnet_lite0", 224)
    assert best.flags == {"backbone": "efficientnet_lite0", "image-size": 224}
    assert "100 pictures of 2 classes, 40 to 60 each." in best.why
    smaller = ask(megabytes=3)
    assert (smaller.model.name, smaller.model.size) == ("mobilenet_v2", 224)
    assert all(model.megabytes <= 3 for model in smaller.others)
    faster = ask(milliseconds=min(model.milliseconds for model in advice.MODELS if model.kind == "pictures"))
    assert faster.model.size == 96
    assert faster.others == ()


def test_the_run_keeps_the_budget():
    assert ask(megabytes=3).flags["accept.megabytes"] == 3
    both = ask(megabytes=3, milliseconds=7)
    assert (both.flags["accept.megabytes"], both.flags["accept.milliseconds"]) == (3, 7)
    assert any("on its own machine" in reason for reason in both.why)
    assert not [name for name in ask().flags if name.startswith("accept")]


def test_bytes_are_promised_with_the_file_that_comes_next():
    best = ask(megabytes=3)
    assert advice.promise(best.model) == "2.49 MB, or 4.49 MB (float16) if its file of integers fails its proof"
    assert any("the next one has 4.49 MB, and the run ends without a file" in reason for reason in best.why)
    assert not any("the next one" in reason for reason in (*ask().why, *ask(megabytes=8).why))
    texts = ask(kind="texts", length=20).model
    assert advice.promise(texts).endswith("MB (float16) if its file of int8 weights fails its proof")
    assert all(1.5 * one.megabytes < one.float16_megabytes < 2.1 * one.megabytes for one in advice.MODELS)


def test_minutes_are_forward_passes_and_epochs_of_every_example():
    found = ask(forward_passes=3, epochs=7)
    assert found.minutes == pytest.approx(100 * (3 * found.model.forward + 7 * found.model.train) / 60)


def test_a_budget_that_nothing_keeps_names_what_comes_nearest():
    with pytest.raises(ValueError, match=r"0\.1 MB.* the smallest, mobilenet_v2 at 96 \("):
        ask(megabytes=0.1)
    with pytest.raises(ValueError, match="two classes"):
        ask(counts={"pear": 9})


def test_small_pictures_are_not_enlarged_for_nothing():
    found = ask(length=32)
    assert found.model.size == 96
    assert any("32 pixels wide" in reason for reason in found.why)


def test_texts_get_an_encoder_as_long_as_they_are():
    for length, size in ((20, 64), (65, 128), (200, 256), (500, 256)):
        found = ask(kind="texts", length=length)
        assert (found.model.name, found.model.size) == ("minilm_l6", size)
        assert any(f"at most {length} tokens; sizes and times are of texts of {size}." in one for one in found.why)
        assert found.flags == {"encoder": "minilm_l6"}  # the run reads the length off the texts
    short = ask(kind="texts", length=200, milliseconds=50)
    assert short.flags == {"encoder": "minilm_l6", "sequence-length": 128, "accept.milliseconds": 50}


def test_numbers_of_texts_are_estimated():
    found = ask(kind="texts", length=20, counts={str(n / 10): 2 for n in range(30)}, regression=True, megabytes=30)
    assert found.recipe == "text_classifier"
    assert found.flags == {"encoder": "minilm_l6", "task": "regression", "accept.megabytes": 30}
    assert found.why[0] == "60 texts with a number each."
    assert not any("twenty more" in reason for reason in found.why)
    taught = {"kind": "texts", "length": 20, "megabytes": 1}
    assert (ask(**taught).recipe, ask(**taught, regression=True).recipe) == ("text_mobile", "text_classifier")


def test_texts_of_another_language_or_for_a_small_phone_are_learnt_from_nothing():
    found = ask(kind="texts", length=20, familiar=False)
    assert found.flags == {"encoder": "small"}  # at the rate that the run plans for it
    nothing = sentences.plan(examples=100, outputs=2, pretrained=False)
    assert not nothing.probe
    assert found.minutes == pytest.approx(100 * nothing.fine_tune.epochs * found.model.train / 60)
    assert any("another language" in reason for reason in found.why)
    assert ask(kind="texts", length=20, megabytes=0.8).model.name == "small"
    assert ask(kind="texts", length=20, megabytes=1, familiar=False).recipe == "text_classifier"


def test_scarce_and_uneven_classes_are_said():
    reasons = " ".join(ask(counts={"pear": 400, "fig": 7}).why)
    assert "'fig' has 7 examples" in reasons
    assert "the recall of each" in reasons
    assert "recall" not in " ".join(ask().why)


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_every_model_is_one_that_the_recipe_takes_and_better_ones_cost_more(kind):
    models = [model for model in advice.MODELS if model.kind == kind]
    assert len(models) >= 4
    for model in models:
        assert 0 < model.forward < model.train
        smaller = [other for other in models if other.name == model.name and other.size < model.size]
        assert all(other.milliseconds < model.milliseconds and other.train < model.train for other in smaller)
        assert all(other.rank <= model.rank for other in smaller)


def test_minutes_of_several_classes_are_of_the_examples_and_not_of_their_labels():
    found = ask(counts={"pear": 60, "fig": 40}, examples=70, forward_passes=3, epochs=7)
    assert found.minutes == pytest.approx(70 * (3 * found.model.forward + 7 * found.model.train) / 60)
    assert found.why[0] == "70 pictures of none, one or several of 2 classes, 40 to 60 each."


def named(name, size):
    return next(model for model in advice.MODELS if (model.name, model.size) == (name, size))


def test_a_teacher_over_the_budget_teaches_a_small_student():
    teacher, student, small = named("minilm_l6", 128), named("text_cnn", 512), named("small", 64)
    found = ask(kind="texts", length=100, megabytes=1, epochs=3)
    flags = {"teacher-length": 128, "accept.megabytes": 1}
    assert (found.recipe, found.model, found.flags) == ("text_mobile", student, flags)
    assert small in found.others
    seconds = teacher.forward + 3 * teacher.train + 20 * student.train
    assert found.minutes == pytest.approx(100 * seconds / 60)
    reasons = " ".join(found.why)
    assert "is over the budget, and can still teach" in reasons
    assert "has the labels alone" in reasons
    assert ask(kind="texts", length=900, megabytes=1).flags == flags | {"teacher-length": 256}
    assert ask(kind="texts", length=100, milliseconds=10).recipe == "text_mobile"
    for other in (
        ask(kind="texts", length=100),  # the teacher itself is within the budget
        ask(kind="texts", length=100, megabytes=0.8),
        ask(kind="texts", length=100, megabytes=1, familiar=False),
        ask(kind="texts", length=100, megabytes=1, examples=90),  # of several classes nobody teaches
    ):
        assert other.recipe == "text_classifier"
        assert student not in other.others


def test_a_teacher_is_affordable_for_a_night():
    seconds = named("minilm_l6", 64).forward + 3 * named("minilm_l6", 64).train
    most = int(advice.AFFORDABLE_MINUTES * 60 / seconds / 2)
    for each, recipe in ((most, "text_mobile"), (most + 1, "text_classifier")):
        counts = {"good": each, "bad": each}
        assert ask(kind="texts", counts=counts, length=20, megabytes=1, epochs=3).recipe == recipe


def test_few_pictures_of_every_class_have_a_recipe_of_their_own():
    few = ask(counts={"pear": 20, "fig": 9})
    assert few.recipe == "image_few_labels"
    assert few.flags == {"backbone": "efficientnet_lite0", "image-size": 224, "labels": 20}
    assert any("too few to choose an epoch by" in reason for reason in few.why)
    for changes in (
        {"counts": {"pear": 21, "fig": 9}},
        {"counts": {"pear": 20, "fig": 9}, "examples": 25},
        {"counts": {"pear": 20, "fig": 9}, "kind": "texts", "length": 9},
    ):
        assert ask(**changes).recipe in ("image_classifier", "text_classifier")
