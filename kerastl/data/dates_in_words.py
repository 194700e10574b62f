"""Dates in words and as ISO 8601 writes them: "the third of May, 1999" becomes "1999-05-03".

Pairs that are made here, for what learns from pairs of texts to be tried in a minute.
"""

from __future__ import annotations

import datetime

import numpy as np

from kerastl.data.parallel_text import Pair

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
_MONTHS = ["January", "February", "March", "April", "May", "June"]
_MONTHS += ["July", "August", "September", "October", "November", "December"]
_ONES = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
_DAYS = [*_ONES.split(), "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"]
_DAYS += [f"twenty-{day}" for day in _DAYS[:9]] + ["thirtieth", "thirty-first"]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_FORMS = (
    "{weekday}, {month} {number}, {year}",
    "the {ordinal} of {month}, {year}",
    "{number} {short} {year}",
    "{month} the {ordinal}, {year}",
    "{short}. {number}{ending}, {year}",
    "{weekday} the {number}{ending} of {month} {year}",
    "{number}. {month} {year}",
    "{month} {ordinal} {year}",
)


def in_words(date: datetime.date, form: int) -> str:
    """A date in one of eight ways of writing it; ``form`` is taken modulo their number."""
    day, month = date.day, _MONTHS[date.month - 1]
    ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return _FORMS[form % len(_FORMS)].format(
        weekday=_WEEKDAYS[date.weekday()],
        month=month,
        short=month[:3],
        number=day,
        ordinal=_DAYS[day - 1],
        ending=ending,
        year=date.year,
    )


def pairs(*, train: int = 8000, validation: int = 1000, test: int = 1000, seed: int = 0) -> dict[str, list[Pair]]:
    """Pairs in three splits that share no date, one form a date.

    Args:
        train, validation, test: how many of each.
        seed: the same gives the same pairs on every machine.

    Raises:
        ValueError: more are wanted than there are days from `FIRST` to `LAST`, or fewer than one of a split.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    days = (LAST - FIRST).days + 1
    if min(sizes.values()) < 1 or sum(sizes.values()) > days:
        raise ValueError(f"Wanted at least one pair a split and at most {days:,} in all. Received: {sizes}.")
    # the bit generator's raw numbers are the same in every release of NumPy, a permutation's need not be
    draws = np.random.PCG64(seed).random_raw(2 * days)
    order, forms = np.argsort(draws[:days], kind="stable"), draws[days:] % len(_FORMS)
    made, start = {}, 0
    for split, size in sizes.items():
        dates = [(FIRST + datetime.timedelta(int(day)), int(forms[day])) for day in order[start : start + size]]
        made[split] = [
            Pair(in_words(date, form), date.isoformat(), f"{split}:{row}") for row, (date, form) in enumerate(dates)
        ]
        start += size
    return made
