"""Files changed as damage and malice change them: bytes, numbers in binary, JSON by its values, members of archives."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable

_NUMBERS = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    32767,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**64 - 1,
)
_ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), 0.5, "", "a", "\0", "../a"),
    *("/etc/passwd", "http://a/b", "a" * 5000, "\ud800", "é" * 300, [], {}, [[]], [None], {"": None}, [1] * 5000),
    *({"class_name": "Lambda", "config": {}}, {"class_name": "Dense", "config": {"units": 10**9}}),
)
_WORDS = (
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\xff\xfe",
    b"\0" * 64,
    b"\r\n",
    b'"',
    b",",
    b"nan",
    b"1e999",
    b"-" * 40,
    b"PK\x01\x02",
)


def mutated(content: bytes, random_: random.Random, *, other: bytes = b"", deep: bool = True) -> bytes:
    """One file made of another: by its structure where it has one that is known, else by its bytes.

    Args:
        content: of the sound file.
        random_: decides how.
        other: another sound file of the kind, parts of which may come in.
        deep: whether a structure is looked for, so that check sums stay right.
    """
    if deep and random_.random() < 0.6:
        for inside in random_.sample(_STRUCTURES, len(_STRUCTURES)):
            try:
                found = inside(content, random_, other)
            except Exception:
                continue
            if found is not None:
                return found
    made = bytearray(content)
    for _ in range(random_.choice((1, 1, 1, 2, 3, 8))):
        made = _changed(made, random_, other)
    return bytes(made)


def _changed(made: bytearray, random_: random.Random, other: bytes) -> bytearray:
    place = random_.randrange(len(made) + 1)
    if random_.random() < 0.3:  # headers stand at the ends
        place = random_.choice((random_.randrange(min(len(made), 64) + 1), max(len(made) - random_.randrange(64), 0)))
    end = min(place + random_.choice((1, 2, 4, 8, 64, 1000)), len(made))
    kind = random_.randrange(8)
    if kind == 0 and made:
        made[min(place, len(made) - 1)] ^= 1 << random_.randrange(8)
    elif kind == 1:
        made[place : place + 1] = bytes([random_.randrange(256)])
    elif kind == 2:
        width, order = random_.choice((1, 2, 4, 8)), random_.choice(("little", "big"))
        number = random_.choice(_NUMBERS) % 256**width
        made[place : place + width] = number.to_bytes(width, order)  # pyright: ignore[reportArgumentType]
    elif kind == 3:
        del made[place:]
    elif kind == 4:
        del made[place:end]
    elif kind == 5:
        made[place:place] = made[place:end] * random_.choice((1, 2, 50))
    elif kind == 6:
        made[place:end] = random_.choice(_WORDS)
    elif other:
        start = random_.randrange(len(other))
        made[place:end] = other[start : start + random_.choice((1, 8, 64, 1000))]
    return made


def _in_json(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    whole = json.loads(content)
    if not isinstance(whole, dict | list):
        return None
    for _ in range(random_.choice((1, 1, 2, 4))):
        places = list(_places(whole))
        if not places:
            break
        holder, key = random_.choice(places)
        kind = random_.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[random_.choice(("", "a", "class_name", "module", "config", str(key).upper()))] = holder[key]
        elif kind == 2:
            holder[key] = copy.deepcopy(random_.choice([one[other_key] for one, other_key in places]))
        elif kind == 3 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * random_.choice((-1, 0, 2, 10**6, 10**12)) + random_.choice((0, 1, 0.5))
        else:
            holder[key] = copy.deepcopy(random_.choice(_ODD))  # which a later change would change
    return json.dumps(whole).encode("utf-8", "surrogatepass")


def _places(whole):
    waiting, seen = [whole], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for key in list(one) if isinstance(one, dict) else range(len(one)):
            yield one, key
            if isinstance(one[key], dict | list):
                waiting.append(one[key])


def _in_zip(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(one, archive.read(one)) for one in archive.infolist()]
    if not members:
        return None
    chosen, made = random_.randrange(len(members)), io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, (info, inside) in enumerate(members):
            again = zipfile.ZipInfo(info.filename)
            again.compress_type = info.compress_type
            if number == chosen:
                inside = mutated(inside, random_, other=members[random_.randrange(len(members))][1])
                if random_.random() < 0.1:
                    again.filename = random_.choice(("", "/a", "../a", "a/../../b", "C:a", "a\\b", "x" * 300, "a.zip"))
            archive.writestr(again, inside)
    return made.getvalue()


def _in_tar(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive, tarfile.open(fileobj=made, mode="w") as out:
        members = archive.getmembers()
        chosen = random_.randrange(len(members))
        for number, member in enumerate(members):
            file = archive.extractfile(member)
            inside = file.read() if file else b""
            if number == chosen:
                member.name = random_.choice((member.name, "/a", "../a", "", "a" * 300, "a\0b"))
                member.type = (
                    random_.choice((member.type, *b"0123456789gxLK".split())) if random_.random() < 0.1 else member.type
                )
                member.linkname = random_.choice(("", "../../etc/passwd"))
                inside = mutated(inside, random_)
            member.size = len(inside)
            out.addfile(member, io.BytesIO(inside))
    return made.getvalue()


def _in_gzip(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    if content[:2] != b"\x1f\x8b":
        return None
    return gzip.compress(mutated(gzip.decompress(content), random_), 1, mtime=0)


def _in_png(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    """A chunk changed, with its check sum made right again."""
    if content[:4] != b"\x89PNG":
        return None
    chunks, place = [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    chosen, made = random_.randrange(len(chunks)), bytearray(content[:8])
    for number, (kind, inside) in enumerate(chunks):
        inside = mutated(inside, random_, deep=False) if number == chosen else inside
        made += len(inside).to_bytes(4, "big") + kind + inside + zlib.crc32(kind + inside).to_bytes(4, "big")
    return bytes(made)


def _with_header(content: bytes, random_: random.Random, other: bytes) -> bytes | None:
    """Safetensors: the length of the header made right again."""
    size = int.from_bytes(content[:8], "little")
    if size > len(content):
        return None
    header = _in_json(content[8 : 8 + size], random_, other)
    return None if header is None else len(header).to_bytes(8, "little") + header + content[8 + size :]


_STRUCTURES: tuple[Callable[[bytes, random.Random, bytes], bytes | None], ...] = (
    _in_json, _in_zip, _in_tar, _in_gzip, _in_png, _with_header,
)  # fmt: skip
