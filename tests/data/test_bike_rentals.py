import csv

import numpy as np

from kerastl.data import bike_rentals


def test_the_hours_are_those_of_the_file_and_their_parts_do_not_go_in():
    data = bike_rentals.load()
    with bike_rentals.fetch().open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 8645
    assert (len(data.train), len(data.validation), len(data.test)) == (6224, 692, 1729)
    columns = data.task.inputs.columns
    assert not {"casual", "registered"} & {name.partition("=")[0] for name in columns}
    for split in (data.train, data.test):
        for place in range(0, len(split), 97):
            row = rows[int(split.origins[place].rpartition(":")[2]) - 2]
            given = dict(zip(columns, split.inputs[place], strict=True))
            assert split.labels[place, 0] == float(row["bikers"])
            np.testing.assert_allclose(given["hr"], float(row["hr"]))
            np.testing.assert_allclose(given["temp"], float(row["temp"]), rtol=1e-6)
            assert given[f"weathersit={row['weathersit']}"] == 1
            assert given[f"mnth={row['mnth']}"] == 1
    assert data.task.target.unit == "bikes"
    assert bike_rentals.load(**data.arguments).digest == data.digest
    small = bike_rentals.load(limit=500)
    assert len(small.train) == 500
