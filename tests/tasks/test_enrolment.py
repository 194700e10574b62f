"""The index of enrolled vectors: exact search, 8-bit integers, names without training, none of these."""

import json

import numpy as np
import pytest

from kerastl.tasks import enrolment
from kerastl.tasks.pair_metrics import Operating

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(30, 64)).astype("float32")


def index(threshold=0.5):
    begun = enrolment.empty(64, operating=Operating(threshold, 0.01, 0.0, 0.03, 99), file="ab", measured_on="here")
    return begun.enrolled("ann", VECTORS[:2]).enrolled("bob", VECTORS[2:5])


def cosines(vector, others):
    return others @ vector / np.linalg.norm(vector) / np.linalg.norm(others, axis=1)


def test_integers_move_a_cosine_by_less_than_a_hundredth():
    found = index()
    for vector in (VECTORS[0], VECTORS[9], 5 * VECTORS[3]):
        np.testing.assert_allclose(found.cosines(vector), cosines(vector, VECTORS[:5]), atol=0.01)
    assert found.vectors.dtype == np.int8


def test_the_nearest_is_named_or_none():
    found = index()
    assert found.said(VECTORS[1] + 0.1 * VECTORS[7])["label"] == "ann"
    assert found.said(VECTORS[4])["label"] == "bob"
    stranger = found.said(VECTORS[20])
    assert stranger["label"] is None
    assert stranger["words"].startswith("none of these")
    assert list(stranger["nearest"]) == sorted(stranger["nearest"], key=lambda name: -stranger["nearest"][name])
    later = found.enrolled("cleo", VECTORS[20:21])
    assert later.said(VECTORS[20])["label"] == "cleo"
    assert later.said(VECTORS[4])["label"] == "bob"
    more = later.enrolled("ann", VECTORS[10:11])
    assert (len(more.names), more.said(VECTORS[10])["label"]) == (3, "ann")
    assert enrolment.empty(64, operating=found.operating, file="", measured_on="").said(VECTORS[0]) == {}


def test_it_comes_back_from_json():
    found = enrolment.restored_index(json.loads(json.dumps(index().described())))
    assert found.names == ("ann", "bob")
    assert found.operating == index().operating
    np.testing.assert_array_equal(found.vectors, index().vectors)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"width": 63},
        {"owners": [0, 0, 1, 1, 2]},
        {"owners": [0]},
        {"vectors": "no base64!"},
        {"names": ["ann", "ann"]},
        {"operating": {"threshold": 0.5}},
        {"operating": {**index().operating._asdict(), "threshold": float("nan")}},
        {"vectors": ""},
    ],
)
def test_an_index_of_anybody_is_looked_at(change):
    with pytest.raises(ValueError, match="Wanted"):
        enrolment.restored_index({**index().described(), **change})


def test_what_is_no_vector_is_refused():
    for wrong in (VECTORS[:1, :5], np.zeros((1, 64)), np.full((1, 64), np.nan), VECTORS[:0]):
        with pytest.raises(ValueError, match="Wanted"):
            index().enrolled("dan", wrong)
    with pytest.raises(ValueError, match="line"):
        index().enrolled("two\nlines", VECTORS[:1])
