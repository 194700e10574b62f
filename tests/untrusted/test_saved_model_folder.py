"""Hostile SavedModels, written by TensorFlow itself: refused unread; those of kerastl and Keras open and answer."""

from __future__ import annotations

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kerastl.export import saved_model
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.untrusted import saved_model_folder

TEXT, NUMBERS = tf.TensorSpec((), tf.string), tf.TensorSpec((None, 4), tf.float32)


def save(folder, function, *specifications, **attributes):
    """A SavedModel of one function, callable as its signature."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.call = tf.function(function, input_signature=specifications, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    return folder


def refused(folder, words):
    with pytest.raises(saved_model_folder.SavedModelError, match=words) as error:
        saved_model_folder.load(folder)
    assert str(folder) in str(error.value)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "hostile"


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "the stranger was here"


def test_reading_and_writing_files_is_refused(folder, tmp_path, marker):
    def writing(value):
        with tf.control_dependencies([tf.io.write_file(str(marker), "x")]):
            return {"y": tf.identity(value)}

    refused(save(folder, writing, NUMBERS), "the operation WriteFile")
    assert not marker.exists()
    tf.saved_model.load(str(folder)).signatures["serving_default"](tf.ones((1, 4)))
    assert marker.exists(), "TensorFlow itself runs it"
    reading = save(tmp_path / "reading", lambda value: {"y": tf.io.read_file("/etc/passwd")}, NUMBERS)
    refused(reading, "the operation ReadFile")
    listing = save(tmp_path / "listing", lambda value: {"y": tf.io.matching_files("/etc/*")}, NUMBERS)
    refused(listing, "the operation MatchingFiles")

    def lines(value):
        return {"y": tf.data.TextLineDataset("/etc/passwd").reduce(tf.constant(0), lambda count, _: count + 1)}

    records = save(tmp_path / "records", lines, NUMBERS)
    refused(records, r"the operation \w+Dataset")


def test_python_is_refused(folder, tmp_path):
    refused(save(folder, lambda value: {"y": tf.py_function(np.sum, [value], tf.float32)}, NUMBERS), "EagerPyFunc")
    refused(save(tmp_path / "other", lambda value: {"y": tf.numpy_function(np.sum, [value], tf.float32)}, NUMBERS),
            "PyFunc")  # fmt: skip


def lookup(words):
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                                      tf.lookup.TextFileIndex.LINE_NUMBER), -1)  # fmt: skip
    return table


def changed(folder, change):
    """The folder with its program changed by hand."""
    path = folder / "saved_model.pb"
    program = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(program.meta_graphs[0])
    path.write_bytes(program.SerializeToString())
    return folder


def test_a_vocabulary_is_read_from_the_folder_alone(folder, tmp_path):
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    table = lookup(tmp_path / "words.txt")
    save(folder, lambda text: {"y": table.lookup(text)}, TEXT, table=table)
    (tmp_path / "words.txt").unlink()
    loaded = saved_model_folder.load(folder)
    assert int(loaded.signatures["serving_default"](tf.constant("two"))["y"]) == 1
    original = (folder / "saved_model.pb").read_bytes()
    (tmp_path / "words.txt").write_text("secret\n")

    def rename(name):
        def change(part):
            part.asset_file_def[0].filename = name

        return change

    for name in ("../../words.txt", str(tmp_path / "words.txt"), "gs://bucket/words.txt"):
        (folder / "saved_model.pb").write_bytes(original)
        refused(changed(folder, rename(name)), "lies outside of assets/")

    def hand_over_a_text(part):
        """A server that runs the graph itself would read what the variable holds."""
        node = next(node for node in part.graph_def.node if node.op == "AssignVariableOp")
        node.input[1] = "serving_default_text"

    (folder / "saved_model.pb").write_bytes(original)
    refused(changed(folder, hand_over_a_text), "opens a file that ReadVariableOp names")

    def bind_a_constant(part):
        """The table's initializer is handed a text of the graph's own in the asset's place."""
        for node in part.object_graph_def.nodes:
            if node.WhichOneof("kind") == "asset":
                node.constant.operation = "Const"

    (folder / "saved_model.pb").write_bytes(original)
    refused(changed(folder, bind_a_constant), "no asset of the model")

    def name_it_inside(part):
        for function in part.graph_def.library.function:
            for node in function.node_def:
                if node.op.startswith("InitializeTableFromTextFile"):
                    new = function.node_def.add(name="path", op="Const")
                    new.attr["dtype"].type = tf.string.as_datatype_enum
                    new.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/passwd"))
                    node.input[1] = "path:output:0"

    (folder / "saved_model.pb").write_bytes(original)
    refused(changed(folder, name_it_inside), "opens a file that the graph names itself")


def test_a_table_that_reads_any_file_is_refused(folder):
    class Module(tf.Module):
        @tf.function(input_signature=[TEXT], autograph=False)
        def call(self, text):
            table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
            reading = tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=table, filename=text, key_index=-2, value_index=-1)  # fmt: skip
            with tf.control_dependencies([reading]):
                return {"y": tf.raw_ops.LookupTableSizeV2(table_handle=table)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    refused(folder, "opens a file|reads a vocabulary that is no asset")


def test_a_checkpoint_elsewhere_is_refused(folder, tmp_path):
    def restoring(value):
        read = tf.raw_ops.RestoreV2(prefix="/tmp/x", tensor_names=["y"], shape_and_slices=[""], dtypes=[tf.float32])
        return {"y": read[0]}

    refused(save(folder, restoring, NUMBERS), "names itself")
    handed = save(tmp_path / "handed", lambda prefix: {"y": tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=["y"], shape_and_slices=[""], dtypes=[tf.float32])[0]}, TEXT)  # fmt: skip
    refused(handed, "which opens a file")

    def restore(prefix):
        return tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=["y"], shape_and_slices=[""], dtypes=[tf.float32])

    module = tf.Module()
    module.call, module.other = (tf.function(restore, input_signature=[TEXT]) for _ in range(2))  # so: no signature
    tf.saved_model.save(module, str(tmp_path / "open"))
    refused(tmp_path / "open", "which anybody may call, opens a checkpoint")


def test_links_and_second_programs_are_refused(folder, tmp_path):
    model = save(folder, lambda value: {"y": value * 2}, NUMBERS, weight=tf.Variable(1.0))
    saved_model_folder.load(model)
    (tmp_path / "elsewhere").write_bytes(b"x")
    for link in (folder / "assets" / "link.txt", folder / "variables" / "link"):
        link.symlink_to(tmp_path / "elsewhere")
        refused(model, "is a link")
        link.unlink()
    shutil.move(folder / "variables", tmp_path / "moved")
    (folder / "variables").symlink_to(tmp_path / "moved")
    refused(model, "is a link")
    (folder / "variables").unlink()
    os.mkfifo(folder / "pipe")
    refused(model, "is a link or a device")
    (folder / "pipe").unlink()
    shutil.move(tmp_path / "moved", folder / "variables")
    (folder / "saved_model.cpb").write_bytes(b"")
    refused(model, "second program")
    (folder / "saved_model.cpb").unlink()
    content = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(content[:-100])
    refused(model, "cannot be read")
    (folder / "saved_model.pb").write_bytes(b"")
    refused(model, "holds no graph")
    (folder / "saved_model.pb").write_bytes(content)
    refused(changed(folder, lambda part: part.ClearField("object_graph_def")), "TensorFlow 1")
    with pytest.raises(FileNotFoundError):
        saved_model_folder.load(tmp_path)


def test_models_of_this_house_and_of_keras_open_and_answer_the_same(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(x))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    task = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))
    saved_model.write(model, tmp_path / "ours", task)
    model.export(str(tmp_path / "keras"), format="tf_saved_model", verbose=False)
    inputs = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 1)).astype("float32")
    ours = saved_model_folder.load(tmp_path / "ours").signatures["serving_default"](image=tf.constant(inputs))
    wanted = tf.saved_model.load(str(tmp_path / "ours")).signatures["serving_default"](image=tf.constant(inputs))
    np.testing.assert_array_equal(ours["probabilities"], wanted["probabilities"])
    loaded = saved_model_folder.load(tmp_path / "keras")  # its variables live as long as it does
    np.testing.assert_allclose(loaded.serve(inputs), model.predict(inputs, verbose=0), atol=1e-6)
