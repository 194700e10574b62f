"""What a stage keeps: a trained model, or a converted file, with its curves; or an array of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kerastl.export.tflite import Converted
    from kerastl.training import Trained


_ARRAY = "array.npy"


def save(result: Trained | Converted | np.ndarray, folder: Path) -> None:
    """Writes a trained model, a converted file or an array into the empty folder of its stage."""
    from kerastl.export import tflite
    from kerastl.training import fitting

    if isinstance(result, np.ndarray):
        np.save(folder / _ARRAY, result, allow_pickle=False)
    elif isinstance(result, tflite.Converted):
        tflite.save(result, folder)
    else:
        fitting.save(result, folder)


def load(folder: Path) -> Trained | Converted | np.ndarray:
    """Reads what `save` wrote."""
    from kerastl.export import tflite
    from kerastl.training import fitting

    if (folder / _ARRAY).is_file():
        return np.load(folder / _ARRAY, allow_pickle=False)
    return (tflite.load if (folder / "model.tflite").is_file() else fitting.load)(folder)
