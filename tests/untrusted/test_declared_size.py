"""A model of far more numbers than there are for it is refused, and takes no memory."""

import resource
import threading

import keras
import pytest

from kerastl.untrusted import declared_size


def built(units):
    image = keras.Input((10,))
    inner = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(image))
    return keras.Model(image, keras.layers.Dense(units)(inner))


def test_twice_as_many_are_refused_before_they_take_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    words = r"describes 1,000,000,042 numbers or more, and it holds 500"
    with pytest.raises(declared_size.DeclaredSizeError, match=words), declared_size.bounded(500):
        built(100_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


def test_of_few_numbers_no_model_is_too_large_nor_where_as_many_are_held():
    with declared_size.bounded(0):
        built(1000)
    with declared_size.bounded(2_000_000):
        built(300_000)
    with pytest.raises(declared_size.DeclaredSizeError), declared_size.bounded(1_000_000):
        built(300_000)


def test_whatever_else_is_raised_comes_through_and_nothing_stays_behind():
    before = keras.Variable.__init__
    with pytest.raises(ZeroDivisionError), declared_size.bounded(0):
        built(1 // 0)
    assert keras.Variable.__init__ is before
    built(300_000)


def test_another_thread_makes_what_it_likes():
    with declared_size.bounded(0):
        thread = threading.Thread(target=built, args=(300_000,))
        thread.start()
        thread.join()
        built(3)


def test_what_keras_makes_of_the_error_is_no_matter():
    def build():
        try:
            built(300_000)
        except ValueError as error:
            raise TypeError("could not be deserialized") from error

    with pytest.raises(declared_size.DeclaredSizeError, match="describes"), declared_size.bounded(0):
        build()
