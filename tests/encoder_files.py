"""Folders of small encoders with random weights, as keras-hub and the Hugging Face hub write them."""

from __future__ import annotations

import json
import struct

import keras
import numpy as np

from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TOKENS = (*wordpiece.SPECIAL, *(f"word{n}" for n in range(45)))
TASK = Task("toy", Text(12, TOKENS), SingleLabel(("a", "b", "c")))
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 40}


def save_preset(folder, *, tokens=TOKENS, lowercase=True, backbone="BertBackbone", rows=50, **options) -> keras.Model:
    """A preset, saved by keras-hub itself."""
    import keras_hub  # takes seconds, and only presets need it

    keras.utils.set_random_seed(0)
    body = getattr(keras_hub.models, backbone)(vocabulary_size=rows, **SIZES, **options)
    for weight in body.weights:
        array = np.random.default_rng(weight.shape[0]).normal(0, 0.2, weight.shape)
        weight.assign(1 + np.abs(array) if weight.name == "gamma" else array)
    body.save_to_preset(str(folder))
    if tokens:
        keras_hub.models.BertTokenizer(vocabulary=list(tokens), lowercase=lowercase).save_to_preset(str(folder))
    return body


def write_safetensors(path, arrays):
    """Float arrays by their names (https://huggingface.co/docs/safetensors)."""
    header, content = {}, b""
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, "<f4")
        header[name] = {
            "dtype": "F32",
            "shape": array.shape,
            "data_offsets": [len(content), len(content) + array.nbytes],
        }
        content += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
