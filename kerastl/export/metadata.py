"""What a file's inputs and outputs mean, inside of it: where MediaPipe Tasks, Android Studio and Netron look.

The format is public (a FlatBuffer with the identifier ``M001`` in the entry ``TFLITE_METADATA``, and files appended as
a zip archive); no library that writes it installs beside a current TensorFlow. The reader's side is generated from
`metadata.fbs`, our own schema of the part that is used.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import SubGraphT, TensorT

from kerastl.export import operator_versions, packing
from kerastl.export.metadata_schema.AssociatedFile import AssociatedFileT
from kerastl.export.metadata_schema.AssociatedFileType import AssociatedFileType
from kerastl.export.metadata_schema.AudioProperties import AudioPropertiesT
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
from kerastl.inputs import text, wordpiece
from kerastl.system import bounded_json, bounded_zip
from kerastl.types import DecodedTarget, Task

ENTRY = b"TFLITE_METADATA"
RUNTIME = b"min_runtime_version"
IDENTIFIER = b"M001"
LABELS, VOCABULARY = "labels.txt", "vocab.txt"
INPUTS, TARGET = "inputs.json", "target.json"
"""What kinds say of themselves where the format has no fields for it."""
_INPUTS_IN_THE_FORMAT = frozenset({"image", "vocabulary", "length", "samples", "rate"})
_TARGETS_IN_THE_FORMAT = frozenset({"labels", "score_threshold"})
# The version of the format that was the first to have every field that is written.
MIN_PARSER_VERSION, MIN_PARSER_VERSION_OF_TEXT, MIN_PARSER_VERSION_OF_WORDS = "1.0.0", "1.1.0", "1.2.1"
MIN_PARSER_VERSION_OF_AUDIO = "1.3.0"
WORDS = ("<PAD>", "<START>", "<UNKNOWN>")
"""With what the vocabulary of a file of whole words begins."""


def add(data: bytes, task: Task, *, description: str, between_words: str = "") -> bytes:
    r"""A finished TFLite file that says inside what goes in and what comes out, without waste (see `packing.shrink`).

    The metadata hold what ``task.inputs.described()`` and ``task.target.described()`` say. Of a picture, a text and
    classes that is written as the public format has it, so that MediaPipe feeds the file: raw pixels 0..255 (mean
    0, standard deviation 1), the rate and the one channel of a recording, or BERT's tokenizer with ``vocab.txt``;
    the format's score threshold where an example may have none or several of the classes. Of other kinds it is
    JSON, ``inputs.json`` or ``target.json``. The names of the outputs are ``labels.txt``. All these files are
    appended as an uncompressed zip archive: ``zipfile`` opens the file. Metadata that the file has already is
    replaced.

    A file of one input of ids says with ``between_words`` that they are of whole words: MediaPipe feeds <START>, then
    the words, then <PAD>, and lower-cases nothing.

    Args:
        data: bytes of a TFLite file with the task's inputs, and one output ``(1, ..., outputs)``; of a task whose
            outputs are of any shape as many outputs as it has names.
        task: what goes in and what is asked; its name is the model's, for people.
        description: of the model, for people.
        between_words: a regular expression (RE2) of what separates words, for example ``r"[^\w']+"``; for a file of one
            input of ids whose vocabulary begins with ``WORDS``, and for no other.

    Raises:
        ValueError: if the file has other inputs than the task, or another number of outputs than names; or if a
            vocabulary lacks a special token.
        RuntimeError: if the file with metadata answers otherwise (a fault of this function, never let through).
    """
    model = packing.unpack(_without_archive(data))
    model.metadata = [old for old in model.metadata or [] if old.name != ENTRY]
    model = packing.unpack(packing.shrink(packing.pack(model)))
    graph, labels = model.subgraphs[0], list(task.target.names)
    outputs = int(graph.tensors[graph.outputs[0]].shape[-1]) if task.target.outputs else len(graph.outputs)
    if outputs != len(labels) and not isinstance(task.target, DecodedTarget):
        raise ValueError(f"Wanted one name for each of {outputs} outputs. Received: {len(labels)} names.")
    fed, asked = task.inputs.described(), task.target.described()
    _check_inputs(graph, task, between_words)
    _append(model, ENTRY, _described(graph, task, description=description, between_words=between_words))
    # sixteen bytes, as the converter has it: what tells a runtime that is too old asks for it there
    _append(model, RUNTIME, operator_versions.minimum_runtime(model).encode().ljust(16, b"\0"))
    vocabulary = fed.get("vocabulary", [])
    numbered = [f"{word} {number}" for number, word in enumerate(vocabulary)] if between_words else vocabulary
    inside = {LABELS: _lines(labels), VOCABULARY: _lines(numbered)}
    if _only_in_json(fed, _INPUTS_IN_THE_FORMAT):  # a length is read off the file's shape where there is a vocabulary
        inside |= {INPUTS: _json(_beyond(fed, _INPUTS_IN_THE_FORMAT) if vocabulary else fed)}
    inside |= {TARGET: _json(asked)} if _only_in_json(asked, _TARGETS_IN_THE_FORMAT) else {}
    file = io.BytesIO(packing.pack(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, content in inside.items():
            if content:
                # A date of its own would make the same network another file every time.
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    found = packing.first_difference(data, file.getvalue(), probes=1)
    if found is not None:
        raise RuntimeError(f"Metadata changed the network's answers: {found}")
    return file.getvalue()


def _append(model: schema.ModelT, name: bytes, content: bytes) -> None:
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = name, len(model.buffers)
    buffer.data = np.frombuffer(content, np.uint8)
    model.metadata = [*(model.metadata or []), entry]
    model.buffers.append(buffer)


def _lines(words: Sequence[str]) -> str:
    return "".join(f"{word}\n" for word in words)


def _json(described: Mapping[str, object]) -> str:
    return json.dumps(described, ensure_ascii=False, indent=1) + "\n"


def _only_in_json(described: Mapping[str, object], known: frozenset[str]) -> bool:
    """Whether the format has no fields for what a kind says of itself."""
    return not set(described) <= known


def _beyond(described: Mapping[str, object], known: frozenset[str]) -> dict[str, object]:
    """What the format has no fields for: a vocabulary of megabytes need not be there twice."""
    return {name: value for name, value in described.items() if name not in known}


def read(data: bytes) -> dict[str, Any]:
    """What the metadata of a TFLite file says.

    Returns:
        ``name``, ``description``, ``min_parser_version``, ``class_names`` (a list: one name an output), ``inputs`` and
        ``target`` (what the task's kinds said in ``described()``), and for ``input`` and ``output`` a dict of ``name``,
        ``min``, ``max``; a picture's input also has ``mean``, ``std`` and ``color_space``, a recording's
        ``sample_rate`` and ``channels``, one of token ids ``vocabulary`` (a list) and ``between_words``, empty where
        ids are of pieces of words. Of a text's three inputs it is that of the ids. The output's also has
        ``score_threshold`` where an example may have none or several of the classes.

    Raises:
        ValueError: if the file has no metadata or no labels.
    """
    metadata = _unpacked(data)
    graph = metadata.subgraphMetadata[0]
    source, target = graph.inputTensorMetadata[0], graph.outputTensorMetadata[0]
    first = packing.unpack(data).subgraphs[0]
    shape = [int(size) for size in first.tensors[first.inputs[0]].shape[1:]]
    fed, inputs = _input_of(data, source, shape)
    threshold = _threshold_of(target)
    labels = _file_of(data, target, AssociatedFileType.TENSOR_AXIS_LABELS)
    if labels is None:  # names of outputs of any shape
        labels = _file_of(data, target, AssociatedFileType.UNKNOWN, name=LABELS)
    if labels is None:
        raise ValueError("Wanted metadata with labels of the output. Received: metadata without any.")
    names = labels.splitlines()
    asked = {"labels": names} | ({} if threshold is None else {"score_threshold": threshold})
    return {
        "name": metadata.name.decode(),
        "description": metadata.description.decode(),
        "min_parser_version": metadata.minParserVersion.decode(),
        "class_names": names,
        "inputs": inputs | _from_json(_file_of(data, source, AssociatedFileType.UNKNOWN, name=INPUTS), {}),
        "target": _from_json(_file_of(data, target, AssociatedFileType.UNKNOWN, name=TARGET), asked),
        "input": _ends(source) | fed,
        "output": _ends(target) | ({} if threshold is None else {"score_threshold": threshold}),
    }


def _input_of(data: bytes, source: TensorMetadataT, shape: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the format's own fields say of an input, and that as a kind of input describes itself."""
    units: list[Any] = source.processUnits or []
    vocabulary = _file_of(data, source, AssociatedFileType.VOCABULARY)
    if vocabulary is not None:
        between = units[0].options.delimRegexPattern.decode() if units else ""
        words = vocabulary.splitlines()
        words = [line.rpartition(" ")[0] for line in words] if between else words
        return {"vocabulary": words, "between_words": between}, {"vocabulary": words, "length": shape[-1]}
    whole: Any = source.content
    if whole is not None and whole.contentPropertiesType == ContentProperties.AudioProperties:
        rate, channels = whole.contentProperties.sampleRate, whole.contentProperties.channels
        return {"sample_rate": rate, "channels": channels}, {"samples": shape[-1], "rate": rate}
    normalization = [unit.options for unit in units if unit.optionsType == ProcessUnitOptions.NormalizationOptions]
    if not normalization:
        return {}, {}
    content: Any = source.content
    colors: dict[Any, str] = {ColorSpaceType.RGB: "rgb", ColorSpaceType.GRAYSCALE: "grayscale"}
    said = {
        "mean": [float(value) for value in normalization[0].mean],
        "std": [float(value) for value in normalization[0].std],
        "color_space": colors.get(getattr(content.contentProperties, "colorSpace", None)),
    }
    return said, {"image": shape}


def _from_json(words: str | None, otherwise: dict[str, Any]) -> dict[str, Any]:
    found = otherwise if words is None else bounded_json.loads(words)
    if not isinstance(found, dict):
        raise ValueError(f"Wanted an object of JSON in the metadata. Received: a {type(found).__name__}.")
    return found


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


def _threshold_of(tensor: TensorMetadataT) -> float | None:
    units: list[Any] = tensor.processUnits or []
    for unit in units:
        if unit.optionsType == ProcessUnitOptions.ScoreThresholdingOptions:
            return round(float(unit.options.globalScoreThreshold), 6)  # it is kept in 32 bits
    return None


def _without_archive(data: bytes) -> bytes:
    """The file up to the zip archive that is appended to it."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    with bounded_zip.opened(data) as archive:
        return data[: min((entry.header_offset for entry in archive.infolist()), default=len(data))]


def _check_inputs(graph: SubGraphT, task: Task, between_words: str) -> None:
    """Raises `ValueError` unless a file takes what the task feeds, and MediaPipe can use its vocabulary."""
    found = {graph.tensors[index].name.decode(): list(graph.tensors[index].shape) for index in graph.inputs}
    fed = {name: list(values.shape) for name, values in task.inputs.fed(task.inputs.noise(1)).items()}
    vocabulary = task.inputs.described().get("vocabulary")
    if between_words:
        fits = vocabulary is not None and len(found) == 1
    else:  # one input is known without its name
        fits = found == fed or (len(fed) == 1 and list(found.values()) == list(fed.values()))
    if not fits:
        inputs = ", ".join(f"{name} {shape}" for name, shape in found.items())
        wanted = ", ".join(f"{name} {shape}" for name, shape in fed.items())
        raise ValueError(
            f"Wanted a file that takes what its task feeds, {wanted}; or with between_words one input of the ids of "
            f"words. Received: {inputs}, and between_words={between_words!r}."
        )
    if vocabulary is None:
        return
    special = WORDS if between_words else wordpiece.SPECIAL
    missing = [token for token in special if token not in vocabulary]
    if missing or vocabulary[text.PADDING] != special[0]:
        raise ValueError(
            f"Wanted a vocabulary with {', '.join(special)}, {special[0]} as id {text.PADDING}. Received: "
            f"{len(vocabulary):,} tokens from {vocabulary[0]!r} on, without {', '.join(missing) or 'none of them'}."
        )


def _described(graph: SubGraphT, task: Task, *, description: str, between_words: str = "") -> bytes:
    """The metadata FlatBuffer."""
    fed, asked = task.inputs.described(), task.target.described()
    targets = [TensorMetadataT() for _ in graph.outputs]
    for target, index in zip(targets, graph.outputs, strict=True):
        target.name = graph.tensors[index].name
    target = targets[0]  # what is said of all of them stands at the first
    target.stats = _stats(0.0, 1.0) if "labels" in asked else None
    an_axis = task.target.outputs and not isinstance(task.target, DecodedTarget)  # a label for each of its places
    named = AssociatedFileType.TENSOR_AXIS_LABELS if an_axis else AssociatedFileType.UNKNOWN
    target.associatedFiles = [_file(LABELS, named)]
    if _only_in_json(asked, _TARGETS_IN_THE_FORMAT):
        target.associatedFiles.append(_file(TARGET, AssociatedFileType.UNKNOWN))
    if "score_threshold" in asked:
        unit, options = ProcessUnitT(), ScoreThresholdingOptionsT()
        options.globalScoreThreshold = asked["score_threshold"]
        unit.optionsType, unit.options = ProcessUnitOptions.ScoreThresholdingOptions, options
        target.processUnits = [unit]
    whole = SubGraphMetadataT()
    sources = [graph.tensors[index] for index in graph.inputs]
    whole.inputTensorMetadata = [
        _source(tensor, fed, between_words, first=place == 0) for place, tensor in enumerate(sources)
    ]
    whole.outputTensorMetadata = targets
    if "vocabulary" in fed and "texts" not in fed and not between_words:  # of three inputs one tokenizer makes all
        whole.inputProcessUnits = [_tokenizer("")]
    metadata = ModelMetadataT()
    metadata.name, metadata.description = task.name, description
    metadata.subgraphMetadata = [whole]
    of_text = MIN_PARSER_VERSION_OF_WORDS if between_words else MIN_PARSER_VERSION_OF_TEXT
    others = MIN_PARSER_VERSION_OF_AUDIO if "rate" in fed else MIN_PARSER_VERSION
    metadata.minParserVersion = of_text if "vocabulary" in fed else others
    builder = packing.SharingBuilder()
    builder.Finish(metadata.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _source(tensor: TensorT, fed: Mapping[str, Any], between_words: str, *, first: bool) -> TensorMetadataT:
    """What is said of one input; what is said of all of them, at the first."""
    source, content = TensorMetadataT(), ContentT()
    source.name, source.content = tensor.name, content
    if "image" in fed:
        content.contentPropertiesType, picture = ContentProperties.ImageProperties, ImagePropertiesT()
        picture.colorSpace = ColorSpaceType.RGB if fed["image"][-1] == 3 else ColorSpaceType.GRAYSCALE
        content.contentProperties, source.stats = picture, _stats(0.0, 255.0)
        unit, options = ProcessUnitT(), NormalizationOptionsT()
        options.mean, options.std = [0.0], [1.0]
        unit.optionsType, unit.options = ProcessUnitOptions.NormalizationOptions, options
        source.processUnits = [unit]
        if first and _only_in_json(fed, _INPUTS_IN_THE_FORMAT):
            source.associatedFiles = [_file(INPUTS, AssociatedFileType.UNKNOWN)]
        return source
    if "rate" in fed:
        content.contentPropertiesType, sound = ContentProperties.AudioProperties, AudioPropertiesT()
        sound.sampleRate, sound.channels = fed["rate"], 1
        content.contentProperties, source.stats = sound, _stats(-1.0, 1.0)
        return source
    content.contentPropertiesType = ContentProperties.FeatureProperties
    content.contentProperties = FeaturePropertiesT()
    if first and "vocabulary" in fed:
        source.associatedFiles = [_file(VOCABULARY, AssociatedFileType.VOCABULARY)]
        if between_words:
            source.processUnits = [_tokenizer(between_words)]
        if _only_in_json(fed, _INPUTS_IN_THE_FORMAT):
            source.associatedFiles.append(_file(INPUTS, AssociatedFileType.UNKNOWN))
    elif first and _only_in_json(fed, _INPUTS_IN_THE_FORMAT):
        source.associatedFiles = [_file(INPUTS, AssociatedFileType.UNKNOWN)]
    return source


def _tokenizer(between_words: str) -> ProcessUnitT:
    """The process unit that makes ids of a text."""
    unit: Any = ProcessUnitT()
    if between_words:
        unit.optionsType, unit.options = ProcessUnitOptions.RegexTokenizerOptions, RegexTokenizerOptionsT()
        unit.options.delimRegexPattern = between_words
    else:
        unit.optionsType, unit.options = ProcessUnitOptions.BertTokenizerOptions, BertTokenizerOptionsT()
    unit.options.vocabFile = [_file(VOCABULARY, AssociatedFileType.VOCABULARY)]
    return unit


def _file(name: str, kind: int) -> AssociatedFileT:
    file: Any = AssociatedFileT()
    file.name, file.type = name, kind
    return file


def _stats(low: float, high: float) -> StatsT:
    stats: Any = StatsT()
    stats.min, stats.max = [low], [high]
    return stats


def _ends(tensor: TensorMetadataT) -> dict[str, Any]:
    name: Any = tensor.name  # bytes, whatever the generated code says
    stats = tensor.stats
    return {
        "name": name.decode(),
        "min": None if stats is None else float(stats.min[0]),
        "max": None if stats is None else float(stats.max[0]),
    }


def _file_of(data: bytes, tensor: TensorMetadataT, kind: int, *, name: str = "") -> str | None:
    """The text of a tensor's file of one kind, and of one name if that is given; ``None`` where it has none."""
    files: list[Any] = tensor.associatedFiles or []
    for file in files:
        inside = file.name.decode()
        if file.type == kind and name in ("", inside):
            with bounded_zip.opened(data) as archive:
                return bounded_zip.read(archive, inside).decode()
    return None
