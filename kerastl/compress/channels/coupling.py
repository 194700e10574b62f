"""Which channels of a network stand or fall together.

Every channel of every tensor carries a label. A convolution makes new ones; what passes a channel on passes its label
on; a sum of two tensors ties the labels of both sides; a concatenation lays them behind one another. Channels whose
labels are tied are one unit: it is removed everywhere or nowhere. After DepGraph (Fang et al. 2023, "Towards Any
Structural Pruning", https://arxiv.org/abs/2301.12900), whose groups these are, with single channels as the nodes
instead of layers, so that no index has to be translated between a concatenation and what reads it.

What passes on what is written in `rules`. A layer that is not known there is no error: the channels it touches
are untouchable, and it is said which and why.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from kerastl.compress.channels import rules
from kerastl.compress.channels.labels import Channels, Cut, Product, Size, Trace


@dataclasses.dataclass(frozen=True, eq=False)
class Coupling:
    """The channels of a flat model, in units.

    Attributes:
        units: label -> its unit.
        count: how many units there are.
        made: layer -> labels of the channels that it makes.
        reasons: unit -> why it is untouchable.
        families: units made by the same layers, and which can be removed: a layer loses channels within one family.
        cuts: layer -> place of a weight among its weights -> the axes that are cut.
        sizes: layer -> entries of its configuration that count channels.
        work: multiply-adds of each call of a layer, one example at a time.
        parameters: numbers in each weight.
    """

    units: np.ndarray
    count: int
    made: Mapping[str, np.ndarray]
    reasons: Mapping[int, str]
    families: Sequence[np.ndarray]
    cuts: Mapping[str, Mapping[int, Sequence[Cut]]]
    sizes: Mapping[str, Sequence[Size]]
    work: Sequence[Product]
    parameters: Sequence[Product]


def coupled(flat: keras.Model, *, exclude: Iterable[str] = ()) -> Coupling:
    """Follows the channels through a flat functional model.

    Args:
        flat: no model inside it; see `rebuild.rebuilt`.
        exclude: patterns (``fnmatch``) of names of layers that are to keep all their channels.

    Raises:
        ValueError: for a pattern that no layer with channels of its own has.
    """
    trace = Trace(exclude)
    known: dict[int, Channels] = {}
    for tensor in flat.inputs:
        known[id(tensor)] = trace.untouchable(tensor.shape, "they are an input of the model")
    for depth in sorted(flat._nodes_by_depth, reverse=True):
        for node in flat._nodes_by_depth[depth]:
            if not node.is_input:
                results = rules.follow(trace, node, known)
                known.update((id(output), result) for output, result in zip(node.outputs, results, strict=True))
    for tensor in flat.outputs:
        trace.freeze_output(known[id(tensor)].labels)
    trace.refuse_idle_patterns()
    return _in_units(trace, flat)


def _in_units(trace: Trace, flat: keras.Model) -> Coupling:
    """Everything with units in the place of labels."""
    _, units = np.unique(trace.roots(), return_inverse=True)
    reasons = {int(units[root]): why for root, why in trace.reasons.items()}
    makers: dict[int, list[str]] = defaultdict(list)
    for name, labels in trace.made.items():
        for unit in np.unique(units[labels]).tolist():
            makers[unit].append(name)
    families: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for unit, names in makers.items():
        if unit not in reasons:
            families[tuple(names)].append(unit)
    cuts = {
        name: {place: [cut._replace(labels=units[cut.labels]) for cut in found] for place, found in by_place.items()}
        for name, by_place in trace.cuts.items()
    }
    parameters = [
        _parameters(layer.name, tuple(weight.shape), cuts.get(layer.name, {}).get(place, ()))
        for layer in flat.layers
        for place, weight in enumerate(layer.weights)
    ]
    return Coupling(
        units=units,
        count=int(units.max(initial=-1)) + 1,
        made={name: units[labels] for name, labels in trace.made.items()},
        reasons=reasons,
        families=[np.array(sorted(family)) for family in families.values()],
        cuts=cuts,
        sizes={
            name: [size._replace(labels=units[size.labels]) for size in found.values()]
            for name, found in trace.sizes.items()
        },
        work=[item._replace(factors=tuple(units[labels] for labels in item.factors)) for item in trace.work],
        parameters=parameters,
    )


def _parameters(layer: str, shape: tuple[int, ...], cuts: Sequence[Cut]) -> Product:
    axes = {cut.axis % len(shape) for cut in cuts}
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    return Product(layer, int(np.prod(rest, dtype=int)), tuple(cut.labels for cut in cuts))
