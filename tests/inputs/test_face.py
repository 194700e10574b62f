"""Aligned faces as a kind of input: a picture is searched, an array is not."""

import numpy as np
import pytest
from PIL import Image as Pillow

import kerastl
from kerastl.data import face_pictures
from kerastl.inputs import faces, pictures
from kerastl.inputs.face import Face


def test_the_face_of_a_picture_and_an_aligned_one(tmp_path):
    photograph = pictures.read(face_pictures.fetch()).pixels
    left, top, right, bottom = (int(value) for value in faces.found_in(photograph)[0].box)
    Pillow.fromarray(photograph[top - 150 : bottom + 150, left - 150 : right + 150]).save(tmp_path / "one.png")
    one = Face((150, 150, 3)).read(str(tmp_path / "one.png"))
    assert one.shape == (1, 150, 150, 3)
    np.save(tmp_path / "face.npy", one)
    np.testing.assert_array_equal(Face((150, 150, 3)).read(str(tmp_path / "face.npy")), one)
    with pytest.raises(ValueError, match="squares"):
        Face((150, 140, 3))
    with pytest.raises(FileNotFoundError):
        Face((150, 150, 3)).read(str(tmp_path / "nowhere.png"))
    assert kerastl.inputs.restored(Face((150, 150, 3)).described()) == Face((150, 150, 3))
