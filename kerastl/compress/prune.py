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

from kerastl.compress.tf_keras import composite_layers

_SLACK = 0.005  # weights tied with the cut-off are kept


class Schedule(pruning_schedule.PolynomialDecay):
    """Zhu & Gupta's cubic schedule, which also prunes at ``end_step`` itself.

    TF-MOT prunes only every ``frequency`` steps counted from ``begin_step``, so it stops short of its target whenever
    the span is no multiple of the frequency.
    """

    def __call__(self, step):
        """``(should_prune, sparsity)`` at ``step``, as scalar tensors."""
        should_prune, sparsity = super().__call__(step)
        return tf.logical_or(should_prune, tf.equal(step, self.end_step)), sparsity


class Constant(pruning_schedule.ConstantSparsity):
    """The whole sparsity from ``begin_step`` on; masks are renewed as those of `Schedule` are."""

    def __call__(self, step):
        """``(should_prune, sparsity)`` at ``step``, as scalar tensors."""
        should_prune, sparsity = super().__call__(step)
        return tf.logical_or(should_prune, tf.equal(step, self.end_step)), sparsity


def over_first_half(model: keras.Model, *, sparsity: float, steps: int) -> Prune:
    """Pruning over the first half of a training: the second half is left to recover in.

    Args:
        model: the network whose kernels are pruned, also where ``fit`` is called on something around it.
        sparsity: share of zeros wanted in every pruned kernel.
        steps: of the whole training; masks are renewed fifty times in it, at least every step.

    Raises:
        ValueError: as `Prune`; a training of one step has no half.
    """
    if steps < 2:
        raise ValueError(
            "Weights are removed over the first half of a training, which takes two steps or more. Received: a "
            f"training of {steps}. More epochs (of shrink_model --tune.epochs), a smaller batch (--tune.batch-size) or "
            "more training examples make more steps."
        )
    return Prune(sparsity=sparsity, begin_step=0, end_step=steps // 2, frequency=max(steps // 50, 1), model=model)


class Prune(keras.callbacks.Callback):
    """Drives the kernels of a network to a sparsity while it trains.

    After ``n`` training steps, ``begin_step <= n <= end_step``, a kernel has the sparsity
    ``sparsity + (initial_sparsity - sparsity) * (1 - (n - begin_step) / (end_step - begin_step)) ** 3``, renewed every
    ``frequency`` steps and at ``end_step``. The smallest magnitudes of each kernel go. Masks are applied after every
    step, so that validation and checkpoints see the pruned network, and again when training ends.

    With ``schedule="constant"`` the sparsity is there from ``begin_step`` on. Zeros may also come in patterns, which
    some chips and kernels can use (LiteRT's on a processor cannot: no file is faster for them): ``pattern=(2, 4)`` sets
    two of every four neighbouring inputs of a channel to zero (Mishra et al. 2021, https://arxiv.org/abs/2104.08378),
    ``block`` whole blocks of a dense kernel, those of the smallest mean magnitude.

    Args:
        sparsity: share of zeros wanted in every pruned kernel, 0 < sparsity < 1.
        begin_step, end_step: first and last step at which masks are renewed, counted over all calls of ``fit``.
        frequency: training steps between two renewals.
        initial_sparsity: share of zeros at ``begin_step``.
        layers: names of the layers to prune, or what several end in (``"block_1_attention/query"``, ``"query"``), or
            their types (``keras.layers.Conv2D``). ``None`` takes every Conv1D and Conv2D, the pointwise half of every
            SeparableConv2D, the four kernels of every attention, and every Dense but the last (the logits: few weights,
            and the score feels each of them), of several outputs but the last of each.
        model: the network whose kernels are pruned, when ``fit`` is called on something around it (a distiller).
        schedule: ``"polynomial"`` or ``"constant"``.
        pattern: so many zeros among so many neighbours along the inputs, for kernels with a multiple of so many inputs;
            ``sparsity`` is their quotient then, and the schedule constant.
        block: inputs and outputs that a block of a dense kernel spans; both have to be a multiple of theirs, twice it
            or more.

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
        layers: Sequence[str | type[keras.layers.Layer]] | None = None,
        model: keras.Model | None = None,
        schedule: str = "polynomial",
        pattern: tuple[int, int] | None = None,
        block: tuple[int, int] = (1, 1),
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
        constant = schedule == "constant" or pattern is not None
        _check_shape_of_zeros(sparsity, initial_sparsity, schedule=schedule, pattern=pattern, block=block)
        self.sparsity, self.end_step = sparsity, end_step
        self.layers = layers
        self.network = model
        self.pattern, self.block = pattern, block
        self.schedule = (
            Constant(sparsity, begin_step, end_step, frequency=frequency)
            if constant
            else Schedule(initial_sparsity, sparsity, begin_step, end_step, power=3, frequency=frequency)
        )
        self._apply_masks: Callable | None = None
        self._steps = 0

    def on_train_begin(self, logs=None) -> None:
        """Refuses a run that is too short, then prunes for the first time if ``begin_step`` is 0."""
        network = self.network if self.network is not None else self.model
        self._refuse_short_run()
        if self._apply_masks is None:
            self._build(self._fitting(network))
        self._mask()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Renews the masks if it is their turn, and applies them."""
        self._steps += 1
        self._step.assign_add(1)
        self._mask()

    def on_train_end(self, logs=None) -> None:
        """Applies the masks once more (an averaging optimizer has just replaced weights) and checks the sparsity."""
        self._mask()
        pruned = [np.asarray(weight) for weight, _, _ in self._rows]
        reached = float(sum(np.sum(one == 0) for one in pruned) / sum(one.size for one in pruned))
        if self._steps < self.end_step or reached < self._attainable(pruned) - _SLACK:
            raise ValueError(
                f"Pruning wanted a sparsity of {self.sparsity} at step {self.end_step}. Received: a sparsity of "
                f"{reached:.4f} when training ended after step {self._steps}. Stopped early, or are weights tied?"
            )

    def _attainable(self, pruned: Sequence[np.ndarray]) -> float:
        """The share of zeros of kernels that keep whole numbers of weights, or of blocks, one at least."""
        zeros = 0.0
        for kernel in pruned:
            blocks = kernel.size / (self.block[0] * self.block[1])
            zeros += kernel.size * (1 - max(np.round(blocks * (1 - self.sparsity)), 1) / blocks)
        return zeros / sum(kernel.size for kernel in pruned)

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

    def _fitting(self, network: keras.Model) -> list[keras.Variable]:
        """The kernels that are pruned: of those that nobody named, the ones that the pattern or the blocks fit."""
        found = kernels(network, layers=self.layers)
        other = [name for name, kernel in found if not self._fits(kernel)]
        if other and (self.layers is not None or len(other) == len(found)):
            raise ValueError(
                f"Pruning in patterns {self.pattern} and blocks {self.block} needs kernels of two or four axes with a "
                "multiple of so many inputs, and for blocks dense ones with a multiple of so many outputs, two or more "
                "each way. Received: "
                f"{', '.join(f'{name} {tuple(kernel.shape)}' for name, kernel in found if name in other)}."
            )
        return [kernel for name, kernel in found if name not in other]

    def _fits(self, kernel: keras.Variable) -> bool:
        inputs, outputs = kernel.shape[-2:]
        if self.pattern is not None:
            return len(kernel.shape) in (2, 4) and inputs % self.pattern[1] == 0
        if self.block == (1, 1):
            return True
        if len(kernel.shape) != 2 or inputs % self.block[0] or outputs % self.block[1]:
            return False
        return min(inputs // self.block[0], outputs // self.block[1]) > 1  # of one row of blocks TF-MOT makes a vector

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
        schedule, patterned = self.schedule, self.pattern is not None

        def step():
            # TF-MOT sets a pattern at step 1 and never again
            return tf.cast(schedule(self._step)[0], tf.int32) if patterned else self._step

        pruning = pruning_impl.Pruning(step, rows, schedule, self.block, "AVG", sparsity_m_by_n=self.pattern)

        @tf.function  # one graph call a step, and nothing comes back to the host
        def apply_masks():
            pruning.conditional_mask_update()
            pruning.weight_mask_op()

        self._apply_masks = apply_masks


def _check_shape_of_zeros(
    sparsity: float,
    initial_sparsity: float,
    *,
    schedule: str,
    pattern: tuple[int, int] | None,
    block: tuple[int, int],
) -> None:
    if schedule not in ("polynomial", "constant") or (schedule == "constant" and initial_sparsity):
        raise ValueError(
            "schedule is 'polynomial', or 'constant' without an initial_sparsity. "
            f"Received: schedule={schedule!r}, initial_sparsity={initial_sparsity}."
        )
    if min(block) < 1 or (pattern is not None and (block != (1, 1) or not 0 < pattern[0] < pattern[1])):
        raise ValueError(
            "Zeros come in blocks of one or more, or in a pattern of fewer zeros than neighbours, not in both. "
            f"Received: block={block}, pattern={pattern}."
        )
    if pattern is not None and (abs(sparsity - pattern[0] / pattern[1]) > 1e-6 or initial_sparsity):
        raise ValueError(
            f"A pattern of {pattern[0]} zeros among {pattern[1]} has a sparsity of {pattern[0] / pattern[1]:g} from "
            f"its first step on. Received: sparsity={sparsity}, initial_sparsity={initial_sparsity}."
        )


def kernels(
    model: keras.Model, *, layers: Sequence[str | type[keras.layers.Layer]] | None = None
) -> list[tuple[str, keras.Variable]]:
    """Names and kernels of the layers that are pruned, in the order of the model.

    Args:
        model: a built Keras 3 model.
        layers: names or types of layers, or ``None`` for the default choice of `Prune`.

    Raises:
        ValueError: for a name or type that no prunable layer has, or if there is nothing to prune.
    """
    leaves = list(_leaves(model))
    found = [(name, layer, kernel) for name, layer in leaves if (kernel := _kernel(layer)) is not None]
    if layers is None:
        dense = [layer for _, layer, _ in found if isinstance(layer, keras.layers.Dense)]
        heads = composite_layers.heads(model, dense)
        chosen = [(name, kernel) for name, layer, kernel in found if not _is_depthwise(layer) and layer not in heads]
        if not chosen:
            raise ValueError(
                "Pruning needs at least one Conv1D, Conv2D, SeparableConv2D or Dense layer before the last Dense. "
                f"Received: a model with the layers {[name for name, _ in leaves]}. Name layers to prune in `layers`."
            )
        return chosen
    names = [name for name, _, _ in found]
    for wanted in layers:
        if any(_is_meant(name, layer, wanted) for name, layer, _ in found):
            continue
        word = wanted.__name__ if isinstance(wanted, type) else wanted
        kinds = sorted({type(layer).__name__ for _, layer, _ in found})
        raise ValueError(
            f"Pruning needs names or types of layers with a kernel. Received: {word!r}. "
            f"Near: {difflib.get_close_matches(word, [*names, *kinds])}; all: {names}, of the types {kinds}."
        )
    if not layers:
        raise ValueError(f"Pruning needs at least one layer. Received: no layer names. Available: {names}.")
    return [(name, kernel) for name, layer, kernel in found if any(_is_meant(name, layer, one) for one in layers)]


def achieved(model: keras.Model, *, layers: Sequence[str | type[keras.layers.Layer]] | None = None) -> float:
    """Share of exact zeros among the weights of the pruned kernels, 0..1.

    Args:
        model: a built Keras 3 model.
        layers: as in `Prune`.
    """
    weights = [keras.ops.convert_to_numpy(kernel) for _, kernel in kernels(model, layers=layers)]
    return float(sum(np.sum(kernel == 0) for kernel in weights) / sum(kernel.size for kernel in weights))


def _is_meant(name: str, layer: keras.layers.Layer, wanted: str | type[keras.layers.Layer]) -> bool:
    if isinstance(wanted, type):
        return isinstance(layer, wanted)
    return wanted in (name, name.rpartition("/")[2])


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
    kinds = keras.layers
    if isinstance(layer, kinds.Conv1D | kinds.Conv2D | kinds.DepthwiseConv2D | kinds.Dense | kinds.EinsumDense):
        return layer.kernel
    return None


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    """A DepthwiseConv2D, or what some models write for it: a Conv2D with as many groups as channels."""
    grouped = isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 and layer.kernel.shape[2] == 1
    return grouped or isinstance(layer, keras.layers.DepthwiseConv2D)
