"""Folders as the Hugging Face hub has them, written by hand, against the same transformer in NumPy."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from toy import write_safetensors

from kerastl.models import pretrained
from kerastl.models.pretrained import vision_transformer_folder as subject
from kerastl.models.pretrained import weights

SIZE, PATCH, WIDTH, INNER, BLOCKS, HEADS = 32, 8, 16, 40, 3, 2
TOKENS = (SIZE // PATCH) ** 2
CONFIG = {
    "architectures": ["ViTForImageClassification"],
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": WIDTH,
    "image_size": SIZE,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-2,  # far from keras-hub's own
    "model_type": "vit",
    "num_attention_heads": HEADS,
    "num_channels": 3,
    "num_hidden_layers": BLOCKS,
    "patch_size": PATCH,
    "qkv_bias": True,
}
DINOV2 = {
    "model_type": "dinov2",
    "mlp_ratio": 2,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "drop_path_rate": 0.0,
    "layer_norm_eps": 1e-6,
}
MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.5, 0.25, 0.2]
PROCESSING = {"do_normalize": True, "do_rescale": True, "rescale_factor": 1 / 255, "image_mean": MEAN,
              "image_std": DEVIATION, "size": {"height": SIZE, "width": SIZE}}  # fmt: skip


def arrays(kind: str = "vit") -> dict[str, np.ndarray]:
    """By Hugging Face's names, in PyTorch's shapes: a kernel is (out, in)."""
    random = np.random.default_rng(0)
    inner = 2 * WIDTH if kind == "dinov2" else INNER
    one, two = ("mlp.fc1", "mlp.fc2") if kind == "dinov2" else ("intermediate.dense", "output.dense")
    norms = ("norm1", "norm2") if kind == "dinov2" else ("layernorm_before", "layernorm_after")
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.position_embeddings": (1, TOKENS + {"deit": 2}.get(kind, 1), WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
        "layernorm.weight": (WIDTH,),
        "layernorm.bias": (WIDTH,),
    }
    shapes |= {"deit": {"embeddings.distillation_token": (1, 1, WIDTH)}}.get(kind, {})
    shapes |= {"dinov2": {"embeddings.mask_token": (1, WIDTH)}}.get(kind, {})
    for block in range(BLOCKS):
        dense = {f"attention.attention.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (WIDTH, WIDTH), one: (inner, WIDTH), two: (WIDTH, inner)}
        for name, shape in dense.items():
            shapes |= {f"encoder.layer.{block}.{name}.weight": shape, f"encoder.layer.{block}.{name}.bias": shape[:1]}
        for norm in norms:
            shapes |= {f"encoder.layer.{block}.{norm}.{part}": (WIDTH,) for part in ("weight", "bias")}
        if kind == "dinov2":
            shapes |= {f"encoder.layer.{block}.layer_scale{place}.lambda1": (WIDTH,) for place in (1, 2)}
    return {
        name: (random.normal(0, 0.2, shape) + ("norm" in name and name.endswith("weight"))).astype("float32")
        for name, shape in shapes.items()
    }


def twin(by_name: dict[str, np.ndarray], raw: np.ndarray, *, kind: str, epsilon: float) -> np.ndarray:
    """Dosovitskiy et al. 2021, equations 1 to 4, and DINOv2's scales; float64."""
    erf = np.vectorize(math.erf)

    def dense(x, name):
        return x @ by_name[f"{name}.weight"].T + by_name[f"{name}.bias"]

    def norm(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return scaled * by_name[f"{name}.weight"] + by_name[f"{name}.bias"]

    x = (raw.astype("float64") / 255 - MEAN) / DEVIATION
    side = SIZE // PATCH
    x = x.reshape(-1, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 5, 2, 4).reshape(-1, TOKENS, 3 * PATCH * PATCH)
    name = "embeddings.patch_embeddings.projection"
    x = x @ by_name[f"{name}.weight"].reshape(WIDTH, -1).T + by_name[f"{name}.bias"]
    first = [by_name["embeddings.cls_token"]]
    first += [by_name["embeddings.distillation_token"]] if kind == "deit" else []
    x = np.concatenate([*(np.repeat(token, len(x), 0) for token in first), x], 1)
    x = x + by_name["embeddings.position_embeddings"]
    before, after = ("norm1", "norm2") if kind == "dinov2" else ("layernorm_before", "layernorm_after")
    one, two = ("mlp.fc1", "mlp.fc2") if kind == "dinov2" else ("intermediate.dense", "output.dense")
    for block in range(BLOCKS):
        at = f"encoder.layer.{block}."
        y = norm(x, at + before)
        q, k, v = (
            dense(y, f"{at}attention.attention.{part}").reshape(*y.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        weight = np.exp(q @ k.transpose(0, 1, 3, 2) / np.sqrt(WIDTH / HEADS))
        y = (weight / weight.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(y.shape)
        x = x + dense(y, at + "attention.output.dense") * by_name.get(at + "layer_scale1.lambda1", 1)
        y = dense(norm(x, at + after), at + one)
        y = dense(y * 0.5 * (1 + erf(y / np.sqrt(2))), at + two)
        x = x + y * by_name.get(at + "layer_scale2.lambda1", 1)
    return norm(x, "layernorm")


def write(folder, kind="vit", *, prefix="", more=None, **change):
    config = CONFIG | {"model_type": kind} | (DINOV2 if kind == "dinov2" else {}) | change
    by_name = {f"{prefix}{name}": array for name, array in arrays(kind).items()} | (more or {})
    write_safetensors(folder / "model.safetensors", by_name)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSING))
    return by_name


CLASSIFIER = {"classifier.weight": np.zeros((5, WIDTH), "float32"), "classifier.bias": np.zeros(5, "float32")}


@pytest.mark.parametrize(
    ("kind", "prefix", "more"),
    [
        ("vit", "vit.", CLASSIFIER),
        ("vit", "", {"pooler.dense.bias": np.zeros(WIDTH, "float32")}),
        ("deit", "deit.", {"cls_classifier.bias": np.zeros(5, "float32")}),
        ("dinov2", "", {}),
        ("dinov2", "dinov2.", CLASSIFIER),
    ],
)
def test_a_folder_answers_as_the_transformer_in_numpy(tmp_path, kind, prefix, more):
    by_name = write(tmp_path, kind, prefix=prefix, more=more)
    found = pretrained.load(str(tmp_path))
    raw = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype("float32")
    bare = {name.removeprefix(prefix): array for name, array in by_name.items()}
    wanted = twin(bare, raw, kind=kind, epsilon=1e-6 if kind == "dinov2" else 1e-2)
    received = np.asarray(found.model(raw, training=False))
    assert wanted.std() > 0.1
    np.testing.assert_allclose(received, wanted, atol=1e-4)
    accounting = found.accounting
    assert set(accounting.left_out) == {*more, *(["embeddings.mask_token"] if kind == "dinov2" else [])}
    assert len(accounting.loaded) + len(accounting.left_out) == len(by_name)


def test_several_files_and_another_size(tmp_path):
    by_name = write(tmp_path)
    names = sorted(by_name)
    (tmp_path / "model.safetensors").unlink()
    for number, some in enumerate((names[:20], names[20:])):
        part = {name: by_name[name] for name in some}
        write_safetensors(tmp_path / f"model-0000{number + 1}-of-00002.safetensors", part)
    assert pretrained.load(str(tmp_path), image_size=48).model.output_shape == (None, 37, WIDTH)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act"),
        ({"qkv_bias": False}, "qkv_bias"),
        ({"num_channels": 1}, "num_channels"),
        ({"patch_size": [8, 8]}, r"'patch_size': \[8, 8\]"),
        ({"num_hidden_layers": 100_000}, "describes more than its files hold"),
        ({"intermediate_size": 100_000}, "describes [0-9,]{9,} numbers"),
        ({"image_size": 80_000}, "describes [0-9,]{9,} numbers"),
        ({"kind": "dinov2", "layer_norm_eps": 1e-5}, "layer_norm_eps"),
    ],
)
def test_another_kind_of_transformer_is_refused_by_its_setting(tmp_path, change, words):
    write(tmp_path, **change)
    with pytest.raises(ValueError, match=words):
        pretrained.load(str(tmp_path))


def test_settings_and_weights_that_are_missing(tmp_path):
    write(tmp_path)
    config = {name: value for name, value in CONFIG.items() if name != "intermediate_size"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="Missing: 'intermediate_size'"):
        pretrained.load(str(tmp_path))
    write(tmp_path, num_hidden_layers=BLOCKS - 1)  # would be a shorter transformer, with wrong answers
    with pytest.raises(weights.WeightsError, match=r"unknown to the model: encoder\.layer\.2"):
        pretrained.load(str(tmp_path))
    write(tmp_path, num_hidden_layers=BLOCKS + 1)
    with pytest.raises(weights.WeightsError, match=r"missing from the file: vit\.encoder\.layer\.3"):
        pretrained.load(str(tmp_path))
    write(tmp_path, intermediate_size=INNER + 1)
    with pytest.raises(weights.WeightsError, match=r"of another shape: .*intermediate\.dense\.weight"):
        pretrained.load(str(tmp_path))
    write(tmp_path, more={"layernorm.bias": np.full(WIDTH, np.nan, "float32")})
    with pytest.raises(weights.WeightsError, match=r"with NaN or infinity: .*layernorm\.bias"):
        pretrained.load(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"in \.safetensors files"):
        pretrained.load(str(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"image_mean": [0.5]}, {"image_std": None}, {"rescale_factor": "1/255"}, {"image_std": [0.5, 0.5, 0.0]}]
)
def test_a_range_that_is_not_said(tmp_path, wrong):
    write(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSING | wrong))
    with pytest.raises(ValueError, match=r"preprocessor_config\.json with"):
        subject.converter(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    assert subject.converter(tmp_path) is None
    with pytest.raises(ValueError, match=r"without image_converter\.json or preprocessor_config\.json"):
        pretrained.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "white"),
    [({}, 1.0), ({"do_normalize": False}, 1.0), ({"do_normalize": False, "do_rescale": False}, 255.0)],
)
def test_what_white_becomes(tmp_path, change, white):
    settings = PROCESSING | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3} | change
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    found = subject.converter(tmp_path)
    np.testing.assert_allclose(255 * np.asarray(found.scale) + np.asarray(found.offset), white)
