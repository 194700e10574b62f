"""Faces of real photographs: found, upright, of one size; no face and several are refused."""

import itertools

import numpy as np
import pytest
from PIL import Image as Pillow

from kerastl.data import face_pictures
from kerastl.inputs import faces, pictures
from kerastl.inputs.face import Face


@pytest.fixture(scope="module")
def photograph():
    """Three people in front of a mirror."""
    return pictures.read(face_pictures.fetch()).pixels


def test_a_similarity_brings_points_back():
    draw = np.random.default_rng(0)
    source = draw.normal(size=(5, 2))
    turn = 1.7 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    found, offset = faces.similarity(source, source @ turn.T + [3, -2])
    np.testing.assert_allclose(found, turn, atol=1e-12)
    np.testing.assert_allclose(offset, [3, -2], atol=1e-12)
    noisy = source @ turn.T + [3, -2] + draw.normal(size=(5, 2)) * 0.1
    found, offset = faces.similarity(source, noisy)
    error = np.square(source @ found.T + offset - noisy).sum()
    for _ in range(200):  # no other similarity is nearer
        a, b, *moved = draw.normal(size=4) * 0.03
        other = found + np.array([[a, -b], [b, a]])
        assert np.square(source @ other.T + offset + moved - noisy).sum() >= error - 1e-12


def test_three_faces_are_found_and_their_eyes_are_level(photograph):
    found = faces.found_in(photograph)
    assert len(found) == 3
    assert all(one.score >= other.score for one, other in itertools.pairwise(found))
    for face in found:
        left, top, right, bottom = face.box
        assert left < face.points[0][0] < face.points[1][0] < right
        assert top < face.points[0][1] < face.points[3][1] < bottom
        points = faces.landmarks(photograph, face)
        assert np.abs(points[[33, 133]].mean(0) - face.points[0]).max() < (right - left) / 8
        chip = faces.aligned(photograph, points)
        (again,) = faces.found_in(chip, least_score=0.3)[:1]
        eyes = again.points[:2]
        assert abs(eyes[0][1] - eyes[1][1]) < 8
        assert abs(eyes.mean(0)[0] - 74.7) < 12  # where dlib's embedding has them
        assert abs(eyes.mean(0)[1] - 47.1) < 12


def test_a_face_that_is_turned_in_the_picture_comes_out_the_same(photograph):
    face = faces.found_in(photograph)[0]
    straight = faces.aligned(photograph, faces.landmarks(photograph, face))
    left, top, right, bottom = (int(value) for value in face.box)
    around = Pillow.fromarray(photograph).crop((left - 250, top - 250, right + 250, bottom + 250))
    turned = np.asarray(around.rotate(20, Pillow.Resampling.BICUBIC))
    again = faces.aligned(turned, faces.landmarks(turned, faces.found_in(turned)[0]))
    assert np.abs(straight.astype(float) - again).mean() < 12
    assert np.abs(straight.astype(float) - straight[:, ::-1]).mean() > 25


def test_a_picture_with_no_face_or_several_is_refused(photograph, tmp_path):
    with pytest.raises(ValueError, match=r"one face. Received: here, in which 3 were found"):
        faces.only(photograph, where="here")
    Pillow.fromarray(np.full((200, 300, 3), 90, "uint8")).save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match=r"grey.png, in which no face was found"):
        Face((150, 150, 3)).read(str(tmp_path / "grey.png"))
