"""Labels, and normalization or vocabulary, inside a TFLite file: where MediaPipe Tasks, Android Studio and Netron look.

The format is public (a FlatBuffer with the identifier ``M001`` in the entry ``TFLITE_METADATA``, and files appended as
a zip archive); no library that writes it installs beside a current TensorFlow. The reader's side is generated from
`metadata.fbs`, our own schema of the part that is used.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl import types
from kerastl.export import packing
from kerastl.export.metadata_schema.AssociatedFile import AssociatedFileT
from kerastl.export.metadata_schema.AssociatedFileType import AssociatedFileType
from kerastl.export.metadata_schema.BertTokenizerOptions import BertTokenizerOptionsT
from kerastl.export.metadata_schema.ColorSpaceType import ColorSpaceType
from kerastl.export.metadata_schema.Content import ContentT
from kerastl.export.metadata_schema.ContentProperties import ContentProperties
from kerastl.export.metadata_schema.FeatureProperties import FeaturePropertiesT
from kerastl.export.metadata_schema.ImageProperties import ImagePropertiesT
from kerastl.export.metadata_schema.ModelMetadata import ModelMetadata, ModelMetadataT
from kerastl.export.metadata_schema.NormalizationOptions import NormalizationOptionsT
from kerastl.export.metadata_schema.ProcessUnit import ProcessUnitT
from kerastl.export.metadata_schema.ProcessUnitOptions import ProcessUnitOptions
from kerastl.export.metadata_schema.RegexTokenizerOptions import RegexTokenizerOptionsT
from kerastl.export.metadata_schema.ScoreThresholdingOptions import ScoreThresholdingOptionsT
from kerastl.export.metadata_schema.Stats import StatsT
from kerastl.export.metadata_schema.SubGraphMetadata import SubGraphMetadataT
from kerastl.export.metadata_schema.TensorMetadata import TensorMetadataT
from kerastl.inputs import wordpiece

ENTRY = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
LABELS, VOCABULARY = "labels.txt", "vocab.txt"
# The version of the format that was the first to have every field that is written.
MIN_PARSER_VERSION, MIN_PARSER_VERSION_OF_TEXT, MIN_PARSER_VERSION_OF_WORDS = "1.0.0", "1.1.0", "1.2.1"
WORDS = ("<PAD>", "<START>", "<UNKNOWN>")
"""With what the vocabulary of a file of whole words begins."""


def add(
    data: bytes,
    *,
    class_names: Sequence[str],
    name: str,
    description: str,
    vocabulary: Sequence[str] = (),
    between_words: str = "",
    multi_label: bool = False,
) -> bytes:
    r"""A finished TFLite file with its labels and normalization inside, and without waste (see `packing.shrink`).

    The metadata says that raw pixels 0..255 go in (mean 0, standard deviation 1) and probabilities come out, one a
    line of ``labels.txt``, which is appended as an uncompressed zip archive: ``zipfile`` opens the file. Metadata
    that the file has already is replaced.

    A text's file takes `types.TEXT_INPUTS` and says that BERT's tokenizer makes the ids, each the number of a line of
    ``vocab.txt`` in the same archive. A file of one input of ids says with ``between_words`` that they are of whole
    words: MediaPipe feeds <START>, then the words, then <PAD>, and lower-cases nothing.

    Args:
        data: bytes of a TFLite file with one output ``(1, classes)``, and one input or a text's three.
        class_names: one name a class, in the order of the output.
        name: of the model, for people.
        description: of the model, for people.
        vocabulary: the token of each id, for a file that takes int32 ids, and for no other.
        between_words: a regular expression (RE2) of what separates words, for example ``r"[^\w']+"``; for a file of one
            input of ids whose vocabulary begins with ``WORDS``, and for no other.
        multi_label: whether an example may have none or several of the classes. The file then says that those count
            that are as probable as `types.THRESHOLD` (the format's score threshold), and MediaPipe answers with them.

    Raises:
        ValueError: if the names are not one a class, are empty, repeat, or hold a line break; if a vocabulary is
            missing, lacks a special token, or is given to a file that takes none.
    """
    labels = _checked_labels(class_names)
    model = packing.unpack(_without_archive(data))
    model.metadata = [old for old in model.metadata or [] if old.name != ENTRY]
    model = packing.unpack(packing.shrink(packing.pack(model), names=_may_be_quantized(model)))
    graph = model.subgraphs[0]
    classes = int(graph.tensors[graph.outputs[0]].shape[-1])
    if classes != len(labels):
        raise ValueError(f"Wanted one name for each of {classes} classes. Received: {len(labels)} names.")
    _check_vocabulary(graph, vocabulary, between_words)
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.metadata = [*(model.metadata or []), entry]
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(
        _described(graph, name=name, description=description, between_words=between_words, multi_label=multi_label),
        np.uint8,
    )
    model.buffers.append(buffer)
    file = io.BytesIO(packing.pack(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        numbered = [f"{word} {number}" for number, word in enumerate(vocabulary)] if between_words else vocabulary
        for inside, lines in ((LABELS, labels), (VOCABULARY, numbered)):
            if lines:
                # A date of its own would make the same network another file every time.
                archive.writestr(zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0)), "".join(f"{line}\n" for line in lines))
    return file.getvalue()


def read(data: bytes) -> dict[str, Any]:
    """What the metadata of a TFLite file says.

    Returns:
        ``name``, ``description``, ``min_parser_version``, ``class_names`` (a list), and for ``input`` and ``output``
        a dict of ``name``, ``min``, ``max``; the input's also has ``mean``, ``std`` and ``color_space``, or for token
        ids ``vocabulary`` (a list) and ``between_words``, empty where ids are of pieces of words. Of a text's three
        inputs it is that of the ids. The output's also has ``score_threshold`` where an example may have none or
        several of the classes.

    Raises:
        ValueError: if the file has no metadata or no labels.
    """
    metadata = _unpacked(data)
    graph = metadata.subgraphMetadata[0]
    source, target = graph.inputTensorMetadata[0], graph.outputTensorMetadata[0]
    colors: dict[Any, str] = {ColorSpaceType.RGB: "rgb", ColorSpaceType.GRAYSCALE: "grayscale"}
    vocabulary = _lines_of(data, source, AssociatedFileType.VOCABULARY)
    if vocabulary is not None:
        unit: Any = source.processUnits[0].options if source.processUnits else None
        between = "" if unit is None else unit.delimRegexPattern.decode()
        vocabulary = [line.rpartition(" ")[0] for line in vocabulary] if between else vocabulary
        fed: dict[str, Any] = {"vocabulary": vocabulary, "between_words": between}
    else:
        normalization = next(unit.options for unit in source.processUnits)
        fed = {
            "mean": [float(value) for value in normalization.mean],
            "std": [float(value) for value in normalization.std],
            "color_space": colors.get(getattr(source.content.contentProperties, "colorSpace", None)),
        }
    threshold = _threshold_of(target)
    labels = _lines_of(data, target, AssociatedFileType.TENSOR_AXIS_LABELS)
    if labels is None:
        raise ValueError("Wanted metadata with labels of the output. Received: metadata without any.")
    return {
        "name": metadata.name.decode(),
        "description": metadata.description.decode(),
        "min_parser_version": metadata.minParserVersion.decode(),
        "class_names": labels,
        "input": _ends(source) | fed,
        "output": _ends(target) | ({} if threshold is None else {"score_threshold": threshold}),
    }


def score_threshold(data: bytes) -> float | None:
    """From which probability on a class is there, of a file for examples that may have several; ``None`` of another.

    Raises:
        ValueError: if the file is no TFLite file.
    """
    try:
        metadata = _unpacked(data)
    except NoMetadataError:
        return None
    return _threshold_of(metadata.subgraphMetadata[0].outputTensorMetadata[0])


class NoMetadataError(ValueError):
    """A file without metadata."""


def _unpacked(data: bytes) -> Any:
    """The metadata of a file as an object."""
    model = packing.unpack(data)
    found = [model.buffers[entry.buffer].data for entry in model.metadata or [] if entry.name == ENTRY]
    if not found or bytes(found[0])[4:8] != IDENTIFIER:
        names = [entry.name.decode() for entry in model.metadata or []]
        raise NoMetadataError(
            f"Wanted a file with metadata (entry {ENTRY.decode()}). Received: one with entries {names}."
        )
    return ModelMetadataT.InitFromObj(ModelMetadata.GetRootAs(bytes(found[0]), 0))


def _threshold_of(tensor: Any) -> float | None:
    for unit in tensor.processUnits or []:
        if unit.optionsType == ProcessUnitOptions.ScoreThresholdingOptions:
            return float(unit.options.globalScoreThreshold)
    return None


def _checked_labels(class_names: Sequence[str]) -> list[str]:
    labels = list(class_names)
    wrong = [label for label in labels if not label.strip() or label.splitlines() != [label]]
    if not labels or wrong or len(set(labels)) != len(labels):
        raise ValueError(f"Wanted class names of one line each, no two the same. Received: {labels}.")
    return labels


def _without_archive(data: bytes) -> bytes:
    """The file up to the zip archive that is appended to it."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return data[: min((entry.header_offset for entry in archive.infolist()), default=len(data))]


def _may_be_quantized(model: Any) -> bool:
    """Whether someone may yet want to quantize the file, which goes by the names of tensors: once is enough."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    scaled = any(tensor.quantization is not None and tensor.quantization.scale is not None for tensor in tensors)
    return not scaled and all(tensor.type != schema.TensorType.FLOAT16 for tensor in tensors)


def _check_vocabulary(graph: Any, vocabulary: Sequence[str], between_words: str) -> None:
    inputs = [graph.tensors[index] for index in graph.inputs]
    names = [tensor.name.decode() for tensor in inputs]
    ids = all(tensor.type == schema.TensorType.INT32 for tensor in inputs)
    if ids != bool(vocabulary):
        raise ValueError(
            "Wanted a vocabulary for a file that takes token ids, and for no other. Received: "
            f"{len(vocabulary):,} tokens for a file that takes {'int32 ids' if ids else 'pictures'}."
        )
    pieces = ids and not between_words
    fits = sorted(names) == sorted(types.TEXT_INPUTS) if pieces else len(names) == 1 and ids == bool(between_words)
    if not fits:
        raise ValueError(
            f"Wanted one input of pictures or of words, or a text's {', '.join(types.TEXT_INPUTS)}. Received: "
            f"{', '.join(names)}, and between_words={between_words!r}."
        )
    if not ids:
        return
    special = WORDS if between_words else wordpiece.SPECIAL
    missing = [token for token in special if token not in vocabulary]
    if missing or vocabulary[types.PADDING] != special[0]:
        raise ValueError(
            f"Wanted a vocabulary with {', '.join(special)}, {special[0]} as id {types.PADDING}. Received: "
            f"{len(vocabulary):,} tokens from {vocabulary[0]!r} on, without {', '.join(missing) or 'none of them'}."
        )


def _described(graph: Any, *, name: str, description: str, between_words: str = "", multi_label: bool = False) -> bytes:
    """The metadata FlatBuffer."""
    ids = graph.tensors[graph.inputs[0]].type == schema.TensorType.INT32
    target: Any = TensorMetadataT()
    target.name = graph.tensors[graph.outputs[0]].name
    target.stats = _stats(0.0, 1.0)
    target.associatedFiles = [_file(LABELS, AssociatedFileType.TENSOR_AXIS_LABELS)]
    if multi_label:
        unit: Any = ProcessUnitT()
        unit.optionsType, unit.options = ProcessUnitOptions.ScoreThresholdingOptions, ScoreThresholdingOptionsT()
        unit.options.globalScoreThreshold = types.THRESHOLD
        target.processUnits = [unit]
    whole: Any = SubGraphMetadataT()
    whole.inputTensorMetadata = [_source(graph.tensors[index], between_words) for index in graph.inputs]
    whole.outputTensorMetadata = [target]
    if ids and not between_words:  # of three inputs one tokenizer makes all
        whole.inputProcessUnits = [_tokenizer("")]
    metadata: Any = ModelMetadataT()
    metadata.name, metadata.description = name, description
    metadata.subgraphMetadata = [whole]
    text = MIN_PARSER_VERSION_OF_WORDS if between_words else MIN_PARSER_VERSION_OF_TEXT
    metadata.minParserVersion = text if ids else MIN_PARSER_VERSION
    builder = packing.SharingBuilder()
    builder.Finish(metadata.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _source(tensor: Any, between_words: str) -> Any:
    """What is said of one input."""
    shape = tensor.shape
    source: Any = TensorMetadataT()
    source.name = tensor.name
    source.content = ContentT()
    if len(shape) == 4:
        source.content.contentPropertiesType = ContentProperties.ImageProperties
        source.content.contentProperties = ImagePropertiesT()
        source.content.contentProperties.colorSpace = ColorSpaceType.RGB if shape[3] == 3 else ColorSpaceType.GRAYSCALE
        source.stats = _stats(0.0, 255.0)
    else:
        source.content.contentPropertiesType = ContentProperties.FeatureProperties
        source.content.contentProperties = FeaturePropertiesT()
    if tensor.type != schema.TensorType.INT32:
        unit: Any = ProcessUnitT()
        unit.optionsType = ProcessUnitOptions.NormalizationOptions
        unit.options = NormalizationOptionsT()
        unit.options.mean, unit.options.std = [0.0], [1.0]
        source.processUnits = [unit]
    elif between_words or tensor.name == types.TEXT_INPUTS[0].encode():
        source.associatedFiles = [_file(VOCABULARY, AssociatedFileType.VOCABULARY)]
        source.processUnits = [_tokenizer(between_words)] if between_words else None
    return source


def _tokenizer(between_words: str) -> Any:
    """The process unit that makes ids of a text."""
    unit: Any = ProcessUnitT()
    if between_words:
        unit.optionsType, unit.options = ProcessUnitOptions.RegexTokenizerOptions, RegexTokenizerOptionsT()
        unit.options.delimRegexPattern = between_words
    else:
        unit.optionsType, unit.options = ProcessUnitOptions.BertTokenizerOptions, BertTokenizerOptionsT()
    unit.options.vocabFile = [_file(VOCABULARY, AssociatedFileType.VOCABULARY)]
    return unit


def _file(name: str, kind: int) -> Any:
    file: Any = AssociatedFileT()
    file.name, file.type = name, kind
    return file


def _stats(low: float, high: float) -> Any:
    stats: Any = StatsT()
    stats.min, stats.max = [low], [high]
    return stats


def _ends(tensor: Any) -> dict[str, Any]:
    stats = tensor.stats
    return {
        "name": tensor.name.decode(),
        "min": None if stats is None else float(stats.min[0]),
        "max": None if stats is None else float(stats.max[0]),
    }


def _lines_of(data: bytes, tensor: Any, kind: int) -> list[str] | None:
    """The lines of a tensor's file of one kind, ``None`` where it has none."""
    for file in tensor.associatedFiles or []:
        if file.type == kind:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return archive.read(file.name.decode()).decode().splitlines()
    return None
