"""Labels and normalization inside a TFLite file, where MediaPipe Tasks, Android Studio and Netron look for them.

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

from kerastl.export import packing
from kerastl.export.metadata_schema.AssociatedFile import AssociatedFileT
from kerastl.export.metadata_schema.AssociatedFileType import AssociatedFileType
from kerastl.export.metadata_schema.ColorSpaceType import ColorSpaceType
from kerastl.export.metadata_schema.Content import ContentT
from kerastl.export.metadata_schema.ContentProperties import ContentProperties
from kerastl.export.metadata_schema.FeatureProperties import FeaturePropertiesT
from kerastl.export.metadata_schema.ImageProperties import ImagePropertiesT
from kerastl.export.metadata_schema.ModelMetadata import ModelMetadata, ModelMetadataT
from kerastl.export.metadata_schema.NormalizationOptions import NormalizationOptionsT
from kerastl.export.metadata_schema.ProcessUnit import ProcessUnitT
from kerastl.export.metadata_schema.ProcessUnitOptions import ProcessUnitOptions
from kerastl.export.metadata_schema.Stats import StatsT
from kerastl.export.metadata_schema.SubGraphMetadata import SubGraphMetadataT
from kerastl.export.metadata_schema.TensorMetadata import TensorMetadataT

ENTRY = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
LABELS = "labels.txt"
# The first version of the format has every field that is written here.
MIN_PARSER_VERSION = "1.0.0"


def add(data: bytes, *, class_names: Sequence[str], name: str, description: str) -> bytes:
    """A finished TFLite file with its labels and normalization inside, and without waste (see `packing.shrink`).

    The metadata says that raw pixels 0..255 go in (mean 0, standard deviation 1) and probabilities come out, one a
    line of ``labels.txt``, which is appended as an uncompressed zip archive: ``zipfile`` opens the file. Metadata
    that the file has already is replaced.

    Args:
        data: bytes of a TFLite file with one input and one output ``(1, classes)``.
        class_names: one name a class, in the order of the output.
        name: of the model, for people.
        description: of the model, for people.

    Raises:
        ValueError: if the names are not one a class, are empty, repeat, or hold a line break.
    """
    labels = _checked_labels(class_names)
    model = packing.unpack(_without_archive(data))
    model.metadata = [old for old in model.metadata or [] if old.name != ENTRY]
    model = packing.unpack(packing.shrink(packing.pack(model), names=_has_floats(model)))
    graph = model.subgraphs[0]
    classes = int(graph.tensors[graph.outputs[0]].shape[-1])
    if classes != len(labels):
        raise ValueError(f"Wanted one name for each of {classes} classes. Received: {len(labels)} names.")
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.metadata = [*(model.metadata or []), entry]
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(_described(graph, name=name, description=description), np.uint8)
    model.buffers.append(buffer)
    file = io.BytesIO(packing.pack(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        # A date of its own would make the same network another file every time.
        archive.writestr(zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0)), "".join(f"{label}\n" for label in labels))
    return file.getvalue()


def read(data: bytes) -> dict[str, Any]:
    """What the metadata of a TFLite file says.

    Returns:
        ``name``, ``description``, ``min_parser_version``, ``class_names`` (a list), and for ``input`` and ``output``
        a dict of ``name``, ``min``, ``max``; the input's also has ``mean``, ``std`` and ``color_space``.

    Raises:
        ValueError: if the file has no metadata or no labels.
    """
    model = packing.unpack(data)
    found = [model.buffers[entry.buffer].data for entry in model.metadata or [] if entry.name == ENTRY]
    if not found or bytes(found[0])[4:8] != IDENTIFIER:
        names = [entry.name.decode() for entry in model.metadata or []]
        raise ValueError(f"Wanted a file with metadata (entry {ENTRY.decode()}). Received: one with entries {names}.")
    metadata: Any = ModelMetadataT.InitFromObj(ModelMetadata.GetRootAs(bytes(found[0]), 0))
    graph = metadata.subgraphMetadata[0]
    source, target = graph.inputTensorMetadata[0], graph.outputTensorMetadata[0]
    normalization = next(unit.options for unit in source.processUnits)
    colors: dict[Any, str] = {ColorSpaceType.RGB: "rgb", ColorSpaceType.GRAYSCALE: "grayscale"}
    return {
        "name": metadata.name.decode(),
        "description": metadata.description.decode(),
        "min_parser_version": metadata.minParserVersion.decode(),
        "class_names": _labels_of(data, target),
        "input": _ends(source)
        | {
            "mean": [float(value) for value in normalization.mean],
            "std": [float(value) for value in normalization.std],
            "color_space": colors.get(getattr(source.content.contentProperties, "colorSpace", None)),
        },
        "output": _ends(target),
    }


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


def _has_floats(model: Any) -> bool:
    """Whether someone may yet want to quantize the file, which goes by the names of tensors."""
    types = {tensor.type for graph in model.subgraphs for tensor in graph.tensors}
    return schema.TensorType.FLOAT32 in types


def _described(graph: Any, *, name: str, description: str) -> bytes:
    """The metadata FlatBuffer."""
    shape = graph.tensors[graph.inputs[0]].shape
    source: Any = TensorMetadataT()
    target: Any = TensorMetadataT()
    source.name = graph.tensors[graph.inputs[0]].name
    source.content = ContentT()
    if len(shape) == 4:
        source.content.contentPropertiesType = ContentProperties.ImageProperties
        source.content.contentProperties = ImagePropertiesT()
        source.content.contentProperties.colorSpace = ColorSpaceType.RGB if shape[3] == 3 else ColorSpaceType.GRAYSCALE
        source.stats = _stats(0.0, 255.0)
    else:
        source.content.contentPropertiesType = ContentProperties.FeatureProperties
        source.content.contentProperties = FeaturePropertiesT()
    unit: Any = ProcessUnitT()
    unit.optionsType = ProcessUnitOptions.NormalizationOptions
    unit.options = NormalizationOptionsT()
    unit.options.mean, unit.options.std = [0.0], [1.0]
    source.processUnits = [unit]
    file: Any = AssociatedFileT()
    file.name, file.type = LABELS, AssociatedFileType.TENSOR_AXIS_LABELS
    target.name = graph.tensors[graph.outputs[0]].name
    target.stats = _stats(0.0, 1.0)
    target.associatedFiles = [file]
    whole: Any = SubGraphMetadataT()
    whole.inputTensorMetadata, whole.outputTensorMetadata = [source], [target]
    metadata: Any = ModelMetadataT()
    metadata.name, metadata.description = name, description
    metadata.subgraphMetadata = [whole]
    metadata.minParserVersion = MIN_PARSER_VERSION
    builder = packing.SharingBuilder()
    builder.Finish(metadata.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


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


def _labels_of(data: bytes, tensor: Any) -> list[str]:
    for file in tensor.associatedFiles or []:
        if file.type == AssociatedFileType.TENSOR_AXIS_LABELS:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return archive.read(file.name.decode()).decode().splitlines()
    raise ValueError("Wanted metadata with labels of the output. Received: metadata without any.")
