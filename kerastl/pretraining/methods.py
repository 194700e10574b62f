"""Two-view methods by name: what each objective needs beside an encoder, and where its collapse would show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerastl.distil import schedules
from kerastl.pretraining import barlow_twins, byol, collapse, dino, neighbour_score, simclr, simcse, vicreg
from kerastl.pretraining.two_views import TwoViews
from kerastl.system import near_names
from kerastl.types import Split

_LOSSES = {
    "simclr": simclr.loss,
    "barlow_twins": barlow_twins.loss,
    "vicreg": vicreg.loss,
    "byol": byol.loss,
    "dino": dino.loss,
    "simcse": simcse.loss,
}
NAMES = tuple(_LOSSES)
_WITH_TARGET = ("byol", "dino")


def network(
    name: str,
    encoder: keras.Model,
    *,
    augment: Callable[..., Any] | None,
    steps: int,
    width: int = 128,
    hidden: int = 512,
) -> TwoViews:
    """The model that trains an encoder by the method of that name.

    Args:
        name: one of `NAMES`; all but ``"simcse"`` are of pictures.
        encoder, augment: see `TwoViews`.
        steps: of the training, over which the decay of a moving average goes from 0.996 to 1, as in the papers.
        width: of the embeddings that are compared.
        hidden: units of the projector's middle layer, and of BYOL's predictor.

    Raises:
        ValueError: there is no such method; or as `TwoViews`.
    """
    if name not in _LOSSES:
        raise ValueError(
            f"Wanted a method of two views. Received: {name!r}.{near_names.did_you_mean(name, NAMES)} Available: "
            f"{', '.join(NAMES)}."
        )
    options: dict[str, Any] = {}
    if name in _WITH_TARGET:
        options["target_decay"] = schedules.cosine(0.996, 1.0, steps=steps)
    if name == "byol":
        options["predictor"] = byol.predictor(width, hidden=hidden)
    if name == "dino":
        options["center_momentum"] = 0.9
    made = projector(encoder.output_shape[-1], width, hidden=hidden)
    return TwoViews(encoder, projector=made, augment=augment, objective=_LOSSES[name], name=name, **options)


def projector(features: int, width: int = 128, *, hidden: int = 512) -> keras.Model:
    """What stands between features and objective while pretraining, and is thrown away: a layer, a ReLU, a layer.

    Features behind it know less of labels than those before it, by more than ten points in Chen et al. 2020, "A Simple
    Framework for Contrastive Learning of Visual Representations", section 4.2. The batch normalization between the two
    layers is that of their code.

    Args:
        features: width of the encoder's output.
        width: of the embeddings.
        hidden: units of the layer between.

    Raises:
        ValueError: there is no unit.
    """
    if min(features, width, hidden) < 1:
        raise ValueError(
            f"A projector has a unit or more in every layer. Received: features={features}, width={width}, "
            f"hidden={hidden}."
        )
    vector = keras.Input((features,), name="features")
    x = keras.layers.Dense(hidden, use_bias=False, name="hidden")(vector)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(momentum=0.9, name="norm")(x))
    return keras.Model(vector, keras.layers.Dense(width, dtype="float32", name="embedding")(x), name="projector")


def guard(model: TwoViews, inputs: np.ndarray, **options: Any) -> collapse.CollapseGuard:
    """A guard that looks where the collapse of this model's method shows.

    Of DINO these are its probabilities; VICReg's embeddings may shrink to a point, for its objective knows of scale.

    Args:
        model: as `network` makes it.
        inputs: examples that differ, from the training data; 256 give a rank that is steady.
        options: further ones of `collapse.CollapseGuard`.

    Raises:
        ValueError: as `collapse.CollapseGuard`.
    """

    def embed(some: np.ndarray) -> Any:
        found = model.embed(keras.ops.convert_to_tensor(some, model.encoder.inputs[0].dtype))
        return found if model.center is None else dino.probabilities(found, center=model.center.value)

    limits = collapse.Limits(deviation=0.1) if model.objective is vicreg.loss else None
    return collapse.CollapseGuard(inputs, **{"embed": embed, "limits": limits, **options})


def watchers(
    model: TwoViews, pictures: Split, known: Split | None = None, held: Split | None = None
) -> list[keras.callbacks.Callback]:
    """What watches over a pretraining: the `guard`, and where there are labels the score of neighbours.

    Args:
        model: as `network` makes it.
        pictures: that it learns from.
        known, held: examples with class indices, whose labels vote, and that are voted on: a thousand of them.
    """
    return [guard(model, _read(pictures.take(256))), *scores(known, held)]


def scores(known: Split | None, held: Split | None) -> list[keras.callbacks.Callback]:
    """The score of neighbours after every epoch, where there are labels; of any model of this room.

    Args:
        known, held: as for `watchers`.
    """
    if known is None or held is None:
        return []
    some, asked = known.take(5000), held.take(1000)
    labels: tuple[Any, Any] = (some.labels, asked.labels)
    return [neighbour_score.NeighbourScore(_read(some), labels[0], inputs=_read(asked), actual=labels[1])]


def _read(split: Split) -> np.ndarray:
    """The examples of the one input; what is lazy is read here."""
    inputs: Any = split.inputs
    return np.asarray(inputs[:])
