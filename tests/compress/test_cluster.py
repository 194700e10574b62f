from __future__ import annotations

import dataclasses
import gzip

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from ai_edge_litert.tools import flatbuffer_utils
from toy import At, Killed

from kerastl import types, verify
from kerastl.compress import cluster, prune, ptq, qat
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.models import all_conv_net, lenet_style, mobile_cnn
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.verify import kernel_stats

NUMBER, SIZE = 16, 12
TASK = types.Task("quarters", Image((SIZE, SIZE, 1)), SingleLabel(("a", "b", "c", "d")))
LOOSE = verify.Tolerance(agreement=0.8, score_drop=0.2)


def quarters(count: int = 256) -> types.Split:
    """Pictures with one bright quarter, which is the class."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, count).astype("int32")
    pictures, half = generator.integers(0, 100, (count, SIZE, SIZE, 1)), SIZE // 2
    for picture, label in zip(pictures, labels, strict=True):
        row, column = half * (label // 2), half * (label % 2)
        picture[row : row + half, column : column + half] += int(generator.integers(60, 150))
    pictures[0, 0, 0], pictures[0, 0, 1] = 0, 255
    return types.Split("validation", pictures.astype("uint8"), labels, TASK)


SPLIT = quarters()
PIXELS = SPLIT.inputs.astype("float32")


def batches() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((PIXELS, SPLIT.labels)).batch(32)


def fitted(model: keras.Model, *, epochs: int = 4, callbacks=()) -> keras.Model:
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(PIXELS, SPLIT.labels, batch_size=32, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


BUILDERS = {  # with batch norms behind every convolution, and without any
    "strided": lambda: all_conv_net.build(
        TASK, filters=(8, 16, 16), kernel_sizes=(5, 3, 3), strides=(2, 1, 2), flatten=True
    ),
    "plain": lambda: lenet_style.build(TASK, filters=(8, 16), dense_units=24),
}


def flip_signs(model: keras.Model) -> keras.Model:
    """Every second factor of a batch norm becomes negative and its kernel's channel with it: the same function."""
    kernel = None
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = layer
        if isinstance(layer, keras.layers.BatchNormalization):
            assert kernel is not None
            values, (gamma, beta, mean, variance) = kernel.get_weights()[0], layer.get_weights()
            for array in (values, gamma, mean):
                array[..., ::2] *= -1
            kernel.set_weights([values])
            layer.set_weights([gamma, beta, mean, variance])
    return model


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def model(request) -> keras.Model:
    keras.utils.set_random_seed(0)
    return fitted(flip_signs(BUILDERS[request.param]()))


@pytest.fixture(scope="module")
def clustered(model) -> tuple[tf_keras.Model, keras.Model]:
    """The model clustered, in tf_keras, and brought home."""
    twin = bridge.to_tf_keras(model, probe=PIXELS[:8])
    network = cluster.train(twin, batches(), number_of_clusters=NUMBER, epochs=1, learning_rate=1e-3)
    return network, bridge.to_keras(network, like=model)


@pytest.fixture(scope="module")
def files(model, clustered) -> tuple[bytes, bytes]:
    """The float files of the model and of the clustered one."""
    return tflite.convert(model, TASK), tflite.convert(clustered[1], TASK)


def accuracy(model) -> float:
    return float(np.mean(np.asarray(model(PIXELS, training=False)).argmax(-1) == SPLIT.labels))


def proof(content: bytes, model: keras.Model, folder, **claims):
    """The file against the model and its claims, as `ship` does it."""
    path = folder / "model.tflite"
    path.write_bytes(content)
    expected = np.asarray(keras.ops.softmax(model(PIXELS, training=False)))
    return verify.check(types.Artifact("clustered", "test", path, **claims), SPLIT, expected=expected, tolerance=LOOSE)


def refused():
    return pytest.raises(verify.VerificationError, match="claimed clusters: wanted at most 16 distinct values")


def test_kernels_have_few_values_and_the_model_still_answers(model, clustered):
    network, home = clustered
    for one in (network, home):
        found = cluster.unique_values(one)
        assert {name: count.kernel for name, count in found.items()} == dict.fromkeys(found, NUMBER)
    assert len(found) == 3
    wanted = {layer.name: np.unique(layer.get_weights()[0]).size for layer in home.layers if layer.name in found}
    assert wanted == dict.fromkeys(found, NUMBER)  # counted apart
    np.testing.assert_allclose(home(PIXELS), network(PIXELS), atol=1e-4)
    assert accuracy(model) > 0.95
    assert accuracy(home) > 0.95
    logits = np.unique(home.get_layer("logits").get_weights()[0])
    assert len(logits) > NUMBER, "the last layer is left alone"


@pytest.mark.parametrize("technique", ["float32", "float16", "dynamic_int8", "static_int8"])
def test_every_channel_keeps_its_values_in_the_file(technique, model, clustered, files, tmp_path):
    """A batch norm that is folded in and a scale a channel multiply all values of a channel alike."""
    network, home = clustered

    def file(float32):
        if technique == "static_int8":
            return ptq.static_int8(float32, calibration=SPLIT.inputs[:64], inputs=SPLIT.task.inputs)
        return float32 if technique == "float32" else getattr(ptq, technique)(float32)

    claim = cluster.claim(home, number_of_clusters=NUMBER)
    assert claim == cluster.claim(network, number_of_clusters=NUMBER)
    integer = technique == "static_int8"
    before, content = (file(float32) for float32 in files)
    proof(content, home, tmp_path, clusters=claim, integer=integer)
    with refused():
        proof(before, model, tmp_path, clusters=claim, integer=integer)
    fewer = dataclasses.replace(claim, num_clusters=NUMBER - 1)
    with pytest.raises(verify.VerificationError, match="claimed clusters"):
        proof(content, home, tmp_path, clusters=fewer, integer=integer)
    assert len(gzip.compress(content, 9)) < 0.92 * len(gzip.compress(before, 9))
    assert abs(len(content) - len(before)) < 200, "the file itself is as long as it was"
    if technique == "float32":
        # the batch norms of one of the two are folded into its kernels
        whole = cluster.claim(home, number_of_clusters=NUMBER, per_kernel=True)
        if any("norm" in layer.name for layer in model.layers):
            with refused():
                proof(content, home, tmp_path, clusters=whole)
        else:
            proof(content, home, tmp_path, clusters=whole)


@pytest.mark.parametrize("technique", ["dynamic_int8", "static_int8"])
def test_one_scale_keeps_the_values_of_a_whole_kernel_unless_a_batch_norm_was_folded_in(
    technique, clustered, files, tmp_path
):
    home, float32 = clustered[1], files[1]
    claim = cluster.claim(home, number_of_clusters=NUMBER, per_kernel=True)
    options = {"calibration": SPLIT.inputs[:64], "inputs": SPLIT.task.inputs} if technique == "static_int8" else {}
    integer = technique == "static_int8"
    one = getattr(ptq, technique)(float32, per_channel=False, **options)
    if any("norm" in layer.name for layer in home.layers):
        with refused():
            proof(one, home, tmp_path, integer=integer, clusters=claim)
    else:
        proof(one, home, tmp_path, integer=integer, clusters=claim)
    with refused():
        proof(getattr(ptq, technique)(float32, **options), home, tmp_path, integer=integer, clusters=claim)


def test_clusters_survive_quantization_aware_training(clustered, tmp_path):
    """In the 8-bit file a whole kernel has no more integers than it had clusters; unasked they are lost."""
    network, home = clustered
    claim = cluster.claim(home, number_of_clusters=NUMBER, per_kernel=True)
    before = [weight.numpy() for weight in network.weights]
    aware = qat.train(network, batches(), epochs=1, learning_rate=1e-3, preserve_clusters=NUMBER)
    content = tflite.convert(aware, TASK, integer=True)
    proof(content, home, tmp_path, integer=True, clusters=claim)
    proof(content, home, tmp_path, integer=True, clusters=dataclasses.replace(claim, per_kernel=False))
    assert accuracy(aware) > 0.95
    for old, new in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    if not any("norm" in layer.name for layer in home.layers):
        return  # one of the two networks is enough to see what happens unasked
    lost = tflite.convert(qat.train(network, batches(), epochs=1, learning_rate=1e-3), TASK, integer=True)
    for whole in (True, False):
        with refused():
            proof(lost, home, tmp_path, integer=True, clusters=dataclasses.replace(claim, per_kernel=whole))


@pytest.fixture(scope="module")
def sparse() -> keras.Model:
    """Half of the weights of its three large kernels pruned, by the real thing."""
    keras.utils.set_random_seed(0)
    pruning = prune.Prune(sparsity=0.5, begin_step=0, end_step=24, frequency=4)
    return fitted(BUILDERS["strided"](), epochs=4, callbacks=[pruning])


def test_sparsity_and_clusters_survive_together(sparse, tmp_path):
    """Pruned, clustered and trained quantization-aware: the file has both, and without either guard not."""
    keep = {"preserve_sparsity": True, "preserve_clusters": NUMBER}
    zeros = {name: sparse.get_layer(name).get_weights()[0] == 0 for name in ("conv1", "conv2", "conv3")}
    twin = bridge.to_tf_keras(sparse, probe=PIXELS[:8])
    network = cluster.train(
        twin, batches(), number_of_clusters=NUMBER, epochs=1, learning_rate=1e-3, preserve_sparsity=True
    )
    home = bridge.to_keras(network, like=sparse)
    for name, pruned in zeros.items():  # those and no others
        np.testing.assert_array_equal(home.get_layer(name).get_weights()[0] == 0, pruned)
    claims = {
        "integer": True,
        "sparsity": 0.5,
        "clusters": cluster.claim(home, number_of_clusters=NUMBER, per_kernel=True),
    }

    def file(**options):
        aware = qat.train(network, batches(), epochs=1, learning_rate=2e-3, **options)
        return tflite.convert(aware, TASK, integer=True)

    proof(file(**keep), home, tmp_path, **claims)
    claim = cluster.claim(home, number_of_clusters=NUMBER)
    proof(tflite.convert(home, TASK), home, tmp_path, sparsity=0.5, clusters=claim)
    with pytest.raises(verify.VerificationError, match="claimed sparsity"):
        proof(file(preserve_clusters=NUMBER), home, tmp_path, **claims)
    with refused():
        proof(file(preserve_sparsity=True), home, tmp_path, **claims)


def test_zeros_are_lost_unless_preserved(sparse):
    twin = bridge.to_tf_keras(sparse, probe=PIXELS[:8])
    network = cluster.train(twin, batches(), number_of_clusters=NUMBER, epochs=1, learning_rate=1e-3)
    assert all(np.mean(network.get_layer(name).get_weights()[0] == 0) < 0.1 for name in ("conv1", "conv2", "conv3"))


def test_a_channel_can_have_values_of_its_own(tmp_path):
    keras.utils.set_random_seed(0)
    model = fitted(BUILDERS["strided"]())
    twin = bridge.to_tf_keras(model, probe=PIXELS[:8])
    network = cluster.train(
        twin, batches(), number_of_clusters=6, epochs=1, learning_rate=1e-3, per_channel=True, initialization="linear"
    )
    home = bridge.to_keras(network, like=model)
    assert all(count.channel <= 6 < count.kernel for count in cluster.unique_values(home).values())
    claim = cluster.claim(home, number_of_clusters=6)
    with pytest.raises(ValueError, match=r"at most 6 distinct values a kernel\. Received: a model with \{'"):
        cluster.claim(home, number_of_clusters=6, per_kernel=True)
    aware = qat.train(network, batches(), epochs=1, learning_rate=1e-3, preserve_clusters=6)
    proof(tflite.convert(aware, TASK, integer=True), home, tmp_path, integer=True, clusters=claim)
    float32 = tflite.convert(home, TASK)
    proof(
        ptq.static_int8(float32, calibration=SPLIT.inputs[:64], inputs=SPLIT.task.inputs),
        home,
        tmp_path,
        integer=True,
        clusters=claim,
    )


@pytest.mark.parametrize("initialization", ["kmeans++", "linear", "density"])
@pytest.mark.parametrize("scale", [1.0, 2.0**-10])
def test_values_are_the_means_of_what_is_nearest_and_nearer_than_those_of_tf_mot(initialization, scale):
    """Against k-means written out, and against TF-MOT's own wrapper of the same kernel."""
    layer = tf_keras.layers.Dense(48, name="hidden", use_bias=False)
    image = tf_keras.Input((64,), name="image")
    network = tf_keras.Model(image, tf_keras.layers.Dense(3, name="logits")(layer(image)))
    weights = (np.random.default_rng(0).standard_t(4, (64, 48)) * 0.1 * scale).astype("float32")
    layer.set_weights([weights])
    ours = cluster.train(network, batches(), number_of_clusters=NUMBER, epochs=0, initialization=initialization)
    found = ours.get_layer("hidden").get_weights()[0]
    values = np.unique(found)
    assert len(values) <= NUMBER
    np.testing.assert_array_equal(found, values[np.abs(weights[..., None] - values).argmin(-1)])
    means = [weights[found == value].mean(dtype="float64") for value in values]
    np.testing.assert_allclose(values, means, rtol=1e-5)
    layer.set_weights([weights / scale])  # small kernels are clustered as large ones are
    large = cluster.train(network, batches(), number_of_clusters=NUMBER, epochs=0, initialization=initialization)
    np.testing.assert_array_equal(found / scale, large.get_layer("hidden").get_weights()[0])
    layer.set_weights([weights])

    enums = tfmot.clustering.keras.CentroidInitialization
    kind = {"kmeans++": enums.KMEANS_PLUS_PLUS, "linear": enums.LINEAR, "density": enums.DENSITY_BASED}[initialization]
    twin = tf_keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    stripped = tfmot.clustering.keras.strip_clustering(
        tfmot.clustering.keras.cluster_weights(twin, NUMBER, cluster_centroids_init=kind)
    )
    theirs = stripped.get_layer("hidden").get_weights()[0]
    assert np.square(found - weights).sum() < np.square(theirs - weights).sum()
    np.testing.assert_array_equal(network.get_layer("hidden").get_weights()[0], weights)


def net(**options) -> tf_keras.Model:
    """A convolution, a batch norm, a dropout, a hidden and a last layer."""
    tf_keras.utils.set_random_seed(3)
    layers = tf_keras.layers
    image = tf_keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(8, 3, strides=2, name="conv", **options)(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(momentum=0.9, name="norm")(x))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dropout(0.2, name="dropout")(layers.Flatten(name="flat")(x))
    x = layers.Dense(12, activation="relu", name="hidden")(x)
    return tf_keras.Model(image, layers.Dense(4, name="logits")(x))


def clustered_layers(network, number=NUMBER) -> set[str]:
    return {
        layer.name
        for layer in network.layers
        for weight in layer.weights
        if "kernel" in weight.name and len(np.unique(weight)) <= number
    }


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, {"conv", "hidden"}),
        (["conv"], {"conv"}),
        (["Dense"], {"hidden", "logits"}),
        (["DepthwiseConv2D", "logits"], {"depthwise", "logits"}),
    ],
)
def test_layers_are_chosen_by_name_or_class(layers, expected):
    network = cluster.train(net(), batches(), number_of_clusters=NUMBER, epochs=0, layers=layers)
    assert clustered_layers(network) == expected
    assert set(cluster.unique_values(network, layers=layers)) == expected


def test_training_moves_values_batch_norms_and_biases_and_leaves_the_callers_model():
    """TF-MOT's wrapper runs a batch norm and a dropout as if nothing were trained."""
    given = net()
    before = given.get_weights()
    start = cluster.train(given, batches(), number_of_clusters=NUMBER, epochs=0)
    end = cluster.train(given, batches(), number_of_clusters=NUMBER, epochs=2, learning_rate=1e-2)
    for old, new in zip(before, given.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for one, other in zip(start.weights, end.weights, strict=True):
        assert np.abs(one.numpy() - other.numpy()).max() > 1e-3, one.name
    for name in ("conv", "hidden"):  # the weights of a cluster moved, and moved together
        one, other = start.get_layer(name).get_weights()[0], end.get_layer(name).get_weights()[0]
        pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(one)) == NUMBER
    assert end.get_layer("dropout")._random_generator._generator is not None, "its state goes into checkpoints"
    curves = cluster.curves(end)
    assert curves.stage == "cluster"
    assert curves.values["loss"][1] < curves.values["loss"][0]


def test_a_frozen_layer_is_clustered_and_stays_as_it_is():
    given = net()
    given.get_layer("conv").trainable = False
    start, end = (
        cluster.train(given, batches(), number_of_clusters=NUMBER, epochs=epochs, learning_rate=1e-2)
        for epochs in (0, 1)
    )
    assert clustered_layers(end) == {"conv", "hidden"}
    for name, same in (("conv", True), ("hidden", False)):
        one, other = start.get_layer(name).get_weights()[0], end.get_layer(name).get_weights()[0]
        assert np.array_equal(one, other) == same


@pytest.mark.parametrize("stored", [False, True])
def test_the_teachers_answers_are_learnt(stored):
    given = net()
    seen = []

    def loss(labels, logits, answers):
        seen.append((logits.shape, answers.shape))
        return tf.reduce_sum((logits - answers) ** 2, axis=1)

    def teacher(inputs):
        return tf.one_hot(tf.zeros(tf.shape(inputs)[0], tf.int32), 4, 5.0, -5.0)

    taught = {"batches": batches(), "teacher": teacher}
    if stored:
        taught = {"batches": batches().map(lambda inputs, labels: (inputs, (labels, teacher(inputs))))}
    network = cluster.train(given, number_of_clusters=NUMBER, epochs=3, learning_rate=1e-2, loss=loss, **taught)
    assert seen[0] == ((None, 4), (None, 4))
    assert set(network(PIXELS, training=False).numpy().argmax(-1)) == {0}


def lesson(folder, *watchers, epochs=3):
    """Three steps an epoch, with a checkpoint after every step."""
    keras.utils.set_random_seed(7)
    workspace = Workspace("cluster", folder=folder / "checkpoints", logs=folder / "logs", every_seconds=0)
    return cluster.train(
        net(),
        pipeline.batches(quarters(96), batch_size=32, shuffle=True, seed=2),
        number_of_clusters=NUMBER,
        epochs=epochs,
        learning_rate=1e-3,
        validation=batches(),
        workspace=workspace,
        callbacks=watchers,
    )


def test_a_training_that_died_ends_bitwise_as_one_that_did_not(tmp_path):
    whole = lesson(tmp_path / "whole", At(0))
    for step in (2, 3):
        with pytest.raises(Killed):
            lesson(tmp_path / "parts", At(step))
    parts = lesson(tmp_path / "parts", At(0))
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)
    assert cluster.curves(whole) == cluster.curves(parts)
    assert clustered_layers(parts) == {"conv", "hidden"}


def test_what_tf_keras_own_callbacks_remember_outlives_a_death(tmp_path):
    """The first epoch is taken for the best: after two others the training ends, with the weights of the first."""

    def stopping():
        return tf_keras.callbacks.EarlyStopping("val_loss", mode="max", patience=2, restore_best_weights=True)

    whole = lesson(tmp_path / "whole", At(0), stopping(), epochs=5)
    assert len(cluster.curves(whole).values["loss"]) == 3
    with pytest.raises(Killed):
        lesson(tmp_path / "parts", At(5), stopping(), epochs=5)
    parts = lesson(tmp_path / "parts", At(0), stopping(), epochs=5)
    assert cluster.curves(whole) == cluster.curves(parts)
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)


def few_values(values, **options):
    network = net(**options)
    kernel, *rest = network.get_layer("conv").get_weights()
    network.get_layer("conv").set_weights([np.resize(np.asarray(values, "float32"), kernel.shape), *rest])
    return network


def test_what_has_few_values_already_keeps_them():
    values = np.linspace(-1, 1, NUMBER, dtype="float32")
    network = cluster.train(few_values(values), batches(), number_of_clusters=NUMBER, epochs=0, layers=["conv"])
    np.testing.assert_array_equal(np.unique(network.get_layer("conv").get_weights()[0]), values)


def test_zeros_and_only_they_stay_zero():
    given = net()
    generator = np.random.default_rng(0)
    kernel, *rest = given.get_layer("hidden").get_weights()
    kernel = generator.normal(size=kernel.shape) * (generator.random(kernel.shape) < 0.6)  # some are all but zero
    given.get_layer("hidden").set_weights([kernel, *rest])
    other = given.get_layer("conv")  # not clustered
    halved = other.get_weights()[0] * (generator.random(other.kernel.shape) < 0.5)
    other.kernel.assign(halved)
    network = cluster.train(
        given, batches(), number_of_clusters=5, epochs=1, layers=["hidden"], preserve_sparsity=True, learning_rate=1e-2
    )
    found = network.get_layer("hidden").get_weights()[0]
    np.testing.assert_array_equal(found == 0, kernel == 0)
    assert len(np.unique(found)) == 5
    found = network.get_layer("conv").get_weights()[0]
    assert not found[halved == 0].any()
    assert np.abs(found - halved).max() > 1e-3, "nothing was trained"


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_signs_of_a_batch_norm_go_into_the_kernel_before_it(use_bias):
    """Folded into the kernel in a file, a number under both signs would be two."""
    generator = np.random.default_rng(0)
    given = few_values(np.linspace(-1, 1, 8), use_bias=use_bias)
    norm = given.get_layer("norm")
    norm.set_weights([generator.uniform(0.5, 2, 8) * (-1) ** np.arange(8), *generator.uniform(0.5, 2, (3, 8))])
    if use_bias:
        given.get_layer("conv").bias.assign(generator.normal(size=8))
    network = cluster.train(given, batches(), number_of_clusters=NUMBER, epochs=0, layers=["conv"])
    np.testing.assert_allclose(network.get_layer("norm").gamma, np.abs(norm.gamma))
    np.testing.assert_allclose(network(PIXELS), given(PIXELS), rtol=1e-4, atol=1e-4)
    assert (given.get_layer("norm").gamma.numpy() < 0).any()


def softmax() -> tf_keras.Model:
    network = net()
    return tf_keras.Model(network.inputs, tf_keras.layers.Softmax(name="end")(network.outputs[0]))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (lambda: BUILDERS["plain"](), {}, r"bridge\.to_tf_keras.*Received: keras\..*Functional"),
        (net, {"number_of_clusters": 1}, r"at least 2 clusters\. Received: 1\."),
        (net, {"number_of_clusters": 2, "preserve_sparsity": True}, r"at least 3 clusters of which one is zero"),
        (net, {"number_of_clusters": 2.5}, r"at least 2 clusters\. Received: 2\.5"),
        (net, {"number_of_clusters": 72}, r"72 clusters for the 72 weights of layer 'conv'\. .*layers=\['hidden'\]"),
        (net, {"number_of_clusters": 9, "per_channel": True}, r"the 9 weights of a channel of layer 'conv'"),
        (net, {"initialization": "forgy"}, r"Received: 'forgy'\. Available: \['kmeans\+\+', 'linear', 'density'\]"),
        (net, {"layers": ["hiden"]}, r"Received: 'hiden'\. Near: \['hidden'\]; all: \['conv', 'depthwise'"),
        (net, {"layers": "conv"}, r"the one string 'conv'"),
        (net, {"layers": []}, r"at least one Conv2D"),
        (lambda: few_values([np.nan]), {}, r"finite weights\. Received: NaN or infinity in layer 'conv'"),
        (
            lambda: tf_keras.Sequential([tf_keras.layers.Dense(4, name="logits", input_shape=(3,))]),
            {},
            r"at least one Conv2D.*Received: a model with the layers \['logits'\]",
        ),
    ],
)
def test_what_cannot_be_clustered_is_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        cluster.train(given(), batches(), **{"number_of_clusters": NUMBER, "epochs": 1, **options})


def test_a_training_that_goes_wrong_is_refused():
    with pytest.raises(ValueError, match=r"Clustering needs batches of a known length\. Received: cardinality -1"):
        cluster.train(net(), batches().repeat(), number_of_clusters=NUMBER, epochs=1)
    with pytest.raises(ValueError, match="these weights are not finite"):
        cluster.train(
            net(), batches(), number_of_clusters=NUMBER, epochs=1, loss=lambda labels, logits: logits * np.nan
        )


def test_a_claim_that_the_model_does_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"at most 16 distinct values a channel\. Received: a model with \{'hidden'"):
        cluster.claim(net(), number_of_clusters=NUMBER)


def test_a_mobile_network_keeps_its_depthwise_kernels(tmp_path):
    keras.utils.set_random_seed(0)
    model = fitted(mobile_cnn.build(TASK, stem_filters=8, filters=(16,), strides=(1,)), epochs=8)
    twin = bridge.to_tf_keras(model, probe=PIXELS[:4])
    network = cluster.train(twin, batches(), number_of_clusters=NUMBER, epochs=1, learning_rate=1e-3)
    home = bridge.to_keras(network, like=model)
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert depthwise
    assert not {layer.name for layer in depthwise} & set(cluster.unique_values(home))
    aware = qat.train(network, batches(), epochs=1, learning_rate=1e-3, preserve_clusters=NUMBER)
    claim = cluster.claim(home, number_of_clusters=NUMBER, per_kernel=True)
    proof(tflite.convert(aware, TASK, integer=True), home, tmp_path, integer=True, clusters=claim)


@pytest.mark.slow
def test_mobilenet_v2_keeps_its_clusters_to_the_file():
    """All 35 of its convolutions that are not depthwise, behind batch norms, 9 to 1,280 channels wide."""
    keras.utils.set_random_seed(0)
    body = keras.applications.MobileNetV2((32, 32, 1), alpha=0.35, include_top=False, weights=None, pooling="avg")
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # a short training has to do
    image = keras.Input((32, 32, 1), name="image")
    x = body(keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image))
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(x))
    pictures = np.asarray(tf.image.resize(PIXELS, (32, 32)))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures, SPLIT.labels, batch_size=32, epochs=4, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((pictures, SPLIT.labels)).batch(32)
    options = {"epochs": 1, "learning_rate": 1e-4}
    network = cluster.train(bridge.to_tf_keras(model, probe=pictures[:4]), batches, number_of_clusters=32, **options)
    home = bridge.to_keras(network, like=model)
    aware = qat.train(network, batches, preserve_clusters=32, **options)
    content = tflite.convert(aware, dataclasses.replace(TASK, inputs=Image((32, 32, 1))), integer=True)
    found = kernel_stats.of(flatbuffer_utils.read_model_from_bytearray(bytearray(content)))
    claim = cluster.claim(home, number_of_clusters=32, per_kernel=True)
    assert len(claim.kernel_sizes) == 35
    assert sorted(claim.kernel_sizes) == sorted(one.size for one in found if one.distinct <= 32 < one.size)
    answers = aware(pictures, training=False).numpy().argmax(-1)
    assert np.mean(answers == SPLIT.labels) > 0.6


def test_the_way_of_a_recipe(model, clustered):
    """A clustered model is a Keras 3 model like any other: it is saved, predicted with and trained on."""
    _, home = clustered
    assert fitting.predict(home, SPLIT.inputs).shape == (len(SPLIT), 4)
    assert [layer.name for layer in home.layers] == [layer.name for layer in model.layers]


def test_a_convolution_of_as_many_groups_as_channels_is_left_out_on_both_sides():
    """Behind the bridge it is a DepthwiseConv2D; what is claimed of the model that comes home is the same."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(6, 3, name="wide")(image)
    x = keras.layers.Conv2D(12, 3, groups=6, name="deep")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    pictures = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype("float32")
    few = tf.data.Dataset.from_tensor_slices((pictures, np.zeros(8, "int32"))).batch(4)
    bridged = bridge.to_tf_keras(model, probe=pictures)
    home = bridge.to_keras(cluster.train(bridged, few, number_of_clusters=4, epochs=0), like=model)
    assert list(cluster.unique_values(bridged)) == list(cluster.unique_values(home)) == ["wide"]
    assert cluster.claim(home, number_of_clusters=4).kernel_sizes == (3 * 3 * 3 * 6,)
    np.testing.assert_array_equal(home.get_layer("deep").kernel, model.get_layer("deep").kernel)


def test_a_network_of_more_outputs_than_the_task_is_refused():
    model = net()
    two = tf_keras.Model(model.inputs, [model.outputs[0], model.outputs[0] + 1])
    with pytest.raises(
        ValueError, match=r"Clustering of a model of several outputs needs .* of as many tasks\. Received: the outputs"
    ):
        cluster.train(two, batches(), number_of_clusters=NUMBER, epochs=1)


def test_a_softmax_at_the_end_is_taken_off():
    found = cluster.train(softmax(), batches(), number_of_clusters=NUMBER, epochs=0)
    assert found.layers[-1].name == net().layers[-1].name


def test_probabilities_may_be_learnt_as_the_numbers_they_are():
    model = softmax()
    labels = model.predict(SPLIT.inputs.astype("float32"), verbose=0)
    data = tf.data.Dataset.from_tensor_slices((SPLIT.inputs.astype("float32"), labels)).batch(16)
    found = cluster.train(
        model, data, number_of_clusters=NUMBER, epochs=1, loss=lambda a, b: tf.reduce_mean((a - b) ** 2)
    )
    assert cluster.unique_values(found)["conv"].kernel <= NUMBER
    assert set(cluster.curves(found).values) == {"loss"}
