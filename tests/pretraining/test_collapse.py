"""Collapse, measured against NumPy: made collapses of several kinds, sound features, a run that is stopped."""

import keras
import numpy as np
import pytest

from kerastl.pretraining import collapse

RANDOM = np.random.default_rng(0)


def test_the_effective_rank_by_hand():
    # Roy & Vetterli 2007: k equal singular values have rank k
    for rank in (1, 2, 5):
        views = np.linalg.qr(RANDOM.normal(size=(20, 20)))[0]
        basis = views[:, :rank] - views[:, :rank].mean(0)
        basis = np.linalg.qr(basis)[0]
        assert collapse.effective_rank(basis @ RANDOM.normal(size=(rank, rank)) @ np.eye(rank, 9)) <= rank + 1e-9
        assert collapse.effective_rank(basis @ np.eye(rank, 9)) == pytest.approx(rank, rel=1e-9)
    # singular values 3 and 1: entropy of (3/4, 1/4)
    basis = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) / 2
    wanted = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert collapse.effective_rank(basis * [3, 1]) == pytest.approx(wanted, rel=1e-12)


def test_the_effective_rank_by_the_covariances_eigenvalues():
    embeddings = RANDOM.normal(size=(50, 8)) * np.arange(1, 9)
    sizes = np.sqrt(np.linalg.eigvalsh(np.cov(embeddings.T)))
    shares = sizes / sizes.sum()
    wanted = np.exp(-(shares * np.log(shares)).sum())
    assert collapse.effective_rank(embeddings) == pytest.approx(wanted, rel=1e-9)
    turned = 1e30 * embeddings @ np.linalg.qr(RANDOM.normal(size=(8, 8)))[0] + 7e30
    assert collapse.effective_rank(turned) == pytest.approx(wanted, rel=1e-6)


def test_a_rounding_is_no_direction():
    noise = RANDOM.random((256, 64)) < 0.5  # in the last digit
    even = np.where(noise, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)))
    assert collapse.effective_rank(even) == 0


def test_the_spread_by_hand():
    embeddings = RANDOM.normal(size=(40, 6)) + 1
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    wanted = np.sqrt(6) * np.mean([np.std(column) for column in directions.T])
    assert collapse.feature_spread(embeddings) == pytest.approx(wanted, rel=1e-12)
    assert collapse.feature_spread(embeddings * RANDOM.uniform(0.1, 1e30, (40, 1))) == pytest.approx(wanted, rel=1e-9)
    assert collapse.feature_spread(RANDOM.normal(size=(5000, 64))) == pytest.approx(1, abs=0.01)


def test_the_deviation_is_in_the_embeddings_units():
    embeddings = RANDOM.normal(size=(40, 6)) + 1
    for scale in (1e-20, 1.0, 1e30):
        found = collapse.feature_deviation(scale * embeddings)
        assert found == pytest.approx(scale * embeddings.std(0).mean(), rel=1e-12)
    shrunk = collapse.what_collapsed(1e-3 * SOUND["even"], collapse.Limits(deviation=0.1))
    assert str(shrunk).startswith(
        "complete collapse: the 64 features of 256 examples have a standard deviation of 0.00"
    )
    assert collapse.what_collapsed(SOUND["even"], collapse.Limits(deviation=0.1)) is None


def noise(scale, shape=(256, 64)):
    return scale * np.random.default_rng(1).normal(size=shape)


COLLAPSED = {
    "zeros": np.zeros((256, 64)),
    "one point": np.full((256, 64), 0.1, "float32"),
    "one large point": np.full((256, 64), 1e30, "float32"),
    "one point, but for a little noise": 1 + noise(0.05),
    "one direction, of any length": RANDOM.uniform(0.1, 10, (256, 1)) * RANDOM.normal(size=64),
    "a line, both ways": RANDOM.normal(size=(256, 1)) * RANDOM.normal(size=64) + noise(1e-3),
    "two points": np.where(RANDOM.random((256, 1)) < 0.5, 1, -1) * RANDOM.normal(size=64) + noise(1e-3),
    "a plane": RANDOM.normal(size=(256, 2)) @ RANDOM.normal(size=(2, 64)),
    "one feature of 64": RANDOM.normal(size=(256, 1)) * np.eye(1, 64),
    "copies of one feature": RANDOM.normal(size=(256, 1)) * np.ones(64),
    "three directions and noise": RANDOM.normal(size=(256, 3)) @ RANDOM.normal(size=(3, 64)) + noise(1e-3),
}
COMPLETE = {
    "zeros",
    "one point",
    "one large point",
    "one point, but for a little noise",
    "one direction, of any length",
}
SOUND = {
    "even": RANDOM.normal(size=(256, 64)),
    "few examples": RANDOM.normal(size=(8, 64)),
    "two features": RANDOM.normal(size=(256, 2)),
    "tiny": 1e-20 * RANDOM.normal(size=(256, 64)),
    "after a ReLU": np.maximum(RANDOM.normal(size=(256, 64)), 0),
    "with an offset": RANDOM.normal(size=(256, 64)) + 5,
    "a spectrum that decays as 1 / k": RANDOM.normal(size=(256, 64)) / np.arange(1, 65),
    "half of the features dead": RANDOM.normal(size=(256, 64)) * (np.arange(64) < 32),
    "ten clusters": np.eye(10, 64)[RANDOM.integers(0, 10, 256)] + noise(0.03),
}


@pytest.mark.parametrize("kind", COLLAPSED)
def test_a_collapse_is_found_and_named(kind):
    found = collapse.what_collapsed(COLLAPSED[kind])
    assert found is not None
    assert found.startswith("complete collapse" if kind in COMPLETE else "dimensional collapse"), found


@pytest.mark.parametrize("kind", SOUND)
def test_sound_features_are_none(kind):
    embeddings = SOUND[kind]
    assert collapse.what_collapsed(embeddings) is None, (
        collapse.feature_spread(embeddings),
        collapse.effective_rank(embeddings),
    )


def test_limits_are_settings():
    embeddings = SOUND["a spectrum that decays as 1 / k"]
    assert "wanted 32.0 or more" in str(collapse.what_collapsed(embeddings, collapse.Limits(rank_share=0.5)))
    assert collapse.what_collapsed(COLLAPSED["a plane"], collapse.Limits(rank_share=0.0)) is None
    for bad in ({"spread": -1}, {"rank_share": 2}, {"rank": np.nan}):
        with pytest.raises(ValueError, match="Limits are finite"):
            collapse.Limits(**bad)


MEASURES = [collapse.feature_spread, collapse.effective_rank, collapse.feature_deviation, collapse.what_collapsed]


@pytest.mark.parametrize("measure", MEASURES)
def test_other_shapes_and_numbers_are_refused(measure):
    for shape in ((4,), (1, 4), (3, 0), (3, 2, 2)):
        with pytest.raises(ValueError, match="two examples or more"):
            measure(np.zeros(shape))
    with pytest.raises(ValueError, match="1 of 3 examples with NaN"):
        measure(np.array([[1.0, 2], [np.nan, 1], [0, 1]]))


def test_patience_is_of_looks_in_a_row():
    guard = collapse.CollapseGuard(np.zeros((2, 1)), patience=2)
    guard.look(COLLAPSED["zeros"])
    guard.look(SOUND["even"])
    guard.look(COLLAPSED["a plane"])
    assert guard.get_state() == {"steps": 0, "collapsed": 1}
    assert guard.rank == pytest.approx(2, abs=0.1)
    again = collapse.CollapseGuard(np.zeros((2, 1)), patience=2)
    again.set_state(guard.get_state())
    with pytest.raises(collapse.CollapseError, match=r"after step 0: complete collapse: all 256 .*2 looks in a row"):
        again.look(COLLAPSED["one point"])


def test_looks_begin_after_some_steps():
    guard = collapse.CollapseGuard(np.zeros((2, 1)), embed=np.zeros_like, every=5, after=12, patience=2)
    for batch in range(19):
        guard.on_train_batch_end(batch)
    with pytest.raises(collapse.CollapseError, match="after step 20"):
        guard.on_train_batch_end(19)


@pytest.mark.parametrize("options", [{"every": 0}, {"patience": 0}, {"after": -1}])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
        collapse.CollapseGuard(np.zeros((2, 1)), **options)
    with pytest.raises(ValueError, match="1 examples"):
        collapse.CollapseGuard(np.zeros((1, 1)))


@pytest.mark.parametrize("collapses", [True, False])
def test_a_run_that_collapses_is_stopped_and_a_sound_one_never(collapses):
    """Towards zeros, which all inputs are mapped to; or towards what they are."""
    keras.utils.set_random_seed(0)
    inputs = RANDOM.normal(size=(64, 8)).astype("float32")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, use_bias=True, kernel_initializer="identity")])
    targets = np.ones_like(inputs) if collapses else inputs
    model.compile(keras.optimizers.SGD(2.0), "mse")
    guard = collapse.CollapseGuard(inputs, every=5, after=10, patience=2)
    options = {"batch_size": 16, "epochs": 12, "verbose": 0, "callbacks": [guard]}
    if not collapses:
        model.fit(inputs, targets, **options)
        assert guard.get_state() == {"steps": 48, "collapsed": 0}
        return
    with pytest.raises(collapse.CollapseError, match=r"Training stopped after step \d+: complete collapse") as caught:
        model.fit(inputs, targets, **options)
    assert "Lower the learning rate" in str(caught.value)
    assert 15 <= guard.get_state()["steps"] < 48
