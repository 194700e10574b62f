"""Which foundation model to start from, for so many examples and a phone with so much room: the reasons, and the cost.

The numbers were measured, see `MACHINE`; `python benchmarks/backbones.py` measures them on another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

MACHINE = "two cores of an AMD EPYC server with AVX2; files on one thread"
"""What seconds and milliseconds in `MODELS` were measured on."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A foundation model at one size of its inputs, as a recipe's flags name it.

    Attributes:
        name: of the backbone or encoder.
        kind: ``"pictures"`` or ``"texts"``.
        size: side of the pictures in pixels, or tokens of a text.
        rank: the higher, the better it is expected to be: for pictures the share of ImageNet's that the published
            weights get right at that size, in percent; for texts only an order.
        megabytes: of the integer file.
        milliseconds: for one answer of that file.
        forward, train: seconds for an example, to look at it and to learn from it with all layers.
    """

    name: str
    kind: str
    size: int
    rank: float
    megabytes: float
    milliseconds: float
    forward: float
    train: float


# ImageNet: MobileNetV2 by keras.applications' table, below 224 by TF-Slim's; EfficientNet-Lite0 by its authors
MODELS = (
    Model("mobilenet_v2", "pictures", 96, 60.3, 2.70, 2.0, 0.0036, 0.0155),
    Model("mobilenet_v2", "pictures", 160, 68.8, 2.70, 6.4, 0.0069, 0.0327),
    Model("mobilenet_v2", "pictures", 224, 71.8, 2.70, 10.5, 0.0148, 0.0691),
    Model("efficientnet_lite0", "pictures", 224, 75.1, 3.95, 14.1, 0.0162, 0.0711),
    Model("small", "texts", 64, 1.0, 0.75, 0.4, 0.0008, 0.0021),
    Model("minilm_l6", "texts", 64, 2.0, 23.2, 19.8, 0.0147, 0.0474),
    Model("minilm_l6", "texts", 128, 2.0, 23.3, 44.2, 0.0320, 0.0933),
    Model("minilm_l6", "texts", 256, 2.0, 23.5, 98.1, 0.0690, 0.2276),
)


@dataclasses.dataclass(frozen=True)
class Advice:
    """The answer.

    Attributes:
        model: to start from.
        flags: of the recipe that takes such data.
        recipe: its name.
        why: reasons, a sentence each.
        minutes: that the training takes on `MACHINE`, roughly.
        others: models that fit the budget as well, the next best first.
    """

    model: Model
    recipe: str
    flags: dict[str, object]
    why: tuple[str, ...]
    minutes: float
    others: tuple[Model, ...]


def advise(
    *,
    kind: str,
    counts: Mapping[str, int],
    length: int,
    familiar: bool = True,
    examples: int | None = None,
    looks: float,
    lessons: float,
    megabytes: float | None = None,
    milliseconds: float | None = None,
) -> Advice:
    """The best model whose file stays within the budget.

    Args:
        kind: ``"pictures"`` or ``"texts"``.
        counts: examples of each class.
        length: of pictures the shorter side in pixels, the median; of texts the tokens that nine in ten do not exceed.
        familiar: of texts, whether they are of the language that the pretrained vocabulary was made for.
        examples: how many there are, where one may have none or several of the classes; ``None``: each has one.
        looks: how often the plan for so many examples sends each through the frozen model.
        lessons: how often each is learnt from.
        megabytes: that the file may have; ``None``: any.
        milliseconds: that an answer may take on one thread of `MACHINE`; ``None``: any.

    Raises:
        ValueError: fewer than two classes, or no model that is known fits the budget: the smallest and the fastest are
            named.
    """
    if len(counts) < 2:
        raise ValueError(f"Wanted examples of two classes at least. Received: {', '.join(counts) or 'none'}.")
    known = [model for model in MODELS if model.kind == kind]
    within = [
        model
        for model in known
        if (megabytes is None or model.megabytes <= megabytes)
        and (milliseconds is None or model.milliseconds <= milliseconds)
    ]
    if not within:
        small = min(known, key=lambda model: model.megabytes)
        fast = min(known, key=lambda model: model.milliseconds)
        raise ValueError(
            f"Wanted a file of at most {megabytes or 'any'} MB that answers in {milliseconds or 'any'} ms. Received: a "
            f"budget below the smallest, {_words(small)}, and the fastest, {_words(fast)}."
        )
    why = [_amount(kind, counts, examples)]
    if kind == "pictures":
        useful = [model for model in within if model.size <= max(2 * length, 96)] or within[:1]
        if len(useful) < len(within):
            why.append(f"The pictures are {length} pixels wide: enlarging them further shows nothing new.")
    else:
        useful = within if familiar else [model for model in within if model.name == "small"]
        if not familiar:
            why.append("The pretrained vocabulary spells these texts out piece by piece: it is of another language.")
        if not useful:
            raise ValueError("Wanted an encoder for another language than English within the budget. Received: none.")
        name = max(useful, key=lambda model: model.rank).name
        long_enough = [model for model in useful if model.name == name and model.size >= length]
        first = long_enough[:1] or [model for model in useful if model.name == name][-1:]
        why.append(f"Nine in ten texts have at most {length} tokens; {first[0].size} are read.")
        useful = first + [model for model in useful if model not in first]
    ranked = sorted(useful, key=lambda model: -model.rank) if kind == "pictures" else useful
    best, others = ranked[0], tuple(ranked[1:])
    why.append(
        f"{best.name} has the best features of those within the budget."
        if megabytes or milliseconds
        else f"{best.name} has the best features of those that fit a phone."
    )
    few = min(counts.values())
    if few < 20:
        scarce = min(counts, key=lambda name: counts[name])
        why.append(f"{scarce!r} has {few} examples: twenty more of it would help more than any other model.")
    if max(counts.values()) > 10 * few:
        why.append("One class has ten times as many examples as another: look at the recall of each, not the accuracy.")
    total = sum(counts.values()) if examples is None else examples
    flags: dict[str, object] = (
        {"backbone": best.name, "image-size": best.size}
        if kind == "pictures"
        else {"encoder": best.name, "sequence-length": best.size}
    )
    return Advice(
        model=best,
        recipe="image_classifier" if kind == "pictures" else "text_classifier",
        flags=flags,
        why=tuple(why),
        minutes=total * (looks * best.forward + lessons * best.train) / 60,
        others=others,
    )


def _amount(kind: str, counts: Mapping[str, int], examples: int | None) -> str:
    each = sorted(counts.values())
    total, several = (sum(each), "") if examples is None else (examples, "none, one or several of ")
    return f"{total:,} {kind} of {several}{len(each)} classes, {each[0]:,} to {each[-1]:,} each."


def _words(model: Model) -> str:
    return f"{model.name} at {model.size} ({model.megabytes:g} MB, {model.milliseconds:g} ms)"
