"""Training: Keras' fit with guards, what watches over it, exact resume, number formats, transfer learning."""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [member.name for member in pkgutil.iter_modules(__path__)],
    {
        "fitting": [
            "Trained",
            "class_weights",
            "fit",
            "load",
            "load_model",
            "predict",
            "save",
            "save_model",
            "set_seed",
            "warmup_cosine",
        ],
        "seeded": ["train"],
    },
)


def __getattr__(name: str) -> Any:
    return _load(name)
