"""A finished run for TensorBoard: confusion, precision-recall curves, weights, the file's graph, settings and scores.

What each epoch gave stands there already, from training; this is what came out. `tensorboard --logdir
saved_models/RECIPE` puts the runs of a recipe side by side, by their settings too (HParams).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "result"
"""Inside of a run's ``logs``."""
_MOST_NAMES = 40
"""Classes up to which a picture of a matrix names them."""
_MOST_WEIGHTS = 200
"""Weights whose histograms are written."""


def write(logs: Path, report: Mapping[str, Any], *, model: Any, file: bytes) -> Path:
    """Writes one event file.

    Args:
        logs: the run's folder of logs.
        report: the content of `report.json`.
        model: the Keras model, of either Keras, whose weights are shown.
        file: the chosen TFLite file, whose operators are the graph.

    Returns:
        The folder that it lies in.
    """
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer import event_file_writer

    folder = logs / FOLDER
    writer = event_file_writer.EventFileWriter(str(folder))
    try:
        writer.add_event(event_pb2.Event(step=0, graph_def=graph(file).SerializeToString()))
        for summary in (*_settings(report), *_scalars(report), *_matrices(report), *_curves(report), *_weights(model)):
            # some come as TensorFlow's own message, which is not TensorBoard's
            made = summary_pb2.Summary.FromString(summary.SerializeToString())
            writer.add_event(event_pb2.Event(step=0, summary=made))
        writer.flush()
    finally:
        writer.close()
    return folder


def graph(file: bytes) -> Any:
    """A TFLite file's main graph as a ``GraphDef``: a node an operator, and one an input."""
    from ai_edge_litert.tools import flatbuffer_utils
    from tensorboard.compat.proto import graph_pb2

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    main, made = model.subgraphs[0], graph_pb2.GraphDef()
    names: dict[int, str] = {}
    for index in map(int, main.inputs):
        names[index] = _plain(main.tensors[index].name, f"input_{index}")
        made.node.add(name=names[index], op="Placeholder")
    for place, operator in enumerate(main.operators):
        kind = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        name = f"{place:03d}_{kind}"
        node = made.node.add(name=name, op=kind)
        node.input.extend(names[index] for index in map(int, operator.inputs) if index in names)
        names |= dict.fromkeys(map(int, operator.outputs), name)
    return made


def _plain(name: bytes | None, otherwise: str) -> str:
    words = (name or b"").decode(errors="replace")
    return words if words.isprintable() and words else otherwise


def _settings(report: Mapping[str, Any]) -> Iterator[Any]:
    """Settings as hyperparameters, so that runs can be sorted by them."""
    from tensorboard.plugins.hparams import summary

    settings = dict(_flat(report["settings"]))
    yield summary.session_start_pb(settings, group_name=f"{report['recipe']}/{report['tag']}")
    yield summary.session_end_pb("STATUS_SUCCESS")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, bool | int | float | str) else str(value)


def _scalars(report: Mapping[str, Any]) -> Iterator[Any]:
    """What the chosen file scores and costs."""
    from tensorboard.compat.proto import summary_pb2

    row = next(row for row in report["variants"] if row["name"] == report["chosen"])
    values = {"score/validation": row["validation_score"], "score/test": row["score"], "cost/bytes": row["bytes"]}
    values |= {"cost/milliseconds": row["latency_ms"]["median"], "weights/sparsity": row["sparsity"]}
    values |= {f"cost/{key}": row[key] for key in ("arena_bytes", "multiply_adds") if row.get(key)}
    for tag, value in values.items():
        yield summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=float(value))])


def _matrices(report: Mapping[str, Any]) -> Iterator[Any]:
    """Confusion matrices as pictures, each row as shares of its class."""
    from tensorboard.compat.proto import summary_pb2

    for matrix in report.get("confusions", ()):
        size = len(matrix["names"])
        table = np.zeros((size, size))
        for true, said, count in matrix["cells"]:
            table[true, said] = count
        content, (height, width) = _picture(table, matrix["names"] if size <= _MOST_NAMES else ())
        image = summary_pb2.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
        yield summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=matrix["title"].replace(" ", "_"), image=image)])


def _picture(table: np.ndarray, names: Any) -> tuple[bytes, tuple[int, int]]:
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table / np.maximum(table.sum(-1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("says")
    axes.set_ylabel("is")
    if len(names):
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    with io.BytesIO() as sink, io.BytesIO() as small:
        figure.savefig(sink, format="png", dpi=90)
        picture = Image.open(sink).convert("RGB")
        picture.save(small, format="PNG")
        return small.getvalue(), (picture.height, picture.width)


def _curves(report: Mapping[str, Any]) -> Iterator[Any]:
    """Precision and recall at the report's thresholds, a curve a class."""
    from tensorboard.plugins.pr_curve import summary

    for table in report.get("thresholds", ()):
        for row in table["classes"]:
            found, named = np.array(row["found"], float), np.array(row["named"], float)
            missed, wrong = row["examples"] - found, named - found
            precision = np.divide(found, named, out=np.ones_like(found), where=named > 0)
            recall = found / max(row["examples"], 1)
            yield summary.raw_data_pb(
                name=f"{table['title']}/{row['name']}".replace(" ", "_"),
                true_positive_counts=found,
                false_positive_counts=wrong,
                true_negative_counts=table["examples"] - found - wrong - missed,
                false_negative_counts=missed,
                precision=precision,
                recall=recall,
                num_thresholds=len(found),
            )


def _weights(model: Any) -> Iterator[Any]:
    """Histograms of a model's weights, and of its kernels the share of zeros."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.histogram import summary

    for weight in getattr(model, "weights", ())[:_MOST_WEIGHTS]:
        values = np.asarray(weight.numpy(), np.float64)
        name = getattr(weight, "path", weight.name)
        if values.size:
            yield summary.pb(f"weights/{name}", values.ravel())
        if values.ndim >= 2:
            share = float((values == 0).mean())
            value = summary_pb2.Summary.Value(tag=f"sparsity/{name}", simple_value=share)
            yield summary_pb2.Summary(value=[value])
