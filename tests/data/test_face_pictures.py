"""Faces out of folders: of people, of nobody known, of pictures without any."""

import numpy as np
import pytest
from PIL import Image as Pillow

from kerastl.data import face_pictures
from kerastl.inputs.face import Face
from kerastl.models.pretrained import face_embedding


def test_faces_of_the_six_photographs():
    found = face_pictures.load(views=4, size=64)
    assert found.task.inputs == Face((64, 64, 3))
    assert len(found.task.target.names) == 21
    parts = (found.train, found.validation, found.test)
    assert sum(map(len, parts)) == 21 * 4
    assert all(place.startswith("sample") and " face " in place for place in found.test.origins)
    again = face_pictures.load(**found.arguments)
    assert again.digest == found.digest


def test_a_folder_a_person_and_views_that_are_the_same_face(tmp_path):
    whole = face_pictures.load(views=4)
    chips = [whole.train.inputs[whole.train.labels == label][0] for label in range(3)]
    for place, chip in enumerate(chips):
        (tmp_path / f"person{place}").mkdir()
        for number in range(2):
            picture = Pillow.fromarray(np.pad(chip, ((80, 80), (80, 80), (0, 0)), mode="edge"))
            picture.save(tmp_path / f"person{place}" / f"{number}.png")
    Pillow.fromarray(np.full((90, 90, 3), 40, "uint8")).save(tmp_path / "person0" / "none.png")
    found = face_pictures.load(tmp_path, views=4)
    assert found.task.target.names == ("person0", "person1", "person2")
    faces = np.concatenate([part.inputs for part in (found.train, found.validation, found.test)])
    labels = np.concatenate([part.labels for part in (found.train, found.validation, found.test)])
    vectors = face_embedding.load().predict(faces.astype("float32"), verbose=0)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    same = labels[:, None] == labels[None]
    assert apart[same].mean() < 0.5 < apart[~same].mean()  # the published threshold is 0.6


def test_what_has_too_few_faces_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        face_pictures.load(tmp_path / "nowhere")
    Pillow.fromarray(np.full((90, 90, 3), 40, "uint8")).save(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"two people.*Received: 0 .*1 pictures"):
        face_pictures.load(tmp_path)
    with pytest.raises(ValueError, match="4 views"):
        face_pictures.load(views=3)
