"""Noise by the budget, the secret that nobody is told, and the words of a report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from toy import DIRECTIONS

from kerastl.data import pipeline
from kerastl.runs.checkpoints import Workspace
from kerastl.training.private import accountant, guarantee, private_model
from kerastl.training.private.guarantee import Mechanism, Privacy
from kerastl.types import Schedule, Split

SPLIT = Split("train", np.zeros((200, 4), "float32"), np.zeros(200, "int32"), DIRECTIONS)
SCHEDULE = Schedule(epochs=5, batch_size=20)


def test_noise_is_chosen_by_all_steps_that_there_will_be():
    found = guarantee.mechanism(Privacy(epsilon=2.0, delta=1e-3, clip=0.3), examples=200, schedule=SCHEDULE)
    assert (found.sampling_rate, found.lot, found.clip, found.delta) == (0.1, 20, 0.3, 1e-3)
    expected = accountant.noise_multiplier(2.0, sampling_rate=0.1, steps=50, delta=1e-3)
    assert found.noise_multiplier == expected
    batches = pipeline.poisson_batches(SPLIT, schedule=SCHEDULE, seed=0)
    assert guarantee.steps_of(SCHEDULE, examples=200) == 5 * int(batches.cardinality()) == 50
    assert 1.999 < found.epsilon(50) <= 2.0 < found.epsilon(51)


def test_other_batches_and_a_delta_that_protects_nobody_are_refused():
    found = guarantee.mechanism(Privacy(delta=1e-3), examples=200, schedule=SCHEDULE)
    for others in (
        pipeline.batches(SPLIT, batch_size=20, shuffle=True),
        pipeline.poisson_batches(SPLIT, schedule=Schedule(epochs=5, batch_size=40), seed=0),
    ):
        with pytest.raises(ValueError, match="poisson_batches"):
            private_model.under(found, others, seed=0)
    with pytest.raises(ValueError, match=r"one part in 200"):
        guarantee.mechanism(Privacy(delta=0.005), examples=200, schedule=SCHEDULE)
    with pytest.raises(ValueError, match="Received"):
        Mechanism(0.0, clip=1.0, sampling_rate=0.1, lot=20, delta=1e-3)


def test_a_secret_stays_while_a_stage_goes_on_and_is_another_one_in_the_next(tmp_path):
    desk, other = (Workspace("one", folder=tmp_path / name, logs=tmp_path) for name in ("desk", "other"))
    found = guarantee.secret(Privacy(), desk)
    assert guarantee.secret(Privacy(), desk) == found
    drawn = {found, guarantee.secret(Privacy(), other), *(guarantee.secret(Privacy(), None) for _ in range(5))}
    assert len(drawn) == 7
    assert all(0 <= one < 2**63 for one in drawn)
    assert guarantee.secret(Privacy(noise_seed=3), desk) == 3


def test_an_account_is_counted_again_by_the_settings_of_its_run():
    privacy = Privacy(epsilon=2.0, delta=1e-3, clip=0.3)
    found = guarantee.mechanism(privacy, examples=200, schedule=SCHEDULE)
    said = guarantee.described(found, steps=50, privacy=privacy)
    stated = {**said, "limits": list(guarantee.LIMITS), "points": [[1.0, 0.5]]}
    settings = {"privacy": dataclasses.asdict(privacy), "schedule": dataclasses.asdict(SCHEDULE)}
    assert guarantee.recounted(stated, settings=settings, examples=200) == stated
    assert guarantee.recounted(stated, settings={}, examples=200) == stated
    forged = {**stated, "epsilon": 0.1, "noise_multiplier": 50.0, "words": "safe", "limits": []}
    assert guarantee.recounted(forged, settings=settings, examples=200) == stated
    assert guarantee.recounted({**stated, "epsilon": 0.1}, settings={}, examples=200) == stated


def test_a_report_says_what_was_spent_and_warns_of_a_known_seed():
    mechanism = Mechanism(1.1, clip=0.1, sampling_rate=256 / 60000, lot=256, delta=1e-5)
    said = guarantee.described(mechanism, steps=3515, privacy=Privacy())
    assert said["epsilon"] == pytest.approx(1.28114427596, abs=1e-9)
    assert "epsilon 1.28" in said["words"]
    assert "3,515 steps" in said["words"]
    assert "nothing is private" not in said["words"]
    assert "nothing is private" in guarantee.described(mechanism, steps=1, privacy=Privacy(noise_seed=0))["words"]
