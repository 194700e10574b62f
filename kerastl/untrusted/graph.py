"""Operations of a foreign TensorFlow graph: which may run, and which may touch a file and how.

An operation that is registered, keeps no state outside the graph and takes no text, neither as a tensor nor as a
setting, cannot name a file, an address or code: those are allowed without a list. Of the others a short list is.
Reading and writing checkpoints and reading a vocabulary are allowed where TensorFlow itself puts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import op_def_registry

# Free text in these settings is a layout, an equation, a message or the name of a thing inside the graph.
_SETTINGS = """
    bad_indices_policy config config_proto dst_format equation executor_type fill fill_mode frame_name interpolation
    kernel_type message noise placeholder row_partition_types set_operation src_format template
"""
_HARMLESS_SETTINGS = frozenset(_SETTINGS.split())
_STATE = """
    VarHandleOp ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp VarIsInitializedOp VariableShape
    DestroyResourceOp DisableCopyOnRead ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterDiv
    ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterNdAdd ResourceScatterNdUpdate
    ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign
    HashTableV2 MutableHashTableV2 MutableDenseHashTableV2 AnonymousHashTable AnonymousMutableHashTable
    AnonymousMutableDenseHashTable InitializeTableV2 LookupTableExportV2 LookupTableFindV2 LookupTableImportV2
    LookupTableInsertV2 LookupTableRemoveV2 LookupTableSizeV2
"""
_CONTROL = """
    Assert Case CheckNumerics CheckNumericsV2 DeviceIndex Empty GuaranteeConst If Print StatefulPartitionedCall While
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3
    TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
    CudnnRNN CudnnRNNV2 CudnnRNNV3
"""
_RANDOM = """
    Multinomial ParameterizedTruncatedNormal RandomGamma RandomPoissonV2 RandomShuffle RandomStandardNormal
    RandomUniform RandomUniformInt TruncatedNormal SampleDistortedBoundingBoxV2 RngReadAndSkip RngSkip
    StatefulRandomBinomial StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt
    StatefulUniformInt NonDeterministicInts StatefulStandardNormal StatelessRandomGetAlg
"""
_TEXT = """
    AsString DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeCSV DecodeCompressed DecodeGif DecodeImage DecodeJpeg
    DecodePaddedRaw DecodePng DecodeRaw DecodeWav DecodeWebP EncodeBase64 EncodeJpeg EncodePng EncodeWav
    ExtractJpegShape Fingerprint ParseExample ParseExampleV2 ParseSequenceExampleV2 ParseSingleExample ParseTensor
    ReduceJoin RegexFullMatch RegexReplace ShardedFilename SparseCross SparseCrossHashed SparseCrossV2
    StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams
    StringSplit StringSplitV2
    StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Substr
    UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode UnsortedSegmentJoin
"""
LISTED = frozenset(f"{_STATE} {_CONTROL} {_RANDOM} {_TEXT}".split())
"""Operations with state or text that are harmless."""
CHECKPOINT = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints"})
VOCABULARY = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
# What a file's name may pass through between the argument of a function and the operation that opens the file.
_PASSING = {"Identity", "StringJoin", "ShardedFilename", "Pack"}
# What may make the parts that are added to it on the way.
_PARTS = {"Const", "Identity", "NoOp", "Select", "SelectV2", "StaticRegexFullMatch", "StringJoin"}


class GraphError(ValueError):
    """A graph that is not loaded, and why."""


def is_harmless(name: str) -> bool:
    """Whether an operation can be let run whatever it is given.

    Raises:
        GraphError: TensorFlow does not know it, so that nobody can say what it does.
    """
    definition = op_def_registry.get(name)
    if definition is None:
        raise GraphError(f"the operation {name}, which is not TensorFlow's own")
    if name in LISTED:
        return True
    if "Dataset" in name:  # a pipeline is no part of a model
        return False
    if definition.is_stateful or any(argument.type == types_pb2.DT_STRING for argument in definition.input_arg):
        return False
    return not any(
        setting.type in ("string", "list(string)")
        and not setting.allowed_values.list.s
        and setting.name not in _HARMLESS_SETTINGS
        for setting in definition.attr
    )


def inspect(graph: GraphDef) -> dict[str, set[str]]:
    """Looks at every node of a graph and of the functions in its library.

    Args:
        graph: a ``GraphDef``.

    Returns:
        Name of each function that opens files -> the operations it does that with (`CHECKPOINT`, `VOCABULARY`). Each
        opens only a file that whoever calls it names, and none is called by another function of the library.

    Raises:
        GraphError: naming the first operation that is not allowed, and where it stands.
    """
    library = {function.signature.name: function for function in graph.library.function}
    for name in library:
        if op_def_registry.get(name) is not None:
            raise GraphError(f"a function by the name of TensorFlow's own operation {name}")
    for node in graph.node:
        if node.op not in library and _opens(node, "the graph", library):
            raise GraphError(f"the operation {node.op} outside of a function ({node.name})")
    opening: dict[str, set[str]] = {}
    for name, function in library.items():
        found = {node.op for node in function.node_def if _opens(node, f"the function {name}", library)}
        if found:
            _check_opening(function)
            opening[name] = found
    for name, function in library.items():
        called = {inner for node in function.node_def for inner in references(node, library)} & set(opening)
        if called:
            raise GraphError(f"the function {name} calls {min(called)}, which opens a file")
    for gradient in graph.library.gradient:
        if gradient.gradient_func in opening:
            raise GraphError(f"a gradient that opens a file: {gradient.gradient_func}")
    return opening


def refused(graph: GraphDef) -> Iterator[str]:
    """Every operation of a graph and of its functions that `inspect` would refuse, in words; each kind once a place."""
    library = {function.signature.name: function for function in graph.library.function}
    places = [("the graph", graph.node), *((f"the function {name}", one.node_def) for name, one in library.items())]
    for where, nodes in places:
        seen = set()
        for node in nodes:
            if node.op not in seen:
                try:
                    _opens(node, where, library)
                except GraphError as error:
                    seen.add(node.op)
                    yield str(error)


def _opens(node: NodeDef, where: str, library: Mapping[str, FunctionDef]) -> bool:
    """Whether a node opens a file in one of the ways that may be allowed."""
    if node.op in library:
        return False
    if node.op in CHECKPOINT or node.op in VOCABULARY:
        return True
    if node.op == "PrintV2" and node.attr["output_stream"].s in (b"stderr", b"stdout", b""):
        return False
    try:
        harmless = is_harmless(node.op)
    except GraphError as error:
        raise GraphError(f"{error}, in {where}") from error
    if not harmless:
        raise GraphError(f"the operation {node.op} in {where} ({node.name})")
    return False


def _check_opening(function: FunctionDef) -> None:
    """The file's name is the caller's, with parts added that do not lead elsewhere."""
    name = function.signature.name
    for node in function.node_def:
        if node.op in VOCABULARY and argument_of(function, node.input[1]) is None:
            raise GraphError(f"{node.op} in {name} opens a file that the graph names itself")
        if node.op in CHECKPOINT:
            files = node.input[:2] if node.op == "MergeV2Checkpoints" else node.input[:1]
            if any(argument_of(function, file) is None for file in files):
                raise GraphError(f"{node.op} in {name} opens a file that the graph names itself")
        if node.op == "StringJoin":
            _check_parts(function, node)


def _check_parts(function: FunctionDef, joined: NodeDef) -> None:
    """What is added to a file's name is a text that stands in the graph and does not lead elsewhere."""
    name, nodes = function.signature.name, {node.name: node for node in function.node_def}
    waiting, seen = list(joined.input), set()
    while waiting:
        source = waiting.pop().lstrip("^").partition(":")[0]
        node = nodes.get(source)
        if node is None or source in seen:  # an argument, or looked at
            continue
        seen.add(source)
        if node.op not in _PARTS:
            raise GraphError(f"the function {name} opens a file by a name that {node.op} makes")
        if node.op == "Const" and any(b".." in part for part in node.attr["value"].tensor.string_val):
            raise GraphError(f"the function {name} opens a file by a name with '..'")
        waiting += node.input


def argument_of(function: FunctionDef, source: str) -> str | None:
    """The argument that a text begins with, or ``None`` if it is made inside the function."""
    arguments = {argument.name for argument in function.signature.input_arg}
    nodes = {node.name: node for node in function.node_def}
    for _ in range(len(nodes) + 1):
        source = source.partition(":")[0]
        if source in arguments:
            return source
        node = nodes.get(source)
        if node is None or node.op not in _PASSING or not node.input:
            return None
        if node.op == "Pack":  # all of its parts are files' names
            found = {argument_of(function, part) for part in node.input if not part.startswith("^")}
            return found.pop() if len(found) == 1 else None
        source = node.input[0]
    return None


def references(node: NodeDef, library: Mapping[str, FunctionDef]) -> Iterator[str]:
    """Functions of the library that a node calls or hands on."""
    if node.op in library:
        yield node.op
    for value in node.attr.values():
        yield from _functions_in(value)


def _functions_in(value: AttrValue) -> Iterator[str]:
    functions = [value.func] if value.HasField("func") else list(value.list.func)
    for function in functions:
        yield function.name
        for inner in function.attr.values():
            yield from _functions_in(inner)
