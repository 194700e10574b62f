"""What a stage keeps: a trained model, or a converted file, with its curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerastl.export.tflite import Converted
    from kerastl.training import Trained


def save(result: Trained | Converted, folder: Path) -> None:
    """Writes a trained model, or a converted file, into the empty folder of its stage."""
    from kerastl.export import tflite
    from kerastl.training import fitting

    if isinstance(result, tflite.Converted):
        tflite.save(result, folder)
    else:
        fitting.save(result, folder)


def load(folder: Path) -> Trained | Converted:
    """Reads what `save` wrote."""
    from kerastl.export import tflite
    from kerastl.training import fitting

    return (tflite.load if (folder / "model.tflite").is_file() else fitting.load)(folder)
