"""What every objective of the pretraining family promises: a pure function of tensors, finite, refusing other shapes.

An objective is a module with a function ``loss``. What its arguments hold is read off their names.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kerastl.pretraining
from kerastl.system import families

FOLDER = Path(kerastl.pretraining.__path__[0])
MEMBERS = sorted(families.defining(FOLDER, "loss"))
NOT_OBJECTIVES = {
    "embeddings", "collapse", "probe", "neighbour_score", "methods", "two_views", "training_step",
    "masked_language_model", "masked_autoencoder_model",
}  # fmt: skip
"""What objectives compute with, what watches over them, and what trains to them."""

PAIRS = {"first", "second", "predictions", "targets", "student", "teacher"}
ASKED = np.random.default_rng(7).random((3, 4)) < 0.6


def made(name, *, seed=0, scale=1.0, kind="float64"):
    """What an argument of such a name holds."""
    generator = np.random.default_rng([seed, *name.encode()])
    if name == "labels":
        return generator.integers(0, 5, (3, 4))
    if name == "mask":
        return ASKED
    if name == "center":
        return np.zeros(5, kind)
    shapes = {"logits": (3, 4, 5), "patches": (3, 4, 6), "reconstructions": (3, 4, 6)}
    shape = {**shapes, "values": (3, 4), "estimates": (3, 4)}.get(name, (3, 5))
    assert shape != (3, 5) or name in PAIRS, f"say here what an argument {name!r} holds"
    return (scale * generator.normal(size=shape)).astype(kind)


def arguments(function):
    """Its two tensors, and what it needs beside them, by name."""
    found = inspect.signature(function).parameters.values()
    tensors = [one.name for one in found if one.kind == one.POSITIONAL_OR_KEYWORD]
    return tensors, [one.name for one in found if one.kind == one.KEYWORD_ONLY and one.default is one.empty]


def loss_of(name):
    return importlib.import_module(f"kerastl.pretraining.{name}").loss


def called(name, *tensors):
    _, needed = arguments(loss_of(name))
    return loss_of(name)(*tensors, **{one: made(one) for one in needed})


def example(name, **options):
    return [made(one, **options) for one in arguments(loss_of(name))[0]]


def test_how_many_were_found():
    print(f"{len(MEMBERS)} objectives: {MEMBERS}")
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files - set(MEMBERS) == NOT_OBJECTIVES
    assert len(MEMBERS) == 9


@pytest.mark.parametrize("name", MEMBERS)
def test_documented_with_formula_paper_and_shapes(name):
    module = importlib.import_module(f"kerastl.pretraining.{name}")
    assert ast.get_docstring(ast.parse(inspect.getsource(module)))
    text = inspect.getdoc(module.loss) or ""
    for wanted in (
        r"``[^`]*``",
        r"\b(19|20)\d\d, \"",
        r"section\s\d",
        "Args:",
        r"\(batch, ",
        "Returns:",
        "A scalar",
        "Raises:",
    ):
        assert re.search(wanted, text), f"{name}: no {wanted}"
    for function in (one for _, one in inspect.getmembers(module, inspect.isfunction)):
        if function.__module__ == module.__name__ and not function.__name__.startswith("_"):
            tensors, _ = arguments(function)
            assert len(tensors) <= 2, f"{name}.{function.__name__}"


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_a_scalar_in_float32_or_float64(name, kind):
    tensors = [tf.constant(one) for one in example(name, kind=kind)]
    found = called(name, *tensors)
    assert found.shape == ()
    assert found.dtype == (tf.float64 if kind == "float64" else tf.float32)
    if kind == "float32":
        compiled = tf.function(functools.partial(called, name))(*tensors)
        np.testing.assert_allclose(compiled, found, rtol=1e-5)


@pytest.mark.parametrize("name", MEMBERS)
def test_single_precision_is_double_precision_to_six_digits(name):
    double = called(name, *example(name))
    single = called(name, *[one.astype("float32") if one.dtype == float else one for one in example(name)])
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MEMBERS)
def test_gradients_are_central_finite_differences(name):
    """Of the tensor that learns: both views, or the student, the prediction, what was drawn or said."""
    names = arguments(loss_of(name))[0]
    fixed = {"targets", "teacher", "patches", "labels", "values"}
    learning = [place for place, one in enumerate(names) if one not in fixed]
    values = example(name)
    assert learning
    for place in learning:

        def of(tensor, place=place):
            return called(name, *[tensor if at == place else one for at, one in enumerate(values)])

        computed, measured = tf.test.compute_gradient(of, [values[place]], delta=1e-4)
        np.testing.assert_allclose(computed, measured, rtol=1e-5, atol=1e-6)
        assert np.abs(computed[0]).max() > 1e-4
    for place in {0, 1} - set(learning):
        if values[place].dtype == float:
            tensors = [tf.Variable(one) for one in values]
            with tf.GradientTape() as tape:
                value = called(name, *tensors)
            assert tape.gradient(value, tensors[place]) is None


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("extreme", ["huge", "tiny", "zeros", "ones", "equal rows", "both the same"])
def test_extreme_values_are_finite_and_so_are_gradients(name, extreme):
    scale = {"huge": 1e6, "tiny": 1e-30}.get(extreme, 1.0)
    values = [one.astype("float32") if one.dtype == float else one for one in example(name, scale=scale)]
    for place, one in enumerate(values):
        if one.dtype == np.float32 and extreme in ("zeros", "ones"):
            values[place] = np.full_like(one, extreme == "ones")
        if one.dtype == np.float32 and extreme == "equal rows":
            values[place] = np.ones_like(one) * one[:1]
    if extreme == "both the same" and values[0].shape == values[1].shape:
        values[1] = values[0]
    tensors = [tf.Variable(one) for one in values]
    with tf.GradientTape() as tape:
        value = called(name, *tensors)
    assert np.isfinite(value)
    for one in tape.gradient(value, tensors):
        assert one is None or np.isfinite(one).all()


@pytest.mark.parametrize("name", MEMBERS)
def test_the_order_of_the_examples_does_not_matter(name, monkeypatch):
    values, order = example(name), [2, 0, 1]
    before = float(called(name, *values))
    monkeypatch.setitem(globals(), "ASKED", ASKED[order])
    np.testing.assert_allclose(called(name, *[one[order] for one in values]), before, rtol=1e-12)


@pytest.mark.parametrize("name", MEMBERS)
def test_nothing_is_changed_and_nothing_remembered(name):
    values = example(name)
    copies = [one.copy() for one in values]
    assert float(called(name, *values)) == float(called(name, *values))
    for one, copy in zip(values, copies, strict=True):
        np.testing.assert_array_equal(one, copy)


@pytest.mark.parametrize("name", MEMBERS)
def test_other_shapes_are_refused_in_words(name):
    first, second = example(name)
    bad = [(first[:2], second), (first[..., None], second[..., None]), (first[0, 0], second[0, 0])]
    for one, other in bad:
        with pytest.raises(ValueError, match=r"Wanted .*Received: \("):
            called(name, one, other)
