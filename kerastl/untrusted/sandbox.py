"""A process that may die in its parent's place: it works on a stranger's bytes, bounded in memory and in time.

What else it cannot do is in `confinement`. Parent and child talk through two pipes, in JSON and raw bytes, so that
nothing which the child says can run code in the parent. The child is started afresh, never forked: a process that runs
TensorFlow cannot be forked.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_HEADER = struct.Struct(">QQ")  # bytes of the JSON and of what follows it
_LONGEST_WORDS = 1_000_000
_START_SECONDS = 120.0
# The child imports from where its parent does, but never from the folder that it happens to stand in.
# It gives up network, files and privileges before anything starts a thread, which would keep them.
_CODE = """
import json, sys, tempfile
sys.path[:] = json.loads(sys.argv[1])
tempfile.gettempdir()  # it tries by writing, and TensorFlow asks it as it is imported
from kerastl.untrusted import confinement, sandbox
sandbox.CONFINED = confinement.confine(int(sys.argv[3]))
try:
    import {module} as work
except ModuleNotFoundError as error:
    sandbox.decline(f"it takes the package {{error.name}}, which is not installed here")
    raise
work.main(int(sys.argv[2]))
"""
# Pools of threads take address space by the core and are of no use, nor is a device beside the processor.
_ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    **{"TF_NUM_INTRAOP_THREADS": "2", "MALLOC_ARENA_MAX": "2"},
    **{"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
}
CONFINED: tuple[str, ...] = ()
"""In a child: the layers that hold, as `confinement.confine` gave them."""


class SandboxError(ValueError):
    """What was asked has no answer.

    Attributes:
        how: ``"refused"`` (the child says why), ``"died"``, ``"late"`` or ``"garbled"``; after the last three the
            child is gone, and the next question starts another.
    """

    def __init__(self, words: str, *, how: str) -> None:
        super().__init__(words)
        self.how = how


class Sandbox:
    """A child process that answers questions one after another; it starts with the first, and again when it has died.

    Args:
        module: the module whose ``main(memory)`` is the child: one call of `serve`.
        memory: bytes of address space that it may take beyond what its modules need.

    Attributes:
        confined: the layers of `confinement.confine` that hold in the child; nothing before the first question.
    """

    def __init__(self, module: str, *, memory: int) -> None:
        self._module, self._memory = module, memory
        self._process: subprocess.Popen[bytes] | None = None
        self.confined: tuple[str, ...] = ()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, question: Mapping[str, Any], content: bytes, *, seconds: float, largest: int = 1_000_000
    ) -> tuple[dict[str, Any], bytes]:
        """The child's answer: what JSON can say, and raw bytes.

        Args:
            question: what JSON can say.
            content: the stranger's bytes.
            seconds: how long the child may take, from a start of its own not counted.
            largest: bytes that the raw part of the answer may have.

        Raises:
            SandboxError: it refused, died, took too long, or answered with something else than an answer.
        """
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it ends with the thread that started it
        if self._process is None:
            self._start()
        words = json.dumps({**question, "seconds": seconds}).encode()
        deadline = time.monotonic() + seconds
        try:
            self._send(_HEADER.pack(len(words), len(content)) + words, deadline)
            self._send(content, deadline)
            answer, raw = self._receive(deadline, largest)
        except Exception as error:
            raise self._gone(error, seconds) from error
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if "refused" in answer:
            raise SandboxError(str(answer["refused"]), how="refused")
        return answer, raw

    def close(self) -> None:
        """Ends the child, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = [entry for entry in sys.path if entry]
        path = path if root in path else [root, *path]
        code = _CODE.format(module=self._module)
        self._process = process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", code, json.dumps(path), str(self._memory), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the parent's to handle
            env={**os.environ, **_ENVIRONMENT},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        try:
            answer, _ = self._receive(time.monotonic() + _START_SECONDS, 0)
        except Exception as error:
            raise self._gone(error, _START_SECONDS) from error
        except BaseException:
            self.close()
            raise
        if "refused" in answer:
            self.close()
            raise SandboxError(str(answer["refused"]), how="refused")
        layers = answer.get("confined")
        self.confined = tuple(map(str, layers)) if isinstance(layers, list) else ()

    def _gone(self, error: Exception, seconds: float) -> SandboxError:
        """Ends a child that cannot be asked again, and says what became of it."""
        process = self._process
        status = None
        if process is not None and isinstance(error, EOFError | BrokenPipeError):
            try:
                status = process.wait(5)
            except subprocess.TimeoutExpired:
                status = None
        self.close()
        if isinstance(error, TimeoutError):
            return SandboxError(f"it took longer than {seconds:g} seconds", how="late")
        if isinstance(error, EOFError | BrokenPipeError):
            ended = (
                f"signal {signal.Signals(-status).name}" if status is not None and status < 0 else f"status {status}"
            )
            return SandboxError(f"it ended the process that read it ({ended})", how="died")
        return SandboxError(f"the process that read it answered with no answer: {error}", how="garbled")

    def _send(self, content: bytes, deadline: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe, left = self._process.stdin.fileno(), memoryview(content)
        while left:
            _wait(pipe, select.POLLOUT, deadline)
            left = left[os.write(pipe, left[: 1 << 16]) :]

    def _receive(self, deadline: float, largest: int) -> tuple[dict[str, Any], bytes]:
        said, raw = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if said > _LONGEST_WORDS or raw > largest:
            raise ValueError(f"{said:,} and {raw:,} bytes")
        answer = json.loads(self._read(said, deadline))
        if not isinstance(answer, dict):
            raise ValueError(f"{type(answer).__name__}")
        return answer, self._read(raw, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, parts, missing = self._process.stdout.fileno(), [], count
        while missing:
            _wait(pipe, select.POLLIN, deadline)
            parts.append(os.read(pipe, min(missing, 1 << 20)))
            if not parts[-1]:
                raise EOFError
            missing -= len(parts[-1])
        return b"".join(parts)


def _wait(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def serve(answer: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]], *, memory: int) -> None:
    """The child's life: questions in, answers out, until the parent closes the pipe.

    Args:
        answer: from a question and a stranger's bytes to an answer; what it raises is refused in words.
        memory: bytes of address space that the process may take beyond what it has by now.
    """
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(memory)
    _say(answers, {"confined": CONFINED}, b"")
    while header := questions.read(_HEADER.size):
        said, raw = _HEADER.unpack(header)
        question, content = json.loads(questions.read(said)), questions.read(raw)
        _limit_processor(question["seconds"])
        try:
            words, found = answer(question, content)
        except MemoryError:
            words, found = {"refused": f"it needs more than {memory:,} bytes of memory"}, b""
        except Exception as error:  # parsers raise whatever a stranger's bytes provoke in them
            words, found = {"refused": f"{error}" or type(error).__name__}, b""
        _say(answers, words, found)


def decline(words: str) -> None:
    """The child's one answer where it cannot serve at all, for want of a package: the parent says so."""
    with os.fdopen(os.dup(1), "wb") as answers:
        _say(answers, {"refused": words}, b"")


def _say(pipe: BinaryIO, words: Mapping[str, object], raw: bytes) -> None:
    said = json.dumps(words).encode()
    if len(said) > _LONGEST_WORDS:
        said = json.dumps({"refused": "it says more than anybody would read"}).encode()
    pipe.write(_HEADER.pack(len(said), len(raw)) + said)
    pipe.write(raw)
    pipe.flush()


def _limit(memory: int) -> None:
    """Memory, no file longer than nothing, no core file."""
    import resource  # not on Windows

    with contextlib.suppress(OSError):  # Linux says what is taken already; other systems bound no addresses anyway
        memory += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for which, bound in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(which)
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(which, (least, least))


def _limit_processor(seconds: float) -> None:
    """Bounds the processor time of one answer: the parent's clock is the nearer bound, unless the parent is gone."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    bound = math.ceil(usage.ru_utime + usage.ru_stime + seconds * (os.cpu_count() or 1)) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
