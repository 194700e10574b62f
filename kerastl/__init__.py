"""kerastl: from data to a phone, each step one readable line of a recipe.

The map. A folder is a family that grows, a file is a stage that exists once:

    types       what crosses from one room to the next
    inputs      what goes into a model, one file a kind: reading, tokens, augmentation
    data        sources of examples, one file each; splits, batches, audit
    models      architectures, one file each; models.pretrained, foundation models; advice on which to take
    training    Keras' fit with guards, callbacks, exact resume, number formats, transfer learning
    pretraining objectives on data without labels, one file each; the guard against collapse, nearest neighbours
    distil      knowledge distillation: losses, features, the distiller, cached teacher logits
    compress    pruning of weights and channels, clustering, quantization-aware training, post-training quantization;
                compress.tf_keras, the one room with two Kerases
    export      SavedModel, TFLite, metadata, the phone's bundle
    verify      the exported file against its model, on real data; its size and latency
    evaluate    what a score hides: calibration, robustness, groups, explanations
    runs        run folders and their stages, checkpoints, publishing, the report and its page
    untrusted   other people's files: looked at first, or read in a sandbox
    system      atomic files, digests, downloads, TensorFlow's memory, near names
    cli         the `kerastl` command

Rooms do not open into one another; the recipe is the corridor. `import kerastl` imports nothing heavy: a room is
loaded when it is first named (PEP 562).
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from kerastl.runs.comparison import Comparison
    from kerastl.runs.finished import FinishedRun

__version__ = "0.1.0"

_rooms = [room.name for room in pkgutil.iter_modules(__path__) if room.name != "__main__"]  # to name that is to run it
_load, __dir__, __all__ = lazy_loader.attach(__name__, _rooms)


def __getattr__(name: str) -> Any:
    return _load(name)


def run(recipe: str | Path, **fields: Any) -> FinishedRun:
    """Runs a recipe and opens what it made: ``kerastl.run("image_classifier", data="flowers/")``.

    A keyword is a flag of `kerastl run RECIPE --help`; see `runs.recipes.run`.
    """
    from kerastl.runs import recipes

    return recipes.run(recipe, **fields)


def open(folder: Path | str) -> FinishedRun:
    """Opens the folder of a finished run, or a bundle; see `runs.finished.FinishedRun`."""
    from kerastl.runs import finished

    return finished.FinishedRun(folder)


def compare(
    *runs: FinishedRun | Path | str,
    data: Path | str | None = None,
    download: bool = False,
    progress: bool = True,
) -> Comparison:
    """Runs on the same data side by side, their files on the same test examples; see `runs.comparison.compare`.

    ``kerastl.compare("saved_models/mnist_mobile/a", "saved_models/mnist_mobile/b").page("compared.html")``
    """
    from kerastl.runs import comparison, finished
    from kerastl.system import output

    opened = [finished.FinishedRun(one) if isinstance(one, str | Path) else one for one in runs]
    with output.begun():
        return comparison.compare(opened, data=data, download=download, progress=progress)
