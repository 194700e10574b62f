"""Nearest neighbours against a loop in NumPy."""

import numpy as np
import pytest

from kerastl.pretraining import probe


def by_hand(example, known, labels, classes, neighbours, temperature):
    cosines = [example @ one / np.linalg.norm(example) / np.linalg.norm(one) for one in known]
    order = sorted(range(len(known)), key=lambda index: (-cosines[index], index))[:neighbours]
    votes = np.zeros(classes)
    for index in order:
        votes[labels[index]] += np.exp(cosines[index] / temperature)
    return votes / votes.sum()


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    known, labels = generator.normal(size=(60, 5)), generator.integers(0, 3, 60)
    return generator.normal(size=(20, 5)), known, labels


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.07), (5, 0.07), (20, 1.0), (60, 0.1), (500, 0.1)])
def test_votes_equal_numpy(data, neighbours, temperature, monkeypatch):
    embeddings, known, labels = data
    wanted = [by_hand(one, known, labels, 4, neighbours, temperature) for one in embeddings]
    options = {"classes": 4, "neighbours": neighbours, "temperature": temperature}
    found = probe.nearest_neighbour_votes(embeddings, known, labels, **options)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    actual = np.arange(20) % 3
    accuracy = probe.nearest_neighbour_accuracy(
        embeddings, actual, known=known, labels=labels, neighbours=neighbours, temperature=temperature
    )
    assert accuracy == np.mean(np.argmax(wanted, 1) == actual)
    monkeypatch.setattr(probe, "_AT_ONCE", 130)  # two rows at a time
    again = probe.nearest_neighbour_votes(embeddings, known, labels, **options)
    np.testing.assert_allclose(again, found, atol=1e-6)


def test_neither_lengths_nor_a_common_scale_matter(data):
    embeddings, known, labels = data
    wanted = probe.nearest_neighbour_votes(embeddings, known, labels, classes=3)
    lengths = np.random.default_rng(1).uniform(0.1, 1e30, (60, 1))
    found = probe.nearest_neighbour_votes(1e-30 * embeddings, known * lengths, labels, classes=3)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_of_equally_near_ones_the_first_vote():
    known = np.array([[0.0, 1], [1, 0], [2, 0], [3, 0], [1, 0]])
    votes = probe.nearest_neighbour_votes([[1.0, 0]], known, np.array([3, 0, 1, 2, 2]), classes=4, neighbours=2)
    np.testing.assert_allclose(votes, [[0.5, 0.5, 0, 0]])
    zeros = probe.nearest_neighbour_votes(np.zeros((1, 2)), known, np.array([3, 0, 1, 2, 2]), classes=4, neighbours=4)
    np.testing.assert_allclose(zeros, [[0.25, 0.25, 0.25, 0.25]])


def test_a_low_temperature_does_not_overflow(data):
    embeddings, known, labels = data
    found = probe.nearest_neighbour_votes(embeddings, known, labels, classes=3, temperature=1e-3)
    nearest = [np.argmax(one @ known.T / np.linalg.norm(known, axis=1)) for one in embeddings]
    assert list(found.argmax(1)) == list(labels[nearest])
    assert np.isfinite(found).all()


def test_clusters_are_known_and_noise_is_chance():
    generator = np.random.default_rng(0)
    labels, actual = generator.integers(0, 4, 400), generator.integers(0, 4, 400)
    clusters = np.eye(4, 8)
    options = {"labels": labels, "neighbours": 20}
    near = [clusters[one] + generator.normal(0, 0.2, (400, 8)) for one in (labels, actual)]
    assert probe.nearest_neighbour_accuracy(near[1], actual, known=near[0], **options) > 0.99
    noise = generator.normal(size=(2, 400, 8))
    assert 0.15 < probe.nearest_neighbour_accuracy(noise[1], actual, known=noise[0], **options) < 0.35


def test_what_does_not_fit_is_refused(data):
    embeddings, known, labels = data

    def votes(embeddings=embeddings, known=known, labels=labels, classes=3, **options):
        return probe.nearest_neighbour_votes(embeddings, known, labels, classes=classes, **options)

    for bad in ({"embeddings": embeddings[:, :4]}, {"labels": labels[1:]}, {"known": known[0]}, {"known": known[:0]}):
        with pytest.raises(ValueError, match="the same width"):
            votes(**bad)
    for bad in ({"labels": labels - 1}, {"classes": 2}, {"labels": labels * 1.0}):
        with pytest.raises(ValueError, match="class indices, 0 to"):
            votes(**bad)
    for bad in ({"neighbours": 0}, {"temperature": 0.0}, {"temperature": np.inf}):
        with pytest.raises(ValueError, match="one neighbour or more"):
            votes(**bad)
    with pytest.raises(ValueError, match="Received: NaN"):
        votes(embeddings=embeddings * np.nan)
    with pytest.raises(ValueError, match="a label for each"):
        probe.nearest_neighbour_accuracy(embeddings, labels, known=known, labels=labels)
