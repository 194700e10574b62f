"""Encoders of SentencePiece beside a calculation of their own, in NumPy, from the published names and shapes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from toy_pieces import CONVENTIONS, save_sentencepiece_folder, sentencepiece_text

from kerastl.data import text_csv
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair, segments
from kerastl.models.pretrained import encoders, safetensors_file, sentencepiece_folder, weights
from kerastl.recipes import pretrain_text, text_classifier
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task, settings

TARGET = SingleLabel(("a", "b", "c"))
LINES = ("gut film", "très bon 映画 странный фильм good movie bad", "9,000 xyz")


def kind_of(convention, length=14) -> Text:
    return sentencepiece_text(length, "albert" if convention == "albert" else "xlm-roberta")


def normalized(x, arrays, name, epsilon):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return scaled * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]


def dense(x, arrays, name):
    return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def twin(ids, arrays, *, padding, second=None):
    """The published forward pass of one text: hidden states ``(tokens, width)``, of its tokens without padding."""
    config = arrays["config"]
    ids = ids[ids != padding]
    epsilon = config.get("layer_norm_eps", 1e-12)
    # Conneau et al. count positions as fairseq does: behind the id of padding
    first = 2 if config["model_type"] == "xlm-roberta" else 0
    x = arrays["embeddings.word_embeddings.weight"][ids]
    x = x + arrays["embeddings.position_embeddings.weight"][first + np.arange(len(ids))]
    x = x + arrays["embeddings.token_type_embeddings.weight"][np.zeros_like(ids) if second is None else second]
    x = normalized(x, arrays, "embeddings.LayerNorm", epsilon)
    is_albert = config["model_type"] == "albert"
    if is_albert:
        x = dense(x, arrays, "encoder.embedding_hidden_mapping_in")
    for number in range(config["num_hidden_layers"]):
        block = "encoder.albert_layer_groups.0.albert_layers.0." if is_albert else f"encoder.layer.{number}."
        inside = block + ("attention." if is_albert else "attention.self.")
        heads = config["num_attention_heads"]
        queries, keys, values = (
            dense(x, arrays, inside + one).reshape(len(ids), heads, -1).transpose(1, 0, 2)
            for one in ("query", "key", "value")
        )
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ values
        mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
        out, norm, wide, back, last = (
            ("attention.dense", "attention.LayerNorm", "ffn", "ffn_output", "full_layer_layer_norm")
            if is_albert
            else (
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            )
        )
        x = normalized(x + dense(mixed, arrays, block + out), arrays, block + norm, epsilon)
        x = normalized(
            x + dense(gelu(dense(x, arrays, block + wide)), arrays, block + back), arrays, block + last, epsilon
        )
    return x


def features(model, ids):
    return np.asarray(keras.Model(model.input, model.get_layer("pool").output)(ids))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_encoder_answers_as_the_published_calculation(tmp_path, convention):
    arrays = save_sentencepiece_folder(tmp_path, convention)
    kind = kind_of(convention)
    model = sentencepiece_folder.load(tmp_path, Task("toy", kind, TARGET))
    ids = np.concatenate([kind.read(line) for line in LINES])
    wanted = np.stack([twin(row, arrays, padding=kind.padding).mean(0) for row in ids])
    np.testing.assert_allclose(features(model, ids), wanted, atol=2e-5)
    assert len([layer for layer in model.get_layer("encoder").layers if "transformer" in layer.name]) == (
        1 if convention == "albert" else 2
    )
    firsts = sentencepiece_folder.load(tmp_path, Task("toy", kind, TARGET), pooling="cls")
    wanted = np.stack([twin(row, arrays, padding=kind.padding)[0] for row in ids])
    np.testing.assert_allclose(features(firsts, ids), wanted, atol=2e-5)
    blocks = [1] if convention == "albert" else [1, 1]
    assert [len(some) for some in encoders.groups(model)] == [5 if convention == "albert" else 3, *blocks, 1]


@pytest.mark.parametrize("convention", ["xlm-roberta", "albert"])
def test_of_two_texts_albert_is_told_which_is_which_and_xlm_r_is_not(tmp_path, convention):
    arrays = save_sentencepiece_folder(tmp_path, convention)
    alone = kind_of(convention, 16)
    pair = TextPair(16, alone.vocabulary, alone.settings)
    ids = np.concatenate([pair.read("gut film\tbad"), pair.read("bon\tgood movie")])
    model = sentencepiece_folder.load(tmp_path, Task("toy", pair, TARGET))
    rows = [row[row != pair.padding] for row in ids]
    is_albert = convention == "albert"
    second = [segments(row[None], end=pair.end, padding=pair.padding)[0] if is_albert else None for row in rows]
    wanted = [
        twin(row, arrays, padding=pair.padding, second=one).mean(0) for row, one in zip(rows, second, strict=True)
    ]
    np.testing.assert_allclose(features(model, ids), np.stack(wanted), atol=2e-5)


def test_each_door_finds_a_folder_of_pieces(tmp_path):
    save_sentencepiece_folder(tmp_path / "encoder")
    name = str(tmp_path / "encoder")
    assert encoders.vocabulary(name) == f"{name}/sentencepiece.bpe.model"
    rows = [f"{LINES[n % 2]} {'gut' * (n % 3)} x{n},{'low' if n < 20 else 'high'}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    config = text_classifier.Config(data=str(tmp_path / "texts.csv"), encoder=name)
    data = text_classifier.load(config)
    assert data.task.inputs.vocabulary == kind_of("xlm-roberta").vocabulary
    assert data.task.inputs.length == 24  # as many as the texts have: padding is not counted
    assert text_csv.load(**data.arguments).digest == data.digest
    assert encoders.load(name, data.task).output_shape == (None, 2)
    settings.check(pretrain_text.Config(encoder=name))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_is_saved_is_what_was_loaded(tmp_path, convention):
    """Its own weights, moved; and the published calculation answers the same from the file that was written."""
    save_sentencepiece_folder(tmp_path / "published", convention)
    kind = kind_of(convention)
    task = Task("toy", kind, TARGET)
    model = sentencepiece_folder.load(tmp_path / "published", task)
    encoder = model.get_layer("encoder")
    draw = np.random.default_rng(5)
    encoder.set_weights([weight + draw.normal(0, 0.1, weight.shape) for weight in encoder.get_weights()])
    sentencepiece_folder.save(encoder, kind, tmp_path / "saved")
    again = sentencepiece_folder.load(tmp_path / "saved", task)
    ids = np.concatenate([kind.read(line) for line in LINES])
    np.testing.assert_allclose(features(again, ids), features(model, ids), atol=1e-6)
    for one, other in zip(again.get_layer("encoder").weights, encoder.weights, strict=True):
        assert one.path == other.path
        if "position" not in one.path:  # to which XLM-R's segment was added
            np.testing.assert_array_equal(one, other)
    arrays = safetensors_file.arrays(tmp_path / "saved" / "model.safetensors")
    arrays["config"] = json.loads((tmp_path / "saved" / "config.json").read_text())
    wanted = np.stack([twin(row, arrays, padding=kind.padding).mean(0) for row in ids])
    np.testing.assert_allclose(features(again, ids), wanted, atol=2e-5)
    assert encoders.vocabulary(str(tmp_path / "saved")) == f"{tmp_path}/saved/sentencepiece.bpe.model"
    with pytest.raises(ValueError, match="Wanted texts that are read with SentencePiece"):
        sentencepiece_folder.save(encoder, Text(4, ("[PAD]", "a")), tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "roberta"}, "with {'model_type': 'roberta'}"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"layer_norm_eps": 1e-3}, "layer_norm_eps"),
        ({"num_hidden_layers": None}, "'num_hidden_layers': None"),
        ({"hidden_size": 90_000}, r"describes an encoder of [0-9,]+ parameters"),
        ({"num_hidden_layers": 50_000}, r"describes an encoder of [0-9,]+ parameters in 50,000 layers"),
    ],
)
def test_another_kind_of_encoder_is_refused_by_its_setting(tmp_path, change, words):
    config = save_sentencepiece_folder(tmp_path)["config"]
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words):
        sentencepiece_folder.load(tmp_path, Task("toy", kind_of("xlm-roberta"), TARGET))


def test_weights_that_are_missing_and_texts_that_were_read_otherwise(tmp_path):
    save_sentencepiece_folder(tmp_path)
    task = Task("toy", kind_of("xlm-roberta"), TARGET)
    with pytest.raises(ValueError, match=r"40 positions\. Received: texts of 41"):
        sentencepiece_folder.load(tmp_path, Task("toy", kind_of("xlm-roberta", 41), TARGET))
    with pytest.raises(ValueError, match=r"its own vocabulary, .* load the texts with vocabulary='.*bpe\.model'"):
        sentencepiece_folder.load(tmp_path, Task("toy", kind_of("albert"), TARGET))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(weights.WeightsError, match=r"missing from the file: .*transformer_layer_2"):
        sentencepiece_folder.load(tmp_path, task)
    (tmp_path / "sentencepiece.bpe.model").unlink()
    with pytest.raises(FileNotFoundError, match=r"sentencepiece\.bpe\.model"):
        sentencepiece_folder.load(tmp_path, task)
