"""Any model of one's own through `shrink_model` without labels: its files are proven against its own answers."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image as Pillow

import kerastl
from kerastl.data.reading import PictureReading
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.recipes import shrink_model
from kerastl.runs.checkpoints import Workspace
from kerastl.types import Schedule

RANDOM = np.random.default_rng(0)
SERIES = (100 + RANDOM.normal(0, 20, (300, 24, 1)).cumsum(1)).astype("float32")
GREY = RANDOM.integers(0, 256, (240, 12, 12, 1)).astype("uint8")
COLOUR = RANDOM.integers(0, 256, (240, 16, 16, 3)).astype("uint8")
ROWS = RANDOM.normal(50, 20, (240, 6)).astype("float32")


@dataclasses.dataclass
class Own:
    """A model of one's own.

    Attributes:
        model: it, saved as ``mine.keras``.
        examples: what it takes itself, scaled as it wants it: an array, or of several inputs a list.
        data: name of the file or folder of its inputs.
        kind: of these.
        outputs: their names.
        changes: settings of the run.
    """

    model: keras.Model
    examples: np.ndarray | list[np.ndarray]
    data: str
    kind: object
    outputs: tuple[str, ...]
    changes: dict = dataclasses.field(default_factory=dict)


def forecast(folder: Path) -> Own:
    np.save(folder / "weather.npy", SERIES)
    series = keras.Input((24, 1), name="series")
    x = layers.Conv1D(8, 5, activation="relu")(layers.Rescaling(1 / 50, offset=-2)(series))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    model = keras.Model(series, layers.Dense(1, name="tomorrow")(x))
    return Own(model, SERIES, "weather.npy", Numbers((24, 1)), ("tomorrow",))


def embedding(folder: Path) -> Own:
    np.savez(folder / "set.npz", images=COLOUR)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(24, 3, activation="relu")(x))
    return Own(
        keras.Model(image, layers.Dense(256, name="vector")(x)),
        COLOUR.astype("float32"),
        "set.npz",
        Image((16, 16, 3)),
        ("vector",),
    )


def autoencoder(folder: Path) -> Own:
    """Of scaled pixels in, scaled pixels out: the file takes bytes all the same."""
    np.save(folder / "grey.npy", GREY)
    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    model = keras.Model(image, layers.Conv2D(1, 3, padding="same", name="picture")(x))
    return Own(model, GREY / 255.0, "grey.npy", Image((12, 12, 1)), ("picture",), {"pixels": "0..1"})


def two_and_two(folder: Path) -> Own:
    np.savez(folder / "set.npz", row=ROWS, photo=GREY, y=np.arange(240))
    photo, row = keras.Input((12, 12, 1), name="photo"), keras.Input((6,), name="row")
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(photo))
    numbers = layers.Dense(16, activation="relu")(layers.Rescaling(1 / 20, offset=-2.5)(row))
    x = layers.Dense(24, activation="relu")(layers.Concatenate()([layers.GlobalAveragePooling2D()(x), numbers]))
    answers = [layers.Dense(3, activation="softmax", name="sort")(x), layers.Dense(1, name="price")(x)]
    kind = Named((("photo", Image((12, 12, 1))), ("row", Numbers((6,)))))
    model = keras.Model([photo, row], answers)
    return Own(model, [GREY.astype("float32"), ROWS], "set.npz", kind, ("price", "sort"))


def detector(folder: Path) -> Own:
    """Of pictures of any size, in a folder without classes."""
    pictures = COLOUR[:60]
    (folder / "photos").mkdir()
    for number, picture in enumerate(pictures):
        Pillow.fromarray(picture).save(folder / "photos" / f"{number}.png")
    image = keras.Input((None, None, 3), name="photo")
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(
        layers.Rescaling(1 / 127.5, offset=-1)(image)
    )
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    boxes = layers.Reshape((-1, 4))(layers.Conv2D(4, 1)(x))
    scores = layers.Reshape((-1, 2))(layers.Conv2D(2, 1, activation="sigmoid")(x))
    model = keras.Model(image, {"scores": scores, "boxes": boxes})
    examples = pictures.astype("float32")
    return Own(model, examples, "photos", Image((16, 16, 3)), ("boxes", "scores"), {"image_size": 16})


def classifier(folder: Path) -> Own:
    np.savez(folder / "set.npz", x=GREY)
    image = keras.Input((12, 12, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 64)(image)))
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="shares")(x))
    return Own(model, GREY.astype("float32"), "set.npz", Image((12, 12, 1)), ("shares",))


MODELS = {one.__name__: one for one in (forecast, embedding, autoencoder, two_and_two, detector, classifier)}


def settings(folder: Path, own: Own, **changes) -> shrink_model.Config:
    accept = kerastl.runs.Acceptance(
        max_score_drop=0.1, max_quantization_drop=0.5, min_agreement=0.5, max_saturation=0.2
    )
    config = shrink_model.Config(
        model=str(folder / "mine.keras"),
        data=str(folder / own.data),
        rounding=16,
        tune=Schedule(epochs=0),
        accept=accept,
    )
    return dataclasses.replace(config, **own.changes, **changes)


def built(name: str, folder: Path) -> Own:
    keras.utils.set_random_seed(3)
    own = MODELS[name](folder)
    for layer in own.model.layers:  # so that answers differ by more than a file's rounding
        if len(layer.weights) == 2:
            kernel, bias = layer.get_weights()
            layer.set_weights([2 * kernel, RANDOM.normal(0, 0.1, bias.shape)])
    own.model.save(folder / "mine.keras")
    return own


@pytest.mark.parametrize("name", MODELS)
def test_every_file_answers_as_the_model_does(name, tmp_path):
    own = built(name, tmp_path)
    report = shrink_model.run(settings(tmp_path, own), tmp_path / "run")
    rows = {row["name"]: row for row in report["variants"]}
    tried = {"float32", "float16", "dynamic_int8", "weight_only_int8", "static_int8", "int4_weights", "mixed_precision"}
    assert {*rows, *report["skipped"]} == tried
    assert tried - {"int4_weights", "mixed_precision"} <= set(rows), report["skipped"]
    assert (report["metric"], report["task"]) == ("agreement", "agreement with the model")
    assert rows["float32"]["score"] == rows["float32"]["float_score"] == 1
    assert rows["static_int8"]["ops"]["float"] == 0
    assert rows["dynamic_int8"]["bytes"] < rows["float32"]["bytes"]

    run = kerastl.open(tmp_path / "run")
    assert run.task.inputs == own.kind
    assert run.labels == own.outputs
    wanted = own.model.predict(own.examples, verbose=0)  # of the model itself, asked as its owner asks it
    wanted = wanted if isinstance(wanted, list | dict) else [wanted]
    wanted = wanted if isinstance(wanted, dict) else dict(zip(own.model.output_names, wanted, strict=True))
    kept = raw(own)
    answers = run.answers(kept, variant="float32")
    answers = answers if isinstance(answers, dict) else {own.outputs[0]: answers}
    assert sorted(answers) == sorted(own.outputs)
    for output in own.outputs:
        assert answers[output].shape == wanted[output].shape
        np.testing.assert_allclose(answers[output], wanted[output], atol=1e-3 * np.abs(wanted[output]).max())
    assert run.verify(progress=False) == ()
    (said,) = run.predict({key: part[:1] for key, part in kept.items()} if isinstance(kept, dict) else kept[:1])
    assert set(said["outputs"]) == set(own.outputs)
    page = (tmp_path / "run" / "mobile" / "README.md").read_text()
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    printed = subprocess.run(
        [sys.executable, "-c", snippet[1]], cwd=tmp_path / "run" / "mobile", capture_output=True, text=True, check=True
    ).stdout
    if len(own.outputs) > 1:
        assert [line.split()[0] for line in printed.splitlines()] == list(own.outputs)
        assert all(f"output `{output}`" in page for output in own.outputs)
    html = (tmp_path / "run" / "report.html").read_text()
    assert "Output by output" in html
    assert all(f">in, {part}<" in html for part in (own.kind.tensors if isinstance(own.kind, Named) else ()))


def raw(own: Own):
    """Examples as the run holds them."""
    if isinstance(own.kind, Named):
        return {"photo": GREY, "row": ROWS}
    if own.changes.get("pixels") == "0..1":
        return GREY
    return own.examples.astype(own.kind.dtype) if isinstance(own.examples, np.ndarray) else own.examples


def rows_model(folder: Path, *, outputs: int) -> Own:
    """Dense layers, which cross the bridge; half of their units say next to nothing."""
    generator = np.random.default_rng(5)
    rows = generator.normal(3, 2, (400, 8)).astype("float32")
    np.save(folder / "rows.npy", rows)
    keras.utils.set_random_seed(0)
    row = keras.Input((8,), name="row")
    x = layers.Dense(64, activation="relu", name="wide")(layers.Rescaling(0.5, offset=-1.5, name="scaled")(row))
    x = layers.Dense(48, activation="relu", name="middle")(x)
    answers = {name: layers.Dense(2, name=name)(x) for name in ("first", "second")[:outputs]}
    model = keras.Model(row, answers if outputs > 1 else answers["first"])
    for layer in model.layers[2:]:
        kernel, bias = layer.get_weights()
        if layer.name in ("wide", "middle"):
            kernel[:, ::2] *= 0.01
        if layer.name != "wide":
            kernel[::2] *= 0.01
        layer.set_weights([kernel, bias])
    model.save(folder / "mine.keras")
    return Own(model, rows, "rows.npy", Numbers((8,)), tuple(answers))


LEARN = {
    "tune": Schedule(epochs=4, batch_size=20, peak_learning_rate=1e-3),
    "keep_ratios": (0.6,),
    "sparsity": 0.5,
    "clusters": 32,
    "rounding": 0,
}


def test_what_is_trained_learns_the_models_own_answers(tmp_path):
    """Channels, single weights, clusters and integers, by the mean squared error of the outputs."""
    own = rows_model(tmp_path, outputs=1)
    report = shrink_model.run(settings(tmp_path, own, **LEARN), tmp_path / "run")
    rows = {row["name"]: row for row in report["variants"]}
    assert {"channels_60_float32", "pruned_float32", "clustered_float32", "qat_int8"} <= set(rows), report["skipped"]
    assert rows["channels_60_float32"]["parameters"] < 0.75 * rows["float32"]["parameters"]
    assert rows["pruned_float32"]["sparsity"] > 0.4
    assert rows["clustered_float32"]["gzip_bytes"] < 0.7 * rows["float32"]["gzip_bytes"]
    assert rows["qat_int8"]["ops"]["float"] == 0
    for name in ("channels_60_float32", "pruned_float32", "clustered_float32", "qat_int8"):
        assert rows[name]["score"] > 0.9, name
    assert kerastl.open(tmp_path / "run").verify(progress=False) == ()


def test_several_outputs_are_trained_together_by_every_technique_that_trains(tmp_path):
    own = rows_model(tmp_path, outputs=2)
    config = settings(tmp_path, own, **LEARN)
    data = shrink_model.load(config)
    model = shrink_model.load_model(config, data, SimpleNamespace(stage="model")).model
    assert sorted(data.task.target.names) == ["first", "second"]

    def followed(answers):
        names = ("first", "second")
        return min(np.corrcoef(answers[name].ravel(), data.test.labels[name].ravel())[0, 1] for name in names)

    score = data.task.target.score
    for name, setting in {"prune_channels": 0.6, "prune": 0.5, "cluster": 8, "quantize": 8}.items():
        at = Workspace("smaller", folder=tmp_path / name, logs=tmp_path / f"{name} logs")
        made = getattr(shrink_model, name)(config, data, model, setting, at)
        if name == "quantize":
            assert followed(kerastl.verify.predict_tflite(made.content, data.test.inputs)) > 0.9
            continue
        answers = kerastl.training.predict(made.model, data.test.inputs, task=data.task)
        assert followed(answers) > 0.9, name
        assert name == "cluster" or score(answers, data.test.labels).value > 0.9  # eight values follow coarsely
        assert len(made.curves.values["val_loss"]) == 4


def test_labels_are_left_out_where_somebody_says_so(tmp_path):
    own = built("classifier", tmp_path)
    labels = np.arange(240) % 3  # not even as many classes as the model has
    np.savez(tmp_path / "set.npz", x=GREY, y=labels)
    config = settings(tmp_path, own)
    with pytest.raises(ValueError, match=r"as many classes\. Received: .* set has \(12, 12, 1\) and 3 classes"):
        shrink_model.run(config, tmp_path / "labelled")
    data = shrink_model.load(dataclasses.replace(config, labels="none"))
    assert data.source == "unlabelled"
    np.testing.assert_allclose(np.asarray(data.test.labels).sum(1), 1, atol=1e-5)
    reading = PictureReading(max_train_examples=60)
    digits = str(saved_for_digits(tmp_path))
    named = shrink_model.load(dataclasses.replace(config, model=digits, data="mnist", labels="none", reading=reading))
    assert (named.source, named.train.labels.shape) == ("mnist", (60, 28, 28, 1))


def saved_for_digits(folder: Path) -> Path:
    """Pictures out, which no classifier gives."""
    image = keras.Input((28, 28, 1))
    keras.Model(image, layers.Conv2D(1, 3, padding="same")(layers.Rescaling(1 / 255)(image))).save(
        folder / "digits.keras"
    )
    return folder / "digits.keras"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "some"}, r"--labels auto or none\. Received: labels='some'"),
        (
            {"model": ""},
            r"Wanted --model, whose answers .*\.keras or \.h5 file.*no model, .*labels='auto'",
        ),
        ({"labels": "none", "model": "", "data": "mnist"}, "Wanted --model, whose answers"),
        ({"data": "few.npz"}, r"Wanted 30 examples or more.*Received: 12 of train"),
        ({"data": "other.npz"}, r"numbers \(examples, 12, 12, 1\) for .*Received: uint8 of shape \(240, 10, 12, 1\)"),
        ({"model": "unscaled.keras"}, r"nobody can tell which range of pixels .*unscaled\.keras .*--pixels"),
        (
            {"model": "endless.keras", "pixels": "0..255"},
            r"Wanted finite answers of the model\. Received: .*output 'endless', \d+ not finite, inf of example",
        ),
        ({"model": "two.keras"}, r"inputs photo, row\. Received: .*set\.npz with x, without photo, row"),
        (
            {"model": "digits.keras", "data": "labelled.npz"},
            r"Wanted a classifier of pictures.*shrink_model --labels none",
        ),
    ],
)
def test_what_cannot_be_done_is_said(changes, words, tmp_path):
    own = built("classifier", tmp_path)
    np.savez(tmp_path / "few.npz", x=GREY[:12])
    np.savez(tmp_path / "other.npz", x=GREY[:, :10])
    np.savez(tmp_path / "labelled.npz", x=RANDOM.integers(0, 256, (60, 28, 28, 1), np.uint8), y=np.arange(60) % 2)
    saved_for_digits(tmp_path)
    image = keras.Input((12, 12, 1))
    keras.Model(image, layers.Conv2D(2, 3)(image)).save(tmp_path / "unscaled.keras")
    scaled = layers.Flatten()(layers.Rescaling(1.0)(image))  # exp(255) is more than 32 bits hold
    keras.Model(image, layers.Activation("exponential", name="endless")(scaled)).save(tmp_path / "endless.keras")
    photo, row = keras.Input((12, 12, 1), name="photo"), keras.Input((6,), name="row")
    keras.Model([photo, row], [layers.Flatten()(photo), layers.Dense(2)(row)]).save(tmp_path / "two.keras")
    changes = {
        key: str(tmp_path / value) if key in ("model", "data") and "." in value else value
        for key, value in changes.items()
    }
    config = settings(tmp_path, own, **changes)
    with pytest.raises(ValueError, match=words):
        shrink_model.run(config, tmp_path / "run")
