"""The column of a table that holds sentences, or names files, by what stands in it."""

import pytest

from kerastl.inputs import columns


@pytest.mark.parametrize(
    ("header", "rows", "found"),
    [
        (["id", "label", "body"], [["1", "pos", "a good film"], ["2", "neg", "no film at all"]], "body"),
        (["body"], [["good"], ["bad"]], "body"),
        (["body", "stars"], [["good", "5"], [None, "1"]], "body"),
        (["title", "body"], [["two words", "a text of far more words than its title"]], "body"),
    ],
)
def test_sentences_are_found_by_their_words(header, rows, found):
    assert columns.of_sentences(header, rows) == (found,)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (["one", "other"], [["a good film", "a bad film"]], r"2 such columns among one, other.$"),
        (["one", "other"], [["1", "2"]], r"--column NAME says which. Received: 0 such columns"),
        (["one"], [], "0 such columns"),
        (["What a film it was!"], [["and a good one"]], r"names of columns .* 'What a film it was!'.*text for example"),
    ],
)
def test_what_cannot_be_told_is_asked(header, rows, words):
    with pytest.raises(ValueError, match=words):
        columns.of_sentences(header, rows)


def test_files_are_found_by_their_endings():
    header, rows = ["name", "file"], [["tulip", "a.PNG "], ["rose.png", "b.jpg"], ["rose", None], ["rose", "c"]]
    assert columns.of_files(header, rows, endings=(".png", ".jpg")) == ("file",)
    with pytest.raises(ValueError, match=r"one column of paths of pictures; .*0 such columns among name, file"):
        columns.of_files(header, rows, endings=(".gif",))
