"""Random changes of recordings against numbers that are measured on what comes out."""

import keras
import numpy as np
import pytest
import scipy.signal

from kerastl.inputs import random_waveforms as layers

RATE, SAMPLES = 16_000, 4000
TIMES = np.arange(SAMPLES) / RATE
TONE = (3000 * np.sin(2 * np.pi * 1000 * TIMES) * np.hanning(SAMPLES)).astype("float32")
BATCH = np.tile(TONE, (64, 1))


def spread(values):
    return float(np.min(values)), float(np.max(values))


def test_a_shift_is_by_whole_samples_and_silence_moves_in():
    changed = np.asarray(layers.RandomShift(shift=0.1, seed=1)(BATCH))
    shifts = []
    for one in changed:
        step = int(np.argmax(np.correlate(one, TONE, "full"))) - (SAMPLES - 1)
        moved = np.zeros_like(TONE)
        moved[max(step, 0) : SAMPLES + min(step, 0)] = TONE[max(-step, 0) : SAMPLES - max(step, 0)]
        np.testing.assert_array_equal(one, moved)
        shifts.append(step)
    low, high = spread(shifts)
    assert -400 <= low < -200 < 200 < high <= 400


def test_speed_moves_pitch_within_its_share():
    changed = np.asarray(layers.RandomShift(speed=0.2, seed=1)(BATCH))
    peaks = np.argmax(np.abs(np.fft.rfft(changed, 65_536)), axis=1) * RATE / 65_536
    low, high = spread(peaks)
    assert 798 <= low < 870 < 1130 < high <= 1202


def test_resampling_is_that_of_the_function():
    places = np.linspace(100, 3000, 500)[None].astype("float32")
    found = np.asarray(layers.resampled(TONE[None], places))[0]
    exact = 3000 * np.sin(2 * np.pi * 1000 * places[0] / RATE) * (0.5 - 0.5 * np.cos(2 * np.pi * places[0] / 3999))
    assert np.abs(found - exact).max() < 0.01 * 3000  # of a frequency an eighth of the highest
    whole = np.asarray(layers.resampled(TONE[None], np.arange(4000, dtype="float32")[None]))[0]
    np.testing.assert_allclose(whole, TONE, atol=1e-3)


def test_gain_is_in_decibels_and_cut_off_as_recorders_do():
    changed = np.asarray(layers.RandomGain(12.0, seed=1)(BATCH))
    decibels = 20 * np.log10(np.abs(changed).max(1) / np.abs(TONE).max())
    low, high = spread(decibels)
    assert -12.01 <= low < -9 < 9 < high <= 12.01
    loud = np.asarray(layers.RandomGain(40.0, seed=1)(BATCH))
    assert loud.max() == 32_767
    assert loud.min() == -32_768


@pytest.mark.parametrize("own", [False, True])
def test_noise_has_the_ratio_that_is_asked_for(own):
    noise = np.rint(500 * np.random.default_rng(0).normal(size=(5, 9000))).astype("int16") if own else None
    for decibels in (0.0, 10.0, 25.0):
        changed = np.asarray(layers.RandomNoise((decibels, decibels), recordings=noise, seed=2)(BATCH))
        added = changed - BATCH
        measured = 10 * np.log10(np.square(BATCH).mean(1) / np.square(added).mean(1))
        np.testing.assert_allclose(measured, decibels, atol=0.1)
        assert len({one.tobytes() for one in added}) == 64  # each its own
    changed = np.asarray(layers.RandomNoise((5.0, 20.0), recordings=noise, seed=2)(BATCH))
    measured = 10 * np.log10(np.square(BATCH).mean(1) / np.square(changed - BATCH).mean(1))
    low, high = spread(measured)
    assert 4.9 <= low < 8 < 17 < high <= 20.1
    some = np.asarray(layers.RandomNoise((5.0, 20.0), share=0.5, recordings=noise, seed=2)(BATCH))
    assert 16 < (some == BATCH).all(1).sum() < 48
    silent = np.zeros_like(BATCH)
    np.testing.assert_array_equal(layers.RandomNoise((5.0, 20.0), recordings=noise)(silent), silent)


def test_noise_that_is_none_is_refused():
    with pytest.raises(ValueError, match="lowest ratio, then the highest"):
        layers.RandomNoise((20.0, 5.0))
    with pytest.raises(ValueError, match="some of them silent"):
        layers.RandomNoise((5.0, 20.0), recordings=np.zeros((2, 10), "int16"))


@pytest.mark.parametrize("falls", [0.0, 1.0, 2.0])
def test_the_power_of_coloured_noise_falls_as_is_said(falls):
    white = np.random.default_rng(0).normal(size=(50, SAMPLES)).astype("float32")
    found = np.asarray(layers.coloured(white, np.full((50, 1), falls, "float32")))
    power = np.square(np.abs(np.fft.rfft(found))).mean(0)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, len(power) + 1)), np.log(power), 1)[0]
    assert slope == pytest.approx(-falls, abs=0.05)


def test_convolution_is_scipys():
    draw = np.random.default_rng(0)
    sounds, responses = draw.normal(size=(3, 500)).astype("float32"), draw.normal(size=(3, 77)).astype("float32")
    found = np.asarray(layers.convolved(sounds, responses))[:, : 500 + 76]
    wanted = np.stack([scipy.signal.convolve(a, b) for a, b in zip(sounds, responses, strict=True)])
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_room_dies_away_and_keeps_the_power():
    clicks = np.zeros((64, SAMPLES), "float32")
    clicks[:, 100] = 20_000
    heard = np.asarray(layers.RandomRoom(0.2, share=1.0, seed=3)(clicks))
    np.testing.assert_allclose(np.square(heard).sum(1), np.square(clicks).sum(1), rtol=1e-3)
    assert not np.abs(heard[:, :100]).max() > 0.1  # nothing sounds before the click
    times = []
    for one in heard:
        left = 10 * np.log10(np.cumsum(np.square(one[101:]).astype(float)[::-1])[::-1] + 1e-9)  # Schroeder 1965
        steep = np.flatnonzero(left < left[0] - 20)[0] / RATE * 3  # of 60 dB
        times.append(steep)
    low, high = spread(times)
    assert 0.015 < low < 0.06
    assert 0.15 < high < 0.22
    some = np.asarray(layers.RandomRoom(0.2, share=0.5, seed=3)(clicks))
    assert 16 < (some == clicks).all(1).sum() < 48


@pytest.mark.parametrize("shape", [(64, 50, 40), (64, 50, 40, 1)])
def test_masks_are_bands_and_stretches_up_to_their_share(shape):
    spectrograms = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = layers.SpectrogramMasks(bands=1, band=0.25, stretches=1, stretch=0.2, seed=1)
    changed = np.asarray(layer(spectrograms))
    masked = (changed != spectrograms).reshape(64, 50, 40)
    frames, bands = masked.all(2), masked.all(1)
    np.testing.assert_array_equal(masked, frames[:, :, None] | bands[:, None, :])
    assert frames.sum(1).max() <= 10 < 3 * frames.sum(1).mean()
    assert bands.sum(1).max() <= 10 < 3 * bands.sum(1).mean()
    assert (np.abs(np.diff(frames.astype(int), axis=1)).sum(1) <= 2).all()  # one stretch
    means = spectrograms.mean((1, 2))
    for one, mean, where in zip(changed, means, masked, strict=True):
        np.testing.assert_allclose(one.reshape(50, 40)[where], mean.item(), atol=1e-6)
    np.testing.assert_array_equal(layer(spectrograms, training=False), spectrograms)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.settings == layer.settings


def test_nothing_changes_outside_of_training():
    for layer in (
        layers.RandomShift(shift=0.1, speed=0.1),
        layers.RandomGain(6.0),
        layers.RandomNoise((5.0, 10.0)),
        layers.RandomRoom(0.1),
    ):
        np.testing.assert_array_equal(layer(BATCH, training=False), BATCH)
