"""A BERT-type encoder of one's own choice, from the folder that the Hugging Face hub has of it.

The folder holds ``config.json``, ``vocab.txt`` and ``model.safetensors``; and ``tokenizer_config.json`` or
``tokenizer.json`` if there is one, by whose settings texts are read, of cased and multilingual models too.
Layers of BERT's plain kind only: what would be computed otherwise than here is refused. One thing is approximated: GELU
is computed by its formula with tanh, as in keras-hub's BERT, also where a configuration asks for the exact one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from kerastl.inputs import text, wordpiece
from kerastl.models.pretrained import minilm_l6, safetensors_file
from kerastl.system import bounded_json
from kerastl.types import Task

_PLAIN = {
    "model_type": ("bert",),
    "hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "position_embedding_type": ("absolute", None),
    "layer_norm_eps": (1e-12, None),
    "type_vocab_size": (2, None),
    "is_decoder": (False, None),
}
_SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
# Heads of pretraining and of classifiers; the encoder is everything else.
_HEADS = ("cls.", "classifier.", "qa_outputs.", "lm_head.")
_OLD = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}


def tokenizer(folder: str | Path) -> wordpiece.Tokenizer:
    """The token of each id, and how texts are brought to them.

    Raises:
        FileNotFoundError: the folder has no ``vocab.txt``.
        ValueError: its tokenizer is another one than BERT's, or its vocabulary lacks a special token.
    """
    return wordpiece.Tokenizer.from_file(Path(folder, "vocab.txt"))


def load(folder: str | Path, task: Task, *, dropout: float = 0.1, pooling: str = "mean") -> keras.Model:
    """A classifier of texts on the folder's encoder, every weight of which is accounted for; see `minilm_l6.build`.

    Args:
        folder: as the hub has it.
        task: of texts with the folder's vocabulary.
        dropout, pooling: see `minilm_l6.build`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an encoder of another kind, naming the setting; another vocabulary than the task's; or texts longer
            than its positions.
        weights.WeightsError: weights that are missing, unexpected, of another shape or not finite.
    """
    folder = Path(folder)
    config = bounded_json.read_object(folder / "config.json")
    other = {name: config.get(name) for name, plain in _PLAIN.items() if config.get(name) not in plain}
    sizes = {name: config.get(name) for name in (*_SIZES, "max_position_embeddings")}
    if other or not all(isinstance(size, int) and 0 < size <= 100_000 for size in sizes.values()):
        raise ValueError(
            f"Wanted an encoder of BERT's plain kind ({', '.join(f'{name} {_PLAIN[name][0]!r}' for name in _PLAIN)}). "
            f"Received: {folder} with {other or sizes}."
        )
    file = folder / "vocab.txt"
    tokens = text.read_with(task, tokenizer(folder), encoder=str(folder), load_with=repr(str(file)))
    layers_count, width, heads, inner_width = (int(config[name]) for name in _SIZES)
    arrays = _named_as_published(safetensors_file.arrays(folder / "model.safetensors"))
    embedded = len(tokens) + int(config["max_position_embeddings"])
    parameters = width * (embedded + layers_count * (4 * width + 2 * inner_width))
    held = sum(array.size for array in arrays.values())
    if parameters > 2 * held:  # before it takes that memory
        raise ValueError(
            f"{folder}/config.json describes an encoder of {parameters:,} parameters ({sizes}); model.safetensors "
            f"holds {held:,}."
        )
    model = minilm_l6.build(
        task,
        layers_count=layers_count,
        width=width,
        num_heads=heads,
        inner_width=inner_width,
        longest=int(config["max_position_embeddings"]),
        dropout=dropout,
        pooling=pooling,
        name="bert",
    )
    minilm_l6.load_weights(model.get_layer("encoder"), arrays, source=str(folder))
    return model


def _named_as_published(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without heads, without the prefix that models with a head have, and by today's names of a norm's two vectors."""
    found = {}
    for name, array in arrays.items():
        if name.startswith(_HEADS):
            continue
        for old, new in _OLD.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        found[name.removeprefix("bert.")] = array
    return found
