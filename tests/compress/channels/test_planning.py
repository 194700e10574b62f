from __future__ import annotations

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from toy import assert_like_masked, at_random, float64

import kerastl.models
from kerastl.compress import channels
from kerastl.compress.channels import coupling, importance
from kerastl.data import pipeline
from kerastl.distil import distiller, losses
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, precision
from kerastl.types import Schedule, Split, Task

THREE = Task("three", Image((10, 10, 1)), SingleLabel(("a", "b", "c")))
GREY = Task("grey", Image((28, 28, 1)), SingleLabel(tuple("0123456789")))
BUILDERS = [
    (kerastl.models.strided_lenet, "small"),
    (kerastl.models.mobile_cnn, "small"),
    (kerastl.models.lenet_style, "textbook"),
    (kerastl.models.resnet, "mobile"),
    (kerastl.models.all_conv_net, "tiny"),
]
APPLICATIONS = ["MobileNetV2", "MobileNetV3Small", "ResNet50V2", "EfficientNetB0", "DenseNet121", "NASNetMobile"]
QUICK = {"MobileNetV2": {"alpha": 0.35}}
SLOW = pytest.mark.slow


@pytest.fixture
def _float64():
    with float64():
        yield


def in_float64(model: keras.Model) -> keras.Model:
    """Builders ask for logits in float32."""
    config = model.get_config()
    for layer in config["layers"]:
        layer["config"]["dtype"] = "float64"
    return at_random(keras.Model.from_config(config))


def small_net(conv: int = 6, second: int = 5) -> keras.Model:
    image = keras.Input((10, 10, 1), name="image")
    x = layers.Conv2D(conv, 3, use_bias=False, name="conv")(layers.Rescaling(1 / 255, name="rescale")(image))
    x = layers.ReLU(name="relu")(layers.BatchNormalization(momentum=0.5, name="norm")(x))
    x = layers.Conv2D(second, 3, kernel_regularizer="l2", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return at_random(keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x), name="small_net"))


def examples(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, count).astype("int32")
    return (draw.uniform(0, 100, (count, 10, 10, 1)) + 70 * labels[:, None, None, None]).astype("float32"), labels


def batches(size: int = 8) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(examples()).batch(size)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("module", "size"), BUILDERS, ids=lambda one: getattr(one, "__name__", one).split(".")[-1])
def test_own_builders_answer_like_zeros(module, size):
    model = in_float64(getattr(module, size)(GREY))
    plan = channels.plan(model, keep_ratio=0.5, divisor=4)
    small = channels.apply(model, plan)
    assert plan.multiply_adds.after <= plan.multiply_adds.before / 2
    assert channels.multiply_adds(small) == plan.multiply_adds.after
    assert small.count_params() == plan.parameters.after < plan.parameters.before == model.count_params()
    assert set(plan.unprunable) == {"logits"}
    assert_like_masked(model, small, np.random.default_rng(1).uniform(0, 255, (2, 28, 28, 1)))


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=SLOW) for name in APPLICATIONS])
def test_applications_answer_like_zeros(name):
    """Of the rest every kind of layer has a net of its own in `test_rules`."""
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=7, classifier_activation=None, **QUICK.get(name, {})
    )
    at_random(model)
    small = channels.apply(model, channels.plan(model, keep_ratio=0.5))
    assert channels.multiply_adds(small) <= channels.multiply_adds(model) / 2
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert_like_masked(model, small, np.random.default_rng(1).normal(0, 1, (2, 32, 32, 3)))


# Millions of multiply-adds at 224 pixels, as published: Howard et al. 2017 (table 8), Sandler et al. 2018 (table 4),
# Howard et al. 2019 (table 3), He et al. 2015 (table 1, "3.8 x 10^9").
PUBLISHED = {
    "MobileNet": (569, 1),
    "MobileNetV2": (300, 1),
    "MobileNetV3Small": (56, 1),
    "ResNet50": (3800, 100),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_are_the_published_ones(name):
    wanted, tolerance = PUBLISHED[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(224, 224, 3))
    assert channels.multiply_adds(model) / 1e6 == pytest.approx(wanted, abs=tolerance)


def test_pictures_of_any_size_have_no_multiply_adds_but_parameters():
    image = keras.Input((None, None, 1), name="image")
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(8, 3, name="conv")(image))
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    with pytest.raises(ValueError, match=r"a model of pictures of any size, of which layers \['conv'\] make maps"):
        channels.multiply_adds(model)
    with pytest.raises(ValueError, match="pictures of any size"):
        channels.plan(model, keep_ratio=0.5)
    plan = channels.plan(model, keep_ratio=0.5, cost="parameters", divisor=1)
    assert plan.multiply_adds is None
    assert plan.parameters == (98, 38)  # 12 a channel, and 2
    assert channels.apply(model, plan).count_params() == 38


@pytest.mark.parametrize("of", channels.COSTS)
def test_nothing_removed_is_bitwise_the_same(of):
    model = small_net()
    plan = channels.plan(model, keep_ratio=1.0, cost=of)
    assert plan.removed == {}
    assert plan.multiply_adds.before == plan.multiply_adds.after
    inputs, _ = examples(16)
    same = channels.apply(model, plan)
    np.testing.assert_array_equal(same(inputs, training=False), model(inputs, training=False))


def test_the_rest_of_the_model_stays_as_it_was():
    model = small_net()
    model.get_layer("second").trainable = False
    model.compile("adam", "mse")
    before, config = model.get_weights(), model.to_json()
    small = channels.apply(model, channels.plan(model, keep_ratio=0.6, divisor=1))
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert small.name == "small_net"
    assert not small.get_layer("second").trainable
    assert small.get_layer("second").kernel_regularizer is not None
    assert small.get_layer("logits").dtype_policy.name == "float32"
    assert small.get_layer("norm").momentum == 0.5
    small.set_weights([weight * 0 for weight in small.get_weights()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.to_json() == config


def test_mixed_precision_and_saving(tmp_path):
    with precision.dtype_policy("mixed_bfloat16"):
        model = small_net()
    small = channels.apply(model, channels.plan(model, keep_ratio=0.5, divisor=1))
    assert small.get_layer("conv").dtype_policy.name == "mixed_bfloat16"
    fitting.save_model(small, tmp_path / "model.keras")
    inputs, _ = examples(16)
    again = fitting.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(inputs, training=False), small(inputs, training=False))
    plan = channels.plan(again, keep_ratio=0.9, divisor=1)  # and a pruned one is pruned again
    assert channels.apply(again, plan).count_params() < small.count_params()


def cost_by_hand(conv: int, second: int) -> int:
    """Multiply-adds of `small_net` with so many channels."""
    return 64 * 9 * conv + 36 * 9 * conv * second + second * 3


def greedy_by_hand(scores: dict[str, np.ndarray], *, keep: float, priced: bool) -> dict[str, tuple[int, ...]]:
    """What goes of `small_net`, one channel after the other, by recounting everything for every choice."""
    left = {name: sorted(range(len(values)), key=values.__getitem__) for name, values in scores.items()}
    gone: dict[str, list[int]] = {name: [] for name in scores}

    def cost(without: str = "") -> int:
        return cost_by_hand(*(len(left[name]) - (name == without) for name in ("conv", "second")))

    goal = keep * cost()
    while cost() > goal:
        offers = [name for name in left if len(left[name]) > 1]
        price = {name: scores[name][left[name][0]] / (cost() - cost(name) if priced else 1) for name in offers}
        chosen = min(offers, key=price.__getitem__)
        if cost(chosen) <= goal:
            chosen = min((name for name in offers if cost(name) <= goal), key=lambda name: scores[name][left[name][0]])
        gone[chosen].append(left[chosen].pop(0))
    return {name: tuple(sorted(places)) for name, places in gone.items() if places}


@pytest.mark.parametrize("keep", [0.9, 0.7, 0.5, 0.3])
def test_by_norms_those_go_that_are_least_beside_their_family(keep):
    model = small_net()
    plan = channels.plan(model, keep_ratio=keep, divisor=1, min_keep_ratio=0.01)
    kernels = {name: model.get_layer(name).kernel.numpy() ** 2 for name in ("conv", "second", "logits")}
    norm, bias = model.get_layer("norm"), model.get_layer("second").bias.numpy() ** 2
    sums = {
        "conv": kernels["conv"].sum((0, 1, 2)) + kernels["second"].sum((0, 1, 3)),
        "second": kernels["second"].sum((0, 1, 2)) + bias + kernels["logits"].sum(1),
    }
    sums["conv"] += norm.gamma.numpy() ** 2 + norm.beta.numpy() ** 2
    scores = {name: np.sqrt(values) / np.sqrt(values).mean() for name, values in sums.items()}
    assert plan.removed == greedy_by_hand(scores, keep=keep, priced=False)
    after = (6 - len(plan.removed.get("conv", ())), 5 - len(plan.removed.get("second", ())))
    assert plan.multiply_adds == (cost_by_hand(6, 5), cost_by_hand(*after))


@pytest.mark.parametrize(("widths", "seed"), [((16, 24), 0), ((16, 24), 1), ((6, 5), 8)])
def test_by_data_those_go_that_are_missed_least_for_what_they_save(widths, seed):
    """In the last of them prices of long ago would choose otherwise."""
    model = at_random(small_net(*widths), seed=seed)
    found = coupling.coupled(model)
    units = importance.outputs(model, found, batches=batches())
    scores = {name: units[found.made[name]] for name in ("conv", "second")}
    for keep in (0.995, 0.9, 0.8, 0.6, 0.5, 0.4, 0.35, 0.2):
        plan = channels.plan(
            model, keep_ratio=keep, divisor=1, min_keep_ratio=0.01, criterion="outputs", batches=batches()
        )
        assert plan.removed == greedy_by_hand(scores, keep=keep, priced=True), keep


@functools.cache
def trained() -> keras.Model:
    fitting.set_seed(0)
    model = small_net()
    schedule = Schedule(epochs=8, batch_size=8, peak_learning_rate=0.02)
    fitting.fit(model, batches(), schedule=schedule, task=THREE, progress=False)
    return model


def lost(removed: dict[str, tuple[int, ...]], like: channels.Plan) -> float:
    """The loss of the trained model without these channels."""
    inputs, labels = examples()
    pruned = channels.apply(trained(), channels.Plan(removed, like.channels, None, like.parameters, {}))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(labels, pruned(inputs, training=False)))


@functools.cache
def lost_at_random(keep: float) -> tuple[float, ...]:
    """The losses of random plans that reach a goal."""
    like, draw = channels.plan(trained(), keep_ratio=1.0), np.random.default_rng(0)
    sizes = [
        (a, b)
        for a, b in itertools.product(range(5), range(4))
        if cost_by_hand(6 - a, 5 - b) <= keep * cost_by_hand(6, 5)
    ]
    found = []
    for _ in range(15):
        a, b = sizes[draw.integers(len(sizes))]
        conv, second = sorted(draw.permutation(6)[:a].tolist()), sorted(draw.permutation(5)[:b].tolist())
        found.append(lost({"conv": tuple(conv), "second": tuple(second)}, like))
    return tuple(found)


@pytest.mark.parametrize("criterion", ["taylor", "outputs"])
def test_what_data_says_is_better_than_most_of_all_plans(criterion):
    chosen = channels.plan(trained(), keep_ratio=0.6, divisor=1, criterion=criterion, batches=batches(16).repeat(8))
    mine, others = lost(dict(chosen.removed), chosen), lost_at_random(0.6)
    print(f"chosen {mine:.3f}; random {np.percentile(others, [0, 25, 50]).round(3)}")
    assert mine <= np.percentile(others, 25)


@pytest.mark.parametrize("criterion", ["taylor", "outputs"])
def test_what_is_asked_is_known_by_the_batches_or_said(criterion):
    """Of several classes an example, each a question of its own, other channels may go."""
    inputs, labels = examples()
    several = Task("several", Image((10, 10, 1)), MultiLabel(("a", "b", "c")))
    split = Split("train", inputs, np.eye(3, dtype="uint8")[labels], several)
    made = pipeline.batches(split, batch_size=8)
    flat = small_net()
    found = coupling.coupled(flat)
    measure = importance.taylor if criterion == "taylor" else importance.outputs
    seen = []

    def noted(*arguments, **options):
        seen.append(options["task"])
        return measure(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, criterion, noted)
        options = {"keep_ratio": 0.6, "divisor": 1, "criterion": criterion}
        known = channels.plan(flat, batches=made, **options)
        said = channels.plan(flat, batches=made.take(len(made)), task=several, **options)
    assert seen == [several, several]
    assert known == said
    assert not np.allclose(
        importance.outputs(flat, found, batches=made, task=several), importance.outputs(flat, found, batches=made)
    )


def test_numbers_of_channels_are_multiples_and_families_keep_a_share():
    model = kerastl.models.resnet.small(GREY)
    plan = channels.plan(model, keep_ratio=0.3, divisor=8, min_keep_ratio=0.45)
    for name, (before, after) in plan.channels.items():
        if after != before:
            assert after % 8 == 0, name
            assert after >= 0.45 * before, name
    assert min(after / before for before, after in plan.channels.values()) == 0.5
    with pytest.raises(
        ValueError, match=r"with 0\.2 of the multiply-adds \(9,345,920\).* has 0\.253 of them when.*--keep-ratios"
    ):
        channels.plan(model, keep_ratio=0.2, divisor=8, min_keep_ratio=0.45)


def test_a_network_of_which_nothing_can_go_says_why_and_what_to_ask_for():
    series = keras.Input((6, 3))
    model = keras.Model(series, layers.Dense(2)(layers.LSTM(8, name="memory")(series)))
    words = r"still has all of them when .*--keep-ratios.*Of its channels stay 8 because 'memory' of class LSTM is not"
    with pytest.raises(ValueError, match=words):
        channels.plan(model, keep_ratio=0.5)


def test_whole_groups_make_the_multiples():
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(32, 1, name="first")(image)
    x = layers.Conv2D(32, 3, groups=16, padding="same", name="grouped")(x)  # a unit is two channels of both
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    plan = channels.plan(model, keep_ratio=0.75, divisor=8)
    assert plan.channels["grouped"] == plan.channels["first"] == (32, 24)
    assert channels.apply(model, plan).get_layer("grouped").groups == 12


def test_layers_that_are_to_be_left():
    model = kerastl.models.resnet.small(GREY)
    plan = channels.plan(model, keep_ratio=0.7, divisor=4, exclude=["stem*", "stage2_block1_conv1"])
    assert plan.unprunable["stem"] == "16 of 16 channels: the layer was to be left"
    assert plan.unprunable["stage1_block1_conv2"] == "16 of 16 channels: the layer was to be left"  # tied to the stem
    assert not {"stem", "stage1_block1_conv2", "stage2_block1_conv1"} & set(plan.removed)
    with pytest.raises(ValueError, match=r"Received: 'sten\*', which fits none of"):
        channels.plan(model, keep_ratio=0.7, exclude=["sten*"])


def test_a_goal_out_of_reach_names_the_least():
    image = keras.Input((4,), name="image")
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.Dense(8, name="hidden")(image)))
    with pytest.raises(
        ValueError,
        match=r"one that still has 0.250 of them .* a smaller divisor than 2, or a smaller min_keep_ratio than 0.2",
    ) as error:
        channels.plan(model, keep_ratio=0.1, divisor=2, min_keep_ratio=0.2)
    assert "4 because they are an input of the model; 2 because they are an output of the model" in str(error.value)
    assert channels.plan(model, keep_ratio=0.25, divisor=2, min_keep_ratio=0.2).channels["hidden"] == (8, 2)


def test_layers_inside_layers_are_left_and_named():
    tokens = keras.Input((6, 8), name="tokens")
    x = layers.Dense(8, name="before")(tokens)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Dense(16, activation="gelu", name="hidden")(layers.LayerNormalization(name="norm")(x))
    x = layers.Dense(8, name="back")(x)
    model = keras.Model(tokens, layers.Dense(2, name="logits")(layers.LayerNormalization(name="norm_2")(x)))
    plan = channels.plan(model, keep_ratio=0.6, divisor=4)
    assert set(plan.removed) == {"hidden"}
    assert plan.uncounted == ("attention",)
    assert "'attention' of class MultiHeadAttention is not known" in plan.unprunable["before"]
    inputs = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    assert channels.apply(model, plan)(inputs).shape == (2, 6, 2)


def test_scales_of_norms_leave_what_has_no_norm():
    model = small_net()
    plan = channels.plan(model, keep_ratio=0.6, divisor=1, criterion="norm_scale")
    assert set(plan.removed) == {"conv"}
    gamma = np.abs(model.get_layer("norm").gamma.numpy())
    assert set(plan.removed["conv"]) == set(np.argsort(gamma)[: len(plan.removed["conv"])].tolist())


def test_bytes_follow_the_precision_that_weights_are_kept_in():
    image = keras.Input((8,), name="image")
    x = layers.Dense(16, use_bias=False, dtype="float16", name="half")(image)
    x = layers.Dense(16, use_bias=False, name="whole")(x)
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="logits")(x))
    plan = channels.plan(model, keep_ratio=0.5, cost="bytes", divisor=1)
    half, whole = plan.channels["half"].after, plan.channels["whole"].after
    assert 2 * 8 * half + 4 * half * whole + 4 * whole * 2 <= (2 * 8 * 16 + 4 * 16 * 16 + 4 * 32) / 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_ratio": 0.0},
        {"keep_ratio": 1.1},
        {"min_keep_ratio": 0.0},
        {"divisor": 0},
        {"cost": "flops"},
        {"criterion": "l3"},
        {"criterion": "taylor"},
        {"criterion": "l1", "batches": [1]},
    ],
)
def test_words_and_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Received: (keep_ratio|cost)="):
        channels.plan(small_net(), **{"keep_ratio": 0.5, **wrong})


def test_a_plan_of_another_model_is_refused():
    model = small_net()
    plan = channels.plan(model, keep_ratio=0.6, divisor=1)
    other = kerastl.models.resnet.small(GREY)
    with pytest.raises(ValueError, match="The plan is of a model with other layers"):
        channels.apply(other, plan)
    part = channels.plan(other, keep_ratio=0.6, divisor=4)
    halved = {**part.removed, "stage3_block1_conv2": part.removed["stage3_block1_conv2"][1:]}
    with pytest.raises(ValueError, match="its layers tie channels otherwise"):
        channels.apply(other, channels.Plan(halved, part.channels, None, part.parameters, {}))
    for removed in ({"logits": (0,)}, {"second": tuple(range(5))}):
        with pytest.raises(ValueError, match=r"Received: for layer '(logits|second)'"):
            channels.apply(model, channels.Plan(removed, plan.channels, None, plan.parameters, {}))


def test_a_plan_is_for_the_weights_of_later_as_well():
    """Between planning and building the model may learn."""
    model = small_net()
    plan = channels.plan(model, keep_ratio=0.6, divisor=1)
    at_random(model, seed=5)
    small = channels.apply(model, plan)
    kept = [place for place in range(6) if place not in plan.removed.get("conv", ())]
    np.testing.assert_array_equal(small.get_layer("norm").gamma, model.get_layer("norm").gamma.numpy()[kept])


def test_what_is_pruned_learns_on_under_the_unpruned_model():
    inputs, labels = examples(128)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(16)
    fitting.set_seed(0)
    image = keras.Input((10, 10, 1), name="image")
    x = layers.Conv2D(16, 3, strides=2, name="conv")(layers.Rescaling(1 / 255, name="rescale")(image))
    x = layers.ReLU(name="relu")(layers.BatchNormalization(momentum=0.5, name="norm")(x))
    x = layers.Flatten(name="flat")(layers.Conv2D(16, 3, activation="relu", name="second")(x))
    model = keras.Model(image, layers.Dense(3, name="logits")(x))
    schedule = Schedule(epochs=6, batch_size=16, peak_learning_rate=0.01)
    fitting.fit(model, data, schedule=schedule, task=THREE, progress=False)
    small = channels.apply(model, channels.plan(model, keep_ratio=0.5, batches=data, divisor=4))
    soft = functools.partial(losses.kl_divergence, temperature=2.0)
    lesson = distiller.Distiller(student=small, teacher=model, loss=soft, weight=0.5)
    fitting.fit(lesson, data, schedule=schedule, task=THREE, progress=False)
    whole, pruned = (np.mean(fitting.predict(one, inputs).argmax(1) == labels) for one in (model, small))
    print(f"accuracy {whole:.3f}, pruned {pruned:.3f}")
    assert channels.multiply_adds(small) <= 0.5 * channels.multiply_adds(model)
    assert pruned >= whole - 0.05 >= 0.85
