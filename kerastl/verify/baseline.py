"""What a teacher gave, in numbers: students that were taught, and the same students without it, seed by seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from kerastl.system import phrases


@dataclasses.dataclass(frozen=True)
class DistillationGain:
    """What students gained by their lessons, with 95 % intervals over seeds.

    Attributes:
        gain: distilled minus alone, the mean over seeds; a score's units.
        gain_low, gain_high: its interval (Student's t of the differences); ``None`` for one seed.
        gap: share of the gap between student and teacher that is recovered, see `recovered_gap`; ``None`` where the
            teacher is not above the students alone.
        low, high: its interval; ``None`` for one seed, and where the seeds do not tell the gap from none at all: a
            share of it could be any number then.
        words: the same in a sentence, scores in percent.
    """

    gain: float
    gain_low: float | None
    gain_high: float | None
    gap: float | None
    low: float | None
    high: float | None
    words: str


def recovered_gap(
    *,
    teacher: float | Sequence[float],
    alone: Sequence[float],
    distilled: Sequence[float],
    on: str = "test",
    units: str = "%",
    higher_is_better: bool = True,
) -> DistillationGain:
    """``g = (distilled - alone) / (teacher - alone)`` of the means over seeds, with its interval over seeds.

    The interval is Fieller's (1954, "Some problems in interval estimation", section 2) of the ratio of two means whose
    summands come in pairs: of one seed ``distilled - alone`` and ``teacher - alone``. It is exact where these are
    normally distributed. The t interval of each seed's own g is not: a ratio has no mean there, and one seed whose
    control came near the teacher would decide it.

    It is of seeds alone: how these students would fare on other examples, the scores' own intervals say.

    Args:
        teacher: score of the teacher, or of each seed's teacher; 0..1.
        alone, distilled: scores of the students, a pair a seed.
        on: the split that they are of, for the words.
        units, higher_is_better: of the scores, as in `types.Target`; where lower is better a gain is what they fell by.

    Raises:
        ValueError: there is no seed, the numbers of scores differ, or one is not finite.
    """
    taught, control = np.asarray(distilled, float), np.asarray(alone, float)
    above = np.asarray(teacher, float)
    if taught.ndim != 1 or taught.shape != control.shape or above.shape not in ((), taught.shape) or not len(taught):
        raise ValueError(
            "Wanted a pair of scores a seed, and one of the teacher or one a seed. Received: "
            f"{taught.shape} distilled, {control.shape} alone, {above.shape} of the teacher."
        )
    if not all(np.isfinite(scores).all() for scores in (taught, control, above)):
        raise ValueError(f"Wanted finite scores. Received: {distilled}, {alone}, {teacher}.")
    sign = 1 if higher_is_better else -1
    gains, gaps = sign * (taught - control), sign * (above - control)
    gain, gap = float(gains.mean()), float(gaps.mean())
    share = gain / gap if gap > 0 else None
    low = high = gain_low = gain_high = None
    if len(gains) > 1:
        half = float(stats.t.ppf(0.975, len(gains) - 1))
        spread = np.cov(gains, gaps) / len(gains)
        gain_low, gain_high = (gain + sign * half * math.sqrt(spread[0, 0]) for sign in (-1, 1))
        if share is not None:
            low, high = _fieller(gain, gap, spread * half**2)
    found = DistillationGain(gain, gain_low, gain_high, share, low, high, words="")
    means = [float(scores.mean()) for scores in (above, taught, control)]
    return dataclasses.replace(found, words=f"On {on} {_words(found, means, seeds=len(gains), units=units)}")


def _fieller(top: float, bottom: float, spread: np.ndarray) -> tuple[float | None, float | None]:
    """Where ``(top - g * bottom)^2`` is at most its spread: between the roots of a quadratic in g, if it has a lid."""
    square = bottom**2 - spread[1, 1]
    if square <= 0:
        return None, None
    middle = (top * bottom - spread[0, 1]) / square
    root = math.sqrt(max(0.0, middle**2 - (top**2 - spread[0, 0]) / square))
    return middle - root, middle + root


def _words(found: DistillationGain, means: Sequence[float], *, seeds: int, units: str) -> str:
    share, factor, unit = units == "%", 100 if units == "%" else 1, "points" if units == "%" else units
    shown = [_percent(mean) if share else f"{phrases.plain(mean)} {units}".rstrip() for mean in means]
    words = "the teacher has {}, its students {}, the same students alone {}".format(*shown)
    digits = "+.2f" if share else "+.4g"
    words += f"{f', means of {seeds} seeds' if seeds > 1 else ''}: {factor * found.gain:{digits}} {unit}".rstrip()
    if found.gain_low is not None and found.gain_high is not None:
        words += f" ({factor * found.gain_low:{digits}} to {factor * found.gain_high:{digits}})"
    if found.gap is None:
        words += ", and no gap to recover, for the teacher is not above them."
    elif found.low is not None and found.high is not None:
        words += f", {_share(found.gap)} of the gap recovered ({_share(found.low)} to {_share(found.high)})."
    else:
        words += f", {_share(found.gap)} of the gap recovered"
        words += "." if seeds == 1 else "; the seeds do not tell the gap from none, so that its share has no interval."
    return words + (" One seed: no interval." if seeds == 1 else "")


def _percent(score: float) -> str:
    return f"{100 * score:.2f} %"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"
