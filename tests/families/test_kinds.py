"""Every kind of input and every kind of task keeps the same promises, and each pair that fits walks the whole chain.

A new kind is found by looking. It needs one example here, made of a hidden number 0..1 an example, and then has all of
this: it is trained, interrupted, resumed, distilled, exported, quantized, proven, published, measured again and asked.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from toy import Stop

import kerastl
from kerastl import inputs, tasks
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import LabelLoss, LogitLoss
from kerastl.inputs.face import Face
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.inputs.waveform import Waveform
from kerastl.models import heads, multilayer_perceptron
from kerastl.runs import Acceptance, candidates, checkpoints, publishing, store
from kerastl.system import families
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.detection import Detection
from kerastl.tasks.embedding import Embedding
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.segmentation import Segmentation
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging
from kerastl.tasks.transcription import Transcription
from kerastl.types import Dataset, DecodedTarget, Inputs, Schedule, Split, Target, Task, TokenTarget, each

COUNTS = {"train": 400, "validation": 120, "test": 120}
HIDDEN = {
    name: np.random.default_rng(place).permutation(np.linspace(0, 1, n))
    for place, (name, n) in enumerate(COUNTS.items())
}
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(11)))

# ------------------------------------------------------------------------------------------- an example of each kind


def pictures(hidden: np.ndarray) -> np.ndarray:
    return np.rint(np.broadcast_to(hidden[:, None, None, None], (len(hidden), 6, 6, 1)) * 255).astype("uint8")


def sentences(hidden: np.ndarray) -> np.ndarray:
    ids = np.zeros((len(hidden), 6), "int32")
    ids[:, 0], ids[:, 1:4], ids[:, 4] = 2, 5 + np.rint(hidden * 10).astype("int32")[:, None], 3
    return ids


def sentence_pairs(hidden: np.ndarray) -> np.ndarray:
    ids = np.zeros((len(hidden), 8), "int32")
    ids[:, 0], ids[:, 1:3], ids[:, 3] = 2, 5 + np.rint(hidden * 10).astype("int32")[:, None], 3
    ids[:, 4], ids[:, 5] = 15 - np.rint(hidden * 10).astype("int32"), 3
    return ids


def rows(hidden: np.ndarray) -> np.ndarray:
    return np.stack([hidden * 300 - 1000, 1 - hidden], -1).astype("float32")


def tones(hidden: np.ndarray) -> np.ndarray:
    """As loud as the hidden number is high."""
    return np.rint(20_000 * hidden[:, None] * np.sin(np.arange(48))).astype("int16")


INPUTS: dict[str, tuple[Inputs, Callable]] = {
    "image": (Image((6, 6, 1)), pictures),
    "face": (Face((6, 6, 3)), lambda hidden: np.repeat(pictures(hidden), 3, axis=-1)),
    "text": (Text(6, VOCABULARY), sentences),
    "text_pair": (TextPair(8, VOCABULARY), sentence_pairs),
    "numbers": (Numbers.of(rows(HIDDEN["train"]), columns=("height", "share")), rows),
    "waveform": (Waveform(48), tones),
    "named": (
        Named((("picture", Image((6, 6, 1))), ("row", Numbers.of(rows(HIDDEN["train"]))))),
        lambda hidden: {"picture": pictures(hidden), "row": rows(hidden)},
    ),
}


def tags_of(hidden: np.ndarray) -> np.ndarray:
    """One span of three tokens where the hidden number is high; [CLS], [SEP] and padding are not asked."""
    labels = np.full((len(hidden), 6), -1, "int32")
    labels[:, 1:4] = np.where((hidden > 0.5)[:, None], [1, 2, 2], 0)
    return labels


def steps_of(hidden: np.ndarray) -> np.ndarray:
    """As many times "up" as the hidden number is high, and "down" behind."""
    labels = np.full((len(hidden), 3), -1, "int32")
    labels[:, 0] = np.where(hidden > 0.5, 1, 2)
    labels[:, 1] = np.where(hidden > 0.5, 2, -1)
    return labels


def masks_of(hidden: np.ndarray) -> np.ndarray:
    """All pixels high where the hidden number is."""
    return np.broadcast_to((hidden > 0.5)[:, None, None], (len(hidden), 6, 6)).astype("uint8")


def boxes_of(hidden: np.ndarray) -> np.ndarray:
    """One box an example, in the upper half or the lower one, and room for a second."""
    labels = np.zeros((len(hidden), 2, 5), "float32")
    labels[:, 1, 4] = -1
    high = hidden > 0.5
    labels[:, 0] = np.where(high[:, None], [0.1, 0.2, 0.4, 0.6, 1], [0.6, 0.4, 0.9, 0.8, 0])
    return labels


TARGETS: dict[str, tuple[Target, Callable]] = {
    "single_label": (SingleLabel(("low", "high")), lambda hidden: (hidden > 0.5).astype("int32")),
    "multi_label": (
        MultiLabel(("some", "much")),
        lambda hidden: np.stack([hidden > 0.3, hidden > 0.7], -1).astype("uint8"),
    ),
    "regression": (
        Regression.of(40 * HIDDEN["train"], names=("degrees",), unit="C"),
        lambda hidden: (40 * hidden[:, None]).astype("float32"),
    ),
    "embedding": (Embedding(("low", "middle", "high")), lambda hidden: (hidden * 2.99).astype("int32")),
    "tagging": (Tagging.of(("high",)), lambda hidden: tags_of(hidden)),
    "transcription": (Transcription(("up", "down")), lambda hidden: steps_of(hidden)),
    "segmentation": (Segmentation(("low", "high")), lambda hidden: masks_of(hidden)),
    "detection": (
        Detection(("low", "high"), grid=(6, 6), candidates=12, detections=4),
        lambda hidden: boxes_of(hidden),
    ),
    "agreement": (Agreement(("output",), (1.0,)), None),  # its labels are a model's own answers
}
OF_SEVERAL = {"side": "single_label", "amounts": "multi_label", "heat": "regression"}
"""The tasks of one model, whose names are not in the order of the alphabet."""


def partly_labelled(hidden: np.ndarray) -> dict[str, np.ndarray]:
    """Each task lacks the label of another quarter of the examples."""
    found = {}
    for place, (name, kind) in enumerate(OF_SEVERAL.items()):
        labels = TARGETS[kind][1](hidden)
        found[name] = labels if labels.dtype.kind == "f" else labels.astype("int32")
        found[name][place::4] = np.nan if labels.dtype.kind == "f" else -1
    return found


TARGETS["multi_task"] = MultiTask(tuple((name, TARGETS[kind][0]) for name, kind in OF_SEVERAL.items())), partly_labelled
SOME_INPUTS = {"embedding": ("image", "face", "text"), "tagging": ("text",), "transcription": ("image",)}
SOME_INPUTS |= {"segmentation": ("image",), "detection": ("image",)}
"""Tasks that walk the chain with some of the kinds of input: what they ask of the others, regression does as well."""
SOME_TARGETS = {"text_pair": ("single_label", "regression"), "waveform": ("single_label", "agreement")}
SOME_TARGETS |= {"face": ("embedding",)}
"""Kinds of input that do with some of the tasks: to the others they are what a text is."""
PAIRS = [
    (one, other)
    for one in INPUTS
    for other in TARGETS
    if one in SOME_INPUTS.get(other, INPUTS) and other in SOME_TARGETS.get(one, TARGETS)
]
RESUMED = [
    ("image", "single_label"),
    ("text", "multi_label"),
    ("numbers", "regression"),
    ("named", "single_label"),
    ("image", "multi_task"),
    ("text", "embedding"),
    ("text_pair", "single_label"),
    ("text", "tagging"),
    ("image", "transcription"),
    ("waveform", "single_label"),
    ("image", "segmentation"),
    ("image", "detection"),
]
"""Pairs that are also interrupted, resumed, taught and broken: every kind of either is among them."""


def test_every_kind_has_an_example():
    for package, examples in ((inputs, INPUTS), (tasks, TARGETS)):
        found = set(families.defining(Path(package.__path__[0]), "restored"))
        print(f"{package.__name__}: {sorted(found)}")
        assert found == set(examples)
    assert len(PAIRS) == 31
    assert {kind for kind, _ in RESUMED} | {"face"} == set(INPUTS)  # which is a picture
    assert {target for _, target in RESUMED} | {"agreement"} == set(TARGETS)


# ------------------------------------------------------------------------------------------------ what each kind says


@pytest.mark.parametrize("name", INPUTS)
def test_a_kind_of_input_keeps_its_promises(name):
    kind, make = INPUTS[name]
    assert isinstance(kind, Inputs)
    examples = make(HIDDEN["test"])
    kind.check(examples, where="test")
    kind.check(as_held(kind, kind.noise(4)), where="noise")
    fed = kind.fed(examples)
    assert tuple(fed) == tuple(kind.tensors)
    assert {len(table) for table in fed.values()} == {len(HIDDEN["test"])}
    first = {key: table[0] for key, table in examples.items()} if isinstance(examples, dict) else examples[0]
    shown = kind.shown(first)
    assert shown
    assert set(shown) <= {"picture", "text", "sound"}
    described = json.loads(json.dumps(kind.described()))
    assert inputs.restored(described) == kind
    wrong = np.zeros((3, 99), "float32")
    wrong = dict.fromkeys(examples, wrong) if isinstance(examples, dict) else wrong
    with pytest.raises(ValueError, match="somewhere"):
        kind.check(wrong, where="somewhere")


def as_held(kind: Inputs, noise):
    """Noise has the type of batches; splits hold another."""
    if isinstance(noise, dict):
        return {name: as_held(part, noise[name]) for name, part in kind.parts}
    return noise.astype(kind.dtype)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "agreement"])
def test_a_kind_of_task_keeps_its_promises(name):
    target, make = TARGETS[name]
    assert isinstance(target, Target)
    labels = make(HIDDEN["test"])
    perfect = perfect_answers(name, labels)
    target.check(labels, where="test", rows=len(HIDDEN["test"]))
    target.check_split(labels, where="test")
    assert len(target.strata(labels)) == len(HIDDEN["test"])
    best = target.score(perfect, labels)
    worse = target.score(each(np.random.default_rng(3).permutation, perfect), labels)
    assert target.drop(worse.value, best.value) > 0
    assert best.low <= best.value <= best.high
    assert target.agree(perfect, perfect).all()
    assert target.difference(perfect, perfect).max() == 0
    assert target.drop(1.0, 1.0) == 0
    assert target.refuse(perfect, integer=False) is None
    assert target.lost(perfect, perfect, labels) is None
    assert not target.confidence(perfect, labels).any()
    said = target.said(each(lambda table: table[0], perfect))
    assert said["words"]
    assert target.label_words(each(lambda table: table[0], labels))
    json.dumps(said)
    details = json.loads(json.dumps(target.details(perfect, labels), allow_nan=False))
    assert details["tables"]
    assert target.summary(details)
    assert tasks.restored(json.loads(json.dumps(target.described()))) == target
    with pytest.raises(ValueError, match="somewhere"):
        target.check(each(broken, labels), where="somewhere", rows=len(HIDDEN["test"]))
    if name == "detection":  # its file answers other numbers than its model: `tests/tasks/test_detection.py`
        return
    outputs = each(lambda table: np.random.default_rng(0).normal(size=table.shape).astype("float32"), perfect)
    served, wanted = target.served(outputs), twin(name, outputs)
    for one, other in zip(keras.tree.flatten(served), keras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def broken(labels: np.ndarray) -> np.ndarray:
    """A number that is none in the fourth row."""
    found = labels.astype("float64")
    found[3] = np.inf
    return found


def perfect_answers(name: str, labels):
    if name == "multi_task":
        known = each(lambda table: np.where(np.isnan(table) | (table == -1), 0, table).astype(table.dtype), labels)
        return {key: perfect_answers(OF_SEVERAL[key], table) for key, table in known.items()}
    if name == "detection":
        perfect = np.concatenate([labels, (labels[..., 4:] >= 0).astype("float32")], -1)
        return np.maximum(perfect, 0)
    if name == "transcription":  # a blank behind each symbol
        return np.eye(3, dtype="float32")[np.repeat(np.maximum(labels, 0), 2, -1) * np.array([1, 0] * labels.shape[1])]
    one_hot = {"single_label": 2, "embedding": 3, "tagging": 3, "segmentation": 2}
    if name in one_hot:
        return np.eye(one_hot[name], dtype="float32")[np.maximum(labels, 0)]
    return labels.astype("float32")


def twin(name: str, outputs):
    """What a file answers, in NumPy."""
    if name == "multi_task":
        return {key: twin(OF_SEVERAL[key], table) for key, table in outputs.items()}
    if name in ("single_label", "tagging", "transcription", "segmentation"):
        powers = np.exp(outputs - outputs.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)
    return 1 / (1 + np.exp(-outputs)) if name == "multi_label" else outputs


# ------------------------------------------------------------------------------------------------------- the chain


def network(task: Task, *, width: int = 16) -> keras.Model:
    """Two layers for any kind of input."""
    kind = task.inputs
    if isinstance(kind, Numbers):
        return multilayer_perceptron.build(task, widths=(width,), name="rows")
    if isinstance(kind, Image):
        given = keras.Input(kind.shape, name="image")
        x = heads.standardized(given, task)
        of_frames = isinstance(task.target, Transcription)  # whose frames are rows of pixels
        if task.target.kind != "segmentation":
            x = keras.layers.Reshape((6, 6), name="rows")(x) if of_frames else keras.layers.Flatten(name="flatten")(x)
    elif isinstance(kind, Waveform):
        given = keras.Input(kind.shape, name="waveform")
        x = heads.standardized(given, task)
    elif isinstance(kind, Text):
        given = keras.Input(kind.shape, dtype="int32", name="token_ids")
        x = keras.layers.Embedding(len(kind.vocabulary), 32, name="embedding")(given)
        if not isinstance(task.target, TokenTarget):
            x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    else:
        given = {name: keras.Input(part.shape, name=name) for name, part in kind.parts}
        parts = [
            heads.standardized(given[name], dataclasses.replace(task, inputs=part), name=f"rescale_{name}")
            for name, part in kind.parts
        ]
        x = keras.layers.Concatenate(name="both")(
            [keras.layers.Flatten(name=f"flat{i}")(p) for i, p in enumerate(parts)]
        )
    x = keras.layers.Dense(width, activation="relu", name="hidden")(x)
    if isinstance(task.target, DecodedTarget):  # a row a cell
        x = keras.layers.Dense(36 * task.target.outputs, name="logits")(x)
        return keras.Model(given, keras.layers.Reshape((36, task.target.outputs), name="cells")(x), name="two_layers")
    return keras.Model(given, heads.outputs(x, task), name="two_layers")


# Two layers that were trained for a second lie close to many borders.
WIDE = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8, max_saturation=0.5)


def trained(task: Task, data: dict[str, Split], folder: Path, *, interrupted: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = network(task)
    place = checkpoints.Workspace("net", folder=folder / "work", logs=folder / "logs")
    schedule = Schedule(epochs=6, batch_size=40, peak_learning_rate=0.05)
    options = {"schedule": schedule, "workspace": place, "validation": data["validation"], "progress": False}
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            kerastl.training.fit(model, data["train"], callbacks=[Stop(at=15)], **options)  # behind a checkpoint
        assert place.latest_checkpoint() is not None, "it begins anew, and goes on from nowhere"
        keras.utils.set_random_seed(0)
        model = network(task)
    kerastl.training.fit(model, data["train"], callbacks=[Stop()], **options)
    return model


@pytest.mark.parametrize(("kind_name", "target_name"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_the_whole_chain(kind_name, target_name, tmp_path):
    kind, make = INPUTS[kind_name]
    target, label = TARGETS[target_name]
    keras.backend.clear_session()
    task = Task(f"{kind_name}_{target_name}", kind, target)
    if target_name == "agreement":
        keras.utils.set_random_seed(0)
        model = network(dataclasses.replace(task, target=TARGETS["regression"][0]))
        labels = {
            name: np.asarray(model(batch_of(kind, make(hidden)), training=False)) for name, hidden in HIDDEN.items()
        }
        task = dataclasses.replace(task, target=Agreement.of(labels["train"], names=("values",)))
    else:
        labels = {name: label(hidden) for name, hidden in HIDDEN.items()}
    data = {name: Split(name, make(hidden), labels[name], task) for name, hidden in HIDDEN.items()}

    if target_name != "agreement":
        model = trained(task, data, tmp_path / "whole")
    if (kind_name, target_name) in RESUMED:
        resumed = trained(task, data, tmp_path / "interrupted", interrupted=True)
        for one, other in zip(model.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)  # to the last bit
        taught_by(model, task, data["train"])

    dataset, report = published(model, data, tmp_path / "run", techniques=("float32", "float16", "dynamic_int8"))
    assert {row["name"] for row in report["variants"]} == {"float32", "float16", "dynamic_int8"}

    finished = kerastl.open(tmp_path / "run")
    assert not finished.model.compiled
    assert finished.task.target == task.target
    assert finished.task.inputs == task.inputs
    assert finished.verify(dataset=dataset, progress=False) == ()
    assert finished.score.value == next(row["score"] for row in report["variants"] if row["name"] == report["chosen"])
    said = finished.predict(data["test"].take(3).inputs)
    assert len(said) == 3
    assert all(one["words"] for one in said)
    if (kind_name, target_name) in RESUMED or target_name == "agreement":
        refused_files(task, data["test"], model, tmp_path)


def published(model: keras.Model, data: dict[str, Split], folder: Path, *, techniques: tuple[str, ...]):
    """A run of these splits and this model's files: its data set and its report."""
    task = data["train"].task
    dataset = Dataset(task, *data.values(), digest="d" * 64, source="toy")
    config = dataclasses.make_dataclass("Config", [("seed", int, 0)], frozen=True)()
    with store.Run(folder, recipe="kinds", tag=folder.name, config=config, needed_bytes=1) as run:
        run.use_dataset(dataset)
        options = {"techniques": techniques, "validation": data["validation"]}
        files = kerastl.runs.post_training(model, data["train"], **options)
        return dataset, publishing.publish(run, dataset, model=model, candidates=files, accept=WIDE)


def batch_of(kind: Inputs, examples):
    if isinstance(examples, dict):
        return {name: table.astype("float32") for name, table in examples.items()}
    return examples.astype(kind.batch_dtype)


def taught_by(teacher: keras.Model, task: Task, split: Split) -> None:
    """A student learns from a teacher's answers by the loss that the target names, and from the labels beside."""
    student = network(task, width=16 if task.target.kind == "embedding" else 8)  # vectors are as wide as features

    def loss(teacher_outputs, student_outputs):
        return task.target.distillation(teacher_outputs, student_outputs, temperature=2.0)

    in_a_row = isinstance(task.target, TokenTarget | Transcription)
    each_its_own = task.target.served_activation() != "softmax" or in_a_row
    soft = LogitLoss(loss, independent=each_its_own)
    distiller = Distiller(student=student, teacher=teacher, losses={"soft": soft, "labels": LabelLoss(0.5)})
    schedule = Schedule(epochs=3, batch_size=40, peak_learning_rate=0.05)
    history = kerastl.training.fit(distiller, split, schedule=schedule, progress=False)
    assert history.values["loss"][-1] < history.values["loss"][0]


def refused_files(task: Task, split: Split, model: keras.Model, folder: Path) -> None:
    """A file that answers the same to everything is refused, and a model of NaN before there is a file of it."""
    expected = kerastl.training.predict(kerastl.export.serving.with_answers(model, task), split.inputs, task=task)
    broken = keras.models.clone_model(model)
    broken.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="NaN or infinite"):
        kerastl.export.tflite.convert(broken, task)
    broken.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    path = folder / "constant.tflite"
    path.write_bytes(kerastl.export.tflite.convert(broken, task))
    artifact = kerastl.types.Artifact("constant", "broken", path)
    with pytest.raises(kerastl.verify.VerificationError):
        kerastl.verify.check(artifact, split, expected=expected, tolerance=kerastl.verify.FLOAT32)


# ------------------------------------------------------------------------------- several inputs, several outputs


def two_ended(*, width: int, listed: bool) -> keras.Model:
    """Two inputs, and two outputs of one shape whose names are not in the order of the alphabet."""
    kind, _ = INPUTS["named"]
    given = {name: keras.Input(part.shape, name=name) for name, part in kind.parts}
    flat = [
        keras.layers.Flatten(name=f"flat_{name}")(
            heads.standardized(given[name], Task("two", part, TARGETS["agreement"][0]), name=f"rescale_{name}")
        )
        for name, part in kind.parts
    ]
    x = keras.layers.Dense(width, activation="relu", name="hidden")(keras.layers.Concatenate(name="both")(flat))
    x = keras.layers.Dense(width, activation="relu", name="hidden2")(x)
    ends = {name: keras.layers.Dense(3, name=name)(x) for name in ("later", "earlier")}
    ends["later"] = keras.layers.Rescaling(40.0, offset=100.0, name="far")(ends["later"])
    if listed:
        return keras.Model(list(given.values()), [ends["later"], ends["earlier"]], name="two_ended")
    return keras.Model(given, ends, name="two_ended")


@pytest.fixture(scope="module", params=["by name", "in a list"])
def two(request):
    """A model of two inputs and two outputs, and splits of its own answers."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model, (kind, make) = two_ended(width=16, listed=request.param == "in a list"), INPUTS["named"]
    labels = {}
    for name, hidden in HIDDEN.items():
        answers = model(batch_of(kind, make(hidden)), training=False)
        named = answers if isinstance(answers, dict) else dict(zip(("far", "earlier"), answers, strict=True))
        labels[name] = {key: np.asarray(values) for key, values in named.items()}
    task = Task("two_ended", kind, Agreement.of(labels["train"]))
    return model, {name: Split(name, make(hidden), labels[name], task) for name, hidden in HIDDEN.items()}


def is_listed(model: keras.Model) -> bool:
    return not isinstance(model(batch_of(INPUTS["named"][0], INPUTS["named"][1](HIDDEN["test"][:2]))), dict)


def test_a_model_of_several_ends_walks_the_chain(two, tmp_path):
    model, data = two
    task, listed = data["train"].task, is_listed(model)
    found = kerastl.training.predict(model, data["test"].inputs, task=task)
    for name, values in data["test"].labels.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
    dataset, report = published(model, data, tmp_path / "run", techniques=("float32", "dynamic_int8"))
    assert next(row["score"] for row in report["variants"] if row["name"] == "float32") == 1
    finished = kerastl.open(tmp_path / "run")
    answers = finished.answers(data["test"].inputs, variant="float32")
    names = ["far", "earlier"] if listed else ["later", "earlier"]
    assert list(finished.task.target.names) == names
    for name, values in data["test"].labels.items():
        np.testing.assert_allclose(answers[name], values, rtol=1e-3, atol=1e-3)
    assert finished.verify(dataset=dataset, progress=False) == ()


def test_a_model_of_several_ends_is_learnt_from(two):
    """From its stored answers as labels, and as a teacher; the best epoch is that of the least loss."""
    model, data = two
    listed = is_listed(model)
    schedule = Schedule(epochs=4, batch_size=40, peak_learning_rate=0.02)
    options = {"schedule": schedule, "validation": data["validation"], "progress": False}
    alone = two_ended(width=8, listed=listed)
    history = kerastl.training.fit(alone, data["train"], **options)
    assert history.values["loss"][-1] < history.values["loss"][0]
    student, target = two_ended(width=8, listed=listed), data["train"].task.target

    def loss(teacher_outputs, student_outputs):
        return target.distillation(teacher_outputs, student_outputs, temperature=1.0)

    distiller = Distiller(student=student, teacher=model, losses={"soft": LogitLoss(loss)})
    before = target.score(
        kerastl.training.predict(student, data["test"].inputs, task=data["test"].task), data["test"].labels
    )
    history = kerastl.training.fit(distiller, data["train"], **options)
    after = kerastl.training.predict(student, data["test"].inputs, task=data["test"].task)
    assert history.values["soft_loss"][-1] < history.values["soft_loss"][0] / 4
    assert target.score(after, data["test"].labels).value >= before.value
    assert history.values["val_loss"][-1] < history.values["val_loss"][0]


def test_a_model_of_several_ends_is_pruned(two):
    model, data = two
    batches = kerastl.data.pipeline.batches(data["train"], batch_size=40)
    plan = kerastl.compress.channels.plan(model, keep_ratio=0.5, batches=batches)
    smaller = kerastl.compress.channels.apply(model, plan)
    assert smaller.count_params() < 0.7 * model.count_params()
    assert sorted(kerastl.training.predict(smaller, data["test"].inputs, task=data["test"].task)) == sorted(
        data["test"].task.target.names
    )


def test_several_tasks_are_pruned_and_quantized_to_integers(tmp_path):
    """Whole channels by the labels that are there, then every way to store what is left."""
    (kind, make), (target, label) = INPUTS["image"], TARGETS["multi_task"]
    task = Task("several", kind, target)
    data = {name: Split(name, make(hidden), label(hidden), task) for name, hidden in HIDDEN.items()}
    keras.backend.clear_session()
    model = trained(task, data, tmp_path / "whole")
    batches = kerastl.data.pipeline.batches(data["train"], batch_size=40)
    plan = kerastl.compress.channels.plan(model, keep_ratio=0.5, batches=batches, task=task)
    smaller = kerastl.compress.channels.apply(model, plan)
    assert smaller.count_params() < 0.7 * model.count_params()
    schedule = Schedule(epochs=2, batch_size=40, peak_learning_rate=0.02)
    kerastl.training.fit(smaller, data["train"], schedule=schedule, progress=False)
    _, report = published(smaller, data, tmp_path / "run", techniques=candidates.POST_TRAINING)
    found = {row["name"]: row for row in report["variants"]}
    # each is a file that was proven to be its model; four bits of so few weights may be another one
    assert {*candidates.POST_TRAINING} - {"int4_weights"} <= set(found), report["skipped"]
    assert found["static_int8"]["input"]["dtype"] == "uint8"
    assert {one["name"] for one in found["static_int8"]["outputs"]} == set(OF_SEVERAL)
    assert {row["name"] for row in report["by_task"]} == set(OF_SEVERAL)
    assert [row["name"] for row in report["baselines"]] == ["always the same answer"]


def alike(hidden: np.ndarray) -> np.ndarray:
    """Columns of one range: integers have one scale for all of a file's columns."""
    return np.stack([hidden * 3 - 1, 1 - hidden], -1).astype("float32")


@pytest.mark.parametrize("target_name", ["multi_label", "regression", "agreement"])
def test_integers_are_learnt_by_the_tasks_own_loss(target_name):
    """Quantization-aware training of what is no class an example, from labels and from a teacher."""
    kind, make = Numbers.of(alike(HIDDEN["train"])), alike
    target, label = TARGETS["regression" if target_name == "agreement" else target_name]
    task = Task("rows", kind, target)
    train = Split("train", make(HIDDEN["train"]), label(HIDDEN["train"]), task)
    keras.utils.set_random_seed(0)
    model = network(task)
    schedule = Schedule(epochs=4, batch_size=40, peak_learning_rate=0.05)
    kerastl.training.fit(model, kerastl.data.splits.repeated(train, 5 * len(train)), schedule=schedule, progress=False)
    if target_name == "agreement":
        answers = kerastl.training.predict(model, train.inputs)
        task = dataclasses.replace(task, target=Agreement.of(answers, names=("values",)))
        train = dataclasses.replace(train, labels=answers, task=task)
    bridged = kerastl.compress.tf_keras.bridge.to_tf_keras(model, probe=train.take(8).inputs)
    teacher = (lambda inputs: model(inputs, training=False)) if target_name == "agreement" else None
    batches = kerastl.data.pipeline.batches(train, batch_size=40, shuffle=True)
    aware = kerastl.compress.qat.train(bridged, batches, epochs=2, learning_rate=1e-3, teacher=teacher)
    curves = kerastl.compress.qat.curves(aware)
    metric = task.target.training_metric()
    assert set(curves.values) == {"loss", *([metric.name] if metric else [])}
    assert curves.values["loss"][-1] < 0.5
    file = kerastl.export.tflite.convert(aware, task, integer=True)
    given = kerastl.verify.predict_tflite(file, train.inputs, kind=kind)
    expected = kerastl.training.predict(kerastl.export.serving.with_answers(model, task), train.inputs, task=task)
    assert task.target.agree(given, expected).mean() > 0.9
