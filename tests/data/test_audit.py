from __future__ import annotations

import gzip

import numpy as np
import pytest
from PIL import Image

from kerastl.data import audit, facts


def _arrays(train: int = 40, test: int = 20, classes: int = 4) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (train + test, 6, 6), np.uint8)
    labels = np.arange(train + test, dtype=np.int32) % classes
    return {
        "x_train": pictures[:train],
        "y_train": labels[:train],
        "x_test": pictures[train:],
        "y_test": labels[train:],
    }


def _found(tmp_path, **changes) -> list[audit.Finding]:
    np.savez(tmp_path / "set.npz", **(_arrays() | changes))
    return audit.audit(tmp_path / "set.npz")


def _only(found: list[audit.Finding], severity: str, where: str, what: str) -> None:
    assert [(one.severity, one.where) for one in found] == [(severity, where)], found
    assert what in found[0].what


def test_sound_data_has_no_finding(tmp_path):
    assert _found(tmp_path) == []


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_one_broken_value_is_found(broken, tmp_path):
    inputs = _arrays()["x_train"].astype(np.float32)
    inputs[17, 2, 3] = broken
    _only(_found(tmp_path, x_train=inputs), "error", "x_train", "1 example holds NaN or infinity: 17")


def test_float_labels(tmp_path):
    _only(_found(tmp_path, y_train=_arrays()["y_train"].astype(np.float32)), "error", "y_train", "labels are float32")
    labels = _arrays()["y_train"].astype(np.float32)
    labels[:3] = np.nan
    assert "3 are NaN" in _found(tmp_path, y_train=labels)[0].what


def test_labels_that_arrays_load_takes_are_no_finding(tmp_path):
    """Words, of which one split may lack some, and a column."""
    labels = {name: array for name, array in _arrays().items() if name.startswith("y")}
    assert _found(tmp_path, **{name: array[:, None] for name, array in labels.items()}) == []
    words = {name: np.array(["cat", "dog", "emu", "fox"])[array] for name, array in labels.items()}
    assert _found(tmp_path, **words) == []
    words["y_test"][words["y_test"] == "cat"] = "emu"
    _only(_found(tmp_path, **words), "error", "y_test", "no example of class cat")
    words["y_test"][:] = "emu"
    assert "one class only, emu" in _found(tmp_path, **words)[0].what


def test_labels_out_of_range(tmp_path):
    labels = _arrays()["y_train"].copy()
    labels[5] = -1
    _only(_found(tmp_path, y_train=labels), "error", "y_train", "1 label below 0, first at 5")
    labels[5] = 1_000_000
    found = _found(tmp_path, y_train=labels)
    assert [one.where for one in found] == ["y_test", "y_train"]
    assert "labels reach 1000000 though only 5 classes occur" in found[1].what


def test_empty_and_single_classes(tmp_path):
    labels = _arrays()["y_train"].copy()
    labels[labels == 1] = 0
    found = _found(tmp_path, y_train=labels)
    assert {(one.severity, one.where) for one in found} == {("error", "y_train")}
    assert "no example of class 1 of 0..3" in " ".join(one.what for one in found)
    _only(_found(tmp_path, y_train=np.full(40, 2, np.int32)), "error", "y_train", "one class only, 2")
    kept = _arrays()["y_test"] % 3  # class 3 is trained on and never tested
    _only(_found(tmp_path, y_test=kept), "error", "y_test", "no example of class 3")


def test_shapes_that_do_not_fit(tmp_path):
    _only(_found(tmp_path, y_train=_arrays()["y_train"][:-1]), "error", "x_train", "does not fit labels of shape (39,)")
    _only(_found(tmp_path, y_train=np.eye(4)[_arrays()["y_train"]]), "error", "y_train", "received shape (40, 4)")
    _only(_found(tmp_path, x_test=np.zeros((20, 5, 6)) + np.arange(20)[:, None, None]), "error", "inputs", "shape")


def test_duplicates_within_across_and_contradicting(tmp_path):
    inputs = _arrays()["x_train"].copy()
    inputs[8] = inputs[4]  # same class
    _only(_found(tmp_path, x_train=inputs), "warning", "train", "1 exact duplicate: x_train[8] = x_train[4]")
    inputs = _arrays()["x_test"].copy()
    inputs[7] = _arrays()["x_train"][3]  # both of class 3
    _only(
        _found(tmp_path, x_test=inputs), "error", "test and train", "1 example stands in both: x_train[3] = x_test[7]"
    )
    inputs = _arrays()["x_train"].copy()
    inputs[9] = inputs[4]  # classes 1 and 0
    found = _found(tmp_path, x_train=inputs)
    assert [(one.severity, one.where) for one in found] == [("error", "labels"), ("warning", "train")]
    assert "x_train[4] (0) = x_train[9] (1)" in found[0].what


def test_pickled_and_damaged_files_are_findings_and_run_nothing(tmp_path):
    np.savez(tmp_path / "set.npz", **_arrays() | {"x_test": np.array([{"a": 1}], object)})
    assert any(one.where == "x_test" and "Python objects" in one.what for one in audit.audit(tmp_path / "set.npz"))
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no zip")
    _only(audit.audit(tmp_path / "bad.npz"), "error", "bad.npz", "cannot be read")


def test_npy_pairs_and_idx_files(tmp_path):
    for name, array in _arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    assert audit.audit(tmp_path / "x_train.npy") == audit.audit(tmp_path) == []
    (tmp_path / "y_test.npy").unlink()
    _only(audit.audit(tmp_path), "error", "x_test.npy", "no labels")

    folder = tmp_path / "idx"
    folder.mkdir()
    arrays = _arrays()
    arrays["x_train"][11, 0] = arrays["x_train"][7, 0]
    arrays["x_train"][11] = arrays["x_train"][7]
    for prefix, split in (("train", "train"), ("t10k", "test")):
        pictures, labels = arrays[f"x_{split}"], arrays[f"y_{split}"].astype(np.uint8)
        header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pictures.shape)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pictures.tobytes()))
        header = b"\0\0\x08\x01" + len(labels).to_bytes(4, "big")
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    _only(audit.audit(folder), "warning", "train", "1 exact duplicate")


def _wrong(path):
    """Findings without the notes of what was understood."""
    return [one for one in audit.audit(path) if one.severity != "note"]


def _pictures(folder, *, splits=("train", "test"), classes=("cat", "dog"), each=4) -> None:
    draw = np.random.default_rng(1)
    for split in splits:
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for number in range(each):
                Image.fromarray(draw.integers(0, 256, (9, 7, 3), np.uint8)).save(
                    folder / split / name / f"{number}.png"
                )


def test_sound_picture_folders_have_no_finding(tmp_path):
    _pictures(tmp_path / "split")
    assert _wrong(tmp_path / "split") == []
    _pictures(tmp_path / "flat", splits=("",))
    assert _wrong(tmp_path / "flat") == []


def test_unreadable_pictures(tmp_path):
    _pictures(tmp_path)
    whole = (tmp_path / "train/cat/0.png").read_bytes()
    (tmp_path / "train/cat/0.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train/cat/1.png").write_bytes(b"")
    (tmp_path / "test/dog/notes.txt").write_text("hello")
    found = _wrong(tmp_path)
    assert [(one.severity, one.where) for one in found] == [
        ("error", "train/cat/0.png"),
        ("error", "train/cat/1.png"),
        ("warning", "test/dog/notes.txt"),
    ]
    assert "unreadable picture" in found[0].what
    assert found[1].what == "an empty file"


def test_odd_pictures_are_listed_with_their_reason(tmp_path):
    _pictures(tmp_path)
    colours = np.random.default_rng(2).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(colours[..., 0]).save(tmp_path / "train/cat/grey.png")
    Image.fromarray(colours).save(tmp_path / "train/cat/named.jpg", format="PNG")
    (tmp_path / "train/dog/page.jpg").write_text("<html>not found</html>")
    assert [(one.severity, one.where, one.what) for one in _wrong(tmp_path)] == [
        ("error", "train/dog/page.jpg", "a web page, not a picture"),
        ("warning", tmp_path.name, "1 picture is grey among coloured ones: train/cat/grey.png"),
        ("warning", "train/cat/named.jpg", "a PNG file under the name of a JPEG"),
    ]


def test_empty_single_and_missing_picture_classes(tmp_path):
    _pictures(tmp_path / "empty")
    (tmp_path / "empty/train/emu").mkdir()
    flags, one = _wrong(tmp_path / "empty")
    assert "none of 'emu' in train and test. --class-mismatch skip" in flags.what
    _only([one], "error", "train/emu", "without a readable picture")
    _pictures(tmp_path / "single", classes=("cat",))
    whole, *splits = _wrong(tmp_path / "single")
    assert "one class only, 'cat': there is nothing to tell apart" in whole.what
    assert [one.what for one in splits] == ["one class only, cat: there is nothing to tell apart"] * 2
    _pictures(tmp_path / "missing", classes=("cat", "dog", "emu"))
    for path in (tmp_path / "missing/test/emu").iterdir():
        path.unlink()
    (tmp_path / "missing/test/emu").rmdir()
    flags, one = _wrong(tmp_path / "missing")
    assert "none of 'emu' in test. --class-mismatch skip" in flags.what
    _only([one], "error", "test", "no example of class emu")


def test_a_picture_saved_again_in_the_other_split_is_a_leak(tmp_path):
    _pictures(tmp_path)
    with Image.open(tmp_path / "train/cat/2.png") as picture:
        picture.save(tmp_path / "test/cat/other.bmp")  # other bytes, the same pixels
    _only(_wrong(tmp_path), "error", "test and train", "train/cat/2.png")
    with Image.open(tmp_path / "train/cat/3.png") as picture:
        picture.save(tmp_path / "train/dog/again.png")
    assert any(one.where == "labels" and "(cat)" in one.what and "(dog)" in one.what for one in _wrong(tmp_path))


def test_near_duplicates_across_splits_are_counted_and_exact_ones_not_again(tmp_path):
    draw = np.random.default_rng(4)
    scenes = np.kron(draw.integers(0, 256, (60, 8, 8, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    train, test = scenes[:40], scenes[40:].copy()
    test[0], test[1], test[2] = train[7], train[8][:, ::-1], train[9] // 2
    labels = np.arange(40, dtype=np.int64) % 2
    arrays = {"x_train": train, "y_train": labels, "x_test": test, "y_test": labels[:20]}
    arrays["y_test"] = arrays["y_test"].copy()
    arrays["y_test"][0] = labels[7]
    np.savez(tmp_path / "scenes.npz", **arrays)
    found = audit.audit(tmp_path / "scenes.npz")
    assert [one.what for one in found if "near" in one.what] == [
        "2 near duplicates across them: x_test[1] ~ x_train[8], x_test[2] ~ x_train[9]"
    ]
    assert [one.severity for one in found if "stands in both" in one.what] == ["error"]
    assert not any("near" in one.what for one in audit.audit(tmp_path / "scenes.npz", near=False))

    for split, pictures in (("train", train), ("test", test)):
        for index, picture in enumerate(pictures):
            folder = tmp_path / "folder" / split / ("even", "odd")[index % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{index:02d}.png")
    assert any("2 near duplicates" in one.what for one in audit.audit(tmp_path / "folder"))


def test_labels_that_a_model_doubts(tmp_path):
    labels = np.arange(60) % 3
    inputs = np.eye(3)[labels]
    wrong = labels.copy()
    wrong[[5, 40]] = (labels[[5, 40]] + 1) % 3
    np.savez(tmp_path / "set.npz", x_train=inputs, y_train=wrong, x_test=inputs, y_test=labels)
    (found,) = audit.doubtful_labels(tmp_path / "set.npz", lambda rows: 0.7 * rows + 0.1)
    assert (found.severity, found.where) == ("warning", "y_train")
    assert found.what.startswith("2 labels look wrong: y_train[5] = 0, y_train[40] = 2")
    with pytest.raises(ValueError, match="to look for wrong labels"):
        audit.doubtful_labels(tmp_path, lambda rows: rows)


def test_nothing_to_audit_is_said(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        audit.audit(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="Received"):
        audit.audit(tmp_path)


def test_numbers_beside_the_arrays_are_no_set(tmp_path):
    assert _found(tmp_path, image_size=np.array(6), num_labels=np.array(4), label_names=np.array(["a", "b"])) == []
    found = _found(tmp_path, x=np.array(6.0), y=np.array(3))
    assert any("has no axis of examples" in one.what for one in found)


@pytest.mark.parametrize("lacking", ["inputs", "labels"])
def test_of_labels_that_do_not_fit_nothing_is_said(tmp_path, lacking):
    inputs, labels = np.eye(3)[np.arange(90) % 3], (np.arange(90) + 1) % 3
    pair = {
        "x_train": inputs[: 80 if lacking == "inputs" else 90],
        "y_train": labels[: 80 if lacking == "labels" else 90],
    }
    np.savez(tmp_path / "set.npz", **pair)
    assert audit.doubtful_labels(tmp_path / "set.npz", lambda rows: 0.7 * rows + 0.1) == []
    assert any("does not fit labels" in one.what for one in audit.audit(tmp_path / "set.npz"))


@pytest.mark.parametrize("kind", ["column", "words", "held back"])
def test_doubts_about_labels_as_audit_takes_them(tmp_path, kind):
    labels = np.arange(90) % 3
    inputs = np.eye(3)[labels]
    labels[[5, 40]] = (labels[[5, 40]] + 1) % 3
    if kind == "held back":
        labels[7] = -1
    given = {"column": labels[:, None], "words": np.array(["1", "2", "10"])[labels], "held back": labels}[kind]
    np.savez(tmp_path / "set.npz", x_train=inputs, y_train=given)
    (found,) = audit.doubtful_labels(tmp_path / "set.npz", lambda rows: 0.7 * rows + 0.1)
    assert f"2 labels look wrong: y_train[5] = {np.ravel(given)[5]}, y_train[40] = {np.ravel(given)[40]}" in found.what


def test_a_table_of_numbers_is_read_as_its_recipe_would(tmp_path):
    """`advise` says the same of it; what is to be known has to be said."""
    path = tmp_path / "flats.csv"
    path.write_text("price,size,kind\n" + "".join(f"{7.5 * n},{n},{'ab'[n % 2]}\n" for n in range(80)))
    (found,) = audit.audit(path, label_columns=["price"])
    assert (found.severity, found.what) == ("note", "80 rows of 3 numbers for price: regression")
    assert facts.summarize(path, label_columns=["price"]).kind == "numbers"
    for columns, words in (((), "--label-columns NAME"), (("PRICE",), "Did you mean price?")):
        (refused,) = audit.audit(path, label_columns=columns)
        assert refused.severity == "error"
        assert words in refused.what
        with pytest.raises(ValueError, match="kerastl run table_regressor"):
            facts.summarize(path, label_columns=columns)
    path.write_text(path.read_text().replace("7.5,1,b", "7.5,,b"))
    (broken,) = audit.audit(path, label_columns=["price"])
    assert (broken.severity, "line 3" in broken.what) == ("error", True)
