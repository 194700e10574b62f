"""Run folders: stages and their store, checkpoints, publishing, the report and its page."""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [member.name for member in pkgutil.iter_modules(__path__)],
    {
        "acceptance": ["Acceptance"],
        "calibrating": ["calibrated"],
        "candidates": ["TECHNIQUES", "Baseline", "Candidate", "Technique", "attempt", "post_training"],
        "clustering": ["clustered"],
        "group_balance": ["balanced_by_group"],
        "few_labels": ["FewLabels", "SelfTraining"],
        "model_selection": ["Selection", "best_on_validation"],
        "publishing": ["publish"],
        "quantization": ["quantization_aware"],
        "sentences": ["FineTuning"],
        "store": ["Run", "check_backend"],
    },
)


def __getattr__(name: str) -> Any:
    return _load(name)
