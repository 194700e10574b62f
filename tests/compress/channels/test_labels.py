from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress.channels.labels import Cut, Trace


def test_ties_are_those_of_a_graph_of_labels():
    """Against connected components found by multiplying a matrix of who is tied to whom."""
    draw = np.random.default_rng(0)
    trace = Trace()
    labels = trace.fresh(40)
    reached = np.eye(40, dtype=bool)
    for one, other in draw.integers(0, 40, (25, 2)):
        trace.tie(labels[one : one + 1], labels[other : other + 1])
        reached[one, other] = reached[other, one] = True
    for _ in range(6):
        reached = reached @ reached
    roots = trace.roots()
    np.testing.assert_array_equal(roots[:, None] == roots, reached)


def test_what_is_tied_to_the_untouchable_is_untouchable_and_the_first_reason_is_told():
    trace = Trace()
    one, other = trace.fresh(2), trace.fresh(2)
    trace.freeze(one[:1], "first")
    trace.tie(one, other)
    trace.freeze(other[:1], "second")
    assert trace.is_frozen(other[:1])
    assert not trace.is_frozen(one)
    assert set(trace.reasons.values()) == {"first"}
    late = trace.fresh(1)
    trace.tie(late, one[:1])  # the reason moves to whoever stands for all
    assert trace.is_frozen(late)
    assert trace.reasons == {trace.root(int(late[0])): "first"}
    trace.freeze_output(other)
    assert set(trace.reasons.values()) == {"they are an output of the model"}


def test_a_layer_makes_the_same_channels_in_every_call():
    trace = Trace(exclude=["den*"])
    dense = keras.layers.Dense(3, name="dense")
    np.testing.assert_array_equal(trace.makes(dense, 3), trace.makes(dense, 3))
    assert trace.is_frozen(trace.makes(dense, 3))
    trace.refuse_idle_patterns()
    idle = Trace(exclude=["conv*"])
    idle.makes(dense, 3)
    with pytest.raises(ValueError, match=r"Received: 'conv\*', which fits none of \['dense'\]"):
        idle.refuse_idle_patterns()


def test_weights_are_noted_by_their_place():
    dense = keras.layers.Dense(3, name="dense")
    dense.build((None, 2))
    trace = Trace()
    labels = trace.fresh(3)
    trace.cut(dense, dense.bias, Cut(0, labels, "out"))
    trace.cut(dense, None, Cut(0, labels, "out"))
    assert list(trace.cuts["dense"]) == [1]
