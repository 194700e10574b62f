"""Several inputs by name: checked, fed, read, described."""

import numpy as np
import pytest
from PIL import Image as Pillow

from kerastl import inputs
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text

KIND = Named((("picture", Image((4, 4, 3))), ("row", Numbers((2,), ("age", "size")))))


def test_examples_are_checked_by_each_kind():
    examples = {"picture": np.zeros((5, 4, 4, 3), "uint8"), "row": np.zeros((5, 2), "float32")}
    KIND.check(examples, where="train")
    with pytest.raises(ValueError, match=r"Wanted the inputs picture, row\. Received: picture in train"):
        KIND.check({"picture": examples["picture"]}, where="train")
    with pytest.raises(ValueError, match="one array"):
        KIND.check(examples["picture"], where="train")
    broken = {**examples, "row": np.full((5, 2), np.nan, "float32")}
    with pytest.raises(ValueError, match=r"train, input row, row 0, column 0 \(age\)"):
        KIND.check(broken, where="train")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((), "none"),
        ((("a", Image((4, 4, 1))), ("a", Image((4, 4, 1)))), "different names"),
        ((("words", Text(4, ("[PAD]", "a"))),), "several tensors: words"),
    ],
)
def test_what_is_no_set_of_inputs_is_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        Named(parts)


def test_each_input_is_fed_and_drawn_by_its_own_kind():
    noise = KIND.noise(3, seed=1)
    KIND.check(noise, where="noise")
    assert {name: part.shape for name, part in noise.items()} == {"picture": (3, 4, 4, 3), "row": (3, 2)}
    fed = KIND.fed(noise)
    assert list(fed) == ["picture", "row"]
    np.testing.assert_array_equal(fed["row"], noise["row"])
    assert KIND.in_graph(fed).keys() == fed.keys()
    assert KIND.tensors == ("picture", "row")
    assert KIND.shape == {"picture": (4, 4, 3), "row": (2,)}
    assert KIND.calibration_range() is None
    assert Named((("one", Image((4, 4, 3))), ("other", Image((2, 2, 1))))).calibration_range() == (1.0, 0)


def test_inputs_are_read_by_name(tmp_path):
    Pillow.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "a b.png")
    found = KIND.read(f"'picture={tmp_path / 'a b.png'}' row=3,1.5")
    assert found["picture"][0, 0, 0].tolist() == [10, 20, 30]
    assert found["row"].tolist() == [[3, 1.5]]
    with pytest.raises(ValueError, match=r"Wanted picture=\.\.\. row=\.\.\.\. Received"):
        KIND.read("row=3,1.5")
    np.save(tmp_path / "rows.npy", np.zeros((2, 2)))
    with pytest.raises(ValueError, match="1 of picture, 2 of row"):
        KIND.read(f"'picture={tmp_path / 'a b.png'}' row={tmp_path / 'rows.npy'}")


def test_a_page_shows_the_picture_and_the_words_and_a_description_restores_it():
    shown = KIND.shown({name: part[0] for name, part in KIND.noise(1).items()})
    assert shown["picture"].startswith("data:image/png")
    assert shown["text"].startswith("row: age ")
    assert inputs.restored(KIND.described()) == KIND
