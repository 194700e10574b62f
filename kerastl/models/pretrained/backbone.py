"""A foundation model for pictures: from raw pixels to features, and the head that makes a classifier of it."""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

import keras
from keras import layers

from kerastl.models.pretrained.weights import WeightReport
from kerastl.types import Task

# `block_3_`, `conv2_block1_`, `stage_0_block_2_`, `stack1_block0_`, `transformer_block_4`, `block2a_` ...
_BLOCK = re.compile(
    r"(?:^|.*?_)(?:(?:stage|stack|conv)_?\d+_)?(?:block|stage|stack|cell|layer)_?\d+[a-z]?(?![0-9a-z])|expanded_conv"
)
_SLICES = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """A foundation model for pictures.

    Attributes:
        name: as `load` takes it.
        model: flat functional model: float32 pixels 0..255 ``(batch, image_size, image_size, 3)``, in an input named
            ``image``, to a feature map ``(batch, height, width, channels)``, tokens ``(batch, tokens, channels)`` or
            pooled features ``(batch, channels)``. The range that its weights were trained for is made inside.
        image_size: side of the pictures in pixels.
        accounting: what became of every weight; ``None`` for random ones.
        class_token: whether the first of its tokens speaks for the whole picture.
    """

    name: str
    model: keras.Model
    image_size: int
    accounting: WeightReport | None
    class_token: bool = False


class Group(NamedTuple):
    """Layers that belong together: the stem, a block, the head."""

    name: str
    layers: list[keras.layers.Layer]


def with_head(backbone: Backbone, task: Task, *, dropout: float = 0.2) -> keras.Model:
    """A classifier as one flat graph: the backbone, its pooled features, dropout, a new dense layer of logits.

    Pooled is the mean over all places, or over all tokens; of a backbone with a class token, as transformers for
    pictures mostly are, it is that token alone, which their own classifiers read (Dosovitskiy et al. 2021, ViT).

    Args:
        backbone: its layers are shared, not copied: what is trained in the classifier is trained in the backbone.
        task: gives the number of classes; its ``input_shape`` is the backbone's.
        dropout: share of the features dropped before the logits.

    Returns:
        Float32 pixels 0..255 ``(batch, *task.input_shape)`` to float32 logits ``(batch, task.num_classes)``.

    Raises:
        ValueError: the task's pictures are of another shape than the backbone's.
    """
    wanted = tuple(backbone.model.input_shape[1:])
    if tuple(task.input_shape) != wanted:
        raise ValueError(
            f"The backbone {backbone.name!r} takes pictures {wanted}. Received: task {task.name!r} with pictures "
            f"{tuple(task.input_shape)}. Load the backbone with the task's image_size, or resize the pictures."
        )
    x = backbone.model.output
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    elif backbone.class_token:
        x = layers.Cropping1D((0, x.shape[1] - 1), name="class_token")(x)
        x = layers.Flatten(name="pool")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(name="pool")(x)
    elif x._keras_history.operation.name != "pool":  # pooled, under another name
        x = layers.Flatten(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(task.num_classes, dtype="float32", name="logits")(x)
    return keras.Model(backbone.model.inputs[0], logits, name=backbone.model.name)


def groups(model: keras.Model) -> list[Group]:
    """The layers of a flat model in groups from the picture to the answer, for learning rates that grow with depth.

    Blocks are told by the names of the layers; a layer without one belongs to the block before it. Where names do not
    tell (Inception, NASNet), the layers with weights are cut into eight slices.

    Returns:
        ``stem``, the blocks in order, ``top`` where layers with weights follow the last block, and ``head``: what
        comes behind the features, if the model has a head. Every layer stands in exactly one group.
    """
    ordered = list(model.layers)
    features = next((place for place, layer in enumerate(ordered) if layer.name == "pool"), len(ordered))
    body, head = ordered[:features], ordered[features:]
    keys = [match[0] if (match := _BLOCK.match(layer.name)) else None for layer in body]
    if len({key for key in keys if key}) < 3:
        keys = _sliced(body)
    found: dict[str, list[keras.layers.Layer]] = {"stem": []}
    last = max(place for place, key in enumerate(keys) if key)
    current = "stem"
    for place, (layer, key) in enumerate(zip(body, keys, strict=True)):
        current = "top" if place > last and layer.weights else key or current
        found.setdefault(current, []).append(layer)
    return [*(Group(name, members) for name, members in found.items()), *([Group("head", head)] if head else [])]


def _sliced(body: list[keras.layers.Layer]) -> list[str | None]:
    """A name for the first layer of every slice, behind a stem of one convolution; ``None`` for the rest."""
    heavy = [place for place, layer in enumerate(body) if len(layer.weights) and layer.count_params() > 0]
    if len(heavy) < 2:
        return ["slice_1" if place == len(body) - 1 else None for place in range(len(body))]
    starts = {heavy[1 + index * (len(heavy) - 1) // _SLICES]: f"slice_{index + 1}" for index in range(_SLICES)}
    return [starts.get(place) for place in range(len(body))]
