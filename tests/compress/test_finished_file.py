from __future__ import annotations

import numpy as np
import pytest

from kerastl import verify
from kerastl.compress import finished_file, ptq
from kerastl.export import final_guard
from kerastl.inputs.image import Image
from tests.compress.test_ptq import PICTURES, convert, keras

PIXELS = Image((8, 8, 1))
HIDDEN, LOGITS = "hidden", "logits"


def scaled(model, **factors) -> bytes:
    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    for name, factor in factors.items():
        kernel, bias = changed.get_layer(name).get_weights()
        changed.get_layer(name).set_weights([kernel * factor, bias])
    return convert(changed)


CHANNEL = np.where(np.arange(64) < 40, 1e-9, 1.0)


def test_a_kernel_that_half_precision_cannot_hold_stays_as_it_is(model):
    """Numbers beyond 65,504 in the first kernel, and a second one that half precision still holds."""
    file = scaled(model, **{HIDDEN: 1e6, LOGITS: 1e-3})
    wanted, small = verify.predict_tflite(file, PICTURES), ptq.float16(file)
    assert np.abs(verify.predict_tflite(small, PICTURES) - wanted).max() < 2e-3 * np.abs(wanted).max()
    assert len(ptq.float16(scaled(model))) < len(small) < len(file)


@pytest.mark.parametrize(
    ("factors", "sizes"),
    [
        ({HIDDEN: 1e-9, LOGITS: 1e8}, r"2\.97e-14 to 2\.16e-10"),  # too small, and too large
        ({HIDDEN: 1e6, LOGITS: 1e-6}, r"29\.7 to 2\.16e\+05"),  # too large for what it is divided by
        ({HIDDEN: CHANNEL, LOGITS: 1 / CHANNEL[:, None] / 1e4}, r"2\.97e-14 to 0\.216"),  # channels that count
    ],
    ids=["too small", "too large", "too small a channel"],
)
def test_a_file_of_which_half_precision_holds_no_kernel_is_refused(model, factors, sizes):
    with pytest.raises(ValueError, match=rf"of which it holds no kernel, first that of .*, .* of sizes {sizes};"):
        ptq.float16(scaled(model, **factors))


def test_a_dead_channel_costs_no_kernel_its_half(model):
    decayed = scaled(model, **{HIDDEN: np.where(np.arange(64) == 3, 1e-20, 1.0)})
    assert len(ptq.float16(decayed)) == len(ptq.float16(scaled(model)))


def test_a_file_is_compared_on_examples_on_noise_of_their_kind_or_on_any(model, monkeypatch):
    file, seen = scaled(model), []
    monkeypatch.setattr(
        final_guard, "fault", lambda *_, probes, **__: seen.append(np.concatenate([p[0] for p in probes]))
    )
    ptq.dynamic_int8(file, examples=PICTURES, inputs=PIXELS)
    ptq.dynamic_int8(file, inputs=PIXELS)
    ptq.dynamic_int8(file)
    examples, pixels, anything = seen
    assert all((one == PICTURES).all((1, 2, 3)).any() for one in examples)
    assert len(examples) == 8
    assert (pixels == np.rint(pixels)).all()
    assert pixels.max() > 200
    assert anything.min() < -1


def test_another_network_is_refused(model):
    file, other = scaled(model), scaled(model, hidden=-1.0)
    claim = final_guard.Claim(error=0.5)
    assert finished_file.handed_out(file, file, claim, examples=PICTURES, inputs=PIXELS) == file
    with pytest.raises(
        ValueError, match=r"Wanted a file that answers like the float file.* Received: one whose answers"
    ):
        finished_file.handed_out(other, file, claim, examples=PICTURES, inputs=PIXELS)
