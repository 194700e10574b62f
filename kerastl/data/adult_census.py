"""Adult census: 32,561 people of 1994, to be told who earned more than 50,000 dollars a year; with sex and race.

Of the US Census Bureau by Kohavi & Becker 1996, https://doi.org/10.24432/C5XW20, CC BY 4.0: the training part, which
studies of fairness measure on. Rates of those who earn so much differ from group to group by far, 31 % of men and 11 %
of women: whatever learns from it shows what groups are to a model. It says nothing of people today.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kerastl import types
from kerastl.data import table_csv
from kerastl.system import downloads

_NAME, _SHA256 = "adult.csv", "c30ce1e55a965b04950321870db74c19f4aa437120a692f32e72f6a4fa31c418"
FILES = downloads.Files(
    name="adult_census",
    ways=(
        downloads.Package(
            registry="pypi",
            name="fairness",
            version="0.1.8",
            sha256="7f21cf0943f2a6fef7f7597eb99461bd4b2f7a26fe9810964675496cde6992e1",
            members={f"fairness/data/raw/{_NAME}": _SHA256},
        ),
    ),
    sha256={_NAME: _SHA256},
)


def fetch() -> Path:
    """Gets the table into the cache; its path. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)[_NAME]


def load(
    *, seed: int = 0, validation: int | float = 0.1, test: int | float = 0.2, limit: int | None = None
) -> types.Dataset:
    """The people in three splits: whether each earns more than 50,000 dollars a year, ``<=50K`` or ``>50K``.

    What the census weighs a person by says nothing of the person, and the years of education say its name again: both
    do not go in. Sex and race do, as in most studies; `--group-column sex` measures by them.

    Args:
        seed, validation, test, limit: as for `table_csv.load`.

    Raises:
        ValueError: the limit, or the shares, cannot be kept.
    """
    data = table_csv.load(
        fetch(),
        label_columns=["income-per-year"],
        leave_out=["fnlwgt", "education-num"],
        missing="median",
        seed=seed,
        validation=validation,
        test=test,
        limit=limit,
    )
    arguments = {"seed": seed, "validation": validation, "test": test, "limit": limit}
    task = dataclasses.replace(data.task, name="adult_census")
    parts = {name: dataclasses.replace(getattr(data, name), task=task) for name in ("train", "validation", "test")}
    return dataclasses.replace(data, task=task, source="adult_census", arguments=arguments, **parts)
