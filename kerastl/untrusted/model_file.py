"""Models of strangers, whatever their format: what is in one and what is suspicious, and answers, by way of a child.

Nothing of a stranger's is opened with a framework in a process that has anything to lose: the child that does it is
bounded in memory and time, writes no file, and has no network where the system lets it go without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.system.output import printable
from kerastl.untrusted import sandbox, snapshots, tflite_file

OPENING_SECONDS, RUN_SECONDS = 60.0, 0.1
"""How long a model may take to be looked at, to be loaded, and to answer once; one example more."""
MEMORY = 6_000_000_000
"""Bytes of address space that the child may take beyond TensorFlow's own."""
_KERAS, _TFLITE = (".keras", ".h5", ".hdf5"), (".tflite", ".lite")
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt")
_LARGEST_ANSWER, _MOST_FINDINGS, _LONGEST = 1_000_000_000, 1_000, 2_000


class ModelError(ValueError):
    """A model that could not be opened or asked.

    Attributes:
        how: as for `sandbox.SandboxError`.
    """

    def __init__(self, words: str, *, how: str) -> None:
        super().__init__(words)
        self.how = how


def kind_of(path: Path) -> str | None:
    """``"keras"``, ``"tflite"``, ``"saved_model"`` or ``"pickle"`` by the name alone; ``None`` for what is no model."""
    path = Path(path)
    if path.is_dir():
        programs = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
        return "saved_model" if any((path / name).exists() for name in programs) else None
    kinds = {**dict.fromkeys(_KERAS, "keras"), **dict.fromkeys(_TFLITE, "tflite"), **dict.fromkeys(_PICKLES, "pickle")}
    return kinds.get(path.suffix.lower())


class SandboxedModel:
    """Audits and answers of models that nobody vouches for; a context, which ends the children.

    Args:
        seconds: how long a model may take to be looked at, to be loaded, and to answer once.
        memory: bytes of address space that the child may take beyond TensorFlow's own.
    """

    def __init__(self, *, seconds: float = OPENING_SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._child = sandbox.Sandbox("kerastl.untrusted.model_child", memory=memory)
        self._tflite = tflite_file.SandboxedModel(seconds=min(seconds, tflite_file.OPENING_SECONDS))

    def __enter__(self) -> SandboxedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()
        self._tflite.__exit__()

    def audit(self, path: Path | str) -> list[types.Finding]:
        """What is in a model (``"note"``) and what is suspicious: an ``"error"`` where kerastl refuses it.

        Raises:
            FileNotFoundError: there is nothing.
            ValueError: it is no model by its name.
        """
        path = Path(path)
        kind = _kind(path)
        files = [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()] if path.is_dir() else [path]
        found = [types.Finding("note", "size", f"{sum(one.stat().st_size for one in files):,} bytes")]
        try:
            if kind == "pickle":
                found.append(types.Finding("error", "model", "it may be a pickle, which runs code when it is opened"))
            elif kind == "tflite":
                found += self._audit_tflite(path)
            else:
                with snapshots.of(path) as copy:
                    found += self._audit(copy)
        except snapshots.SnapshotError as error:
            strange = list(snapshots.strange(path)) or [str(error)]
            found += [types.Finding("error", "model", words) for words in strange]
        return sorted(found, key=lambda one: ("error", "warning", "note").index(one.severity))

    def run(self, path: Path | str, inputs: np.ndarray) -> np.ndarray:
        """A model's answers, float32 ``(examples, ...)``.

        Args:
            path: of a model with one input and one output, or with one that is named ``probabilities``.
            inputs: as the model takes them; pictures need no axis of channels if there is one.

        Raises:
            FileNotFoundError: there is nothing.
            ValueError: it is no model by its name, or the inputs are no numbers.
            ModelError, TfliteError, SnapshotError: it is not opened, the inputs do not fit, it takes too long, or the
                child did not survive it.
        """
        path, inputs = Path(path), np.ascontiguousarray(inputs)
        kind = _kind(path)
        if inputs.dtype.hasobject:
            raise ValueError(f"Wanted numbers. Received: inputs of {inputs.dtype}.")
        if kind == "pickle":
            raise ModelError(f"{path} is not opened: it may be a pickle, which runs code.", how="refused")
        if kind == "tflite":
            wanted = len(self._tflite.facts(path).input.shape)
            answers = self._tflite.run(path, inputs[..., None] if inputs.ndim == wanted - 1 else inputs)
            if isinstance(answers, dict):
                raise ModelError(f"{path} has several outputs: {', '.join(answers)}. Wanted one.", how="refused")
            return answers
        question = {"do": "run", "shape": list(inputs.shape), "dtype": inputs.dtype.str}
        with snapshots.of(path) as copy:
            said, raw = self._ask(copy, question, inputs.tobytes(), examples=len(inputs) if inputs.ndim else 1)
        answers, shape = np.frombuffer(raw, "<f4"), said.get("shape")
        if not isinstance(shape, list) or shape[:1] != [len(inputs)] or min(shape) < 0:
            raise ModelError(f"{path} was asked for {len(inputs)} answers and gave {shape}.", how="garbled")
        return answers.reshape(shape).astype(np.float32)

    def _audit(self, copy: Path) -> list[types.Finding]:
        found: list[types.Finding] = []
        for do, failed in (("look", "it cannot be looked at"), ("load", "it cannot be loaded")):
            if any(one.severity == "error" for one in found):
                break  # what would be refused is not given to a framework
            try:
                said, _ = self._ask(copy, {"do": do}, b"", examples=1)
                found += _believed(said)
            except ModelError as error:
                found.append(types.Finding("error", "model", f"{failed}: {error}"))
        return found

    def _audit_tflite(self, path: Path) -> Iterator[types.Finding]:
        try:
            facts = self._tflite.facts(path)
            operators = facts.operators
            for name, tensor in (("input", facts.input), ("output", facts.output)):
                yield types.Finding("note", name, f"{tensor.name} {tensor.dtype} {list(tensor.shape)}")
            yield types.Finding("note", "parameters", f"{facts.parameters:,}")
            by_type = ", ".join(f"{name} {count}" for name, count in sorted(operators.by_type.items()))
            yield types.Finding("note", "operators", f"{operators.total}: {by_type}")
            if operators.flex:
                words = f"{operators.flex} operators run TensorFlow's own, which may read and write files"
                yield types.Finding("error", "operators", words)
            if "WHILE" in operators.by_type:
                yield types.Finding("warning", "operators", "it has a loop, which may never end")
            self._tflite.latency(path, runs=1)
        except tflite_file.TfliteError as error:
            yield types.Finding("error", "model", str(error))

    def _ask(
        self, copy: Path, question: dict[str, Any], content: bytes, *, examples: int
    ) -> tuple[dict[str, Any], bytes]:
        try:
            return self._child.ask(
                {**question, "path": str(copy)},
                content,
                seconds=self._seconds + RUN_SECONDS * (examples - 1),
                largest=_LARGEST_ANSWER,
            )
        except sandbox.SandboxError as error:
            # The copy's folder means nothing to anybody.
            raise ModelError(str(error).replace(str(copy), copy.name), how=error.how) from error


def _kind(path: Path) -> str:
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    kind = kind_of(path)
    if kind is None:
        endings = ", ".join((*_KERAS, *_TFLITE))
        raise ValueError(f"Wanted a model: {endings}, or the folder of a SavedModel. Received: {path}.")
    return kind


def _believed(said: Mapping[str, object]) -> list[types.Finding]:
    """The child's words as findings: so many, so long, and without what could move a terminal's cursor."""
    findings: Any = said.get("findings")
    with contextlib.suppress(TypeError, ValueError):
        rows = [(severity, where, what) for severity, where, what in findings]
        if all(row[0] in ("error", "warning", "note") for row in rows):
            return [types.Finding(*(printable(words)[:_LONGEST] for words in row)) for row in rows[:_MOST_FINDINGS]]
    raise ModelError("the process that read it answered with no findings", how="garbled")
