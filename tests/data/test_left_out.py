"""One place says what cannot be used of a data set."""

from __future__ import annotations

import pytest

from kerastl.data import left_out

PROBLEMS = [f"row {number}: no label" for number in range(23)]


def test_nothing_wrong_is_nothing_said(capsys):
    left_out.refuse_or_tell([], skip=False, what="text")
    assert capsys.readouterr().err == ""


def test_what_is_wrong_is_refused_with_the_first_reasons_and_the_number_of_others():
    with pytest.raises(ValueError, match=r"^23 texts cannot be used; policy='skip' leaves them out:\n  row 0: no") as e:
        left_out.refuse_or_tell(PROBLEMS, skip=False, what="text")
    assert str(e.value).endswith("\n  row 19: no label\n  ... and 3 more")


def test_what_is_left_out_is_said_with_what_is_kept(capsys):
    left_out.refuse_or_tell(PROBLEMS[:2], skip=True, what="picture", where="photos", kept=7)
    left_out.refuse_or_tell(PROBLEMS[:1], skip=True, what="part", where="a.npz")
    told = capsys.readouterr().err
    assert "kerastl: 2 pictures of photos are left out, 7 are kept:\n  row 0: no label\n  row 1: no label\n" in told
    assert "kerastl: 1 part of a.npz is left out:\n  row 0" in told
