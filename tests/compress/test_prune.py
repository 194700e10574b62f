from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.compress import prune

STEPS_PER_EPOCH = 10


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(6, 3, name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(20, activation="relu", name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def blobs() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 80)
    return (generator.normal(size=(80, 8, 8, 1)) + labels[:, None, None, None]).astype("float32"), labels


def fit(
    model: keras.Model, callback: prune.Prune, *extra, epochs: int = 2, learning_rate: float = 0.01, **compile_options
):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, **compile_options)
    return model.fit(*blobs(), batch_size=8, epochs=epochs, verbose=0, callbacks=[callback, *extra])


class Recorder(keras.callbacks.Callback):
    """The zeros of every kernel after every step."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append(
            {layer.name: np.mean(layer.kernel.numpy() == 0) for layer in self.model.layers if layer.weights}
        )


def schedule(step: int, *, begin: int, end: int, frequency: int, initial: float, final: float) -> float:
    """Zhu & Gupta 2017, equation 1, held between two renewals."""
    if step < begin:
        return 0.0
    last = end if step >= end else begin + (step - begin) // frequency * frequency
    return final + (initial - final) * (1 - (last - begin) / (end - begin)) ** 3


def test_sparsity_follows_the_polynomial_at_every_step():
    model, recorder = network(), Recorder()
    # 13 is no multiple of 4: TF-MOT alone would stop at step 14 and never reach the target.
    numbers = {"begin_step": 2, "end_step": 15, "frequency": 4, "initial_sparsity": 0.2}
    fit(model, prune.Prune(sparsity=0.8, **numbers), recorder)
    assert len(recorder.rows) == 2 * STEPS_PER_EPOCH
    for step, row in enumerate(recorder.rows, start=1):
        wanted = schedule(step, begin=2, end=15, frequency=4, initial=0.2, final=0.8)
        for name in ("conv", "hidden"):
            size = model.get_layer(name).kernel.numpy().size
            assert row[name] == pytest.approx(wanted, abs=0.5001 / size), (step, name)
        assert row["depthwise"] == 0
        assert row["logits"] == 0
    assert prune.achieved(model) == pytest.approx(0.8, abs=0.005)


def test_mask_is_the_numpy_magnitude_cut_off():
    model = network()
    before = {name: model.get_layer(name).kernel.numpy() for name in ("conv", "hidden")}
    fit(model, prune.Prune(sparsity=0.7, begin_step=0, end_step=20, frequency=1), epochs=2, learning_rate=0.0)
    for name, kernel in before.items():
        cut = np.sort(np.abs(kernel).ravel())[kernel.size - round(kernel.size * 0.3)]
        np.testing.assert_array_equal(model.get_layer(name).kernel.numpy(), np.where(np.abs(kernel) >= cut, kernel, 0))


def test_zeros_stay_zero_while_training_goes_on():
    model = network()
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=5, frequency=1)
    recorder = Recorder()
    fit(model, callback, recorder)
    assert {round(row["hidden"], 6) for row in recorder.rows[5:]} == {0.5}


def test_masks_survive_an_averaging_optimizer():
    model = network()
    model.compile(
        keras.optimizers.Adam(0.01, use_ema=True), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=20, frequency=1)
    model.fit(*blobs(), batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    assert prune.achieved(model) == pytest.approx(0.5, abs=0.005)


def test_a_network_inside_another_model_is_pruned():
    class Around(keras.Model):
        def __init__(self, student):
            super().__init__()
            self.student = student

        def train_step(self, data):
            inputs, labels = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(inputs, labels, self.student(inputs, training=True))
            variables = self.student.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    student = network()
    callback = prune.Prune(sparsity=0.6, begin_step=0, end_step=20, frequency=5, model=student)
    fit(Around(student), callback)
    assert prune.achieved(student) == pytest.approx(0.6, abs=0.005)


def test_named_layers_only():
    model = network()
    fit(model, prune.Prune(sparsity=0.5, begin_step=0, end_step=20, frequency=1, layers=["depthwise"]))
    assert prune.achieved(model, layers=["depthwise"]) == pytest.approx(0.5, abs=0.01)
    assert prune.achieved(model, layers=["conv", "hidden", "logits"]) == 0
    with pytest.raises(ValueError, match=r"Received: 'hiden'.*Near: \['hidden'\]"):
        prune.kernels(model, layers=["hiden"])
    with pytest.raises(ValueError, match="at least one layer"):
        prune.kernels(model, layers=[])


def test_layers_of_a_type():
    """A type that is named takes the last Dense as well, and depthwise kernels."""
    assert [name for name, _ in prune.kernels(network(), layers=[keras.layers.Dense])] == ["hidden", "logits"]
    both = [keras.layers.DepthwiseConv2D, "conv"]
    assert [name for name, _ in prune.kernels(network(), layers=both)] == ["conv", "depthwise"]
    with pytest.raises(ValueError, match=r"Received: 'Conv1D'\. Near: \['Conv2D'"):
        prune.kernels(network(), layers=[keras.layers.Conv1D])


def test_two_fits_count_as_one_run():
    model = network()
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=10, frequency=1)
    fit(model, callback, epochs=1)
    fit(model, callback, epochs=1)
    assert prune.achieved(model) == pytest.approx(0.5, abs=0.005)


def test_too_few_steps_are_refused_before_training():
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"at step 21\. Received: 2 epochs of 10 steps"):
        fit(model, prune.Prune(sparsity=0.5, begin_step=0, end_step=21, frequency=1))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_unknown_length_is_refused():
    model = network()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    endless = tf.data.Dataset.from_tensor_slices(blobs()).batch(8).repeat()
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=5, frequency=1)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(endless, verbose=0, callbacks=[callback])
    model.fit(endless, steps_per_epoch=5, verbose=0, callbacks=[callback])
    assert prune.achieved(model) == pytest.approx(0.5, abs=0.005)


def test_several_steps_in_one_execution_are_refused():
    with pytest.raises(ValueError, match=r"steps_per_execution=1\. Received: 2"):
        fit(network(), prune.Prune(sparsity=0.5, begin_step=0, end_step=5, frequency=1), steps_per_execution=2)


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 3


def test_a_run_that_stops_early_is_an_error():
    with pytest.raises(ValueError, match="after step 4"):
        fit(network(), prune.Prune(sparsity=0.5, begin_step=0, end_step=15, frequency=1), Stop())


def test_tied_weights_are_an_error():
    model = network()
    model.get_layer("hidden").kernel.assign(np.full((96, 20), 0.1, "float32"))
    with pytest.raises(ValueError, match="are weights tied"):
        fit(model, prune.Prune(sparsity=0.5, begin_step=0, end_step=20, frequency=1), learning_rate=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sparsity": 1.0},
        {"sparsity": 0.0},
        {"initial_sparsity": 0.6},
        {"initial_sparsity": -0.1},
        {"begin_step": -1},
        {"begin_step": 10},
        {"frequency": 0},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Pruning needs 0 <= "):
        prune.Prune(**{"sparsity": 0.5, "begin_step": 0, "end_step": 10, "frequency": 1, **wrong})


def test_nothing_to_prune_is_refused():
    image = keras.Input((4,), name="image")
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(image))
    with pytest.raises(ValueError, match="Name layers to prune"):
        prune.kernels(model)
    assert [name for name, _ in prune.kernels(model, layers=["logits"])] == ["logits"]


def in_layers_made_of_layers() -> keras.Model:
    """Kernels inside of a layer that is made of others, one of them as many groups as it has channels."""

    class Block(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.wide = keras.layers.Conv2D(6, 3, name="wide")
            self.deep = keras.layers.Conv2D(6, 3, groups=6, name="deep")

        def build(self, shape):
            self.wide.build(shape)
            self.deep.build(self.wide.compute_output_shape(shape))

        def call(self, inputs):
            return self.deep(self.wide(inputs))

    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(Block(name="block")(image))
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def test_kernels_are_found_in_layers_made_of_layers_and_depthwise_ones_left_out():
    model = in_layers_made_of_layers()
    assert [name for name, _ in prune.kernels(model)] == ["block/wide"]
    fit(model, prune.Prune(sparsity=0.5, begin_step=0, end_step=10, frequency=2), epochs=1)
    wide, deep = model.get_layer("block").wide.kernel, model.get_layer("block").deep.kernel
    assert np.mean(np.asarray(wide) == 0) == pytest.approx(0.5, abs=0.01)
    assert np.all(np.asarray(deep) != 0)


def test_a_convolution_over_a_text_is_pruned():
    keras.utils.set_random_seed(3)
    signal = keras.Input((8, 8), name="signal")
    x = keras.layers.Conv1D(6, 3, name="patterns")(signal)
    model = keras.Model(signal, keras.layers.Dense(3, name="logits")(keras.layers.GlobalMaxPooling1D()(x)))
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel = model.get_layer("patterns").kernel.numpy()
    pictures, labels = blobs()
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=10, frequency=5)
    model.fit(pictures[..., 0], labels, batch_size=8, epochs=1, verbose=0, callbacks=[callback])
    smallest = np.abs(kernel) < np.sort(np.abs(kernel).ravel())[kernel.size // 2]
    np.testing.assert_array_equal(model.get_layer("patterns").kernel.numpy(), np.where(smallest, 0, kernel))


def test_a_constant_schedule_is_there_from_its_first_step():
    model, recorder = network(), Recorder()
    pruning = prune.Prune(sparsity=0.6, begin_step=3, end_step=12, frequency=5, schedule="constant")
    fit(model, pruning, recorder)
    sizes = {name: model.get_layer(name).kernel.numpy().size for name in ("conv", "hidden")}
    for step, row in enumerate(recorder.rows, start=1):
        for name, size in sizes.items():
            assert row[name] == pytest.approx(0.6 if step >= 3 else 0.0, abs=0.5001 / size), (step, name)


def patterned() -> keras.Model:
    """A first convolution of one channel, which fits no pattern, and kernels of 8 and 72 inputs, which do."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(8, 3, name="stem")(image)
    x = keras.layers.Conv2D(6, 4, name="conv")(x)
    x = keras.layers.Dense(8, activation="relu", name="hidden")(keras.layers.Flatten(name="flatten")(x))
    x = keras.layers.Dense(12, activation="relu", name="wide")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


@pytest.mark.parametrize("begin", [0, 4])
def test_two_of_every_four_neighbours_are_the_smallest(begin):
    model = patterned()
    before = {name: model.get_layer(name).kernel.numpy() for name in ("stem", "conv", "wide")}
    pruning = prune.Prune(
        sparsity=0.5, begin_step=begin, end_step=8, frequency=2, pattern=(2, 4), layers=["conv", "wide"]
    )
    fit(model, pruning, epochs=1, learning_rate=0.0)
    np.testing.assert_array_equal(model.get_layer("stem").kernel.numpy(), before["stem"])
    for name in ("conv", "wide"):
        after = np.moveaxis(model.get_layer(name).kernel.numpy(), -2, -1).reshape(-1, 4)
        old = np.moveaxis(before[name], -2, -1).reshape(-1, 4)
        smallest = np.argsort(np.abs(old), axis=1)[:, :2]
        wanted = old.copy()
        np.put_along_axis(wanted, smallest, 0.0, axis=1)
        np.testing.assert_array_equal(after, wanted)


def test_a_pattern_goes_on_learning_and_takes_the_kernels_that_it_fits():
    model = patterned()
    fit(model, prune.Prune(sparsity=0.5, begin_step=0, end_step=15, frequency=3, pattern=(2, 4)), epochs=2)
    for name, zeros in (("stem", 0.0), ("conv", 0.5), ("wide", 0.5), ("logits", 0.0)):
        assert np.mean(model.get_layer(name).kernel.numpy() == 0) == zeros, name


def test_blocks_of_the_smallest_mean_go():
    model = patterned()
    before = model.get_layer("wide").kernel.numpy()
    pruning = prune.Prune(sparsity=0.5, begin_step=0, end_step=6, frequency=2, block=(4, 2), layers=["wide"])
    fit(model, pruning, epochs=1, learning_rate=0.0)
    after = model.get_layer("wide").kernel.numpy()
    means = np.abs(before).reshape(2, 4, 6, 2).mean((1, 3))
    kept = means >= np.sort(means.ravel())[6]
    np.testing.assert_array_equal(after, before * np.kron(kept, np.ones((4, 2), "float32")))


def test_kernels_reach_what_whole_weights_and_blocks_allow():
    """54 weights keep 22 of the 21.6 that were wanted, 12 blocks 4 of 3.6."""
    model = network()
    fit(model, prune.Prune(sparsity=0.6, begin_step=0, end_step=6, frequency=2, layers=["conv"]), epochs=1)
    assert np.sum(model.get_layer("conv").kernel.numpy() != 0) == 22
    model = patterned()
    blocks = {"block": (4, 2), "layers": ["wide"]}
    fit(model, prune.Prune(sparsity=0.7, begin_step=0, end_step=6, frequency=2, **blocks), epochs=1)
    assert np.sum(model.get_layer("wide").kernel.numpy() != 0) == 4 * 8


def test_one_row_of_blocks_is_none():
    options = {"sparsity": 0.5, "begin_step": 0, "end_step": 6, "frequency": 2}
    with pytest.raises(ValueError, match=r"two or more each way.*wide \(8, 12\)"):
        fit(patterned(), prune.Prune(**options, block=(8, 2), layers=["wide"]), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "linear"}, "Received: schedule='linear'"),
        ({"schedule": "constant", "initial_sparsity": 0.2}, "without an initial_sparsity"),
        ({"pattern": (2, 4), "sparsity": 0.6}, r"sparsity of 0\.5 from its first step on"),
        ({"pattern": (4, 4)}, "fewer zeros than neighbours"),
        ({"pattern": (2, 4), "block": (2, 2)}, "not in both"),
        ({"block": (0, 1)}, "blocks of one or more"),
    ],
)
def test_zeros_in_no_such_shape_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        prune.Prune(**({"sparsity": 0.5, "begin_step": 0, "end_step": 4, "frequency": 1} | options))


def test_kernels_that_a_pattern_does_not_fit_are_named():
    pruning = prune.Prune(sparsity=0.5, begin_step=0, end_step=4, frequency=1, pattern=(2, 4), layers=["stem", "conv"])
    with pytest.raises(ValueError, match=r"Received: stem \(3, 3, 1, 8\)"):
        fit(patterned(), pruning, epochs=1)
    pruning = prune.Prune(sparsity=0.5, begin_step=0, end_step=4, frequency=1, block=(2, 2), layers=["conv"])
    with pytest.raises(ValueError, match=r"Received: conv \(4, 4, 8, 6\)"):
        fit(patterned(), pruning, epochs=1)


def test_over_the_first_half_the_sparsity_is_reached_and_stays():
    model, recorder = network(), Recorder()
    fit(model, prune.over_first_half(model, sparsity=0.5, steps=2 * STEPS_PER_EPOCH), recorder)
    found = [row["conv"] for row in recorder.rows]
    assert found[STEPS_PER_EPOCH // 2 - 1] == pytest.approx(0.5 * (1 - 0.5**3), abs=0.03)  # halfway to the last zeros
    assert found[STEPS_PER_EPOCH - 1 :] == pytest.approx([0.5] * (STEPS_PER_EPOCH + 1), abs=0.02)


def test_masks_are_renewed_fifty_times_in_a_long_training():
    assert prune.over_first_half(network(), sparsity=0.5, steps=1000).schedule.frequency == 20
    assert prune.over_first_half(network(), sparsity=0.5, steps=40).schedule.frequency == 1
    with pytest.raises(ValueError, match=r"two steps or more\. Received: a training of 1\..*--tune\.epochs"):
        prune.over_first_half(network(), sparsity=0.5, steps=1)
