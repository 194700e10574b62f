"""What TensorFlow's converter says of a model that it does not take, in a sentence; its own words are pages of MLIR."""

from __future__ import annotations

import re

from kerastl.export import keras_graph
from kerastl.export.keras_graph import KerasModel

_NO_KERNEL = ("neither a custom op nor a flex op", "TF Select ops", "Custom ops")
_PLACE = re.compile(r'error: loc\([^"]*"(\w+):", "([^"@]+)')
_PLACE_OF_ANY = re.compile(r'loc\([^)]*?fused\["(\w+):", "([^"@]+)')
_KERAS_SAYS = re.compile(
    r"Exception encountered when calling .*?\n\n(?:\x1b\[1m)?(.*?)(?:\x1b\[0m)?\n\nArguments", re.DOTALL
)
_COLOURS = re.compile(r"\x1b\[\d*m")
_OPERATOR = re.compile(r"^\s+tf\.(\w+)\(([^)]*)\) -> ", re.MULTILINE)
_TYPE = re.compile(r"(?:x|<)(u?i|bf|f)(\d+)>")
_KINDS = {"f": "float", "bf": "bfloat", "i": "int", "ui": "uint"}
_KEPT_FLOATS = ("float16", "bfloat16", "float64")
_HINTS = {
    "BitwiseAnd": "keras.ops.argmax and argmin are made of it: let the file answer with what they take, and the app "
    "look for the largest.",
}
_KERNELS = {"rfft2d": "A Fourier transform has a power of two for its length there: fft_length=8, 16, 32 ..."}
_SHOWN = 5
_ADVICE = "Build the model of other operations, or leave these to the app, behind the file's answers."


def refusal(error: Exception, model: KerasModel) -> ValueError | None:
    """The error to raise in place of the converter's; ``None`` for one that says nothing about the model.

    Args:
        error: what ``TFLiteConverter.convert`` raised.
        model: what was converted.
    """
    said = str(error)
    if any(words in said for words in _NO_KERNEL):
        return _no_kernel(said, model)
    if "Quantization not yet supported" in said:
        return ValueError(
            f"Wanted a model whose operators all have integer kernels. Received: {model.name!r}, of which the "
            f"converter says: {_first_line(said)}. compress.ptq.dynamic_int8 keeps activations float."
        )
    if type(error).__name__ == "ConverterError":
        place = _PLACE_OF_ANY.search(said)
        at = f" at {keras_graph.layer_of(model)(place[2]) or place[2]!r}" if place else ""
        says = f"which needs {place[1]}{at}" if place else f"of which it says: {_first_line(said)}"
        return ValueError(
            f"Wanted a model that TensorFlow's converter takes. Received: {model.name!r}, {says}. {_ADVICE}"
        )
    return None


def untraceable(error: Exception, model: KerasModel) -> ValueError:
    """The error to raise where a model cannot be made a graph of: an operation that is wrong there, or loses its shape.

    Args:
        error: what Keras or TensorFlow raised while the model was called on tensors of a graph.
        model: what was called.
    """
    found = _KERAS_SAYS.search(str(error))
    said = _first_line(_COLOURS.sub("", found[1] if found else str(error))) or type(error).__name__
    if "unknown TensorShape" in said:
        said = "behind one of its operations nobody knows the shape; keras.ops.reshape says it"
    return ValueError(
        f"Wanted a model that can be traced as a graph with a fixed batch. Received: {model.name!r}, of which is said: "
        f"{said}. {_ADVICE}"
    )


def unrunnable(error: Exception, model: KerasModel) -> ValueError:
    """The error to raise where LiteRT does not run what the converter wrote.

    Args:
        error: what the interpreter raised.
        model: what was converted.
    """
    said = " ".join(str(error).split())
    advice = next((advice for kernel, advice in _KERNELS.items() if kernel in said), _ADVICE)
    return ValueError(
        f"Wanted a model whose file LiteRT runs. Received: {model.name!r}, of whose file is said: {said}. {advice}"
    )


def _no_kernel(said: str, model: KerasModel) -> ValueError:
    layer_of = keras_graph.layer_of(model)
    places = {operator: layer_of(scope) or scope for operator, scope in reversed(_PLACE.findall(said))}  # the first
    kinds = {operator: _kinds(operands) for operator, operands in reversed(_OPERATOR.findall(said))}
    floats = sorted({kind for _, operands in _OPERATOR.findall(said) for kind in _kinds(operands)} & {*_KEPT_FLOATS})
    if floats:
        layers = sorted({layer_of(scope) or scope for _, scope in _PLACE.findall(said)})
        compute = f"compute{'' if layers[1:] else 's'} in {' and '.join(floats)}"
        return ValueError(
            f"Wanted layers that compute in float32, as TFLite's kernels do. Received: {model.name!r}, where "
            f"{_listed(layers)} {compute}. training.precision.as_float32 copies a model that was trained in half "
            "precision, with its weights; another is built with dtype='float32', and gets them by set_weights. "
            "compress.ptq.float16 makes a file of half the size."
        )
    names = sorted({*places, *kinds}) or re.findall(r"(?:TF Select|Custom) ops: (.+)", said)
    shown = [f"{name}{_of(kinds.get(name, []))}{f' at {places[name]!r}' if name in places else ''}" for name in names]
    hints = [_HINTS[name] for name in names if name in _HINTS]
    advice = hints or [_ADVICE]
    return ValueError(
        f"Wanted a model of operators that TFLite has built in. Received: {model.name!r}, which needs "
        f"{_listed(shown)}. {' '.join(advice)}"
    )


def _kinds(operands: str) -> list[str]:
    """The types of an operator's operands, by their NumPy names: ``tensor<1x5xf16>`` is float16."""
    return ["bool" if (kind, bits) == ("i", "1") else f"{_KINDS[kind]}{bits}" for kind, bits in _TYPE.findall(operands)]


def _of(kinds: list[str]) -> str:
    return f" of {kinds[0]}" if kinds else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def _first_line(said: str) -> str:
    """Up to where a converter begins to list what it was doing."""
    return next((line.strip() for line in said.splitlines() if line.strip()), "nothing").rstrip(".")[:300]
