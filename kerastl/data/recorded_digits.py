"""Recorded digits: thirty recordings of "zero" to "nine" by three people, to test on and for nothing else.

They are the sounds of two packages of Debian, which are fetched and never shipped: a voice of Asterisk's telephone
announcements (Allison Smith, 8 kHz, CC BY-SA 3.0), and the American and the British voice of Tux Paint's stamps of
digits (GPL 2 or later). Three speakers are enough to see that a model trained on synthetic voices recognizes people at
all; a score of thirty recordings has an interval of ten points to either side, and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import spoken_words
from kerastl.system import downloads

_ANNOUNCEMENTS: Mapping[str, str] = {
    "0.wav": "62debe1daf11756460c0de78d0e1ac7fe28b12fb51a30df3364ce74b90f05d31",
    "1.wav": "fb38aca5558d50f7bd4d7986adeea19b97eba894c574fc92acc3b33b480eb701",
    "2.wav": "6ef0a6b67a1741e950c491ef664bbfb424b63fab314d616d6f0e467cc0838dee",
    "3.wav": "4ec0371d15f721c61be36fe6ca54d0de29d9b9a48062634969556c50ff81faed",
    "4.wav": "f1c007fbd2eefa235ea10260b79527b89b88f6d2182008e86221572ad92f204f",
    "5.wav": "412b4b7729a8bae7b2b13ad8af9f6989abba8a4b9d5fc1c499b13a3b986653a5",
    "6.wav": "89c80e3c120f90112159d911568d2ca4a13f369a864ee26e882802385fab2474",
    "7.wav": "125c9acb8b5b6549079233c922782bfdf585d8c438906467921329669c6939fe",
    "8.wav": "854114f9f3bb94d36490b2951957a662e75212648a5e2330f1f3c56184d30488",
    "9.wav": "535d4117923ad8bac20185eb0746b421479ddec4f4acd2329285096a573d6e34",
}
_STAMPS: Mapping[str, str] = {
    "0.ogg": "15d4ca07f320631063092f26d768fc1adf3f5408a97a71291bc3201772bf70a5",
    "1.ogg": "efd1ac946ae323fc93e4c5e427ea4ef86017bb42dbc20daff3119bc3ae764768",
    "2.ogg": "da29d9dd46860fe6812c1e5efab2b138ac4c0395f95966c67d25862810dd5b5e",
    "3.ogg": "d9b9eb83de72ee2217bc7f2f48d6cd0eb065d1b99d7fc95a865c52285ca58dfa",
    "4.ogg": "224437be8d930c71d50b349783822a2caa36cdaea363e8a2939719090efc52c4",
    "5.ogg": "984599b270adaaa0207921dabb00c5596ad07da3e2c834b8dfbe8207e19e27a6",
    "6.ogg": "4de790693509e94b85a7bdd0aeb773bd2d2bc5242cc9df0d113aad4992fce61a",
    "7.ogg": "d4a6c6d6e905ecd2f055ed9f902b63ce4925c4055b7c87ebfa286e93bebc3e3b",
    "8.ogg": "af7906ecc4dc93c495b82938f36482eb502e689a663f5e9fdb3294b1b6aa65dd",
    "9.ogg": "2206411a7eaaa1bb45d46e669a65773293ca056c30c24a3127001ae291ad120a",
    "0_en_GB.ogg": "b02d77fd1e3cad0bdf03583e22446cadb4445c10f6ffd23ae770721abfc21dc4",
    "1_en_GB.ogg": "0334c194d4685c2671ff01e689070915b1347364e1641ceedd40f89becc969ac",
    "2_en_GB.ogg": "8bf1e53615b0cca0946cc6ada2c427aa2241f3b9a13882e04ed64619b56dbcb3",
    "3_en_GB.ogg": "e071451d7ad7a78b0405230fa33291dbae151d720b37d1f1944bd60a97edd936",
    "4_en_GB.ogg": "90d8da4cff37be4230f72d439889c2dd93b18c38f60e7690b05ee4f8dd33dc5e",
    "5_en_GB.ogg": "bef738cf9601c6866d6075bb5c28169767f4defe144818dd34291f0acdecd109",
    "6_en_GB.ogg": "3854c2b8853b0d9c97c7156a571b186867b1706454d83d236f74ece4519b0a3a",
    "7_en_GB.ogg": "637e8d04fff1f9c6f6af2c7eb7871dcd6ae9ca41890cae773d083f60348ec9fa",
    "8_en_GB.ogg": "f0aa2e3f4fb8371b78bdc5308efe60a054888821347afcb4086ace3de61e60bf",
    "9_en_GB.ogg": "6f4500274921965e93055926d4bb486047f918bf4b6d57be24c868937bb395df",
}
"""File -> SHA-256; the digit is the first character of each name."""


def _files(of: str, folder: str, members: Mapping[str, str], **package: str) -> downloads.Files:
    inside = {f"{folder}/{file}": digest for file, digest in members.items()}
    way = downloads.Package(registry="debian", members=inside, **package)  # pyright: ignore[reportArgumentType]
    return downloads.Files(name=of, ways=(way,), sha256=members)


SPEAKERS: Mapping[str, downloads.Files] = {
    "asterisk": _files(
        "recorded_digits-asterisk",
        "usr/share/asterisk/sounds/en_US_f_Allison/digits",
        _ANNOUNCEMENTS,
        name="asterisk-core-sounds-en-wav",
        version="1.6.1-1",
        sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    ),
    "tuxpaint": _files(
        "recorded_digits-tuxpaint",
        "usr/share/tuxpaint/stamps/symbols/math",
        _STAMPS,
        name="tuxpaint-stamps-default",
        version="2022.06.04-1",
        sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    ),
}
"""Package -> its files; that of Tux Paint has two speakers."""


def fetch() -> Path:
    """Gets the recordings into the cache; the folder of the first package's. Raises as `downloads.fetch`."""
    folders = [next(iter(downloads.fetch(files).values())).parent for files in SPEAKERS.values()]
    return folders[0]


def as_test_split(task: types.Task) -> types.Split:
    """The thirty recordings as a split to test a task on, in the order of speakers and digits.

    Args:
        task: of recordings, whose classes have the words "zero" to "nine" among them, as `spoken_words.load` makes it.

    Returns:
        Inputs int16 ``(30, *task.inputs.shape)``, read as `predict` reads a file; labels int32; origins
        ``speaker/digit``, speakers being ``asterisk``, ``tuxpaint`` and ``tuxpaint_en_GB``.

    Raises:
        FileNotFoundError: as `downloads.fetch`.
        ValueError: the classes lack a digit.
    """
    names = list(task.target.names)
    if lacking := [word for word in spoken_words.DIGITS if word not in names]:
        raise ValueError(f"Wanted a task that has the ten digits. Received: {', '.join(names)}, without {lacking}.")
    found = []
    for package, files in SPEAKERS.items():
        for name, path in downloads.fetch(files).items():
            digit, _, accent = Path(name).stem.partition("_")
            found.append((f"{package}_{accent}" if accent else package, int(digit), path))
    found.sort()
    inputs = np.concatenate([task.inputs.read(str(path)) for _, _, path in found])
    labels = np.array([names.index(spoken_words.DIGITS[digit]) for _, digit, _ in found], np.int32)
    origins = np.array([f"{speaker}/{digit}" for speaker, digit, _ in found], object)
    return types.Split("test", inputs, labels, task, origins)
