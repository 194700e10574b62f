"""TFLite files of strangers: a child process reads and runs them, and what it says is checked before it is believed.

LiteRT trusts the file it is given: a changed byte can make it read or write outside its memory. So a file that may be
anybody's is opened in no process that has anything to lose.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.untrusted import sandbox

OPENING_SECONDS, RUN_SECONDS, LATENCY_SECONDS = 10.0, 1.0, 120.0
"""How long a file may take to be read or to answer once; one example more; to be timed, once it has answered."""
MEMORY = 4_000_000_000
"""Bytes of address space that the child may take: a file of a few hundred megabytes fits, several times over."""
_LARGEST = 2**31 - 1  # offsets in a flatbuffer are signed
_LARGEST_ANSWER = 1_000_000_000
_CHUNK, _AT_ONCE = 256, 256_000_000  # streamed examples, and bytes of others, that go to the child at once


class TfliteError(ValueError):
    """A TFLite file that could not be read or run.

    Attributes:
        how: as for `sandbox.SandboxError`.
    """

    def __init__(self, words: str, *, how: str) -> None:
        super().__init__(words)
        self.how = how


class SandboxedModel:
    """Facts, latency and answers of TFLite files that nobody vouches for; a context, which ends the child.

    Args:
        seconds: how long a file may take to be read, and to answer once.
        memory: bytes of address space that the child may take.
    """

    def __init__(self, *, seconds: float = OPENING_SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._child = sandbox.Sandbox("kerastl.untrusted.tflite_child", memory=memory)

    def __enter__(self) -> SandboxedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def facts(self, file: Path | str | bytes) -> types.FileFacts:
        """What can be read off a file without running it, as `benchmark.inspect` does.

        Raises:
            TfliteError: no TFLite file, more than one input or output, or the child did not survive it.
        """
        content = _bytes_of(file)
        failed = f"{_name_of(file)} is no TFLite file that can be read"
        said, _ = self._ask({"do": "facts"}, content, seconds=self._seconds, failed=failed)
        return _believed(said, content, failed)

    def score_threshold(self, file: Path | str | bytes) -> float | None:
        """From which probability on a class is there, of a file for examples that may have several; else ``None``.

        Raises:
            TfliteError: no TFLite file, a threshold that is no share, or the child did not survive it.
        """
        failed = f"The metadata of {_name_of(file)} cannot be read"
        said, _ = self._ask({"do": "threshold"}, _bytes_of(file), seconds=self._seconds, failed=failed)
        threshold = said.get("threshold")
        if threshold is not None and not (isinstance(threshold, float) and 0 <= threshold <= 1):
            raise TfliteError(f"{failed}: a threshold of {threshold!r}.", how="garbled")
        return threshold

    def latency(self, file: Path | str | bytes, *, threads: int = 1, runs: int | None = None) -> types.Latency:
        """Time of one inference, measured in the child by `benchmark.latency`.

        Raises:
            TfliteError: it cannot be run, one inference takes too long, or the child did not survive it.
        """
        content = _bytes_of(file)
        name, question = _name_of(file), {"do": "latency", "threads": threads}
        self._ask({**question, "runs": 1, "warm_up": 0}, content, seconds=self._seconds, failed=f"{name} cannot be run")
        said, _ = self._ask(
            {**question, "runs": runs}, content, seconds=LATENCY_SECONDS, failed=f"{name} cannot be run"
        )
        return types.Latency(
            median=float(said["median"]), p95=float(said["p95"]), threads=int(said["threads"]), runs=int(said["runs"])
        )

    def run(self, file: Path | str | bytes, inputs: np.ndarray | types.LazyArray) -> np.ndarray:
        """A file's answers, float32 ``(examples, classes)``, as `verify.predict_tflite` gives them for ``inputs``.

        What is too large for the child goes to it in parts.

        Raises:
            TfliteError: the inputs do not fit the file, it takes too long, or the child did not survive it.
        """
        if isinstance(inputs, types.LazyArray):
            most = _CHUNK
        else:
            inputs = np.asarray(inputs)
            most = max(_AT_ONCE * inputs.shape[0] // max(inputs.nbytes, 1), 1) if inputs.ndim else 1
        if inputs.ndim and len(inputs) > most:
            starts = range(0, len(inputs), most)
            return np.concatenate([self.run(file, inputs[start : start + most]) for start in starts])
        content, inputs = _bytes_of(file), np.ascontiguousarray(inputs)
        question = {"do": "run", "shape": list(inputs.shape), "dtype": inputs.dtype.str}
        if inputs.dtype.hasobject:
            raise ValueError(f"Wanted numbers. Received: inputs of {inputs.dtype}.")
        seconds = self._seconds + RUN_SECONDS * max(len(inputs) - 1, 0) if inputs.ndim else self._seconds
        failed = f"{_name_of(file)} cannot be run"
        said, raw = self._ask(question, content, inputs.tobytes(), seconds=seconds, failed=failed)
        answers, shape = np.frombuffer(raw, "<f4"), said.get("shape")
        if not isinstance(shape, list) or shape[:1] != [len(inputs)] or min(shape) < 0:
            raise TfliteError(f"{failed}: wanted {len(inputs)} answers, received {shape}.", how="garbled")
        return answers.reshape(shape).astype(np.float32)

    def _ask(
        self, question: dict[str, Any], content: bytes, rest: bytes = b"", *, seconds: float, failed: str
    ) -> tuple[dict[str, Any], bytes]:
        try:
            return self._child.ask(
                {**question, "bytes": len(content)}, content + rest, seconds=seconds, largest=_LARGEST_ANSWER
            )
        except sandbox.SandboxError as error:
            raise TfliteError(f"{failed}: {error}", how=error.how) from error


def _name_of(file: Path | str | bytes) -> str:
    return "the file" if isinstance(file, bytes | bytearray) else str(file)


def _bytes_of(file: Path | str | bytes) -> bytes:
    if isinstance(file, bytes | bytearray):
        return bytes(file)
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.stat().st_size > _LARGEST:
        raise TfliteError(f"A TFLite file has at most {_LARGEST:,} bytes. Received: {path} of more.", how="refused")
    return path.read_bytes()


def _believed(said: dict[str, Any], content: bytes, failed: str) -> types.FileFacts:
    """The child's words as facts; size and digest are the parent's own, and names cannot move a terminal's cursor."""
    try:
        operators = said["operators"]
        counts = {name: int(operators[name]) for name in ("total", "integer", "float", "flex")}
        by_type = {printable(name): int(count) for name, count in operators["by_type"].items()}
        return types.FileFacts(
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
            parameters=int(said["parameters"]),
            sparsity=float(said["sparsity"]),
            operators=types.Operators(**counts, by_type=by_type),
            input=_tensor(said["input"]),
            output=_tensor(said["output"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TfliteError(
            f"{failed}: the process that read it answered with no facts: {error!r}", how="garbled"
        ) from error


def _tensor(said: dict[str, Any]) -> types.Tensor:
    return types.Tensor(
        name=printable(said["name"]),
        dtype=printable(said["dtype"]),
        shape=tuple(int(size) for size in said["shape"]),
        scale=None if said["scale"] is None else float(said["scale"]),
        zero_point=None if said["zero_point"] is None else int(said["zero_point"]),
    )


def printable(words: Any) -> str:
    """Words of a stranger without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(words))
