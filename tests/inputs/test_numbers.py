from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from kerastl import inputs
from kerastl.inputs import numbers
from kerastl.inputs.numbers import Numbers
from kerastl.types import Inputs

TABLE = Numbers((2,), ("age", "height"))
SERIES = Numbers((4, 2))


def test_it_is_a_kind_of_input():
    assert isinstance(TABLE, Inputs)
    assert (SERIES.shape, SERIES.dtype, SERIES.batch_dtype) == ((4, 2), "float32", "float32")
    assert (SERIES.kind, SERIES.tensors, SERIES.augmentable) == ("numbers", ("numbers",), False)
    assert SERIES.predict_batch > 0
    assert SERIES.calibration_range() is None  # its range is measured
    assert hash(Numbers([2], ["age", "height"])) == hash(TABLE)


@pytest.mark.parametrize(
    "arguments",
    [
        ((),),
        ((0,),),
        ((2,), ("age",)),
        ((4, 2), ("a", "b", "c", "d")),
        ((2,), (), (1.0,)),
        ((2,), (), (), (1.0,)),
        ((2,), (), (), (1.0, 0.0)),
        ((2,), (), (), (1.0, -1.0)),
    ],
)
def test_names_means_and_spreads_are_one_a_place(arguments):
    with pytest.raises(ValueError, match=r"Numbers have a shape of positive sizes.*Received: shape"):
        Numbers(*arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_by_row_and_column(value):
    rows, series = np.zeros((5, 2), np.float64), np.zeros((5, 4, 2), np.float32)
    TABLE.check(rows, where="train")
    SERIES.check(series, where="train")
    rows[3, 1] = series[4, 2, 0] = value
    with pytest.raises(ValueError, match=rf"be finite. Received: {value} in train, row 3, column 1 \(height\)\."):
        TABLE.check(rows, where="train")
    with pytest.raises(ValueError, match=rf"Received: {value} in train, row 4, column 2, 0\."):
        SERIES.check(series, where="train")


@pytest.mark.parametrize("examples", [np.zeros((5, 3)), np.zeros(2), np.full((5, 2), "a"), np.zeros((5, 2), complex)])
def test_other_shapes_and_types_are_refused(examples):
    with pytest.raises(ValueError, match=r"Wanted inputs \(examples, 2\) of numbers. Received: .* in test"):
        TABLE.check(examples, where="test")


def test_whole_numbers_are_numbers_of_any_size():
    for kind in (np.uint16, np.int64, bool):
        TABLE.check(np.ones((5, 2), kind), where="train")
    TABLE.check(np.full((5, 2), -(2**40)), where="train")


def test_a_file_is_fed_numbers_as_they_are_and_so_is_the_model():
    examples = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    fed = SERIES.fed(examples)
    assert list(fed) == list(SERIES.tensors)
    np.testing.assert_array_equal(fed["numbers"], examples)
    np.testing.assert_array_equal(SERIES.in_graph({"numbers": tf.constant(examples)}), examples)


def test_mean_and_spread_are_those_of_a_plain_calculation():
    examples = np.random.default_rng(0).normal(3, 5, (50, 4, 2))
    examples[..., 1] = 7
    kind = Numbers.of(examples, columns=("noise", "constant"))
    assert kind.size == (4, 2)
    column = [value for example in examples for value in example[:, 0].tolist()]
    mean = sum(column) / len(column)
    assert kind.mean == pytest.approx((mean, 7))
    spread = (sum((value - mean) ** 2 for value in column) / len(column)) ** 0.5
    assert kind.spread == pytest.approx((spread, 1.0)), "what never changes is not divided by nothing"
    for broken in (examples[:0], np.full((3, 2), np.nan)):
        with pytest.raises(ValueError, match="Wanted finite examples"):
            Numbers.of(broken)
    assert (TABLE.mean, TABLE.spread) == ((0.0, 0.0), (1.0, 1.0))


def test_noise_lies_two_spreads_around_the_mean():
    kind = Numbers((3, 2), mean=(100, -5), spread=(10, 0.5))
    noise = kind.noise(500, seed=2)
    assert noise.shape == (500, 3, 2)
    assert noise.dtype == np.float32
    kind.check(noise, where="noise")
    for place, (low, high) in enumerate(((80, 120), (-6, -4))):
        assert low <= noise[..., place].min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < noise[..., place].max() <= high
    np.testing.assert_array_equal(noise, kind.noise(500, seed=2))
    assert not np.array_equal(noise, kind.noise(500, seed=3))


@pytest.mark.parametrize("argument", ["age=3,height=1.8", "height=1.8, age = 3", "3,1.8", " 3 , 1.8 "])
def test_a_row_is_read_by_name_or_in_order(argument):
    read = TABLE.read(argument)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.array([[3, 1.8]], np.float32))


def test_a_series_is_read_in_order():
    assert SERIES.read("1,2,3,4,5,6,7,-8e1").tolist() == [[[1, 2], [3, 4], [5, 6], [7, -80]]]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("age=3", r"; lacking: height\.$"),
        ("age=3,weight=70", r"; lacking: height; unknown: weight\.$"),
        ("3", r"Wanted 2 finite numbers \(age, height\). Received: 1 in '3'"),
        ("3,1,2", r"Received: 3 in '3,1,2'"),
        ("3,nan", "Wanted 2 finite numbers"),
        ("3,tall", r"Wanted numbers with commas between them. Received: '3,tall'"),
        ("age=3,height=tall", "Wanted numbers with commas between them"),
        ("age=3,1.8", "Wanted numbers with commas between them"),
        ("age=3,height=1,height=2", "each of age, height.* named twice: height"),
        ("", "Wanted numbers with commas between them"),
    ],
)
def test_a_row_that_is_none_is_said(argument, words):
    with pytest.raises(ValueError, match=words):
        TABLE.read(argument)


def test_an_array_file_holds_one_example_or_a_batch(tmp_path):
    path, rows = tmp_path / "rows.npy", np.array([[3, 1.8], [4, 1.1]])
    np.save(path, rows)
    assert TABLE.read(str(path)).dtype == np.float32
    np.testing.assert_array_equal(TABLE.read(str(path)), rows.astype(np.float32))
    np.save(path, rows[0])
    np.testing.assert_array_equal(TABLE.read(str(path)), rows[:1].astype(np.float32))
    rows[1, 0] = np.nan
    np.save(path, rows)
    with pytest.raises(ValueError, match=r"nan in .*rows\.npy, row 1, column 0 \(age\)"):
        TABLE.read(str(path))


def test_an_example_is_shown_in_words():
    assert TABLE.shown(np.array([3, 1.8], np.float32)) == {"text": "age 3, height 1.8"}
    assert SERIES.shown(np.arange(8).reshape(4, 2)) == {"text": "0, 1, 2, 3, 4, 5, 6, 7"}
    many = Numbers((30,), tuple(f"c{place}" for place in range(30))).shown(np.arange(30))["text"]
    assert many.endswith("c23 23 ... (30 numbers)")


def test_a_description_is_json_and_restores_it():
    kind = Numbers((4, 2), ("a", "b"), (1, 2), (3, 4))
    described = json.loads(json.dumps(kind.described()))
    assert described == {"numbers": [4, 2], "columns": ["a", "b"], "mean": [1, 2], "spread": [3, 4]}
    assert numbers.restored(described) == inputs.restored(described) == kind
    assert numbers.restored({"image": [1, 1, 1]}) is None


SEASONS = Numbers((4,), ("hour", "season=summer", "season=winter", "a=b"))


@pytest.mark.parametrize(
    "argument",
    [
        "hour=3,season=winter,a=b=0.5",
        "season=winter, hour=3, a=b=0.5",
        "3,0,1,0.5",
        "hour=3,season=winter=1,season=summer=0,a=b=.5",
    ],
)
def test_a_category_is_its_value(argument):
    np.testing.assert_array_equal(SEASONS.read(argument), np.asarray([[3, 0, 1, 0.5]], np.float32))


def test_a_row_as_its_table_had_it():
    row = Numbers((3,), ("hour", "season=summer", "season=winter")).read("3,summer")
    np.testing.assert_array_equal(row, np.asarray([[3, 1, 0]], np.float32))


def test_an_unknown_category_is_said_with_those_there_are():
    with pytest.raises(
        ValueError, match=r"season to be one of summer, winter. Did you mean winter\? Received: 'wintr'"
    ):
        SEASONS.read("hour=3,season=wintr,a=b=1")


def test_an_array_among_those_of_a_set(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, rows=np.ones((5, 2), np.float32), labels=np.zeros(5))
    assert TABLE.read(str(path)).shape == (5, 2)
    np.savez(path, rows=np.ones((5, 2)), others=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"wanted one array of shape \(2,\).*rows \(5, 2\), others \(3, 2\)"):
        TABLE.read(str(path))


WEATHER = np.array([[3, 1, 0, 0, 20], [4, 0, 1, 0, 21], [5, 0, 0, 1, 22], [6, 1, 0, 0, 20]], np.float32)
SKIES = ("hour", "sky=clear", "sky=mist", "sky=rain", "temp=C")


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("3,1,1,0,20", "clear 1, mist 1, rain 0"),
        ("3,0.5,0.5,0,20", "clear 0.5, mist 0.5, rain 0"),
        ("3,2,-1,0,20", "clear 2, mist -1, rain 0"),
        ("3,0,0,0,20", "clear 0, mist 0, rain 0"),
        ("hour=3,sky=clear=1,sky=mist=0,sky=rain=1,temp=C=20", "clear 1, mist 0, rain 1"),
    ],
)
def test_numbers_that_no_category_has_are_refused(argument, given, tmp_path):
    kind = Numbers.of(WEATHER, columns=SKIES)
    kind = numbers.restored(json.loads(json.dumps(kind.described())))  # as a file says it
    with pytest.raises(
        ValueError, match=rf"Wanted sky to be one of clear, mist, rain: .* Received: {given} in '{argument}'"
    ):
        kind.read(argument)
    np.save(tmp_path / "rows.npy", np.vstack([WEATHER, [[3, 0, 1, 1, 20]]]))
    with pytest.raises(ValueError, match=r"clear 0, mist 1, rain 1 in .*rows\.npy"):
        kind.read(str(tmp_path / "rows.npy"))


def test_rows_that_a_table_may_have_are_read():
    kind = Numbers.of(WEATHER, columns=SKIES)
    for argument in ("3,0,1,0,-7.5", "hour=3,sky=mist,temp=C=-7.5"):
        np.testing.assert_array_equal(kind.read(argument), np.asarray([[3, 0, 1, 0, -7.5]], np.float32))
    gaps = Numbers.of(np.vstack([WEATHER, [[3, 0, 0, 0, 20]]]), columns=SKIES)
    assert gaps.read("3,0,0,0,20").tolist() == [[3, 0, 0, 0, 20]], "a training row had none of them, too"
    both = Numbers.of(np.vstack([WEATHER, [[3, 1, 1, 0, 20]]] * 3), columns=SKIES)
    assert both.read("3,1,1,0,20").tolist() == [[3, 1, 1, 0, 20]], "training rows had two: they are no categories"


def test_a_category_of_one_value_is_its_value_in_order_as_well():
    kind = Numbers.of(np.array([[3.0, 1], [4, 1]]), columns=("hour", "sky=clear"))
    assert kind.read("5,clear").tolist() == kind.read("5,1").tolist() == [[5, 1]]
    with pytest.raises(ValueError, match=r"Wanted sky to be one of clear.*Received: clear 0"):
        kind.read("5,0")


def test_the_columns_of_a_table_are_found_by_name():
    kind = Numbers.of(WEATHER, columns=SKIES)
    header = ["id", "sky", "temp=C", "hour"]
    assert kind.columns_in(header, []) == ("hour", "sky", "temp=C")
    row = kind.of_row({"hour": "3", "sky": "mist", "temp=C": "-7.5"})
    np.testing.assert_array_equal(row, np.asarray([[3, 0, 1, 0, -7.5]], np.float32))
    with pytest.raises(ValueError, match=r"the columns hour, sky, temp. Received: hours, sky. Did you mean hours\?"):
        kind.columns_in(["hours", "sky"], [])
    with pytest.raises(ValueError, match=r"Wanted sky to be one of clear, mist, rain: .* clear 0, mist 0, rain 0"):
        kind.of_row({"hour": "3", "sky": None, "temp=C": "1"})
