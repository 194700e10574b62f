"""The stages of an adapted encoder: features once, a probe on them, fine-tuning that begins where the probe ended."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.inputs.wordpiece import SPECIAL
from kerastl.models.pretrained import encoders
from kerastl.runs import sentences
from kerastl.runs.sentences import FineTuning
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import contrastive_pairs, fitting, linear_head, transfer
from kerastl.types import Dataset, History, Split, Task

WORDS = (*SPECIAL, *(f"w{number}" for number in range(45)))
TASK = Task("toy", Text(8, WORDS), SingleLabel(("low", "high")))


def split(name, count, seed):
    """Texts of which one word says the class."""
    random = np.random.default_rng(seed)
    ids = random.integers(10, 50, (count, 8)).astype(np.int32)
    labels = (np.arange(count) % 2).astype(np.int32)
    ids[:, 0], ids[:, 1] = 2, 5 + labels
    return Split(name, ids, labels, TASK)


DATA = Dataset(
    TASK, split("train", 48, 0), split("validation", 20, 1), split("test", 20, 2), digest="0" * 64, source=""
)


class Stages:
    """A run that makes every stage and remembers what was asked."""

    def __init__(self):
        self.keys, self.made = {}, {}

    def stage(self, name, make, *, key):
        self.keys[name], self.made[name] = key, make(None)
        return self.made[name]

    def stage_key(self, name):
        assert name in self.made
        return f"key of {name}"


def adapted(run, **options):
    plan = sentences.plan(DATA, encoder="minilm_l6", settings=FineTuning(epochs=1, batch_size=16))
    options = {"plan": plan, "key": ["small"], "seed": 3, **options}
    return sentences.adapted(run, DATA, lambda: encoders.load("small", TASK), **options)


@pytest.fixture(scope="module")
def made():
    run = Stages()
    return run, adapted(run, prefix="teacher_")


def test_features_are_the_encoders_own_of_every_text(made):
    run, found = made
    train, held = run.made["teacher_features"]
    probe = found["linear_probe"].model
    body = transfer.feature_extractor(probe)
    np.testing.assert_allclose(train.inputs, fitting.predict(body, DATA.train.inputs), atol=1e-5)
    np.testing.assert_array_equal(train.labels, DATA.train.labels)
    assert len(held) == len(DATA.validation)
    keras.utils.set_random_seed(3)
    fresh = encoders.load("small", TASK)  # the probe moved the head alone
    for one, other in zip(fresh.weights, probe.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy()) == (not one.path.startswith("logits")), one.path


def test_fine_tuning_begins_where_the_probe_ended_and_moves_early_layers_least(made):
    run, found = made
    probe, tuned = found["linear_probe"].model, found["fine_tuned"].model
    assert list(found) == ["linear_probe", "fine_tuned"]
    moved = {}
    for before, after in zip(probe.weights, tuned.weights, strict=True):
        name = before.path.split("/")[0]
        moved[name] = max(moved.get(name, 0.0), float(np.abs(after.numpy() - before.numpy()).max()))
    # three steps of Adam, each of the learning rate at most: what began elsewhere would be further off
    assert 0 < moved["logits"] < 3.1e-4
    assert 0 < moved["transformer_layer_0"] < 0.95 * moved["logits"]
    assert moved["token_embedding"] == moved["position_embedding"] == 0, "so few texts show only some of the words"
    assert {"teacher_features", "teacher_linear_probe", "teacher_fine_tuned"} == set(run.keys)
    assert "key of teacher_linear_probe" in run.keys["teacher_fine_tuned"]


@pytest.fixture
def cheap(monkeypatch):
    """What fine-tuning was asked for, where nothing is trained and the probe is the head as it came."""
    asked = []

    def probe(model, features, **options):
        asked.append({"features": features, **options})
        return fitting.Trained(model, History("linear_probe", {}))

    def fit(model, data, **options):
        asked.append({"model": model, **options})
        return History("fine_tuned", {})

    monkeypatch.setattr(linear_head, "linear_probe", probe)
    monkeypatch.setattr(fitting, "fit", fit)
    splits = (DATA.train, DATA.validation)
    monkeypatch.setattr(sentences, "_features", lambda data, build, choose, at: splits[: 1 + choose])
    return asked


@pytest.mark.parametrize("choose", [True, False])
def test_the_best_epoch_is_kept_where_validation_may_choose(cheap, choose):
    run, weights = Stages(), {0: 2.0, 1: 1.0}
    adapted(run, chosen_by_validation=choose, class_weight=weights)
    probe, tuned = cheap
    assert tuned["keep"] == ("best" if choose else "last")
    assert probe["validation"] is tuned["validation"] is (DATA.validation if choose else None)
    assert probe["class_weight"] == tuned["class_weight"] == weights
    assert weights in run.keys["fine_tuned"]
    assert weights in run.keys["linear_probe"]


def test_low_rank_matrices_learn_beside_what_is_frozen(cheap):
    adapted(Stages(), lora_rank=2)
    learning = cheap[-1]["model"].trainable_variables
    assert {"lora_kernel_a", "lora_kernel_b"} <= {weight.path.split("/")[-1] for weight in learning}
    assert len(learning) == 2 * 2 * 2 + 2  # of queries and values in two layers, and the head


def test_an_encoder_from_nothing_has_no_probe(cheap, capsys):
    plan = sentences.plan(DATA, encoder="small", settings=FineTuning())
    assert "from nothing" in capsys.readouterr().out
    run = Stages()
    assert list(adapted(run, plan=plan)) == list(run.keys) == ["fine_tuned"]


def test_a_last_epoch_that_is_the_best_is_said():
    curves = [
        History("fine_tuned", {"val_accuracy": (0.5, 0.7, 0.8)}),
        History("linear_probe", {"val_accuracy": (0.5, 0.8, 0.8)}),  # which kept the one before
        History("other", {"accuracy": (0.1, 0.2)}),
    ]
    (said,) = sentences.notes(curves, task=TASK, flag="--epochs")
    assert "fine_tuned was best on validation in the last of its 3 epochs" in said
    assert "--epochs 6" in said
    lower = Regression(("x",), (0.0,), (1.0,))  # an error, the lower the better
    task = Task("toy", TASK.inputs, lower)
    name = f"val_{lower.training_metric().name}"
    assert sentences.notes([History("fine_tuned", {name: (3.0, 2.0)})], task=task)
    assert not sentences.notes([History("fine_tuned", {name: (2.0, 3.0)})], task=task)


def test_an_encoder_that_learnt_from_pairs_is_one_more_candidate(monkeypatch):
    monkeypatch.setattr(contrastive_pairs, "PAIRS", 200)
    run = Stages()
    found = adapted(run, pairs=True, chosen_by_validation=False)
    assert list(found) == ["linear_probe", "contrastive_pairs"]  # nothing chooses, and this is taken
    tuned, probe = found["contrastive_pairs"].model, found["linear_probe"].model
    for name in encoders.groups(tuned)[0]:  # of few texts they stay
        words, theirs = (one.get_layer("encoder").get_layer(name).get_weights() for one in (tuned, probe))
        assert all(np.array_equal(one, other) for one, other in zip(words, theirs, strict=True))
    assert all(layer.trainable for layer in tuned.get_layer("encoder").layers)
    moved = [
        one.path for one, other in zip(tuned.weights, probe.weights, strict=True) if not np.array_equal(one, other)
    ]
    assert any("transformer_layer_0" in path for path in moved)
    features = transfer.feature_extractor(tuned)
    kind = Numbers(features.output_shape[1:])
    made = Split("train", fitting.predict(features, DATA.train.inputs), DATA.train.labels, Task("f", kind, TASK.target))
    again = linear_head.linear_probe(keras.models.clone_model(tuned), made).model
    for one, other in zip(again.get_layer("logits").weights, tuned.get_layer("logits").weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)  # the head is the best of its new features


def test_pairs_are_refused_where_nothing_belongs_together():
    numbers = Task("toy", TASK.inputs, Regression.of(np.eye(2, 1), names=("stars",), unit=""))
    for task, encoder, lora, words in (
        (numbers, "minilm_l6", False, "--contrastive-pairs"),
        (TASK, "small", False, "--encoder small, which knows nothing yet"),
        (TASK, "minilm_l6", True, "Received: --lora-rank"),
    ):
        with pytest.raises(ValueError, match=words):
            sentences.require_pairs(dataclasses.replace(DATA, task=task), encoder=encoder, lora=lora)
    sentences.require_pairs(DATA, encoder="minilm_l6", lora=False)
