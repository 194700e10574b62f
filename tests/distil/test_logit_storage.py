"""Stored logits against probabilities that are worked out one example at a time."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.distil import logit_storage


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 4, (40, 12)).astype(np.float32)


def numpy_softmax(logits, temperature):
    powers = np.exp(logits.astype(np.float64) / temperature)
    return powers / powers.sum()


def test_float16_rounds_and_nothing_else(logits):
    stored = logit_storage.encoded(logits, kind=logit_storage.kind_of("float16", classes=12))
    assert stored.nbytes == 2 * logits.size
    np.testing.assert_array_equal(
        logit_storage.decoded(stored, classes=12), logits.astype(np.float16).astype(np.float32)
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("top", [1, 3, 11])
def test_the_likeliest_keep_their_probability_and_the_others_share_theirs(logits, top, temperature):
    kind = logit_storage.kind_of("top_k", classes=12, top=top)
    stored = logit_storage.encoded(logits, kind=kind, temperature=temperature)
    assert stored.nbytes == 40 * (4 * top + 2)
    found = logit_storage.decoded(stored, classes=12)
    for row, answer in zip(logits, found, strict=True):
        wanted = numpy_softmax(row, temperature)
        likeliest = sorted(range(12), key=lambda index: -row[index])[:top]
        others = [index for index in range(12) if index not in likeliest]
        wanted[others] = (1 - wanted[likeliest].sum()) / len(others)
        # float16 has 11 bits: logits of up to 16 are off by up to 2**-7
        np.testing.assert_allclose(numpy_softmax(answer, temperature), wanted, rtol=0.02, atol=1e-6)


def test_the_rest_is_right_at_the_temperature_that_was_named(logits):
    """At another one the flattened others no longer have the probability that they had."""
    kind = logit_storage.kind_of("top_k", classes=12, top=2)
    apart = []
    for temperature in (1.0, 4.0):
        found = logit_storage.decoded(logit_storage.encoded(logits, kind=kind, temperature=temperature), classes=12)
        pairs = [
            (numpy_softmax(row, 4.0), numpy_softmax(answer, 4.0)) for row, answer in zip(logits, found, strict=True)
        ]
        apart.append(max(abs(np.sort(one)[-2:].sum() - np.sort(other)[-2:].sum()) for one, other in pairs))
    assert apart[1] < 0.005
    assert apart[0] > 0.02


def test_of_equal_logits_the_first_are_kept_and_many_classes_have_room():
    kind = logit_storage.kind_of("top_k", classes=70_000, top=2)
    logits = np.zeros((1, 70_000), np.float32)
    logits[0, 69_999] = 3
    stored = logit_storage.encoded(logits, kind=kind)
    assert stored["classes"].tolist() == [[69_999, 0]]
    assert logit_storage.decoded(stored, classes=70_000)[0, -1] == 3


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -70_000.0])
@pytest.mark.parametrize("options", [("float16", None), ("top_k", 3)])
def test_refuses_what_float16_cannot_hold(logits, wrong, options):
    logits[7, 2] = wrong
    kind = logit_storage.kind_of(options[0], classes=12, top=options[1])
    with pytest.raises(ValueError, match=r"finite, and at most 65,504 of size\. Received"):
        logit_storage.encoded(logits, kind=kind)


@pytest.mark.parametrize("options", [("float16", 3), ("top_k", None), ("top_k", 0), ("top_k", 12), ("float8", None)])
def test_refuses_what_does_not_go_together(options):
    with pytest.raises(ValueError, match=r"`top` from 1 to 11\. Received: storage="):
        logit_storage.kind_of(options[0], classes=12, top=options[1])
