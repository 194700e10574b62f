"""Rows of `report.json`: what is known of a file, as JSON says it. Nothing of the page is imported for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kerastl import types


def of_variant(variant: types.Variant, folder: Path) -> dict[str, Any]:
    """A file with everything measured about it.

    Args:
        variant: the file.
        folder: the run folder, which holds it.

    Raises:
        ValueError: if it lies elsewhere.
    """
    artifact, test = variant.artifact, variant.test
    path, root = artifact.path.resolve(), folder.resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"A variant's file lies in its run folder {folder}. Received: {artifact.path}.")
    return {
        "name": artifact.name,
        "file": path.relative_to(root).as_posix(),
        "technique": artifact.technique,
        "eligible": variant.eligible,
        "model": variant.model,
        **of_facts(variant.facts),
        **of_validation(variant.validation.score),
        "score": test.score.value,
        "score_low": test.score.low,
        "score_high": test.score.high,
        "float_score": test.float_score,
        "agreement": test.agreement,
        "max_difference": test.max_difference,
        "worst_layer": dataclasses.asdict(variant.worst_layer) if variant.worst_layer else None,
        "latency_ms": dataclasses.asdict(variant.latency),
        "min_runtime": None if variant.runtime is None else dataclasses.asdict(variant.runtime),
    }


def of_validation(score: types.Score) -> dict[str, float]:
    """The score on validation, which every choice is made by, with its interval."""
    return {"validation_score": score.value, "validation_low": score.low, "validation_high": score.high}


def of_facts(facts: types.FileFacts) -> dict[str, Any]:
    """What can be read off the file."""
    return {
        "sha256": facts.sha256,
        "bytes": facts.bytes,
        "gzip_bytes": facts.gzip_bytes,
        "parameters": facts.parameters,
        "sparsity": facts.sparsity,
        "multiply_adds": facts.multiply_adds,
        "arena_bytes": facts.arena_bytes,
        "ops": {key: getattr(facts.operators, key) for key in ("total", "integer", "float", "flex")},
        "input": _tensor(facts.input),
        "output": _tensor(facts.output),
        "inputs": [{"name": one.name, **_tensor(one)} for one in facts.inputs],
        "outputs": [{"name": one.name, **_tensor(one)} for one in facts.outputs],
    }


def _tensor(tensor: types.Tensor) -> dict[str, Any]:
    return {
        "dtype": tensor.dtype,
        "shape": [int(size) for size in tensor.shape],
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
