"""Which operations may run, by name and by graphs made of them."""

from __future__ import annotations

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from kerastl.untrusted import graph

# What must never run, from reading TensorFlow's register: files, code, the network, other graphs, the process's end.
REACHING_OUT = """
    Abort CacheDataset CacheDatasetV2 Copy CSVDataset CSVDatasetV2 DataServiceDatasetV4 DatasetFromGraph DebugIdentity
    DebugIdentityV2 DebugIdentityV3 DecodeProtoV2 DumpTensor EagerPyFunc EncodeProto FileSystemSetConfiguration
    FixedLengthRecordDatasetV2 FixedLengthRecordReaderV2 GenerateVocabRemapping ImmutableConst ImportEvent LMDBReader
    LoadAndRemapMatrix LoadDataset MatchingFiles MatchingFilesDataset MlirPassthroughOp NegTrain PyFunc PyFuncStateless
    ReadFile ReaderReadV2 RegisterDataset RemoteCall Restore RestoreSlice RpcCall RpcClient RpcServer Save SaveDatasetV2
    SaveSlices Skipgram SnapshotDatasetV2 SqlDataset SummaryWriter TextLineDataset TextLineReaderV2 TFRecordDataset
    TFRecordReaderV2 WholeFileReaderV2 WriteFile WriteSummary XlaCallModule XlaCustomCallV2 CollectiveReduceV2
    CreateSummaryFileWriter ConfigureDistributedTPU DTensorRestoreV2 DistributedSave CalibrationStatisticsSaver Send
    Recv _HostSend _Send PrintV2 SaveV2 RestoreV2 MergeV2Checkpoints InitializeTableFromTextFileV2
    InitializeTableFromTextFile
""".split()  # noqa: SIM905


def registered() -> dict[str, op_def_pb2.OpDef]:
    content = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    return {operation.name: operation for operation in op_def_pb2.OpList.FromString(content).op}


def test_what_reaches_out_is_not_harmless():
    known = registered()
    looked = [name for name in REACHING_OUT if name in known]
    assert len(looked) > 60
    assert [name for name in looked if graph.is_harmless(name)] == []


def test_by_their_names_no_harmless_operation_deals_with_files():
    harmless = {name for name in registered() if graph.is_harmless(name)}
    assert len(harmless) > 1000
    words = ("File", "Save", "Restore", "PyFunc", "Summary", "Rpc", "Debug", "Remote", "Snapshot", "Dataset", "Path",
             "Reader", "Server", "Write", "Load", "Mlir")  # fmt: skip
    # Makes a name of pieces; the rest copy or count numbers under names that promise more.
    innocent = {"ShardedFilename", "BoostedTreesMakeStatsSummary", "Snapshot", "DebugNumericSummaryV2",
                "DebugGradientIdentity", "DebugGradientRefIdentity", "TensorArrayWriteV3"}  # fmt: skip
    assert {name for name in harmless if any(word in name for word in words)} - innocent == set()


def test_what_models_are_made_of_is_harmless():
    for name in ("Conv2D", "MatMul", "BiasAdd", "Relu", "Softmax", "FusedBatchNormV3", "Einsum", "StridedSlice",
                 "ReadVariableOp", "VarHandleOp", "StatefulPartitionedCall", "While", "LookupTableFindV2", "Const",
                 "DecodeJpeg", "ParseExampleV2", "TensorListReserve", "RandomUniform", "GatherV2", "ScatterNd",
                 "DepthwiseConv2dNative", "ResizeBilinear", "PartitionedCall"):  # fmt: skip
        assert graph.is_harmless(name), name
    with pytest.raises(graph.GraphError, match="not TensorFlow's own"):
        graph.is_harmless("EvilOp")


def traced(function, *specifications):
    return tf.function(function, autograph=False).get_concrete_function(*specifications).graph.as_graph_def()


def test_operations_are_found_wherever_they_hide():
    text = tf.TensorSpec((), tf.string)
    inner = tf.function(lambda name: tf.io.read_file(name))
    middle = tf.function(lambda name: tf.cond(tf.strings.length(name) > 3, lambda: inner(name), lambda: name))
    for hostile in (tf.io.read_file, inner, middle, lambda name: tf.map_fn(inner, name[None])):
        with pytest.raises(graph.GraphError, match="the operation ReadFile"):
            graph.inspect(traced(hostile, text))
    assert graph.inspect(traced(lambda name: tf.strings.lower(name), text)) == {}


def test_a_function_cannot_take_an_operations_name():
    hostile = traced(tf.function(lambda value: value + 1), tf.TensorSpec((), tf.float32))
    hostile.library.function[0].signature.name = "ReadFile"
    with pytest.raises(graph.GraphError, match="by the name of TensorFlow's own operation ReadFile"):
        graph.inspect(hostile)


def test_where_text_is_printed_counts():
    def printing(where):
        return traced(lambda value: [tf.print(value, output_stream=where), value][1], tf.TensorSpec((), tf.float32))

    import sys

    assert graph.inspect(printing(sys.stderr)) == {}
    with pytest.raises(graph.GraphError, match="PrintV2"):
        graph.inspect(printing("file:///tmp/kerastl-never"))


def test_a_checkpoint_is_opened_where_the_caller_says():
    names, shapes = tf.constant(["x"]), tf.constant([""])

    def restoring(change):
        restore = tf.function(lambda prefix: tf.raw_ops.RestoreV2(
            prefix=change(prefix), tensor_names=names, shape_and_slices=shapes, dtypes=[tf.float32]))  # fmt: skip
        return traced(lambda prefix: restore(prefix), tf.TensorSpec((), tf.string))

    opening = graph.inspect(restoring(tf.identity))
    assert list(opening.values()) == [{"RestoreV2"}]
    assert list(graph.inspect(restoring(lambda prefix: tf.strings.join([prefix, "_temp"]))).values()) == [{"RestoreV2"}]
    for change, words in (
        (lambda prefix: tf.constant("/etc/passwd"), "names itself"),
        (lambda prefix: tf.strings.join(["/etc", prefix]), "names itself"),
        (lambda prefix: tf.strings.regex_replace(prefix, ".*", "/etc/passwd"), "names itself"),
        (lambda prefix: tf.strings.join([prefix, "/../../x"]), r"'\.\.'"),
    ):
        with pytest.raises(graph.GraphError, match=words):
            graph.inspect(restoring(change))
    nested = tf.function(lambda prefix: tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=names, shape_and_slices=shapes, dtypes=[tf.float32]))  # fmt: skip
    outer = tf.function(lambda: nested(tf.constant("/etc/passwd")))
    with pytest.raises(graph.GraphError, match="which opens a file"):
        graph.inspect(traced(lambda: outer()))
    with pytest.raises(graph.GraphError, match="outside of a function"):
        graph.inspect(traced(lambda prefix: tf.raw_ops.RestoreV2(
            prefix=prefix, tensor_names=names, shape_and_slices=shapes, dtypes=[tf.float32]),
            tf.TensorSpec((), tf.string)))  # fmt: skip
