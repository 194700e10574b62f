"""Pictures with a mask beside each: PNG files whose pixels are numbers of classes, as labelling tools export them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from kerastl import types
from kerastl.data import splits
from kerastl.inputs import pictures
from kerastl.inputs.image import Image
from kerastl.tasks.segmentation import IGNORED, Segmentation

PICTURES, MASKS, CLASSES = "images", "masks", "classes.txt"


def load(
    path: str | Path,
    *,
    size: int = 128,
    seed: int = 0,
    validation: int | float = 0.1,
    test: int | float = 0.15,
    limit: int | None = None,
) -> types.Dataset:
    """Pictures of ``images/`` with the masks of ``masks/``, which have the same name and end in ``.png``.

    Args:
        path: a folder with both, and maybe ``classes.txt``, a name a line in the order of their numbers; without it
            classes are called by their numbers. 255 in a mask is a pixel that nothing is asked of.
        size: side that both are brought to: pictures with averaging, masks by the nearest pixel.
        seed, validation, limit: see `splits.dataset`.
        test: how many pictures, or what share, are held out to measure on.

    Raises:
        FileNotFoundError: there is no such folder, or a picture without a mask; the first of them is named.
        ValueError: a mask is no picture of numbers, is of another size than its picture, or has a number beyond the
            names; or no such split can be made.
    """
    folder = Path(path)
    images, masks = folder / PICTURES, folder / MASKS
    if not images.is_dir() or not masks.is_dir():
        raise FileNotFoundError(f"Wanted a folder with {PICTURES}/ and {MASKS}/. Received: {folder}.")
    files = [file for file in sorted(images.iterdir()) if file.suffix.lower() in pictures.ENDINGS]
    lacking = [file.name for file in files if not (masks / f"{file.stem}.png").is_file()]
    if not files or lacking:
        raise FileNotFoundError(
            f"Wanted a mask in {masks} for every picture, NAME.png. Received: {len(files)} pictures, {len(lacking)} of "
            f"them without one{f', {lacking[0]} the first' if lacking else ''}."
        )
    inputs = np.stack([pictures.read(file, size=(size, size)).pixels for file in files])
    labels = np.stack([_mask(masks / f"{file.stem}.png", file, size) for file in files])
    largest = int(labels[labels != IGNORED].max(initial=0))
    named = folder / CLASSES
    names = named.read_text("utf-8").split("\n") if named.is_file() else map(str, range(max(largest + 1, 2)))
    target = Segmentation(tuple(name.strip() for name in names if name.strip()))
    held, rest = splits.divided(target.strata(labels), validation=test, seed=seed)[::-1]
    arrays = {}
    for name, rows in (("train", rest), ("test", held)):
        arrays |= {f"{name}_inputs": inputs[rows], f"{name}_labels": labels[rows]}
        arrays[f"{name}_origins"] = np.array([files[row].name for row in rows])
    return splits.dataset(
        types.Task(folder.resolve().name, Image((size, size, 3)), target),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="mask_folder",
        arguments={"path": str(path), "size": size, "test": test},
    )


def _mask(path: Path, picture: Path, size: int) -> np.ndarray:
    """The numbers of a mask at the wanted size, uint8 ``(size, size)``."""
    try:
        with PIL.Image.open(path, formats=["PNG"]) as opened, PIL.Image.open(picture) as beside:
            if opened.mode not in ("L", "P", "1") or opened.width * opened.height > pictures.LARGEST:
                raise ValueError(
                    f"Wanted a mask of one number a pixel (grey, or with a palette). Received: {path} of "
                    f"{opened.mode}; a colour a class has to become a number a class first."
                )
            if opened.size != beside.size:
                raise ValueError(
                    f"Wanted a mask as large as its picture {beside.size}. Received: {path} {opened.size}."
                )
            numbers = opened.convert("L") if opened.mode == "1" else opened
            found = np.asarray(numbers.resize((size, size), PIL.Image.Resampling.NEAREST), np.uint8)
            return found // 255 if opened.mode == "1" else found
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is no PNG that can be read: {error}.") from error
