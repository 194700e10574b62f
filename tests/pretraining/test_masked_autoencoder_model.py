"""A masked autoencoder on toy pictures: it learns to draw them, the encoder alone sees what is kept, and it goes on."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy

from kerastl.data import pipeline
from kerastl.inputs.image import Image
from kerastl.models import small_vit
from kerastl.pretraining import masked_autoencoder, masked_autoencoder_model
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Task

TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b")))


def pictures(count=32):
    """Stripes of one direction, of any width: every patch says what the others are."""
    generator = np.random.default_rng(0)
    phases, periods = generator.uniform(0, 6, (count, 1, 1)), generator.choice([2.0, 4.0], (count, 1, 1))
    rows = np.arange(8)[None, :, None] + np.zeros((1, 1, 8))
    return (127 + 120 * np.sin(2 * np.pi * rows / periods + phases))[..., None].astype("uint8")


def network(seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = small_vit.build(TASK, patch=2, width=16, depth=1, num_heads=2)
    settings = {"decoder_width": 16, "decoder_heads": 2, **options}
    return model, masked_autoencoder_model.MaskedAutoencoder(model, patch=2, **settings)


def split():
    return Split("train", pictures(), np.zeros(32, "int32"), TASK)


def test_it_overfits_a_toy_and_the_model_itself_has_learnt():
    model, network_ = network()
    before = model.get_layer("block1_dense1").get_weights()[0].copy()
    schedule = Schedule(epochs=60, batch_size=32, peak_learning_rate=1e-2)
    losses = fitting.fit(network_, split(), schedule=schedule, keep="last", progress=False).values["loss"]
    assert losses[-1] < 0.35 * losses[0]
    assert np.abs(model.get_layer("block1_dense1").get_weights()[0] - before).max() > 1e-3
    features = np.asarray(network_.encoder(pictures().astype("float32")))
    wanted = keras.Model(model.input, model.get_layer("pool").output)(pictures().astype("float32"))
    np.testing.assert_array_equal(features, np.asarray(wanted))


def test_the_encoder_sees_what_is_kept_and_nothing_else():
    _, model = network()
    given = pictures(3).astype("float32")
    masking = masked_autoencoder.random_masking(3, 16, seed=tf.constant([1, 2]))
    drawn = np.asarray(model.reconstructed(given, masking))
    patches = np.array(masked_autoencoder.patches_of(given, size=2))
    patches[np.asarray(masking.mask)] = 77  # what was left out is something else
    other = patches.reshape(3, 4, 4, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(given.shape)
    assert not np.allclose(other, given)
    np.testing.assert_allclose(np.asarray(model.reconstructed(other, masking)), drawn, atol=1e-5)
    assert drawn.shape == (3, 16, 4)


@pytest.mark.parametrize("place", [0, 5, 15])
def test_a_patch_that_is_kept_is_in_its_place_again(place):
    """A decoder that does nothing gives each place the token that was there, and the learnt one elsewhere."""
    _, model = network()
    model._decoder = lambda tokens, training: tokens
    kept = tf.constant([[place]])
    masked = tf.constant([[one for one in range(16) if one != place]])
    mask = tf.constant([[one != place for one in range(16)]])
    given = pictures(1).astype("float32")
    found = np.asarray(model.reconstructed(given, masked_autoencoder.Masking(kept, masked, mask)))[0]
    token = tf.gather(model._front(given), kept, batch_dims=1)
    np.testing.assert_allclose(found[place], np.asarray(model._narrow(model._blocks(token)))[0, 0], atol=1e-5)
    others = np.delete(found, place, 0)
    np.testing.assert_allclose(others, np.tile(model._hidden.numpy(), (15, 1)), atol=1e-6)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path):
    weights = []
    for folder, stops in (("whole", [0]), ("stopped", [3, 0])):
        for at in stops:
            _, model = network()
            batches = pipeline.batches(split(), batch_size=8, shuffle=True)
            workspace = Workspace("drawing", folder=tmp_path / folder, logs=tmp_path / "logs")
            options = {"schedule": Schedule(epochs=2, batch_size=8), "workspace": workspace, "progress": False}
            with pytest.raises(KeyboardInterrupt) if at else contextlib.nullcontext():
                fitting.fit(model, batches, keep="last", callbacks=[toy.Stop(at=at)], **options)
        weights.append([np.asarray(variable) for variable in model.variables])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_fit_is_refused():
    model, _ = network()
    with pytest.raises(ValueError, match=r"a layer 'tokens' to \(batch, 4, width\)"):
        masked_autoencoder_model.MaskedAutoencoder(model, patch=4)
    with pytest.raises(ValueError, match="a share of patches"):
        network(mask_ratio=1.0)
    with pytest.raises(ValueError, match="multiples of the patch"):
        small_vit.build(TASK, patch=3)
