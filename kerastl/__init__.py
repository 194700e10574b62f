"""kerastl: from data to a phone, each step one readable line of a recipe.

The map. A folder is a family that grows, a file is a stage that exists once:

    types       what crosses from one room to the next
    data        sources of examples, one file each
    build       architectures, one file each; build.pretrained, foundation models
    augment     random views of training pictures
    train       Keras' fit, with guards
    precision   half precision where it is faster, and back to float32
    advice      which foundation model for which data, and what it costs
    transfer    cached features, a head, gentle fine-tuning of a pretrained backbone
    resume      a fit of either Keras that goes on from its newest checkpoint
    callbacks   what watches over a fit: finite weights, progress, checkpoints
    distil      a small model learns from a large one
    bridge      a Keras 3 model rebuilt in tf_keras, for TF-MOT
    composites  layers made of layers, taken apart
    twins       layers that tf_keras lacks
    compress    pruning of weights and channels, clustering, quantization-aware training, post-training quantization
    export      SavedModel, TFLite, metadata
    foreign     files of strangers: looked at first, or read in a process of their own
    verify      the exported file against its model, on real data
    benchmark   size and latency of a file, measured
    store       run folders and their stages
    checkpoints where a stage in the making keeps what it goes on from
    memory      what TensorFlow would hold until the process ends
    wordpiece   texts as token ids, on the phone as here
    downloads   public files, from their hub or a registry, pinned and cached
    durable     files that appear whole or not at all
    digests     what a result depends on, as one number
    report      report.json, the table, the page
    plots       its plots
    ship        the last stretch of a recipe: verify, measure, choose, report, publish
    cli         the `kerastl` command

Rooms do not open into one another; the recipe is the corridor. `import kerastl` imports nothing heavy: a room is
loaded when it is first named (PEP 562).
"""

import pkgutil
from typing import Any

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach(__name__, [room.name for room in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)
