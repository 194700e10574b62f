"""Zip archives of strangers are judged by their directory, and end in their members or in words."""

import contextlib
import io
import os
import zipfile

import pytest

from kerastl.system import bounded_zip


def archive(*members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_come_back(compression, tmp_path):
    content = archive(("a", b"one"), ("b/c", b"two" * 1000), compression=compression)
    (tmp_path / "some.zip").write_bytes(content)
    assert bounded_zip.is_zip(tmp_path / "some.zip")
    for source in (content, tmp_path / "some.zip"):
        with bounded_zip.opened(source) as opened:
            assert bounded_zip.read(opened, "b/c") == b"two" * 1000
            assert bounded_zip.read(opened, opened.infolist()[0]) == b"one"


def test_what_unpacks_too_far_is_refused_before_it_does():
    with (
        pytest.raises(bounded_zip.ZipError, match="more than 200 times"),
        bounded_zip.opened(archive(*[(str(number), bytes(9_000_000)) for number in range(3)])),
    ):
        raise AssertionError
    large = archive(("zeros", bytes(20_000_000)), ("noise", os.urandom(200_000)))  # not together, but one of them
    with (
        bounded_zip.opened(large) as opened,
        pytest.raises(bounded_zip.ZipError, match=r"'zeros' has .* more than 200 times"),
    ):
        bounded_zip.read(opened, "zeros")
    with bounded_zip.opened(archive(("zeros", bytes(9_000_000)))) as opened:  # of little no ratio is suspicious
        assert len(bounded_zip.read(opened, "zeros")) == 9_000_000


def test_every_byte_of_damage_is_said_in_words():
    """Each byte of an archive of each compression changed to each of some values; a member may stay what it was."""
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        content = archive(("member", b"content"), compression=compression)
        for place in range(len(content)):
            for value in (0, 1, 20, 255):
                mutant = bytes([*content[:place], value, *content[place + 1 :]])
                with contextlib.suppress(bounded_zip.ZipError), bounded_zip.opened(mutant) as opened:
                    for member in opened.infolist():
                        bounded_zip.read(opened, member)


def test_a_member_without_a_name_is_refused():
    named = archive(("a", b"one"), ("name", b"two"))
    nameless = named[: named.rindex(b"PK\1\2")] + named[named.rindex(b"PK\1\2") :].replace(b"name", b"", 1)
    content = bytearray(nameless)
    start = content.rindex(b"PK\1\2")
    content[start + 28 : start + 30] = bytes(2)  # the length of the name
    end = content.rindex(b"PK\5\6")
    size = int.from_bytes(content[end + 12 : end + 16], "little") - 4
    content[end + 12 : end + 16] = size.to_bytes(4, "little")
    with pytest.raises(bounded_zip.ZipError, match="without a name"), bounded_zip.opened(bytes(content)):
        raise AssertionError


def test_no_such_member_is_said_in_words():
    with bounded_zip.opened(archive()) as opened, pytest.raises(bounded_zip.ZipError, match="'a' cannot be read"):
        bounded_zip.read(opened, "a")


def test_a_pipe_is_no_zip_and_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not bounded_zip.is_zip(tmp_path / "pipe")
