"""A child that crashes, hangs, eats memory, writes files or talks nonsense: the parent gets an error and goes on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kerastl.untrusted import sandbox

MEMORY = 1_000_000_000

WORK = """
import ctypes, os, pathlib, sys, time
from kerastl.untrusted import sandbox

def answer(question, content):
    do = question["do"]
    if do == "echo":
        print("a library's chatter", flush=True)
        return {"said": question["word"], "pid": os.getpid()}, content[::-1]
    if do == "refuse":
        raise ValueError("not with me")
    if do == "crash":
        ctypes.string_at(0)
    if do == "abort":
        os.abort()
    if do == "leave":
        os._exit(3)
    if do == "hang":
        while True:
            pass
    if do == "sleep":
        time.sleep(600)
    if do == "eat":
        return {"held": len(bytearray(question["count"]))}, b""
    if do == "recurse":
        answer(question, content)
    if do == "write":
        pathlib.Path(question["path"]).write_bytes(b"x" * 10)
    if do == "garble":
        os.write(CHANNEL, b"no frame at all, and long enough to be taken for one")
        time.sleep(600)
    if do == "boast":
        return {}, b"x" * 2_000_000
    if do == "connect":
        import socket
        try:
            socket.create_connection(("127.0.0.1", question["port"]), timeout=5).close()
        except OSError as error:
            return {"connected": False, "why": str(error)}, b""
        return {"connected": True}, b""
    if do == "where":
        return {"path": sys.path, "resource": str(sandbox.__file__)}, b""
    return {"list": 1}, b""

def main(memory):
    global CHANNEL
    CHANNEL = os.dup(1)
    sandbox.serve(answer, memory=memory)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    (tmp_path / "hostile_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    with sandbox.Sandbox("hostile_work", memory=MEMORY) as found:
        yield found


def ask(worker, do, *, seconds=20.0, content=b"", **more):
    return worker.ask({"do": do, **more}, content, seconds=seconds)


def test_questions_and_answers(worker):
    content = os.urandom(300_000)
    answer, raw = ask(worker, "echo", word="ä\n", content=content)
    assert answer["said"] == "ä\n"
    assert raw == content[::-1]
    assert answer["pid"] != os.getpid()
    assert ask(worker, "echo", word="")[0]["pid"] == answer["pid"], "one child answers many"
    assert ask(worker, "where")[0]["resource"] == sandbox.__file__


@pytest.mark.parametrize(
    ("do", "how", "words"),
    [
        ("refuse", "refused", "not with me"),
        ("crash", "died", "SIGSEGV"),
        ("abort", "died", "SIGABRT"),
        ("leave", "died", "status 3"),
        ("hang", "late", "longer than 1 seconds"),
        ("sleep", "late", "longer than 1 seconds"),
        ("recurse", "refused", "recursion"),
        ("garble", "garbled", "no answer"),
        ("boast", "garbled", "no answer"),
    ],
)
def test_whatever_becomes_of_it_the_next_question_is_answered(worker, do, how, words):
    first = ask(worker, "echo", word="x")[0]["pid"]
    start = time.monotonic()
    with pytest.raises(sandbox.SandboxError, match=words) as error:
        ask(worker, do, seconds=1.0 if how == "late" else 20.0)
    assert error.value.how == how
    assert time.monotonic() - start < 10
    again = ask(worker, "echo", word="x")[0]["pid"]
    assert (again == first) == (how == "refused")
    if how != "refused":
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound the address space")
def test_memory_is_bounded(worker):
    assert ask(worker, "eat", count=10_000_000)[0]["held"] == 10_000_000
    with pytest.raises(sandbox.SandboxError, match="memory"):
        ask(worker, "eat", count=2 * MEMORY)


def test_no_file_is_written(worker, tmp_path):
    with pytest.raises(sandbox.SandboxError, match=r"Operation not permitted|Permission denied|File too large"):
        ask(worker, "write", path=str(tmp_path / "file"))
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0


def test_it_imports_nothing_from_where_it_stands(worker, tmp_path, monkeypatch):
    elsewhere = tmp_path / "downloads"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    path = ask(worker, "where")[0]["path"]
    assert str(elsewhere) not in path
    assert "" not in path


def test_a_module_that_cannot_be_imported_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "faulty_work.py").write_text("raise TypeError('a fault')")
    (tmp_path / "poor_work.py").write_text("import no_such_package.inside")
    monkeypatch.syspath_prepend(tmp_path)
    for module, words, how in (
        ("faulty_work", "status 1", "died"),
        ("poor_work", "takes the package no_such_package, which is not installed", "refused"),
    ):
        with sandbox.Sandbox(module, memory=MEMORY) as lost:
            for _ in range(2):  # the next question starts another, which fails as well
                with pytest.raises(sandbox.SandboxError, match=words) as found:
                    lost.ask({}, b"", seconds=10)
                assert found.value.how == how


def test_the_processor_is_bounded_though_the_parent_be_gone(worker):
    """The parent's clock is taken away; the child ends by its own limit."""
    import resource
    import signal

    ask(worker, "echo", word="x")
    process = worker._process
    limits = resource.prlimit(process.pid, resource.RLIMIT_CPU)
    assert 0 < limits[0] < 20 * (os.cpu_count() or 1) + 30
    process.send_signal(signal.SIGXCPU)
    assert process.wait(10) == -signal.SIGXCPU


def test_it_ends_with_its_parent_though_it_hang(tmp_path):
    """The parent is killed while its child sleeps over a question: no clock of the parent's is left to end it."""
    code = (
        "import os, sys, threading\n"
        "from kerastl.untrusted import sandbox\n"
        "child = sandbox.Sandbox('hostile_work', memory=10**9)\n"
        "child.ask({'do': 'list'}, b'', seconds=60)\n"
        "threading.Timer(0.5, lambda: print(child._process.pid, flush=True)).start()\n"  # it has the question by then
        "child.ask({'do': 'sleep'}, b'', seconds=600)\n"
    )
    (tmp_path / "hostile_work.py").write_text(WORK)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(child)


def is_alive(process):
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        state = (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_child_that_ended_with_the_thread_that_started_it_is_started_again(worker):
    thread = threading.Thread(target=lambda: ask(worker, "echo", word="x"))
    thread.start()
    thread.join()
    first = worker._process
    first.wait(10)
    assert ask(worker, "echo", word="y")[0]["said"] == "y"
    assert worker._process is not first


def test_nothing_is_reached_over_the_network(worker):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()  # this process can
        found, _ = ask(worker, "connect", port=port)
    assert worker.confined, "the kernel of a machine that runs these tests confines at least in part"
    assert not found["connected"]
