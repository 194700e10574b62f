from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from toy_run import TASK, load

from kerastl.runs import selective
from kerastl.tasks.reject_option import RejectOption
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


def test_what_a_file_says_of_its_reject_option():
    option = RejectOption(1.5, 0.7)
    task = selective.task_of(TASK, {"labels": list(TASK.target.names), "reject": option.described()})
    assert task == Task(TASK.name, TASK.inputs, SingleLabel(TASK.target.names, option))
    assert selective.task_of(TASK, TASK.target.described()) is TASK
    with pytest.raises(ValueError, match="positive temperature"):
        selective.task_of(TASK, {"reject": {"temperature": 0, "threshold": 0}})


def test_options_are_alike_but_for_their_last_digits():
    one, near, far = (SingleLabel(("a", "b"), RejectOption(1.5, number)) for number in (0.7, 0.7000001, 0.71))
    assert selective.alike(one, near)
    assert not selective.alike(one, far)
    assert not selective.alike(one, SingleLabel(("a", "b")))
    assert selective.alike(SingleLabel(("a", "b")), SingleLabel(("a", "b")))


def test_the_report_has_shares_of_each_split():
    data = load()
    task = Task(TASK.name, TASK.inputs, SingleLabel(TASK.target.names, RejectOption(1.0, 0.9)))
    answers = np.full((40, 3), 0.05)
    answers[np.arange(40), data.test.labels] = 0.9
    answers[:10] = 1 / 3
    found = selective.measured(task, data, {"test": answers})["selective"]
    assert (found["threshold"], found["test"]["coverage"], found["test"]["precision"]) == (0.9, 0.75, 1.0)
    assert "test: 75.0% of 40 are answered, 100.0% of these rightly (88.6% to 100.0%)" in found["words"]
    assert selective.measured(TASK, data, {"test": answers}) == {}
    task = Task(TASK.name, TASK.inputs, SingleLabel(TASK.target.names, RejectOption(1.0, 1.0)))
    assert "0.0% of 40 are answered." in selective.measured(task, data, {"test": answers})["selective"]["words"]


def test_examples_of_no_class_lie_in_any_folders_and_broken_ones_are_said(tmp_path, capsys):
    for number in range(12):
        (tmp_path / "noise" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 4), 10 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "noise" / str(number % 3) / f"{number}.png")
    (tmp_path / "noise" / "broken.png").write_bytes(b"no picture")
    found = selective.others(str(tmp_path / "noise"), TASK.inputs)
    assert found is not None
    assert [len(half) for half in found] == [6, 6]
    assert sorted(np.concatenate(found)[:, 0, 0, 0].tolist()) == [10 * number for number in range(12)]
    assert "broken.png" in capsys.readouterr().err
    again = selective.others(str(tmp_path / "noise"), TASK.inputs)
    assert again is not None
    np.testing.assert_array_equal(found.fitted, again.fitted)
    assert selective.others("", TASK.inputs) is None
    (tmp_path / "noise" / "0" / "0.png").rename(tmp_path / "0.png")
    (tmp_path / "noise" / "1" / "1.png").unlink()
    (tmp_path / "noise" / "2" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"Wanted 10 examples .*--accept\.other\. Received: 9 in .*broken\.png"):
        selective.others(str(tmp_path / "noise"), TASK.inputs)


def test_texts_of_no_class_are_lines_of_a_file(tmp_path, tiny_text):
    (tmp_path / "other.txt").write_text("\n".join(f"sentence {'film ' * number}" for number in range(1, 15)))
    found = selective.others(str(tmp_path / "other.txt"), tiny_text.task.inputs)
    assert found is not None
    assert found.fitted.shape == found.held_out.shape == (7, *tiny_text.task.inputs.shape)
