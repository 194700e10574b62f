"""Stored answers against the teacher itself, and everything that they are refused for."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import types
from kerastl.data import pipeline
from kerastl.distil import fingerprints, logit_cache, losses, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import LabelLoss, LogitLoss
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.system import atomic_files
from kerastl.tasks.single_label import SingleLabel

KULLBACK_LEIBLER = functools.partial(losses.kl_divergence, temperature=2.0)
CLASSES, SIZE, VIEWS = 5, 8, 3
TASK = types.Task("five", Image((SIZE, SIZE, 1)), SingleLabel(tuple("abcde")))


def split_of(examples=50, seed=0):
    generator = np.random.default_rng(seed)
    pictures = generator.integers(0, 256, (examples, SIZE, SIZE, 1), np.uint8)
    return types.Split("train", pictures, np.arange(examples, dtype=np.int32) % CLASSES, TASK)


def model_of(seed, classes=CLASSES, scale=1 / 255):
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = keras.layers.Rescaling(scale, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="convolution")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)  # a teacher that answers in training mode would be found out
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name=f"model{seed}")


@pytest.fixture(scope="module")
def teacher():
    return model_of(1)


def lesson(known=None, *, split=None, seed=0, translation=0.2, **options):
    """The batches of a training, made anew with every call as a recipe makes them."""
    changes = augmentation.image_augmentation(horizontal_flip=True, translation=translation, seed=seed)
    chosen = {"batch_size": 16, "shuffle": True, "augment": changes, "views": VIEWS} | options
    return pipeline.batches(split or split_of(), answers=known, **chosen)


@pytest.fixture(scope="module")
def whole(teacher, tmp_path_factory):
    """Answers that a test may read and not change."""
    return logit_cache.write(tmp_path_factory.mktemp("whole") / "answers", lesson(), teacher=teacher, progress=False)


def read(made):
    inputs, pairs = zip(*made.as_numpy_iterator(), strict=True)
    labels, taught = zip(*pairs, strict=True)
    return np.concatenate(inputs), np.concatenate(labels), np.concatenate(taught)


def answer(teacher, inputs):
    return np.asarray(teacher(inputs, training=False), np.float32)


def test_every_row_of_every_view_is_what_the_teacher_says_to_it(whole, teacher):
    made, split = lesson(whole), split_of()
    seen = []
    for _ in range(2 * VIEWS):
        inputs, labels, taught = read(made)
        np.testing.assert_array_equal(taught, answer(teacher, inputs).astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(np.sort(labels), np.sort(split.labels))
        seen.append(inputs)
    for view in range(VIEWS):
        np.testing.assert_array_equal(seen[view], seen[view + VIEWS])
        assert not np.array_equal(seen[view], seen[view - 1])
    fresh = pipeline.batches(
        split,
        batch_size=16,
        shuffle=True,
        augment=augmentation.image_augmentation(horizontal_flip=True, translation=0.2),
    )
    for view in range(VIEWS):  # the views are those of a training that never repeats them
        np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in fresh.as_numpy_iterator()]), seen[view])
    assert not np.array_equal(np.concatenate([inputs for inputs, _ in fresh.as_numpy_iterator()]), seen[0])


def test_they_are_small_and_say_what_they_are_of(whole, teacher):
    assert whole.shape == (VIEWS, 50, CLASSES)
    assert whole.stored.dtype == np.float16
    assert (whole.folder / "answers.npy").stat().st_size == 128 + VIEWS * 50 * CLASSES * 2
    facts = json.loads((whole.folder / "answers.json").read_text())
    assert facts["teacher"] == fingerprints.of_teacher(teacher)
    assert (facts["views"], facts["batch_size"], facts["seed"], facts["classes"]) == (VIEWS, 16, 0, CLASSES)
    assert list(whole.folder.parent.iterdir()) == [whole.folder]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"split": split_of().subset(np.random.default_rng(0).permutation(50))},
            r"inputs \(the examples, or their order\)",
        ),
        ({"split": split_of(seed=1)}, "inputs"),
        ({"seed": 1}, r"augment \(what changes them, or its random states\)"),
        ({"translation": 0.1}, "augment"),
        ({"batch_size": 10}, "batch_size .*, 10 where the answers are of 16"),
        ({"shuffle": False}, "shuffle"),
        ({"augment": None, "views": None}, "augment"),
    ],
)
def test_answers_to_something_else_are_refused(whole, options, words):
    with pytest.raises(ValueError, match=rf"of the very rows and views .* Received: .* other {words}"):
        lesson(whole, **options)


def test_another_order_of_epochs_or_another_number_of_rows_is_refused(whole):
    changes = augmentation.image_augmentation(horizontal_flip=True, translation=0.2)
    with pytest.raises(ValueError, match=r"other seed \(of their orders\), 7 where the answers are of 0"):
        pipeline.batches(split_of(), batch_size=16, shuffle=True, seed=7, augment=changes, answers=whole)
    with pytest.raises(ValueError, match="one answer an example"):
        lesson(whole, split=split_of(49))
    with pytest.raises(ValueError, match=r"as many views as were answered, 3\. Received: views=2"):
        lesson(whole, views=2)


def test_other_labels_and_streamed_pictures_are_as_good(whole, stream):
    split = split_of()
    for same in (
        types.Split("train", split.inputs, np.full(50, -1, np.int32), TASK),
        types.Split("train", stream(split.inputs), split.labels, TASK),
    ):
        for one, other in zip(read(lesson(whole, split=same))[::2], read(lesson(whole))[::2], strict=True):
            np.testing.assert_array_equal(one, other)


def test_another_teacher_is_refused(whole, teacher):
    other = keras.models.clone_model(teacher)
    other.set_weights(teacher.get_weights())
    assert logit_cache.read(whole.folder, teacher=other).shape == whole.shape
    assert logit_cache.read(whole.folder, teacher=fingerprints.of_teacher(teacher)).shape == whole.shape
    kernel = other.get_layer("convolution").kernel
    kernel.assign(kernel + np.float32(1e-6))
    for stranger in (other, model_of(1, scale=1 / 127), "0" * 64):
        with pytest.raises(ValueError, match=r"of the one teacher .* other teacher \(its layers, weights or view\)"):
            logit_cache.read(whole.folder, teacher=stranger)


@pytest.fixture
def copied(whole, tmp_path):
    """Answers that a test may change."""
    return shutil.copytree(whole.folder, tmp_path / "answers")


def test_a_truncated_file_is_refused_and_computed_anew(whole, teacher, copied, capsys):
    array = copied / "answers.npy"
    array.write_bytes(array.read_bytes()[:-CLASSES])
    with pytest.raises(ValueError, match=r"read as they were written\. Received: .* of 1,623 bytes where 1,628 were"):
        logit_cache.read(copied, teacher=teacher)
    logit_cache.write(copied, lesson(), teacher=teacher, progress=False)
    assert "computed anew" in capsys.readouterr().err
    assert array.read_bytes() == (whole.folder / "answers.npy").read_bytes()


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("answers.npy", lambda content: content[:-1] + bytes([content[-1] ^ 1]), "with other contents"),
        ("answers.json", lambda content: content[:100], "damaged or of another version"),
        (
            "answers.json",
            lambda content: content.replace(b'"schema": 1', b'"schema": 0'),
            "damaged or of another version",
        ),
    ],
)
def test_a_damaged_file_is_refused(teacher, copied, name, damage, words):
    path = copied / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"read as they were written\. Received: .*{words}"):
        logit_cache.read(copied, teacher=teacher)


def test_the_same_call_finds_what_it_wrote_and_changes_nothing_of_the_callers(whole, teacher):
    written, made = (whole.folder / "answers.npy").stat(), lesson()
    made.epochs_begun.assign(5)
    logit_cache.write(whole.folder, made, teacher=teacher, progress=False)
    assert (whole.folder / "answers.npy").stat().st_mtime_ns == written.st_mtime_ns
    assert int(made.epochs_begun) == 5
    assert (
        logit_cache.write(whole.folder, lesson(drop_remainder=True), teacher=teacher, progress=False).shape
        == whole.shape
    )


def test_others_replace_them_after_their_size_was_told(teacher, copied, capsys):
    made = lesson(views=2)
    made.epochs_begun.assign(2)
    found = logit_cache.write(copied, made, teacher=teacher)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"answers: 2 views of 50 examples, 5 classes as float16: 1,000 bytes in {copied}"
    assert lines[-1].startswith("answers: epoch 2/2")
    assert int(made.epochs_begun) == 2
    inputs, _, taught = read(lesson(found, views=2))
    np.testing.assert_array_equal(taught, answer(teacher, inputs).astype(np.float16))


class Factor(keras.layers.Layer):
    """A layer whose code changes: what it computes is in no configuration."""

    factor = 1.0

    def call(self, inputs):
        return inputs * type(self).factor


def test_answers_of_code_that_changed_since_are_computed_anew(tmp_path, monkeypatch, capsys):
    image = keras.Input((SIZE, SIZE, 1))
    model = keras.Model(image, Factor()(model_of(2)(image)))
    folder = tmp_path / "answers"
    logit_cache.write(folder, lesson(), teacher=model, progress=False)
    monkeypatch.setattr(Factor, "factor", 1.5)
    found = logit_cache.write(folder, lesson(), teacher=model, progress=False)
    assert "not what this teacher says today" in capsys.readouterr().err
    inputs, _, taught = read(lesson(found))
    np.testing.assert_array_equal(taught, answer(model, inputs).astype(np.float16))


def test_the_last_rows_are_answered_or_left_out_as_they_are_in_training(whole, teacher, tmp_path):
    shorter = read(lesson(whole, drop_remainder=True))
    assert len(shorter[0]) == 48
    for one, other in zip(shorter, read(lesson(whole)), strict=True):
        np.testing.assert_array_equal(one, other[:48])
    found = logit_cache.write(tmp_path / "answers", lesson(drop_remainder=True), teacher=teacher, progress=False)
    np.testing.assert_array_equal(read(lesson(found, drop_remainder=True))[2], shorter[2])
    with pytest.raises(ValueError, match="the last rows of each epoch have none"):
        lesson(found)
    still = {"augment": None, "views": None}
    with pytest.raises(ValueError, match=r"of all examples where nothing changes them\. Received: drop_remainder=True"):
        logit_cache.write(tmp_path / "still", lesson(**still, drop_remainder=True), teacher=teacher)


def test_unchanged_examples_have_one_answer_in_any_order(teacher, tmp_path):
    still = {"augment": None, "views": None}
    known = logit_cache.write(tmp_path / "answers", lesson(**still), teacher=teacher, progress=False)
    assert known.shape == (1, 50, CLASSES)
    orders = []
    for options in ({"batch_size": 7}, {"drop_remainder": True}, {"shuffle": False}):
        made = lesson(known, **still, **options)
        for _ in range(2):
            inputs, _, taught = read(made)
            np.testing.assert_allclose(taught, answer(teacher, inputs), atol=2e-3)
            orders.append(inputs.tobytes())
    assert len(set(orders)) == 5  # shuffled anew for ever, as without answers
    with pytest.raises(ValueError, match="other inputs"):
        lesson(known, **still, split=split_of().subset(np.arange(50)[::-1]))


def test_texts_are_answered_as_well(tmp_path):
    ids = np.random.default_rng(0).integers(0, 9, (20, 6)).astype(np.int32)
    words = Text(6, tuple(f"w{number}" for number in range(9)))
    task = types.Task("texts", words, SingleLabel(tuple("abcde")))
    split = types.Split("train", ids, np.zeros(20, np.int32), task)
    tokens = keras.Input((6,), dtype="int32", name="token_ids")
    x = keras.layers.GlobalAveragePooling1D(name="pool")(keras.layers.Embedding(9, 4, name="embedding")(tokens))
    model = keras.Model(tokens, keras.layers.Dense(CLASSES, name="logits")(x))
    known = logit_cache.write(
        tmp_path / "answers", pipeline.batches(split, batch_size=8), teacher=model, progress=False
    )
    inputs, _, taught = read(pipeline.batches(split, batch_size=7, shuffle=True, answers=known))
    np.testing.assert_allclose(taught, answer(model, inputs), atol=1e-4)


class Mix(keras.layers.Layer):
    """Each picture is blended with the one behind it in its batch."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, inputs, training=True):
        share = keras.random.uniform((keras.ops.shape(inputs)[0], 1, 1, 1), seed=self.seed_generator)
        return share * inputs + (1 - share) * keras.ops.roll(inputs, 1, axis=0)


def test_the_teacher_sees_pictures_that_are_mixed_within_their_batch(teacher, tmp_path):
    mixed = {"augment": keras.Sequential([Mix()])}
    made = lesson(logit_cache.write(tmp_path / "answers", lesson(**mixed), teacher=teacher, progress=False), **mixed)
    for _ in range(VIEWS + 1):
        inputs, _, taught = read(made)
        assert len(np.unique(inputs)) > 256
        np.testing.assert_allclose(taught, answer(teacher, inputs), atol=2e-3)


def test_the_likeliest_classes_alone(teacher, tmp_path):
    known = logit_cache.write(
        tmp_path / "answers", lesson(), teacher=teacher, storage="top_k", top=2, temperature=2.0, progress=False
    )
    assert known.stored.nbytes == VIEWS * 50 * 10
    inputs, _, taught = read(lesson(known))
    for wanted, found in zip(answer(teacher, inputs), taught, strict=True):
        first, second, *others = np.argsort(-wanted)
        np.testing.assert_allclose(found[[first, second]], wanted[[first, second]], atol=2e-3)
        rest = 2 * np.log(np.exp(wanted[others] / 2).mean())
        np.testing.assert_allclose(found[others], rest, atol=2e-3)
    with pytest.raises(ValueError, match="'top_k' with a `top` from 1 to 4"):
        logit_cache.write(tmp_path / "answers", lesson(), teacher=teacher, storage="top_k", top=5)


def test_several_teachers_and_their_views(teacher, tmp_path):
    def darker(inputs):
        return inputs / 2

    pair = teachers.Ensemble([teacher, teachers.Teacher(model_of(2), darker)], combine="confidence")
    known = logit_cache.write(tmp_path / "answers", lesson(), teacher=pair, temperature=3.0, progress=False)
    inputs, _, taught = read(lesson(known))
    one, other = answer(teacher, inputs), answer(model_of(2), inputs / 2)

    def softmax(logits):
        powers = np.exp(logits.astype(np.float64))
        return powers / powers.sum(-1, keepdims=True)

    surest = np.stack([softmax(one).max(-1), softmax(other).max(-1)])
    share = (surest / surest.sum(0))[..., None]
    np.testing.assert_allclose(
        softmax(taught / 3), share[0] * softmax(one / 3) + share[1] * softmax(other / 3), atol=2e-3
    )
    logit_cache.read(known.folder, teacher=pair)
    with pytest.raises(ValueError, match="other teacher"):
        logit_cache.read(known.folder, teacher=teachers.Ensemble([teacher, model_of(2)], combine="confidence"))
    with pytest.raises(ValueError, match="stays as it is"):
        logit_cache.write(tmp_path / "other", lesson(), teacher=teachers.EMATeacher())  # pyright: ignore[reportArgumentType]


@functools.cache
def trained(weight, *, stored=None, labelled=True):
    """A student's weights, of its teacher's answers or of the teacher itself."""
    student, split = model_of(7), split_of()
    student.get_layer("dropout").rate = 0.0
    soft = LogitLoss(KULLBACK_LEIBLER, weight)
    if not labelled:
        split = types.Split("train", split.inputs, np.full(50, -1, np.int32), TASK)
    distiller = Distiller(
        student=student,
        teacher=model_of(1) if stored is None else None,
        losses={"answers": soft, "labels": LabelLoss(1 - weight, ignore_label=-1)},
    )
    distiller.compile(
        keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    distiller.fit(lesson(stored, split=split), epochs=2 * VIEWS, verbose=0, shuffle=False)
    return student.get_weights()


def test_a_student_learns_what_the_teacher_itself_would_have_taught_it(whole):
    for one, other, third in zip(trained(0.7, stored=whole), trained(0.7), trained(1.0), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
        assert np.abs(other - third).max() > 2e-3


def test_pictures_without_labels_teach_as_well(whole):
    for one, other in zip(trained(1.0, stored=whole, labelled=False), trained(1.0), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_answers_of_other_classes_are_refused(whole):
    distiller = Distiller(student=model_of(1, classes=4), teacher=None, loss=KULLBACK_LEIBLER)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    with pytest.raises(ValueError, match=r"as many classes as the student\. Received: student \(None, 4\)"):
        distiller.fit(lesson(whole), verbose=0)


def test_a_folder_with_something_else_in_it_is_left_alone(teacher, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"hours of work")
    with pytest.raises(ValueError, match=r"a folder of their own\. Received: .*model.keras"):
        logit_cache.write(tmp_path, lesson(), teacher=teacher)
    with pytest.raises(ValueError, match="batches of unknown examples"):
        logit_cache.write(tmp_path / "answers", tf.data.Dataset.range(3), teacher=teacher)
    with pytest.raises(ValueError, match="a number of views"):
        logit_cache.write(tmp_path / "answers", lesson(views=None), teacher=teacher)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        logit_cache.write(tmp_path / "answers", lesson(), teacher=teacher, temperature=0.0)
    with pytest.raises(ValueError, match="a functional or a sequential model"):
        logit_cache.write(tmp_path / "answers", lesson(), teacher=type("Own", (keras.Model,), {})())
    with pytest.raises(FileNotFoundError, match="where there are none"):
        logit_cache.read(tmp_path / "answers", teacher=teacher)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_answers_that_are_no_numbers_are_refused(tmp_path):
    broken = model_of(3)
    broken.get_layer("logits").bias.assign([np.nan] + [0.0] * (CLASSES - 1))
    with pytest.raises(ValueError, match="Wanted logits that are finite"):
        logit_cache.write(tmp_path / "answers", lesson(), teacher=broken, progress=False)
    with pytest.raises(FileNotFoundError, match="interrupted"):
        logit_cache.read(tmp_path / "answers", teacher=broken)


def test_want_of_room_is_known_before_the_teacher_begins(teacher, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(atomic_files.DiskFullError, match="it needs 1,500 bytes"):
            logit_cache.write(tmp_path / "answers", lesson(), teacher=teacher, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "answers").exists()


def test_a_killed_writing_is_no_answer_and_goes_on_where_it_was(whole, teacher, tmp_path, capsys):
    """As bytes, the end is that of a writing that nobody killed."""
    folder, progress = tmp_path / "answers", tmp_path / ".work-answers" / "progress.json"
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_logit_cache as here
        from pathlib import Path
        here.logit_cache.write(
            Path({str(folder)!r}), here.lesson(), teacher=here.model_of(1), progress=False, every_seconds=0.0
        )
    """
    environment = os.environ | {"PYTHONPATH": str(Path(atomic_files.__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment) as child:
        while not (progress.is_file() and json.loads(progress.read_text())["batches"] >= 2):
            assert child.poll() is None
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    done = json.loads(progress.read_text())["batches"]
    assert 2 <= done < 4 * VIEWS
    with pytest.raises(FileNotFoundError, match="their writing was interrupted: the same call goes on with it"):
        logit_cache.read(folder, teacher=teacher)
    logit_cache.write(folder, lesson(), teacher=teacher)
    assert f"goes on after step {done} of {4 * VIEWS}" in capsys.readouterr().out
    for name in ("answers.npy", "answers.json"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_begun_writing_of_other_views_is_begun_anew(whole, teacher, tmp_path, capsys):
    desk = tmp_path / ".work-answers"
    desk.mkdir()
    (desk / "answers.npy").write_bytes((whole.folder / "answers.npy").read_bytes())
    facts = json.loads((whole.folder / "answers.json").read_text())
    (desk / "progress.json").write_text(json.dumps({"batches": 7, "facts": facts | {"seed": 9}}))
    logit_cache.write(tmp_path / "answers", lesson(), teacher=teacher)
    assert "goes on" not in capsys.readouterr().out
    assert (tmp_path / "answers" / "answers.npy").read_bytes() == (whole.folder / "answers.npy").read_bytes()
    assert not desk.exists()


def test_a_begun_writing_of_code_that_changed_since_is_begun_anew(tmp_path, monkeypatch, capsys):
    image = keras.Input((SIZE, SIZE, 1))
    model = keras.Model(image, Factor()(model_of(2)(image)))
    folder, desk = tmp_path / "answers", tmp_path / ".work-answers"
    logit_cache.write(folder, lesson(), teacher=model, progress=False)
    folder.rename(desk)
    facts = json.loads((desk / "answers.json").read_text())
    del facts["file"]
    (desk / "answers.json").unlink()
    for factor in (1.0, 1.5):
        (desk / "progress.json").write_text(json.dumps({"batches": 5, "facts": facts}))
        monkeypatch.setattr(Factor, "factor", factor)
        kept = desk.with_name("kept")
        shutil.copytree(desk, kept)
        found = logit_cache.write(folder, lesson(), teacher=model)
        told = capsys.readouterr()
        assert ("goes on after step 5" in told.out) == (factor == 1.0)
        assert ("not what this teacher says today" in told.err) == (factor == 1.5)
        inputs, _, taught = read(lesson(found))
        np.testing.assert_array_equal(taught, answer(model, inputs).astype(np.float16))
        shutil.rmtree(folder)
        kept.rename(desk)


def anonymous() -> int:
    """Bytes that this process holds of its own; pages of mapped files are the system's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_memory_does_not_grow_with_the_answers(tmp_path):
    examples, classes = 60_000, 1000
    task = types.Task("many", Numbers((2,)), SingleLabel(tuple(f"c{number}" for number in range(classes))))
    split = types.Split("train", np.zeros((examples, 2), np.uint8), np.zeros(examples, np.int32), task)
    inputs = keras.Input((2,), name="numbers")
    model = keras.Model(inputs, keras.layers.Dense(classes, name="logits")(inputs))
    options = {"batch_size": 1000, "shuffle": True}
    known = logit_cache.write(tmp_path / "answers", pipeline.batches(split, **options), teacher=model, progress=False)
    assert known.stored.nbytes == 120_000_000
    del known
    assert sum(len(inputs) for inputs, _ in pipeline.batches(split, **options)) == examples  # what reading takes anyway
    before = anonymous()
    known = logit_cache.read(tmp_path / "answers", teacher=model)
    made = pipeline.batches(split, answers=known, **options)
    assert sum(len(taught) for _, (_, taught) in made) == examples
    assert anonymous() - before < 60_000_000


def ended(seed, widths):
    """A model of several outputs, whose names are not in the order of the alphabet."""
    keras.utils.set_random_seed(seed)
    given = keras.Input((SIZE, SIZE, 1), name="image")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(given))
    return keras.Model(given, {name: keras.layers.Dense(width)(flat) for name, width in widths.items()})


def test_answers_of_several_outputs_are_those_of_the_teacher_by_name(tmp_path):
    several = ended(0, {"size": 1, "kind": CLASSES})
    known = logit_cache.write(tmp_path / "logits", lesson(), teacher=several, progress=False)
    assert known.outputs == {"kind": CLASSES, "size": 1}
    assert known.shape == (VIEWS, 50, CLASSES + 1)
    for inputs, (_, taught) in lesson(known):
        wanted = several(inputs, training=False)
        for name in ("kind", "size"):
            np.testing.assert_allclose(taught[name], wanted[name], rtol=2e-3, atol=1e-3)
    again = logit_cache.read(tmp_path / "logits", teacher=several)
    assert again.outputs == known.outputs


def test_of_several_outputs_one_teacher_is_stored_whole(tmp_path):
    pair = [ended(seed, {"size": 1, "kind": CLASSES}) for seed in (0, 1)]
    batches = pipeline.batches(split_of(), batch_size=10)
    with pytest.raises(ValueError, match=r"one_per_task makes one of several\. Received: 2 teachers"):
        logit_cache.write(tmp_path / "logits", batches, teacher=teachers.Ensemble(pair))
    with pytest.raises(ValueError, match="Received: 1 teachers, storage='top_k'"):
        logit_cache.write(tmp_path / "logits", batches, teacher=pair[0], storage="top_k", top=2)
