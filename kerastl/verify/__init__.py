"""The exported file against the model it came from, on real data. Every disagreement raises; nothing is only logged.

The file is read and run here by other means than it was written with: operators and weights are counted anew, and
the whole split goes through the interpreter one example at a time, as it will on the phone.
"""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [member.name for member in pkgutil.iter_modules(__path__)],
    {
        "baseline": ["DistillationGain", "recovered_gap"],
        "answers": ["Outputs"],
        "predictions": ["predict_tflite", "score_tflite"],
        "selection": ["pareto_front", "select"],
        "layers": ["layer_errors"],
        "checks": [
            "FLOAT16",
            "FLOAT32",
            "INT4",
            "INT8",
            "LAYERS_INT4",
            "LAYERS_INT8",
            "LAYERS_OF_TRANSFORMERS",
            "LayerTolerance",
            "Tolerance",
            "VerificationError",
            "check",
            "check_layers",
        ],
    },
)


def __getattr__(name: str) -> Any:
    return _load(name)
