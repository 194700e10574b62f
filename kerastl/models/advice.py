"""Which foundation model to start from, for so many examples and a phone with so much room: the reasons, and the cost.

The numbers were measured, see `MACHINE`; `python benchmarks/training/backbones.py` measures them on another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MACHINE = "two cores of an AMD EPYC server with AVX2; files on one thread"
"""What seconds and milliseconds in `MODELS` were measured on."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A foundation model at one size of its inputs, as a recipe's flags name it.

    Attributes:
        name: of the backbone or encoder; of texts also ``"text_cnn"``, the student of `text_mobile`.
        kind: ``"pictures"`` or ``"texts"``.
        size: side of the pictures in pixels, or tokens of a text.
        rank: the higher, the better it is expected to be: for pictures the share of ImageNet's that the published
            weights get right at that size, in percent; for texts only an order.
        megabytes: of the file that the recipe's default preference, ``"balanced"``, takes: of pictures that of integers
            throughout, of texts that of int8 weights.
        float16_megabytes: of the file that comes next where no file of integers passes its proof: weights of 16 bits.
        milliseconds: for one answer of the first file.
        forward, train: seconds for an example, to look at it and to learn from it with all layers.
    """

    name: str
    kind: str
    size: int
    rank: float
    megabytes: float
    float16_megabytes: float
    milliseconds: float
    forward: float
    train: float


# text_cnn: bytes of a trained file of 10,000 words. Its times are scaled: on two cores with AVX-512 VNNI it answered in
# 0.081 ms where small took 0.084, and was learnt from in 0.0008 s where small took 0.0010.
# ImageNet: MobileNetV2 by keras.applications' table, below 224 by TF-Slim's; EfficientNet-Lite0 by its authors
MODELS = (
    Model("mobilenet_v2", "pictures", 96, 60.3, 2.49, 4.49, 2.0, 0.0036, 0.0155),
    Model("mobilenet_v2", "pictures", 160, 68.8, 2.49, 4.49, 6.4, 0.0069, 0.0327),
    Model("mobilenet_v2", "pictures", 224, 71.8, 2.49, 4.49, 10.5, 0.0148, 0.0691),
    Model("efficientnet_lite0", "pictures", 224, 75.1, 3.68, 6.78, 14.1, 0.0162, 0.0711),
    Model("small", "texts", 64, 1.0, 0.75, 1.31, 0.4, 0.0008, 0.0021),
    Model("text_cnn", "texts", 512, 1.5, 0.89, 1.46, 0.4, 0.0005, 0.0017),
    Model("minilm_l6", "texts", 64, 2.0, 23.2, 45.2, 19.8, 0.0147, 0.0474),
    Model("minilm_l6", "texts", 128, 2.0, 23.3, 45.3, 44.2, 0.0320, 0.0933),
    Model("minilm_l6", "texts", 256, 2.0, 23.5, 45.5, 98.1, 0.0690, 0.2276),
)

FEW_SHOT_LIMIT = 20
"""Examples of a class up to which `image_few_labels` is for them."""
AFFORDABLE_MINUTES = 12 * 60
"""Minutes that a teacher may take: a night."""
_POSITIONS = 512  # that an encoder knows
_MOST_READ = 256  # tokens that text_classifier reads where nobody says how many, see `data.lengths`
_STUDENT = 20  # epochs of `text_mobile`'s: ten, and as many of its baseline
_FROM_NOTHING = 10  # epochs of an encoder without weights, see `training.sentences`


@dataclasses.dataclass(frozen=True)
class Advice:
    """The answer.

    Attributes:
        model: to start from.
        flags: of the recipe that takes such data; the budget is among them, so that the run keeps it.
        recipe: its name.
        why: reasons, a sentence each.
        minutes: that the training takes on `MACHINE`, roughly.
        others: models that fit the budget as well, the next best first.
    """

    model: Model
    recipe: str
    flags: Mapping[str, object]
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
    regression: bool = False,
    forward_passes: float,
    epochs: float,
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
        regression: whether labels are numbers to estimate, ``counts`` are then those of each number.
        forward_passes: how often the plan for so many examples sends each through the frozen model.
        epochs: how often each is learnt from; an encoder that starts from nothing takes its own number.
        megabytes: that the file may have; ``None``: any.
        milliseconds: that an answer may take on one thread of `MACHINE`; ``None``: any.

    Raises:
        ValueError: fewer than two classes, or no model that is known fits the budget: the smallest and the fastest are
            named.
    """
    if len(counts) < 2:
        raise ValueError(f"Wanted examples of two classes at least. Received: {', '.join(counts) or 'none'}.")
    within = _within(kind, megabytes=megabytes, milliseconds=milliseconds)
    total = sum(counts.values()) if examples is None else examples
    amount = f"{total:,} {kind} with a number each." if regression else _amount(kind, counts, examples)
    why, alone = [amount], [model for model in within if model.name != "text_cnn"]
    teacher = None
    if kind == "pictures":
        useful = [model for model in within if model.size <= max(2 * length, 96)] or within[:1]
        if len(useful) < len(within):
            why.append(f"The pictures are {length} pixels wide: enlarging them further shows nothing new.")
        useful = sorted(useful, key=lambda model: -model.rank)
    else:
        teacher = _teacher(
            within, length=length, cost=lambda one: total * _minutes(one, forward_passes=1, epochs=epochs)
        )
        sums_to_one = examples is None and not regression  # what a teacher answers
        teacher = teacher if familiar and sums_to_one else None
        useful = _encoders(within if teacher else alone, length=length, familiar=familiar, why=why)
    best, others = useful[0], tuple(useful[1:])
    if best.name == "small":
        forward_passes, epochs = 0, _FROM_NOTHING
    minutes = total * _minutes(best, forward_passes=forward_passes, epochs=epochs)
    flags: dict[str, Any]
    if teacher and best.name == "text_cnn":
        recipe, flags = "text_mobile", {"teacher-length": teacher.size}
        taught = total * _minutes(teacher, forward_passes=1, epochs=epochs)
        minutes = taught + total * _minutes(best, forward_passes=0, epochs=_STUDENT)
        why.append(
            f"{_words(teacher)} is over the budget, and can still teach: in {taught / 60:.1f} hours, which a finished "
            f"run of text_classifier saves. Its student of {best.megabytes:g} MB learns from its answers, where the "
            "encoder 'small' has the labels alone."
        )
    else:
        recipe, flags = _plain(kind, best, why, budget=bool(megabytes or milliseconds))
        if kind == "texts" and (milliseconds is not None or best.size < min(length, _MOST_READ)):
            flags["sequence-length"] = best.size  # else the run reads it off the texts
        if regression:
            flags["task"] = "regression"
        if kind == "pictures" and examples is None and max(counts.values()) <= FEW_SHOT_LIMIT:
            recipe, flags = "image_few_labels", {**flags, "labels": max(counts.values())}
            why.append(
                f"No class has more than {FEW_SHOT_LIMIT} pictures: too few to choose an epoch by, so that "
                "image_few_labels plans its lessons, looks at many views of each picture, and keeps the last epoch."
            )
    why += [] if regression else _scarce(counts)
    limits = {"accept.megabytes": megabytes, "accept.milliseconds": milliseconds}
    flags = {**flags, **{name: limit for name, limit in limits.items() if limit is not None}}
    if megabytes is not None and best.float16_megabytes > megabytes:
        why.append(
            f"Within {megabytes:g} MB are its files of integers and of int8 weights alone: where none of them passes "
            f"its proof, the next one has {best.float16_megabytes:g} MB, and the run ends without a file for the phone."
        )
    if milliseconds is not None:
        why.append(f"The run measures its {milliseconds:g} ms on its own machine; the times here are those of another.")
    return Advice(model=best, recipe=recipe, flags=flags, why=tuple(why), minutes=minutes, others=others)


def pretraining(found: Advice) -> list[str]:
    """The recipe that first learns from examples without labels, and its flags for what was advised."""
    if found.model.kind == "pictures":
        return ["pretrain_images", "--backbone", found.model.name, "--image-size", str(found.model.size)]
    encoder = "small" if found.model.name == "text_cnn" else found.model.name  # which reads words, and is no encoder
    return ["pretrain_text", "--encoder", encoder, "--sequence-length", str(min(found.model.size, _POSITIONS))]


def _within(kind: str, *, megabytes: float | None, milliseconds: float | None) -> list[Model]:
    """The models of a kind that stay within the budget."""
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
        wanted = [f"has at most {megabytes} MB"] if megabytes is not None else []
        wanted += [f"answers in {milliseconds} ms"] if milliseconds is not None else []
        raise ValueError(
            f"Wanted a file that {' and '.join(wanted)}. Received: a budget below the smallest, {_words(small)}, and "
            f"the fastest, {_words(fast)}."
        )
    return within


def _scarce(counts: Mapping[str, int]) -> list[str]:
    """What to mind where a class has few examples."""
    found, few = [], min(counts.values())
    if few < 20:
        scarce = min(counts, key=lambda name: counts[name])
        found.append(f"{scarce!r} has {few} examples: twenty more of it would help more than any other model.")
    if max(counts.values()) > 10 * few:
        found.append(
            "One class has ten times as many examples as another: look at the recall of each, not the accuracy."
        )
    return found


def _plain(kind: str, best: Model, why: list[str], *, budget: bool) -> tuple[str, dict[str, object]]:
    """The recipe that fine-tunes a model, and its flags; the reason is added."""
    limits = "of those within the budget" if budget else "of those that fit a phone"
    why.append(f"{best.name} has the best features {limits}.")
    if kind == "pictures":
        return "image_classifier", {"backbone": best.name, "image-size": best.size}
    return "text_classifier", {"encoder": best.name}


def _encoders(within: Sequence[Model], *, length: int, familiar: bool, why: list[str]) -> list[Model]:
    """The models of texts that are of use, the best first; reasons are added."""
    useful = [model for model in within if familiar or model.name == "small"]
    if not familiar:
        why.append("The pretrained encoder is of another language than these texts.")
    if not useful:
        raise ValueError(
            "Wanted an encoder for such texts within the budget. Received: none that "
            + ("learns without a teacher." if familiar else "is for another language than English.")
        )
    name = max(useful, key=lambda model: model.rank).name
    long_enough = [model for model in useful if model.name == name and model.size >= length]
    first = long_enough[0] if long_enough else [model for model in useful if model.name == name][-1]
    why.append(f"Nine in ten texts have at most {length} tokens; sizes and times are of texts of {first.size}.")
    return [first, *(model for model in useful if model != first)]


def _teacher(within: Sequence[Model], *, length: int, cost: Callable[[Model], float]) -> Model | None:
    """A model that is over the budget and has something to teach one that is not, in a night; else ``None``."""
    names = {model.name for model in within}
    known = [model for model in MODELS if model.name == "minilm_l6"]
    best = next((model for model in known if model.size >= length), known[-1])
    affordable = "text_cnn" in names and "minilm_l6" not in names and cost(best) <= AFFORDABLE_MINUTES
    return best if affordable else None


def _minutes(model: Model, *, forward_passes: float, epochs: float) -> float:
    """Minutes an example."""
    return (forward_passes * model.forward + epochs * model.train) / 60


def _amount(kind: str, counts: Mapping[str, int], examples: int | None) -> str:
    each = sorted(counts.values())
    total, several = (sum(each), "") if examples is None else (examples, "none, one or several of ")
    sizes = f"{each[0]:,}" if each[0] == each[-1] else f"{each[0]:,} to {each[-1]:,}"
    return f"{total:,} {kind} of {several}{len(each)} classes, {sizes} each."


def promise(model: Model) -> str:
    """Megabytes of a model's file, and of the one that is taken where the first fails its proof."""
    kind = "integers" if model.kind == "pictures" else "int8 weights"
    return f"{model.megabytes:g} MB, or {model.float16_megabytes:g} MB (float16) if its file of {kind} fails its proof"


def _words(model: Model) -> str:
    return f"{model.name} at {model.size} ({model.megabytes:g} MB, {model.milliseconds:g} ms)"
