"""Masked autoencoder: which patches are left out, and the error of those, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.pretraining import masked_autoencoder


def draw(seed=(0, 1), batch=64, patches=12, ratio=0.75):
    return masked_autoencoder.random_masking(batch, patches, seed=seed, mask_ratio=ratio)


@pytest.mark.parametrize(
    ("patches", "ratio", "kept"), [(196, 0.75, 49), (12, 0.75, 3), (10, 0.7, 3), (10, 0.75, 2), (2, 0.5, 1)]
)
def test_a_masking_divides_the_patches(patches, ratio, kept):
    found = draw(patches=patches, ratio=ratio)
    assert found.kept.shape == (64, kept)
    assert found.masked.shape == (64, patches - kept)
    for places, left_out, mask in zip(*map(np.asarray, found), strict=True):
        assert sorted([*places, *left_out]) == list(range(patches))
        assert list(places) == sorted(places)
        assert list(left_out) == sorted(left_out)
        assert list(np.flatnonzero(mask)) == list(left_out)


def test_the_seed_says_which_in_a_graph_and_outside():
    first, again, other = draw((3, 4)), draw((3, 4)), draw((3, 5))
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (np.asarray(first.mask) != np.asarray(other.mask)).any()
    assert len({tuple(row) for row in np.asarray(first.kept)}) > 40  # each picture its own
    compiled = tf.function(lambda batch, seed: draw(seed, batch=batch).mask)
    np.testing.assert_array_equal(compiled(tf.constant(64), tf.constant([3, 4])), first.mask)


def test_every_patch_is_left_out_as_often():
    share = np.asarray(draw(batch=4000, patches=8, ratio=0.5).mask)
    np.testing.assert_allclose(share.mean(0), 0.5, atol=0.04)  # five standard deviations
    together = share.T.astype(float) @ share / 4000
    np.testing.assert_allclose(together[~np.eye(8, dtype=bool)], 3 / 14, atol=0.035)


@pytest.mark.parametrize(("patches", "ratio"), [(12, 0.0), (12, 1.0), (12, 0.99), (1, 0.5), (12, np.nan), (0, 0.5)])
def test_a_masking_leaves_one_in_and_one_out(patches, ratio):
    with pytest.raises(ValueError, match=f"mask_ratio={ratio} of {patches} patches"):
        draw(patches=patches, ratio=ratio)


def test_patches_go_row_by_row():
    pictures = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    found = np.asarray(masked_autoencoder.patches_of(pictures, size=2))
    assert found.shape == (2, 6, 12)
    for place in range(6):
        row, column = 2 * (place // 3), 2 * (place % 3)
        wanted = pictures[:, row : row + 2, column : column + 2].reshape(2, 12)
        np.testing.assert_array_equal(found[:, place], wanted)


@pytest.mark.parametrize(("shape", "size"), [((2, 4, 6), 2), ((2, 4, 6, 3), 4), ((2, 4, 6, 3), 0), ((2, 0, 4, 3), 2)])
def test_pictures_that_cannot_be_cut_are_refused(shape, size):
    with pytest.raises(ValueError, match=f"size={size}"):
        masked_autoencoder.patches_of(tf.zeros(shape), size=size)


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    return generator.normal(100, 30, (3, 5, 12)), generator.normal(0, 1, (3, 5, 12)), generator.random((3, 5)) < 0.6


@pytest.mark.parametrize("normalized", [True, False])
def test_the_loss_equals_numpy(drawn, normalized):
    patches, reconstructions, mask = drawn
    errors = []
    for picture, patch in zip(*np.nonzero(mask), strict=True):
        pixels = patches[picture, patch]
        wanted = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 1e-6) if normalized else pixels
        errors.append(((reconstructions[picture, patch] - wanted) ** 2).mean())
    options = {"mask": mask, "normalized": normalized}
    np.testing.assert_allclose(masked_autoencoder.loss(patches, reconstructions, **options), np.mean(errors), rtol=1e-9)
    single = masked_autoencoder.loss(patches.astype("float32"), reconstructions.astype("float32"), **options)
    np.testing.assert_allclose(single, np.mean(errors), rtol=1e-6)


def test_what_was_seen_counts_nothing_nor_do_brightness_and_contrast(drawn):
    patches, reconstructions, mask = drawn
    wanted = masked_autoencoder.loss(patches, reconstructions, mask=mask)
    other = np.where(mask[..., None], reconstructions, 1e6)
    np.testing.assert_allclose(masked_autoencoder.loss(patches, other, mask=mask), wanted, rtol=1e-10)
    brighter = patches * np.linspace(1, 3, 5)[:, None] + 7
    np.testing.assert_allclose(masked_autoencoder.loss(brighter, reconstructions, mask=mask), wanted, rtol=1e-6)
    assert float(masked_autoencoder.loss(patches, reconstructions, mask=np.zeros_like(mask))) == 0


def test_an_even_patch_is_zeros(drawn):
    even = np.full((3, 5, 12), 7, "float32")
    found = masked_autoencoder.loss(even, np.ones((3, 5, 12)), mask=np.ones((3, 5), bool))
    np.testing.assert_allclose(found, 1, rtol=1e-6)


def test_other_shapes_are_refused(drawn):
    patches, reconstructions, mask = drawn
    for bad in ((patches[:, :4], reconstructions, mask), (patches, reconstructions, mask[:, :4]), (mask, mask, mask)):
        with pytest.raises(ValueError, match="Received"):
            masked_autoencoder.loss(bad[0], bad[1], mask=bad[2])
