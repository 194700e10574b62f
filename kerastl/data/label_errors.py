"""Labels that are probably wrong, by the answers of a first model.

Paper: Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels"
(https://arxiv.org/abs/1911.00068), section 3.1.
"""

from __future__ import annotations

import numpy as np


def find(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Indices of examples whose label is probably wrong, the most suspicious first.

    A class is answered with confidence where its probability reaches the mean that it has on its own examples. An
    example is suspicious if it is answered with confidence for another class, and more so than for its own label: then
    the model, which learnt from all the labels, found this one out of line. The order is by the margin between the two.

    Args:
        labels: class indices ``(examples,)`` as given.
        probabilities: ``(examples, classes)``, best from a model that did not train on the example, else from one that
            trained so briefly that it has not learnt single labels by heart.

    Raises:
        ValueError: if the shapes do not fit, or a label is no class index.
    """
    labels = np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "Wanted probabilities (examples, classes) and one label a row. Received: "
            f"{probabilities.shape} and {labels.shape}."
        )
    classes = probabilities.shape[1]
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"Labels have to lie in 0..{classes - 1}. Received: {labels.min()} to {labels.max()}.")
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    # a class without examples is never answered with confidence
    thresholds = np.where(counts > 0, np.bincount(labels, own, classes) / np.maximum(counts, 1), np.inf)
    # a hair below: the mean of equal numbers may be rounded above them
    confident = np.where(probabilities >= thresholds - 1e-6, probabilities, 0.0)
    confident[np.arange(len(labels)), labels] = 0.0
    other = confident.max(axis=1)
    suspicious = np.flatnonzero((other > 0) & (other > own))
    return suspicious[np.argsort(own[suspicious] - other[suspicious], kind="stable")]
