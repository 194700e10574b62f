"""Pseudo-labels, chosen by hand."""

import numpy as np
import pytest

from kerastl.distil import pseudo_labels
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.97, 0.03], [0.05, 0.95], [0.5, 0.5]])
LOGITS = np.log(SHARES) + 3.0  # known up to a constant


@pytest.mark.parametrize(
    ("options", "rows", "labels"),
    [
        ({"threshold": 0.85}, [0, 3, 4], [0, 0, 1]),
        ({"threshold": 0.0}, [0, 1, 2, 3, 4, 5], [0, 1, 0, 0, 1, 0]),
        ({"threshold": 0.0, "most": 1}, [3, 4], [0, 1]),
        ({"threshold": 0.0, "most": 2}, [0, 1, 3, 4], [0, 1, 0, 1]),
        ({"threshold": 0.99}, [], []),
    ],
)
def test_the_sure_ones_are_chosen(options, rows, labels):
    found = pseudo_labels.chosen(LOGITS, **options)
    assert found[0].tolist() == rows
    assert found[1].tolist() == labels
    assert found[1].dtype == np.int32


def test_a_split_gets_them_for_labels():
    inputs = np.arange(12, dtype="float32").reshape(6, 2)
    task = Task("toy", Numbers((2,)), SingleLabel(("a", "b")))
    split = Split("train", inputs, np.full(6, -1, "int32"), task)
    found = pseudo_labels.pseudo_labelled(split, LOGITS, threshold=0.85)
    np.testing.assert_array_equal(found.inputs, inputs[[0, 3, 4]])
    assert found.labels.tolist() == [0, 0, 1]
    assert (split.labels == -1).all()
    with pytest.raises(ValueError, match="2 for 6"):
        pseudo_labels.pseudo_labelled(split, LOGITS[:2])


def test_what_is_no_answer_is_refused():
    for logits in (LOGITS[0], LOGITS[:, :1], np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="finite logits"):
            pseudo_labels.chosen(logits)
    for wrong in ({"threshold": 1.5}, {"most": 0}):
        with pytest.raises(ValueError, match="Received"):
            pseudo_labels.chosen(LOGITS, **wrong)
