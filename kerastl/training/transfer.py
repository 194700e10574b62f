"""From a pretrained backbone to the user's own classes: a head on cached features first, then everything, gently.

Linear probing, then fine-tuning (LP-FT): a fresh head sends large and meaningless gradients into the backbone and
bends features that were right; one that fits already does not (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained
Features and Underperform Out-of-Distribution", https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerastl.system import memory
from kerastl.training import batching
from kerastl.types import Inputs, Schedule, Split, Task, Workspace


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to adapt a backbone to so many examples.

    Attributes:
        probe: schedule of the head on cached features.
        views: how many randomly changed copies of every example the probe sees; their features are cached too.
        fine_tune: schedule of the whole model, or ``None`` where the probe is all that so few examples can teach.
        layer_decay: factor of the learning rate from one group of layers to the one before it.
        why: the reasons, in words.
    """

    probe: Schedule
    views: int
    fine_tune: Schedule | None
    layer_decay: float
    why: str


def plan(
    *, examples: int, classes: int, batch_size: int = 32, epochs: int | None = None, each: float | None = None
) -> Plan:
    """A plan chosen from the amount of data, and said in words.

    Few examples are seen often and the early layers hardly move; many are seen less often and may move them all.

    Args:
        examples: to train on.
        classes: among which they are.
        batch_size: examples a step of fine-tuning.
        epochs: of fine-tuning, where that is decided already; 0 trains the head alone.
        each: examples that a class has on average, where an example may have none or several.

    Raises:
        ValueError: fewer than two classes, or fewer examples than classes.
    """
    if classes < 2 or examples < classes:
        raise ValueError(
            f"Wanted two classes or more with an example each. Received: {examples} examples of {classes} classes."
        )
    each = examples / classes if each is None else each
    few = each < 200
    views = 7 if each < 20 else 3 if few else 1
    passes = 60 if few else 20  # of the head, over every example; one epoch is a pass over all its views
    probe = Schedule(
        epochs=max(1, passes // (1 + views)),
        batch_size=min(64, max(examples // 8, 4)),
        peak_learning_rate=3e-3,
        weight_decay=1e-2,
    )
    words = f"{examples} examples, {each:.0f} a class: a head on frozen features"
    if epochs is None:
        steps = 400 if few else 4000
        epochs = 0 if each < 5 else int(np.clip(round(steps * batch_size / examples), 3, 40))
        words += "; fine-tuning would learn so few by heart" if epochs == 0 else ""
    if epochs == 0:
        return Plan(probe, views, None, 1.0, f"{words}.")
    layer_decay = 0.8 if few else 0.9
    return Plan(
        probe,
        views,
        Schedule(epochs=epochs, batch_size=batch_size, peak_learning_rate=2e-4, weight_decay=1e-2),
        layer_decay,
        f"{words}, then {epochs} epochs of everything, each group of layers at {layer_decay} of the rate of the one "
        "behind it.",
    )


def plan_for(train: Split, *, batch_size: int, epochs: int | None = None, learning_rate: float | None = None) -> Plan:
    """The `plan` for a training split.

    Args:
        train: what is learnt from, a class or several an example.
        batch_size, epochs: as for `plan`.
        learning_rate: of fine-tuning at its peak, where that is decided already.

    Raises:
        ValueError: as `plan`.
    """
    strata = train.task.target.strata(train.labels)
    found = plan(
        examples=len(train),
        classes=train.task.target.outputs,
        batch_size=batch_size,
        epochs=epochs,
        each=float(strata.sum(0).mean()) if strata.ndim == 2 else None,  # of which an example may have several
    )
    if found.fine_tune is None or not learning_rate:
        return found
    return dataclasses.replace(found, fine_tune=dataclasses.replace(found.fine_tune, peak_learning_rate=learning_rate))


def feature_extractor(model: keras.Model) -> keras.Model:
    """The part of a classifier up to its pooled features, ``(batch, width)``: all but the head; layers are shared.

    Where nothing is pooled, as of a table's rows, features are what the head reads.

    Raises:
        ValueError: the model has no layer ``pool``, and none that is called ``logits``.
    """
    names = {layer.name for layer in model.layers}
    if not names & {"pool", "logits"}:
        raise ValueError(f"Wanted a classifier with a layer 'pool' before its head. Received: {model.name!r}.")
    features = model.get_layer("pool").output if "pool" in names else model.get_layer("logits").input
    return keras.Model(model.input, features, name=f"{model.name}_body")


def extract_features(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    features_kind: Inputs,
    task: Task | None = None,
    views: int = 1,
    name: str = "train",
    workspace: Workspace | None = None,
) -> Split:
    """What a frozen model makes of every example, computed once.

    Args:
        model: from inputs to features ``(batch, width)``.
        batches: of `data.pipeline.batches`, in order (``shuffle=False``); with ``augment`` each view is another one.
        features_kind: the kind of input that features are, for example ``Numbers(model.output_shape[1:])``.
        task: what the batches are for, where they do not say it themselves as those of the pipeline do.
        views: how often to go through them.
        name: of the split.
        workspace: keeps what has been computed, now and then and at the end: after an interruption the same calls in
            the same stage, each of another name or number of views, go on from there.

    Returns:
        Inputs float32 ``(views * examples, width)``, labels as in the batches, view by view; its task asks the same of
        features.

    Raises:
        ValueError: fewer views than one, a model whose output is no vector or none of that kind, or batches without a
            task.
        MemoryError: a batch does not fit into memory.
    """
    if views < 1:
        raise ValueError(f"Wanted one view of every example or more. Received: views={views}.")
    if len(model.output.shape) != 2:
        raise ValueError(f"Features are vectors, (batch, width). Received: an output of shape {model.output.shape}.")
    if tuple(model.output.shape[1:]) != features_kind.shape:
        raise ValueError(
            f"Wanted a kind of input of the shape of the features, {tuple(model.output.shape[1:])}. Received: "
            f"features_kind={features_kind}."
        )
    task = task or batching.task_of(batches)
    if task is None:
        raise ValueError("Wanted task=, or batches of data.pipeline, which know theirs. Received: no task.")
    label_dtype = task.target.label_dtype
    steps, counter = int(batches.cardinality()), getattr(batches, "epochs_begun", None)
    progress, begun = _Progress(workspace, f"{name}/{views}"), 0 if counter is None else int(counter)
    with memory.explain_out_of_memory("computing features"):
        for view in range(progress.batches // steps, views):
            if counter is not None:
                counter.assign(begun + view)
            for inputs, answers in batches.skip(progress.batches - view * steps):
                progress.add(np.asarray(model.predict_on_batch(inputs), np.float32), np.asarray(answers, label_dtype))
    return Split(name, *progress.finished(), dataclasses.replace(task, inputs=features_kind))


class _Progress:
    """Features so far: those of one call, beside those of the calls before it in the same stage."""

    def __init__(self, workspace: Workspace | None, key: str) -> None:
        self._workspace, self._key = workspace, key
        self._arrays, self._done = (workspace.latest_checkpoint() if workspace else None) or ({}, {})
        self.batches = self._done.get(key, 0)
        self._inputs = [self._arrays[f"{key}/inputs"]] if self.batches else []
        self._labels = [self._arrays[f"{key}/labels"]] if self.batches else []
        self._kept = self.batches

    def add(self, inputs: np.ndarray, labels: np.ndarray) -> None:
        self._inputs.append(inputs)
        self._labels.append(labels)
        self.batches += 1
        if self._workspace is not None and self._workspace.checkpoint_due():
            self._keep()

    def finished(self) -> tuple[np.ndarray, np.ndarray]:
        if self._workspace is not None and self.batches > self._kept:
            self._keep()
        return np.concatenate(self._inputs), np.concatenate(self._labels)

    def _keep(self) -> None:
        self._kept = self.batches
        self._inputs, self._labels = [np.concatenate(self._inputs)], [np.concatenate(self._labels)]
        mine = {f"{self._key}/inputs": self._inputs[0], f"{self._key}/labels": self._labels[0]}
        self._workspace.save_checkpoint({**self._arrays, **mine}, {**self._done, self._key: self.batches})  # pyright: ignore[reportOptionalMemberAccess]


def concatenate(*splits: Split) -> Split:
    """Several splits as one, under the name of the first: the examples as they are, then their views."""
    found = [split.origins for split in splits if split.origins is not None]
    return dataclasses.replace(
        splits[0],
        inputs=np.concatenate([np.asarray(split.inputs) for split in splits]),
        labels=np.concatenate([np.asarray(split.labels) for split in splits]),
        origins=np.concatenate(found) if len(found) == len(splits) else None,
    )


def head(task: Task, width: int, *, dropout: float = 0.0) -> keras.Model:
    """A linear classifier of features: ``(batch, width)`` to logits ``(batch, classes)``; its layer is ``logits``."""
    vector = keras.Input((width,), name="features")
    x = keras.layers.Dropout(dropout, name="dropout")(vector) if dropout else vector
    x = keras.layers.Dense(task.target.outputs, name="logits")(x)
    return keras.Model(vector, task.target.finish(x), name="head")


def set_head_weights(model: keras.Model, trained: keras.Model) -> None:
    """Copies the weights of a trained head into the layer ``logits`` of a whole model.

    Raises:
        ValueError: the two layers have other shapes.
    """
    target, source = model.get_layer("logits"), trained.get_layer("logits")
    wanted, given = ([tuple(weight.shape) for weight in layer.weights] for layer in (target, source))
    if wanted != given:
        raise ValueError(f"Wanted a head with weights of shapes {wanted}. Received: {given}.")
    target.set_weights(source.get_weights())


def freeze_batch_norm(model: keras.Model) -> int:
    """Keeps every BatchNormalization in inference mode, its four vectors as they came; returns how many there are.

    A few hundred pictures in small batches would replace statistics of a million by their own noise.
    """
    layers = model._flatten_layers(include_self=False)  # those of models inside too
    found = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in found:
        layer.trainable = False
    return len(found)


def add_lora(
    model: keras.Model, *, rank: int = 8, layers: Sequence[str] = ("query", "value"), head: str = "logits"
) -> list[str]:
    """Freezes a model but for its head and two thin matrices beside each kernel named; their product is what it learns.

    Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", sections 4.1 and 7.1, where queries
    and values were the best two to adapt (https://arxiv.org/abs/2106.09685). One of the matrices begins as zeros, so
    the model answers as before. A ``.keras`` file of it, and so a stage of a run, holds the sums: a plain model again.

    Args:
        model: with Dense, EinsumDense or Embedding layers inside, at any depth.
        rank: of the product; a kernel of ``m x n`` learns ``rank * (m + n)`` numbers.
        layers: names of the layers to adapt, the last part of their paths; ``"q_proj", "v_proj"`` in a DINOv3.
        head: name of the layer that learns as it is.

    Returns:
        The paths of the layers that were adapted.

    Raises:
        ValueError: no such layer (the names that there are are listed), one that has been adapted before, no such head,
            or a rank below 1.
    """
    inside = {layer.path: layer for layer in model._flatten_layers(include_self=False)}
    able = {path: layer for path, layer in inside.items() if hasattr(layer, "enable_lora") and layer.name != head}
    chosen = {path: layer for path, layer in able.items() if layer.name in layers}
    if rank < 1 or not chosen or head not in {layer.name for layer in inside.values()}:
        names = ", ".join(sorted({layer.name for layer in able.values()})) or "none"
        raise ValueError(
            f"LoRA wants a rank of 1 or more, layers that there are and the head {head!r}. Received: rank {rank}, "
            f"layers {', '.join(layers)}. Available: {names}."
        )
    if twice := [path for path, layer in chosen.items() if layer.lora_enabled]:
        raise ValueError(f"A layer is adapted once. Received: {', '.join(twice)}, which learn already.")
    for path, layer in inside.items():
        if path in chosen:
            layer.enable_lora(rank)  # freezes the kernel
            if getattr(layer, "bias", None) is not None:
                layer.bias.trainable = False
        elif layer.name != head:
            if not list(layer._flatten_layers(include_self=False)):
                layer.trainable = False
            for weight in layer._trainable_variables:  # its own, not those of layers inside of it
                weight.trainable = False
    return list(chosen)


def layer_rates(groups: Sequence[Sequence[str]], *, layer_decay: float) -> dict[str, float]:
    """Factors of the learning rate by layer name: 1 for the last group, ``layer_decay`` for the one before, and so on.

    Source: layer-wise learning-rate decay, Clark et al. 2020, ELECTRA, appendix A; Bao et al. 2022, BEiT.

    Args:
        groups: names of layers, from the input to the head.
        layer_decay: between 0 and 1.

    Raises:
        ValueError: another decay, or a layer in two groups.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"The decay from one group to the one before lies in (0, 1]. Received: {layer_decay}.")
    names = [name for group in groups for name in group]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"A layer is in one group. Received twice: {', '.join(twice[:5])}.")
    return {name: layer_decay ** (len(groups) - 1 - place) for place, group in enumerate(groups) for name in group}


def gradual_unfreezing(groups: Sequence[Sequence[str]], *, steps: int) -> dict[str, int]:
    """Gradual unfreezing: the head learns from the first step, each group before it begins ``steps`` later.

    Source: Howard & Ruder 2018, ULMFiT, section 3.3.

    Returns:
        Layer name -> the step from which it learns, for `LayerwiseAdamW`.
    """
    if steps < 0:
        raise ValueError(f"Wanted a number of steps from one group to the next. Received: {steps}.")
    return {name: (len(groups) - 1 - place) * steps for place, group in enumerate(groups) for name in group}


class LayerwiseAdamW(keras.optimizers.Adam):
    """AdamW (Loshchilov & Hutter 2019) in which each layer has a rate, and perhaps a step, of its own.

    Args:
        learning_rate: a number or a schedule: the rate of a layer with the factor 1.
        rates: layer name -> factor of the learning rate; 1 for a layer that is not named.
        begin: layer name -> step from which its weights move at all; 0 for a layer that is not named.
        weight_decay: decoupled, at the layer's own rate, and of kernels only: biases and scales keep their size.
        options: of ``keras.optimizers.Adam``.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        rates: Mapping[str, float] | None = None,
        begin: Mapping[str, int] | None = None,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **options)
        self.rates, self.begin, self.decay = dict(rates or {}), dict(begin or {}), weight_decay

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """One step of one variable, at the rate of its layer."""
        # TensorFlow's variables come in here, which know no path
        layer = self._trainable_variables[self._get_variable_index(variable)].path.split("/")[0]
        rate = ops.cast(learning_rate, variable.dtype) * self.rates.get(layer, 1.0)
        if self.begin.get(layer):
            rate = rate * ops.cast(self.iterations >= self.begin[layer], variable.dtype)
        if self.decay and len(variable.shape) > 1:
            self.assign_sub(variable, ops.cast(variable, variable.dtype) * rate * self.decay)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rates": self.rates, "begin": self.begin, "weight_decay": self.decay}
