"""Weight clustering: every kernel has a few distinct values, which are then trained, and the file zips smaller.

The first values are TF-MOT's (k-means++, linear or density-based), moved by k-means to the middle of what is nearest
to them. The weights then keep their cluster, and a cluster's one value learns from the sum of its weights' gradients,
as in the paper. TF-MOT's ``cluster_weights`` is not used: to a Keras 3 model it answers ``None``; of a tf_keras one it
wraps the caller's own layers and takes their kernels away, runs every BatchNormalization and Dropout as if nothing were
trained, leaves out what is frozen or small without an error, and its density-based values miss small kernels.

Paper: Han et al. 2016, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and
Huffman Coding" (https://arxiv.org/abs/1510.00149), section 3. TF-MOT's guide:
https://www.tensorflow.org/model_optimization/guide/clustering.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras import cluster_config, clustering_centroids

from kerastl.compress import fine_tuning
from kerastl.compress.fine_tuning import TiedWeights
from kerastl.compress.tf_keras import composite_layers
from kerastl.compress.tf_keras.composite_layers import Layered
from kerastl.training import batching
from kerastl.types import ClusterClaim, History, Workspace

_ROUNDS = 300  # of k-means; it has long stood still by then

_INITIALIZATIONS = {
    "kmeans++": cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS,
    "linear": cluster_config.CentroidInitialization.LINEAR,
    "density": cluster_config.CentroidInitialization.DENSITY_BASED,
}

# Classes of either Keras, and under which names they keep the kernel.
_KERNELS = {
    "Conv1D": ("kernel",),
    "Conv2D": ("kernel",),
    "Dense": ("kernel",),
    "SeparableConv2D": ("pointwise_kernel",),
    "DepthwiseConv2D": ("depthwise_kernel", "kernel"),
}


class UniqueValues(NamedTuple):
    """How many values a kernel has that differ: in all of it, and in the channel that has most; and of how many."""

    kernel: int
    channel: int
    size: int
    channel_size: int


def train(
    tf_model: tf_keras.Model,
    batches: tf.data.Dataset,
    *,
    number_of_clusters: int,
    epochs: int,
    initialization: str = "kmeans++",
    layers: Sequence[str] | None = None,
    per_channel: bool = False,
    preserve_sparsity: bool = False,
    learning_rate: float = 1e-4,
    loss: Callable | None = None,
    teacher: Callable | None = None,
    validation: tf.data.Dataset | None = None,
    workspace: Workspace | None = None,
    callbacks: Sequence[Any] = (),
) -> tf_keras.Model:
    """Clusters the kernels of a trained model and fine-tunes it, with Adam and a cosine decay to zero.

    ``bridge.to_keras`` brings the result home; `qat.train` with ``preserve_clusters`` takes it further.

    Args:
        tf_model: trained tf_keras model (from the bridge) that ends in logits ``(examples, classes)``; left as it is.
        batches: finite data set of ``(inputs, labels)``: what the model takes, and int class indices or what the task
            of the batches asks for; or with a teacher's stored answers, as in `qat.train`.
        number_of_clusters: most distinct values of a clustered kernel, 2 or more; zero is one of them.
        epochs: passes over ``batches``; 0 clusters only.
        initialization: of the values: ``"kmeans++"``, ``"linear"`` (the whole range alike, which keeps the few large
            weights; best in the paper) or ``"density"`` (as many weights a value). k-means follows.
        layers: names of layers, or of classes (``"Conv2D"``, ``"Dense"`` ...), to cluster. ``None`` takes what pruning
            takes: every Conv2D, the pointwise half of every SeparableConv2D, and every Dense but the last, of several
            outputs but the last of each. Depthwise
            kernels hold few weights and lose most (TF-MOT leaves them alone too), but can be named.
        per_channel: whether every channel of a kernel has values of its own, ``number_of_clusters`` of them. A kernel
            loses less, and gains less.
        preserve_sparsity: weights that are exactly zero stay zero, in kernels that are not clustered too, and no others
            become so.
        learning_rate: at the first step; a tenth of the one the model was trained with is a good start.
        loss, teacher, validation: as in `qat.train`.
        workspace: keeps checkpoints, from which the same call goes on after an interruption and ends, on a CPU, with
            bitwise the weights that it would have had (see ``callbacks.Checkpoints``); gives TensorBoard logs a place.
        callbacks: of tf_keras, or of Keras 3 that look at nothing but their ``params`` and the logs.

    Returns:
        A clustered tf_keras model; `curves` reads its training curves, `unique_values` its values.

    Raises:
        ValueError: for a model of Keras 3; fewer than 2 clusters (3 where
            zeros stay); an unknown initialization or layer; a model with nothing to cluster; a kernel with no more
            weights than clusters; weights that are not finite, before or after; batches without a known length.
    """
    _refuse(tf_model, number_of_clusters=number_of_clusters, initialization=initialization, zeros=preserve_sparsity)
    if not fine_tuning.are_numbers(batches):
        tf_model = fine_tuning.with_logits(tf_model, purpose="Clustering")
    network = tf_keras.models.clone_model(tf_model, clone_function=fine_tuning.with_stateful_randomness)
    for layer in tf_model.layers:
        network.get_layer(layer.name).set_weights(layer.get_weights())
    chosen = _chosen(network, layers)
    _refuse_small(chosen, number_of_clusters, per_channel=per_channel)
    how = functools.partial(
        _clustered, number=number_of_clusters, initialization=initialization, zeros=preserve_sparsity
    )
    shared = [_tied(layer, how, per_channel=per_channel) for layer in chosen]
    fine_tuning.fit(
        network,
        batches,
        purpose="Clustering",
        epochs=epochs,
        learning_rate=learning_rate,
        loss=loss,
        teacher=teacher,
        validation=validation,
        workspace=workspace,
        callbacks=callbacks,
        trained=network.trainable_variables,
        zeros=[weight for weight in network.trainable_variables if len(weight.shape) > 1] if preserve_sparsity else (),
        shared=shared,
        names=fine_tuning.output_names(network, batching.task_of(batches), purpose="Clustering"),
    )
    return network


def curves(network: tf_keras.Model, *, stage: str = "cluster") -> History:
    """The training curves of a model that `train` returned: loss and accuracy, one value an epoch."""
    return fine_tuning.curves(network, stage=stage)


def unique_values(model: Layered, *, layers: Sequence[str] | None = None) -> dict[str, UniqueValues]:
    """How many distinct values the kernels of a model have, by the name of their layer.

    Args:
        model: a built model of either Keras.
        layers: as in `train`.

    Raises:
        ValueError: as in `train`, for layers that are not there, and where there is nothing to cluster.
    """
    found = {}
    for layer in _chosen(model, layers):
        values = np.asarray(_kernel(layer), "float32")
        columns = values.reshape(-1, _channels(layer)).T
        most = max(len(np.unique(column)) for column in columns)
        found[layer.name] = UniqueValues(len(np.unique(values)), most, values.size, columns.shape[1])
    return found


def claim(
    model: Layered, *, number_of_clusters: int, layers: Sequence[str] | None = None, per_kernel: bool = False
) -> ClusterClaim:
    """What a file of a clustered model has to hold, for ``publishing.Candidate`` and ``verify.check``.

    Args:
        model: the clustered model, of either Keras.
        number_of_clusters, layers: as in `train`.
        per_kernel: whether the number is claimed of whole kernels. That holds in the file of a `qat.train` that
            preserved clusters, and in a float file as long as no batch norm is folded into the kernel. What always
            holds is the number of a channel: a batch norm multiplies each channel by a factor of its own, and so do the
            scales that 8-bit kernels have from post-training quantization.

    Raises:
        ValueError: as in `train`, for layers; if the model itself does not hold what is claimed.
    """
    counts = unique_values(model, layers=layers)
    over = {
        name: found
        for name, count in counts.items()
        if (found := count.kernel if per_kernel else count.channel) > number_of_clusters
    }
    if over:
        raise ValueError(
            f"A claim needs a model with at most {number_of_clusters} distinct values "
            f"{'a kernel' if per_kernel else 'a channel'}. Received: a model with {over}."
        )
    return ClusterClaim(number_of_clusters, tuple(count.size for count in counts.values()), per_kernel=per_kernel)


def _tied(
    layer: tf_keras.layers.Layer, clustered: Callable[[np.ndarray], np.ndarray], *, per_channel: bool
) -> TiedWeights:
    """Clusters the kernel of a layer, as a whole or channel by channel."""
    kernel, channels = _kernel(layer), _channels(layer) if per_channel else 1
    norm = None if per_channel else fine_tuning.norm_behind(layer)
    if norm is not None and norm.scale:
        _make_factors_positive(layer, norm)
    columns = kernel.numpy().reshape(-1, channels).T
    kernel.assign(np.stack([clustered(column) for column in columns], -1).reshape(kernel.shape))
    return TiedWeights(kernel, channels=channels, norm=norm)


def _make_factors_positive(layer: tf_keras.layers.Layer, norm: tf_keras.layers.BatchNormalization) -> None:
    """Moves the signs of a batch norm's factors into the kernel before it: the same function.

    In a file the batch norm is folded into the kernel, and a number that is there with both signs would be two.
    """
    signs = np.where(norm.gamma.numpy() < 0, -1, 1).astype("float32")
    kernel = _kernel(layer)
    columns = kernel.numpy().reshape(-1, len(signs)) * signs
    kernel.assign(columns.reshape(kernel.shape))
    for variable in (norm.gamma, norm.moving_mean, *([layer.bias] if layer.use_bias else [])):
        variable.assign(variable * signs)


def _clustered(values: np.ndarray, *, number: int, initialization: str, zeros: bool) -> np.ndarray:
    """``values``, a vector, with at most ``number`` that are distinct; with ``zeros``, zeros and only they are zero."""
    kept = values != 0 if zeros else np.ones(values.shape, bool)
    moving = values[kept]
    number -= not kept.all()
    if len(np.unique(moving)) <= number:
        return values
    largest = np.abs(moving).max()  # TF-MOT's density-based centroids are made for weights of about 1
    initial = clustering_centroids.CentroidsInitializerFactory.get_centroid_initializer(
        _INITIALIZATIONS[initialization]
    )
    centroids = initial(tf.constant(moving / largest), number).get_cluster_centroids().numpy()
    result = values.copy()
    result[kept] = _by_k_means(moving, centroids.astype("float64") * largest)
    return result


def _by_k_means(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The centroid of every value, where centroids are the means of what is nearest to them (Lloyd 1982)."""
    ordered = np.sort(values)  # once: the members of a centroid then lie side by side, and their sum is a difference
    totals = np.concatenate([[0.0], np.cumsum(ordered, dtype="float64")])
    for _ in range(_ROUNDS):
        centroids = np.sort(centroids)
        ends = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        bounds = np.concatenate([[0], ends, [len(ordered)]])
        counts, sums = np.diff(bounds), np.diff(totals[bounds])
        means = np.where(counts, sums / np.maximum(counts, 1), centroids)
        if np.array_equal(means, centroids):
            break
        centroids = means
    members = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    return centroids[members].astype("float32")


def _refuse(model: object, *, number_of_clusters: int, initialization: str, zeros: bool) -> None:
    if not isinstance(model, tf_keras.Model):
        raise ValueError(
            "Clustering needs a tf_keras model: bridge.to_tf_keras(model, probe=...) makes one of a Keras 3 model. "
            f"Received: {type(model).__module__}.{type(model).__name__}."
        )
    least = 3 if zeros else 2
    if isinstance(number_of_clusters, bool) or not isinstance(number_of_clusters, int) or number_of_clusters < least:
        beside = " of which one is zero" if zeros else ""
        raise ValueError(f"Clustering needs at least {least} clusters{beside}. Received: {number_of_clusters!r}.")
    if initialization not in _INITIALIZATIONS:
        raise ValueError(
            f"Clustering needs an initialization it knows. Received: {initialization!r}. "
            f"Available: {list(_INITIALIZATIONS)}."
        )


def _refuse_small(chosen: Sequence, number: int, *, per_channel: bool) -> None:
    for layer in chosen:
        kernel = _kernel(layer).numpy()
        if not np.isfinite(kernel).all():
            raise ValueError(f"Clustering needs finite weights. Received: NaN or infinity in layer {layer.name!r}.")
        size = kernel.size // _channels(layer) if per_channel else kernel.size
        if size <= number:
            others = [other.name for other in chosen if other is not layer]
            raise ValueError(
                f"Clustering needs more weights than clusters. Received: {number} clusters for the {size} weights of "
                f"{'a channel of ' if per_channel else ''}layer {layer.name!r}. Ask for fewer, or for layers={others}."
            )


def _chosen(model: Layered, layers: Sequence[str] | None) -> list:
    """The layers that are clustered, in the order of the model."""
    found = [layer for layer in composite_layers.leaves(model) if type(layer).__name__ in _KERNELS]
    names = [layer.name for layer in found]
    kinds = sorted({type(layer).__name__ for layer in found})
    if layers is None:
        dense = [layer for layer in found if type(layer).__name__ == "Dense"]
        heads = composite_layers.heads(model, dense)
        chosen = [layer for layer in found if not _is_depthwise(layer) and layer not in heads]
    else:
        if isinstance(layers, str):
            raise ValueError(f"Clustering needs a sequence of layers. Received: the one string {layers!r}.")
        for name in layers:
            if name not in (*names, *kinds):
                near = difflib.get_close_matches(name, [*names, *kinds])
                raise ValueError(
                    f"Clustering needs names, or classes, of layers with a kernel. Received: {name!r}. Near: {near}; "
                    f"all: {names}, {kinds}."
                )
        chosen = [layer for layer in found if layer.name in layers or type(layer).__name__ in layers]
    if not chosen:
        raise ValueError(
            "Clustering needs at least one Conv2D, SeparableConv2D or Dense layer before the last Dense. Received: a "
            f"model with the layers {[layer.name for layer in composite_layers.leaves(model)]}. Name layers to cluster "
            "in `layers`."
        )
    return chosen


def _is_depthwise(layer: Layered) -> bool:
    """A DepthwiseConv2D, or what some models write for it: a Conv2D with as many groups as channels."""
    kind = type(layer).__name__
    if kind != "Conv2D":
        return kind == "DepthwiseConv2D"
    return getattr(layer, "groups", 1) > 1 and _kernel(layer).shape[2] == 1


def _kernel(layer: Layered) -> Any:
    names = _KERNELS[type(layer).__name__]
    return next(getattr(layer, name) for name in names if hasattr(layer, name))


def _channels(layer: Layered) -> int:
    """What a batch norm or a scale multiplies one by one; they lie along the last axis, of depthwise kernels two."""
    shape = _kernel(layer).shape
    return int(shape[-1] * shape[-2]) if type(layer).__name__ == "DepthwiseConv2D" else int(shape[-1])
