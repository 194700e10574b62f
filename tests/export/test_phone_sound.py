"""The page of a bundle that hears: its Python runs word by word and answers as the file does."""

import re

import keras
import numpy as np
import pytest
import soundfile

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import phone_sound, tflite
from kerastl.inputs.waveform import Waveform
from kerastl.models import heads
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("words", Waveform(400, 8000), SingleLabel(("no", "yes")))


@pytest.mark.parametrize("integer", [False, True])
def test_the_python_of_the_page_runs_and_answers_as_the_file(tmp_path, monkeypatch, integer):
    samples = keras.Input((400,), name="waveform")
    model = keras.Model(samples, heads.outputs(heads.standardized(samples, TASK), TASK), name="words")
    content = tflite.write(model, tmp_path / "written.tflite", TASK)
    clips = TASK.inputs.noise(40).astype("int16")
    if integer:
        content = ptq.static_int8(content, calibration=clips, inputs=TASK.inputs)
    (tmp_path / "model.tflite").write_bytes(content)
    (python,) = re.findall(r"```python\n(.*?)```", phone_sound.PAGE, re.DOTALL)
    python = python.format(rate=8000, length=400, output_name="probabilities", answer="")
    monkeypatch.chdir(tmp_path)
    for count in (400, 300):
        soundfile.write("recording.wav", clips[0, :count], 8000)
        said: dict = {}
        exec(python, said)
        heard = np.pad(clips[:1, :count], ((0, 0), (0, 400 - count)))
        np.testing.assert_allclose(
            said["probabilities"], verify.predictions.predict_tflite(content, heard, kind=TASK.inputs)[0], atol=1e-6
        )
