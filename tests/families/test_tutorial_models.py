"""Sixty models of tutorials' shapes through the door of `shrink_model`: exported and proven, or refused with a way out.

Each file's answers are compared with the model's own, as Keras gives them for inputs that NumPy has scaled. Most are
marked slow: a conversion takes a second or two. The ordinary run has one of each kind of trouble.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tutorial_models import MODELS, Model

from kerastl import verify
from kerastl.export import tflite
from kerastl.recipes import shrink_model
from kerastl.runs import own_model

REFUSED = {
    "embedding_ids": r"takes int32\. .*kerastl run text_classifier.*tflite\.convert\(model\)",
    "text_vectorization": r"takes string\. .*kerastl run text_classifier",
}
"""What nobody ships, and what is said instead."""
QUICK = {"sequential_without_input", "h5_of_tf_210", "any_size", "embedding_floats", "embedding_ids"}


def examples_of(one: Model, random: np.random.Generator, name: str) -> dict[str, np.ndarray]:
    """Bytes for pictures, numbers for everything else, ids for embeddings."""

    def made(shape: tuple[int | None, ...]) -> np.ndarray:
        sized = tuple(side or one.size for side in shape)
        if len(sized) == 3 and sized[-1] in (1, 3, 4) and name not in ("simple_audio", "conv3d"):
            return random.integers(0, 256, (40, *sized)).astype("uint8")
        if name.startswith(("embedding", "text_vec")):
            return random.integers(1, 100, (40, *sized)).astype("float32")
        return random.normal(0, 1, (40, *sized)).astype("float32")

    parts = one.shape.items() if isinstance(one.shape, dict) else [("x", one.shape)]
    return {part: made(shape) for part, shape in parts}


def scaled(array: np.ndarray, pixels: str) -> np.ndarray:
    """What the model itself takes of a picture's bytes; numbers stay as they are."""
    if array.dtype != np.uint8:
        return array
    values = array.astype("float32")
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return {
        "auto": lambda: values,
        "0..1": lambda: values / 255,
        "-1..1": lambda: values / 127.5 - 1,
        "mean_std": lambda: (values / 255 - mean) / deviation,
        "caffe_bgr": lambda: values[..., ::-1] - np.float32([103.939, 116.779, 123.68]),
    }[pixels]()


def shipped(name: str, folder: Path) -> float:
    """The furthest that the file's answers are from the model's, as a share of the largest of these."""
    one, random = MODELS[name], np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = one.build()
    file = folder / f"{name}.{'h5' if one.format.endswith('h5') else 'keras'}"
    model.save(file)
    given = examples_of(one, random, name)
    np.savez(folder / "inputs.npz", **given)
    config = shrink_model.Config(
        model=str(file), data=str(folder / "inputs.npz"), labels="none", pixels=one.pixels, image_size=one.size
    )  # type: ignore[arg-type]
    data = shrink_model.load(config)
    network = own_model.opened(str(file), data, pixels=one.pixels, image_size=one.size)
    content = tflite.convert(network, data.task)
    some: Any = {part: array[:6] for part, array in given.items()}
    own = [scaled(array, one.pixels) for array in some.values()]
    said = model.predict(own if len(own) > 1 else own[0], verbose=0)
    said = list(said.values()) if isinstance(said, dict) else said if isinstance(said, list) else [said]
    fed = some if len(some) > 1 else np.asarray(some["x"]).reshape(6, *data.task.inputs.shape)
    answers = verify.predict_tflite(content, fed, kind=data.task.inputs)
    found = list(answers.values()) if isinstance(answers, dict) else [answers]
    furthest = 0.0
    for wanted in said:
        errors = [
            np.abs(got - wanted).max() / (np.abs(wanted).max() + 1e-6) for got in found if got.shape == wanted.shape
        ]
        furthest = max(furthest, min(errors, default=np.inf))
    return float(furthest)


def check(name: str, folder: Path) -> None:
    if name in REFUSED:
        with pytest.raises(ValueError, match=re.compile(REFUSED[name], re.DOTALL)):
            shipped(name, folder)
    else:
        assert shipped(name, folder) < 0.01


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_model_of_each_kind_of_trouble(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MODELS) - QUICK))
def test_every_other_model(name, tmp_path):
    check(name, tmp_path)


def test_there_are_sixty_of_which_most_are_shipped():
    assert len(MODELS) >= 60
    assert set(MODELS) >= REFUSED.keys() | QUICK
    assert len(MODELS) - len(REFUSED) >= 55
