"""Checkpoints under damage."""

from __future__ import annotations

import hashlib
import io
import json
import time

import numpy as np
import pytest

from kerastl.runs import checkpoints


def workspace(folder, **options):
    return checkpoints.Workspace("lesson", folder=folder / "work", logs=folder / "logs", **options)


def state(number):
    return {"weights": np.full((3, 2), number, np.float32), "step": np.asarray(number), "none": np.zeros((0, 4))}


def files(folder):
    return sorted((folder / "work").iterdir())


def test_the_newest_comes_back_and_two_are_kept(tmp_path):
    assert workspace(tmp_path).latest_checkpoint() is None
    assert not (tmp_path / "work").exists()
    place = workspace(tmp_path)
    for number in range(12):
        place.save_checkpoint(state(number), {"epoch": number, "best": 1 / 3})
    assert len(files(tmp_path)) == 2
    arrays, facts = workspace(tmp_path).latest_checkpoint()
    assert facts == {"epoch": 11, "best": 1 / 3}
    assert set(arrays) == {"weights", "step", "none"}
    for name, array in state(11).items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    workspace(tmp_path).save_checkpoint(state(12), {"epoch": 12})  # another process goes on counting
    assert workspace(tmp_path).latest_checkpoint()[1] == {"epoch": 12}
    assert len(files(tmp_path)) == 2


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def not_a_number_with_the_right_digest(path):
    """What no digest sees: a state that was written so."""
    archive = io.BytesIO()
    text = json.dumps({"facts": {}, "seconds": 0.0}).encode()
    np.savez(archive, **{"facts.json": np.frombuffer(text, np.uint8), "weights": np.array([1.0, np.nan])})
    path.write_bytes(hashlib.sha256(archive.getvalue()).hexdigest().encode() + b"\n" + archive.getvalue())


def pickled_with_the_right_digest(path):
    archive = io.BytesIO()
    np.savez(archive, weights=np.array([{"a": 1}], object))
    path.write_bytes(hashlib.sha256(archive.getvalue()).hexdigest().encode() + b"\n" + archive.getvalue())


DAMAGES = [truncate, flip_a_bit, empty, not_a_number_with_the_right_digest, pickled_with_the_right_digest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_passed_over_and_said(tmp_path, capsys, damage):
    place = workspace(tmp_path)
    for number in (1, 2):
        place.save_checkpoint(state(number), {"epoch": number})
    older, newer = files(tmp_path)
    damage(newer)
    _, facts = workspace(tmp_path).latest_checkpoint()
    assert facts == {"epoch": 1}
    said = capsys.readouterr().err
    assert str(newer) in said
    assert f"going back to {older.name}" in said
    damage(older)
    with pytest.raises(ValueError, match=r"'lesson' cannot go on.*Delete .*work to start the stage anew"):
        workspace(tmp_path).latest_checkpoint()


def test_a_state_with_nan_is_not_worth_keeping(tmp_path):
    place = workspace(tmp_path)
    place.save_checkpoint(state(1), {})
    with pytest.raises(ValueError, match="NaN or infinity in 'weights'"):
        place.save_checkpoint({"weights": np.array([np.inf], np.float32)}, {})
    assert len(files(tmp_path)) == 1


def test_a_choice_is_made_once_and_outlives_checkpoints(tmp_path):
    answers = iter(["first", "second"])
    place = workspace(tmp_path)
    assert place.remember("precision", lambda: next(answers)) == "first"
    for number in range(4):
        place.save_checkpoint(state(number), {})
    assert workspace(tmp_path).remember("precision", lambda: next(answers)) == "first"
    assert workspace(tmp_path).remember("order", lambda: next(answers)) == "second"
    assert workspace(tmp_path).latest_checkpoint() is not None


def test_seconds_add_up_over_processes_and_a_checkpoint_is_due_after_a_while(tmp_path):
    first = workspace(tmp_path, every_seconds=0.2)
    assert not first.checkpoint_due()
    time.sleep(0.25)
    assert first.checkpoint_due()
    first.save_checkpoint(state(1), {})
    assert not first.checkpoint_due()
    second = workspace(tmp_path)
    assert second.seconds() < 0.2
    second.latest_checkpoint()
    assert 0.25 <= second.seconds() < 1.0
