"""What tests are given by name: tiny files and texts, made once, a cache of their own, a local web server."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
if "PYTEST_XDIST_WORKER" in os.environ:  # a core is a process's own; two threads of each would wait for one another
    for threads in ("TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import functools
import gc
import http.server
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import groups
import numpy as np
import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not groups.begins_first(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist=loadgroup` by `groups.group`: marks, which pytest-xdist 3.8 writes into names, get lost in pytest 9.2."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return groups.group(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session", autouse=True)
def _timed_briefly():
    """Every run times a dozen files, for a second each; how long they take is nothing that these tests are about."""
    from kerastl.verify import benchmark

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ROUNDS", 2)
        patch.setattr(benchmark, "LEAST_SECONDS", 0.01)
        patch.setattr(benchmark, "LEAST_RUNS", 10)
        patch.setattr(benchmark, "WARM_UP_RUNS", 2)
        yield


_collect = gc.collect


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_left_behind():
    """What TensorFlow keeps for good grows with every file, and each collection would go through all of it again.

    Tracing makes objects by the million that live as long as their graph: at Python's own thresholds a sixth of the
    time of a recipe's smoke run goes into looking through them in vain. TensorFlow's converter collects of its own
    accord at every conversion, two thirds of its time, and Keras whenever a session is cleared: within a file only what
    is young, unless somebody asks for generation 2.
    """
    gc.set_threshold(50_000, 50, 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda generation=1: _collect(generation))
        yield
    _collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _operations_share_a_stack():
    """TensorFlow keeps with every operation of a graph the Python calls that made it, under pytest a hundred of them.

    Taking them is one part in twenty-five of a recipe's smoke run. Only TensorFlow's own words about an operation that
    failed in a graph name them.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python.util import tf_stack

    stack = tf_stack.extract_stack()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf_stack, "extract_stack", lambda stacklevel=1: stack)
        yield


@pytest.fixture(scope="session")
def tiny_files():
    import toy

    return toy.tiny_files()


@pytest.fixture(scope="session")
def tiny_text():
    import toy

    return toy.tiny_text()


@pytest.fixture
def examples() -> tuple[np.ndarray, np.ndarray]:
    """Vectors of four numbers and which of three directions each points along."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(64, 4)).astype("float32")
    return inputs, (inputs @ generator.normal(size=(4, 3))).argmax(-1).astype("int32")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a web server serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed() -> str:
    """An address where nobody answers."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture
def stream(tmp_path_factory, monkeypatch):
    """Makes of an array of pictures the same ones as files, streamed."""

    def made(array: np.ndarray, **options):
        from PIL import Image

        from kerastl.data import decoding

        folder = tmp_path_factory.mktemp("streamed")
        monkeypatch.setenv("KERASTL_HOME", str(folder / "home"))
        files = [folder / f"{index}.png" for index in range(len(array))]
        for file, picture in zip(files, array, strict=True):
            Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file)
        size, channels = array.shape[1:3], array.shape[3]
        return decoding.decode_all(list(map(str, files)), size=size, channels=channels, in_memory=0, **options).inputs

    return made


@pytest.fixture
def toy_source(monkeypatch):
    """A data source of kerastl's that the tests bring along, and the file that belongs to it."""
    import types

    import toy_run

    import kerastl

    module = types.SimpleNamespace(load=toy_run.load, FILE=toy_run.written_file())
    monkeypatch.setattr(kerastl.data, "toy", module, raising=False)
    monkeypatch.setattr(kerastl.data, "__all__", [*kerastl.data.__all__, "toy"])
    return module


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder with a recipe file."""
    import toy_run

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASTL_DEBUG", raising=False)
    (tmp_path / "my_recipe.py").write_text(toy_run.RECIPE)
    return tmp_path


@pytest.fixture
def finished(here, toy_source) -> Path:
    """The folder of a run that has finished."""
    from kerastl import cli

    assert cli.main(["run", "my_recipe.py"]) == 0
    return here / "saved_models" / "my_recipe" / "default"
