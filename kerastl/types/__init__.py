"""What crosses from one room to the next: frozen dataclasses and protocols, no framework.

A recipe carries these from room to room. Arrays are NumPy; pictures are raw pixels 0..255 as uint8, texts are token ids
as int32, numbers are float32.
"""

from kerastl.types.examples import (
    BatchingSpec,
    CachedLogits,
    Dataset,
    LazyArray,
    Split,
    each,
    labels_and_teacher_logits,
)
from kerastl.types.files import (
    KERNELS_ENTRY,
    Artifact,
    Choice,
    ClusterClaim,
    FileFacts,
    Finding,
    Latency,
    LayerError,
    Operators,
    Runtime,
    Score,
    Tensor,
    Variant,
    Verification,
)
from kerastl.types.task import (
    CategoryInputs,
    ClassTarget,
    FolderInputs,
    Inputs,
    NamedInputs,
    NamedTargets,
    TableInputs,
    Target,
    Task,
    kind_of,
    targets_of,
)
from kerastl.types.training import History, Schedule, Workspace

__all__ = [
    "KERNELS_ENTRY",
    "Artifact",
    "BatchingSpec",
    "CachedLogits",
    "CategoryInputs",
    "Choice",
    "ClassTarget",
    "ClusterClaim",
    "Dataset",
    "FileFacts",
    "Finding",
    "FolderInputs",
    "History",
    "Inputs",
    "Latency",
    "LayerError",
    "LazyArray",
    "NamedInputs",
    "NamedTargets",
    "Operators",
    "Runtime",
    "Schedule",
    "Score",
    "Split",
    "TableInputs",
    "Target",
    "Task",
    "Tensor",
    "Variant",
    "Verification",
    "Workspace",
    "each",
    "kind_of",
    "labels_and_teacher_logits",
    "targets_of",
]
