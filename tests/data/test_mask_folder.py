"""Pictures with PNG masks beside them."""

import numpy as np
import pytest
from PIL import Image as Pillow

from kerastl.data import mask_folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(20):
        mask = np.zeros((40, 60), "uint8")
        mask[:, 30:] = 1 + number % 2
        mask[0] = 255
        colours = np.array([[10, 10, 10], [200, 10, 10], [10, 200, 10]], "uint8")
        Pillow.fromarray(colours[np.where(mask == 255, 0, mask)] + np.uint8(number)).save(
            tmp_path / "images" / f"{number}.png"
        )
        picture = Pillow.fromarray(mask)
        if number % 3 == 0:  # with a palette, as Pascal VOC has them
            picture = picture.convert("P")
            picture.putdata(mask.reshape(-1).tolist())
        picture.save(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "classes.txt").write_text("nothing\nred\ngreen\n")
    return tmp_path


def test_masks_are_read_beside_their_pictures(folder):
    found = mask_folder.load(folder, size=32)
    assert found.task.target.names == ("nothing", "red", "green")
    for split in (found.train, found.validation, found.test):
        for picture, mask, origin in zip(split.inputs, split.labels, split.origins, strict=True):
            number = int(str(origin).removesuffix(".png"))
            assert (mask[2:, 18:] == 1 + number % 2).all()
            assert (mask[2:, :14] == 0).all()
            assert picture[16, 20].argmax() == number % 2
    assert mask_folder.load(**found.arguments).digest == found.digest
    (folder / "classes.txt").unlink()
    assert mask_folder.load(folder, size=32).task.target.names == ("0", "1", "2")


def test_what_fits_not_together_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="images/ and masks/"):
        mask_folder.load(folder / "images")
    mask = folder / "masks" / "3.png"
    Pillow.fromarray(np.zeros((10, 10), "uint8")).save(mask)
    with pytest.raises(ValueError, match=r"as large as its picture.*3\.png"):
        mask_folder.load(folder)
    Pillow.fromarray(np.zeros((40, 60, 3), "uint8")).save(mask)
    with pytest.raises(ValueError, match=r"one number a pixel.*RGB"):
        mask_folder.load(folder)
    mask.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no PNG"):
        mask_folder.load(folder)
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of them without one, 3\.png the first"):
        mask_folder.load(folder)
