"""What a run imports on its way, imported before children are forked: each of them would spend a second on it again."""

from __future__ import annotations

import importlib

ON_THE_WAY = (
    "kerastl.cli.running",
    "kerastl.data.pipeline",
    "kerastl.distil.distiller",
    "kerastl.inputs.augmentation",
    "kerastl.runs.publishing",
    "matplotlib.backends.backend_agg",
    "tensorboard.plugins.scalar.summary_v2",
    "tyro",
)
"""Modules that import the others; none of them runs an operation of TensorFlow's, whose threads no fork takes along."""


def preload() -> None:
    """Imports them. Raises `ModuleNotFoundError` where one has another name by now: nothing would be gained."""
    for name in ON_THE_WAY:
        importlib.import_module(name)
