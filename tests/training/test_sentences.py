"""The plan for sentences in its regimes, and what is decided already."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kerastl.inputs.text import Text
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import sentences
from kerastl.types import Split, Task

TASK = Task("toy", Text(4, ("[PAD]", "a", "b")), SingleLabel(("low", "middle", "high")))


def train(count=60):
    labels = np.tile(np.arange(3, dtype=np.int32), count // 3)
    return Split("train", np.ones((count, 4), np.int32), labels, TASK)


@pytest.mark.parametrize(
    ("examples", "outputs", "epochs", "batch_size", "rate"),
    [
        (231, 77, 0, None, None),  # three of a class
        (770, 77, 13, 16, 1e-4),
        (1540, 77, 6, 16, 1e-4),
        (8500, 77, 4, 32, 5e-5),
        (600, 2, 8, 16, 5e-5),
        (20_000, 2, 2, 32, 5e-5),  # BERT's own two epochs are enough here
    ],
)
def test_the_plan_follows_texts_and_classes(examples, outputs, epochs, batch_size, rate):
    plan = sentences.plan(examples=examples, outputs=outputs)
    assert plan.probe
    assert f"{examples:,} texts" in plan.why
    if not epochs:
        assert plan.fine_tune is None
        assert "by heart" in plan.why
        return
    found = plan.fine_tune
    assert (found.epochs, found.batch_size, found.peak_learning_rate) == (epochs, batch_size, rate)
    assert f"{found.steps(examples, drop_remainder=False):,} steps" in plan.why
    assert found.steps(examples) >= 290
    assert plan.embeddings == ("all but the embeddings" not in plan.why) == (examples / outputs >= sentences.FEW)


def test_a_few_hundred_texts_of_many_classes_get_steps_and_not_epochs():
    """The two epochs that long reviews take would be 192 steps, after which 77 classes are not even told apart."""
    steps = [sentences.plan(examples=77 * each, outputs=77).fine_tune.steps(77 * each) for each in (10, 20, 50, 117)]
    assert all(550 <= count <= 1300 for count in steps), steps


def test_what_is_decided_stands():
    plan = sentences.plan(examples=1540, outputs=77, epochs=3, learning_rate=0.5, batch_size=8)
    assert (plan.fine_tune.epochs, plan.fine_tune.batch_size, plan.fine_tune.peak_learning_rate) == (3, 8, 0.5)
    assert "3 epochs (579 steps of 8, rate 0.5 at most)" in plan.why
    assert sentences.plan(examples=1540, outputs=77, epochs=0).fine_tune is None
    assert sentences.plan(examples=231, outputs=77, epochs=5).fine_tune.epochs == 5


def test_low_rank_matrices_have_a_rate_of_their_own():
    plan, whole = (sentences.plan(examples=1540, outputs=77, lora=lora) for lora in (True, False))
    assert plan.fine_tune.peak_learning_rate > 3 * whole.fine_tune.peak_learning_rate
    assert plan.layer_decay == 1 > whole.layer_decay
    assert "low-rank matrices" in plan.why
    assert plan.probe == whole.probe


def test_an_encoder_from_nothing_has_no_features_and_learns_fast():
    plan = sentences.plan(examples=600, outputs=2, pretrained=False)
    assert not plan.probe
    assert (plan.fine_tune.epochs, plan.fine_tune.peak_learning_rate, plan.layer_decay) == (10, 1e-3, 1.0)
    with pytest.raises(ValueError, match="one epoch or more"):
        sentences.plan(examples=600, outputs=2, pretrained=False, epochs=0)


def test_the_plan_for_a_split_counts_what_it_is_asked():
    assert sentences.plan_for(train()) == sentences.plan(examples=60, outputs=3)
    assert sentences.plan_for(train(), lora=True, epochs=2) == sentences.plan(
        examples=60, outputs=3, lora=True, epochs=2
    )
    labels = np.eye(3, dtype=np.uint8)[train().labels]
    labels[:30, 0] = 1  # of two classes, those that had another one
    task = dataclasses.replace(TASK, target=MultiLabel(TASK.target.names))
    several = dataclasses.replace(train(), labels=labels, task=task)
    assert sentences.plan_for(several) == sentences.plan(examples=60, outputs=3, each=labels.sum() / 3)


@pytest.mark.parametrize(("examples", "outputs"), [(0, 2), (3, 0)])
def test_no_plan_for_nothing(examples, outputs):
    with pytest.raises(ValueError, match="a text and an output"):
        sentences.plan(examples=examples, outputs=outputs)
