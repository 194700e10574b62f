"""TFLite files of strangers: a child process reads and runs them, and what it says is checked before it is believed.

LiteRT trusts the file it is given: a changed byte can make it read or write outside its memory. So a file that may be
anybody's is opened in no process that has anything to lose.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.system import machine
from kerastl.system.output import printable
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

    def described(self, file: Path | str | bytes) -> dict[str, Any] | None:
        """What a file says of its task: ``name``, ``description``, and ``inputs`` and ``target`` as those described it.

        Returns:
            These four, and of pictures ``mean`` and ``std``, a number or one a channel, by which a file of others may
            want its pixels scaled, 0 and 1 in one of kerastl; ``None`` of a file without a description.

        Raises:
            TfliteError: no TFLite file, a description that cannot be read, or the child did not survive it.
        """
        failed = f"The metadata of {_name_of(file)} cannot be read"
        said, _ = self._ask({"do": "described"}, _bytes_of(file), seconds=self._seconds, failed=failed)
        if not said:
            return None
        inputs, target = said.get("inputs"), said.get("target")
        if not isinstance(inputs, dict) or not isinstance(target, dict):
            raise TfliteError(f"{failed}: the process that read it described no task.", how="garbled")
        words = {key: str(said.get(key)) for key in ("name", "description")}
        mean, std = _numbers(said.get("mean", [0.0]), failed), _numbers(said.get("std", [1.0]), failed)
        if not all(std):
            raise TfliteError(f"{failed}: pixels divided by {std}.", how="garbled")
        return {**words, "inputs": inputs, "target": target, "mean": mean, "std": std}

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
        numbers = {key: float(said[key]) for key in ("median", "p95", "spread")}
        clock = "processor time" if said["clock"] == "processor time" else "wall clock"
        counts = {key: int(said[key]) for key in ("threads", "runs")}
        return types.Latency(**numbers, **counts, clock=clock, cpu=machine.processor())

    def run(
        self, file: Path | str | bytes, inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray]
    ) -> np.ndarray | dict[str, np.ndarray]:
        """A file's answers, float32 ``(examples, ...)``, as `verify.predict_tflite` gives them.

        What is too large for the child goes to it in parts.

        Args:
            file: path of a file, or its bytes.
            inputs: ``(examples, *input_shape)``; of several inputs a dict by the names of the file's tensors.

        Returns:
            An array, of several outputs a dict of arrays by name.

        Raises:
            TfliteError: the inputs do not fit the file, it takes too long, or the child did not survive it.
            ValueError: the inputs are no numbers, or not of one length.
        """
        if isinstance(inputs, types.LazyArray):
            parts = (np.asarray(inputs[start : start + _CHUNK]) for start in range(0, len(inputs), _CHUNK))
            return _joined([self._run(file, {"": part}) for part in parts])
        named = inputs if isinstance(inputs, Mapping) else {"": inputs}
        arrays = {name: np.asarray(values) for name, values in named.items()}
        if len({values.shape[:1] for values in arrays.values()}) != 1:
            shapes = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
            raise ValueError(f"Wanted as many examples for every input. Received: {shapes or 'no input'}.")
        for values in arrays.values():
            if values.dtype.hasobject:
                raise ValueError(f"Wanted numbers. Received: inputs of {values.dtype}.")
        shape = next(iter(arrays.values())).shape
        most = max(_AT_ONCE * (shape or (1,))[0] // max(sum(values.nbytes for values in arrays.values()), 1), 1)
        if not shape or shape[0] <= most:
            return self._run(file, arrays)
        starts = range(0, shape[0], most)
        return _joined(
            [self._run(file, {name: values[at : at + most] for name, values in arrays.items()}) for at in starts]
        )

    def _run(self, file: Path | str | bytes, inputs: Mapping[str, np.ndarray]) -> np.ndarray | dict[str, np.ndarray]:
        """The answers to what goes to the child at once; the only input has no name."""
        content, failed = _bytes_of(file), f"{_name_of(file)} cannot be run"
        described, raw = _described(inputs)
        count = (described[0]["shape"] or [1])[0]
        said, raw = self._ask(
            {"do": "run", "inputs": described},
            content,
            raw,
            seconds=self._seconds + RUN_SECONDS * max(count - 1, 0),
            failed=failed,
        )
        return _believed_answers(said, np.frombuffer(raw, "<f4"), failed, count=count)

    def layers(
        self, file: Path | str | bytes, reference: Path | str | bytes, *, inputs: Mapping[str, np.ndarray]
    ) -> list[types.LayerError]:
        """How far each layer of a quantized file is from the float file's, see `verify.layer_errors`.

        Args:
            file: the quantized file.
            reference: the float file that it was made from.
            inputs: by the names of the files' tensors; a hundred examples say enough.

        Raises:
            TfliteError: the files do not have the same layers, take too long, or the child did not survive them.
        """
        (described, raw), other = _described(inputs), _bytes_of(reference)
        count = (described[0]["shape"] or [1])[0]
        failed = f"The layers of {_name_of(file)} cannot be compared"
        said, _ = self._ask(
            {"do": "layers", "inputs": described, "reference": len(other)},
            _bytes_of(file),
            other + raw,
            seconds=self._seconds + 2 * RUN_SECONDS * count,
            failed=failed,
        )
        try:
            return [
                types.LayerError(printable(row["layer"]), float(row["error"]), float(row["clipped"]))
                for row in said["layers"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise TfliteError(f"{failed}: {error!r}", how="garbled") from error

    def _ask(
        self, question: dict[str, Any], content: bytes, rest: bytes = b"", *, seconds: float, failed: str
    ) -> tuple[dict[str, Any], bytes]:
        try:
            return self._child.ask(
                {**question, "bytes": len(content)}, content + rest, seconds=seconds, largest=_LARGEST_ANSWER
            )
        except sandbox.SandboxError as error:
            raise TfliteError(f"{failed}: {error}", how=error.how) from error


def _described(inputs: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], bytes]:
    """Names, shapes and types of arrays for the child, and their bytes, one after the other."""
    arrays = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
    described = [
        {"name": name, "shape": list(inputs[name].shape), "dtype": values.dtype.str} for name, values in arrays.items()
    ]
    return described, b"".join(values.tobytes() for values in arrays.values())


def _joined(parts: Sequence[np.ndarray | dict[str, np.ndarray]]) -> np.ndarray | dict[str, np.ndarray]:
    """Answers to parts of the examples as answers to all of them."""
    tables = [part for part in parts if isinstance(part, dict)]
    if tables:
        return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return np.concatenate([part for part in parts if not isinstance(part, dict)])


def _believed_answers(
    said: Mapping[str, object], numbers: np.ndarray, failed: str, *, count: int
) -> np.ndarray | dict[str, np.ndarray]:
    """The child's numbers as the answers of a file's outputs.

    Raises:
        TfliteError: if it says of no output, or of one that has not an answer for every example.
    """
    found, outputs = {}, said.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        shape = output.get("shape") if isinstance(output, dict) else None
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            shape = []
        size = math.prod(shape)
        if shape[:1] != [count] or size > len(numbers):
            raise TfliteError(f"{failed}: wanted {count} answers, received {shape} of {len(numbers)}.", how="garbled")
        found[printable(output.get("name"))] = numbers[:size].reshape(shape).astype(np.float32)
        numbers = numbers[size:]
    if not found or len(numbers) or ("" in found and len(found) > 1):
        raise TfliteError(f"{failed}: wanted {count} answers, received {outputs!r:.200}.", how="garbled")
    return found.get("", found)


def _numbers(said: Any, failed: str) -> tuple[float, ...]:
    """One finite number or several, as the child says them."""
    if isinstance(said, list) and said and all(isinstance(one, float) and math.isfinite(one) for one in said):
        return tuple(said)
    raise TfliteError(f"{failed}: wanted finite numbers, received {said!r:.100}.", how="garbled")


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
            inputs=tuple(map(_tensor, said["inputs"])),
            outputs=tuple(map(_tensor, said["outputs"])),
            multiply_adds=int(said["multiply_adds"]),
            arena_bytes=int(said["arena_bytes"]),
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
