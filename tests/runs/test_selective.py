from __future__ import annotations

import numpy as np
import pytest
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
