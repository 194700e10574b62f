"""Small vision transformers of random weights, saved by keras-hub itself and loaded by their folders."""

from __future__ import annotations

import dataclasses
import functools

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from kerastl import verify
from kerastl.compress import prune, ptq
from kerastl.data.reading import PictureReading
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.models import pretrained
from kerastl.models.pretrained import backbone, graph, presets
from kerastl.recipes import image_classifier
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import transfer
from kerastl.types import Task
from kerastl.untrusted import keras_file
from kerastl.verify import benchmark

SIZE, PATCH, WIDTH, BLOCKS = 32, 8, 16, 3
SIZES = {"image_shape": (SIZE, SIZE, 3), "num_layers": BLOCKS, "num_heads": 2, "hidden_dim": WIDTH}
TASK = Task("sides", Image((SIZE, SIZE, 3)), SingleLabel(("left", "right", "neither")))


def vit(**options) -> keras.Model:
    return keras_hub.models.ViTBackbone(**{**SIZES, **options}, patch_size=(PATCH, PATCH), mlp_dim=32)


def deit() -> keras.Model:
    return keras_hub.models.DeiTBackbone(**SIZES, patch_size=PATCH, intermediate_dim=32)


def dinov2(**options) -> keras.Model:
    return keras_hub.models.DINOV2Backbone(
        **SIZES, patch_size=PATCH, intermediate_dim=32, position_embedding_shape=(48, 48, 3), **options
    )


def dinov3() -> keras.Model:
    return keras_hub.models.DINOV3Backbone(**SIZES, patch_size=PATCH, intermediate_dim=32, num_register_tokens=2)


FAMILIES = {
    "vit": (vit, "ViT"),
    "vit_without_class_token": (functools.partial(vit, use_class_token=False, use_patch_bias=False), "ViT"),
    "deit": (deit, "DeiT"),
    "dinov2": (dinov2, "DINOV2"),
    "dinov3": (dinov3, "DINOV3"),
    "dinov2_registers": (functools.partial(dinov2, num_register_tokens=2, use_swiglu_ffn=True), "DINOV2"),
}
FIRST = {"dinov3": 3, "vit": 1, "vit_without_class_token": 0, "deit": 2, "dinov2": 1, "dinov2_registers": 3}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """Makes a family's folder, once: its path, and the body that keras-hub loads from it."""

    @functools.cache
    def made(name: str) -> tuple[str, keras.Model]:
        folder = tmp_path_factory.mktemp("presets") / name
        return str(folder), saved(folder, name)

    return made


def saved(folder, name: str) -> keras.Model:
    build, kind = FAMILIES[name]
    keras.utils.set_random_seed(0)
    body = build()
    for weight in body.weights:  # as after some training: no layer is asleep
        if weight.name == "interpolated_position_embeddings":
            continue
        array = np.random.default_rng(weight.shape[0]).normal(0, 0.2, weight.shape)
        weight.assign(1 + np.abs(array) if weight.name in ("gamma", "lambda1") else array)
    body.save_to_preset(str(folder))
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
    converter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0).save_to_preset(str(folder))
    # DINOv2 makes the positions for its own size when it is loaded
    return keras_hub.models.Backbone.from_preset(str(folder))


def pictures(count: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Noise that is brighter on the left, on the right, or nowhere."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 3).astype("int32")
    raw = random.integers(0, 150, (count, SIZE, SIZE, 3)).astype("float32")
    raw[labels == 0, :, : SIZE // 2] += 100
    raw[labels == 1, :, SIZE // 2 :] += 100
    return raw, labels


def answer(body: keras.Model, raw: np.ndarray) -> np.ndarray:
    scaled = (raw / 127.5 - 1).astype("float32")
    return np.asarray(body({body.inputs[0].name: scaled} if isinstance(body.input, dict) else scaled, training=False))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_answers_as_its_preset_and_every_block_is_a_depth(preset, tmp_path, name):
    folder, body = preset(name)
    found = presets.load(folder)
    raw, _ = pictures(3)
    wanted, received = answer(body, raw), np.asarray(found.model(raw, training=False))
    assert wanted.shape == (3, 16 + FIRST[name], WIDTH)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(received, wanted, atol=1e-4)
    assert graph.is_flat(found.model)
    assert found.class_token == (FIRST[name] > 0)
    accounted = {*found.accounting.loaded, *found.accounting.left_out}
    assert accounted == {weight.path for weight in body.weights}
    assert len(found.accounting.left_out) == (1 if "dino" in name else 0)

    model = backbone.with_head(found, TASK, dropout=0)
    groups = backbone.groups(model)
    assert [group.name for group in groups] == ["stem", "block_1", "block_2", "block_3", "top", "head"]
    rates = transfer.layer_rates([[layer.name for layer in group.layers] for group in groups], layer_decay=0.5)
    of_blocks = {name: rate for name, rate in rates.items() if name.startswith("block_")}
    assert all(rate == 0.5 ** (5 - int(name.split("_")[1])) for name, rate in of_blocks.items())
    assert len(of_blocks) >= BLOCKS
    assert rates["patch_embedding"] == 0.5**5
    kernel, bias = model.get_layer("logits").get_weights()
    pooled = wanted[:, 0] if FIRST[name] else wanted.mean(1)
    np.testing.assert_allclose(np.asarray(model(raw)), pooled @ kernel + bias, atol=1e-3)
    np.testing.assert_allclose(np.asarray(transfer.feature_extractor(model)(raw)), pooled, atol=1e-4)

    model.save(tmp_path / "model.keras")
    again = keras_file.load(tmp_path / "model.keras")  # as a stranger's, every class of which is on the list
    np.testing.assert_array_equal(np.asarray(again(raw)), np.asarray(model(raw)))


def bicubic(grid: np.ndarray, size: int) -> np.ndarray:
    """Keys 1981 with a = -0.5 along both axes; pixels have their centres at halves, and the outermost weigh alone."""
    matrix = np.zeros((size, len(grid)))
    for row in range(size):
        place = (row + 0.5) * len(grid) / size - 0.5
        for source in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            d = abs(place - source)
            near = 1.5 * d**3 - 2.5 * d**2 + 1
            far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            if 0 <= source < len(grid):
                matrix[row, source] = near if d <= 1 else far if d < 2 else 0
    matrix /= matrix.sum(1, keepdims=True)
    return np.einsum("ay,bx,yxc->abc", matrix, matrix, grid)


def test_dinov3_turns_by_the_places_of_the_pictures_own_size(preset):
    folder, body = preset("dinov3")
    found = presets.load(folder, image_size=64)
    larger = keras_hub.models.DINOV3Backbone.from_config({**body.get_config(), "image_shape": (64, 64, 3)})
    larger.set_weights(body.get_weights())
    raw = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(found.model(raw)), answer(larger, raw), atol=1e-4)
    with pytest.raises(ValueError, match="image_size=56 or 64"):
        presets.load(folder, image_size=60)


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2"])
def test_positions_of_another_size_are_interpolated(preset, name):
    folder, body = preset(name)
    found = presets.load(folder, image_size=64)
    assert found.image_size == 64
    table = found.model.get_layer("position_embedding").get_weights()[0]
    assert table.shape == (64 + FIRST[name], WIDTH)
    weights = {weight.path.rpartition("/")[2]: np.asarray(weight).reshape(-1, WIDTH) for weight in body.weights
               if "embedding" in weight.path and weight.shape[-1] == WIDTH and len(weight.shape) != 4}  # fmt: skip
    positions = {"vit": "embeddings", "deit": "position_embedding", "dinov2": "position_embeddings"}[name]
    own = 6 if name == "dinov2" else 4  # it remembers the size that it was trained at
    grid = weights[positions][-own * own :].reshape(own, own, WIDTH)
    np.testing.assert_allclose(table[-64:], bicubic(grid, 8).reshape(64, WIDTH), atol=1e-5)
    tokens = [weights[token] for token in ("class_token", "cls_token", "distillation_token") if token in weights]
    np.testing.assert_allclose(table[:-64], weights[positions][: -own * own] + np.concatenate(tokens), atol=1e-6)


def test_pictures_that_cannot_be_cut_into_patches_are_refused(preset):
    folder, _ = preset("vit")
    with pytest.raises(ValueError, match=r"patches of 8 by 8 pixels. Received: 60 by 60.*image_size=56 or 64"):
        presets.load(folder, image_size=60)


def test_dropout_and_stochastic_depth_stay_where_they_were(tmp_path):
    body = vit(dropout_rate=0.1)
    body.save_to_preset(str(tmp_path))
    keras_hub.layers.ViTImageConverter(image_size=(SIZE, SIZE)).save_to_preset(str(tmp_path))
    model = presets.load(str(tmp_path)).model
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 1 + 3 * BLOCKS
    body = dinov2(drop_path_rate=0.2)
    body.save_to_preset(str(tmp_path / "dinov2"))
    keras_hub.layers.DINOV2ImageConverter(image_size=(SIZE, SIZE)).save_to_preset(str(tmp_path / "dinov2"))
    model = presets.load(str(tmp_path / "dinov2")).model
    raw, _ = pictures(64)
    layer = model.get_layer("block_1_path_1")
    dropped = np.asarray(layer(np.ones((200, 5, 4), "float32"), training=True)).reshape(200, -1)
    assert np.all(dropped.std(1) == 0)  # a whole example or nothing
    assert 0.1 < (dropped[:, 0] == 0).mean() < 0.3
    assert np.asarray(model(raw, training=True)).shape == (64, 17, WIDTH)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A classifier of two blocks that was fine-tuned by depth, its pictures, and its file."""
    folder = tmp_path_factory.mktemp("vit")
    keras.utils.set_random_seed(1)
    body = vit(num_layers=2)
    body.save_to_preset(str(folder))
    keras_hub.layers.ViTImageConverter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0).save_to_preset(
        str(folder)
    )
    model = backbone.with_head(presets.load(str(folder)), TASK, dropout=0)
    groups = [[layer.name for layer in group.layers] for group in backbone.groups(model)]
    optimizer = transfer.LayerwiseAdamW(5e-3, rates=transfer.layer_rates(groups, layer_decay=0.9))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*pictures(96), batch_size=16, epochs=25, verbose=0)
    raw, labels = pictures(48, seed=2)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(raw, verbose=0)))
    assert (probabilities.argmax(1) == labels).mean() > 0.95
    return model, raw, probabilities, tflite.convert(model, TASK)


def copied(model: keras.Model) -> keras.Model:
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def test_rates_by_depth_move_early_blocks_less(preset):
    folder, _ = preset("vit")
    model = backbone.with_head(presets.load(folder), TASK, dropout=0)
    groups = [[layer.name for layer in group.layers] for group in backbone.groups(model)]
    optimizer = transfer.LayerwiseAdamW(1e-3, rates=transfer.layer_rates(groups, layer_decay=0.5), epsilon=1e-12)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {weight.path: np.asarray(weight) for weight in model.weights}
    model.train_on_batch(*pictures(8))
    for place in (1, 2, 3):  # Adam's first step is the rate, whatever the gradient
        for layer in ("attention/query", "attention/attention_output", "dense_1", "dense_2"):
            path = f"block_{place}_{layer}/kernel"
            (weight,) = (weight for weight in model.weights if weight.path == path)
            moved = np.abs(np.asarray(weight) - before[path])
            np.testing.assert_allclose(np.median(moved), 1e-3 * 0.5 ** (5 - place), rtol=0.02)


@pytest.mark.parametrize(
    ("name", "agreement", "difference"),
    [("float32", 1.0, 1e-4), ("float16", 1.0, 5e-3), ("dynamic_int8", 0.97, 0.1), ("static_int8", 0.95, 0.2)],
)
def test_each_file_answers_as_its_model(learnt, name, agreement, difference):
    _, raw, probabilities, data = learnt
    if name == "static_int8":
        data = ptq.static_int8(data, calibration=pictures(96)[0], inputs=TASK.inputs)
    elif name != "float32":
        data = getattr(ptq, name)(data)
    received = verify.predict_tflite(data, raw.astype("uint8") if name == "static_int8" else raw)
    facts = benchmark.inspect(data)
    print(name, len(data), np.abs(received - probabilities).max())
    assert (received.argmax(1) == probabilities.argmax(1)).mean() >= agreement
    assert np.abs(received - probabilities).max() <= difference
    assert facts.operators.flex == 0
    assert facts.operators.float == (0 if name == "static_int8" else facts.operators.total)


def test_attention_and_dense_kernels_are_pruned(learnt):
    model = copied(learnt[0])
    names = [name for name, _ in prune.kernels(model)]
    inside = [f"attention/{part}" for part in ("query", "key", "value", "attention_output")]
    parts = [*inside, "dense_1", "dense_2"]
    assert set(names) == {"patch_embedding", *(f"block_{place}_{part}" for place in (1, 2) for part in parts)}
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=6, frequency=1)
    model.fit(*pictures(48), batch_size=8, epochs=1, verbose=0, callbacks=[callback])
    assert np.mean(model.get_layer("block_2_attention").query_dense.kernel.numpy() == 0) == pytest.approx(0.5)
    assert prune.achieved(model) == pytest.approx(0.5, abs=0.005)


def test_lora_learns_beside_queries_and_values(tmp_path, learnt):
    model = copied(learnt[0])
    raw, labels = pictures(16)
    before = np.asarray(model(raw))
    adapted = transfer.add_lora(model, rank=2)
    assert set(adapted) == {f"block_{place}_attention/{part}" for place in (1, 2) for part in ("query", "value")}
    np.testing.assert_allclose(np.asarray(model(raw)), before, atol=1e-5)
    names = {weight.path.partition("/")[2].rpartition("/")[2] for weight in model.trainable_weights}
    assert names == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}
    assert {w.path for w in model.trainable_weights if "lora" not in w.path} == {"logits/kernel", "logits/bias"}
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(raw, labels, epochs=2, verbose=0)
    after = np.asarray(model(raw))
    assert np.abs(after - before).max() > 1e-2
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(keras_file.load(tmp_path / "model.keras")(raw)), after, atol=1e-4)


def test_lora_leaves_tokens_that_a_layer_keeps_beside_others(preset):
    folder, _ = preset("dinov3")
    model = backbone.with_head(presets.load(folder), TASK, dropout=0)
    transfer.add_lora(model, rank=2, layers=("q_proj", "v_proj"))
    assert {weight.name for weight in model.trainable_weights} == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}
    assert {w.path for w in model.trainable_weights if "lora" not in w.path} == {"logits/kernel", "logits/bias"}


def test_image_classifier_from_the_folder_to_the_phone(tmp_path):
    """The whole recipe: cached features, a probe, fine-tuning by depth, and four files, each of them proven."""
    body = vit(num_layers=2)
    body.save_to_preset(str(tmp_path / "vit"))
    keras_hub.layers.ViTImageConverter(image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0).save_to_preset(
        str(tmp_path / "vit")
    )
    raw, labels = pictures(60)
    for number, (picture, label) in enumerate(zip(raw, labels, strict=True)):
        path = tmp_path / "pictures" / TASK.target.names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(tf.io.encode_png(picture.astype("uint8")).numpy()))
    config = dataclasses.replace(
        image_classifier.Config.smoke(),
        data=str(tmp_path / "pictures"),
        backbone=str(tmp_path / "vit"),
        image_size=48,  # not the preset's own
        reading=PictureReading(),
        augmentation=dataclasses.replace(image_classifier.Config().augmentation, horizontal_flip=False),
        epochs=3,
        learning_rate=3e-3,
    )
    report = image_classifier.run(config, tmp_path / "run")
    assert [stage["name"] for stage in report["stages"]] == ["features", "linear_probe", "fine_tuned"]
    rows = {row["name"]: row for row in report["variants"]}
    (left_behind,) = set(rows) - {"float32", "float16", "dynamic_int8", "static_int8"}  # whichever did worse
    assert left_behind in ("linear_probe_float32", "fine_tuned_float32")
    assert rows["static_int8"]["ops"]["float"] == 0
    assert all(row["ops"]["flex"] == 0 and row["agreement"] >= 0.7 for row in rows.values())
    model = keras_file.load(tmp_path / "run" / "model.keras")
    assert model.get_layer("position_embedding").get_weights()[0].shape == (37, WIDTH)
    again = pretrained.load(str(tmp_path / "run"))  # a finished run is a foundation itself
    assert again.model.output_shape == (None, WIDTH)


def hierarchical(name: str) -> keras.Model:
    if name == "MiT":
        return keras_hub.models.MiTBackbone(
            image_shape=(64, 64, 3), layerwise_depths=[1, 1], num_layers=2, layerwise_num_heads=[1, 2],
            layerwise_sr_ratios=[2, 1], max_drop_path_rate=0.1, layerwise_patch_sizes=[7, 3],
            layerwise_strides=[4, 2], hidden_dims=[16, 32],
        )  # fmt: skip
    return keras_hub.models.SwinTransformerBackbone(
        image_shape=(64, 64, 3), patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
    )


@pytest.mark.parametrize(("name", "layer"), [("MiT", "HierarchicalTransformerEncoder"), ("SwinTransformer", "Patch")])
def test_transformers_that_no_file_could_bring_back_are_refused(tmp_path, name, layer):
    hierarchical(name).save_to_preset(str(tmp_path))
    converter = getattr(keras_hub.layers, f"{name}ImageConverter")(image_size=(64, 64), scale=1 / 255)
    converter.save_to_preset(str(tmp_path))
    with pytest.raises(ValueError, match=rf"of class {layer}\w* cannot be made again from its own configuration"):
        presets.load(str(tmp_path))
