"""Which channels go, chosen over all layers at once until the model costs little enough; and the smaller model."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerastl.compress.channels import coupling, importance, rebuild
from kerastl.compress.channels.cost import Cost, products
from kerastl.compress.channels.coupling import Coupling
from kerastl.compress.channels.labels import Product
from kerastl.training import batching
from kerastl.types import Task

COSTS = ("multiply_adds", "parameters", "bytes")
CRITERIA = ("taylor", "outputs", "l1", "l2", "norm_scale")


class BeforeAfter(NamedTuple):
    """A number of the model as it was, and as it will be."""

    before: int
    after: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which channels go, and what becomes of the model.

    Attributes:
        removed: layer -> which of the channels that it makes go, in order; only layers that lose some.
        channels: layer -> channels that it makes, of every layer that makes some.
        multiply_adds: of one example; ``None`` for a model of pictures of any size.
        parameters: numbers in all weights.
        unprunable: layer -> why channels that it makes cannot be removed, and how many.
        uncounted: layers with kernels that are in none of the multiply-adds, because it is not known what they do.
    """

    removed: Mapping[str, tuple[int, ...]]
    channels: Mapping[str, BeforeAfter]
    multiply_adds: BeforeAfter | None
    parameters: BeforeAfter
    unprunable: Mapping[str, str]
    uncounted: tuple[str, ...] = ()


def plan(
    model: keras.Model,
    *,
    keep_ratio: float,
    cost: str = "multiply_adds",
    batches: Iterable[object] | None = None,
    task: Task | None = None,
    loss: importance.Loss | None = None,
    criterion: str | None = None,
    min_keep_ratio: float = 0.1,
    divisor: int = 8,
    exclude: Iterable[str] = (),
) -> Plan:
    """Chooses the channels that are missed least, over all layers at once, until the model costs little enough.

    Greedy: the next to go are always those channels of one family (those that share their layers) whose removal is
    missed least for what it saves, and what everything costs is counted anew after each step. The last step is the one
    that is missed least among those that reach the goal.

    Args:
        model: functional or Sequential, built; left as it is. Models inside it are seen through.
        keep_ratio: share of the cost that may stay, above 0 and at most 1.
        cost: ``"multiply_adds"``, ``"parameters"`` or ``"bytes"`` of the weights.
        batches: yields ``(inputs, labels)`` of training data, a hundred batches or so, for the first two criteria.
        task: what the model is asked, for these two; by default what the batches of ``data.pipeline`` are for, and else
            one of several classes an example.
        loss: of labels and outputs ``(batch,)``, for the first, in place of the task's; see `importance.taylor`.
        criterion: ``"taylor"`` (by default, where there are batches), ``"outputs"``, which needs no labels, ``"l1"``,
            ``"l2"`` (by default where there are no batches) or ``"norm_scale"``; see `importance`.
        min_keep_ratio: least share of its channels that every family keeps.
        divisor: numbers of channels that are left are multiples of this, or the old number: kernels work on so many
            at once, and the rest of a last few costs as much as all.
        exclude: patterns (``"stem*"``) of names of layers that keep all their channels.

    Raises:
        ValueError: for numbers out of range, unknown words, no batches where they are needed; for a cost that cannot be
            reached with what may be removed, naming the least that can; for multiply-adds of a model whose pictures may
            have any size.
    """
    if not 0 < keep_ratio <= 1 or not 0 < min_keep_ratio <= 1 or divisor < 1:
        raise ValueError(
            "Channel pruning needs `keep_ratio` and `min_keep_ratio` above 0 and at most 1, and a `divisor` of at "
            "least 1. "
            f"Received: keep_ratio={keep_ratio}, min_keep_ratio={min_keep_ratio}, divisor={divisor}."
        )
    criterion = criterion or ("l2" if batches is None else "taylor")
    of_data = criterion in ("taylor", "outputs")
    if cost not in COSTS or criterion not in CRITERIA or of_data != (batches is not None):
        raise ValueError(
            f"Wanted cost= one of {COSTS}, criterion= one of {CRITERIA}, and batches for the first two and no others. "
            f"Received: cost={cost!r}, criterion={criterion!r}, {'no ' * (batches is None)}batches."
        )
    flat = rebuild.rebuilt(model, {})
    found = coupling.coupled(flat, exclude=exclude)
    scores = _scores(flat, found, criterion=criterion, batches=batches, task=task, loss=loss)
    bill = Cost(products(flat, found, of=cost))
    # What data says has a unit, and can be paid for what it saves; the others are ranks within a family.
    _remove(found, bill, scores, keep=keep_ratio, of=cost, floor=min_keep_ratio, multiple=divisor, priced=of_data)
    return _planned(flat, found, bill.gone)


def apply(model: keras.Model, plan: Plan) -> keras.Model:
    """The smaller model: new, flat and functional, of the same layers' names, with the weights that stay.

    It answers as ``model`` would if the channels that go were zero, and if none go bitwise the same.

    Args:
        model: the one that was planned for, trained further or not; left as it is.
        plan: what `plan` gave.

    Raises:
        ValueError: if the plan is not of this model.
    """
    flat = rebuild.rebuilt(model, {})
    found = coupling.coupled(flat)
    received = {name: len(units) for name, units in found.made.items()}
    wanted = {name: count.before for name, count in plan.channels.items()}
    if received != wanted:
        differing = {name for name in received.keys() | wanted.keys() if received.get(name) != wanted.get(name)}
        raise ValueError(
            f"The plan is of a model with other layers or numbers of channels than {model.name!r}. Received: layers "
            f"{sorted(differing)[:5]}, of {[received.get(name) for name in sorted(differing)[:5]]} channels where the "
            f"plan has {[wanted.get(name) for name in sorted(differing)[:5]]}."
        )
    gone = {int(unit) for name, places in plan.removed.items() for unit in found.made[name][list(places)]}
    for name, units in found.made.items():
        places = tuple(np.flatnonzero(np.isin(units, list(gone))).tolist())
        frozen = [found.reasons[unit] for unit in units[list(places)].tolist() if unit in found.reasons]
        if places != tuple(plan.removed.get(name, ())) or frozen or len(places) == len(units):
            raise ValueError(
                f"The plan does not fit {model.name!r}: its layers tie channels otherwise. Received: for layer "
                f"{name!r} channels {list(plan.removed.get(name, ()))}, wanted {list(places)}. {' '.join(frozen[:1])}"
            )
    return rebuild.rebuilt(flat, _changes(flat, found, gone))


def multiply_adds(model: keras.Model) -> int:
    """Multiplications of one example's answer that are added up: of convolutions and dense layers, as papers count.

    Biases, batch norms (which are folded into kernels), activations and poolings are not counted, nor are layers that
    `rules` do not know; a plan names these as ``uncounted``.

    Raises:
        ValueError: no functional model, or one of pictures of any size.
    """
    flat = rebuild.rebuilt(model, {})
    return Cost(products(flat, coupling.coupled(flat), of="multiply_adds")).total


def _scores(
    flat: keras.Model,
    found: Coupling,
    *,
    criterion: str,
    batches: Iterable[object] | None,
    task: Task | None,
    loss: importance.Loss | None,
) -> np.ndarray:
    task = task or batching.task_of(batches)
    if criterion == "taylor" and batches is not None:
        return importance.taylor(flat, found, batches=batches, task=task, loss=loss)
    if criterion == "outputs" and batches is not None:
        return importance.outputs(flat, found, batches=batches, task=task)
    if criterion == "norm_scale":
        return importance.norm_scales(flat, found)
    return importance.magnitude(flat, found, order=int(criterion[1]))


def _remove(
    found: Coupling,
    cost: Cost,
    scores: np.ndarray,
    *,
    keep: float,
    of: str,
    floor: float,
    multiple: int,
    priced: bool,
) -> None:
    """Takes units away until the cost is reached. What is saved by a unit only ever falls, so its price only rises."""
    whole = cost.total
    if not whole:
        raise ValueError(
            f"Wanted a network with layers that cost {of.replace('_', '-')}. Received: none of which that is known; "
            "layers of a class of one's own are not looked into."
        )
    orders = [family[np.argsort(scores[family], kind="stable")] for family in found.families]
    orders = [order for order in orders if np.isfinite(scores[order]).all()]
    steps = [_step(found, order, multiple) for order in orders]
    starts = [0] * len(orders)

    def offer(index: int) -> tuple[float, int, list[int]] | None:
        order, step = orders[index], steps[index]
        left = len(order) - starts[index]
        after = left - (left % step or step)
        if after < max(1, math.ceil(floor * len(order))):
            return None
        units = order[starts[index] : starts[index] + left - after].tolist()
        saved = cost.saving(units)
        if saved <= 0:
            return None
        price = float(np.sum(scores[units])) / saved if priced else float(np.mean(scores[units]))
        return price, index, units

    heap = [offered for index in range(len(orders)) if (offered := offer(index))]
    heapq.heapify(heap)
    while cost.total > keep * whole:
        if not heap:
            words = of.replace("_", "-")
            reached = f"{cost.total / whole:.3f} of them" if cost.total < whole else "all of them"
            raise ValueError(
                f"Wanted a network with {keep:.3g} of the {words} ({whole:,}). Received: one that still has {reached} "
                f"when every channel is removed that may be. Ask for a larger keep_ratio (--keep-ratios) than "
                f"{keep:.3g}, a smaller divisor than {multiple}, or a smaller min_keep_ratio than {floor:g}. Of its "
                f"channels stay {_told(found)}"
            )
        price, index, units = heapq.heappop(heap)
        now = offer(index)
        if now is None or now[0] > price:  # it saves less by now than when it was offered
            if now is not None:
                heapq.heappush(heap, now)
            continue
        if cost.total - cost.saving(units) <= keep * whole:  # the last step: no more than has to be
            ends = [one for one in [offer(other) for other in range(len(orders))] if one is not None]
            ends = [one for one in ends if cost.total - cost.saving(one[2]) <= keep * whole]
            cost.remove(min(ends, key=lambda one: float(np.sum(scores[one[2]])))[2])
            return
        cost.remove(units)
        starts[index] += len(units)
        if (now := offer(index)) is not None:
            heapq.heappush(heap, now)


def _step(found: Coupling, family: np.ndarray, multiple: int) -> int:
    """How many units go at once, for layers to keep a multiple of channels; a unit may be several channels of one."""
    shares = [int(np.isin(units, family).sum()) // len(family) for units in found.made.values()]
    each = min(share for share in shares if share)
    return multiple // math.gcd(multiple, each)


def _told(found: Coupling) -> str:
    counts = Counter(found.reasons.values())
    return "; ".join(f"{count} because {why}" for why, count in counts.most_common(3)) + "." if counts else "none else."


def _planned(flat: keras.Model, found: Coupling, gone: set[int]) -> Plan:
    removed, channels, untouchable = {}, {}, {}
    for name, units in found.made.items():
        places = np.flatnonzero(np.isin(units, list(gone))).tolist()
        channels[name] = BeforeAfter(len(units), len(units) - len(places))
        if places:
            removed[name] = tuple(places)
        reasons = Counter(found.reasons[unit] for unit in units.tolist() if unit in found.reasons)
        if reasons:
            why = "; ".join(reasons)
            untouchable[name] = f"{sum(reasons.values())} of {len(units)} channels: {why}"
    read = {*found.cuts, *(item.layer for item in found.work)}
    kernels = (layer.name for layer in flat.layers if any(len(weight.shape) > 1 for weight in layer.weights))
    known = all(item.constant is not None for item in found.work)
    return Plan(
        removed=removed,
        channels=channels,
        multiply_adds=_shrunk(found.work, gone) if known else None,
        parameters=_shrunk(found.parameters, gone),
        unprunable=untouchable,
        uncounted=tuple(name for name in kernels if name not in read),
    )


def _shrunk(items: Sequence[Product], gone: set[int]) -> BeforeAfter:
    cost = Cost([(int(item.constant or 0), item.factors) for item in items])
    before = cost.total
    cost.remove(list(gone))
    return BeforeAfter(before, cost.total)


def _changes(flat: keras.Model, found: Coupling, gone: set[int]) -> dict[str, rebuild.Change]:
    """What becomes of each layer, of those that become anything else."""

    def kept(units: np.ndarray) -> np.ndarray:
        return np.flatnonzero(~np.isin(units, list(gone)))

    changes = {}
    for name in found.cuts.keys() | found.sizes.keys():
        settings: dict[str, Any] = {}
        for size in found.sizes.get(name, ()):
            left = len(kept(size.labels))
            if left == len(size.labels):
                continue
            if size.place is None:
                settings[size.key] = left
            else:
                shape = list(settings.get(size.key, flat.get_layer(name).get_config()[size.key]))
                shape[size.place] = left
                settings[size.key] = tuple(shape)
        cuts = {
            place: [(cut.axis, kept(cut.labels)) for cut in by_axis]
            for place, by_axis in found.cuts.get(name, {}).items()
        }
        changes[name] = rebuild.Change(settings, cuts)
    return changes
