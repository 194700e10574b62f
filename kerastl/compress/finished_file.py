"""A quantized file, looked at once more before it is handed out: `export.final_guard` beside the float file."""

from __future__ import annotations

import numpy as np

from kerastl.compress import float_file
from kerastl.compress.float_file import Examples
from kerastl.export import final_guard
from kerastl.types import Inputs

_PROBES = 8  # examples that both files are run on


def handed_out(
    result: bytes,
    model: bytes,
    claim: final_guard.Claim,
    *,
    examples: Examples | None = None,
    inputs: Inputs | None = None,
) -> bytes:
    """A quantized file, once `export.final_guard` has looked at it.

    Args:
        result: the file.
        model: the float32 file that it was made from.
        claim: what is said of it.
        examples: that both are run on, of which a few are taken; ``None``: noise.
        inputs: their kind, whose noise is then taken.

    Raises:
        ValueError: if the file does not load or run, answers with NaN or far from the float file, or is not what is
            said of it.
    """
    found = fault(result, model, claim, examples=examples, inputs=inputs)
    if found is not None:
        raise refusal(found)
    return result


def refusal(found: str | None) -> ValueError:
    """The error for what `fault` says."""
    return ValueError(
        f"Wanted a file that answers like the float file that it was made from. Received: {str(found).rstrip('.')}. "
        "keep_float leaves operators as they are, by name or by what a report calls them."
    )


def fault(
    result: bytes,
    model: bytes,
    claim: final_guard.Claim,
    *,
    examples: Examples | None = None,
    inputs: Inputs | None = None,
) -> str | None:
    """What is wrong with a quantized file, or ``None``; arguments as for `handed_out`."""
    probes = _probes(model, examples, inputs)
    return final_guard.fault(result, claim, probes=probes, wanted=final_guard.answers(model, probes))


def _probes(model: bytes, examples: Examples | None, inputs: Inputs | None) -> list[final_guard.Values]:
    if inputs is None:
        return final_guard.noise(model)
    if examples is None:
        batch = max(int(detail["shape"][0]) for detail in float_file.sources(model).values())
        examples = inputs.noise(max(_PROBES, batch))
    fed = float_file.calibrated(model, examples, inputs=inputs)
    size = fed[0].shape[0]
    places = np.linspace(0, len(fed[0].values) // size - 1, _PROBES).astype(int)
    return [[one.values[place * size : (place + 1) * size] for one in fed] for place in dict.fromkeys(places.tolist())]
