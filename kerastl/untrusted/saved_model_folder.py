"""TensorFlow SavedModels of strangers: programs, read as data first and loaded if nothing in them reaches out."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, TensorInfo

from kerastl.untrusted import graph, snapshots

_OTHER_PROGRAMS = ("saved_model.cpb", "saved_model.pbtxt")  # TensorFlow would read these as well, one of them first


class SavedModelError(ValueError):
    """A SavedModel that is not loaded, and why."""


def load(folder: Path) -> Any:
    """A foreign SavedModel, as ``tf.saved_model.load`` gives it.

    Raises:
        FileNotFoundError: there is no SavedModel.
        SavedModelError: as for `inspect`, or TensorFlow cannot load it.
    """
    inspect(folder)
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever a damaged file provokes in it
        raise SavedModelError(f"TensorFlow cannot load {folder}: {error}") from error


def tensor(values: np.ndarray) -> tf.Tensor:
    """Numbers as a signature takes them."""
    return tf.constant(values)


def inspect(folder: Path) -> None:
    """Looks at a SavedModel without loading it.

    Raises:
        FileNotFoundError: there is no SavedModel.
        SavedModelError: damaged, or of TensorFlow 1; a link, a device or a second program in the folder; an operation
            that may read or write files, run code or reach a network (`graph.inspect`); a checkpoint or a vocabulary
            opened elsewhere than TensorFlow puts it; an asset outside ``assets/``.
    """
    for words in findings(folder):
        raise SavedModelError(f"{folder} is not opened: {words}.")


def findings(folder: Path) -> Iterator[str]:
    """Why a SavedModel is not loaded: all that should not lie in its folder and every operation that is refused.

    Of what is wrong with how its parts hang together, it is the first.

    Raises:
        FileNotFoundError: there is no SavedModel.
    """
    folder = Path(folder)
    if not any((folder / name).is_file() for name in ("saved_model.pb", *_OTHER_PROGRAMS)):
        raise FileNotFoundError(f"There is no SavedModel in {folder}: saved_model.pb is missing.")
    found = list(snapshots.strange(folder))
    if found:  # and nothing is read: a link may lead to what has no end
        yield from found
        return
    for name in _OTHER_PROGRAMS:
        if (folder / name).exists():
            yield f"it holds a second program, {name}"
    try:
        program = _program(folder)
    except (OSError, SavedModelError) as error:
        yield str(error)
        return
    for part in program.meta_graphs:
        found = [f"it holds {words}" for words in graph.refused(part.graph_def)]
        yield from found
        try:
            if not found:
                _inspect_part(part, folder)
        except SavedModelError as error:
            yield str(error)
        except graph.GraphError as error:
            yield f"it holds {error}"


def contents(folder: Path) -> Iterator[tuple[str, str]]:
    """What can be read off a SavedModel without loading it: ``(what, in words)``.

    Raises:
        SavedModelError: it is damaged.
    """
    part = _program(folder).meta_graphs[0]
    yield "written by", f"TensorFlow {part.meta_info_def.tensorflow_version}"
    for name, signature in sorted(part.signature_def.items()):
        for which, ends in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            if ends and name != "__saved_model_init_op":
                yield f"{which} of {name}", ", ".join(_end(key, ends[key]) for key in sorted(ends))
    variables = [node.variable for node in part.object_graph_def.nodes if node.WhichOneof("kind") == "variable"]
    sizes = [math.prod(axis.size for axis in one.shape.dim) for one in variables]
    yield "variables", f"{len(sizes)} of {sum(sizes):,} numbers"
    nodes = [*part.graph_def.node, *(node for one in part.graph_def.library.function for node in one.node_def)]
    found = collections.Counter(node.op for node in nodes)
    yield "operations", f"{found.total()}: {', '.join(f'{name} {count}' for name, count in sorted(found.items()))}"


def _end(name: str, tensor: TensorInfo) -> str:
    shape = None if tensor.tensor_shape.unknown_rank else [axis.size for axis in tensor.tensor_shape.dim]
    return f"{name} {tf.dtypes.as_dtype(tensor.dtype).name} {shape}"


def _program(folder: Path) -> saved_model_pb2.SavedModel:
    if not (folder / "saved_model.pb").is_file():
        raise SavedModelError("saved_model.pb is missing")
    try:
        program = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise SavedModelError(f"saved_model.pb cannot be read: {error}") from error
    if not program.meta_graphs:
        raise SavedModelError("it holds no graph")
    return program


def _inspect_part(part: MetaGraphDef, folder: Path) -> None:
    if not part.object_graph_def.nodes:
        raise SavedModelError("it is of TensorFlow 1, whose graph runs as it is loaded")
    for asset in part.asset_file_def:
        _inspect_asset(asset.filename, folder)
    opening = graph.inspect(part.graph_def)
    callable_by_name = part.object_graph_def.concrete_functions
    for name, operations in opening.items():
        if operations & graph.CHECKPOINT and name in callable_by_name:
            raise SavedModelError(f"its function {name}, which anybody may call, opens a checkpoint")
    _inspect_calls(part, opening)
    functions = {function.signature.name: function for function in part.graph_def.library.function}
    for name, operations in opening.items():
        if operations & graph.VOCABULARY:
            _inspect_vocabulary(functions[name], part)


def _inspect_asset(name: str, folder: Path) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "://" in name:
        raise SavedModelError(f"its asset {name!r} lies outside of assets/")
    if not (folder / "assets" / name).is_file():
        raise SavedModelError(f"its asset {name!r} is missing")


def _inspect_calls(part: MetaGraphDef, opening: Mapping[str, set[str]]) -> None:
    """In the graph itself a function that opens files is handed a saver's placeholder or an asset, nothing else."""
    nodes = {node.name: node for node in part.graph_def.node}
    functions = {function.signature.name: function for function in part.graph_def.library.function}
    assets = _assets(part)
    saver = _node(part.saver_def.filename_tensor_name)
    for node in part.graph_def.node:
        for name in set(graph.references(node, functions)) & set(opening):
            if node.op not in ("PartitionedCall", "StatefulPartitionedCall", name):
                raise SavedModelError(f"{node.op} hands on {name}, which opens a file")
            arguments = [argument.name for argument in functions[name].signature.input_arg]
            for index in _file_arguments(functions[name]):
                given = _node(node.input[arguments.index(index)])
                is_saver = given == saver and given in nodes and nodes[given].op == "Placeholder"
                is_asset = given in assets and not opening[name] & graph.CHECKPOINT
                if not is_saver and not is_asset:
                    raise SavedModelError(f"{node.name} calls {name}, which opens a file that {given} names")


def _assets(part: MetaGraphDef) -> set[str]:
    """Nodes of the graph that are an asset's name, or read it from a variable which holds nothing else."""
    names = {_node(asset.tensor_info.name) for asset in part.asset_file_def}
    users: dict[str, list[NodeDef]] = {}
    for node in part.graph_def.node:
        for source in node.input:
            users.setdefault(_node(source), []).append(node)
    found = set(names)
    for node in part.graph_def.node:
        if node.op == "VarHandleOp":
            given = {_node(user.input[1]) for user in users.get(node.name, []) if user.op == "AssignVariableOp"}
            kinds = {user.op for user in users.get(node.name, [])}
            if given and given <= names and kinds <= {"AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp"}:
                found |= {user.name for user in users[node.name] if user.op == "ReadVariableOp"}
    return found


def _file_arguments(function: FunctionDef) -> set[str]:
    """Arguments of a function that are files' names."""
    found = set()
    for node in function.node_def:
        if node.op in graph.VOCABULARY:
            found.add(graph.argument_of(function, node.input[1]))
        elif node.op == "MergeV2Checkpoints":
            found |= {graph.argument_of(function, source) for source in node.input[:2]}
        elif node.op in graph.CHECKPOINT:
            found.add(graph.argument_of(function, node.input[0]))
    return found - {None}


def _inspect_vocabulary(function: FunctionDef, part: MetaGraphDef) -> None:
    """A function that reads a vocabulary and can be called by name is bound to an asset of the model."""
    name = function.signature.name
    concrete = part.object_graph_def.concrete_functions
    if name not in concrete:
        return
    bound = concrete[name].bound_inputs
    arguments = [argument.name for argument in function.signature.input_arg]
    for file in _file_arguments(function):
        index = arguments.index(file) - (len(arguments) - len(bound))  # what is bound comes last
        if index < 0 or part.object_graph_def.nodes[bound[index]].WhichOneof("kind") != "asset":
            raise SavedModelError(f"its function {name} reads a vocabulary that is no asset of the model")


def _node(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
