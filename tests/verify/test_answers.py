from __future__ import annotations

import subprocess
import sys

import numpy as np

from kerastl.verify import answers

TABLE = np.arange(6.0).reshape(3, 2)


def test_answers_of_one_output_and_of_several():
    several = {"one": TABLE, "other": TABLE[:, 0]}
    assert answers.count_of(TABLE) == answers.count_of(several) == 3
    np.testing.assert_array_equal(answers.row_of(TABLE, 1), [2.0, 3.0])
    assert {name: row.tolist() for name, row in answers.row_of(several, 1).items()} == {"one": [2.0, 3.0], "other": 2.0}
    np.testing.assert_array_equal(answers.concatenated([TABLE[:1], TABLE[1:]]), TABLE)
    again = answers.concatenated([{name: part[:2] for name, part in several.items()}, {"one": TABLE[2:], "other": [4]}])
    assert list(again) == ["one", "other"]
    for name, table in several.items():
        np.testing.assert_array_equal(again[name], table)


def test_the_runtime_is_not_loaded_for_them():
    code = "import sys, kerastl.verify.answers; print([name for name in sys.modules if name.startswith('ai_edge')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
