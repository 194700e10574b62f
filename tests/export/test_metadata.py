from __future__ import annotations

import io
import json
import struct
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kerastl import inputs, verify
from kerastl.compress import ptq
from kerastl.export import metadata, packing, phone, tflite
from kerastl.inputs import wordpiece
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.inputs.waveform import Waveform
from kerastl.models import heads
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

NAMES = [f"digit {index}" for index in range(10)]


def task(kind, names, *, target=SingleLabel, name="toy") -> Task:
    return Task(name, kind, target(tuple(names)))


DIGITS = task(Image((28, 28, 1)), NAMES, name="digits")


@pytest.fixture(scope="module")
def described(integer_file):
    return metadata.add(integer_file, DIGITS, description="Handwritten digits.")


def test_what_is_written_is_read(described):
    assert metadata.read(described) == {
        "name": "digits",
        "description": "Handwritten digits.",
        "min_parser_version": "1.0.0",
        "class_names": NAMES,
        "inputs": {"image": [28, 28, 1]},
        "target": {"labels": NAMES},
        "input": {"name": "image", "min": 0.0, "max": 255.0, "mean": [0.0], "std": [1.0], "color_space": "grayscale"},
        "output": {"name": "probabilities", "min": 0.0, "max": 1.0},
    }


def test_labels_open_as_a_zip_archive(described):
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode() == "\n".join(NAMES) + "\n"
        # MediaPipe reads stored files in place and no others.
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert archive.testzip() is None


def field(data: bytes, table: int, number: int) -> int | None:
    """Where a FlatBuffers table keeps a field, by the format's own rules: a reader without any schema."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
    return table + offset if offset else None


def follow(data: bytes, place: int | None) -> int:
    assert place is not None
    return place + struct.unpack_from("<I", data, place)[0]


def text(data: bytes, place: int) -> str:
    start = follow(data, place)
    return data[start + 4 : start + 4 + struct.unpack_from("<I", data, start)[0]].decode()


def first(data: bytes, place: int) -> int:
    """The first table of a vector of tables."""
    return follow(data, follow(data, place) + 4)


def test_field_numbers_are_those_of_the_public_format(described):
    """Walks the bytes by the public schema's numbers, written down here a second time."""
    model = packing.unpack(described)
    data = bytes(next(model.buffers[entry.buffer].data for entry in model.metadata if entry.name == b"TFLITE_METADATA"))
    assert data[4:8] == b"M001"
    root = follow(data, 0)
    assert text(data, field(data, root, 0)) == "digits"
    assert text(data, field(data, root, 1)) == "Handwritten digits."
    assert text(data, field(data, root, 7)) == "1.0.0"
    graph = first(data, field(data, root, 3))
    source, target = first(data, field(data, graph, 2)), first(data, field(data, graph, 3))
    assert text(data, field(data, source, 0)) == "image"
    assert text(data, field(data, target, 0)) == "probabilities"
    content = follow(data, field(data, source, 3))
    assert data[field(data, content, 0)] == 2  # ImageProperties
    assert data[field(data, follow(data, field(data, content, 1)), 0)] == 2  # GRAYSCALE
    unit = first(data, field(data, source, 4))
    assert data[field(data, unit, 0)] == 1  # NormalizationOptions
    normalization = follow(data, field(data, unit, 1))
    for number, wanted in ((0, 0.0), (1, 1.0)):  # mean, standard deviation
        assert struct.unpack_from("<If", data, follow(data, field(data, normalization, number))) == (1, wanted)
    stats = follow(data, field(data, source, 5))
    for number, wanted in ((0, 255.0), (1, 0.0)):  # max, min
        assert struct.unpack_from("<If", data, follow(data, field(data, stats, number))) == (1, wanted)
    labels = first(data, field(data, target, 6))
    assert text(data, field(data, labels, 0)) == "labels.txt"
    assert data[field(data, labels, 2)] == 2  # TENSOR_AXIS_LABELS


def test_answers_stay_and_the_file_stays_small(described, integer_file):
    assert packing.first_difference(integer_file, described) is None
    assert len(described) < 18_500, "the MNIST student with everything in it"
    assert len(described) - len(integer_file) < 900
    assert Interpreter(model_content=described).get_signature_list()["serving_default"]["inputs"] == ["image"]


def test_adding_twice_replaces_and_is_the_same_every_time(described, integer_file):
    again = metadata.add(described, DIGITS, description="Handwritten digits.")
    assert again == described
    backwards = task(DIGITS.inputs, NAMES[::-1], name="digits")
    other = metadata.add(described, backwards, description="Handwritten digits.")
    assert metadata.read(other)["class_names"] == NAMES[::-1]
    assert len(other) == len(described)


def test_colour_pictures_and_names_that_other_tools_need(float_file, integer_file):
    """tf2onnx and viewers tell tensors apart by their names, in files of integers as well."""
    for content in (float_file, integer_file, ptq.dynamic_int8(float_file)):
        tensors = packing.unpack(metadata.add(content, DIGITS, description="d")).subgraphs[0].tensors
        names = [tensor.name for tensor in tensors]
        assert all(names)
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= len("probabilities")
    graph = packing.unpack(float_file).subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.array([1, 28, 28, 3], np.int32)
    described = metadata._described(graph, task(Image((28, 28, 3)), NAMES), description="d")
    color = metadata.ModelMetadataT.InitFromObj(metadata.ModelMetadata.GetRootAs(described, 0))
    assert color.subgraphMetadata[0].inputTensorMetadata[0].content.contentProperties.colorSpace == 1


def test_labels_have_to_be_one_an_output(integer_file):
    with pytest.raises(ValueError, match=r"each of 10 outputs. Received: 9 names"):
        metadata.add(integer_file, task(DIGITS.inputs, NAMES[:9]), description="")


def test_files_without_metadata(integer_file, described):
    with pytest.raises(ValueError, match="TFLITE_METADATA"):
        metadata.read(integer_file)
    with pytest.raises(ValueError, match="add metadata last"):
        packing.shrink(described)


def flatbuffer_of(data: bytes) -> bytes:
    model = packing.unpack(data)
    return bytes(next(model.buffers[entry.buffer].data for entry in model.metadata if entry.name == b"TFLITE_METADATA"))


def members(data: bytes, place: int | None) -> list[int]:
    """The tables of a vector of tables."""
    start = follow(data, place)
    return [follow(data, start + 4 + 4 * n) for n in range(struct.unpack_from("<I", data, start)[0])]


@pytest.fixture(scope="module")
def described_text(tiny_text):
    return metadata.add(tiny_text.float32, tiny_text.task, description="Toy.")


def test_a_vocabulary_is_written_and_read(tiny_text, described_text):
    read = metadata.read(described_text)
    ids = {"name": "ids", "min": None, "max": None, "vocabulary": list(tiny_text.vocabulary), "between_words": ""}
    assert read["input"] == ids
    assert read["min_parser_version"] == "1.1.0"  # the first that knows BERT's tokenizer
    with zipfile.ZipFile(io.BytesIO(described_text)) as archive:
        assert archive.namelist() == ["labels.txt", "vocab.txt"]
        assert archive.read("vocab.txt").decode().split() == list(tiny_text.vocabulary)
    assert (read["inputs"], read["target"]) == (tiny_text.task.inputs.described(), {"labels": ["bad", "good"]})
    assert metadata.add(described_text, tiny_text.task, description="Toy.") == described_text


def test_how_a_text_is_read_is_written_and_read(tiny_text):
    """What the format has no field for; a vocabulary stands in the file once, and older files are of uncased models."""
    cased = wordpiece.Settings(lowercase=False, strip_accents=False)
    kind = Text(8, tiny_text.vocabulary, cased)
    data = metadata.add(tiny_text.float32, task(kind, ("bad", "good")), description="cased")
    read = metadata.read(data)["inputs"]
    assert read == kind.described()
    assert inputs.restored(read) == kind
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert json.loads(archive.read("inputs.json")) == {"tokenizer": cased.config()}
    assert inputs.restored({"vocabulary": list(tiny_text.vocabulary), "length": 8}).settings == wordpiece.UNCASED
    for content in ([1], "no", {"do_lower_case": 3}):
        with pytest.raises(ValueError, match="Wanted"):
            inputs.restored({**read, "tokenizer": content})


def test_a_text_says_what_mediapipe_looks_for(described_text):
    """By the public schema's numbers: three named inputs, and BERT's tokenizer among the units of the graph."""
    data = flatbuffer_of(described_text)
    graph = first(data, field(data, follow(data, 0), 3))
    inputs = members(data, field(data, graph, 2))
    assert [text(data, field(data, source, 0)) for source in inputs] == ["ids", "mask", "segment_ids"]
    (unit,) = members(data, field(data, graph, 5))  # input_process_units
    assert data[field(data, unit, 0)] == 4  # BertTokenizerOptions
    (file,) = members(data, field(data, follow(data, field(data, unit, 1)), 0))
    assert text(data, field(data, file, 0)) == "vocab.txt"
    assert data[field(data, file, 2)] == 5  # VOCABULARY
    (labels,) = members(data, field(data, first(data, field(data, graph, 3)), 6))
    assert (text(data, field(data, labels, 0)), data[field(data, labels, 2)]) == ("labels.txt", 2)


WORDS = ("<PAD>", "<START>", "<UNKNOWN>", "good", "bad", "don't")


@pytest.fixture(scope="module")
def of_words():
    """A file of one input: the mean of a row a word."""
    import tensorflow as tf

    rows = np.random.default_rng(0).normal(size=(len(WORDS), 2)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.int32, name="ids")], autograph=False)
    def network(ids):
        return {"probabilities": tf.nn.softmax(tf.reduce_mean(tf.gather(rows, ids), 1))}

    function = network.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert()


def test_whole_words(of_words):
    of_two = task(Text(8, WORDS), ("bad", "good"))
    made = metadata.add(of_words, of_two, description="Toy.", between_words=r"[^\w']+")
    read = metadata.read(made)
    assert (read["input"]["vocabulary"], read["input"]["between_words"]) == (list(WORDS), r"[^\w']+")
    assert read["min_parser_version"] == "1.2.1"
    ids = np.array([[1, 3, 5, 2, 4, 0, 0, 0]], np.int32)  # a file of one input is run as well
    np.testing.assert_array_equal(verify.predict_tflite(made, ids), verify.predict_tflite(of_words, ids))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("vocab.txt").decode().splitlines()[2:4] == ["<UNKNOWN> 2", "good 3"]
    data = flatbuffer_of(made)
    graph = first(data, field(data, follow(data, 0), 3))
    assert field(data, graph, 5) is None
    (source,) = members(data, field(data, graph, 2))
    (unit,) = members(data, field(data, source, 4))  # process_units
    assert data[field(data, unit, 0)] == 6  # RegexTokenizerOptions
    options = follow(data, field(data, unit, 1))
    assert text(data, field(data, options, 0)) == r"[^\w']+"
    (file,) = members(data, field(data, options, 1))
    assert (text(data, field(data, file, 0)), data[field(data, file, 2)]) == ("vocab.txt", 5)
    with pytest.raises(ValueError, match="one that takes whole words"):
        phone.files(made, {}, of_two)


@pytest.mark.parametrize(
    ("which", "vocabulary", "between_words", "message"),
    [
        (
            "three",
            ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"),
            "",
            r"\[PAD\] as id 0. Received: 5 tokens from '\[UNK\]'",
        ),
        ("three", ("[PAD]", "[UNK]", "[CLS]", "[MASK]"), "", r"without \[SEP\]"),
        ("three", WORDS, " ", r"one input of the ids of words. Received: ids \[1, 8\], mask \[1, 8\], segment_ids"),
        (
            "one",
            ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
            "",
            r"segment_ids .*Received: serving_default_ids",
        ),
        ("one", WORDS[1:], " ", "<PAD> as id 0. Received: 5 tokens from '<START>' on, without <PAD>"),
        ("picture", (), " ", r"one input of the ids of words. Received: image \[1, 28, 28, 1\], and between_words=' '"),
    ],
)
def test_a_vocabulary_that_mediapipe_could_not_use(
    tiny_text, of_words, integer_file, which, vocabulary, between_words, message
):
    file = {"three": tiny_text.float32, "one": of_words, "picture": integer_file}[which]
    wanted = task(Text(8, vocabulary), ("bad", "good")) if vocabulary else DIGITS
    with pytest.raises(ValueError, match=message):
        metadata.add(file, wanted, description="", between_words=between_words)


@pytest.mark.parametrize(
    ("which", "inputs"),
    [
        ("picture", Image((28, 28, 3))),
        ("picture", Numbers((784,))),
        ("picture", Text(8, ("[PAD]",))),
        ("text", Numbers((8,))),  # three inputs
        ("text", Text(9, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))),
    ],
)
def test_a_file_takes_what_its_task_feeds(tiny_text, integer_file, which, inputs):
    file, names = (integer_file, NAMES) if which == "picture" else (tiny_text.float32, ("bad", "good"))
    with pytest.raises(ValueError, match="Wanted a file that takes what its task feeds"):
        metadata.add(file, task(inputs, names), description="")


def test_a_file_for_several_classes_says_from_which_probability_on_one_is_there(integer_file, described):
    wanted = task(DIGITS.inputs, NAMES, target=MultiLabel, name="digits")
    several = metadata.add(integer_file, wanted, description="Handwritten digits.")
    plain, read = metadata.read(described), metadata.read(several)
    assert read["output"].pop("score_threshold") == read["target"].pop("score_threshold") == 0.5
    assert read == plain
    assert metadata.score_threshold(several) == 0.5
    assert metadata.score_threshold(described) is None
    assert metadata.score_threshold(integer_file) is None
    # by the format's own numbers: process unit 3 of the output, its one field a float
    model = packing.unpack(several)
    data = bytes(next(model.buffers[one.buffer].data for one in model.metadata if one.name == metadata.ENTRY))
    root = struct.unpack_from("<I", data, 0)[0]
    graph = first(data, field(data, root, 3))
    unit = first(data, field(data, first(data, field(data, graph, 3)), 4))
    assert data[field(data, unit, 0)] == 3
    options = follow(data, field(data, unit, 1))
    assert struct.unpack_from("<f", data, field(data, options, 0)) == (0.5,)


@pytest.fixture(scope="module")
def described_sound(tmp_path_factory):
    kind = task(Waveform(64, 8000), ("no", "yes"), name="words")
    samples = keras.Input((64,), name="waveform")
    model = keras.Model(samples, heads.outputs(heads.standardized(samples, kind), kind), name="words")
    return metadata.add(
        tflite.write(model, tmp_path_factory.mktemp("sound") / "model.tflite", kind), kind, description="Toy."
    )


def test_a_recording_says_what_mediapipe_looks_for(described_sound):
    """AudioClassifier takes rate and channels from AudioProperties, the fourth of the format's kinds of content."""
    read = metadata.read(described_sound)
    assert read["inputs"] == {"samples": 64, "rate": 8000}
    assert read["input"]["sample_rate"] == 8000
    assert read["input"]["channels"] == 1
    assert (read["input"]["min"], read["input"]["max"]) == (-1.0, 1.0)
    assert read["min_parser_version"] == "1.3.0"
    data = flatbuffer_of(described_sound)
    graph = first(data, field(data, follow(data, 0), 3))
    (source,) = members(data, field(data, graph, 2))
    content = follow(data, field(data, source, 3))
    assert data[field(data, content, 0)] == 4
    sound = follow(data, field(data, content, 1))
    assert [struct.unpack_from("<I", data, field(data, sound, number))[0] for number in (0, 1)] == [8000, 1]
