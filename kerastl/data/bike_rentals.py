"""Bike rentals: 8,645 hours of a city's bike sharing, to be told from hour, season and weather.

The Capital Bikeshare data of 2011 (Fanaee-T & Gama 2014, "Event labeling combining ensemble detectors and background
knowledge", https://archive.ics.uci.edu/dataset/275/bike+sharing+dataset, CC BY 4.0), as James et al. 2023 use it in "An
Introduction to Statistical Learning", section 4.6.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kerastl import types
from kerastl.data import table_csv
from kerastl.system import downloads

_NAME, _SHA256 = "Bikeshare.csv", "ac6950ae6f11efcc69c29d6bb13e8881c001e27d36434660d59444a1414f712c"
FILES = downloads.Files(
    name="bike_rentals",
    ways=(
        downloads.Package(
            registry="pypi",
            name="ISLP",
            version="0.4.0",
            sha256="1c1d628cf79a467bea2a2972dc78603c7a5a05580b9255f5dfa2109e1a713133",
            members={f"ISLP/data/{_NAME}": _SHA256},
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
    """The hours in three splits: bikes rented in each, from the hour, the day, the season and the weather.

    What members and casual riders rented apart adds up to the label and does not go in.

    Args:
        seed, validation, test, limit: as for `table_csv.load`.

    Raises:
        ValueError: the limit, or the shares, cannot be kept.
    """
    data = table_csv.load(
        fetch(),
        label_columns=["bikers"],
        leave_out=["casual", "registered"],
        unit="bikes",
        seed=seed,
        validation=validation,
        test=test,
        limit=limit,
    )
    arguments = {"seed": seed, "validation": validation, "test": test, "limit": limit}
    task = dataclasses.replace(data.task, name="bike_rentals")
    parts = {name: dataclasses.replace(getattr(data, name), task=task) for name in ("train", "validation", "test")}
    return dataclasses.replace(data, task=task, source="bike_rentals", arguments=arguments, **parts)
