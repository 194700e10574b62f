"""Agreement against NumPy: of one output and of several, of any shape."""

import keras
import numpy as np
import pytest

from kerastl import tasks
from kerastl.tasks.agreement import AGREES, Agreement

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.normal(5, 2, (60, 4, 4, 3)).astype("float32")
ANSWERS = {"mask": PICTURES, "embedding": RANDOM.normal(0, 0.1, (60, 8)).astype("float32")}
BOTH = Agreement.of(ANSWERS)
ONE = Agreement.of(PICTURES)


COLOURS = PICTURES.reshape(-1, 3).std(0)
"""Standard deviation of each channel."""


def moved(by: float, rows: list[int]) -> dict[str, np.ndarray]:
    """Answers whose embedding is off by so many standard deviations in some rows."""
    embedding = ANSWERS["embedding"].copy()
    embedding[rows] += by * embedding.std(0)
    return {**ANSWERS, "embedding": embedding}


def test_of_takes_the_spread_of_each_output():
    assert BOTH.names == ("mask", "embedding")
    for found, wanted in zip(BOTH.spread, (COLOURS, ANSWERS["embedding"].std(0)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert ONE.names == ("output",)
    assert Agreement.of(np.zeros((3, 2))).spread == (1.0,)
    assert Agreement.of(np.arange(3.0)).spread == pytest.approx((np.std([0, 1, 2]),))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (np.abs(RANDOM.normal(0, 0.2, (50, 5))).clip(0, 1), "shares, which have one unit"),
        (RANDOM.normal(0, [1] * 16 + [1e-4], (50, 17)), "a vector, of which a place hardly moves"),
    ],
)
def test_what_has_one_unit_has_one_spread(answers, words):
    assert Agreement.of(answers).spread == pytest.approx((answers.std(),)), words


def test_a_small_quantity_is_seen_beside_a_large_one():
    degrees, pascals = RANDOM.normal(20, 5, 60), RANDOM.normal(101_300, 900, 60)
    weather = np.stack([degrees, pascals, np.full(60, 7.0)], -1).astype("float32")
    target = Agreement.of(weather)
    *moving, still = target.spread[0]
    np.testing.assert_allclose(moving, [degrees.std(), pascals.std()], rtol=1e-3)
    assert still == pytest.approx(weather.astype("float64").std()), "what never moves has no size of its own"
    lost = weather.copy()
    lost[:, 0] = 20  # as an integer file answers, whose one scale has steps of 400
    assert target.score(lost, weather).value < 0.2
    row = target.details(lost, weather)["by_output"][0]
    assert row["mean_in_standard_deviations"] == pytest.approx(np.abs(degrees - 20).mean() / degrees.std() / 3, 1e-3)
    assert tasks.restored(target.described()) == target
    gaps = (lost - weather) / np.array(target.spread[0])
    np.testing.assert_allclose(target.loss()(weather, lost), np.square(gaps).mean(), rtol=1e-4)
    np.testing.assert_allclose(target.standardized(weather)["output"][0], weather[0] / target.spread[0], rtol=1e-6)


def test_perfect_answers_agree_and_distant_ones_do_not():
    assert BOTH.agree(ANSWERS, ANSWERS).all()
    assert BOTH.score(ANSWERS, ANSWERS).value == 1
    far = moved(2 * AGREES, [3, 8])
    assert np.flatnonzero(~BOTH.agree(far, ANSWERS)).tolist() == [3, 8]
    assert BOTH.score(far, ANSWERS).value == pytest.approx(58 / 60)
    assert np.flatnonzero(BOTH.confidence(far, ANSWERS)).tolist() == [3, 8]
    assert BOTH.agree(moved(0.5 * AGREES, [3, 8]), ANSWERS).all()
    shuffled = {name: table[::-1] for name, table in ANSWERS.items()}
    assert BOTH.score(shuffled, ANSWERS).value < 0.2


def test_difference_is_the_root_mean_square_of_the_worst_output():
    noisy = PICTURES + RANDOM.normal(0, 1, PICTURES.shape).astype("float32")
    wanted = np.sqrt((((noisy - PICTURES) / COLOURS) ** 2).reshape(60, -1).mean(-1))
    np.testing.assert_allclose(ONE.difference(noisy, PICTURES), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"mask": PICTURES}, "outputs mask, embedding"),
        (PICTURES, "one array"),
        ({**ANSWERS, "embedding": np.zeros((60, 7))}, r"shape \(60, 8\)"),
    ],
)
def test_other_answers_are_refused(answers, words):
    with pytest.raises(ValueError, match=words):
        BOTH.difference(answers, ANSWERS)


def test_what_cannot_be_a_target_or_its_labels_is_refused():
    with pytest.raises(ValueError, match="finite answers"):
        Agreement.of(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="positive spread"):
        Agreement(("a",), (0.0,))
    with pytest.raises(ValueError, match="positive spread"):
        Agreement(("a",), ((1.0, 0.0),))
    with pytest.raises(ValueError, match=r"each of 61 examples.*in test"):
        BOTH.check(ANSWERS, where="test", rows=61)
    BOTH.check(ANSWERS, where="test", rows=60)
    with pytest.raises(ValueError, match="no classes"):
        ONE.weighted_loss({0: 1.0})


def test_details_equal_numpy():
    far = moved(1.0, [0])
    found = BOTH.details(far, ANSWERS)
    gaps = np.abs(far["embedding"] - ANSWERS["embedding"])
    assert found["by_output"][1]["mean_difference"] == pytest.approx(gaps.mean(), rel=1e-4)
    assert found["by_output"][1]["largest_difference"] == pytest.approx(gaps.max(), rel=1e-4)
    assert found["by_output"][0]["shape"] == [4, 4, 3]
    assert found["by_output"][0]["mean_difference"] == 0
    assert BOTH.summary(found).startswith("furthest off: output embedding")
    assert all(len(row) == len(table["columns"]) for table in found["tables"] for row in table["rows"])


def test_nothing_is_put_behind_the_model_and_distillation_equals_numpy():
    assert ONE.served(PICTURES) is PICTURES
    assert ONE.finish(PICTURES) is PICTURES
    assert ONE.served_activation() == "linear"
    teacher, student = (keras.ops.convert_to_tensor(table) for table in (PICTURES, PICTURES[::-1].copy()))
    wanted = (((PICTURES - PICTURES[::-1]) / COLOURS).reshape(60, -1) ** 2).mean(-1)
    np.testing.assert_allclose(ONE.distillation(teacher, student, temperature=1.0), wanted, rtol=1e-4)
    assert float(ONE.loss()(PICTURES, PICTURES[::-1])) == pytest.approx(wanted.mean(), rel=1e-4)


def test_words_and_a_description_that_restores_it():
    row = {name: table[0] for name, table in ANSWERS.items()}
    assert BOTH.said(row)["outputs"]["embedding"] == ANSWERS["embedding"][0].tolist()
    assert BOTH.said(row)["words"].count("numbers)") == 2
    assert tasks.restored(BOTH.described()) == BOTH
    assert BOTH.strata(ANSWERS).tolist() == [0] * 60


def test_several_outputs_are_trained_in_their_own_spread():
    """One that counts in thousands does not outweigh one that counts in hundredths."""
    losses = BOTH.loss()
    assert sorted(losses) == ["embedding", "mask"]
    for name, spread in zip(BOTH.names, BOTH.spread, strict=True):
        other = ANSWERS[name][::-1].copy()
        wanted = np.square((ANSWERS[name] - other) / np.array(spread)).mean()
        assert float(losses[name](ANSWERS[name], other)) == pytest.approx(wanted, rel=1e-4)
    assert BOTH.training_metric() is ONE.training_metric() is None
    far = {name: table[::-1].copy() for name, table in ANSWERS.items()}
    wanted = sum(
        (((ANSWERS[name] - far[name]) / np.array(spread)) ** 2).reshape(60, -1).mean(-1)
        for name, spread in zip(BOTH.names, BOTH.spread, strict=True)
    )
    np.testing.assert_allclose(BOTH.distillation(ANSWERS, far, temperature=1.0), wanted, rtol=1e-4)


def test_the_first_answer_that_is_not_finite_is_named():
    broken = PICTURES.copy()
    broken[7, 0, 0, 1], broken[9] = np.inf, np.nan
    with pytest.raises(
        ValueError, match=r"Received: \(60, 4, 4, 3\) of output 'mask', 49 not finite, inf of example 7"
    ):
        Agreement.of({"mask": broken})
