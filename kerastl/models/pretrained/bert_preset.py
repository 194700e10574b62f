"""A BERT-type encoder by the name of a keras-hub preset, or from a folder that keras-hub saved.

The folder is what ``save_to_preset`` of a ``BertBackbone`` and of its ``BertTokenizer`` write into. Texts are read as
when the models were trained: those of an uncased model without accents, which its preset forgot to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_hub
from keras_hub.src.utils import preset_utils

from kerastl.inputs import text, wordpiece
from kerastl.models.pretrained import minilm_l6, presets
from kerastl.system import atomic_files, bounded_json, near_names
from kerastl.types import Task

_VOCABULARY, _SETTINGS = "assets/tokenizer/vocabulary.txt", "tokenizer.json"


def available() -> list[str]:
    """Names of keras-hub's presets of BERT's kind. Needs no network."""
    return sorted(keras_hub.models.BertBackbone.presets)


def vocabulary_file(name: str) -> Path:
    """The file with the token of each id, downloaded where it has to be.

    Args:
        name: of a preset, a handle (``"hf://..."``, ``"kaggle://..."``), or the path of a preset folder.

    Raises:
        FileNotFoundError: the preset could not be downloaded.
        ValueError: an unknown name (near names are offered); a folder without a tokenizer; or one of another kind.
    """
    _known(name)
    settings = _file(name, _SETTINGS)
    try:
        content = bounded_json.read(settings)
        kind, config = content["class_name"], content["config"]
        _ = config["lowercase"]  # `wordpiece.Settings.beside` reads it
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{settings} describes no tokenizer of keras-hub: {error!r}.") from error
    if kind != "BertTokenizer":
        raise ValueError(f"Wanted a BertTokenizer. Received: {name}, a {kind}.")
    return _file(name, _VOCABULARY)


def load(name: str, task: Task, *, dropout: float = 0.1, pooling: str = "mean") -> keras.Model:
    """A classifier of texts on the preset's encoder, every weight of which is accounted for; see `minilm_l6.build`.

    Args:
        name: as for `vocabulary_file`.
        task: of texts with the preset's vocabulary.
        dropout, pooling: see `minilm_l6.build`.

    Raises:
        FileNotFoundError: the preset could not be downloaded.
        ValueError: as for `vocabulary_file`; another backbone than BERT's; a folder that holds more than configuration
            and weights; another vocabulary than the task's; or texts longer than its positions.
        weights.WeightsError: weights that are missing or not finite.
    """
    file = vocabulary_file(name)
    tokens = text.read_with(task, wordpiece.Tokenizer.from_file(file), encoder=name, load_with=repr(str(file)))
    body, _ = presets.loaded(name)
    if type(body) is not keras_hub.models.BertBackbone or body.num_segments != 2:
        raise ValueError(f"Wanted a BertBackbone with two segments. Received: {name}, a {type(body).__name__}.")
    if body.vocabulary_size != len(tokens):
        raise ValueError(
            f"Wanted a token for each of {body.vocabulary_size:,} rows of embeddings. Received: {name}, whose "
            f"tokenizer knows {len(tokens):,}."
        )
    model = minilm_l6.build(
        task,
        layers_count=body.num_layers,
        width=body.hidden_dim,
        num_heads=body.num_heads,
        inner_width=body.intermediate_dim,
        longest=body.max_sequence_length,
        dropout=dropout,
        pooling=pooling,
        name="bert",
    )
    for layer in model.get_layer("encoder").layers:  # the same layers, but for BERT's pooler
        layer.set_weights(body.get_layer(layer.name).get_weights())
    return model


def save(encoder: keras.Model, inputs: text.Text, folder: Path) -> None:
    """Writes an encoder and its vocabulary as keras-hub does: a folder that `load` takes, and keras-hub too.

    BERT's pooler, which no encoder here has, is written as it begins. What keras-hub's tokenizer has no setting for
    stands beside the vocabulary, in ``tokenizer_config.json``.

    Args:
        encoder: the layer ``"encoder"`` of `minilm_l6.build`.
        inputs: what it reads: the token of each id, and how texts are brought to them.
        folder: takes the place of one of that name; what stood there before is replaced only by a finished one.

    Raises:
        ValueError: its texts are read with another tokenizer than WordPiece, which a preset of BERT has.
    """
    settings = inputs.settings
    if not isinstance(settings, wordpiece.Settings):
        raise ValueError(f"A preset of BERT reads texts with WordPiece. Received: {type(settings).__module__}.")
    blocks = [layer for layer in encoder.layers if layer.name.startswith("transformer_layer_")]
    body = keras_hub.models.BertBackbone(
        vocabulary_size=len(inputs.vocabulary),
        num_layers=len(blocks),
        num_heads=blocks[0].num_heads,
        hidden_dim=encoder.output_shape[-1],
        intermediate_dim=blocks[0].intermediate_dim,
        max_sequence_length=encoder.get_layer("position_embedding").sequence_length,
    )
    for layer in encoder.layers:
        body.get_layer(layer.name).set_weights(layer.get_weights())
    tokenizer = keras_hub.models.BertTokenizer(
        vocabulary=list(inputs.vocabulary),
        lowercase=settings.lowercase,
        strip_accents=settings.strip_accents,
        split_on_cjk=settings.split_ideographs,
    )
    with atomic_files.atomic_replace(
        folder, needed_bytes=sum(weight.nbytes for weight in body.get_weights())
    ) as temporary:
        temporary.mkdir()
        body.save_to_preset(str(temporary))
        tokenizer.save_to_preset(str(temporary))
        atomic_files.write_json((temporary / _VOCABULARY).with_name(wordpiece.CONFIG), settings.config())


def fault(name: str) -> str:
    """What is wrong with a name that is neither MiniLM nor the small one, and what there is; else nothing."""
    if Path(name).is_dir() or name in available() or name.startswith(presets.SCHEMES):
        return ""
    known = ("minilm_l6", "small", *available())
    return (
        f"no such folder, and no preset of keras-hub.{near_names.did_you_mean(name, known)} Available: "
        f"{', '.join(known)}, the path of a folder, or a handle starting with {', '.join(presets.SCHEMES)}"
    )


def _known(name: str) -> None:
    if words := fault(name):
        raise ValueError(f"There is no encoder {name!r}: {words}.")


def _file(name: str, inner: str) -> Path:
    if Path(name).is_dir():
        path = Path(name, inner)
        if not path.is_file():
            raise ValueError(
                f"Wanted a preset folder of a backbone and its tokenizer. Received: {name}, which holds no {inner}. "
                "Save one beside it: `keras_hub.models.BertTokenizer(...).save_to_preset(...)`."
            )
        return path
    found: Any = presets.asked(name, lambda: preset_utils.get_file(name, inner))
    return Path(found)
