"""A finished run of vectors is taught names: the index in its bundle, what `predict` and the command say of it."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image as Pillow

import kerastl
from kerastl import cli
from kerastl.inputs.image import Image
from kerastl.models import heads
from kerastl.runs import Acceptance, candidates, enrolling, publishing, store
from kerastl.tasks.embedding import Embedding
from kerastl.types import Dataset, Split, Task

LOOSE = Acceptance(max_score_drop=1, max_quantization_drop=1, min_agreement=0.1)
COLOURS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250], [240, 240, 20], [20, 240, 240], [240, 20, 240]])
NAMES = ("red", "green", "blue", "yellow", "cyan", "magenta")


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0


def pictures(labels, seed):
    noise = np.random.default_rng(seed).integers(-18, 19, (len(labels), 4, 4, 3))
    return np.clip(COLOURS[labels][:, None, None] + noise, 0, 255).astype("uint8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A net that looks at the mean colour; three colours to learn from, three to be tested with."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    task = Task("colours", Image((4, 4, 3)), Embedding(NAMES))
    given = keras.Input((4, 4, 3), name="image")
    x = heads.standardized(given, task)
    x = keras.layers.Rescaling(1.0, offset=-0.5)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(given, heads.outputs(x, task), name="mean_colour")
    parts = []
    for place, (name, classes) in enumerate({"train": [0, 1], "validation": [1, 2, 3], "test": [3, 4, 5]}.items()):
        labels = np.repeat(classes, 12).astype("int32")
        parts.append(Split(name, pictures(labels, place), labels, task))
    data = Dataset(task, *parts, digest="0" * 64, source="toy", arguments={})
    with store.Run(folder, recipe="toy", tag="run", config=Config(), needed_bytes=1) as made:
        made.use_dataset(data)
        files = candidates.post_training(model, data.train, techniques=["float32"])
        publishing.publish(made, data, model=model, candidates=files, accept=LOOSE)
    finished = kerastl.open(folder)
    enrolling.begin(finished, data.validation, known=data.train, false_accept_rate=0.05)
    return finished, data


def test_a_fresh_index_knows_train_and_a_threshold(run):
    finished, data = run
    index = enrolling.index_of(finished)
    assert index.names[:2] == ("red", "green")
    vectors = finished.answers(data.validation.inputs)
    strangers = [
        max(float(one @ other) for other, its in zip(vectors, data.validation.labels, strict=True) if its != label)
        for one, label in zip(vectors, data.validation.labels, strict=True)
    ]
    accepted = np.mean(np.array(strangers) >= index.operating.threshold)
    assert accepted == pytest.approx(index.operating.false_accept_rate)
    assert accepted <= 0.05
    assert "36 held-out" in index.measured_on
    assert finished.predict(data.train.inputs[:1])[0]["label"] == "red"
    assert finished.verify(dataset=data, progress=False) == ()


def test_a_name_is_enrolled_by_the_command_and_found(run, tmp_path, capsys):
    finished, data = run
    paths = []
    for place, picture in enumerate(data.test.inputs[12:15]):
        paths.append(tmp_path / f"{place}.png")
        Pillow.fromarray(picture).save(paths[-1])
    unknown = kerastl.open(finished.folder).predict(paths[0])[0]
    assert unknown["label"] is None
    assert cli.main(["enrol", str(finished.folder), "the sea", *map(str, paths[:2])]) == 0
    assert "the sea: 2 examples; the index has 3 names" in capsys.readouterr().out
    assert cli.main(["predict", str(finished.folder), str(paths[2])]) == 0
    assert "the sea" in capsys.readouterr().out
    assert cli.main(["predict", "--json", str(finished.folder), str(paths[2])]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["label"] == "the sea"
    assert row["cosine"] > 0.9
    assert kerastl.open(finished.folder).verify(dataset=data, progress=False) == ()
    alone = kerastl.open(finished.folder / "mobile")
    assert alone.predict(paths[2])[0]["label"] == "the sea"


def test_a_changed_index_differs(run):
    finished, data = run
    path = finished.bundle / enrolling.NAME
    before = path.read_bytes()
    changed = json.loads(before) | {"names": ["evil", *json.loads(before)["names"][1:]]}
    path.write_text(json.dumps(changed))
    try:
        (difference,) = kerastl.open(finished.folder).verify(dataset=data, progress=False)
        assert difference.startswith("mobile/index.json")
        path.write_text(json.dumps(changed | {"file": "0" * 64}))
        with pytest.raises(ValueError, match="another file"):
            kerastl.open(finished.folder).predict(data.test.inputs[:1])
    finally:
        path.write_bytes(before)


def test_what_cannot_be_enrolled_is_refused(run, tmp_path):
    finished, data = run
    with pytest.raises(ValueError, match="two groups"):
        enrolling.begin(finished, data.validation.take(12))
    with pytest.raises(FileNotFoundError):
        finished.enrol("nobody", tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="Received: none"):
        finished.enrol("nobody", [])
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.tflite", "labels.txt"):
        (bare / name).write_bytes((finished.bundle / name).read_bytes())
    with pytest.raises(ValueError, match=r"index\.json"):
        kerastl.open(bare).enrol("somebody", data.test.inputs[:1])
