"""A run that starts from another: its weights, and the head's rows of the classes that both have."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl import types
from kerastl.data import text_csv
from kerastl.export import metadata, tflite
from kerastl.inputs.image import Image
from kerastl.models import heads
from kerastl.runs import starting
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel

KIND = Image((8, 8, 3))
PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("float32")


def task(*names: str) -> types.Task:
    return types.Task("pictures", KIND, SingleLabel(names))


def network(names: tuple[str, ...], *, seed: int, filters: int = 4) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input(KIND.shape, name="image")
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(filters, 3)(keras.layers.Rescaling(1 / 255)(image)))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, heads.outputs(x, task(*names)))


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> tuple[str, keras.Model]:
    """The folder of a finished run as far as it is looked at, and its model."""
    folder = tmp_path_factory.mktemp("before")
    model = network(("cat", "dog", "fox"), seed=1)
    model.layers[2].set_weights([np.random.default_rng(0).random(one.shape) for one in model.layers[2].get_weights()])
    keras.Model(model.input, keras.layers.Softmax()(model.output)).save(folder / "model.keras")
    (folder / "config.json").write_text('{"settings": {"backbone": "tiny"}}')
    (folder / "mobile").mkdir()
    asked = task("cat", "dog", "fox")
    content = metadata.add(tflite.convert(model, asked), asked, description="tiny")
    (folder / "mobile" / "model.tflite").write_bytes(content)
    return str(folder), model


def logits(model: keras.Model) -> np.ndarray:
    return np.asarray(model(PICTURES, training=False))


def test_the_classes_that_both_have_are_answered_as_before(before):
    folder, model = before
    names = ("owl", "fox", "cat")
    new = network(names, seed=2)
    untouched = logits(new)[:, 0]
    assert starting.begun(new, folder, task(*names)) is new
    np.testing.assert_allclose(logits(new)[:, 1:], logits(model)[:, [2, 0]], atol=1e-6)
    kernel = network(names, seed=2).get_layer("logits").get_weights()[0][:, 0]
    np.testing.assert_array_equal(new.get_layer("logits").get_weights()[0][:, 0], kernel)
    assert np.abs(logits(new)[:, 0] - untouched).max() > 1e-3, "it sees other features now"


def test_without_a_run_nothing_is_changed():
    model = network(("cat", "dog"), seed=3)
    expected = logits(model)
    np.testing.assert_array_equal(logits(starting.begun(model, "", task("cat", "dog"))), expected)
    assert starting.key("") == []
    assert starting.vocabulary("", "bert") == "bert"


def test_stages_know_which_model_they_start_from(before, tmp_path):
    folder, _ = before
    (tmp_path / "model.keras").write_bytes(b"another")
    assert starting.key(folder) == starting.key(folder) != starting.key(str(tmp_path))


def test_what_goes_on_is_said(before, capsys):
    def data(*names: str) -> types.Dataset:
        labels = np.arange(6, dtype=np.int32) % len(names)
        split = types.Split("train", PICTURES[[0] * 6].astype("uint8"), labels, task(*names))
        return types.Dataset(task(*names), split, split, split, digest="", source="", arguments={})

    starting.tell(before[0], data("cat", "owl"))
    assert capsys.readouterr().out.endswith("Classes that go on: cat; new: owl; gone: dog, fox\n")
    with pytest.raises(ValueError, match=r"data of owl, hen\. To begin anew .*--backbone"):
        starting.tell(before[0], data("owl", "hen"))


def test_what_does_not_fit_is_refused_in_words(before, tmp_path):
    folder, _ = before
    with pytest.raises(ValueError, match=r"a run of the same network\. .*--backbone tiny"):
        starting.begun(network(("cat", "dog"), seed=0, filters=5), folder, task("cat", "dog"))
    with pytest.raises(ValueError, match="what a run was asked"):
        starting.begun(network(("cat", "dog"), seed=0), folder, types.Task("a", KIND, MultiLabel(("cat", "dog"))))
    with pytest.raises(FileNotFoundError, match=r"without a model\.keras"):
        starting.key(str(tmp_path))
    with pytest.raises(ValueError, match="is a run of texts"):
        starting.vocabulary(folder, "bert")


def test_texts_are_read_with_the_words_of_the_run(tiny_text, tmp_path):
    (tmp_path / "model.tflite").write_bytes(metadata.add(tiny_text.float32, tiny_text.task, description="toy"))
    (tmp_path / "set.csv").write_text("text,label\n" + "".join(f"good film {n},{'ab'[n % 2]}\n" for n in range(12)))
    vocabulary = starting.vocabulary(str(tmp_path), None)
    data = text_csv.load(tmp_path / "set.csv", sequence_length=8, vocabulary=vocabulary)
    assert data.task.inputs.vocabulary == tiny_text.task.inputs.vocabulary
