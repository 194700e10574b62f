"""Small SentencePiece models that tests train, and encoders that read them."""

from __future__ import annotations

import functools
import io
import json
import random

import keras
import numpy as np
import sentencepiece
from toy import write_safetensors

from kerastl.inputs.sentencepiece import Settings
from kerastl.inputs.text import Text, tokenizer_of

WORDS = ["gut", "schlecht", "film", "très", "bon", "mauvais", "good", "bad", "movie"]
WORDS += ["странный", "фильм", "映画", "9,000"]
CONVENTIONS = ("xlm-roberta", "bert", "albert")


@functools.cache
def sentencepiece_model(convention: str = "xlm-roberta") -> bytes:
    """A small unigram model, trained in a moment, with the pieces that come around texts of XLM-R or of ALBERT."""
    generator, content = random.Random(0), io.BytesIO()
    lines = [" ".join(generator.choices(WORDS, k=8)) for _ in range(300)]
    special: dict = {}
    if convention == "albert":
        special = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]"]}
        special["user_defined_symbols"] = ["[MASK]"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=content,
        vocab_size=90,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **special,
    )
    return content.getvalue()


def sentencepiece_text(length: int, convention: str = "xlm-roberta") -> Text:
    """Texts that are read with `sentencepiece_model`."""
    settings = Settings.of_config(sentencepiece_model(convention), {})
    return Text(length, tokenizer_of((), settings).vocabulary, settings)


def save_sentencepiece_folder(folder, convention: str = "xlm-roberta", *, seed: int = 0, layers: int = 2) -> dict:
    """A folder as the Hugging Face hub has it, of a small encoder of random weights, which are returned by name.

    Args:
        convention: ``"xlm-roberta"``; ``"bert"``, which is multilingual MiniLM; or ``"albert"``.
    """
    width, inner, longest = 16, 32, 42
    draw = np.random.default_rng(seed)
    rows = len(sentencepiece_text(4, "albert" if convention == "albert" else "xlm-roberta").vocabulary)
    config = {"model_type": convention, "hidden_act": "gelu_new", "hidden_size": width, "intermediate_size": inner}
    config |= {"max_position_embeddings": longest, "num_attention_heads": 2, "num_hidden_layers": layers}
    segments, narrow, prefix = 2, width, "bert."
    if convention == "xlm-roberta":
        config |= {"layer_norm_eps": 1e-5, "type_vocab_size": 1}
        segments, prefix = 1, "roberta."
    shapes = {}
    if convention == "albert":
        narrow, prefix = 8, "albert."
        config |= {"embedding_size": narrow, "layer_norm_eps": 1e-12}
        shapes |= {"encoder.embedding_hidden_mapping_in": (width, narrow)}
        block = "encoder.albert_layer_groups.0.albert_layers.0."
        names = ("attention.", "attention.dense", "attention.LayerNorm", "ffn", "ffn_output", "full_layer_layer_norm")
        blocks = [tuple(block + name for name in names)]
    else:
        blocks = [
            tuple(
                f"encoder.layer.{n}.{part}"
                for part in (
                    "attention.self.",
                    "attention.output.dense",
                    "attention.output.LayerNorm",
                    "intermediate.dense",
                    "output.dense",
                    "output.LayerNorm",
                )
            )
            for n in range(layers)
        ]
    for inside, out, norm, wide, back, last in blocks:
        shapes |= {inside + one: (width, width) for one in ("query", "key", "value")}
        shapes |= {out: (width, width), norm: (width,), wide: (inner, width), back: (width, inner), last: (width,)}
    more = 0 if convention == "albert" else 3  # rows that no tokenizer reads, as multilingual MiniLM has
    tables = {"word": rows + more, "position": longest, "token_type": segments}
    arrays = {
        f"{prefix}embeddings.{name}_embeddings.weight": draw.normal(0, 0.5, (count, narrow))
        for name, count in tables.items()
    }
    shapes["embeddings.LayerNorm"] = (narrow,)
    for name, shape in shapes.items():
        norm = len(shape) == 1
        weight = 1 + draw.normal(0, 0.2, shape) if norm else draw.normal(0, 0.4, shape)
        arrays |= {f"{prefix}{name}.weight": weight, f"{prefix}{name}.bias": draw.normal(0, 0.2, shape[:1])}
    arrays |= {f"{prefix}pooler.{'' if convention == 'albert' else 'dense.'}bias": np.zeros(width)}
    arrays |= {"lm_head.bias" if convention == "xlm-roberta" else "cls.predictions.bias": np.zeros(rows)}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    name = "spiece.model" if convention == "albert" else "sentencepiece.bpe.model"
    (folder / name).write_bytes(sentencepiece_model("albert" if convention == "albert" else "xlm-roberta"))
    write_safetensors(folder / "model.safetensors", arrays)
    return {name.removeprefix(prefix): np.asarray(array, np.float32) for name, array in arrays.items()} | {
        "config": config
    }


def reads_ids(kind: Text) -> keras.Model:
    """Answers by the ids alone."""
    given = keras.Input(kind.shape, dtype="int32", name="token_ids")
    table = keras.initializers.RandomNormal(0, 1, seed=1)
    x = keras.layers.Embedding(len(kind.vocabulary), 4, embeddings_initializer=table, name="table")(given)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    head = keras.initializers.RandomNormal(0, 1, seed=2)
    return keras.Model(given, keras.layers.Dense(2, kernel_initializer=head, name="logits")(x))
