"""The child of `untrusted.model_file`: looks at a stranger's Keras file or SavedModel, loads it and asks it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.untrusted import keras_file, sandbox, saved_model_folder

_BATCH = 256
_TAKEN = ("float", "bfloat", "uint8")
"""Types of inputs that `shrink_model` takes."""


def main(memory: int) -> None:
    """Answers the parent's questions until it closes the pipe."""
    sandbox.serve(answer, memory=memory)


def answer(question: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to one question about the model at ``path``, which nobody else can change.

    Args:
        question: ``do``: ``"look"`` reads it as data; ``"load"`` builds it, which is for those that were looked at and
            found harmless; ``"run"`` asks it for answers, with ``shape`` and ``dtype`` of the inputs.
        content: the inputs' bytes.

    Returns:
        For ``"look"`` and ``"load"`` findings ``[severity, where, what]``; for ``"run"`` a shape, and float32 answers.
    """
    path = Path(question["path"])
    if question["do"] == "look":
        return {"findings": [list(finding) for finding in _look(path)]}, b""
    model = _Keras(path) if path.is_file() else _SavedModel(path)
    if question["do"] == "load":
        return {"findings": [list(finding) for finding in model.facts()]}, b""
    shape = tuple(question["shape"])
    if math.prod(shape) == 0:
        raise ValueError(f"Wanted one example at least. Received: inputs of shape {shape}.")
    answers = _answers(model, np.frombuffer(content, question["dtype"]).reshape(shape))
    return {"shape": list(answers.shape)}, answers.astype("<f4").tobytes()


def _look(path: Path) -> Iterator[tuple[str, str, str]]:
    kind = keras_file if path.is_file() else saved_model_folder
    with contextlib.suppress(Exception):  # too damaged or too strange to tell, which the findings say better
        yield from [("note", where, what) for where, what in kind.contents(path)]
    yield from (("error", "model", what) for what in kind.findings(path))


class _Keras:
    def __init__(self, path: Path) -> None:
        self._model = keras_file.functional(keras_file.load_unshared(path))
        self.inputs = [_end(one) for one in self._model.inputs]
        self.output_names = list(self._model.output_names)
        self.outputs = [_end(*pair) for pair in zip(self._model.outputs, self.output_names, strict=True)]
        self.dtype = self._model.inputs[0].dtype

    def facts(self) -> Iterator[tuple[str, str, str]]:
        yield "note", "inputs", ", ".join(self.inputs)
        yield "note", "outputs", ", ".join(self.outputs)
        yield "note", "parameters", f"{self._model.count_params():,}"
        for words, tensor in zip(self.inputs, self._model.inputs, strict=True):
            if not tensor.dtype.startswith(_TAKEN):
                yield "error", "inputs", f"{words}: shrink_model takes models of numbers, and neither ids nor texts"
        weights = ((weight.path, np.asarray(weight)) for weight in self._model.weights)
        yield from (("error", where, f"{what}: no file of it answers") for _, where, what in _unsound(weights))

    @property
    def rank(self) -> int:
        return len(self._model.inputs[0].shape)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        answers = self._model(inputs, training=False)
        if isinstance(answers, dict):  # Keras has them in this order, as their names
            answers = [answers[name] for name in sorted(answers)]
        several = isinstance(answers, list | tuple)
        return np.asarray(answers[_asked(self.output_names)] if several else answers)


class _SavedModel:
    def __init__(self, folder: Path) -> None:
        self._loaded = saved_model_folder.load(folder)  # its variables live as long as it does
        if "serving_default" not in self._loaded.signatures:
            raise ValueError("it has no signature serving_default to be asked by")
        self._signature = self._loaded.signatures["serving_default"]
        self._input = self._signature.structured_input_signature[1]
        self.inputs = [_end(self._input[name], name) for name in sorted(self._input)]
        self.outputs = self.output_names = sorted(self._signature.structured_outputs)
        first = next(iter(self._input.values()), None)
        self.dtype = first.dtype.name if first is not None else ""
        self.rank = len(first.shape) if first is not None and first.shape.rank is not None else 0

    def facts(self) -> Iterator[tuple[str, str, str]]:
        variables = getattr(self._loaded, "variables", [])
        yield from _unsound((one.name, one.numpy()) for one in variables)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        (name,) = self._input
        answers = self._signature(**{name: saved_model_folder.tensor(inputs)})
        return answers[self.output_names[_asked(self.output_names)]].numpy()


def _asked(names: list[str]) -> int:
    """The place of the output that is a model's answer: the one of this name, or the first."""
    return names.index("probabilities") if "probabilities" in names else 0


def _end(tensor: Any, name: str | None = None) -> str:
    dtype = getattr(tensor.dtype, "name", tensor.dtype)
    return f"{name or tensor.name} {dtype} {list(tensor.shape)}"


def _unsound(weights: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, str, str]]:
    for name, values in weights:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            yield "warning", name, f"{np.sum(~np.isfinite(values)):,} of {values.size:,} numbers are NaN or infinite"


def _answers(model: _Keras | _SavedModel, inputs: np.ndarray) -> np.ndarray:
    if len(model.inputs) != 1 or (len(model.outputs) != 1 and "probabilities" not in model.output_names):
        raise ValueError(
            f"Wanted one input and one output. Received: {', '.join(model.inputs)} and {', '.join(model.outputs)}."
        )
    if inputs.ndim == model.rank - 1:  # pictures without an axis of channels
        inputs = inputs[..., None]
    ask: Callable[[np.ndarray], np.ndarray] = model
    parts = [ask(inputs[start : start + _BATCH].astype(model.dtype)) for start in range(0, len(inputs), _BATCH)]
    return np.concatenate([part.astype(np.float32) for part in parts])
