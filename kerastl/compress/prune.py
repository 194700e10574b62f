"""Magnitude pruning while training: TF-MOT's own masks on the variables of a Keras 3 model.

TF-MOT refuses Keras 3 models, but its mask code works on plain variables. A callback therefore needs no wrapped layers
and no bridge, and it works under every ``train_step``: pruning and distilling combine.

Paper: Zhu & Gupta 2017, "To prune, or not to prune" (https://arxiv.org/abs/1710.01878).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl, pruning_schedule

_SLACK = 0.005  # a kernel keeps whole numbers of weights, and weights tied with the cut-off are kept


class Schedule(pruning_schedule.PolynomialDecay):
    """Zhu & Gupta's cubic schedule, which also prunes at ``end_step`` itself.

    TF-MOT prunes only every ``frequency`` steps counted from ``begin_step``, so it stops short of its target whenever
    the span is no multiple of the frequency.
    """

    def __call__(self, step):
        """``(should_prune, sparsity)`` at ``step``, as scalar tensors."""
        should_prune, sparsity = super().__call__(step)
        return tf.logical_or(should_prune, tf.equal(step, self.end_step)), sparsity


class Prune(keras.callbacks.Callback):
    """Drives the kernels of a network to a sparsity while it trains.

    After ``n`` training steps, ``begin_step <= n <= end_step``, a kernel has the sparsity
    ``sparsity + (initial_sparsity - sparsity) * (1 - (n - begin_step) / (end_step - begin_step)) ** 3``, renewed every
    ``frequency`` steps and at ``end_step``. The smallest magnitudes of each kernel go. Masks are applied after every
    step, so that validation and checkpoints see the pruned network, and again when training ends.

    Args:
        sparsity: share of zeros wanted in every pruned kernel, 0 < sparsity < 1.
        begin_step, end_step: first and last step at which masks are renewed, counted over all calls of ``fit``.
        frequency: training steps between two renewals.
        initial_sparsity: share of zeros at ``begin_step``.
        layers: names of the layers to prune, or what several end in: ``"block_1_attention/query"`` or ``"query"``;
            ``None`` takes every Conv2D, the pointwise half of every SeparableConv2D, the four kernels of every
            attention, and every Dense but the last (the logits: few weights, and the score feels each of them).
        model: the network whose kernels are pruned, when ``fit`` is called on something around it (a distiller).

    Raises:
        ValueError: for numbers out of range; for unknown layer names; before training, when the steps there are cannot
            reach ``end_step`` (TF-MOT would prune nothing and say nothing), their number is unknown, or several steps
            run in one execution; after training, when the sparsity was not reached.
    """

    def __init__(
        self,
        *,
        sparsity: float,
        begin_step: int,
        end_step: int,
        frequency: int,
        initial_sparsity: float = 0.0,
        layers: Sequence[str] | None = None,
        model: keras.Model | None = None,
    ):
        super().__init__()
        if not 0.0 <= initial_sparsity <= sparsity < 1.0 or sparsity == 0.0:
            raise ValueError(
                "Pruning needs 0 <= initial_sparsity <= sparsity < 1 and a sparsity above 0. "
                f"Received: initial_sparsity={initial_sparsity}, sparsity={sparsity}."
            )
        if not 0 <= begin_step < end_step or frequency < 1:
            raise ValueError(
                "Pruning needs 0 <= begin_step < end_step and a frequency of at least 1. "
                f"Received: begin_step={begin_step}, end_step={end_step}, frequency={frequency}."
            )
        self.sparsity, self.end_step = sparsity, end_step
        self.layers = layers
        self.network = model
        self.schedule = Schedule(initial_sparsity, sparsity, begin_step, end_step, power=3, frequency=frequency)
        self._apply_masks: Callable | None = None
        self._steps = 0

    def on_train_begin(self, logs=None) -> None:
        """Refuses a run that is too short, then prunes for the first time if ``begin_step`` is 0."""
        network = self.network if self.network is not None else self.model
        self._refuse_short_run()
        if self._apply_masks is None:
            self._build([kernel for _, kernel in kernels(network, layers=self.layers)])
        self._mask()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Renews the masks if it is their turn, and applies them."""
        self._steps += 1
        self._step.assign_add(1)
        self._mask()

    def on_train_end(self, logs=None) -> None:
        """Applies the masks once more (an averaging optimizer has just replaced weights) and checks the sparsity."""
        self._mask()
        network = self.network if self.network is not None else self.model
        reached = achieved(network, layers=self.layers)
        if self._steps < self.end_step or reached < self.sparsity - _SLACK:
            raise ValueError(
                f"Pruning wanted a sparsity of {self.sparsity} at step {self.end_step}. Received: a sparsity of "
                f"{reached:.4f} when training ended after step {self._steps}. Stopped early, or are weights tied?"
            )

    def get_state(self) -> dict[str, Any]:
        """Steps done and the masks with their thresholds, for a checkpoint."""
        masks = [np.asarray(variable) for row in self._rows for variable in row[1:]]
        return {"steps": self._steps, "masks": masks}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what ``get_state`` gave; training has begun."""
        self._steps = state["steps"]
        self._step.assign(self._steps)
        variables = [variable for row in self._rows for variable in row[1:]]
        for variable, value in zip(variables, state["masks"], strict=True):
            variable.assign(value)

    def _mask(self) -> None:
        assert self._apply_masks is not None, "on_train_begin builds the masks"
        self._apply_masks()

    def _refuse_short_run(self) -> None:
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if steps is None or epochs is None:
            raise ValueError(
                "Pruning needs to know how many steps there will be. Received: data of unknown length. Pass "
                "`steps_per_epoch=` to fit."
            )
        if self._steps + steps * epochs < self.end_step:
            raise ValueError(
                f"Pruning reaches its sparsity of {self.sparsity} at step {self.end_step}. Received: {epochs} epochs "
                f"of {steps} steps after {self._steps} earlier steps, {self._steps + steps * epochs} in all. "
                "Lower end_step or train longer."
            )
        if getattr(self.model, "steps_per_execution", 1) != 1:
            raise ValueError(
                "Pruning masks the weights after every step and needs steps_per_execution=1. "
                f"Received: {self.model.steps_per_execution}."
            )

    def _build(self, pruned: Sequence[keras.Variable]) -> None:
        self._step = tf.Variable(tf.zeros((), tf.int32), trainable=False, name="pruning_step")
        self._rows = rows = [
            (
                kernel.value,
                tf.Variable(tf.ones(kernel.shape, kernel.dtype), trainable=False),
                tf.Variable(tf.zeros((), kernel.dtype), trainable=False),
            )
            for kernel in pruned
        ]
        pruning = pruning_impl.Pruning(lambda: self._step, rows, self.schedule, [1, 1], "AVG")

        @tf.function  # one graph call a step, and nothing comes back to the host
        def apply_masks():
            pruning.conditional_mask_update()
            pruning.weight_mask_op()

        self._apply_masks = apply_masks


def kernels(model: keras.Model, *, layers: Sequence[str] | None = None) -> list[tuple[str, keras.Variable]]:
    """Names and kernels of the layers that are pruned, in the order of the model.

    Args:
        model: a built Keras 3 model.
        layers: names of layers, or ``None`` for the default choice of `Prune`.

    Raises:
        ValueError: for a name that no prunable layer has, or if there is nothing to prune.
    """
    leaves = list(_leaves(model))
    found = [(name, layer, kernel) for name, layer in leaves if (kernel := _kernel(layer)) is not None]
    if layers is None:
        dense = [layer for _, layer, _ in found if isinstance(layer, keras.layers.Dense)]
        chosen = [
            (name, kernel) for name, layer, kernel in found if not _is_depthwise(layer) and layer not in dense[-1:]
        ]
        if not chosen:
            raise ValueError(
                "Pruning needs at least one Conv2D, SeparableConv2D or Dense layer before the last Dense. Received: a "
                f"model with the layers {[name for name, _ in leaves]}. Name layers to prune in `layers`."
            )
        return chosen
    names = [name for name, _, _ in found]
    ends = {name.rpartition("/")[2] for name in names}
    for name in layers:
        if name not in names and name not in ends:
            near = difflib.get_close_matches(name, names)
            raise ValueError(
                f"Pruning needs names of layers with a kernel. Received: {name!r}. Near: {near}; all: {names}."
            )
    if not layers:
        raise ValueError(f"Pruning needs at least one layer. Received: no layer names. Available: {names}.")
    return [(name, kernel) for name, _, kernel in found if name in layers or name.rpartition("/")[2] in layers]


def achieved(model: keras.Model, *, layers: Sequence[str] | None = None) -> float:
    """Share of exact zeros among the weights of the pruned kernels, 0..1.

    Args:
        model: a built Keras 3 model.
        layers: as in `Prune`.
    """
    weights = [keras.ops.convert_to_numpy(kernel) for _, kernel in kernels(model, layers=layers)]
    return float(sum(np.sum(kernel == 0) for kernel in weights) / sum(kernel.size for kernel in weights))


def _leaves(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Layers without layers inside, by their names; one inside a layer that is no model, by both names."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
            continue
        inside = list(layer._flatten_layers(include_self=False))
        if _kernel(layer) is not None or not inside:
            yield layer.name, layer
            continue
        names = {id(layer): layer.name}
        for parent in (layer, *inside):  # each before what is inside of it
            for child in parent._flatten_layers(include_self=False, recursive=False):
                names.setdefault(id(child), f"{names[id(parent)]}/{child.name}")
        yield from ((names[id(child)], child) for child in inside if _kernel(child) is not None)


def _kernel(layer: keras.layers.Layer) -> keras.Variable | None:
    if isinstance(layer, keras.layers.SeparableConv2D):
        return layer.pointwise_kernel
    kinds = keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense | keras.layers.EinsumDense
    if isinstance(layer, kinds):
        return layer.kernel
    return None


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    """A DepthwiseConv2D, or what some models write for it: a Conv2D with as many groups as channels."""
    grouped = isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 and layer.kernel.shape[2] == 1
    return grouped or isinstance(layer, keras.layers.DepthwiseConv2D)
