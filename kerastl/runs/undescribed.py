"""A bundle whose file describes no task: what the files beside it and its own tensors say.

Every file of kerastl describes its task; one that somebody converted himself, as tutorials do, has ``labels.txt``
beside it at best. Then a picture is what has a height, a width and channels, and a text what has ``vocab.txt`` beside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl.inputs import image, text
from kerastl.tasks import single_label
from kerastl.types import FileFacts, Inputs, Task

LABELS, VOCABULARY = "labels.txt", "vocab.txt"
_LONGEST = 50_000_000  # bytes of either: a bundle may be anybody's


def task(bundle: Path, facts: FileFacts) -> Task:
    """What goes into the file and what it answers: raw pixels 0..255 or token ids, to one of several classes.

    Args:
        bundle: the folder with ``labels.txt``, and for texts ``vocab.txt``.
        facts: of its file.

    Raises:
        ValueError: if they do not say it, or say what cannot be.
    """
    names = tuple(_lines(bundle / LABELS))
    answers = [tensor.shape for tensor in facts.outputs]
    if len(answers) != 1 or len(names) < 2 or answers[0][-1:] != (len(names),):
        raise ValueError(
            f"{bundle}/model.tflite describes no task itself (it has no metadata), and for a classifier {LABELS} "
            f"beside it has a line for each of its answers. Received: {len(names)} names, answers of shape "
            f"{', '.join(map(str, answers)) or 'none'}."
        )
    return Task(bundle.name or "bundle", _inputs(bundle, facts), single_label.SingleLabel(names))


def _inputs(bundle: Path, facts: FileFacts) -> Inputs:
    shapes = [tensor.shape[1:] for tensor in facts.inputs]
    words = tuple(_lines(bundle / VOCABULARY))
    if words and len(shapes[0]) == 1 and len(set(shapes)) == 1 and facts.inputs[0].dtype.startswith("int"):
        return text.Text(shapes[0][0], words)
    if len(shapes) == 1 and len(shapes[0]) == 3:
        return image.Image(shapes[0])
    described = ", ".join(f"{tensor.name} {tensor.shape} {tensor.dtype}" for tensor in facts.inputs)
    raise ValueError(
        f"{bundle}/model.tflite describes no task itself (it has no metadata). Without it a picture is one input "
        f"(1, height, width, channels), and a text is whole numbers (1, length) with {VOCABULARY} beside. Received: "
        f"{described or 'no input'}{'' if words else f', no {VOCABULARY}'}."
    )


def fed(arrays: Mapping[str, np.ndarray], facts: FileFacts) -> dict[str, np.ndarray]:
    """What a kind of input feeds, by the names of the file's own tensors.

    Args:
        arrays: as `types.Inputs.fed` gives them, the first one what every file takes.
        facts: of the file.
    """
    if len(facts.inputs) == 1:
        return {"": next(iter(arrays.values()))}
    return {tensor.name: arrays[_role(tensor.name, arrays)] for tensor in facts.inputs}


def _role(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Which of BERT's three inputs a tensor is: publishers write input_mask, input_type_ids, token_type_ids ..."""
    ids, mask, segment = arrays
    if "mask" in name:
        return mask
    return segment if "type" in name or "segment" in name else ids


def _lines(path: Path) -> list[str]:
    """The lines of a file, none of one that is not there."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LONGEST:
            raise ValueError(f"{path} has more than {_LONGEST:,} bytes: these are no names.")
        return path.read_text("utf-8").splitlines()
    return []
