"""One door to every pretrained encoder of texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kerastl.inputs import sentencepiece
from kerastl.models.pretrained import names
from kerastl.system import bounded_json
from kerastl.types import Task
from kerastl.types.settings import Known

if TYPE_CHECKING:
    import keras


def fault(name: str) -> str:
    """What is wrong with the name of an encoder, as the end of a sentence that begins with its flag; else nothing."""
    if name in ("minilm_l6", "small") or Path(name).is_dir():
        return ""
    from kerastl.models.pretrained import bert_preset  # keras-hub takes seconds to import

    words = bert_preset.fault(name)
    return words and f"names no encoder: {words}"


Encoder = Annotated[str, Known(fault)]


def vocabulary(name: str) -> str | None:
    """What texts for an encoder are loaded with: ``"bert"``, the path of a file, or ``None`` to learn one from them.

    Args:
        name: as for `load`.

    Raises:
        FileNotFoundError, ValueError: see `bert_preset.vocabulary_file`.
    """
    if name in ("minilm_l6", "small"):
        return {"minilm_l6": "bert", "small": None}[name]
    name = _of_run(name)
    if _is_published(name):
        return str(_pieces_in(name) or Path(name, "vocab.txt"))
    from kerastl.models.pretrained import bert_preset  # keras-hub takes seconds to import

    return str(bert_preset.vocabulary_file(name))


def load(name: str, task: Task, *, pooling: str = "mean") -> keras.Model:
    """A classifier of texts on the encoder of that name, with its weights and a head that knows nothing yet.

    Args:
        name: ``"minilm_l6"``; ``"small"``, without weights of anybody; the path of a folder of the Hugging Face hub,
            with WordPiece or SentencePiece, or of one that keras-hub saved, or of a finished run of `pretrain_text`;
            the name of a preset of keras-hub (``"bert_tiny_en_uncased"``) or its handle.
        task: of texts, loaded with this encoder's `vocabulary`.
        pooling: see `minilm_l6.build`.

    Raises:
        FileNotFoundError: the weights are not here and no source could be reached.
        ValueError: an unknown name, or what `bert_folder.load`, `sentencepiece_folder.load` and `bert_preset.load`
            raise.
    """
    from kerastl.models.pretrained import bert_folder, bert_preset, minilm_l6, sentencepiece_folder

    if name == "minilm_l6":
        return minilm_l6.pretrained(task, pooling=pooling)
    if name == "small":
        return minilm_l6.small(task, pooling=pooling)
    name = _of_run(name)
    if _pieces_in(name) is not None:
        return sentencepiece_folder.load(name, task, pooling=pooling)
    return (bert_folder if _is_published(name) else bert_preset).load(name, task, pooling=pooling)


def groups(model: keras.Model) -> list[list[str]]:
    """Names of the layers of a classifier of texts from the words to the head, for rates that grow with depth.

    Args:
        model: as `load` gives it.

    Returns:
        The embeddings, each transformer layer, and the head: what `training.transfer.layer_rates` takes.
    """
    inside = [layer.name for layer in model.get_layer("encoder").layers if layer.weights]
    blocks = [name for name in inside if name.startswith("transformer_layer_")]
    below = [name for name in inside if name not in blocks]
    head = [layer.name for layer in model.layers if layer.weights and layer.name != "encoder"]
    return [below, *([name] for name in blocks), head]


def _of_run(name: str) -> str:
    """The folder of the encoder that a finished run has pretrained; of anything else its own name."""
    inner = Path(name, names.TEXT_ENCODER)
    return str(inner) if inner.is_dir() else name


def _pieces_in(name: str) -> Path | None:
    """The SentencePiece model of a folder as the hub has it; ``None`` of one with a vocabulary of WordPiece."""
    if not _is_published(name) or Path(name, "vocab.txt").is_file():
        return None
    return next((file for one in sentencepiece.FILES if (file := Path(name, one)).is_file()), None)


def _is_published(name: str) -> bool:
    """Whether it is a folder as the Hugging Face hub has it; keras-hub's own names a class in its configuration."""
    if not Path(name).is_dir():
        return False
    try:
        config = bounded_json.read(Path(name, "config.json"))
    except (OSError, ValueError):
        return not Path(name, "assets").is_dir()  # `load` says what is wrong with it
    return not isinstance(config, dict) or "class_name" not in config
