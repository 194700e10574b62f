"""docs/shrink_model.md: what it shows in Python runs as it stands, one block after the other."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import kerastl
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "shrink_model.md").read_text(encoding="utf-8")
(ELSEWHERE,) = re.findall(r"## By hand: layers that stay float\n.*?(?=\n## )", PAGE, re.DOTALL)
"""What `tests/compress/test_exceptions.py` runs, on a file that has such layers."""
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.replace(ELSEWHERE, ""), re.DOTALL)


def test_how_many_blocks_there_are():
    assert len(BLOCKS) == 4
    assert ELSEWHERE.count("```python") == 3
    assert "kerastl run shrink_model --model" in PAGE


def test_inputs_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    photo, row = keras.Input((6, 6, 1), name="photo"), keras.Input((3,), name="row")
    both = layers.Concatenate()([layers.Flatten()(layers.Rescaling(1 / 255)(photo)), row])
    keras.Model([photo, row], layers.Dense(2, name="answer")(layers.Dense(30)(both))).save("my.keras")
    random = np.random.default_rng(0)
    photos, rows = random.integers(0, 256, (60, 6, 6, 1)).astype("uint8"), random.normal(size=(60, 3)).astype("float32")
    run, settings = kerastl.run, {"tune": Schedule(epochs=0), "rounding": 0, "out": str(tmp_path / "run")}
    monkeypatch.setattr(kerastl, "run", lambda recipe, **fields: run(recipe, **fields, **settings))
    names = {"photos": photos, "rows": rows}
    exec(compile(BLOCKS[0], "docs/shrink_model.md", "exec"), names)
    (said,) = names["run"].predict({"photo": photos[:1], "row": rows[:1]})
    assert set(said["outputs"]) == {"answer"}


@pytest.fixture(scope="module")
def names():
    """What the blocks that follow are about."""
    random = np.random.default_rng(0)
    labels = (np.arange(96) % 3).astype("int32")
    pictures = (random.integers(0, 60, (96, 8, 8, 1)) + 80 * labels[:, None, None, None]).astype("uint8")
    task = Task("light", Image((8, 8, 1)), SingleLabel(("dark", "grey", "bright")))
    train = Split("train", pictures, labels, task)
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(16, 3, activation="relu", name="conv")(x)
    x = layers.Conv2D(16, 3, activation="relu", name="other")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(x))
    schedule = Schedule(epochs=1, batch_size=16)
    batches = kerastl.data.pipeline.training_batches(train, schedule=schedule, seed=0)

    def score(file: bytes) -> float:
        answers = kerastl.verify.predict_tflite(file, pictures, kind=task.inputs)
        return task.target.score(answers, labels).value

    return {
        **{"kerastl": kerastl, "model": model, "task": task, "train": train, "pictures": pictures},
        **{"batches": batches, "schedule": schedule, "score": score},
    }


@pytest.mark.parametrize("place", [1, 2, 3])
def test_by_hand(place, names, capsys):
    made = dict(names)
    exec(compile(BLOCKS[place], "docs/shrink_model.md", "exec"), made)
    found = {
        1: lambda: len(made["smaller"]) <= len(made["nearer"]) < len(made["float32"]) and made["found"].score >= 0.2,
        2: lambda: made["pruned"].count_params() < made["model"].count_params(),
        3: lambda: made["candidate"].clusters.num_clusters == 16,
    }
    assert found[place]()
