"""An encoder of texts that reads SentencePiece, from the folder that the Hugging Face hub has of it.

XLM-R and multilingual E5 (Conneau et al. 2020, Wang et al. 2024), multilingual MiniLM, which is BERT with XLM-R's
pieces, and ALBERT (Lan et al. 2020), whose layers share their weights and whose embeddings are narrower than they are.
The folder holds ``config.json``, ``model.safetensors`` and ``sentencepiece.bpe.model`` or ``spiece.model``; and
``tokenizer_config.json`` if there is one.

What the published models compute otherwise than each other is undone where weights are read: XLM-R counts positions
from behind its padding on, so that the first rows of that table are never read; and of its one segment, and of MiniLM's
two, a text is always the first, so that its vector is added to each position's. As in `bert_folder`, GELU is computed
by its formula with tanh.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import layers
from keras_hub.src.utils.keras_utils import gelu_approximate

from kerastl.inputs import sentencepiece, text
from kerastl.models.pretrained import minilm_l6, safetensors_file
from kerastl.system import atomic_files, bounded_json
from kerastl.types import Task

_PLAIN = {
    "model_type": ("xlm-roberta", "bert", "albert"),
    "hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "position_embedding_type": ("absolute", None),
    "layer_norm_eps": (1e-12, 1e-5, None),
    "is_decoder": (False, None),
    "num_hidden_groups": (1, None),
    "inner_group_num": (1, None),
}
_SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
_PREFIXES = ("roberta.", "bert.", "albert.")
_HEADS = ("cls.", "classifier.", "qa_outputs.", "lm_head.", "predictions.", "sop_classifier.")
_WORDS, _POSITIONS, _SEGMENTS = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
# ALBERT's names of what BERT has too
_ALBERT = {
    "encoder.albert_layer_groups.0.albert_layers.0.": "encoder.layer.0.",
    ".attention.dense.": ".attention.output.dense.",
    ".attention.LayerNorm.": ".attention.output.LayerNorm.",
    **{f".attention.{name}.": f".attention.self.{name}." for name in ("query", "key", "value")},
    ".ffn.": ".intermediate.dense.",
    ".ffn_output.": ".output.dense.",
    ".full_layer_layer_norm.": ".output.LayerNorm.",
}


def load(folder: str | Path, task: Task, *, dropout: float = 0.1, pooling: str = "mean") -> keras.Model:
    """A classifier of texts on the folder's encoder, every weight of which is accounted for; see `minilm_l6.build`.

    Args:
        folder: as the hub has it.
        task: of texts that were read with the folder's model.
        dropout, pooling: see `minilm_l6.build`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an encoder of another kind, naming the setting; texts that were read otherwise; or texts longer than
            its positions.
        weights.WeightsError: weights that are missing, unexpected, of another shape or not finite.
    """
    folder = Path(folder)
    config = bounded_json.read_object(folder / "config.json")
    other = {name: config.get(name) for name, plain in _PLAIN.items() if config.get(name) not in plain}
    is_albert = config.get("model_type") == "albert"
    sizes = {name: config.get(name) for name in (*_SIZES, *(("embedding_size",) if is_albert else ()))}
    if other or not all(isinstance(size, int) and 0 < size <= 100_000 for size in sizes.values()):
        raise ValueError(
            f"Wanted an encoder of the plain kind of {', '.join(_PLAIN['model_type'])}. Received: {folder} with "
            f"{other or sizes}."
        )
    file = next((folder / name for name in sentencepiece.FILES if (folder / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"There is no {' or '.join(sentencepiece.FILES)} in {folder}.")
    settings = sentencepiece.Settings.beside(file)
    tokenizer = text.tokenizer_of((), settings)
    text.read_with(task, tokenizer, encoder=str(folder), load_with=repr(str(file)))
    arrays = _as_berts(safetensors_file.arrays(folder / "model.safetensors"), config, count=len(tokenizer.vocabulary))
    _require_fitting(config, arrays, where=folder)
    longest = int(config["max_position_embeddings"]) - _before(config)
    encoder = _encoder(config, rows=len(tokenizer.vocabulary), longest=longest, dropout=dropout)
    name = str(config["model_type"]).replace("-", "_")
    model = minilm_l6.headed(encoder, task, longest=longest, dropout=dropout, pooling=pooling, name=name)
    minilm_l6.load_weights(model.get_layer("encoder"), arrays, source=str(folder))
    return model


def save(encoder: keras.Model, inputs: text.Text, folder: Path) -> None:
    """Writes an encoder and its model of pieces as the Hugging Face hub has them: a folder that `load` takes.

    What is not ALBERT is written as a BERT that reads these pieces, which is what multilingual MiniLM is: XLM-R's
    positions are counted from the first on, and its one segment, which `load` added to them, is all zeros.

    Args:
        encoder: the layer ``"encoder"`` of a model that `load` gave.
        inputs: what it reads.
        folder: takes the place of one of that name; what stood there before is replaced only by a finished one.

    Raises:
        ValueError: its texts are read with another tokenizer than SentencePiece.
    """
    settings = text.pieces_of(inputs)
    if settings is None:
        raise ValueError(
            f"Wanted texts that are read with SentencePiece. Received: {type(inputs.settings).__module__}."
        )
    is_albert = "segment_ids" in encoder.input
    blocks = [layer for layer in encoder.layers if layer.name.startswith("transformer_layer_")]
    arrays = minilm_l6.published_weights(encoder)
    narrow, width = arrays[_WORDS].shape[1], encoder.output_shape[-1]
    config = {
        "model_type": "albert" if is_albert else "bert",
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": width,
        "intermediate_size": blocks[0].intermediate_dim,
        "layer_norm_eps": encoder.get_layer("embeddings_layer_norm").epsilon,
        "max_position_embeddings": len(arrays[_POSITIONS]),
        "num_attention_heads": blocks[0].num_heads,
        "num_hidden_layers": _calls(encoder, blocks[0].name) if is_albert else len(blocks),
        "vocab_size": len(inputs.vocabulary),
    }
    if is_albert:
        config["embedding_size"] = narrow
        for own, name in _ALBERT.items():  # what stands within attention comes first, as where they are read
            arrays = {one.replace(name, own): array for one, array in arrays.items()}
    else:
        arrays[_SEGMENTS] = np.zeros((2, width), np.float32)
    with atomic_files.atomic_replace(folder, needed_bytes=sum(one.nbytes for one in arrays.values())) as temporary:
        temporary.mkdir()
        safetensors_file.write(temporary / "model.safetensors", arrays)
        (temporary / sentencepiece.FILES[0]).write_bytes(settings.model)
        atomic_files.write_json(temporary / sentencepiece.CONFIG, settings.config())
        atomic_files.write_json(temporary / "config.json", config)


def _encoder(config: Mapping[str, Any], *, rows: int, longest: int, dropout: float) -> keras.Model:
    """The graph of a configuration, without weights of anybody, its layers called as in keras-hub's BERT."""
    width, is_albert = int(config["hidden_size"]), config["model_type"] == "albert"
    narrow = int(config["embedding_size"]) if is_albert else width
    epsilon = config.get("layer_norm_eps") or 1e-12
    drawn = keras.initializers.TruncatedNormal(stddev=0.02)
    fed = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    words = layers.ReversibleEmbedding(rows, narrow, embeddings_initializer=drawn, name="token_embedding")
    places = keras_hub.layers.PositionEmbedding(longest, initializer=drawn, name="position_embedding")
    parts = [words(fed["token_ids"])]
    parts.append(places(parts[0]))
    if is_albert:
        fed["segment_ids"] = keras.Input((None,), dtype="int32", name="segment_ids")
        segments = layers.Embedding(2, narrow, embeddings_initializer=drawn, name="segment_embedding")
        parts.append(segments(fed["segment_ids"]))
    x = layers.Add(name="embeddings_add")(parts)
    x = layers.LayerNormalization(epsilon=epsilon, name="embeddings_layer_norm")(x)
    x = layers.Dropout(dropout, name="embeddings_dropout")(x)
    if is_albert:
        x = layers.Dense(width, kernel_initializer=drawn, name="embedding_projection")(x)
    count = int(config["num_hidden_layers"])
    blocks = [
        keras_hub.layers.TransformerEncoder(
            intermediate_dim=int(config["intermediate_size"]),
            num_heads=int(config["num_attention_heads"]),
            activation=gelu_approximate,
            dropout=dropout,
            layer_norm_epsilon=epsilon,
            kernel_initializer=drawn,
            name=f"transformer_layer_{number}",
        )
        for number in range(1 if is_albert else count)
    ]
    for number in range(count):
        x = blocks[number % len(blocks)](x, padding_mask=fed["padding_mask"])
    return keras.Model(fed, x, name="encoder")


def _calls(encoder: keras.Model, name: str) -> int:
    """How often a layer is called in an encoder's graph: ALBERT's one block again and again."""
    return next(len(one["inbound_nodes"]) for one in encoder.get_config()["layers"] if one["name"] == name)


def _before(config: Mapping[str, Any]) -> int:
    """Rows of the table of positions that no text reads: XLM-R's first position is one behind its padding's id."""
    return 2 if config["model_type"] == "xlm-roberta" else 0


def _as_berts(arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], *, count: int) -> dict[str, np.ndarray]:
    """Arrays as `minilm_l6.load_weights` wants them: BERT's names, no heads, and no rows that nothing reads."""
    found = {}
    for name, array in arrays.items():
        if name.startswith(_HEADS):
            continue
        name = next((name.removeprefix(one) for one in _PREFIXES if name.startswith(one)), name)
        if config["model_type"] == "albert":
            for old, new in _ALBERT.items():
                name = name.replace(old, new)
            name = name.replace("pooler.", "pooler.dense.")
        found[name] = array
    tables = {name: np.shape(found.get(name, ())) for name in (_WORDS, _POSITIONS, _SEGMENTS)}
    if not all(len(shape) == 2 for shape in tables.values()) or tables[_WORDS][0] < count:
        raise ValueError(
            f"Wanted a row of embeddings for each of {count:,} tokens, for positions and segments. Received: {tables}."
        )
    found[_WORDS] = found[_WORDS][:count]
    found[_POSITIONS] = found[_POSITIONS][_before(config) :]
    if config["model_type"] != "albert":
        found[_POSITIONS] = found[_POSITIONS] + found.pop(_SEGMENTS)[0]
    return found


def _require_fitting(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, where: Path) -> None:
    """Raises `ValueError` where a configuration describes an encoder far larger than its weights."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    count = 1 if config["model_type"] == "albert" else int(config["num_hidden_layers"])
    described = count * (4 * width + 2 * inner) * width + arrays[_POSITIONS].shape[1] * int(
        config["max_position_embeddings"]
    )
    held = sum(array.size for array in arrays.values())
    if described > 2 * held or int(config["num_hidden_layers"]) > 1000:
        raise ValueError(
            f"{where}/config.json describes an encoder of {described:,} parameters in {config['num_hidden_layers']:,} "
            f"layers; model.safetensors holds {held:,}."
        )
