"""Occlusion: what an answer loses when a part of the example is covered. It asks for answers alone: of any file.

Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901, for patches of pictures; of texts a token at a time (Li et al.
2016, https://arxiv.org/abs/1612.08220).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Answer = Callable[[np.ndarray], np.ndarray]
"""Examples ``(examples, *shape)`` -> answers ``(examples, outputs)``."""


def picture(answer: Answer, picture: np.ndarray, place: int, *, patch: float = 0.2, stride: float = 0.1) -> np.ndarray:
    """How much of an answer each place of a picture holds up, float32 ``(height, width)``.

    Args:
        answer: of a model or a file.
        picture: uint8 ``(height, width, channels)``.
        place: of the output that is explained.
        patch: side of the square that is covered with the picture's mean colour, as a share of each side.
        stride: how far squares are apart, as a share of each side.

    Returns:
        What the output loses on average when a square over the place is covered; negative where it gains.
    """
    height, width = picture.shape[:2]
    rows, columns = (_starts(side, patch=patch, stride=stride) for side in (height, width))
    tall, wide = max(1, round(patch * height)), max(1, round(patch * width))
    mean = np.rint(picture.mean((0, 1))).astype(picture.dtype)
    covered = np.repeat(picture[None], len(rows) * len(columns) + 1, 0)
    corners = [(row, column) for row in rows for column in columns]
    for one, (row, column) in zip(covered[1:], corners, strict=True):
        one[row : row + tall, column : column + wide] = mean
    answers = np.asarray(answer(covered), np.float64)[:, place]
    lost, over = np.zeros((height, width)), np.zeros((height, width))
    for less, (row, column) in zip(answers[0] - answers[1:], corners, strict=True):
        lost[row : row + tall, column : column + wide] += less
        over[row : row + tall, column : column + wide] += 1
    return (lost / np.maximum(over, 1)).astype(np.float32)


def tokens(answer: Answer, ids: np.ndarray, place: int, *, words: Sequence[Sequence[int]], instead: int) -> np.ndarray:
    """How much of an answer each word of a text holds up, float32 ``(words,)``.

    Args:
        answer: of a model or a file, to token ids.
        ids: int32 ``(length,)``.
        place: of the output that is explained.
        words: places of the tokens of each word.
        instead: id of the token that stands for a word that is covered: ``[MASK]`` or ``[UNK]``.
    """
    covered = np.repeat(np.asarray(ids)[None], len(words) + 1, 0)
    for row, places in zip(covered[1:], words, strict=True):
        row[list(places)] = instead
    answers = np.asarray(answer(covered), np.float64)[:, place]
    return (answers[0] - answers[1:]).astype(np.float32)


def _starts(side: int, *, patch: float, stride: float) -> list[int]:
    """Where squares begin: from edge to edge, evenly."""
    last = side - max(1, round(patch * side))
    count = max(2, round(last / max(1.0, stride * side)) + 1)
    return sorted({round(one) for one in np.linspace(0, last, count)})
