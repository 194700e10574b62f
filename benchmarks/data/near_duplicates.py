"""Planted duplicates of real pictures: how many are found, by kerastl and by a perceptual hash, side by side.

    python benchmarks/data/near_duplicates.py [--sets mnist cifar10 groceries] [--planted 300] [--limit 20000]

Test pictures are replaced by changed training pictures: the same bytes, encoded again as a JPEG, mirrored, moved, made
brighter. Found is a planted picture whose pair is the picture that it came from; another one that is as like counts as
missed. The hash is the common one of 64 bits: signs of the slow waves of the grey picture at 32 x 32 (Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1), alike within 10 bits; it takes the
nearest training picture. Beside each stands how many of as many test pictures as they were have a pair: what a set
resembles itself by. Asked of kerastl: 99 % of the exact and 90 % of the near ones.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from benchmarks.tools import results
from kerastl.data import near_duplicates

BITS = 10


def encoded(picture: Image.Image) -> Image.Image:
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=75)
    return Image.open(memory)


def moved(picture: Image.Image) -> Image.Image:
    """A tenth down and a fifteenth to the left; black comes in."""
    down, left = round(picture.height / 10), round(picture.width / 15)
    return picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, left, 0, 1, -down))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda picture: picture,
    "JPEG": encoded,
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "moved": moved,
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
}


def changed(pictures: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    grey = pictures.shape[-1] == 1
    images = [change(Image.fromarray(one[..., 0] if grey else one)) for one in pictures]
    return np.stack([np.asarray(image) for image in images]).reshape(pictures.shape)


def hashes(pictures: np.ndarray) -> np.ndarray:
    """``(examples, 64)``, of -1 and 1."""
    small = [Image.fromarray(one.squeeze()).convert("L").resize((32, 32), Image.Resampling.LANCZOS) for one in pictures]
    waves = dctn(np.stack([np.asarray(one, np.float32) for one in small]), axes=(1, 2))[:, :8, :8].reshape(-1, 64)
    return np.where(waves > np.median(waves, 1, keepdims=True), 1, -1).astype(np.float32)


def by_hash(first: np.ndarray, second: np.ndarray) -> dict[int, int]:
    """Picture of ``first`` -> the nearest of ``second``, where that is near enough."""
    alike = hashes(first) @ second.T  # 64 minus twice the bits that differ
    nearest = alike.argmax(1)
    return {row: int(index) for row, index in enumerate(nearest) if alike[row, index] >= 64 - 2 * BITS}


def measure(name: str, planted: int, limit: int) -> list[list]:
    source = importlib.import_module(f"kerastl.data.{name}")
    dataset = source.load(size=(96, 96)) if name == "groceries" else source.load(limit=limit)
    train, test = np.asarray(dataset.train.inputs), np.asarray(dataset.test.inputs)[:planted]
    draw = np.random.default_rng(0).choice(len(train), min(planted, len(train)), replace=False)
    index, known = near_duplicates.fingerprints(train), hashes(train)
    plain = (len(near_duplicates.between(test, index)), len(by_hash(test, known)))
    rows = []
    for change, function in CHANGES.items():
        pictures = changed(train[draw], function)
        ours = {pair.first: pair.second for pair in near_duplicates.between(pictures, index)}
        shares = [
            100 * float(np.mean([found.get(row) == origin for row, origin in enumerate(draw)]))
            for found in (ours, by_hash(pictures, known))
        ]
        rows.append([name, change, *shares, *(100 * count / len(test) for count in plain)])
    return rows


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["mnist", "cifar10", "groceries"])
    parser.add_argument("--planted", type=int, default=300)
    parser.add_argument("--limit", type=int, default=20_000, help="training pictures")
    options = parser.parse_args()
    columns = ("kerastl finds %", "hash finds %", "test pictures as they are, kerastl %", "hash %")
    table = results.Table(
        f"{options.planted} planted among {options.limit:,} training pictures at most",
        {"set": "{}", "planted": "{}"} | dict.fromkeys(columns, "{:.1f}"),
    )
    asked = {}
    for name in options.sets:
        for row in measure(name, options.planted, options.limit):
            table.add(*row)
            least = 99 if row[1] == "the same" else 90
            asked[f"{name}, {row[1]}: {row[2]:.1f} % found, at least {least} %"] = round(row[2], 1) >= least
    options.results.show(table, width=120)
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
