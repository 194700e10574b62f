from __future__ import annotations

import keras
import numpy as np
from litert_quantizer.utils import progress_utils

from kerastl.compress import ptq
from kerastl.export import tflite
from kerastl.inputs.image import Image


def test_the_quantizer_draws_no_bar_and_warns_of_nothing(monkeypatch, recwarn):
    """One of its steps shows a bar for every large file, also where all others were told not to."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    file = tflite.convert(keras.Model(image, keras.layers.Conv2D(6, 3, name="conv")(image)))
    drawn = []

    class Bar(progress_utils.ProgressBar):
        def __init__(self, *words, enable=None, **options):
            drawn.append(enable)
            super().__init__(*words, enable=enable, **options)

    monkeypatch.setattr(progress_utils, "ProgressBar", Bar)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    ptq.static_int8(file, calibration=pictures, inputs=Image((8, 8, 1)))
    assert len(drawn) >= 3, "calibrated, measured, written"
    assert set(drawn) == {False}
    assert progress_utils.ProgressBar is Bar
    assert not [str(one.message) for one in recwarn if "preserve_all_tensors" in str(one.message)]
