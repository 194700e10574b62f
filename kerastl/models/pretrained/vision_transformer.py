"""Vision transformers of keras-hub, laid out block by block in layers that a saved model brings back.

keras-hub keeps a whole encoder in one layer, and some of its layers say of themselves what their constructors do not
take, so that no file with them can be loaded. Laid out, every block is a depth of its own for learning rates, and
pruning and LoRA find its dense layers. The answers are the same.

Papers: Dosovitskiy et al. 2021, ViT (https://arxiv.org/abs/2010.11929); Touvron et al. 2021, DeiT
(https://arxiv.org/abs/2012.12877); Oquab et al. 2023, DINOv2 (https://arxiv.org/abs/2304.07193); Siméoni et al. 2025,
DINOv3 (https://arxiv.org/abs/2508.10104), whose blocks turn what they attend by positions and stay layers of keras-hub.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import keras_hub
import numpy as np
from keras import layers, ops

from kerastl.models.pretrained import graph

_FAMILIES = ("ViTBackbone", "DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone")


class Tokens(NamedTuple):
    """What a vision transformer makes of a picture.

    Attributes:
        tensor: ``(batch, tokens, width)``.
        class_token: whether the first of them speaks for the whole picture.
    """

    tensor: keras.KerasTensor
    class_token: bool


def matches(body: keras.Model) -> bool:
    """Whether `flatten` knows a backbone of keras-hub."""
    return isinstance(body, tuple(getattr(keras_hub.models, name) for name in _FAMILIES))


def unused_weights(body: keras.Model) -> tuple[str, ...]:
    """Paths of the weights that no answer depends on: the mask's token, for training on pictures with holes."""
    return tuple(weight.path for weight in body.weights if weight.name == "mask_token")


def flatten(body: keras.Model, image: keras.KerasTensor) -> Tokens:
    """The tokens that copies of a backbone's layers make of an image.

    Tokens that stand for no patch (of the class, of distillation, registers) are rows of the table of positions, to
    which nothing but zeros is added: a token and its position were only ever added up. For pictures of another size
    than the backbone's own the positions of the patches are interpolated (Dosovitskiy et al. 2021, section 3.2).

    Args:
        body: of keras-hub, see `matches`.
        image: scaled as the backbone wants it, ``(batch, height, width, 3)``.

    Raises:
        ValueError: a picture that is not a whole number of patches high and wide.
    """
    if isinstance(body, keras_hub.models.DINOV3Backbone):
        _refuse_parts_of_patches(image, (body.patch_size,) * 2)
        return Tokens(_dinov3(body, image), class_token=True)
    height, width = image.shape[1:3]
    own = (height, width) == tuple(body.inputs[0].shape[1:3])
    parts = _parts(body, own=own)
    patch = parts.patches.kernel_size
    _refuse_parts_of_patches(image, patch)
    grid = parts.grid if own else _resized(parts, (height // patch[0], width // patch[1]))
    rows = np.concatenate([parts.first, grid.reshape(-1, grid.shape[-1])])
    x = graph.called(parts.patches, image, name="patch_embedding")
    x = layers.Reshape((-1, grid.shape[-1]), name="patches")(x)
    if len(parts.first):
        x = layers.ZeroPadding1D((len(parts.first), 0), name="places_of_tokens")(x)
    table = keras_hub.layers.PositionEmbedding(len(rows), name="position_embedding")
    x = layers.Add(name="embedded")([x, table(x)])
    table.set_weights([rows])
    x = _dropped(x, parts.dropout, name="embedding_dropout")
    for place, block in enumerate(parts.blocks, 1):
        x = _attended(x, block, name=f"block_{place}")
        x = _thought(x, block, name=f"block_{place}")
    return Tokens(graph.called(parts.norm, x, name="norm"), class_token=bool(len(parts.first)))


def _refuse_parts_of_patches(image: keras.KerasTensor, patch: tuple[int, ...]) -> None:
    height, width = image.shape[1:3]
    if height % patch[0] or width % patch[1]:
        near = sorted({max(1, height // patch[0]) * patch[0], (height // patch[0] + 1) * patch[0]})
        raise ValueError(
            f"Wanted pictures cut into whole patches of {patch[0]} by {patch[1]} pixels. Received: {height} by {width} "
            f"pixels. Near: image_size={' or '.join(map(str, near))}."
        )


def _dinov3(body: keras_hub.models.DINOV3Backbone, image: keras.KerasTensor) -> keras.KerasTensor:
    x = graph.called(body.embeddings, image, name="patch_embedding")
    turns = graph.called(body.rope_embedding, image, name="positions")
    options = {"position_embeddings": turns, "num_prefix_tokens": 1 + body.num_register_tokens}
    for place, block in enumerate(body.encoder.layers, 1):
        x = graph.called(block, x, name=f"block_{place}", **options)
    return graph.called(body.layernorm, x, name="norm")


@dataclasses.dataclass(frozen=True)
class _Block:
    """The layers of one block; ``scales`` of what attention and the dense layers add, ``None`` where there are none."""

    norms: tuple[layers.Layer, layers.Layer]
    attention: layers.MultiHeadAttention
    dense: tuple[layers.Dense, layers.Dense]
    scales: tuple[layers.Layer, layers.Layer] | None = None
    gated: bool = False
    dropouts: tuple[float, float, float] = (0.0, 0.0, 0.0)  # behind attention and behind each dense layer
    path: float = 0.0  # share of examples for which the block is left out


class _Parts(NamedTuple):
    patches: layers.Conv2D
    first: np.ndarray  # (tokens, width), in front of the patches
    grid: np.ndarray  # (rows, columns, width)
    antialias: bool
    dropout: float
    blocks: list[_Block]
    norm: layers.Layer


def _attended(x: keras.KerasTensor, block: _Block, *, name: str) -> keras.KerasTensor:
    y = graph.called(block.norms[0], x, name=f"{name}_norm_1")
    y = graph.called(block.attention, y, y, name=f"{name}_attention")
    y = _dropped(y, block.dropouts[0], name=f"{name}_attention_dropout")
    return _added(x, y, block, place=1, name=name)


def _thought(x: keras.KerasTensor, block: _Block, *, name: str) -> keras.KerasTensor:
    y = graph.called(block.norms[1], x, name=f"{name}_norm_2")
    y = graph.called(block.dense[0], y, name=f"{name}_dense_1")
    if block.gated:  # Shazeer 2020, "GLU Variants Improve Transformer"
        one, other = ops.split(y, 2, axis=-1)
        y = layers.Multiply(name=f"{name}_gated")([layers.Activation("silu", name=f"{name}_gate")(one), other])
    y = _dropped(y, block.dropouts[1], name=f"{name}_dropout_1")
    y = graph.called(block.dense[1], y, name=f"{name}_dense_2")
    y = _dropped(y, block.dropouts[2], name=f"{name}_dropout_2")
    return _added(x, y, block, place=2, name=name)


def _added(x: keras.KerasTensor, y: keras.KerasTensor, block: _Block, *, place: int, name: str) -> keras.KerasTensor:
    if block.scales:
        y = graph.called(block.scales[place - 1], y, name=f"{name}_scale_{place}")
    y = _dropped(y, block.path, name=f"{name}_path_{place}", noise_shape=(None, 1, 1))
    return layers.Add(name=f"{name}_add_{place}")([x, y])


def _dropped(
    x: keras.KerasTensor, rate: float, *, name: str, noise_shape: tuple[int | None, ...] | None = None
) -> keras.KerasTensor:
    return layers.Dropout(rate, noise_shape=noise_shape, name=name)(x) if rate else x


def _resized(parts: _Parts, grid: tuple[int, int]) -> np.ndarray:
    resized = ops.image.resize(parts.grid, grid, interpolation="bicubic", antialias=parts.antialias)
    return ops.convert_to_numpy(resized)


def _parts(body: keras.Model, *, own: bool) -> _Parts:
    if isinstance(body, keras_hub.models.DINOV2Backbone):
        return _dinov2(body, own=own)
    return _deit(body) if isinstance(body, keras_hub.models.DeiTBackbone) else _vit(body)


def _vit(body: keras.Model) -> _Parts:
    embedding, encoder = (_layer(body, kind) for kind in ("ViTPatchingAndEmbedding", "ViTEncoder"))
    rows = _array(embedding.position_embedding.embeddings)
    tokens = _array(embedding.class_token)[0] if embedding.use_class_token else rows[:0]
    blocks = [
        _Block(
            norms=(block.layer_norm_1, block.layer_norm_2),
            attention=block.mha,
            dense=(block.mlp.dense_1, block.mlp.dense_2),
            dropouts=(block.dropout_rate,) * 3,
        )
        for block in encoder.encoder_layers
    ]
    first = rows[: len(tokens)] + tokens
    grid = rows[len(tokens) :].reshape(*_grid(body.patch_size, body.image_shape), -1)
    return _Parts(embedding.patch_embedding, first, grid, False, encoder.dropout_rate, blocks, encoder.layer_norm)


def _deit(body: keras_hub.models.DeiTBackbone) -> _Parts:
    embedding, encoder = (_layer(body, kind) for kind in ("DeiTEmbeddings", "DeiTEncoder"))
    rows = _array(embedding.position_embedding)[0]
    first = rows[:2] + np.concatenate([_array(embedding.class_token)[0], _array(embedding.distillation_token)[0]])
    blocks = [
        _Block(
            norms=(block.layer_norm_1, block.layer_norm_2),
            attention=block.mha,
            dense=(block.mlp.dense, block.output_layer.dense),
            dropouts=(0.0, 0.0, block.dropout_rate),
        )
        for block in encoder.encoder_layers
    ]
    grid = rows[2:].reshape(*_grid(body.patch_size, body.image_shape), -1)
    return _Parts(embedding.patch_embedding, first, grid, False, embedding.dropout_rate, blocks, encoder.layer_norm)


def _dinov2(body: keras_hub.models.DINOV2Backbone, *, own: bool) -> _Parts:
    embedding = body.embeddings
    # it keeps the positions that it was trained with beside those for its own size
    rows = embedding.interpolated_position_embeddings if own else embedding.position_embeddings
    shape = body.image_shape if own else body.position_embedding_shape
    rows = _array(rows)[0]
    first = rows[:1] + _array(embedding.cls_token)[0]
    if embedding.num_register_tokens:  # they have no positions
        first = np.concatenate([first, _array(embedding.register_tokens)[0]])
    blocks = [
        _Block(
            norms=(block.norm1, block.norm2),
            attention=block.attention.attention,
            dense=(block.mlp.weights_in, block.mlp.weights_out)
            if block.use_swiglu_ffn
            else (block.mlp.fc1, block.mlp.fc2),
            scales=(block.layer_scale1, block.layer_scale2),
            gated=block.use_swiglu_ffn,
            dropouts=(block.dropout_rate, 0.0, 0.0),
            path=block.drop_path_rate,
        )
        for block in body.encoder.layers
    ]
    grid = rows[1:].reshape(*_grid(body.patch_size, shape), -1)
    patches, antialias = embedding.patch_embeddings.projection, embedding.antialias_in_interpolation
    return _Parts(patches, first, grid, antialias, embedding.dropout_rate, blocks, body.layernorm)


def _layer(body: keras.Model, kind: str) -> Any:
    (found,) = (layer for layer in body.layers if type(layer).__name__ == kind)
    return found


def _grid(patch: int | Sequence[int], shape: Sequence[int]) -> tuple[int, int]:
    patch = (patch, patch) if isinstance(patch, int) else patch
    return shape[0] // patch[0], shape[1] // patch[1]


def _array(weight: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(weight).astype("float32")
