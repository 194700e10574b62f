"""Settings of one's own data: loaders know each of them, and nothing heavy is imported for them."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

from kerastl.data import image_folder, reading, sentence_tasks, table_csv, text_csv

RENAMED = {"on_unreadable": "policy", "max_train_examples": "limit", "evaluate_on_train": "measure_on_train"}
"""Settings that loaders have under other names."""


@pytest.mark.parametrize(
    ("kind", "load"),
    [
        (reading.PictureReading, image_folder.load),
        (reading.TextReading, text_csv.load),
        (reading.TextTasksReading, sentence_tasks.load),
        (reading.TableReading, table_csv.load),
    ],
)
def test_every_setting_is_an_argument_of_the_loader_with_its_default(kind, load):
    parameters = inspect.signature(load).parameters
    looked = 0
    for field in dataclasses.fields(kind):
        parameter = parameters[RENAMED.get(field.name, field.name)]
        # shares of recipes are their own, the names of classes stand in a file; what is to be known of a table has to
        # be said
        if field.name not in ("validation", "test", "class_names") and parameter.default is not parameter.empty:
            assert field.default == parameter.default, field.name
        looked += 1
    assert looked >= 8


@pytest.mark.parametrize("kind", [reading.PictureReading, reading.TextReading])
def test_one_column_of_labels_is_a_name_and_not_its_letters(kind):
    assert kind(label_columns="ab").label_columns == ("ab",)
    assert kind(label_columns=("a", "b")).label_columns == ("a", "b")


def test_settings_import_nothing():
    code = "import sys, kerastl.data.reading; print([n for n in ('numpy', 'keras', 'tensorflow') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
