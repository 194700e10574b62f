from __future__ import annotations

import keras
import keras_hub
import numpy as np
import pytest

from kerastl.inputs import wordpiece
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.models.pretrained import minilm_l6, safetensors_file, weights
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging
from kerastl.types import Task

SENTENCES = ("A man is eating food.", "Someone eats a meal.", "The stock market fell today.")
TOKENS = (*wordpiece.SPECIAL, *(f"word{n}" for n in range(45)))
SMALL = {"layers_count": 2, "width": 32, "num_heads": 2, "inner_width": 64}


def small(**options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return minilm_l6.build(Task("toy", Text(12, TOKENS), SingleLabel(("a", "b", "c"))), **{**SMALL, **options})


def ids(lengths, *, total=12, seed=0) -> np.ndarray:
    """Sentences of so many tokens, padded."""
    made = np.random.default_rng(seed).integers(5, len(TOKENS), (len(lengths), total)).astype(np.int32)
    made[np.arange(total) >= np.asarray(lengths)[:, None]] = 0
    return made


def test_one_input_of_token_ids_and_logits():
    model = small()
    assert [(value.name, value.dtype, value.shape) for value in model.inputs] == [("token_ids", "int32", (None, 12))]
    assert model.output_shape == (None, 3)
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    assert not any("pooled" in weight.path for weight in model.weights)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(pooling):
    """The mask is made inside of the graph: a longer row of padding gives the same answer."""
    short = small(pooling=pooling)
    keras.utils.set_random_seed(0)
    long = minilm_l6.build(Task("toy", Text(40, TOKENS), SingleLabel(("a", "b", "c"))), pooling=pooling, **SMALL)
    long.set_weights(short.get_weights())
    rows = ids([3, 7, 12])
    padded = np.pad(rows, ((0, 0), (0, 28)))
    np.testing.assert_allclose(long(padded), short(rows), atol=1e-5)
    assert not np.allclose(short(rows)[0], short(ids([4, 7, 12]))[0], atol=1e-4)


def test_each_token_is_answered_and_padding_by_the_bias_alone():
    keras.utils.set_random_seed(0)
    target, rows = Tagging.of(("a",)), ids([3, 7, 12])
    model = minilm_l6.build(Task("toy", Text(12, TOKENS), target), **SMALL)
    assert model.output_shape == (None, 12, 3)
    assert model.layers[-1].name == "logits"
    kernel, bias = model.get_layer("logits").get_weights()[0], np.array([1.0, 2.0, 3.0])
    model.get_layer("logits").set_weights([kernel, bias])
    fed = Text(12, TOKENS).fed(rows)
    named = {"token_ids": rows, "padding_mask": fed["mask"], "segment_ids": fed["segment_ids"]}
    wanted = np.asarray(model.get_layer("encoder")(named)) @ kernel
    there = fed["mask"].astype(bool)[..., None]
    np.testing.assert_allclose(model(rows), np.where(there, wanted, 0) + bias, atol=1e-5)


def test_of_two_texts_the_encoder_is_told_which_is_which():
    keras.utils.set_random_seed(0)
    kind = TextPair(12, TOKENS)
    model = minilm_l6.build(Task("toy", kind, SingleLabel(("a", "b", "c"))), **SMALL)
    rows = ids([12, 9, 7])
    rows[:, 0], rows[:, 3], rows[[0, 1, 2], [11, 8, 6]] = 2, 3, 3
    fed = kind.fed(rows)
    assert fed["segment_ids"].sum(1).tolist() == [8, 5, 3]
    named = {"token_ids": rows, "padding_mask": fed["mask"]}
    hidden = np.asarray(keras.Model(model.input, model.get_layer("pool").input[0])(rows))
    there = fed["mask"].astype(bool)
    encoder = model.get_layer("encoder")
    wanted = np.asarray(encoder({**named, "segment_ids": fed["segment_ids"]}))
    np.testing.assert_allclose(hidden[there], wanted[there], atol=1e-5)
    other = np.asarray(encoder({**named, "segment_ids": np.zeros_like(rows)}))
    assert np.abs(hidden[there] - other[there]).max() > 0.01


def test_the_mean_is_of_real_tokens():
    model = small()
    rows = ids([3, 12])
    hidden = np.asarray(keras.Model(model.input, model.get_layer("pool").input[0])(rows))
    wanted = np.stack([hidden[0, :3].mean(0), hidden[1].mean(0)])
    logits = wanted @ model.get_layer("logits").get_weights()[0]
    np.testing.assert_allclose(model(rows), logits, atol=1e-5)


def test_it_is_saved_and_loaded(tmp_path):
    model, rows = small(), ids([3, 12])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(rows), model(rows))


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (
            Task("toy", Numbers((12,)), SingleLabel(("a", "b"))),
            {},
            "a task of texts, with a vocabulary. Received: task .toy. of n",
        ),
        (Task("toy", Text(12, ("[UNK]", "[PAD]")), SingleLabel(("a", "b"))), {}, "a vocabulary in which .PAD. is id 0"),
        (Task("toy", Text(513, TOKENS), SingleLabel(("a", "b"))), {}, "512 positions. Received: texts of 513"),
        (Task("toy", Text(12, TOKENS), SingleLabel(("a", "b"))), {"pooling": "max"}, "one of mean, cls"),
    ],
)
def test_what_cannot_be_built(task, options, words):
    with pytest.raises(ValueError, match=words):
        minilm_l6.build(task, **{**SMALL, **options})


def published(encoder) -> dict[str, np.ndarray]:
    """An encoder's weights as they are published, put there by keras-hub's own conversion run backwards."""
    arrays = {}
    for weight in encoder.weights:
        name, value = minilm_l6._published(weight.path), weight.numpy()
        if weight.path.endswith("kernel"):
            into = value.shape[0] * (value.shape[1] if "attention_output" in weight.path else 1)
            value = value.reshape(into, -1).T
        elif weight.path.endswith("bias"):
            value = value.reshape(-1)
        arrays[name] = value
    return arrays


def test_every_weight_is_accounted_for():
    encoder = small().get_layer("encoder")
    arrays = published(encoder) | {"pooler.dense.bias": np.zeros(32, np.float32)}
    before = [weight.numpy() for weight in encoder.weights]
    for weight in encoder.weights:
        weight.assign(weight * 0)
    account = minilm_l6.load_weights(encoder, arrays)
    assert len(account.loaded) == len(encoder.weights) == 5 + 16 * 2
    assert account.left_out == ("pooler.dense.bias",)
    for weight, value in zip(encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda arrays: arrays.pop("encoder.layer.1.output.LayerNorm.bias"),
            "missing from the file: transformer_layer_1",
        ),
        (lambda arrays: arrays.update(more=np.zeros(3)), "unknown to the model: more"),
        (lambda arrays: arrays.update({"embeddings.LayerNorm.bias": np.zeros(31)}), r"of another shape: .*31"),
        (lambda arrays: arrays.update({"embeddings.LayerNorm.bias": np.full(32, np.nan)}), "with NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_leave_the_encoder_as_it_was(change, words):
    encoder = small().get_layer("encoder")
    arrays, before = published(encoder), [weight.numpy() for weight in encoder.weights]
    change(arrays)
    with pytest.raises(weights.WeightsError, match=words):
        minilm_l6.load_weights(encoder, arrays)
    for weight, value in zip(encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_another_vocabulary_than_that_of_the_weights_is_refused(real):
    with pytest.raises(ValueError, match=r"load the texts with vocabulary='bert'\. Received: 50 tokens"):
        minilm_l6.pretrained(Task("toy", Text(16, TOKENS), SingleLabel(("a", "b"))))


@pytest.fixture(scope="module")
def real():
    try:
        vocabulary = minilm_l6.vocabulary()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return minilm_l6.pretrained(Task("toy", Text(16, vocabulary), SingleLabel(("a", "b"))))


def test_sentences_that_mean_the_same_are_close(real):
    tokenizer = wordpiece.Tokenizer(minilm_l6.vocabulary())
    rows = np.asarray([tokenizer.encode(sentence, 16) for sentence in SENTENCES], np.int32)
    vectors = np.array(keras.Model(real.input, real.get_layer("pool").output)(rows))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.7
    assert abs(vectors[0] @ vectors[2]) < 0.1


def test_the_weights_lie_where_keras_hub_puts_them(real):
    """keras-hub's own conversion of the same file, fed by our reader."""
    from keras_hub.src.utils.transformers import convert_bert

    arrays = safetensors_file.arrays(downloads.fetch(minilm_l6.FILES)["model.safetensors"])
    backbone = keras_hub.models.BertBackbone(30522, 6, 12, 384, 1536, max_sequence_length=512)

    class Loader:
        def get_tensor(self, name):
            return arrays[name]

        def port_weight(self, keras_variable, hf_weight_key, hook_fn=None):
            array = arrays[hf_weight_key]
            keras_variable.assign(array if hook_fn is None else hook_fn(array, list(keras_variable.shape)))

    convert_bert.convert_weights(backbone, Loader(), {})
    wanted = {weight.path: weight.numpy() for weight in backbone.weights}
    encoder = real.get_layer("encoder")
    assert len(encoder.weights) == 101
    for weight in encoder.weights:
        np.testing.assert_array_equal(weight, wanted[weight.path], err_msg=weight.path)
