import dataclasses
import json

import keras
import numpy as np
import pytest

import kerastl
from kerastl.export.tflite import Converted
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.runs import stage_files, store
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import History, Split, Task


def test_a_model_and_a_file_come_back_as_they_were(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    curves = History("net", {"loss": (1.0, 0.5)})
    for name, result in {
        "model": kerastl.training.Trained(model, curves),
        "file": Converted(b"TFL3 and more", curves),
    }.items():
        (tmp_path / name).mkdir()
        stage_files.save(result, tmp_path / name)
        found = stage_files.load(tmp_path / name)
        assert type(found) is type(result)
        assert found.curves == curves
    assert stage_files.load(tmp_path / "file").content == b"TFL3 and more"
    found = stage_files.load(tmp_path / "model").model
    np.testing.assert_array_equal(found.get_weights()[0], model.get_weights()[0])


def test_an_array_comes_back_as_it_was(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    stage_files.save(array, tmp_path)
    found = stage_files.load(tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)
    with pytest.raises(ValueError, match="Object arrays"):
        stage_files.save(np.array([object()]), tmp_path)


TARGETS = {
    "one of several": (SingleLabel(("a", "b", "c")), np.arange(3, dtype=np.int32)),
    "several": (MultiLabel(("a", "b")), np.array([[0, 1], [1, 1], [0, 0]], np.uint8)),
    "numbers": (Regression(("x",), (1.0,), (2.0,), "EUR"), np.array([[0.5], [1.5], [2.5]], np.float32)),
}


def features(names: str, task: Task, labels: np.ndarray) -> tuple[Split, ...]:
    """Splits whose names are not in the order of the alphabet."""
    return tuple(
        Split(name, np.full((3, 2), number, np.float32), labels, task, np.array(["x", "y", "z"]))
        for number, name in enumerate(names)
    )


@pytest.mark.parametrize("name", TARGETS)
def test_splits_come_back_in_their_order_with_what_is_asked_of_them(tmp_path, name):
    target, labels = TARGETS[name]
    task = Task("toy", Numbers((2,), ("left", "right"), (0.5, 1.0), (2.0, 3.0)), target)
    splits = features("cab", task, labels)
    stage_files.save(splits, tmp_path)
    found = stage_files.load(tmp_path)
    assert isinstance(found, tuple)
    assert [split.name for split in found] == ["c", "a", "b"]
    for one, other in zip(found, splits, strict=True):
        assert (one.task, one.origins) == (task, None)
        for what in ("inputs", "labels"):
            given, wanted = getattr(one, what), getattr(other, what)
            assert given.dtype == wanted.dtype
            np.testing.assert_array_equal(given, wanted)


def test_splits_of_several_inputs_and_outputs_come_back(tmp_path):
    kind = Named((("picture", Image((2, 2, 1))), ("row", Numbers((3,)))))
    task = Task("toy", kind, Agreement(("a", "inputs b"), (1.0, (2.0, 3.0))))
    inputs = {"picture": np.full((4, 2, 2, 1), 7, np.uint8), "row": np.ones((4, 3), np.float32)}
    labels = {"a": np.zeros((4, 1), np.float32), "inputs b": np.arange(8, dtype=np.float32).reshape(4, 2)}
    stage_files.save((Split("train", inputs, labels, task),), tmp_path)
    (found,) = stage_files.load(tmp_path)
    assert found.task == task
    for given, wanted in ((found.inputs, inputs), (found.labels, labels)):
        assert list(given) == list(wanted)
        for name, array in wanted.items():
            assert given[name].dtype == array.dtype
            np.testing.assert_array_equal(given[name], array)


def test_splits_that_are_not_what_they_say_are_refused(tmp_path):
    task = Task("toy", Numbers((2,)), SingleLabel(("a", "b", "c")))
    stage_files.save(features("ab", task, np.arange(3, dtype=np.int32)), tmp_path)
    described = json.loads((tmp_path / "splits.json").read_text())
    described[1]["inputs"] = Image((8, 8, 1)).described()
    (tmp_path / "splits.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"Wanted inputs \(examples, 8, 8, 1\)\. Received: \(3, 2\)"):
        stage_files.load(tmp_path)


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def test_a_stage_of_a_run_keeps_splits_by_itself(tmp_path):
    task = Task("toy", Numbers((2,)), SingleLabel(("a", "b", "c")))
    made = []

    def make(at):
        made.append(at.stage)
        return features("ab", task, np.arange(3, dtype=np.int32))

    for reused in (False, True):
        with store.Run(tmp_path, recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
            found = run.stage("features", make, key=[1])
            assert [split.name for split in found] == ["a", "b"]
            assert run.stages[0]["reused"] == reused
    assert made == ["features"]


@pytest.mark.parametrize("result", [(), [1, 2], None])
def test_what_a_stage_cannot_keep_by_itself_is_refused(tmp_path, result):
    with pytest.raises(ValueError, match=r"or a tuple of splits\. Received: "):
        stage_files.save(result, tmp_path)
