"""Acceptance: what a file has to hold to be taken, and which of those that do is wanted; one field of a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kerastl.types import settings
from kerastl.types.settings import Place, Positive, Share, Weight

if TYPE_CHECKING:  # a recipe's settings are shown without NumPy
    from kerastl.types import Choice, Target, Variant
    from kerastl.verify.chance import Answered


@dataclasses.dataclass(frozen=True)
class Acceptance:
    """How far files may be from their models, and which of them goes to the phone.

    Scores are on the scale of shares, see `types.Target.drop`: 0.003 is 0.3 points of accuracy; of numbers that are
    estimated it is 0.003 standard deviations of the labels.
    """

    prefer: Literal["balanced", "smallest", "fastest"] = "balanced"
    """What the phone gets among the files within the bounds: the "smallest", the "fastest", or, "balanced", the fastest
    of those within 5 % of the smallest."""
    max_score_drop: Weight = 0.003
    """Validation score that the chosen file may lose against the float model: a share, or standard deviations of the
    labels where they are numbers."""
    max_quantization_drop: Weight = 0.003
    """Score that an int8 file may lose against its own float model, on either split, in the same unit."""
    min_agreement: Share = 0.98
    """Least share of examples on which an int8 file answers like its float model."""
    max_saturation: Share = 0.005
    """Largest share of a layer's numbers on held-out examples that may lie outside the range of its calibration."""
    max_layer_error: Positive | None = None
    """Most that a layer of a file quantized after training may be off, as a share of its root mean square; by default
    0.3 of 8 bits and 0.6 of 4."""
    megabytes: Positive | None = None
    """Most that the chosen file may have, a megabyte being a million bytes."""
    milliseconds: Positive | None = None
    """Most that one inference of the chosen file may take, on one thread of this machine."""
    answer_precision: Share | None = None
    """Selective classification, or the reject option: share of answers that is to be right. What is less sure than that
    takes on validation is answered with "none of these"; as many examples as possible are answered."""
    answer_coverage: Share | None = None
    """Instead, the share of examples that is to be answered, the surest of them."""
    answer_by_class: bool = False
    """Whether that precision is to be reached by each class, with a threshold of its own: rare ones are often answered
    less surely than the rest. A class of less than ten answers on validation has the threshold of all."""
    other: Place = ""
    """Folder of pictures, or file of texts, of none of the classes. Half of them is there when the threshold is fitted,
    a wrong answer each; the other half measures it. Alone, without a precision or coverage: 95 % are answered."""

    @property
    def rejects(self) -> dict[str, Any]:
        """What `tasks.single_label.with_reject_option` takes."""
        return {
            "precision": self.answer_precision,
            "coverage": self.answer_coverage,
            "by_class": self.answer_by_class,
        }

    @property
    def may_reject(self) -> bool:
        """Whether an answer may be "none of these"."""
        return self.answer_precision is not None or self.answer_coverage is not None or bool(self.other)


def check_reject_option(accept: Acceptance, target: Target) -> None:
    """Refuses precision and coverage of answers at once, thresholds by class without a precision, and each of a target
    whose examples have not one class.

    Raises:
        ValueError: so it is.
    """
    from kerastl.tasks import single_label  # settings are shown without NumPy

    shares = {"precision": accept.answer_precision, "coverage": accept.answer_coverage}
    wanted = [f"answer-{flag}" for flag, share in shares.items() if share is not None]
    if len(wanted) > 1 or 0 in shares.values():
        raise ValueError(
            "Answers are given for a precision or for a coverage, above 0. Received: "
            f"{', '.join(f'--accept.answer-{name} {share}' for name, share in shares.items())}."
        )
    if accept.answer_by_class and accept.answer_precision is None:
        raise ValueError(
            "Each class has a threshold of its own for a precision: --accept.answer-precision 0.95 say. Received: "
            "--accept.answer-by-class alone."
        )
    wanted += ["other"] if accept.other else []
    if wanted and not isinstance(target, single_label.SingleLabel):
        raise ValueError(
            f"--accept.{wanted[0]} is for examples of one class each. Received: {target.kind}; leave it out."
        )


def choose(variants: Sequence[Variant], *, target: Target, accept: Acceptance, own: Answered) -> Choice:
    """The file for the phone, by validation alone, see `verify.select`.

    Args:
        variants: those that may be chosen.
        target: what is asked.
        accept: the bounds.
        own: the answers of the float model that ``max_score_drop`` is counted from, on validation.

    Raises:
        ValueError: there is no such bound, or no variant.
        VerificationError: as `verify.select`.
    """
    from kerastl import verify

    settings.check(accept, prefix="accept.")

    return verify.select(
        variants,
        target=target,
        prefer=accept.prefer,
        budget=accept.max_score_drop,
        megabytes=accept.megabytes,
        milliseconds=accept.milliseconds,
        float_validation_score=own.score,
        float_errors=own.errors,
    )
