"""`verify` and `predict`: what a finished run claims, and what its file answers."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerastl.system import near_names

if TYPE_CHECKING:
    import numpy as np

    from kerastl import types
    from kerastl.untrusted import tflite_file

_LARGEST_VOCABULARY, _LONGEST_TEXT = 50_000_000, 100_000
"""Bytes, and tokens: of a bundle that may be anybody's."""


def verify(*, folder: str) -> int:
    """Measures a run again: digests of all its files, then every file's scores on the data it names.

    Returns:
        0 if nothing differs to the last digit, else 1, with every difference printed.

    Raises:
        FileNotFoundError: the folder holds no finished run.
        ValueError: its data cannot be loaded again, or its JSON files are not as a run writes them.
    """
    root = Path(folder)
    try:
        return _verify(root)
    except (KeyError, TypeError, AttributeError) as error:  # they may be anybody's, or damaged in the name of a field
        raise ValueError(
            f"report.json, config.json or files.json of {root} is not as a run writes it: {error!r}."
        ) from error


def _verify(root: Path) -> int:
    import kerastl

    report, config = _read(root / "report.json"), _read(root / "config.json")
    differences = _digests(root, report)
    print(f"digests: {'as stated' if not differences else f'{len(differences)} differ'}", file=sys.stderr)
    try:
        dataset = _load_data(config)
    except Exception:
        for difference in differences:  # what was found is said all the same
            print(f"differs: {difference}")
        raise
    for place, stated in (("config.json", config["data"]["digest"]), ("report.json", report["data"]["digest"])):
        if dataset.digest != stated:
            differences.append(f"data: {place} states digest {stated}, loaded {dataset.digest}")
    rows = {row["name"]: row for row in report["variants"]}
    chosen = rows.get(report["chosen"])
    bundle = root / "mobile" / "model.tflite"
    with kerastl.untrusted.tflite_file.SandboxedModel() as reader:  # whoever wrote the files wrote their digests too
        for name, row in rows.items():
            differences += _scores(reader, _inside(root, row["file"]), row, dataset, name=name)
        if chosen is None or not bundle.is_file():
            differences.append(f"mobile/: holds no model.tflite of the chosen variant {report['chosen']!r}")
        else:
            differences += _scores(reader, bundle, chosen, dataset, name="mobile/model.tflite")
            if (found := kerastl.system.digests.of_file(bundle)) != chosen["sha256"]:
                differences.append(f"mobile/model.tflite: the chosen file has SHA-256 {chosen['sha256']}, this {found}")
            if _labels(bundle.parent) != list(dataset.task.class_names):
                differences.append("mobile/labels.txt: its lines are not the class names in the model's order")
            if dataset.task.vocabulary and _vocabulary(bundle.parent) != dataset.task.vocabulary:
                differences.append("mobile/vocab.txt: its lines are not the tokens that the model was trained with")
    for difference in differences:
        print(f"differs: {difference}")
    if not differences:
        print(f"verified: {len(rows)} files and the bundle give exactly the scores they state")
    return 1 if differences else 0


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no finished run: {path.name} is missing.")
    return json.loads(path.read_text(encoding="utf-8"))


def _inside(root: Path, name: str) -> Path:
    """A file of a run that may be anybody's: its own JSON names it, and it lies in the run's folder."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{root} names the file {name!r}, which lies outside of it: nothing there is read.")
    return path


def _digests(root: Path, report: dict[str, Any]) -> list[str]:
    """Files whose bytes are not those that `files.json` and `report.json` state, and files that neither knows."""
    from kerastl.system import digests

    pinned = _read(root / "files.json")
    stated = {("files.json", name): digest for name, digest in pinned.items()}
    stated |= {("report.json", row["file"]): row["sha256"] for row in report["variants"]}
    there = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    differences = [
        f"{name.as_posix()}: not named in files.json"
        for name in there
        if name.as_posix() not in {*pinned, "files.json"} and not any(part.startswith(".") for part in name.parts)
    ]
    for (place, name), digest in stated.items():
        path = _inside(root, name)
        if not path.is_file():
            if not name.startswith(("stages/", "logs/", "answers/")):  # these may be deleted, to make room
                differences.append(f"{name}: named in {place}, but missing")
        elif (found := digests.of_file(path)) != digest:
            differences.append(f"{name}: {place} states SHA-256 {digest}, found {found}")
    return differences


def _load_data(config: dict[str, Any]) -> types.Dataset:
    import kerastl

    data = config.get("data")
    if not data:
        raise ValueError("config.json names no data set: the run ended before it had loaded one.")
    source, arguments = str(data.get("source")), data.get("arguments")
    try:
        load = getattr(getattr(kerastl.data, source), "load", None) if source in kerastl.data.__all__ else None
    except ModuleNotFoundError as error:
        error.add_note(f"No score was measured again: the data come from kerastl.data.{source}, which needs it.")
        raise
    if load is None:
        hint = near_names.did_you_mean(source, kerastl.data.__all__)
        raise ValueError(f"kerastl.data has no source {source!r}, which config.json names.{hint}")
    try:
        inspect.signature(load).bind(**arguments)
    except TypeError as error:  # it may be anybody's
        raise ValueError(f"kerastl.data.{source} is not loaded with what config.json says: {error}.") from error
    return load(**arguments)


def _scores(
    reader: tflite_file.SandboxedModel, path: Path, row: dict[str, Any], dataset: types.Dataset, *, name: str
) -> list[str]:
    """Where a file's scores on validation and test are not the stated ones, to the last digit."""
    import kerastl

    if not path.is_file():
        return []  # the digests have said so
    differences = []
    for split, keys in (
        (dataset.validation, {"validation_score": "value"}),
        (dataset.test, {"score": "value", "score_low": "low", "score_high": "high"}),
    ):
        found = kerastl.verify.score(reader.run(path, split.inputs), split.labels)
        for key, attribute in keys.items():
            if getattr(found, attribute) != row[key]:
                differences.append(f"{name}: {key} stated {row[key]!r}, measured {getattr(found, attribute)!r}")
        print(f"{name}: {found.value:.4%} on {split.name}", file=sys.stderr)
    return differences


def _labels(folder: Path) -> list[str]:
    path = _inside(folder, "labels.txt")  # a link would print any file's lines
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no labels.txt, which names the model's outputs.")
    return path.read_text(encoding="utf-8").splitlines()


def _vocabulary(folder: Path) -> tuple[str, ...]:
    from kerastl.inputs import wordpiece

    path = _inside(folder, "vocab.txt")
    if not path.is_file() or path.stat().st_size > _LARGEST_VOCABULARY:
        raise ValueError(
            f"{folder} holds no vocab.txt of at most {_LARGEST_VOCABULARY:,} bytes, without which its model reads no "
            "text."
        )
    return wordpiece.read_vocabulary(path.read_text(encoding="utf-8"))


def predict(*, folder: str, inputs: list[str], as_json: bool) -> int:
    """Prints the exported file's answers, to files of pictures or arrays, or to sentences where it reads text.

    A bundle's ``tokenizer.py`` may be anybody's and is never run: its ``vocab.txt`` goes into kerastl's own tokenizer.

    Raises:
        FileNotFoundError: no bundle in the folder, or no such input.
        ValueError: an input that does not fit the file.
    """
    import kerastl

    bundle = Path(folder) / "mobile" if (Path(folder) / "mobile").is_dir() else Path(folder)
    model = bundle / "model.tflite"
    if not model.is_file():
        raise FileNotFoundError(f"{folder} holds no bundle: mobile/model.tflite is missing. Has the run finished?")
    labels = _labels(bundle)
    answers = []
    with kerastl.untrusted.tflite_file.SandboxedModel() as reader:  # a bundle may be anybody's
        tensor, threshold = reader.facts(model).input, reader.score_threshold(model)
        read_text = _reader_of_text(bundle, tensor) if tensor.dtype == "int32" else None
        for name in inputs:
            examples = read_text(name) if read_text else read_input(Path(name), tensor)
            for index, row in enumerate(reader.run(model, examples)):
                if len(row) != len(labels):
                    raise ValueError(
                        f"labels.txt names {len(labels)} classes, and the model answers {len(row)}: {bundle}."
                    )
                shown = _shortened(name) if len(examples) == 1 else f"{name}[{index}]"
                answers.append({"input": shown, **_answer(row, labels, threshold)})
    if as_json:
        print(json.dumps(answers, indent=2))
        return 0
    shown = kerastl.untrusted.tflite_file.printable
    for answer in answers:
        by_label = ((shown(label), p) for label, p in answer["probabilities"].items())
        ranked = sorted(by_label, key=lambda pair: -pair[1])
        count = len(answer["labels"]) if "labels" in answer else 1
        said = f"{shown(answer['label'])} {answer['probability']:.1%}" if "label" in answer else _ranks(ranked[:count])
        others = _ranks(ranked[count : count + 2])
        print(f"{answer['input']}: {said or 'none'}" + (f" (then {others})" if others else ""))
    return 0


def _answer(row: np.ndarray, labels: list[str], threshold: float | None) -> dict[str, Any]:
    """What a file says of one example: its class; or with a threshold all its classes, which may be none."""
    probabilities = {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)}
    if threshold is not None:
        found = [label for label, p in zip(labels, row, strict=True) if p >= threshold]
        return {"labels": found, "probabilities": probabilities}
    best = int(row.argmax())
    return {"label": labels[best], "probability": round(float(row[best]), 6), "probabilities": probabilities}


def _ranks(pairs: list[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {p:.1%}" for label, p in pairs)


def _reader_of_text(bundle: Path, tensor: types.Tensor) -> Callable[[str], np.ndarray]:
    """From a sentence to a batch of token ids for a file; what ends in ``.npy`` and is a file holds the ids itself."""
    import numpy as np

    from kerastl.inputs import wordpiece

    if len(tensor.shape) != 2 or not 3 <= tensor.shape[1] <= _LONGEST_TEXT:
        raise ValueError(f"A model of texts takes int32 (1, sequence_length). Received: {tensor.shape}.")
    tokenizer = wordpiece.Tokenizer(_vocabulary(bundle))

    def read(sentence: str) -> np.ndarray:
        if sentence.endswith(".npy") and Path(sentence).is_file():
            return read_input(Path(sentence), tensor)
        return np.asarray([tokenizer.encode(sentence, tensor.shape[1])], np.int32)

    return read


def _shortened(name: str) -> str:
    """An input as it is named in an answer: a sentence of a book's length need not be printed again."""
    return name if len(name) <= 300 else f"{name[:297]}..."


def read_input(path: Path, tensor: types.Tensor) -> np.ndarray:
    """An input file as a batch for a TFLite file: raw pixels 0..255, `(examples, height, width, channels)`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it does not fit the file's input, or holds values that are no raw pixels.
    """
    import numpy as np

    if not path.is_file():
        raise FileNotFoundError(f"There is no input file {path}.")
    shape = tuple(tensor.shape[1:])
    if path.suffix.lower() != ".npy":
        if len(shape) != 3:
            raise ValueError(f"This file takes arrays of shape {shape}, given as .npy. Received: {path}.")
        from kerastl.inputs import pictures

        try:
            return pictures.read(path, channels=shape[2], size=(shape[0], shape[1])).pixels[None]
        except pictures.PictureError as error:
            raise ValueError(f"{path} is no picture that can be read: {error}.") from error
    from kerastl.data import array_file

    try:
        array = array_file.read_npy(path)
    except array_file.ArrayFileError as error:
        raise ValueError(f"{path} is no array that can be read: {error}.") from error
    if array.dtype.kind not in "buif":
        raise ValueError(f"Wanted numbers. Received: {path} of {array.dtype}.")
    if array.shape == shape or (shape[-1:] == (1,) and array.shape == shape[:-1]):
        array = array.reshape(1, *shape)
    elif shape[-1:] == (1,) and array.ndim == len(shape) and array.shape[1:] == shape[:-1]:
        array = array[..., None]
    if array.shape[1:] != shape or not len(array):
        raise ValueError(f"This file takes arrays of shape {shape}, one or a batch. Received: {path} of {array.shape}.")
    if len(shape) != 3:
        return array.astype(tensor.dtype)
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
        raise ValueError(f"Pictures are raw pixels 0..255. Received: {path} from {array.min()} to {array.max()}.")
    if array.dtype.kind == "f" and 0 < array.max() <= 1:
        raise ValueError(f"Pictures are raw pixels 0..255, not scaled to 0..1. Received: {path} up to {array.max()}.")
    return np.rint(array).astype(np.uint8) if tensor.dtype == "uint8" else array.astype(np.float32)
