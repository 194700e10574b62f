from __future__ import annotations

import pytest

from kerastl.data import text_kinds
from kerastl.data.tables.table import Layout

TAGGED = "-DOCSTART- -X- O\n\nPeter NNP B-PER\nBlackburn NNP I-PER\n\nrejects V O\n"
LINES = "a film\nanother film: it was B-rated\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.conll", TAGGED, "tagged"),
        ("a.txt", TAGGED, "tagged"),
        ("a.iob", "no O\nspan O\n", "tagged"),
        ("a.txt", "no O\nspan O\n", "unlabelled"),  # lines that end with a letter
        ("a.conll", LINES, None),
        ("a.txt", LINES, "unlabelled"),
        ("a.txt", "good\ta film\n", None),
        ("a.txt", "__label__good a film\n", None),
        ("a.csv", "text\na film\nanother film\n", "unlabelled"),
        ("a.csv", "text,label\na film,good\n", None),
        ("a.tsv", "text\tlabel\na film\tO\n", None),
    ],
)
def test_files_that_ask_for_no_class(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content)
    assert text_kinds.other_than_classes(tmp_path / name) == kind


def test_a_folder_is_tagged_by_its_train_file(tmp_path):
    (tmp_path / "dev.conll").write_text(TAGGED)
    assert text_kinds.other_than_classes(tmp_path) is None
    (tmp_path / "train.conll").write_text(TAGGED)
    assert text_kinds.other_than_classes(tmp_path) == "tagged"


def test_who_says_what_stands_between_has_labels(tmp_path):
    (tmp_path / "a.txt").write_text("good;a film\n")
    assert text_kinds.other_than_classes(tmp_path / "a.txt", Layout(delimiter=";")) is None
