"""What a private training promises: settings, the mechanism that keeps to them, and the words for people."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from kerastl.system import phrases
from kerastl.training.private import accountant
from kerastl.types import Schedule, Workspace
from kerastl.types.settings import Positive, Range, Seed


@dataclasses.dataclass(frozen=True)
class Privacy:
    """How private a training is."""

    epsilon: Positive = 3.0
    """What all its steps together may spend; the noise is chosen by it. Of 1 an example changes the odds of any outcome
    by a factor of 2.7 at most, of 3 by 20."""
    delta: Annotated[float, Range(above=0, below=1)] = 1e-5
    """The probability with which that may fail; less than one part in as many as there are examples."""
    clip: Positive = 0.1
    """The longest gradient of an example: a longer one is shortened to it, and the noise is a multiple of it."""
    noise_seed: Seed | None = None
    """Makes noise and batches the same again, for tests alone: whoever knows the seed takes the noise away. By default
    they come from a secret of the operating system's, which is kept while the training lasts and is then forgotten."""


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """Poisson-subsampled Gaussian noise on clipped gradients (Abadi et al. 2016, "Deep learning with differential
    privacy", algorithm 1, https://arxiv.org/abs/1607.00133).

    Attributes:
        noise_multiplier: standard deviation of the noise on a sum of gradients, in multiples of ``clip``.
        clip: the longest gradient of an example, over all weights.
        sampling_rate: the probability with which each example is in a batch.
        lot: how many examples a batch is expected to have; sums are divided by it, however many there are.
        delta: as `Privacy`.

    Raises:
        ValueError: a number is out of its range.
    """

    noise_multiplier: float
    clip: float
    sampling_rate: float
    lot: int
    delta: float

    def __post_init__(self) -> None:
        wrong = not (self.noise_multiplier > 0 and self.clip > 0 and self.lot >= 1)
        if wrong or not (0 < self.sampling_rate <= 1 and 0 < self.delta < 1):
            raise ValueError(
                "Wanted a positive noise, clip and lot, a sampling rate above 0 and up to 1, and a delta above 0 and "
                f"below 1. Received: {self}."
            )

    def epsilon(self, steps: int) -> float:
        """What so many steps spend."""
        return accountant.epsilon(
            sampling_rate=self.sampling_rate, noise_multiplier=self.noise_multiplier, steps=steps, delta=self.delta
        )


def mechanism(privacy: Privacy, *, examples: int, schedule: Schedule) -> Mechanism:
    """The mechanism with the least noise by which all steps of a training spend no more than they may.

    Args:
        privacy: what may be spent.
        examples: how many are trained on.
        schedule: its batch size is the number that a batch is expected to have.

    Raises:
        ValueError: delta is not below one part in as many as there are examples; no noise is enough.
    """
    if privacy.delta * examples >= 1:
        raise ValueError(
            f"--privacy.delta has to be below one part in {examples:,}, the number of training examples: a mechanism "
            f"that gives away one example of them whole is within it. Received: {privacy.delta}."
        )
    rate, steps = schedule.batch_size / examples, steps_of(schedule, examples=examples)
    noise = accountant.noise_multiplier(privacy.epsilon, sampling_rate=rate, steps=steps, delta=privacy.delta)
    return Mechanism(noise, privacy.clip, rate, schedule.batch_size, privacy.delta)


def steps_of(schedule: Schedule, *, examples: int) -> int:
    """Steps of a training on batches of `data.pipeline.poisson_batches`."""
    return schedule.epochs * round(examples / schedule.batch_size)


def secret(privacy: Privacy, workspace: Workspace | None) -> int:
    """The seed of noise and batches: 63 bits of the operating system's, the same while a stage goes on.

    A training that is killed and goes on then draws the same noise on the same batches for the steps since its last
    checkpoint: what was seen of them, if anything, is the same again, and no second answer. It is kept in the stage's
    workspace beside its checkpoints, which go when the stage is finished; whoever reads these reads more than the seed.
    """
    if privacy.noise_seed is not None:
        return privacy.noise_seed
    if workspace is None:
        return secrets.randbits(63)
    return int(workspace.remember("secret", lambda: str(secrets.randbits(63))))


def described(found: Mechanism, *, steps: int, privacy: Privacy) -> dict[str, Any]:
    """What a report says of it: numbers by name, and ``words``."""
    spent = found.epsilon(steps)
    numbers = {**dataclasses.asdict(found), "steps": steps, "epsilon": spent}
    known = "" if privacy.noise_seed is None else " The seed of the noise is in the settings: nothing is private."
    return {
        **numbers,
        "words": f"Each training example alone is protected with epsilon {phrases.plain(spent)} at delta "
        f"{found.delta:g} (one example more or less; {steps:,} steps of about {found.lot:,} examples, noise multiplier "
        f"{phrases.plain(found.noise_multiplier)}, gradients clipped to {phrases.plain(found.clip)}).{known}",
    }


def recounted(stated: Mapping[str, Any], *, settings: Mapping[str, Any], examples: int) -> dict[str, Any]:
    """What a report states of a private training, counted again by the run's settings.

    Args:
        stated: a report's ``privacy``; what is no account stays as it is stated.
        settings: of the run, ``privacy`` and ``schedule`` among them; of a recipe that names them otherwise the stated
            mechanism is counted again.
        examples: that were trained on.

    Raises:
        ValueError, KeyError, TypeError: these are no numbers of a private training.
    """
    privacy = Privacy(**settings["privacy"]) if "privacy" in settings else Privacy()
    steps = stated["steps"]
    if {"privacy", "schedule"} <= settings.keys():
        schedule = Schedule(**settings["schedule"])
        found, steps = mechanism(privacy, examples=examples, schedule=schedule), steps_of(schedule, examples=examples)
    else:
        numbers = {field.name: stated[field.name] for field in dataclasses.fields(Mechanism)}
        found = Mechanism(**{**numbers, "sampling_rate": stated["lot"] / examples})
    return {**stated, **described(found, steps=steps, privacy=privacy), "limits": list(LIMITS)}


LIMITS = (
    "Validation and test examples are outside of the guarantee: they choose and report.",
    "Every further training on these examples (another seed, other settings, a search) adds its own epsilon once its "
    "results are used or shown.",
    "What is looked at beside the model has no guarantee: this page shows counts and examples of the data, and the "
    "audit reads them all. Ship the files, not the page.",
    "A student is as private as its teacher only where it learns from other, public examples: labels or pictures of "
    "these would be read again.",
)
"""What the guarantee of a training does not cover; a report says it beside the number."""
