"""Quantization-aware training: TF-MOT's fake quantization on a bridged model, made fit for a camera and for small nets.

What is added to TF-MOT's default 8-bit scheme, besides what `compress.scheme` changes a layer at a time:

- the input of pictures is pinned to raw pixels 0..255, so that the exported file takes uint8 with scale 1 and zero
  point 0; that of other numbers to the range of the calibration batches;
- a ``Rescaling`` in front of kernels is folded into them after training, and is no operator in the file. Left to the
  converter, the kernels shrink, their scales do not, and the file answers the same to every picture;
- what would stay a float operator in the file (another ``Rescaling``, ``Normalization``, a ``BatchNormalization`` that
  follows no convolution, hard swish, layer norms ...) is made of what has an integer kernel (`compress.lowering`);
- zeros and clusters are kept by the training step itself (TF-MOT's collaborative schemes, PQAT, CQAT and PCQAT, put
  quantizers of their own in the place of these, and give every channel of a clustered kernel other integers).

Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
(https://arxiv.org/abs/1712.05877).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import quantize_layer, quantize_wrapper

from kerastl.compress import fine_tuning, float_file, lowering, quantize_scheme, sequences
from kerastl.compress.fine_tuning import TiedWeights
from kerastl.compress.quantize_scheme import KERNELS, ActivationRange
from kerastl.training import batching
from kerastl.types import History, Inputs, Workspace

quantizers = tfmot.quantization.keras.quantizers


def train(
    tf_model: tf_keras.Model,
    batches: tf.data.Dataset,
    *,
    epochs: int,
    learning_rate: float = 1e-4,
    loss: Callable | None = None,
    teacher: Callable | None = None,
    inputs: Inputs | None = None,
    validation: tf.data.Dataset | None = None,
    preserve_sparsity: bool = False,
    preserve_clusters: int | None = None,
    calibration_batches: int = 8,
    workspace: Workspace | None = None,
    callbacks: Sequence[Any] = (),
) -> tf_keras.Model:
    """Fine-tunes a trained model under fake quantization, with Adam and a cosine decay to zero.

    Args:
        tf_model: trained tf_keras model (from the bridge) that ends in logits ``(examples, classes)``, or of several
            outputs in what the tasks of the batches ask for; left as it is.
        batches: finite data set of ``(inputs, labels)``: float32 pixels 0..255 or other numbers, and int class indices,
            or whatever the task of batches of ``data.pipeline`` asks for;
            or of ``(inputs, (labels, teacher_logits))``, with the stored answers of a teacher (`distil.answers`).
        epochs: passes over ``batches``; 0 calibrates only.
        learning_rate: at the first step; a tenth of the one the model was trained with is a good start.
        loss: function of tensors, ``loss(labels, logits)`` or with a teacher's answers ``loss(labels, logits,
            teacher_logits)``; its mean is minimized. ``None``: cross-entropy with the labels, or with the answers at
            temperature 1; of labels that are no classes, and of several tasks, the task's own losses.
        teacher: callable from a batch of inputs to logits. It is called inside the compiled step, once a batch.
        inputs: the kind of what goes in, for example ``split.task.inputs``; by default what the batches of
            ``data.pipeline`` are for, and else raw pixels.
        validation: data set of ``(inputs, labels)`` that is scored after every epoch; where answers are stored, its
            loss is the cross-entropy with the labels.
        preserve_sparsity: weights of kernels that are exactly zero stay zero.
        preserve_clusters: kernels with at most so many distinct values keep them: the weights of a cluster learn as one
            (`compress.cluster`). A clustered kernel has one range and not one a channel, so that a cluster is one
            integer in every channel; one that has that few values only within every channel keeps a range a channel.
            A kernel that small that it cannot have more is left free.
        calibration_batches: batches that set the first ranges of the activations.
        workspace: keeps checkpoints, from which the same call goes on after an interruption and ends, on a CPU, with
            bitwise the weights that it would have had (see ``callbacks.Checkpoints``); gives TensorBoard logs a place.
        callbacks: of tf_keras, or of Keras 3 that look at nothing but their ``params`` and the logs.

    Returns:
        The quantization-aware tf_keras model, its outputs by their names where there are several; `curves` reads its
        training curves.

    Raises:
        ValueError: for a model that has several inputs, other outputs than the task, or a layer that cannot be
            quantized; for batches without a known length, or whose values are not pixels 0..255, or of other kinds not
            finite; for no kernel with clusters to preserve; for a teacher beside stored answers, or answers of other
            classes.
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
    """
    task = batching.task_of(batches)
    inputs = task.inputs if inputs is None and task else inputs
    names = fine_tuning.output_names(tf_model, task, purpose="Quantization-aware training")
    calibration, numbers = batches.take(calibration_batches), fine_tuning.are_numbers(batches)
    network = prepare(tf_model, calibration, inputs=inputs, preserve_clusters=preserve_clusters, numbers=numbers)
    wrappers = list(_wrappers(network))
    kernels = [weight for wrapper in wrappers for weight, _, _ in wrapper._weight_vars]
    frozen = {  # TF-MOT's wrappers list their kernels as trainable whatever the layer says
        id(weight) for wrapper in wrappers if not wrapper.trainable for weight, _, _ in wrapper._weight_vars
    }
    fine_tuning.fit(
        network,
        batches,
        purpose="Quantization-aware training",
        epochs=epochs,
        learning_rate=learning_rate,
        loss=loss,
        teacher=teacher,
        validation=validation,
        workspace=workspace,
        callbacks=callbacks,
        trained=[weight for weight in network.trainable_variables if id(weight) not in frozen],
        zeros=kernels if preserve_sparsity else (),
        shared=[one for wrapper in wrappers if (one := _shared(wrapper, preserve_clusters)) is not None],
        names=names,
    )
    _widen_dead_channels(network)
    _fold_rescalings(network)
    return fine_tuning.with_named_outputs(network, names)


def curves(network: tf_keras.Model, *, stage: str = "qat") -> History:
    """The training curves of a model that `train` returned: loss and accuracy, one value an epoch."""
    return fine_tuning.curves(network, stage=stage)


def prepare(
    tf_model: tf_keras.Model,
    calibration: Iterable,
    *,
    inputs: Inputs | None = None,
    preserve_clusters: int | None = None,
    numbers: bool = False,
) -> tf_keras.Model:
    """The quantization-aware twin of a model, its ranges set by calibration, before any training.

    Args:
        tf_model: as in `train`.
        calibration: batches as in `train`.
        inputs: the kind of what goes in; ``None``: raw pixels.
        preserve_clusters: as in `train`; sets the ranges of clustered kernels.
        numbers: whether labels are numbers, with which outputs are compared as they are: probabilities may be such.

    Raises:
        ValueError: as in `train`.
    """
    if not numbers:
        tf_model = fine_tuning.with_logits(tf_model, purpose="Quantization-aware training")
    if len(tf_model.inputs) > 1:
        raise ValueError(
            f"Quantization-aware training is for models of one input. Received: {len(tf_model.inputs)} inputs; "
            "compress.ptq.static_int8 makes the integer file of such a model."
        )
    examples = [np.asarray(batch[0], "float32") for batch in calibration]
    if not examples:
        raise ValueError("Calibration needs at least one batch. Received: none.")
    shape = examples[0].shape[1:]
    least, most = float_file.input_range(np.concatenate(examples), inputs=inputs, shape=shape)
    kerases = tfmot.quantization.keras
    scope = {kind.__name__: kind for kind in quantize_scheme.KINDS}
    try:
        with kerases.quantize_scope(scope):
            annotated = kerases.quantize_annotate_model(lowering.to_quantizable_layers(sequences.as_pictures(tf_model)))
            network = kerases.quantize_apply(annotated, scheme=quantize_scheme.Scheme())
    except (RuntimeError, ValueError) as error:  # TF-MOT names the layer and its class
        raise ValueError(
            f"Quantization-aware training needs layers that TF-MOT can quantize. Received: {error}"
        ) from error
    for layer in network.layers:
        if isinstance(layer, quantize_layer.QuantizeLayer):
            layer.quantizer = quantizers.FixedQuantizer(num_bits=8, init_min=least, init_max=most, narrow_range=False)
    if preserve_clusters is not None:
        _give_one_range(network, preserve_clusters)
    _calibrate(network, examples)
    return network


def _give_one_range(network: tf_keras.Model, number: int) -> None:
    found = {wrapper.layer.name: _shared(wrapper, number) for wrapper in _wrappers(network) if wrapper._weight_vars}
    if not any(found.values()):
        raise ValueError(
            f"Preserving clusters needs kernels with at most {number} distinct values. Received: a model in which "
            f"none of {list(found)} has so few. compress.cluster.train makes them."
        )
    for wrapper in _wrappers(network):
        shared = found.get(wrapper.layer.name)
        if shared is not None and shared.channels == 1:
            ((kernel, quantizer, ranges),) = wrapper._weight_vars
            wrapper._weight_vars[0] = (kernel, quantize_scheme.OneRange(quantizer), ranges)


def _shared(wrapper: quantize_wrapper.QuantizeWrapper, number: int | None) -> TiedWeights | None:
    """The kernel that a layer has, if it is clustered: in all of it, or in every channel."""
    if number is None or not wrapper._weight_vars:
        return None
    ((kernel, _, _),) = wrapper._weight_vars
    if not wrapper.layer.trainable and len(np.unique(kernel)) == 1:
        return None  # a constant, of lowering's
    depthwise = isinstance(wrapper.layer, tf_keras.layers.DepthwiseConv2D)
    channels = int(np.prod(kernel.shape[-2:] if depthwise else kernel.shape[-1:]))
    for groups in (1, channels):
        columns = kernel.numpy().reshape(-1, groups).T
        if columns.shape[1] > number and all(len(np.unique(column)) <= number for column in columns):
            norm = fine_tuning.norm_behind(wrapper) if groups == 1 else None
            positive = norm is not None and norm.scale and np.all(norm.gamma.numpy() > 0)
            return TiedWeights(kernel, channels=groups, norm=norm if positive else None)
    return None


def _fold_rescalings(network: tf_keras.Model) -> None:
    """Moves factors into the kernels behind them, with the kernels' ranges: the same function, exactly.

    After training and not before: Adam's steps do not shrink with a kernel, and would tear one 255 times smaller.
    """
    for wrapper in _wrappers(network):
        if not isinstance(wrapper.layer, tf_keras.layers.Rescaling):
            continue
        for consumer in lowering.consumers(wrapper):
            ((kernel, _, ranges),) = consumer._weight_vars
            for variable in (kernel, *ranges.values()):
                variable.assign(variable * wrapper.layer.scale)
        wrapper.layer.scale = 1.0


def _widen_dead_channels(network: tf_keras.Model) -> None:
    """Gives kernels that are all but zero a range of a thousandth of their layer's widest, in which they are zero.

    Weight decay leaves such beside biases that count. The file stores a bias in steps of its kernel's scale, and where
    that is next to nothing the bias takes more steps than it has bits for, and is lost.
    """
    for wrapper in _wrappers(network):
        if not isinstance(wrapper.layer, KERNELS):
            continue
        behind = [getattr(node.outbound_layer, "layer", node.outbound_layer) for node in wrapper.outbound_nodes]
        for _, _, ranges in wrapper._weight_vars:
            widest = ranges["max_var"].numpy()
            if widest.ndim != 1:
                continue
            factor = np.ones_like(widest)
            if len(behind) == 1 and isinstance(behind[0], tf_keras.layers.BatchNormalization):
                norm = behind[0]
                factor /= np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
                factor *= np.abs(norm.gamma.numpy()) if norm.scale else 1.0
            floor = 1e-3 * np.max(widest * factor) / np.maximum(factor, 1e-9)
            ranges["max_var"].assign(np.maximum(widest, floor))
            ranges["min_var"].assign(np.minimum(ranges["min_var"].numpy(), -floor))


def _wrappers(network: tf_keras.Model) -> Iterator[quantize_wrapper.QuantizeWrapper]:
    return (layer for layer in network.layers if isinstance(layer, quantize_wrapper.QuantizeWrapper))


def _calibrate(network: tf_keras.Model, inputs: list[np.ndarray]) -> None:
    """Sets every range: kernels to their own, activations to what they are on ``inputs`` with the kernels quantized."""
    ranges = []
    for wrapper in _wrappers(network):
        for weight, quantizer, variables in wrapper._weight_vars:
            quantizer(weight, True, weights=variables)
        for activation in wrapper._quantize_activations:
            activation.quantizer = ActivationRange()
            ranges.append(activation.quantizer)
        if wrapper._output_quantizers:
            wrapper._output_quantizers = [ActivationRange()]
            ranges += wrapper._output_quantizers
        for weight in wrapper.weights:
            if weight.name.split("/")[-1].startswith(("output_m", "post_activation_m", "pre_activation_m")):
                weight.assign(tf.zeros_like(weight))
    for quantizer in ranges:
        quantizer.observing = True
    for batch in inputs:
        network(batch, training=False)
    for quantizer in ranges:
        quantizer.observing = False
