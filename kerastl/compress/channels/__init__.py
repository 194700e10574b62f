"""Channel pruning: whole channels are removed, and a smaller Keras 3 model is built that keeps the rest of its weights.

Its files are smaller and faster everywhere, for nothing in them is sparse. Channels that are tied (by a residual sum,
a depthwise convolution, a squeeze-and-excite gate) go together, as `coupling` finds them. `plan` chooses, `apply`
builds; in between a plan can be read, and training what comes out is the recipe's: with `fitting.fit`, alone or under
the unpruned model as a teacher. Several rounds of little each do better than one of much (Molchanov et al. 2017)::

    for _ in range(3):
        plan = channels.plan(model, keep_ratio=0.5 ** (1 / 3), batches=batches.take(50))
        model = channels.apply(model, plan)
        training.fit(model, batches, schedule=short)

TF-MOT was asked for it in its issues 541 and 732.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    ["coupling", "importance"],
    {"planning": ["COSTS", "CRITERIA", "BeforeAfter", "Plan", "apply", "multiply_adds", "plan"]},
)


def __getattr__(name: str) -> Any:
    return _load(name)
