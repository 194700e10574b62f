from __future__ import annotations

from kerastl.inputs.text import Text
from kerastl.runs.label_doubts import Doubt, Doubts, Example
from kerastl.runs.page import doubts

KIND = Text(8, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good"))


def found(count: int) -> Doubts:
    some = [Doubt(Example(f"line {n}", "ham", text=f"<i>text {n}"), "spam", 0.1, 0.9) for n in range(count)]
    return Doubts("set.csv", "mine", tuple(some), 9000, {}, ("ham", "spam"))


def test_a_page_shows_one_after_the_other_and_says_where_all_are():
    page = doubts.render(found(doubts.SHOWN + 1), KIND)
    assert page.count("<article") == doubts.SHOWN
    assert page.count(" hidden>") == doubts.SHOWN - 1
    assert f"this page shows {doubts.SHOWN}" in page
    assert "&lt;i&gt;text 0" in page
    assert "is labelled <b>ham</b> (10.0%); the run says <b>spam</b> (90.0%)" in page


def test_none_is_said():
    page = doubts.render(found(0), KIND)
    assert "No label looks wrong." in page
    assert "<script" not in page
