"""A masked language model on toy sentences: its loss by NumPy, what it learns, and a run that goes on."""

import contextlib

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import toy

from kerastl.data import pipeline
from kerastl.models.pretrained import minilm_l6
from kerastl.pretraining import masked_language, masked_language_model
from kerastl.runs.checkpoints import Workspace
from kerastl.training import fitting
from kerastl.types import Schedule, Split

WORDS = np.arange(5, 50)


def classifier(seed=0, dropout=0.0):
    keras.utils.set_random_seed(seed)
    sizes = {"layers_count": 1, "width": 16, "num_heads": 2, "inner_width": 32, "longest": 12}
    return minilm_l6.build(toy.ENCODER_TASK, dropout=dropout, **sizes)


def network(encoder=None, **options):
    encoder = encoder or classifier().get_layer("encoder")
    return masked_language_model.MaskedLanguageModel(encoder, vocabulary=toy.TOKENS, **options)


def sentences(count=64):
    """Every sentence counts up from a word: a hidden one can be told from its neighbours."""
    begin = np.random.default_rng(0).integers(0, len(WORDS), (count, 1))
    ids = np.full((count, 12), 0)
    ids[:, 0], ids[:, 9] = 2, 3
    ids[:, 1:9] = WORDS[(begin + np.arange(8)) % len(WORDS)]
    return ids.astype("int32")


def test_the_loss_is_numpys_and_of_hidden_tokens_alone():
    model, ids = network(seed=7), sentences(6)
    masked = masked_language.mask_words(ids, toy.TOKENS, seed=tf.constant([7, 0]))
    fed = {
        "token_ids": np.asarray(masked.ids),
        "segment_ids": np.zeros_like(ids),
        "padding_mask": (ids != 0).astype("int32"),
    }
    hidden = np.asarray(model.encoder(fed))[np.asarray(masked.mask)]
    kernel, bias, gamma, beta = model._transform.get_weights()
    x = hidden @ kernel + bias
    x = 0.5 * x * (1 + scipy.special.erf(x / np.sqrt(2)))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * gamma + beta
    table = model.encoder.get_layer("token_embedding").embeddings.numpy()
    shares = toy.softmax(x @ table.T)
    asked = ids[np.asarray(masked.mask)]
    wanted = -np.log(shares[np.arange(len(asked)), asked]).mean()
    model.compile("sgd")
    logs = model.train_on_batch(ids, return_dict=True)
    assert logs["loss"] == pytest.approx(wanted, rel=1e-4)
    assert int(model._step) == 1  # other words at the next step


def test_it_learns_what_stands_between_words_and_the_classifier_has_it():
    whole = classifier()
    model, ids = network(whole.get_layer("encoder")), sentences()
    before = model.perplexity(ids)
    assert before == model.perplexity(ids) == model.perplexity(ids.astype("int64"))  # of the same words
    assert before > 40  # of fifty tokens, it knows nothing
    split = Split("train", ids, np.zeros(64, "int32"), toy.ENCODER_TASK)
    schedule = Schedule(epochs=40, batch_size=16, peak_learning_rate=1e-2)
    fitting.fit(model, split, schedule=schedule, keep="last", progress=False)
    assert model.perplexity(ids) < 0.5 * before
    fed = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": (ids != 0).astype("int32")}
    np.testing.assert_array_equal(whole.get_layer("encoder")(fed), model.encoder(fed))
    model.compile("sgd")
    loss = model.evaluate(tf.data.Dataset.from_tensor_slices(ids).batch(50), verbose=0)
    assert np.exp(loss) == pytest.approx(model.perplexity(ids), rel=1e-4)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path):
    weights = []
    for folder, stops in (("whole", [0]), ("stopped", [3, 0])):
        for at in stops:
            model = network(classifier(dropout=0.1).get_layer("encoder"))
            split = Split("train", sentences(32), np.zeros(32, "int32"), toy.ENCODER_TASK)
            batches = pipeline.batches(split, batch_size=8, shuffle=True)
            workspace = Workspace("words", folder=tmp_path / folder, logs=tmp_path / "logs")
            options = {"schedule": Schedule(epochs=2, batch_size=8), "workspace": workspace, "progress": False}
            with pytest.raises(KeyboardInterrupt) if at else contextlib.nullcontext():
                fitting.fit(model, batches, keep="last", callbacks=[toy.Stop(at=at)], **options)
        weights.append([np.asarray(variable) for variable in model.variables])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"embeddings of 49 tokens.*Received.*\(50, 16\)"):
        masked_language_model.MaskedLanguageModel(classifier().get_layer("encoder"), vocabulary=toy.TOKENS[:-1])
    with pytest.raises(ValueError, match="Wanted an encoder of padding_mask"):
        network(toy.small_model())
    with pytest.raises(ValueError, match="share=1"):
        network(share=1.0)
    with pytest.raises(ValueError, match="texts with a word"):
        network().perplexity(np.array([[2, 3] + [0] * 10]))
