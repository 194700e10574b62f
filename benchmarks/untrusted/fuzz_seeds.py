"""Tiny sound files of every format that is read, and who reads each: what `fuzz_readers` starts from."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import json
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Files = Mapping[str, bytes]


class Reader(NamedTuple):
    """Who reads a kind of file.

    Attributes:
        seeds: makes sound ones, each one file or several that belong together; of the latter any is changed.
        read: reads what lies in a folder; called once, and again for every file.
        share: how many files of a thousand are its own.
    """

    seeds: Callable[[Path], list[Files]]
    read: Callable[[], Callable[[Path], object]]
    share: int


def _json(_: Path) -> list[Files]:
    return [{"a.json": json.dumps({"a": [1, 2.5, None, "é"], "b": {"c": [True, {"d": "e"}]}}).encode()}]


def _archives(_: Path) -> list[Files]:
    found: list[Files] = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", compression) as archive:
            archive.writestr("a/1.txt", b"one" * 50)
            archive.writestr("b/2.txt", b"two")
        found.append({"a.zip": made.getvalue()})
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode=mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
            for name, content in (("a/1.txt", b"one" * 50), ("b/2.txt", b"two")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        found.append({"a.tar": made.getvalue()})
    return found


def _bytes_of(write: Callable[[Any], object]) -> bytes:
    made = io.BytesIO()
    write(made)
    return made.getvalue()


def _arrays(_: Path) -> list[Files]:
    inputs, labels = np.arange(96, dtype=np.uint8).reshape(24, 2, 2), np.arange(24) % 2
    idx = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in inputs.shape) + inputs.tobytes()
    classes = b"\0\0\x08\x01" + (24).to_bytes(4, "big") + labels.astype(np.uint8).tobytes()
    pair = {
        "x_train.npy": _bytes_of(lambda f: np.save(f, inputs)),
        "y_train.npy": _bytes_of(lambda f: np.save(f, labels)),
    }
    names = {"names": np.array(["é", "b"])}
    return [
        {"a.npz": _bytes_of(lambda f: np.savez(f, x_train=inputs, y_train=labels))},
        {"a.npz": _bytes_of(lambda f: np.savez_compressed(f, x=inputs / 7, y=labels, **names))},
        pair,
        {"train-images-idx3-ubyte": idx, "train-labels-idx1-ubyte": classes},
        {"train-images-idx3-ubyte.gz": gzip.compress(idx), "train-labels-idx1-ubyte.gz": gzip.compress(classes)},
    ]


def _pictures(_: Path) -> list[Files]:
    from PIL import Image

    generator, found = np.random.default_rng(0), []
    for mode, kinds in {
        "RGB": "JPEG PNG BMP GIF WEBP TIFF",
        "L": "JPEG PNG TIFF",
        "RGBA": "PNG WEBP",
        "P": "PNG GIF",
    }.items():
        pixels = Image.fromarray(generator.integers(0, 255, (9, 11, 3), np.uint8)).convert(mode)
        found += [{"a.png": _bytes_of(lambda f, p=pixels, k=kind: p.save(f, k))} for kind in kinds.split()]
    pixels = Image.fromarray(generator.integers(0, 255, (16, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    found.append({"a.jpg": _bytes_of(lambda f: pixels.save(f, "JPEG", progressive=True, exif=exif))})
    deep = Image.fromarray(generator.integers(0, 65535, (8, 8), np.uint16))
    return [
        *found,
        {"a.png": _bytes_of(lambda f: deep.save(f, "PNG"))},
        {"a.tif": _bytes_of(lambda f: deep.save(f, "TIFF", compression="tiff_lzw"))},
    ]


def _parquet(_: Path) -> list[Files]:
    import pyarrow
    import pyarrow.parquet

    hub = json.dumps({"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}).encode()
    picture = _pictures(_)[0]["a.png"]
    found = []
    for column in ([[1.0, 2.0]] * 12, [{"bytes": picture, "path": "a"}] * 12):
        table = pyarrow.table({"image": column, "label": [0, 1] * 6}).replace_schema_metadata({b"huggingface": hub})
        for compression in ("snappy", "zstd", "none"):
            sink = io.BytesIO()
            pyarrow.parquet.write_table(table, sink, compression=compression)
            found.append({"a.parquet": sink.getvalue()})
    return found


def _tables(_: Path) -> list[Files]:
    rows = [f"{number % 7},{number * 1.5},w{number % 3},{number % 2}" for number in range(40)]
    table = "\n".join(["a,b,c,label", *rows]).encode()
    texts = "\n".join(
        ["text,label,split", *[f'"sent, {n} über",{"ab"[n % 2]},{"train" if n < 30 else "test"}' for n in range(40)]]
    )
    lines = "\n".join(json.dumps({"text": f"some {n}", "label": n % 2}) for n in range(40)).encode()
    pictures = "path,label\n" + "\n".join(f"p/{n}.png,{'ab'[n % 2]}" for n in range(20))
    return [
        {"a.csv": table}, {"a.csv": texts.encode()}, {"a.csv": texts.encode("utf-16")}, {"a.jsonl": lines},
        {"a.tsv": texts.replace(",", "\t").encode()}, {"a.csv": pictures.encode()},
    ]  # fmt: skip


def _weights(_: Path) -> list[Files]:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"b": "c"}}
    ).encode()
    numbers = np.arange(6, dtype="<f4").tobytes()
    found: list[Files] = [{"a.safetensors": len(header).to_bytes(8, "little") + header + numbers}]
    kinds = [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n"]
    view = b"((S'storage'\n" + kinds[1] + b"S'0'\nS'cpu'\nI6\ntQI0\n(I2\nI3\nt(I3\nI1\nt"
    state = b"\x80\x02}S'a'\n" + kinds[0] + view + b"tRs."
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in (("m/data.pkl", state), ("m/byteorder", b"little"), ("m/data/0", numbers)):
            archive.writestr(name, content)
    stream = b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    stream += state + pickle.dumps(["0"], 2) + struct.pack("<q", 6) + numbers
    return [*found, {"a.pth": made.getvalue()}, {"a.pth": stream}]


def _keras(folder: Path) -> list[Files]:
    import keras

    image = keras.Input((6, 6, 3), name="image")
    hidden = keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(image))
    hidden = keras.layers.BatchNormalization()(keras.layers.GlobalAveragePooling2D()(hidden))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(hidden))
    found = []
    for name in ("a.keras", "a.h5"):
        with contextlib.redirect_stderr(io.StringIO()):
            model.save(folder / name)
        found.append({name: (folder / name).read_bytes()})
    return found


def _saved_model(folder: Path) -> list[Files]:
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable([[1.0]])  # pyright: ignore[reportAttributeAccessIssue]
    function = tf.function(lambda x: x @ module.weights, input_signature=[tf.TensorSpec([None, 1])])
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": function})
    files = [path for path in (folder / "m").rglob("*") if path.is_file()]
    return [{path.relative_to(folder / "m").as_posix(): path.read_bytes() for path in files}]


def _tflite(folder: Path) -> list[Files]:
    import tensorflow as tf

    from kerastl.export import metadata
    from kerastl.inputs.image import Image
    from kerastl.tasks.single_label import SingleLabel
    from kerastl.types import Task

    module = tf.Module()
    module.weights = tf.Variable(np.eye(16, 3, dtype=np.float32))  # pyright: ignore[reportAttributeAccessIssue]
    function = tf.function(
        lambda image: tf.nn.softmax(tf.reshape(image, (1, 16)) @ module.weights),
        input_signature=[tf.TensorSpec((1, 4, 4, 1), name="image")],
    )
    plain = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module).convert()
    task = Task("toy", Image((4, 4, 1)), SingleLabel(("a", "b", "c")))
    return [{"a.tflite": plain}, {"a.tflite": metadata.add(plain, task, description="toy")}]


def _settings(_: Path) -> list[Files]:
    bert = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
        "num_hidden_layers": 1,
    }
    bert |= {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16}
    words = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "é"]).encode()
    folder = {"config.json": json.dumps(bert).encode(), "vocab.txt": words}
    features = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": {}},
    }
    return [folder, {"set/1.0.0/features.json": json.dumps(features).encode()}]


def _run(folder: Path) -> list[Files]:
    """A run whose data lie in its own folder, which is where the worker stands in."""
    from kerastl.verify import benchmark

    file, pictures = _tflite(folder)[1]["a.tflite"], np.arange(480, dtype=np.uint16).reshape(30, 4, 4).astype(np.uint8)
    data = _bytes_of(lambda f: np.savez(f, x_train=pictures, y_train=np.arange(30) % 3))
    scores = {"score": 0.5, "score_low": 0.4, "score_high": 0.6, "validation_score": 0.5, "agreement": 1.0}
    variant = {**dataclasses.asdict(benchmark.inspect(file)), **scores, "name": "float32", "clipped": 0.0}
    variant |= {"file": "variants/float32.tflite", "latency_ms": {"median": 0.1, "p95": 0.2, "threads": 1, "runs": 5}}
    variant["operators"]["by_type"] = dict(variant["operators"]["by_type"])
    report = {"chosen": "float32", "why": "the only one", "variants": [variant], "data": {"digest": "0", "test": 12}}
    config: dict[str, Any] = {"recipe": "a", "tag": "b", "versions": {"kerastl": "1"}, "config": {"seed": 0}}
    config["data"] = {
        "source": "arrays",
        "arguments": {"path": "in/a.npz"},
        "digest": "0",
        "class_names": ["a", "b", "c"],
    }
    pinned = {"mobile/model.tflite": "0", "mobile/labels.txt": "0", "variants/float32.tflite": "0"}
    found = {"report.json": report, "config.json": config, "files.json": pinned}
    made = {name: json.dumps(content).encode() for name, content in found.items()}
    made |= {"mobile/model.tflite": file, "variants/float32.tflite": file, "mobile/labels.txt": b"a\nb\nc\n"}
    return [{**made, "a.npz": data}]


def _only(folder: Path) -> Path:
    return next(path for path in sorted(folder.rglob("*")) if path.is_file())


def _read_json():
    from kerastl.system import bounded_json

    return lambda folder: bounded_json.read_object(_only(folder))


def _read_archive():
    from kerastl.data import unpack

    def read(folder: Path) -> None:
        out = folder / "out"
        unpack.unpack(_only(folder), out)
        shutil.rmtree(out)

    return read


def _read_arrays():
    from kerastl.data import arrays, audit

    def read(folder: Path) -> None:
        audit.audit(_only(folder), near=False)
        arrays.load(_only(folder))

    return read


def _read_picture():
    from kerastl.inputs import pictures

    return lambda folder: [pictures.read(_only(folder), size=size) for size in (None, (4, 4))]


def _read_parquet():
    from kerastl.data import parquet_table

    return lambda folder: parquet_table.read([_only(folder)])


def _read_table():
    from kerastl.data import audit, table_csv, text_csv

    def read(folder: Path) -> None:
        refused = []
        path = _only(folder)
        options: dict[str, Any] = {"label_column": "label", "split_column": "split"}
        for load in (
            lambda: table_csv.load(path, label_columns=("b",)),
            lambda: text_csv.load(path, sequence_length=8, vocabulary=None, vocabulary_size=100),
            lambda: audit.audit(path, near=False, path_column="path", text_column="text", **options),
        ):
            try:
                load()
            except (ValueError, OSError) as error:
                refused.append(error)
        if len(refused) == 3:
            raise refused[0]

    return read


def _read_weights():
    from kerastl.models.pretrained import safetensors_file, torch_file

    def read(folder: Path) -> None:
        path = _only(folder)
        (safetensors_file.arrays if path.suffix == ".safetensors" else torch_file.read)(path)

    return read


def _read_keras():
    from kerastl.untrusted import keras_file

    return lambda folder: keras_file.load(_only(folder))


def _read_saved_model():
    from kerastl.untrusted import saved_model_folder

    def read(folder: Path) -> None:
        found = list(saved_model_folder.findings(folder))
        with contextlib.suppress(saved_model_folder.SavedModelError):
            list(saved_model_folder.contents(folder))
        if found:
            raise ValueError(found[0])

    return read


def _read_audit():
    """By way of the child: it looks, loads and runs."""
    from kerastl.untrusted import model_file

    reader = model_file.SandboxedModel(seconds=10)

    def read(folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        wrong = [one.what for one in reader.audit(folder if len(files) > 1 else files[0]) if one.severity == "error"]
        if wrong:
            raise ValueError(wrong[0])

    return read


def _read_tflite():
    from kerastl.untrusted import tflite_file

    reader = tflite_file.SandboxedModel(seconds=5)

    def read(folder: Path) -> None:
        path = _only(folder)
        reader.facts(path)
        reader.run(path, np.zeros((1, 4, 4, 1), np.uint8))
        with contextlib.suppress(tflite_file.TfliteError):  # one has no metadata
            reader.described(path)

    return read


def _read_settings():
    from kerastl.data import tfds
    from kerastl.inputs import wordpiece
    from kerastl.models.pretrained import bert_folder

    def read(folder: Path) -> None:
        if (folder / "set").is_dir():
            tfds._check_features("set", folder)
            return
        bert_folder._json(folder / "config.json")
        wordpiece.Tokenizer.from_file(folder / "vocab.txt").encode("a word über ab", 8)
        bert_folder.tokenizer(folder)

    return read


def _read_run():
    import kerastl

    def read(folder: Path) -> None:
        run = kerastl.open(folder)
        run.predict(np.zeros((1, 4, 4, 1), np.uint8))
        run.verify(progress=False)

    return read


READERS = {
    "json": Reader(_json, _read_json, 128),
    "archive": Reader(_archives, _read_archive, 150),
    "arrays": Reader(_arrays, _read_arrays, 110),
    "picture": Reader(_pictures, _read_picture, 200),
    "parquet": Reader(_parquet, _read_parquet, 100),
    "table": Reader(_tables, _read_table, 60),
    "weights": Reader(_weights, _read_weights, 150),
    "settings": Reader(_settings, _read_settings, 60),
    "saved_model": Reader(_saved_model, _read_saved_model, 30),
    "tflite": Reader(_tflite, _read_tflite, 6),
    "keras": Reader(_keras, _read_keras, 4),
    "audit": Reader(lambda folder: [*_keras(folder), *_tflite(folder)], _read_audit, 1),
    "run": Reader(_run, _read_run, 1),
}
