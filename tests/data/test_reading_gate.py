from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
from PIL import Image

from kerastl.data import reading_gate

ENDS = """
import sys, numpy as np
from kerastl import types
from kerastl.data import decoding, pipeline
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
files = sys.argv[1:]
inputs = decoding.decode_all(files, size=(64, 64), channels=3, in_memory=0, cache_bytes=0).inputs
task = types.Task("ends", Image((64, 64, 3)), SingleLabel(("a", "b")))
split = types.Split("train", inputs, np.zeros(len(files), np.int32), task)
iterator = iter(pipeline.batches(split, batch_size=16))
next(iterator)
"""


def test_a_closed_gate_waits_for_who_is_inside_and_turns_others_away():
    gate, inside, ended = reading_gate.Gate(), threading.Event(), []

    def read():
        with gate as is_open:
            assert is_open
            inside.set()
            time.sleep(0.3)
            ended.append(time.monotonic())

    thread = threading.Thread(target=read)
    thread.start()
    inside.wait()
    gate.close()
    assert ended
    assert time.monotonic() - ended[0] >= gate._QUIET
    thread.join()
    with gate as is_open:
        assert not is_open


def test_the_interpreter_ends_while_an_iterator_reads_ahead(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    command = [sys.executable, "-c", ENDS, *[str(tmp_path / "a.png")] * 200]
    environment = os.environ | {"KERASTL_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=240)
    assert done.returncode == 0
