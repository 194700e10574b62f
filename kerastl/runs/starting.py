"""A finished run as the start of another: its weights, and of classes that both have the rows of its head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.inputs.text import Text
from kerastl.runs.finished import FinishedRun
from kerastl.system import digests
from kerastl.types import Dataset, Task

if TYPE_CHECKING:
    import keras

_FLAG = "--start-from"


def key(folder: str) -> list[str]:
    """What stages depend on beside their settings: the model that they start from; nothing where there is none.

    Raises:
        FileNotFoundError: there is no finished run with a ``model.keras``.
    """
    return [digests.of_file(_file(folder))] if folder else []


def vocabulary(folder: str, usual: Any) -> Any:
    """The vocabulary that texts are loaded with: that of the run, whose words its weights are of.

    Args:
        folder: of the run; nothing where there is none.
        usual: what it is without.

    Raises:
        ValueError: the run's file takes no texts.
    """
    if not folder:
        return usual
    kind = FinishedRun(folder).task.inputs
    if not isinstance(kind, Text):
        raise ValueError(f"{_FLAG} of texts is a run of texts. Received: {folder}, whose file takes {kind.kind}.")
    return dict(kind.described())


def tell(folder: str, data: Dataset) -> None:
    """Prints which classes go on, which are new and which are gone.

    Raises:
        FileNotFoundError: as `key`.
        ValueError: the run asks for something else than the data have labels for.
    """
    if not folder:
        return
    names, known = data.task.target.names, _names(folder, data.task)
    parts = {
        "go on": [name for name in names if name in known],
        "new": [name for name in names if name not in known],
        "gone": [name for name in known if name not in names],
    }
    if not parts["go on"]:
        raise ValueError(
            f"{_FLAG} goes on with classes that a run knows. Received: {folder}, of {', '.join(known[:20])}, and data "
            f"of {', '.join(names[:20])}. To begin anew from its features: --backbone {folder}, of texts --encoder."
        )
    words = "; ".join(f"{what}: {', '.join(some[:20])}" for what, some in parts.items() if some)
    print(f"start: {folder}. Classes that {words}")


def begun(model: keras.Model, folder: str, task: Task) -> keras.Model:
    """A model with the weights of a run's, in place: all of them, and of the head those of the classes that both have.

    Args:
        model: new, with a last layer ``logits``; its other weights are those of the run's model in shape and order.
        folder: of the run; without one the model stays as it is.
        task: of the model.

    Raises:
        FileNotFoundError: as `key`.
        ValueError: the run's model is of another architecture.
    """
    if not folder:
        return model
    from kerastl.untrusted import keras_file

    old = keras_file.load(_file(folder))
    given, wanted = _apart(old, folder), _apart(model, "the new model")
    shapes = [[tuple(weight.shape) for weight in some[0]] for some in (given, wanted)]
    if shapes[0] != shapes[1] or given[1].weights[0].shape[0] != wanted[1].weights[0].shape[0]:
        said = FinishedRun(folder).config.get("settings", {})
        same = ", ".join(f"--{name} {said[name]}" for name in ("backbone", "encoder", "pooling") if name in said)
        raise ValueError(
            f"{_FLAG} wants a run of the same network. Received: {folder}, whose model has {len(shapes[0])} weights "
            f"before its head, of other shapes than the {len(shapes[1])} of the new one. It was made with: "
            f"{same or 'see its config.json'}."
        )
    for weight, value in zip(wanted[0], given[0], strict=True):
        weight.assign(value)
    known, names = list(_names(folder, task)), list(task.target.names)
    columns = [(names.index(name), known.index(name)) for name in names if name in known]
    mine, other = [new for new, _ in columns], [before for _, before in columns]
    values = []
    for new, before in zip(wanted[1].get_weights(), given[1].get_weights(), strict=True):
        kept = np.array(new)
        kept[..., mine] = before[..., other]
        values.append(kept)
    wanted[1].set_weights(values)
    return model


def _file(folder: str) -> Path:
    file = Path(folder) / "model.keras"
    if not file.is_file():
        raise FileNotFoundError(f"{_FLAG} is the folder of a finished run. Received: {folder}, without a model.keras.")
    return file


def _names(folder: str, task: Task) -> tuple[str, ...]:
    """What the run answers, of the same kind as is asked."""
    target = FinishedRun(folder).task.target
    if target.kind != task.target.kind:
        raise ValueError(
            f"{_FLAG} goes on with what a run was asked. Received: {folder}, for {target.kind}, and data for "
            f"{task.target.kind}."
        )
    return tuple(target.names)


def _apart(model: keras.Model, where: str) -> tuple[list[Any], Any]:
    """The weights before the head, in order, and the head."""
    heads = [layer for layer in model.layers if layer.name == "logits"]
    if len(heads) != 1:
        raise ValueError(f"{_FLAG} wants a model that ends in a layer 'logits'. Received: {where}, without one.")
    inside = {id(weight) for weight in heads[0].weights}
    return [weight for weight in model.weights if id(weight) not in inside], heads[0]
