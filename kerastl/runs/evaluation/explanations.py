"""Section: what the shipped file's answers come from, and whether its float model's come from the same."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from kerastl.evaluate.explanations import occlusion, permutation, rise
from kerastl.inputs import wordpiece
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs.evaluation import categories
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import ClassTarget, TokenTarget

_ROWS, _SIDE = 1000, 160


def measure(subject: Subject) -> dict[str, Any]:
    """Explanations of the surest mistakes of pictures and texts; of tables which columns count.

    Raises:
        NotMeasured: if none is wanted, or this kind of input is not explained.
    """
    kind, target = subject.task.inputs, subject.task.target
    if not subject.settings.explain:
        raise NotMeasured("--explain 0")
    if isinstance(kind, Numbers):
        return of_columns(subject, kind)
    if not isinstance(kind, Image | Text) or not isinstance(target, ClassTarget) or isinstance(target, TokenTarget):
        raise NotMeasured(
            f"classes of pictures and texts, and columns of tables, are explained; this takes {kind.kind}"
        )
    test = subject.dataset.test
    wrong = target.confidence(subject.answers(subject.chosen, test), test.labels)
    rows = np.argsort(-wrong, kind="stable")[: subject.settings.explain]
    few = test.subset(rows)
    examples: Any = few.inputs[:]  # pyright: ignore[reportArgumentType]
    given = np.asarray(subject.answers(subject.chosen, test))[rows]
    subject.say(f"{len(rows)} answers are explained")
    explain = of_pictures if isinstance(kind, Image) else of_texts
    found, shown = explain(subject, examples, given.argmax(-1))
    labels = [target.label_words(label) for label in np.asarray(few.labels)]
    said = [target.names[place] for place in given.argmax(-1)]
    for one, label, words in zip(shown, labels, said, strict=True):
        one |= {"label": label, "answer": words}
    if few.origins is not None:
        for one, origin in zip(shown, few.origins, strict=True):
            one["origin"] = str(origin)
    subject.pictures["explanations"] = shown
    return found


def of_pictures(
    subject: Subject, pictures: np.ndarray, places: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Occlusion and RISE through the file, occlusion through its float file; Grad-CAM and gradients of the model."""
    from kerastl.evaluate.explanations import sanity

    maps: dict[str, list[np.ndarray]] = {"occlusion, file": [], "RISE, file": []}
    answer = subject.answer_of(subject.chosen)
    for picture, place in zip(pictures, places, strict=True):
        maps["occlusion, file"].append(occlusion.picture(answer, picture, int(place)))
        maps["RISE, file"].append(rise.picture(answer, picture, int(place), seed=subject.settings.seed))
    found: dict[str, Any] = {"kind": "pictures", "explained": len(pictures)}
    if subject.reference not in (None, subject.chosen):
        other = subject.answer_of(str(subject.reference))
        maps["occlusion, float32"] = [
            occlusion.picture(other, picture, int(place)) for picture, place in zip(pictures, places, strict=True)
        ]
        pairs = zip(maps["occlusion, file"], maps["occlusion, float32"], strict=True)
        each = [sanity.correlation(one, two) for one, two in pairs]
        found["occlusion_correlations"] = [None if np.isnan(one) else one for one in each]
        known = [one for one in each if not np.isnan(one)]
        found["occlusion_correlation"] = float(np.mean(known)) if known else None
    if subject.raw_model is not None and isinstance(subject.task.target, SingleLabel):
        of_model, sane = _of_model(subject, pictures, places)
        maps |= of_model
        found["sanity"] = sane
    shown = [
        {"picture": _uri(picture), "maps": [(name, _overlay(picture, some[row])) for name, some in maps.items()]}
        for row, picture in enumerate(pictures)
    ]
    words = f"{len(pictures)} answers explained"
    if found.get("occlusion_correlation") is not None:
        words += f"; occlusion maps of the file and its float32 file correlate by {found['occlusion_correlation']:.3f}"
    return {**found, "words": words}, shown


def _of_model(
    subject: Subject, pictures: np.ndarray, places: np.ndarray
) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    """Grad-CAM, integrated gradients from black, SmoothGrad; how alike they are of a model with shuffled weights."""
    from kerastl.evaluate.explanations import grad_cam, integrated_gradients, sanity

    model: Any = subject.raw_model
    black = np.zeros(pictures.shape[1:], np.float32)
    integrated = integrated_gradients.explainer(model)
    maps, found = {}, {}
    try:
        cam: Any = grad_cam.explainer(model)
    except grad_cam.NoFeatureMaps:
        cam = None
    if cam is not None:
        maps["Grad-CAM, model"] = list(cam(pictures, places))
    whole = integrated(pictures, places, black)
    found["incomplete"] = float(whole.incomplete.max())
    maps["integrated gradients, model"] = list(np.abs(whole.values).sum(-1))
    smooth = integrated_gradients.smooth_grad(model, pictures, places, noise=0.15 * 255, seed=subject.settings.seed)
    maps["SmoothGrad, model"] = list(np.abs(smooth).sum(-1))
    with sanity.randomized(model, seed=subject.settings.seed):
        if cam is not None:
            shuffled = cam(pictures[:1], places[:1])[0]
            found["grad_cam_randomized"] = _known(sanity.rank_correlation(maps["Grad-CAM, model"][0], shuffled))
        again = integrated(pictures[:1], places[:1], black)
    lit = pictures[0] != 0  # a black pixel contributes nothing under any weights
    likeness = sanity.rank_correlation(whole.values[0][lit], again.values[0][lit])
    found["integrated_gradients_randomized"] = _known(likeness)
    return maps, found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def of_texts(subject: Subject, ids: np.ndarray, places: np.ndarray) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What each word holds up of the answer, through the file and through its float file."""
    from kerastl.evaluate.explanations import sanity

    kind: Any = subject.task.inputs
    known_as = [kind.vocabulary.index(one) for one in (wordpiece.MASK, wordpiece.UNKNOWN) if one in kind.vocabulary]
    instead = known_as[0] if known_as else 0
    shown, alike = [], []
    for one, place in zip(ids, places, strict=True):
        words, spans = kind.words(one), _spans(kind, one)
        files = [subject.chosen, *([subject.reference] if subject.reference not in (None, subject.chosen) else [])]
        values = [
            occlusion.tokens(subject.answer_of(str(name)), one, int(place), words=spans, instead=instead)
            for name in files
        ]
        alike += [sanity.correlation(*values)] if len(values) == 2 and len(words) > 2 else []
        most = max(float(np.abs(values[0]).max(initial=0)), 1e-9)
        pairs = zip((word.text for word in words), values[0].tolist(), strict=True)
        shown.append({"words": [(word, value, value / most) for word, value in pairs]})
    known = [one for one in alike if not np.isnan(one)]
    found: dict[str, Any] = {"kind": "texts", "explained": len(ids)}
    found["occlusion_correlation"] = float(np.mean(known)) if known else None
    words = f"{len(ids)} answers explained"
    if known:
        words += f"; words count alike in the file and its float32 file: correlation {np.mean(known):.3f}"
    return {**found, "words": words}, shown


def _spans(kind: Text, ids: np.ndarray) -> list[list[int]]:
    """The places of each word's tokens, without those that begin and end a text."""
    special = (wordpiece.START, wordpiece.END, wordpiece.PAD)
    marks = {kind.vocabulary.index(one) for one in special if one in kind.vocabulary}
    starts = [word.token for word in kind.words(ids)]
    ends = [*starts[1:], len(ids)]
    return [[p for p in range(first, end) if int(ids[p]) not in marks] for first, end in zip(starts, ends, strict=True)]


def of_columns(subject: Subject, kind: Numbers) -> dict[str, Any]:
    """Permutation importance through the file, and integrated gradients of the model, by the table's columns."""
    few, target = subject.dataset.test.take(_ROWS), subject.task.target
    examples: Any = few.inputs[:]  # pyright: ignore[reportArgumentType]
    sign = 1 if target.higher_is_better else -1
    columns = categories.of(kind)
    subject.say(f"{len(columns)} columns are dealt to other rows")
    found = permutation.importance(
        subject.answer_of(subject.chosen),
        examples,
        lambda answers: sign * target.score(answers, few.labels).value,
        columns=columns,
        repeats=3,
        seed=subject.settings.seed,
    )
    gradients = _column_gradients(subject, examples[:200], columns)
    rows = [
        {"column": name, "importance": mean, "spread": spread, "integrated_gradients": gradients.get(name)}
        for name, (mean, spread) in found.items()
    ]
    most = ", ".join(f"{row['column']} ({row['importance']:.3g})" for row in rows[:3])
    return {"kind": "table", "explained": len(few), "columns": rows, "words": f"what counts most: {most}"}


def _column_gradients(subject: Subject, rows: np.ndarray, columns: dict[str, list[int]]) -> dict[str, float]:
    """Mean size of each column's contribution to the answered output, from the mean of the training rows."""
    if subject.raw_model is None or len(subject.raw_model.outputs) > 1:  # whose answered output is none of them
        return {}
    from kerastl.evaluate.explanations import integrated_gradients

    kind: Any = subject.task.inputs
    answers = np.asarray(subject.raw_model(rows, training=False))
    places = answers.argmax(-1) if answers.shape[-1] > 1 else np.zeros(len(rows), int)
    baseline = np.broadcast_to(np.asarray(kind.mean, np.float32), rows.shape[1:])
    found = integrated_gradients.explainer(subject.raw_model, tolerance=0.05)(rows, places, baseline)
    values = found.values.reshape(len(rows), -1, found.values.shape[-1]).sum(1)
    return {name: float(np.abs(values[:, some].sum(-1)).mean()) for name, some in columns.items()}


def _uri(picture: np.ndarray) -> str:
    from PIL import Image as Pillow

    shown = picture[..., :3] if picture.shape[-1] >= 3 else picture[..., 0]
    large = Pillow.fromarray(shown)
    how = Pillow.Resampling.NEAREST if large.width < _SIDE else Pillow.Resampling.BILINEAR
    large = large.resize((_SIDE, _SIDE), how)
    with io.BytesIO() as sink:
        large.save(sink, "JPEG", quality=85)
        return "data:image/jpeg;base64," + base64.b64encode(sink.getvalue()).decode()


def _overlay(picture: np.ndarray, values: np.ndarray) -> str:
    """The picture in grey under a map: orange for what speaks for the answer, blue for what speaks against it."""
    from kerastl.evaluate.corruptions import pictures

    grey = picture.mean(-1, keepdims=True).repeat(3, -1) * 0.6 + 40
    most = max(float(np.abs(values).max()), 1e-12)
    share = np.clip(values / most, -1, 1)[..., None]
    colour = np.where(share > 0, np.array([255, 120, 30.0]), np.array([40, 110, 255.0]))
    mixed = grey * (1 - 0.75 * np.abs(share)) + colour * 0.75 * np.abs(share)
    large = pictures.resized(mixed[None], (_SIDE, _SIDE))[0] if picture.shape[0] < _SIDE else mixed
    return _uri(np.clip(large, 0, 255).astype(np.uint8))
