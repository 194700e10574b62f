"""A float file run on all of its calibration, with every tensor that it computes on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kerastl.compress import float_file


def each(model: bytes, sources: Sequence[float_file.Source]) -> Iterator[Interpreter]:
    """The interpreter after each whole batch of the calibration: its tensors are of that batch.

    Args:
        model: a float32 file.
        sources: what its inputs are calibrated with.
    """
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    size = sources[0].shape[0]
    for start in range(0, len(sources[0].values) - size + 1, size):
        for source in sources:
            interpreter.set_tensor(source.place, source.values[start : start + size])
        interpreter.invoke()
        yield interpreter
