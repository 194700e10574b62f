"""The backbones of `compression_matrix.py`: random weights that behave like trained ones, and pictures to tell apart.

Random weights alone say little of a file: activations fade or explode, and every picture gets the same answer. So each
BatchNormalization is given the statistics of what passes through it, and the head is solved for by least squares. What
comes out is a classifier whose answers depend on the picture, as those of a trained one do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import keras_hub
import numpy as np
from keras import layers

import kerastl
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

SIDE, CLASSES, TRAIN, TEST = 64, 5, 120, 64
TASK = Task("pictures", Image((SIDE, SIDE, 3)), SingleLabel(tuple("abcde")))
WORDS = Text(16, ("[PAD]", *(f"word{index}" for index in range(199))))
TEXTS = Task("texts", WORDS, SingleLabel(tuple("abcde")))
_SPREAD = 4.0  # between the logit of the right class and the others: probabilities that are not all 0 or 1

# Of every BatchNormalization. Around zero, a deep net of random weights is chaos: each ReLU tears apart what is alike,
# and the rounding of half floats decides its answers. Trained ones are not like that.
_SHIFTS = (0.5, 1.5)


class Row(NamedTuple):
    """A classifier, ending in logits, and examples to calibrate and to judge by."""

    model: keras.Model
    train: Split
    test: Split


def _application(name: str) -> tuple[keras.Model, str]:
    body = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=TASK.inputs.shape)
    return body, kerastl.models.pretrained.applications.range_of(name)


def _resnet(block: str, *, second: bool) -> tuple[keras.Model, str]:
    body = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 96],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type=block,
        use_pre_activation=second,
        image_shape=TASK.inputs.shape,
    )
    return body, "torch"


def _mobilenet() -> tuple[keras.Model, str]:
    """Like MobileNetV3: squeeze and excitation, hard swish."""
    body = keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144], [72]],
        stackwise_num_blocks=[2, 2, 1],
        stackwise_num_filters=[[16, 16], [24, 24], [24]],
        stackwise_kernel_size=[[3, 3], [5, 5], [5]],
        stackwise_num_strides=[[2, 1], [2, 1], [1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25], [0.3]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"], ["hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2], [2]],
        output_num_filters=288,
        depthwise_filters=8,
        depthwise_stride=1,
        depthwise_residual=False,
        last_layer_filter=128,
        squeeze_and_excite=0.5,
        image_shape=TASK.inputs.shape,
    )
    return body, "torch"


def _efficientnet_lite() -> tuple[keras.Model, str]:
    body = keras_hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3, 5],
        stackwise_num_repeats=[1, 2, 2],
        stackwise_input_filters=[32, 16, 24],
        stackwise_output_filters=[16, 24, 40],
        stackwise_expansion_ratios=[1, 6, 6],
        stackwise_strides=[1, 2, 2],
        stackwise_squeeze_and_excite_ratios=[0, 0, 0],
        stackwise_block_types=["v1", "v1", "v1"],
        stackwise_force_input_filters=[0, 0, 0],
        stackwise_nores_option=[False, False, False],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        activation="relu6",
        input_shape=TASK.inputs.shape,
    )
    return body, "tf"


def _cspnet() -> tuple[keras.Model, str]:
    body = keras_hub.models.CSPNetBackbone(
        stem_filters=32,
        stem_kernel_size=3,
        stem_strides=2,
        stackwise_depth=[1, 2],
        stackwise_strides=[2, 2],
        stackwise_num_filters=[32, 64],
        block_type="dark_block",
        stage_type="csp",
        block_ratio=[1.0, 0.5],
        bottle_ratio=[0.5, 1.0],
        expand_ratio=[2.0, 1.0],
        stem_padding="same",
        image_shape=TASK.inputs.shape,
    )
    return body, "torch"


def _densenet() -> tuple[keras.Model, str]:
    body = keras_hub.models.DenseNetBackbone([2, 2, 2], image_shape=TASK.inputs.shape, growth_rate=16)
    return body, "torch"


def _vit() -> tuple[keras.Model, str]:
    return keras_hub.models.ViTBackbone(TASK.inputs.shape, 16, 2, 2, 64, 128), "tf"


def _own(builder: Callable[[Task], keras.Model]) -> tuple[keras.Model, str]:
    model = builder(TASK)
    return keras.Model(model.input, model.get_layer("logits").input, name="body"), "inside"


PICTURES: dict[str, Callable[[], tuple[keras.Model, str]]] = {
    "MobileNetV2": lambda: _application("MobileNetV2"),
    "MobileNetV3Small": lambda: _application("MobileNetV3Small"),
    "EfficientNetB0": lambda: _application("EfficientNetB0"),
    "ResNet50V2": lambda: _application("ResNet50V2"),
    "DenseNet121": lambda: _application("DenseNet121"),
    "NASNetMobile": lambda: _application("NASNetMobile"),
    "ConvNeXtTiny": lambda: _application("ConvNeXtTiny"),
    "hub:resnet_v1_basic": lambda: _resnet("basic_block", second=False),
    "hub:resnet_v1_bottleneck": lambda: _resnet("bottleneck_block", second=False),
    "hub:resnet_v2_basic": lambda: _resnet("basic_block", second=True),
    "hub:resnet_v2_bottleneck": lambda: _resnet("bottleneck_block", second=True),
    "hub:mobilenet": _mobilenet,
    "hub:efficientnet_lite": _efficientnet_lite,
    "hub:densenet": _densenet,
    "hub:cspnet": _cspnet,
    "hub:vit": _vit,
    "strided_lenet.small": lambda: _own(kerastl.models.strided_lenet.small),
    "mobile_cnn.small": lambda: _own(kerastl.models.mobile_cnn.small),
    "lenet_style.textbook": lambda: _own(kerastl.models.lenet_style.textbook),
    "resnet.small": lambda: _own(kerastl.models.resnet.small),
    "all_conv_net.tiny": lambda: _own(kerastl.models.all_conv_net.tiny),
}
"""Name -> its body, from pixels in a range of its own to features, and that range as `applications.RANGES` has it."""

WORDS: dict[str, Callable[[Task], keras.Model]] = {
    "text_cnn": lambda task: kerastl.models.text.text_cnn.build(task),
    "bert_encoder": lambda task: kerastl.models.pretrained.minilm_l6.small(task),
}
"""Name -> builder of a classifier of texts."""

NESTED = ", nested"


def names() -> list[str]:
    """Every row: each backbone laid flat, and as one layer of a transfer model."""
    return [f"{name}{suffix}" for name in (*PICTURES, *WORDS) for suffix in ("", NESTED)]


def row(name: str) -> Row:
    """Builds one row."""
    keras.utils.set_random_seed(0)
    plain, nested = name.removesuffix(NESTED), name.endswith(NESTED)
    if plain in WORDS:
        model = WORDS[plain](TEXTS)
        if nested:
            body = keras.Model(model.input, model.get_layer("logits").input, name="body")
            ids = keras.Input(TEXTS.inputs.shape, dtype="int32", name="token_ids")
            model = keras.Model(ids, layers.Dense(CLASSES, name="logits")(body(ids)), name="transfer")
        return _solved(model, *_texts())
    body, pixels = PICTURES[plain]()
    image = keras.Input(TASK.inputs.shape, name="image")
    scaled = _scaled(image, pixels)
    if nested:
        x = body(scaled)
    elif plain == "hub:vit":  # its first layer cannot be copied from its configuration
        x = functools.reduce(lambda value, layer: layer(value), body.layers[1:], scaled)
    else:
        x = kerastl.models.pretrained.graph.flatten(body, scaled)
    (x,) = x if isinstance(x, list) else (x,)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = layers.Dropout(0.1, name="head_dropout")(x)
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="transfer")
    return _solved(model, *_pictures())


def _scaled(image: keras.KerasTensor, pixels: str) -> keras.KerasTensor:
    if pixels == "inside":
        return image
    if pixels == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale_pixels")(image)
    deviation, mean = np.array([0.229, 0.224, 0.225]), np.array([0.485, 0.456, 0.406])
    scale, offset = (1 / (255 * deviation)).tolist(), (-mean / deviation).tolist()
    return layers.Rescaling(scale, offset=offset, name="rescale_pixels")(image)


def _pictures() -> tuple[Split, Split]:
    """Each class has clouds of its own, under noise that differs from picture to picture."""
    random = np.random.default_rng(0)
    clouds = random.integers(0, 256, (CLASSES, 8, 8, 3))
    labels = np.arange(TRAIN + TEST) % CLASSES
    noise = random.integers(0, 256, (len(labels), 16, 16, 3))
    mixed = 0.6 * np.kron(clouds[labels], np.ones((1, 2, 2, 1))) + 0.4 * noise
    pictures = np.kron(mixed, np.ones((1, SIDE // 16, SIDE // 16, 1)))
    pictures = np.clip(pictures * random.uniform(0.7, 1.1, (len(labels), 1, 1, 1)), 0, 255).astype(np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = 0, 255
    return _split(TASK, pictures, labels)


def _texts() -> tuple[Split, Split]:
    """Each class prefers words of its own."""
    random = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % CLASSES
    ids = random.integers(1, len(WORDS.vocabulary), (len(labels), *WORDS.shape))
    own = 1 + labels[:, None] * 20 + random.integers(0, 20, ids.shape)
    ids = np.where(random.random(ids.shape) < 0.5, own, ids)
    ids[:, 12:] *= random.random(len(labels))[:, None] < 0.5  # some are shorter
    return _split(TEXTS, ids.astype(np.int32), labels)


def _split(task: Task, inputs: np.ndarray, labels: np.ndarray) -> tuple[Split, Split]:
    every = Split("train", inputs, labels.astype(np.int32), task)
    return every.take(TRAIN), dataclasses.replace(every.subset(slice(TRAIN, None)), name="test")


def _solved(model: keras.Model, train: Split, test: Split) -> Row:
    inputs = np.asarray(train.inputs, train.task.inputs.batch_dtype)
    norms = [layer for layer in every_layer(model) if isinstance(layer, layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    random = np.random.default_rng(1)
    for norm in norms:
        norm.momentum = 0.0
        if norm.scale:
            norm.gamma.assign(random.uniform(0.5, 1.0, norm.gamma.shape))
        if norm.center:
            norm.beta.assign(random.uniform(*_SHIFTS, norm.beta.shape))
    for layer in every_layer(model):
        if type(layer).__name__ == "LayerScale":  # begins at a millionth, so that its block would not count
            layer.gamma.assign(random.uniform(0.1, 0.5, layer.gamma.shape))
    if norms:
        model(inputs[:64], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    head = model.get_layer("logits")
    body = keras.Model(model.input, head.input)
    features = np.asarray(body.predict(inputs, batch_size=32, verbose=0), "float64")
    wanted = _SPREAD * np.eye(CLASSES)[train.labels]
    mean, centred = features.mean(0), features - features.mean(0)
    gram = centred @ centred.T  # ridge regression in the space of examples, of which there are fewer than features
    kernel = centred.T @ np.linalg.solve(gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram)), wanted)
    head.set_weights([kernel.astype("float32"), (-mean @ kernel).astype("float32")])
    return Row(model, train, test)


def every_layer(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers at any depth, in nested models and inside layers that are made of others."""
    return list(model._flatten_layers(recursive=True, include_self=False))
