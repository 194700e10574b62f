"""Occlusion: the part that an answer comes from is found, of pictures and of texts."""

from __future__ import annotations

import functools

import numpy as np

from kerastl import verify
from kerastl.evaluate.explanations import occlusion, sanity


def corner(pictures: np.ndarray) -> np.ndarray:
    """Answers with the mean brightness of the upper left eighth, and of nothing else."""
    return pictures[:, :4, :4].astype(float).mean((1, 2, 3))[:, None] / 255


def test_the_corner_that_is_looked_at_is_found():
    picture = np.zeros((32, 32, 1), np.uint8)
    picture[:4, :4] = 255
    found = occlusion.picture(corner, picture, 0)
    assert found.shape == (32, 32)
    assert found[0, 0] > 0.9
    assert np.abs(found[10:, 10:]).max() == 0


def test_every_place_is_covered_by_a_square():
    seen = []
    occlusion.picture(
        lambda pictures: (seen.append(pictures), np.zeros((len(pictures), 1)))[1], np.eye(28)[..., None], 0
    )
    covered = (seen[0][1:] != seen[0][0]).any(0)
    assert covered[np.eye(28, dtype=bool)].all()


def test_the_integer_file_is_explained_like_its_float_file(tiny_files):
    for place in range(4):
        picture, label = tiny_files.inputs[place], int(tiny_files.labels[place])
        maps = []
        for file in (tiny_files.float32, tiny_files.integer):
            answer = functools.partial(verify.predict_tflite, file)
            maps.append(occlusion.picture(answer, picture, label, patch=0.5, stride=0.125))
        assert sanity.correlation(*maps) > 0.95
        bright = tiny_files.inputs[place, ..., 0] > 60
        assert maps[0][bright].mean() > maps[0][~bright].mean()


def test_the_word_that_counts_is_found(tiny_text):
    def answer(ids: np.ndarray) -> np.ndarray:
        return np.asarray(tiny_text.model(ids))

    ids = tiny_text.task.inputs.read("the good film")[0]
    words = [[word.token] for word in tiny_text.task.inputs.words(ids)]
    found = occlusion.tokens(answer, ids, 1, words=words, instead=tiny_text.vocabulary.index("[MASK]"))
    assert found.shape == (3,)
    assert found.argmax() == 1
    assert found[1] > 10 * np.abs(found[[0, 2]]).max()
