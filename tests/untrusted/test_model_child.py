"""What the child answers is what the same code answers in this process."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.untrusted import model_child


def ask(path, do, **more):
    return model_child.answer({"do": do, "path": str(path), **more}, more.pop("content", b""))


def test_batches_are_put_together_and_what_does_not_fit_is_refused(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((4, 4, 1), name="image")
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="flat")(image)))
    path = tmp_path / "model.keras"
    model.save(path)
    inputs = np.random.default_rng(0).integers(0, 256, (300, 4, 4), np.uint8)  # no axis of channels, two batches
    question = {"do": "run", "path": str(path), "shape": list(inputs.shape), "dtype": "|u1"}
    said, raw = model_child.answer(question, inputs.tobytes())
    wanted = model.predict(inputs[..., None].astype("float32"), verbose=0)
    np.testing.assert_allclose(np.frombuffer(raw, "<f4").reshape(said["shape"]), wanted, rtol=1e-5, atol=1e-3)
    with pytest.raises(ValueError, match="one example at least"):
        model_child.answer({**question, "shape": [0, 4, 4]}, b"")
    two = keras.Model(image, [keras.layers.Flatten(name="one")(image), keras.layers.Flatten(name="two")(image)])
    two.save(path)
    with pytest.raises(ValueError, match=r"one input and one output\. Received: image float32 .* and one .*, two"):
        model_child.answer(question, inputs.tobytes())
    answer = keras.layers.Identity(name="probabilities")(model(image))
    keras.Model(image, [keras.layers.Flatten(name="one")(image), answer]).save(path)
    said, raw = model_child.answer(question, inputs.tobytes())
    np.testing.assert_allclose(np.frombuffer(raw, "<f4").reshape(said["shape"]), wanted, rtol=1e-5, atol=1e-3)
