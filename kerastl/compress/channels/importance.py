"""How much a network would miss each unit of channels, as one number a unit; see `coupling` for units.

What is removed with a unit are the slices of kernels that read it: without them the network computes what it would
compute if the channels were zero. That is why Taylor's expansion is taken there and nowhere else: summing it over
every weight of a unit would count one and the same change several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.compress.channels.coupling import Coupling
from kerastl.system import layer_graph, memory
from kerastl.types import Task

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | keras.losses.Loss
"""Takes labels and outputs, returns ``(batch,)``."""


def magnitude(flat: keras.Model, coupling: Coupling, *, order: int) -> np.ndarray:
    """Size of the weights of each unit, as a multiple of what is usual in its family.

    Every weight that is cut counts, those that make the channels and those that read them (Fang et al. 2023, see
    `coupling`). By order 1 after Li et al. 2017, "Pruning filters for efficient ConvNets" (https://arxiv.org/abs/1608.08710).

    Args:
        flat: the model of which ``coupling`` is.
        coupling: its units.
        order: 1 for sums of absolute values, 2 for Euclidean norms.

    Returns:
        ``(units,)``; 1 is the mean of a family.
    """
    sums = np.zeros(coupling.count)
    for name, by_place in coupling.cuts.items():
        weights = flat.get_layer(name).weights
        for place, cuts in by_place.items():
            if weights[place].name.startswith("moving_"):  # statistics of what came in
                continue
            powers = np.abs(_array(weights[place])) ** order
            for cut in cuts:
                np.add.at(sums, cut.labels, _along(powers, cut.axis))
    return _by_family(sums ** (1 / order), coupling)


def norm_scales(flat: keras.Model, coupling: Coupling) -> np.ndarray:
    """Absolute scale of the batch norms that each unit passes (Liu et al. 2017, https://arxiv.org/abs/1708.06519).

    Returns:
        ``(units,)``; 1 is the mean of a family. NaN for units that pass no batch norm with a scale.
    """
    sums, counts = np.zeros(coupling.count), np.zeros(coupling.count)
    for name, by_place in coupling.cuts.items():
        layer = flat.get_layer(name)
        for place, cuts in by_place.items():
            if isinstance(layer, keras.layers.BatchNormalization) and layer.weights[place] is layer.gamma:
                np.add.at(sums, cuts[0].labels, np.abs(_array(layer.gamma)))
                np.add.at(counts, cuts[0].labels, 1)
    with np.errstate(invalid="ignore"):
        return _by_family(sums / counts, coupling)


def taylor(
    flat: keras.Model,
    coupling: Coupling,
    *,
    batches: Iterable[object],
    task: Task | None = None,
    loss: Loss | None = None,
) -> np.ndarray:
    """How far each example's loss would move without each unit, to first order: squared and averaged.

    For one example the change is the sum of gradient times weight over the slices that read the unit: the derivative
    by a gate on its channels (Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", section
    3, https://arxiv.org/abs/1906.10771). Where a network has learnt its examples by heart all of these are near 0,
    and `outputs` tells more.

    Args:
        flat: the model of which ``coupling`` is; runs in inference mode and is left as it is.
        coupling: its units.
        batches: yields ``(inputs, labels)``.
        task: what the model is asked, whose loss it is by default; without one the cross-entropy of logits.
        loss: of labels and outputs, ``(batch,)``. One that gives the mean of a batch is squared by batches, in which
            examples that pull both ways cancel.

    Returns:
        ``(units,)``, in squares of the loss: comparable from layer to layer as it is.

    Raises:
        ValueError: if there is no batch, a score is not finite, or labels are no indices of classes and neither a task
            nor a loss says what they are.
    """
    chosen = loss or (_cross_entropy if task is None else _by_example(task, flat))

    def value(labels: tf.Tensor, answers: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        losses = tf.cast(chosen(labels, answers), tf.float32)
        if not len(losses.shape):  # a mean: its square counts for every example of the batch
            return losses * tf.sqrt(tf.cast(tf.shape(keras.tree.flatten(answers)[0])[0], tf.float32))
        return tf.reduce_mean(tf.reshape(losses, [tf.shape(losses)[0], -1]), -1) * _signs(tf.shape(losses)[:1], seed)

    return _squared(flat, coupling, batches=batches, value=value)


def outputs(
    flat: keras.Model, coupling: Coupling, *, batches: Iterable[object], task: Task | None = None
) -> np.ndarray:
    """How far each example's outputs would move without each unit, to first order: squared, summed and averaged.

    The same gates as in `taylor`, with what the network says in the place of its loss: no label is asked for, and it
    does not vanish where the network is sure of itself. What moves all outputs alike does not count where answers are
    their softmax, for it moves no probability. This is the diagonal of the Gauss-Newton matrix of the squared distance
    between the outputs, with and without a unit (after LeCun et al. 1990, "Optimal brain damage").

    Args:
        flat, coupling: as in `taylor`.
        batches: yields inputs, or ``(inputs, labels)``, of which only the inputs count.
        task: what the model is asked, in whose units outputs are compared, see `types.Target.standardized`; without
            one they are taken for logits of classes, one an example.

    Returns:
        ``(units,)``, in squares of the outputs: comparable from layer to layer as it is.

    Raises:
        ValueError: if there is no batch, or a score is not finite.
    """
    shared = task is None or task.target.served_activation() == "softmax"

    def value(labels: tf.Tensor, answers: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        projected = []
        if task is not None:
            answers = task.target.standardized(layer_graph.outputs_by_name(flat, answers))
        for number, answer in enumerate(keras.tree.flatten(answers)):
            signs = _signs(tf.shape(answer), tf.add(seed, [0, number]))
            if shared and answer.shape[-1] != 1:
                signs -= tf.reduce_mean(signs, -1, keepdims=True)
            projected.append(tf.reduce_sum(tf.cast(answer, tf.float32) * signs))
        return tf.add_n(projected)

    return _squared(flat, coupling, batches=batches, value=value)


def _squared(
    flat: keras.Model,
    coupling: Coupling,
    *,
    batches: Iterable[object],
    value: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
) -> np.ndarray:
    """The mean over examples of the squared derivatives of a value by a gate on each unit.

    One backward pass a batch: what is summed over it has random signs, so that in the square of the sum the products
    of two examples drop out on average, and the squares of each stay (Hutchinson 1990).
    """
    readers = [
        (flat.get_layer(name).weights[place], cut)
        for name, by_place in coupling.cuts.items()
        for place, cuts in by_place.items()
        for cut in cuts
        if cut.side == "in"
    ]
    variables = [weight.value for weight, _ in readers]

    @tf.function(reduce_retracing=True, autograph=False)
    def changes(inputs, labels, seed):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            total = tf.reduce_sum(value(labels, flat(inputs, training=False), seed))
        gradients = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        moved = [tf.cast(gradient * weight, tf.float32) for gradient, weight in zip(gradients, variables, strict=True)]
        return [
            tf.reduce_sum(one, [axis for axis in range(len(one.shape)) if axis != cut.axis % len(one.shape)])
            for one, (_, cut) in zip(moved, readers, strict=True)
        ]

    squares, count, examples = np.zeros(coupling.count), 0, 0
    with memory.release_graphs():
        for batch in batches:
            inputs, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
            change = np.zeros(coupling.count)
            for (_, cut), one in zip(readers, changes(inputs, labels, tf.constant([count, 0])), strict=True):
                np.add.at(change, cut.labels, one.numpy())
            squares, count = squares + change**2, count + 1
            examples += int(keras.tree.flatten(inputs)[0].shape[0])
    if not count or not np.isfinite(squares).all():
        raise ValueError(
            f"Importance needs batches with finite answers. Received: {count} batches, "
            f"{int((~np.isfinite(squares)).sum())} of {coupling.count} scores not finite."
        )
    return squares / examples


def _signs(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """-1 and 1 at random, the same for the same seed ``(2,)``."""
    return tf.cast(2 * tf.random.stateless_uniform(shape, seed, 0, 2, tf.int32) - 1, tf.float32)


def _by_example(task: Task, flat: keras.Model) -> Callable[[Any, Any], tf.Tensor]:
    """The loss of a task, one value an example; of several outputs their sum."""
    found = task.target.loss()
    losses = list(found.values()) if isinstance(found, Mapping) else [found]
    for loss in losses:
        loss.reduction = None
    if not isinstance(found, Mapping):
        return found

    def several(labels: Mapping[str, tf.Tensor], answers: Any) -> tf.Tensor:
        given = layer_graph.outputs_by_name(flat, answers)
        return tf.add_n([loss(labels[name], given[name]) for name, loss in found.items()])

    return several


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    if not tf.as_dtype(labels.dtype).is_integer:
        raise ValueError(
            "Labels are taken for indices of classes where nothing else is said: of others say task=, or loss=. "
            f"Received: labels of {labels.dtype}."
        )
    logits = tf.cast(logits, tf.float32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)


def _array(weight: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight).astype("float64")


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    """Sums over all axes but one."""
    return values.sum(tuple(other for other in range(values.ndim) if other != axis % values.ndim))


def _by_family(scores: np.ndarray, coupling: Coupling) -> np.ndarray:
    """What stands in layers of differing size and depth is made comparable: scores as multiples of their mean."""
    scores = scores.copy()
    for family in coupling.families:
        scores[family] /= max(float(np.mean(scores[family])), np.finfo(float).tiny) or 1.0
    return scores
