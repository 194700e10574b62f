import csv

import numpy as np

from kerastl.data import adult_census, group_columns


def test_people_are_those_of_the_file_and_groups_are_found_again():
    data = adult_census.load()
    with adult_census.fetch().open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 32561
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 32561
    assert data.task.target.names == ("<=50K", ">50K")
    columns = data.task.inputs.columns
    assert not {"fnlwgt", "education-num", "income-per-year"} & {name.partition("=")[0] for name in columns}
    sex = group_columns.of_split(data, data.test, column="sex")
    for place in range(0, len(data.test), 97):
        row = rows[int(data.test.origins[place].rpartition(":")[2]) - 2]
        given = dict(zip(columns, data.test.inputs[place], strict=True))
        assert data.task.target.names[data.test.labels[place]] == row["income-per-year"]
        assert given["age"] == float(row["age"])
        assert sex[place] == row["sex"]
        assert given[f"sex={row['sex']}"] == 1
    rich = {group: float(np.mean(data.test.labels[sex == group])) for group in ("Male", "Female")}
    assert abs(rich["Male"] - 0.31) < 0.02
    assert abs(rich["Female"] - 0.11) < 0.02
