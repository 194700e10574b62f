"""Multi-task learning against NumPy: scores, partial labels, strata, weights of classes."""

import dataclasses
import json

import numpy as np
import pytest

from kerastl import tasks
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import NO_LABEL, MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import ClassTarget, NamedTargets, targets_of

DEGREES = np.array([0.0, 10, 20, 30, 40, 50, 60, 70], "float32")
SIDE, SIGNS = SingleLabel(("left", "right")), MultiLabel(("red", "round"))
HEAT = Regression(("degrees",), (35.0,), (20.0,), "C")
TARGET = MultiTask((("side", SIDE), ("signs", SIGNS), ("heat", HEAT)))
LABELS = {
    "side": np.array([0, 1, 0, 1, NO_LABEL, NO_LABEL, NO_LABEL, NO_LABEL]),
    "signs": np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 2),
    "heat": np.where(np.arange(8) < 6, DEGREES, np.nan)[:, None].astype("float32"),
}
"""Half of the examples lack a side, and two their heat."""


def answers(**moved) -> dict[str, np.ndarray]:
    """All right but for what is said; what has no label is answered as well."""
    side = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]], "float32"), (4, 1))
    return {"side": side, "signs": LABELS["signs"].astype("float32"), "heat": DEGREES[:, None]} | moved


def test_it_is_of_the_named_targets_and_of_no_classes_itself():
    assert isinstance(TARGET, NamedTargets)
    assert not isinstance(TARGET, ClassTarget)
    assert targets_of(TARGET) == {"side": SIDE, "signs": SIGNS, "heat": HEAT}
    assert targets_of(SIDE) == {"probabilities": SIDE}
    assert not isinstance(SIDE, NamedTargets)
    assert TARGET.names == TARGET.output_names == ("side", "signs", "heat")
    assert TARGET.label_dtype == {"side": "int32", "signs": "int32", "heat": "float32"}


def test_the_score_is_the_mean_of_what_can_be_compared():
    assert TARGET.score(answers(), LABELS).value == 1
    wrong = answers()
    wrong["side"][[0, 5]] = [0.3, 0.7]  # the second of them has no label
    wrong["signs"][:4, 0] = 1 - wrong["signs"][:4, 0]
    wrong["heat"] = wrong["heat"] + np.array([[10], [-20], [0], [0], [0], [0], [1000], [1000]], "float32")
    each = [3 / 4, 4 / 8, 1 - (30 / 6) / 20]
    score = TARGET.score(wrong, LABELS)
    assert score.value == pytest.approx(np.mean(each))
    assert score.low < score.value < score.high
    assert score.count == 8
    rows = TARGET.details(wrong, LABELS)["by_task"]
    assert [row["counts_as"] for row in rows] == pytest.approx(each)
    assert [row["value"] for row in rows] == pytest.approx([0.75, 0.5, 5.0]), "each in its own metric"
    assert [row["examples"] for row in rows] == [4, 8, 6]
    assert TARGET.confidence(wrong, LABELS).mean() == pytest.approx(1 - score.value)
    assert TARGET.drop(score.value, 1.0) == pytest.approx(1 - score.value)
    words = TARGET.summary(TARGET.details(wrong, LABELS))
    assert words == "side: accuracy 75.00 %; signs: exact match 50.00 %; heat: mean absolute error 5 C"


def test_the_interval_is_that_of_examples():
    """A bootstrap of the mean of 400 coins, beside the normal distribution's interval."""
    coins = np.random.default_rng(1).integers(0, 2, 400)
    both = MultiTask((("one", SIDE), ("other", SIDE)))
    given = {"one": np.eye(2)[coins], "other": np.eye(2)[coins]}
    score = both.score(given, dict.fromkeys(both.names, np.zeros(400, "int32")))
    share = 1 - coins.mean()
    assert score.value == pytest.approx(share)
    half = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert [score.low, score.high] == pytest.approx([share - half, share + half], abs=0.01)


def test_of_numbers_minus_one_is_a_label_whatever_their_type():
    cold = {**LABELS, "heat": np.array([[-1]] * 4 + [[3]] * 4)}
    assert TARGET.labelled(cold)["heat"].all()
    assert TARGET.label_words({name: table[0] for name, table in cold.items()}).endswith("heat: -1 C")
    assert TARGET.labelled({**LABELS, "signs": LABELS["signs"].astype("uint8")})["signs"].all()
    score = TARGET.score(answers(heat=np.array([[19.0]] * 4 + [[3]] * 4)), cold)
    assert score.value == pytest.approx((1 + 1 + 1 - 10 / 20) / 3)


def test_a_task_without_any_label_here_is_left_out_of_the_mean():
    unknown = {**LABELS, "heat": np.full((8, 1), np.nan)}
    assert TARGET.score(answers(heat=np.zeros((8, 1))), unknown).value == 1
    assert [row["name"] for row in TARGET.details(answers(), unknown)["by_task"]] == ["side", "signs"]
    nothing = {"side": np.full(8, -1), "signs": np.full((8, 2), -1), "heat": np.full((8, 1), np.nan)}
    with pytest.raises(ValueError, match="8 without any"):
        TARGET.score(answers(), nothing)
    assert TARGET.lost(answers(), answers(), nothing) is None


def test_answers_are_compared_task_by_task():
    other = answers()
    other["side"] = other["side"][:, ::-1].copy()
    other["side"][1:] = answers()["side"][1:]
    other["heat"] = other["heat"] + np.array([[0], [0], [5], [0], [0], [0], [0], [0]], "float32")
    np.testing.assert_array_equal(TARGET.agree(other, answers()), ~np.isin(np.arange(8), [0, 2]))
    difference = TARGET.difference(other, answers())
    assert difference[:3] == pytest.approx([0.8, 0, 5 / 20], abs=1e-6)
    assert TARGET.refuse(answers(), integer=False) is None
    assert TARGET.refuse(answers(side=np.full((8, 2), 0.7)), integer=False)[0] == "side: probabilities"


def test_a_task_that_a_file_has_lost_is_named():
    count = 40
    labels = {"side": np.arange(count) % 2, "heat": np.linspace(0, 70, count)[:, None]}
    both = MultiTask((("side", SIDE), ("heat", HEAT)))
    model = {"side": np.eye(2)[labels["side"]], "heat": labels["heat"]}
    assert both.lost(model, model, labels) is None
    gone = {**model, "side": np.tile([[1.0, 0.0]], (count, 1))}
    assert both.lost(gone, model, labels)[0].startswith("side: ")
    still = {**model, "heat": np.full((count, 1), 35.0)}
    assert both.lost(still, model, labels)[0].startswith("heat: ")


@pytest.mark.parametrize(
    ("name", "row", "value", "words"),
    [
        ("side", 6, 2, r"Received: 2 in train, task side, row 6"),
        ("side", 2, -2, r"Received: -2 in train, task side, row 2"),
        ("signs", (7, 1), -1, r"Received: -1 in train, task signs, row 7, column 1"),
        ("heat", 7, np.inf, r"Received: inf in train, task heat, row 7"),
    ],
)
def test_wrong_labels_are_refused_in_their_own_row(name, row, value, words):
    TARGET.check(LABELS, where="train", rows=8)
    table = LABELS[name].copy()
    table[row] = value
    with pytest.raises(ValueError, match=words):
        TARGET.check({**LABELS, name: table}, where="train", rows=8)


def test_labels_are_of_every_task_and_every_example():
    with pytest.raises(ValueError, match=r"tasks side, signs, heat\. Received: side in train"):
        TARGET.check({"side": LABELS["side"]}, where="train", rows=8)
    with pytest.raises(ValueError, match="Received: one array in train"):
        TARGET.check(LABELS["side"], where="train", rows=8)
    with pytest.raises(ValueError, match=r"each of 9 examples\. Received: 8 in train, task side"):
        TARGET.check(LABELS, where="train", rows=9)


def test_a_split_has_what_every_task_needs():
    TARGET.check_split(LABELS, where="test")
    with pytest.raises(ValueError, match="none of 'heat' among 8 in test"):
        TARGET.check_split({**LABELS, "heat": np.full((8, 1), np.nan)}, where="test")
    left = np.where(LABELS["side"] == 1, NO_LABEL, LABELS["side"])
    with pytest.raises(ValueError, match="none of 'right' in test, task side"):
        TARGET.check_split({**LABELS, "side": left}, where="test")


def test_strata_are_those_of_all_tasks():
    labels = {"side": LABELS["side"], "signs": LABELS["signs"]}
    found = MultiTask((("side", SIDE), ("signs", SIGNS))).strata(labels)
    wanted = np.zeros((8, 4), int)
    wanted[[0, 2], 0] = wanted[[1, 3], 1] = 1
    wanted[:, 2:] = LABELS["signs"]
    np.testing.assert_array_equal(found, wanted)


def test_classes_of_all_tasks_are_weighed_by_one_number_after_the_other():
    labels = {**LABELS, "side": np.array([0, 1, 1, 1, -1, -1, -1, -1])}
    weights = TARGET.class_weights(labels)
    assert weights == pytest.approx({0: 4 / 2, 1: 4 / 6, 2: 1.0, 3: 1.0})
    numbers = MultiTask((("one", HEAT), ("other", HEAT)))
    with pytest.raises(ValueError, match="None of the tasks one, other has classes"):
        numbers.class_weights(dict.fromkeys(numbers.names, LABELS["heat"]))


def test_what_is_said_names_the_tasks():
    row = {name: table[4] for name, table in LABELS.items()}
    assert TARGET.label_words(row) == "side: no label; signs: red; heat: 40 C"
    said = TARGET.said({name: table[1] for name, table in answers().items()})
    assert (
        said["words"] == "side: right 80.0% (then left 20.0%); signs: round 100.0% (then red 0.0%); heat: degrees 10 C"
    )
    assert said["tasks"]["side"]["label"] == "right"
    decided = TARGET.predictions(answers())
    assert TARGET.label_words({name: table[1] for name, table in decided.items()}).startswith(
        "side: right; signs: round"
    )


def test_a_file_is_described_by_all_of_them():
    described = json.loads(json.dumps(TARGET.described()))
    assert [[name, names] for name, _, names in described["tasks"]] == [
        ["side", ["left", "right"]],
        ["signs", ["red", "round"]],
        ["heat", ["degrees"]],
    ]
    assert tasks.restored(described) == TARGET
    with pytest.raises(ValueError, match="as a kind describes it"):
        tasks.restored({"tasks": [["side", {"nothing": 1}, []]]})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((("side", SIDE),), "Received: 'side'"),
        ((("side", SIDE), ("side", HEAT)), "Received: 'side', 'side'"),
        ((("side", SIDE), ("two words", HEAT)), "two words"),
        ((("side", SIDE), ("gr\u00f6\u00dfe", HEAT)), "letters, digits"),
        ((("side", SIDE), ("any", Agreement(("a", "b"), (1.0, 1.0)))), r"Received: any \(agreement"),
        ((("side", SIDE), ("more", TARGET)), r"Received: more \(multi-task learning\)"),
    ],
)
def test_what_cannot_be_a_part_is_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        MultiTask(parts)


def test_a_score_that_is_neither_share_nor_error_is_refused():
    ratio = dataclasses.replace(HEAT)
    object.__setattr__(ratio, "higher_is_better", True)
    with pytest.raises(ValueError, match="a share or an error"):
        MultiTask((("side", SIDE), ("heat", ratio)))
