"""Configurations of foreign Keras models: every object that one names is on a list, or the model is not built.

The list is written out rather than asked of the installed Keras, so that a layer which a later Keras brings along has
to be judged before a stranger may name it. Not on it, each for a reason: `Lambda` (Python code), `TFSMLayer` (any
SavedModel on the disk), `TorchModuleWrapper`, `JaxLayer` and `FlaxLayer` (pickled or imported code), and everything a
process has registered itself.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import Iterator, Mapping

_LAYERS = """
    Activation ELU LeakyReLU PReLU ReLU Softmax
    AdditiveAttention Attention GroupQueryAttention GroupedQueryAttention MultiHeadAttention
    Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose DepthwiseConv1D DepthwiseConv2D
    SeparableConv1D SeparableConv2D
    Dense EinsumDense Embedding Identity InputLayer Masking ReversibleEmbedding
    Add Average Concatenate Dot Maximum Minimum Multiply Subtract
    BatchNormalization GroupNormalization LayerNormalization RMSNormalization SpectralNormalization UnitNormalization
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup StringLookup TextVectorization
    AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MaxNumBoundingBoxes
    MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
    RandomZoom Resizing Solarization
    MelSpectrogram Normalization Pipeline Rescaling STFTSpectrogram
    ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise
    SpatialDropout1D SpatialDropout2D SpatialDropout3D
    Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape UpSampling1D UpSampling2D UpSampling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
    Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell
    StackedRNNCells TimeDistributed
"""
_ACTIVATIONS = """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu swish soft_shrink softmax softplus softsign sparse_plus
    sparse_sigmoid sparsemax squareplus tanh tanh_shrink threshold
"""
_INITIALIZERS = """
    Constant Identity Ones Zeros GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal
    RandomNormal RandomUniform STFT TruncatedNormal VarianceScaling
"""
_LOSSES = """
    CTC BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy
    CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh
    MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
    SparseCategoricalCrossentropy SquaredHinge Tversky
"""
_METRICS = """
    Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy SparseTopKCategoricalAccuracy
    TopKCategoricalAccuracy AUC FalseNegatives FalsePositives Precision PrecisionAtRecall Recall RecallAtPrecision
    SensitivityAtSpecificity SpecificityAtSensitivity TrueNegatives TruePositives ConcordanceCorrelation
    PearsonCorrelation F1Score FBetaScore CategoricalHinge Hinge SquaredHinge BinaryIoU IoU MeanIoU OneHotIoU
    OneHotMeanIoU BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson SparseCategoricalCrossentropy Mean Sum
    CosineSimilarity LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
    MeanSquaredLogarithmicError R2Score RootMeanSquaredError
"""
_OPTIMIZERS = "Adadelta Adafactor Adagrad Adam Adamax AdamW Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD"
_SCHEDULES = """
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
"""
_POLICIES = "DTypePolicy DTypePolicyMap FloatDTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy"
_HUB = """
    AlibiBias CachedMultiHeadAttention FNetEncoder MaskedLMHead PositionEmbedding ReversibleEmbedding RotaryEmbedding
    SinePositionEncoding TokenAndPositionEmbedding TransformerDecoder TransformerEncoder
    AlbertBackbone BertBackbone CSPNetBackbone DebertaV3Backbone DeiTBackbone DenseNetBackbone DINOV2Backbone
    DINOV3Backbone DistilBertBackbone EfficientNetBackbone HGNetV2Backbone MiTBackbone MobileNetBackbone ResNetBackbone
    RobertaBackbone SwinTransformerBackbone VGGBackbone ViTBackbone XceptionBackbone
    CSPNetImageConverter DeiTImageConverter DenseNetImageConverter DINOV2ImageConverter DINOV3ImageConverter
    EfficientNetImageConverter HGNetV2ImageConverter ImageConverter MiTImageConverter MobileNetImageConverter
    ResNetImageConverter SwinTransformerImageConverter VGGImageConverter ViTImageConverter XceptionImageConverter
"""
ALLOWED: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "keras": "Functional Model Sequential DTypePolicy FloatDTypePolicy",
        "keras.models": "Functional Model Sequential",
        "keras.src.models.functional": "Functional",
        "keras.src.models.sequential": "Sequential",
        "keras.layers": _LAYERS,
        "keras.initializers": _INITIALIZERS,
        "keras.regularizers": "L1 L1L2 L2 OrthogonalRegularizer",
        "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
        "keras.dtype_policies": _POLICIES,
        "keras.quantizers": "AbsMaxQuantizer",
        "keras.random": "SeedGenerator",
        "keras.losses": _LOSSES,
        "keras.metrics": _METRICS,
        "keras.optimizers": _OPTIMIZERS,
        "keras.optimizers.schedules": _SCHEDULES,
        # Of the operations that take functions (Map, Scan, Cond, WhileLoop ...) none is here.
        "keras.src.ops.core": "Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient "
        "Unstack",
    }.items()
}
"""Module -> classes that a foreign configuration may name there."""
FUNCTIONS = frozenset(_ACTIVATIONS.split())
"""Functions that it may name."""
_FUNCTION_MODULES = (None, "builtins", "keras.activations", "keras.ops", "keras.ops.nn")
# Which keras-hub does not register, so that files name them plainly.
_HUB_INNER = frozenset({"DINOV2LayerScale", "DINOV3Embedding", "DINOV3Layer", "DINOV3RopePositionEmbedding"})
_HUB_NAMES = frozenset(_HUB.split()) | _HUB_INNER
_HUB_FUNCTIONS = frozenset({"keras_hub>gelu_approximate"})
_HUB_MODULE = re.compile(r"keras_hub(\.src)?\.(layers|models)(\.[a-z0-9_]+)*")
# Mathematics on tensors, hundreds of classes that take numbers; Keras itself refuses there whatever is no operation.
_MATHEMATICS = {f"keras.src.ops.{name}" for name in ("numpy", "nn", "math", "linalg", "image")}
_OPERATION = re.compile(r"[A-Z][A-Za-z0-9]*")
# Files of an older Keras name no module; these are looked up among Keras' own objects of the kind that is wanted.
_WITHOUT_MODULE = frozenset().union(*ALLOWED.values())
# Values in disguise.
_VALUES = {"__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__keras_tensor__", "__tuple__"}
_VALUES |= {"TensorShape"}
# Settings that take a file's name where a list or nothing is wanted; none of the classes above needs one of them.
_FILES = {"vocabulary", "idf_weights", "merges", "proto", "filepath", "filename", "file", "path", "url", "origin"}
_FILES |= {"directory", "folder", "vocabulary_file", "preset"}
_WORDS = {"name", "oov_token", "mask_token", "vocabulary", "input_vocabulary"}  # free text


TRUSTED: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("TRUSTED", default=frozenset())
"""Names of classes and functions of one's own, which a configuration may name as well, see `untrusted.trusted`."""


class ConfigError(ValueError):
    """A model's configuration that is not built, and why."""


def inspect(config: object) -> None:
    """Looks at a configuration, as JSON gives it, down to its last value.

    Raises:
        ConfigError: the first of its `findings`.
    """
    for words in findings(config):
        raise ConfigError(words)


def findings(config: object) -> Iterator[str]:
    """Why a configuration is not built: it is no model's; names a class or function that is not on the list, or by a
    name somebody registered; or holds what could be the name of a file.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        yield "its configuration describes no model"
        return
    try:
        yield from _walk(config, "the model")
    except RecursionError:
        yield "its configuration is nested without end"


def _walk(value: object, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, where)
    elif isinstance(value, dict):
        if "class_name" in value:
            yield from _check_object(value, where)
            where = _name(value) or where
        for key, item in value.items():
            if key in _FILES and isinstance(item, str):
                yield f"{where} takes its {key} from {item!r}: only what the file itself holds is read"
            elif key in _WORDS and not _is_nested(item):
                continue
            else:
                yield from _walk(item, where)
    elif isinstance(value, str) and ("://" in value or "../" in value or value.startswith(("/", "~/", "\\\\"))):
        yield f"{where} holds {value!r}, which names a file or an address"


def _is_nested(value: object) -> bool:
    """Whether something stands in it that Keras may build."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))


def _name(value: Mapping[str, object]) -> str:
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return f"{value['class_name']} {name!r}" if isinstance(name, str) else ""


def _check_object(value: Mapping[str, object], where: str) -> Iterator[str]:
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        yield f"{where} names an object by something that is no text"
        return
    if _is_trusted(value):
        return
    if name in _VALUES:
        if registered not in (None, name):  # Keras would build what is registered so
            yield f"{where} names {name} under the registered name {registered!r}"
        return
    own = "" if (module or "").startswith("keras") else "; --trust FILE.py loads layers of your own"
    if name == "function":
        function = value.get("config")
        known = isinstance(function, str) and function in FUNCTIONS | _HUB_FUNCTIONS and module in _FUNCTION_MODULES
        if not known or registered not in (None, "function", function):
            yield f"{where} names the function {function!r} of {module}, which is not on the list{own}"
        return
    if module is not None and _HUB_MODULE.fullmatch(module):
        known, registered_as = name in _HUB_NAMES, (None, name if name in _HUB_INNER else f"keras_hub>{name}")
    else:
        known, registered_as = _is_known(name, module), (None, name)
    if not known:
        if name in ("TFOpLambda", "SlicingOpLambda"):  # of Keras 2: its name says the operation
            name = _name(value) or name
        yield f"{where} names {name} of {module or 'no module'}, which is not on the list of plain classes{own}"
    if registered not in registered_as:
        yield f"{where} names {name} under the registered name {registered!r}"


def _is_trusted(value: Mapping[str, object]) -> bool:
    """Whether an object is one that somebody vouches for, under its own name or as it was registered, PACKAGE>NAME."""
    name, registered = str(value["class_name"]), value.get("registered_name")
    plain = (str(value.get("config")) if name == "function" else name).rpartition(">")[2]
    return plain in TRUSTED.get() and (registered is None or str(registered).rpartition(">")[2] in (plain, "function"))


def layers(config: object) -> Iterator[str]:
    """The class of each layer, those inside of layers as well, in order."""
    if isinstance(config, list):
        for item in config:
            yield from layers(item)
    elif isinstance(config, dict):
        for key, item in config.items():
            if key in ("layers", "layer") and isinstance(item, list | dict):
                some = item if isinstance(item, list) else [item]
                yield from (str(one["class_name"]) for one in some if isinstance(one, dict) and "class_name" in one)
            yield from layers(item)


def _is_known(name: str, module: str | None) -> bool:
    if module is None:
        return name in _WITHOUT_MODULE
    if module in _MATHEMATICS:
        return bool(_OPERATION.fullmatch(name))
    return name in ALLOWED.get(module, ())
