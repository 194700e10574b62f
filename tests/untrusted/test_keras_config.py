"""The list of classes against the installed Keras, and configurations that try to get past it."""

from __future__ import annotations

import importlib

import keras
import pytest

from kerastl.untrusted import keras_config

DANGEROUS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}


def test_the_list_names_plain_classes_of_keras():
    looked = 0
    lacking = []
    for module, names in keras_config.ALLOWED.items():
        for name in names:
            found = getattr(importlib.import_module(module), name, None)
            looked += 1
            if found is None:
                lacking.append(f"{module}.{name}")
                continue
            assert isinstance(found, type), (module, name)
            assert found.__module__.split(".")[0] == "keras"
    assert looked > 200
    # The names a file carries where the class is called otherwise than it is exported, or is exported elsewhere.
    assert set(lacking) <= {
        "keras.Functional",
        "keras.models.Functional",
        "keras.layers.GroupedQueryAttention",
        "keras.dtype_policies.FloatDTypePolicy",
    }
    for name in keras_config.FUNCTIONS:
        assert callable(getattr(keras.activations, name)), name


def test_every_layer_of_keras_was_judged():
    """A layer that a new Keras brings along is refused until somebody has read it."""
    offered = {name for name, value in vars(keras.layers).items() if isinstance(value, type)}
    aliases = {name for name in offered if getattr(keras.layers, name).__name__ != name}
    judged = keras_config.ALLOWED["keras.layers"] | DANGEROUS | aliases | {"Layer", "Wrapper", "InputSpec"}
    assert offered - judged == set()
    assert not DANGEROUS & frozenset().union(*keras_config.ALLOWED.values())


def sequential(*layers):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)},
            "registered_name": None}  # fmt: skip


def layer(name, module="keras.layers", registered=None, **config):
    return {"module": module, "class_name": name, "config": {"name": "x", **config}, "registered_name": registered}


def function(name, module="builtins", registered="function"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered}


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        *((layer(name), "not on the list") for name in sorted(DANGEROUS)),
        (layer("Lambda", None), "not on the list"),  # as an old file names it
        (layer("deserialize", None), "not on the list"),
        (layer("Dense", "os"), "not on the list"),
        (layer("load_model", "keras.models"), "not on the list"),
        (layer("get_file", "keras.utils"), "not on the list"),
        (layer("FeatureSpace", "keras.utils"), "not on the list"),
        (layer("Map", "keras.src.ops.core"), "not on the list"),
        (layer("system", "keras.src.ops.numpy"), "not on the list"),
        (layer("BytePairTokenizer", "keras_hub.tokenizers", "keras_hub>BytePairTokenizer"), "not on the list"),
        (layer("Dense", registered="Custom>Evil"), "registered name"),
        (layer("BertBackbone", "keras_hub.models", "Custom>Evil"), "registered name"),
        (layer("BertBackbone", "keras_hub.models", "BertBackbone"), "registered name"),
        (layer("DINOV2LayerScale", "keras_hub.src.models.dinov2.dinov2_layers", "Custom>Evil"), "registered name"),
        (layer("DINOV2LayerScale", "os", "DINOV2LayerScale"), "not on the list"),
        (layer("Dense", ["os"]), "no text"),
        (layer("Activation", activation=function("system", "os")), "the function 'system'"),
        (layer("Activation", activation=function("get_file", "keras.utils")), "the function 'get_file'"),
        (layer("Activation", activation=function("relu", registered="Custom>evil")), "the function 'relu'"),
        (layer("Activation", activation={"class_name": "__lambda__", "config": {"value": "x"}}), "__lambda__"),
        (layer("Activation", activation={"class_name": "__typespec__", "config": []}), "__typespec__"),
        (layer("StringLookup", vocabulary="vocabulary"), "takes its vocabulary from 'vocabulary'"),
        (layer("TextVectorization", vocabulary="/etc/passwd"), "takes its vocabulary from '/etc/passwd'"),
        (layer("TimeDistributed", layer=layer("StringLookup", vocabulary="x")), "takes its vocabulary"),
        (layer("Dense", anything=["file:///etc/passwd"]), "names a file"),
        (layer("Dense", anything="hf://somebody/something"), "names a file"),
        (layer("Dense", anything={"deep": [["/etc/passwd"]]}), "names a file"),
        (layer("Dense", anything="../../x"), "names a file"),
        (layer("TensorShape", registered="Custom>Evil"), "registered name"),
        (layer("Dense", anything={"class_name": "__tuple__", "registered_name": "Custom>Evil"}), "registered name"),
        (layer("Dense", inside={"name": [layer("Lambda")]}), "not on the list"),
        (layer("StringLookup", vocabulary=[["a"], layer("Dense", registered="Custom>Evil")]), "registered name"),
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_is_refused(hostile, said):
    with pytest.raises(keras_config.ConfigError, match=said):
        keras_config.inspect(sequential(layer("Dense"), hostile))


def test_harmless_configurations_pass():
    vocabulary = ["/", "http://example.org", "../a"]  # words of a language, not files
    keras_config.inspect(sequential(
        layer("StringLookup", vocabulary=vocabulary, oov_token="//"),
        layer("Activation", activation=function("relu")),
        layer("Dense", None, kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}}),
        layer("Add", "keras.src.ops.numpy", "Add"),
        layer("BertBackbone", "keras_hub.src.models.bert.bert_backbone", "keras_hub>BertBackbone"),
        layer("EinsumDense", equation="ab,bc->ac"),
        layer("MultiHeadAttention", num_heads=2, key_dim=8),
        layer("PositionEmbedding", "keras_hub.src.layers.modeling.position_embedding", "keras_hub>PositionEmbedding"),
        layer("DINOV2LayerScale", "keras_hub.src.models.dinov2.dinov2_layers", "DINOV2LayerScale"),
    ))  # fmt: skip


def test_what_is_no_configuration_is_refused():
    endless = config = {}
    for _ in range(100_000):
        config["config"] = {}
        config = config["config"]
    for wrong in (None, [], "Dense", {"config": {}}, {**endless, "class_name": "Sequential", "module": "keras"}):
        with pytest.raises(keras_config.ConfigError):
            keras_config.inspect(wrong)
