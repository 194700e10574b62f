"""Any model of ``keras.applications`` by name, with the range that its weights were trained for in its own graph.

Which range that is, Keras says once a module, in a ``preprocess_input`` that the caller must not forget and must not
call twice; some modules do it inside and leave an empty function. Here it is a table, and the first layer.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerastl.models.pretrained import graph, names
from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.weights import account, load_file

# Module -> what its pixels 0..255 become. "inside": its graph does it, each in its own way.
RANGES = {
    "convnext": "inside",
    "densenet": "torch",
    "efficientnet": "inside",
    "efficientnet_v2": "inside",
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": "inside",
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}
"""Module of ``keras.applications`` -> ``"tf"`` (-1..1), ``"torch"`` (mean 0 and deviation 1 over ImageNet), ``"caffe"``
(BGR less ImageNet's mean) or ``"inside"``."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, in 0..1
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue


def available() -> list[str]:
    """The names that `load` takes."""
    functions = inspect.getmembers(keras.applications, inspect.isfunction)
    return [name for name, function in functions if "include_top" in inspect.signature(function).parameters]


def load(name: str, *, image_size: int = 224, weights: str | Path | None = "imagenet") -> Backbone:
    """A model of ``keras.applications`` without its head, as one flat graph from pixels 0..255.

    Args:
        name: as there: ``"ResNet50"``.
        image_size: side of the square pictures in pixels.
        weights: ``"imagenet"`` for Keras' own download; the path of a file of weights without head, as Keras publishes
            or writes them; ``None`` for random ones.

    Raises:
        FileNotFoundError: the download failed, or there is no such file.
        ValueError: an unknown name (near names are offered), pictures too small for it, or weights that do not fit.
    """
    known = available()
    if name not in known:
        raise ValueError(
            f"keras.applications has no model {name!r}.{names.near(name, known)} Available: {', '.join(known)}."
        )
    image = keras.Input((image_size, image_size, 3), name="image")
    mode = range_of(name)
    model = _built(name, _scaled(image, mode=mode), image_size=image_size, download=weights == "imagenet")
    accounting = None
    if weights is not None:
        source = f"keras.applications.{name}, weights {weights}"
        if weights == "imagenet":
            accounting = account(model, source=source)
        else:
            accounting = load_file(model, Path(weights), source=source)
        _mend_deviations(model)
    if mode == "caffe":
        _turn_channels(model)
    if not graph.is_flat(model):  # ConvNeXt keeps its stem and its downsampling in models of their own
        model = keras.Model(image, graph.flatten(model, image), name=model.name)
    return Backbone(f"applications:{name}", model, image_size, accounting)


def range_of(name: str) -> str:
    """What the pixels become for a model: a value of `RANGES`.

    Raises:
        ValueError: the model is of a module that is not in the table.
    """
    module = getattr(keras.applications, name).__module__.rpartition(".")[2]
    if module not in RANGES:
        raise ValueError(
            f"Which range the weights of {name} were trained for is not known here. Received: a model of "
            f"keras.applications.{module}. Available: {', '.join(RANGES)}."
        )
    return RANGES[module]


def _scaled(image: keras.KerasTensor, *, mode: str) -> keras.KerasTensor:
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    if mode == "torch":
        scale = [1 / (255 * deviation) for deviation in _DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="rescale")(image)
    if mode == "caffe":  # red and blue change places in the first kernel: see `_turn_channels`
        return layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN], name="rescale")(image)
    return image


def _built(name: str, scaled: keras.KerasTensor, *, image_size: int, download: bool) -> keras.Model:
    function = getattr(keras.applications, name)
    try:
        with warnings.catch_warnings():
            # It says which of several downloads it takes for pictures of no standard size: the right one.
            warnings.filterwarnings("ignore", message=".*`input_shape` is undefined or non-square")
            return function(include_top=False, weights="imagenet" if download else None, input_tensor=scaled)
    except ValueError as error:
        raise ValueError(f"{name} cannot be built for pictures of {image_size} pixels: {error}") from error
    except Exception as error:
        if not download:
            raise
        raise FileNotFoundError(
            f"The ImageNet weights of {name} could not be downloaded ({error}). Once there is a network the same call "
            "gets them; without one give weights= the path of a file, or a name whose weights `kerastl fetch` brings."
        ) from error


def _mend_deviations(model: keras.Model) -> None:
    """EfficientNet's published files hold deviations where its layer wants variances.

    Keras adds a layer that makes up for it, but only to weights that it downloads itself.
    """
    normalization = next((layer for layer in model.layers if isinstance(layer, layers.Normalization)), None)
    if normalization is None or not normalization.weights:
        return
    consumers = [node.operation for node in normalization._outbound_nodes]
    variance = np.ravel(normalization.adapt_variance.numpy())
    if np.allclose(variance, _DEVIATION, atol=1e-3) and not any(isinstance(c, layers.Rescaling) for c in consumers):
        normalization.adapt_variance.assign(np.reshape(variance**2, normalization.adapt_variance.shape))
        normalization.finalize_state()


def _turn_channels(model: keras.Model) -> None:
    """A first kernel for blue, green, red becomes one for red, green, blue: the same sums, and no layer that turns."""
    first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    first.kernel.assign(first.kernel.numpy()[:, :, ::-1])
