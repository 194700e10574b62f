"""Inputs without labels: arrays and pictures found, refused in words, and answered by a model."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image as Pillow

from kerastl import types
from kerastl.data import arrays, mnist, unlabelled
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement

RANDOM = np.random.default_rng(0)
SERIES = RANDOM.normal(20, 5, (60, 8, 2)).astype("float64")
PIXELS = RANDOM.integers(0, 256, (60, 6, 5, 3)).astype("uint8")
SHAPES = {"series": (8, 2)}


def pictures(folder, count: int = 40, *, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Pillow.fromarray(np.random.default_rng(number).integers(0, 256, (9, 7, 3)).astype("uint8")).save(
            folder / f"{number}.png"
        )


@pytest.mark.parametrize("name", ["series", "x", "inputs", "data", "arr_0"])
def test_one_input_has_its_own_name_a_known_one_or_is_the_only_array(name, tmp_path):
    np.savez(tmp_path / "set.npz", **{name: SERIES})
    made = unlabelled.load(tmp_path / "set.npz", shapes=SHAPES)
    assert made.task.inputs == Numbers((8, 2))
    assert made.train.inputs.dtype == np.float32
    assert len(made.train) + len(made.validation) + len(made.test) == 60
    for split in (made.train, made.validation, made.test):
        rows = [int(origin.removeprefix(f"{name}[").removesuffix("]")) for origin in split.origins]
        np.testing.assert_allclose(split.inputs, SERIES[rows], rtol=1e-6)
        assert split.labels.shape == (len(split), 0)


def test_an_inputs_own_name_goes_before_other_words_and_has_splits(tmp_path):
    other = {"x": SERIES[::-1], "y": np.arange(60), "target": np.arange(60)}
    np.savez(tmp_path / "both.npz", series=SERIES, series_names=np.array(["a", "b"]), **other)
    made = unlabelled.load(tmp_path / "both.npz", shapes=SHAPES)
    assert str(made.train.origins[0]).startswith("series[")
    np.savez(tmp_path / "set.npz", series=SERIES[:40], test_series=SERIES[40:])
    made = unlabelled.load(tmp_path / "set.npz", shapes=SHAPES)
    assert len(made.test) == 20
    np.testing.assert_allclose(sorted(made.test.inputs[:, 0, 0]), sorted(SERIES[40:, 0, 0]), rtol=1e-6)
    np.savez(tmp_path / "two.npz", x_train=SERIES[:40], inputs_train=SERIES[40:])
    with pytest.raises(ValueError, match=r"one array of inputs of train\. Received: x_train and inputs_train"):
        unlabelled.load(tmp_path / "two.npz", shapes=SHAPES)
    path = tmp_path / "SET.NPZ"
    np.savez(tmp_path / "upper.npz", series=SERIES)
    (tmp_path / "upper.npz").rename(path)
    assert not unlabelled.has_labels(path, inputs=["series"])
    assert len(unlabelled.load(path, shapes=SHAPES).train)


def test_splits_that_there_are_stay_and_labels_are_left_alone(tmp_path):
    names = {"x_train": SERIES[:40], "y_train": np.arange(40), "x_test": SERIES[40:], "y_test": np.arange(20.0)}
    np.savez(tmp_path / "set.npz", **names)
    made = unlabelled.load(tmp_path / "set.npz", shapes=SHAPES, validation=10)
    assert (len(made.train), len(made.validation), len(made.test)) == (30, 10, 20)
    assert {origin[:7] for origin in made.test.origins} == {"x_test["}
    for name, values in names.items():
        np.save(tmp_path / f"{name}.npy", values)
    beside = unlabelled.load(tmp_path / "x_train.npy", shapes=SHAPES, validation=10)
    assert beside.digest == made.digest
    np.save(tmp_path / "weather.npy", SERIES[:35])  # its own name says nothing, so that it has no partners
    assert len(unlabelled.load(tmp_path / "weather.npy", shapes=SHAPES).train) < 35


def test_whole_numbers_of_three_axes_are_pictures_and_an_axis_of_one_may_be_missing(tmp_path):
    np.save(tmp_path / "colour.npy", PIXELS.astype("float32"))
    made = unlabelled.load(tmp_path / "colour.npy", shapes={"a": (None, None, 3)})
    assert made.task.inputs == Image((6, 5, 3))
    assert made.train.inputs.dtype == np.uint8
    np.save(tmp_path / "grey.npy", PIXELS[..., 0])
    assert unlabelled.load(tmp_path / "grey.npy", shapes={"a": (6, 5, 1)}).task.inputs == Image((6, 5, 1))
    np.save(tmp_path / "scaled.npy", PIXELS / 255)
    assert unlabelled.load(tmp_path / "scaled.npy", shapes={"a": (6, 5, 3)}).task.inputs == Numbers((6, 5, 3))


def test_several_inputs_have_an_array_each(tmp_path):
    np.savez(tmp_path / "set.npz", picture=PIXELS, series=SERIES, price=np.arange(60))
    shapes = {"picture": (6, 5, 3), "series": (None, 2)}
    made = unlabelled.load(tmp_path / "set.npz", shapes=shapes)
    assert made.task.inputs == Named((("picture", Image((6, 5, 3))), ("series", Numbers((8, 2)))))
    rows = [int(origin[8:-1]) for origin in made.test.origins]
    np.testing.assert_array_equal(made.test.inputs["picture"], PIXELS[rows])
    np.testing.assert_allclose(made.test.inputs["series"], SERIES[rows], rtol=1e-6)
    again = unlabelled.load(**made.arguments)
    assert again.digest == made.digest
    with pytest.raises(ValueError, match=r"inputs pictur, series\. Received: .* without pictur\. Did you mean pict"):
        unlabelled.load(tmp_path / "set.npz", shapes={"pictur": (6, 5, 3), "series": (8, 2)})
    np.savez(tmp_path / "uneven.npz", picture=PIXELS, series=SERIES[:50])
    with pytest.raises(ValueError, match=r"as many examples of each input\. Received: \{'picture': 60, 'series': 50\}"):
        unlabelled.load(tmp_path / "uneven.npz", shapes=shapes)


@pytest.mark.parametrize("where", ["flat", "one folder", "splits", "archive"])
def test_pictures_in_no_classes_are_found(where, tmp_path):
    folder = tmp_path / "photos"
    pictures(folder / {"one folder": "holiday", "splits": "train"}.get(where, ""))
    if where == "splits":
        pictures(folder / "test", 10, start=100)
    (folder / "notes.txt").write_text("no picture")
    path = folder
    if where == "archive":
        path = tmp_path / "photos.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.glob("*.png"):
                archive.write(file, file.name)
    assert not unlabelled.has_labels(path, inputs=["image"])
    made = unlabelled.load(path, shapes={"image": (6, 6, 3)})
    assert made.task.inputs == Image((6, 6, 3))
    count = 50 if where == "splits" else 40
    assert len(made.train) + len(made.validation) + len(made.test) == count
    assert len(made.test) == 10
    assert str(made.train.origins[0]).endswith(".png")
    assert unlabelled.load(**made.arguments).digest == made.digest
    streamed = unlabelled.load(path, shapes={"image": (6, 6, 3)}, in_memory=0)
    assert isinstance(streamed.train.inputs, types.LazyArray)
    np.testing.assert_array_equal(streamed.train.inputs[:], made.train.inputs)


def test_copies_and_what_is_no_picture_are_left_out(tmp_path, capsys):
    folder = tmp_path / "photos"
    pictures(folder)
    (folder / "copy.png").write_bytes((folder / "3.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"1 part of .*photos cannot be used; policy='skip'.*\n.*broken\.png"):
        unlabelled.load(folder, shapes={"image": (6, 6, 3)})
    made = unlabelled.load(folder, shapes={"image": (6, 6, 3)}, policy="skip")
    assert len(made.train) + len(made.validation) + len(made.test) == 40
    assert "broken.png" in capsys.readouterr().err


def test_examples_that_are_not_finite_are_refused_or_left_out(tmp_path, capsys):
    broken = SERIES.copy()
    broken[7, 1, 0], broken[50, 2, 1] = np.nan, np.inf
    np.savez(tmp_path / "set.npz", series=broken)
    with pytest.raises(ValueError, match=r"2 parts .*\n  row 7 of train: numbers of 'series' that are not finite"):
        unlabelled.load(tmp_path / "set.npz", shapes=SHAPES)
    made = unlabelled.load(tmp_path / "set.npz", shapes=SHAPES, policy="skip")
    origins = {*made.train.origins, *made.validation.origins, *made.test.origins}
    assert len(origins) == 58
    assert not origins & {"series[7]", "series[50]"}
    assert "row 50" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "shapes", "words"),
    [
        ({"x": SERIES}, {"series": (9, 2)}, r"numbers \(examples, 9, 2\) for 'series'\. Received: .* \(60, 8, 2\)"),
        ({"x": SERIES}, {"series": (None, 3)}, r"\(examples, any, 3\)"),
        ({"x": SERIES.astype(str)}, SHAPES, "Wanted inputs as the model takes them"),
        (
            {"serie": SERIES, "y": np.arange(60)},
            SHAPES,
            r"model's input 'series'.*Received: serie, y.*Did you mean serie",
        ),
        ({"x": SERIES[:20]}, SHAPES, r"Wanted 30 examples or more, .*Received: 20 of train"),
        ({"x_a": SERIES, "x_b": SERIES}, SHAPES, r"an array a split, as x_train and x_test"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(held, shapes, words, tmp_path):
    np.savez(tmp_path / "set.npz", **held)
    with pytest.raises(ValueError, match=words):
        unlabelled.load(tmp_path / "set.npz", shapes=shapes)


def test_what_is_not_there_or_is_no_picture_for_the_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder of inputs"):
        unlabelled.load(tmp_path / "nothing.npz", shapes=SHAPES)
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="Wanted arrays that can be read"):
        unlabelled.load(tmp_path / "broken.npz", shapes=SHAPES)
    pictures(tmp_path / "photos")
    for shapes in ({"series": (8, 2)}, {"a": (None, None, 3)}, {"a": (6, 6, 3), "b": (6, 6, 3)}):
        with pytest.raises(ValueError, match=r"one input \(height, width, 1 or 3\)"):
            unlabelled.load(tmp_path / "photos", shapes=shapes)
    with pytest.raises(ValueError, match=r"Wanted 30 examples .*limit=12"):
        unlabelled.load(tmp_path / "photos", shapes={"a": (6, 6, 3)}, limit=12)


def test_a_models_own_answers_become_the_labels(tmp_path):
    np.save(tmp_path / "series.npy", SERIES)
    loaded = unlabelled.load(tmp_path / "series.npy", shapes=SHAPES)

    def answer(inputs):
        return {"mean": inputs.mean((1, 2))[:, None], "last": inputs[:, -1]}

    made = unlabelled.with_answers(loaded, answer)
    assert made.task.target == Agreement.of(answer(loaded.train.inputs))
    assert made.digest == loaded.digest
    for split in (made.train, made.validation, made.test):
        np.testing.assert_array_equal(split.labels["last"], split.inputs[:, -1])
        assert split.task is made.task
    one = unlabelled.with_answers(loaded, lambda inputs: inputs[:, -1], name="forecast")
    assert one.task.target.names == ("forecast",)
    with pytest.raises(
        ValueError, match=r"Wanted finite answers of the model\. Received: .* 'forecast', .* not finite"
    ):
        unlabelled.with_answers(loaded, lambda inputs: inputs[:, -1] * np.nan, name="forecast")
    train = len(loaded.train)
    with pytest.raises(ValueError, match="in validation"):  # though those to train on are all there
        unlabelled.with_answers(loaded, lambda inputs: inputs[:, -1] if len(inputs) == train else inputs[1:, -1])


def test_labels_that_there_are_are_left_out():
    digits = mnist.load(limit=300)
    made = unlabelled.with_answers(digits, lambda inputs: inputs.mean((1, 2)).astype("float32"))
    assert made.task.inputs == digits.task.inputs
    assert (made.source, made.arguments, made.digest) == ("mnist", digits.arguments, digits.digest)
    assert made.train.labels.dtype == np.float32


def test_whether_there_are_labels_is_told_without_reading(tmp_path, monkeypatch):
    np.savez(tmp_path / "both.npz", x=SERIES, y=np.arange(60))
    np.savez(tmp_path / "alone.npz", x=SERIES)
    np.savez(tmp_path / "named.npz", x=SERIES, labels=SERIES)
    np.save(tmp_path / "series.npy", SERIES)
    pictures(tmp_path / "flat", 3)
    for name in ("cats", "dogs"):
        pictures(tmp_path / "classes" / name, 2)
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(unlabelled.array_file, "read_set", None)
    found = {name: unlabelled.has_labels(tmp_path / name, inputs=["a"]) for name in ("both.npz", "alone.npz")}
    assert found == {"both.npz": True, "alone.npz": False}
    assert not unlabelled.has_labels(tmp_path / "named.npz", inputs=["x", "labels"])
    assert not unlabelled.has_labels(tmp_path / "series.npy", inputs=["a"])
    assert not unlabelled.has_labels(tmp_path / "flat", inputs=["a"])
    assert unlabelled.has_labels(tmp_path / "classes", inputs=["a"])
    assert unlabelled.has_labels(tmp_path / "empty", inputs=["a"])  # whoever reads it says that there is nothing
    assert unlabelled.has_labels("fashion_mnist", inputs=["a"])
    with pytest.raises(FileNotFoundError, match=r"no file of arrays .*nothing\.npz"):
        unlabelled.has_labels(tmp_path / "nothing.npz", inputs=["a"])
    np.save(tmp_path / "x_train.npy", SERIES)
    np.save(tmp_path / "y_train.npy", SERIES)
    assert unlabelled.has_labels(tmp_path / "x_train.npy", inputs=["a"])
    assert set(arrays.SPLITS) > {"train", "val", "test"}


@pytest.mark.parametrize(("examples", "test", "validation"), [(40, 10, 7), (90, 22, 17), (160, 30, 30), (400, 60, 51)])
def test_of_few_examples_enough_validate_and_test(examples, test, validation, tmp_path):
    np.save(tmp_path / "rows.npy", RANDOM.normal(size=(examples, 3)))
    made = unlabelled.load(tmp_path / "rows.npy", shapes={"row": (3,)})
    assert (len(made.test), len(made.validation)) == (test, validation)
    assert unlabelled.load(**made.arguments).digest == made.digest
    few = unlabelled.load(tmp_path / "rows.npy", shapes={"row": (3,)}, validation=4, test=5)
    assert (len(few.test), len(few.validation)) == (5, 4)  # whoever says a number gets it
