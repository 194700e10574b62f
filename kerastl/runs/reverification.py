"""A finished run measured again: are its files those that it wrote, and do they score what it says?"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import kerastl
from kerastl import data
from kerastl.export import phone, phone_sentencepiece
from kerastl.inputs import sentencepiece
from kerastl.inputs.text import Text
from kerastl.runs import differences, enrolling, remeasured, run_folder, selective
from kerastl.system import digests, downloads, near_names, output
from kerastl.tasks import embedding
from kerastl.tasks.agreement import Agreement
from kerastl.types import Dataset
from kerastl.untrusted import tflite_file

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

_VALIDATION = {"validation_score": "value"}
_TEST = {"score": "value", "score_low": "low", "score_high": "high"}
"""Key of a variant in the report -> which part of the score it is."""
_MAY_BE_DELETED = ("stages/", "logs/", "answers/")
"""Folders that a run needs to go on, and nobody needs to use what it made."""
_NOT_COMPARED = {
    "report.html": "its plots, pictures and training curves",
    "config.json": "the hour of the run, and its settings, of which seed and accept alone are used here",
    "evaluation.json, evaluation.html": "their digests alone; `kerastl evaluate` measures again",
    "saved_model/, logs/, stages/": "their digests alone, and of logs/run.log not even that",
}
"""What a run states besides `report.json` and is not made again -> what of it."""
_LARGEST = {"size": 4096, "channels": 16, "sequence_length": 65_536, "vocabulary_size": 10_000_000}
"""Most that a run may ask for of what data are brought to: memory is taken for it."""


class Verified(NamedTuple):
    """What came of measuring a run again.

    Attributes:
        differences: everything in which it is not what it states, in words.
        unmeasured: what it states and nobody measured, and why.
        measured: names of what was looked at: files of the run, and ``"data"``.
        differing: those of them that differ.
        made_by: that another version of kerastl made the run, in a sentence; empty where this one did.
    """

    differences: tuple[str, ...]
    unmeasured: Mapping[str, str]
    measured: frozenset[str] = frozenset()
    differing: frozenset[str] = frozenset()
    made_by: str = ""


def verify(
    run: FinishedRun,
    *,
    dataset: Dataset | None = None,
    source: ModuleType | None = None,
    path: Path | str | None = None,
    download: bool = False,
    progress: bool = True,
) -> Verified:
    """Measures a run again, see `FinishedRun.verify` for the arguments, and says what it could not measure.

    Args:
        source: a module of one's own with the function ``load`` that the data came from.
    """
    try:
        with contextlib.nullcontext() if download else downloads.offline():
            load = functools.partial(dataset_of, run, source=source, path=path) if dataset is None else lambda: dataset
            return _verified(run, load=load, progress=progress)
    except (KeyError, TypeError, AttributeError, IndexError) as error:  # anybody's, or damaged in the name of a field
        made_by = f" {_made_by(run.config)}".rstrip()
        raise ValueError(
            f"report.json, config.json or files.json of {run.folder} is not as a run writes it: {error!r}.{made_by}"
        ) from error


def _verified(run: FinishedRun, *, load: Callable[[], Dataset], progress: bool) -> Verified:
    from kerastl.runs import finished

    root, report, config = run.folder, run.report, run.config
    found = _files(run)
    if progress:
        print(f"digests: {'as stated' if not found else f'{len(found)} differ'}", file=sys.stderr)
    try:
        dataset = load()
    except Exception as error:
        for difference in found:  # what was found is said all the same
            error.add_note(f"differs: {difference}")
        raise
    for place, stated in (("config.json", config["data"]["digest"]), ("report.json", report["data"]["digest"])):
        if dataset.digest != stated:
            found.append(f"data: {place} states digest {stated}, loaded {dataset.digest}")
    found += _config(config, dataset)
    with tflite_file.SandboxedModel() as reader:  # whoever wrote the files wrote their digests too
        again = remeasured.Measured(run, dataset, reader, progress=progress)
        measured = again.report()
        found += again.found
        at_its_word = remeasured.TAKEN_AT_ITS_WORD.items()
        stated = {name: why for name, why in at_its_word if report.get(name.partition(".")[0])}
        unmeasured = {**stated, **_NOT_COMPARED, **again.unmeasured}
        found += _bundle(run, dataset, again, progress=progress)
        names = {f"variants/{row['name']}.tflite" for row in measured["variants"]}
        there = {f"variants/{path.name}" for path in (root / "variants").glob("*")}
        found += [f"{output.printable(name)}: is the file of no variant" for name in sorted(there - names)]
        try:
            found += _pages(run, dataset, measured, again.answers_of(measured["chosen"], dataset.test))
        except ModuleNotFoundError as error:
            unmeasured["report.html"] = str(error)
    files = {output.printable(row["name"]): row["file"] for row in report["variants"]}
    subjects = (difference.partition(": ")[0] for difference in found)
    differing = frozenset(files.get(name, name) for name in subjects)
    measured_names = {"data", *finished.read_json(root / "files.json"), *files.values(), *differing}
    return Verified(tuple(found), unmeasured, frozenset(measured_names), differing, _made_by(config))


def _made_by(config: Mapping[str, Any]) -> str:
    """See `Verified`; the report states the same versions."""
    versions = config.get("versions")
    stated = versions.get("kerastl") if isinstance(versions, dict) else None
    if stated == kerastl.__version__:
        return ""
    return (
        f"The run was made by kerastl {output.printable(stated)[:40]}, and this is {kerastl.__version__}: what the one "
        "measures or writes otherwise than the other differs as well."
    )


def _config(config: Mapping[str, Any], dataset: Dataset) -> list[str]:
    """Where `config.json` says something else of the data than they are, or of the seed than its settings do."""
    stated, counts = config["data"], (dataset.train, dataset.validation, dataset.test)
    again = {
        "name": dataset.task.name,
        "class_names": list(dataset.task.target.names),
        "counts": {split.name: len(split) for split in counts},
    }
    found = [*differences.unlike({key: stated[key] for key in again}, again, "data")]
    found += differences.unlike(config["seed"], config["config"].get("seed"), "seed")
    return [f"config.json: {words}" for words in found]


def _files(run: FinishedRun) -> list[str]:
    """Files whose bytes are not those that `files.json` and `report.json` state, and files that neither knows."""
    from kerastl.runs import finished

    root = run.folder
    pinned = finished.read_json(root / "files.json")
    stated = {("files.json", name): digest for name, digest in pinned.items()}
    stated |= {("report.json", row["file"]): row["sha256"] for row in run.report["variants"]}
    theirs = run_folder.inner(root)  # a run inside, or the next one in the making, is another one
    log = () if (root / run_folder.LOG).is_symlink() else (run_folder.LOG,)
    there = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir()]
    found = [
        f"{name.as_posix()}: {'a link' if (root / name).is_symlink() else 'not named in files.json'}"
        for name in there
        if name.as_posix() not in {*pinned, "files.json", ".lock", *log} and name.parts[0] not in theirs
    ]
    for (place, name), digest in stated.items():
        path = finished.inside(root, name)
        if not path.is_file():
            if not name.startswith(_MAY_BE_DELETED):
                found.append(f"{name}: named in {place}, but missing")
        elif (is_ := digests.of_file(path)) != digest:
            found.append(f"{name}: {place} states SHA-256 {digest}, found {is_}")
    return found


def dataset_of(run: FinishedRun, *, source: ModuleType | None, path: Path | str | None) -> Dataset:
    """The data that a run names, with what it asks of them: groups for classes, its model's own answers for labels."""
    dataset = load_data(run.config, source=source, path=path)
    dataset = dataset if path is None else _named(dataset, str(run.config["data"].get("name")))
    if run.report.get("task") == embedding.Embedding.kind:
        unseen = run.config["config"].get("unseen")  # of a run that divided its data by their classes
        if unseen:
            dataset = data.unseen_classes.divide(dataset, unseen=float(unseen), seed=int(run.config["seed"]))
        return embedding.grouped(dataset)
    if run.report.get("task") != Agreement.kind:
        return dataset
    try:
        from kerastl.training import fitting

        answer = functools.partial(fitting.predict, run.model, task=run.task)
    except ModuleNotFoundError as error:
        error.add_note("No score was measured again: labels are the answers of model.keras, which needs Keras.")
        raise
    return data.unlabelled.with_answers(dataset, answer, name=run.task.target.output_names[0])


def load_data(config: dict[str, Any], *, source: ModuleType | None = None, path: Path | str | None = None) -> Dataset:
    """The data set that a run names, loaded again by the source that loaded it.

    Args:
        config: the run's ``config.json``.
        source: a module of one's own with a function ``load``, where it is none under `kerastl.data`.
        path: where the data lie now, if they have moved.

    Raises:
        FileNotFoundError: if they do not lie where the run found them.
        ValueError: if it names none, or a source that there is not, or arguments that the source does not take, or
            takes more memory for than any data need. Nothing else that a run names is imported: it may be anybody's.
    """
    named = config.get("data")
    if not named:
        raise ValueError("config.json names no data set: the run ended before it had loaded one.")
    name, arguments = str(named.get("source")), named.get("arguments")
    try:
        if source is None and name in data.__all__:
            source = getattr(data, name)
    except ModuleNotFoundError as error:
        error.add_note(f"No score was measured again: the data come from kerastl.data.{name}, which needs it.")
        raise
    load = getattr(source, "load", None)
    if load is None:
        hint = near_names.did_you_mean(name, data.__all__)
        raise ValueError(
            f"kerastl.data has no source {name!r}, which config.json names.{hint} A source of your own is given with "
            "--source FILE."
        )
    try:
        inspect.signature(load).bind(**arguments)
    except TypeError as error:  # it may be anybody's
        raise ValueError(f"The source {name!r} is not loaded with what config.json says: {error}.") from error
    return load(**_bounded(arguments, name=name, path=path))


def _named(dataset: Dataset, name: str) -> Dataset:
    """Data under the name that they had: it is that of their place, where they do not lie any more."""
    task = dataclasses.replace(dataset.task, name=name)
    parts = {part: dataclasses.replace(getattr(dataset, part), task=task) for part in ("train", "validation", "test")}
    return dataclasses.replace(dataset, task=task, **parts)


def _bounded(arguments: dict[str, Any], *, name: str, path: Path | str | None) -> dict[str, Any]:
    """A loader's arguments, with the place where the data lie now."""
    for key, most in _LARGEST.items():
        given = arguments.get(key)
        for one in given if isinstance(given, list) else [given]:
            if one is not None and not (isinstance(one, int) and 0 < one <= most):
                raise ValueError(f"Wanted {key} of 1 to {most:,}. Received: {one!r:.50} in config.json.")
    if "path" not in arguments:
        if path is not None:
            raise ValueError(f"The data of this run come from the set {name!r}, which has no place: leave out --data.")
        return arguments
    place = Path(path or arguments["path"])
    if not place.is_file() and not place.is_dir():  # a device or a pipe would be read for ever
        raise FileNotFoundError(
            f"The data of this run do not lie in {place} any more. Where they lie now is said with --data PATH."
        )
    return {**arguments, "path": str(place)}


def _bundle(run: FinishedRun, dataset: Dataset, again: remeasured.Measured, *, progress: bool) -> list[str]:
    """Where the file on the phone is not the chosen one, and the lists of words beside it are not those of the task."""
    rows = {row["name"]: row for row in run.report["variants"]}
    chosen, bundle, name = rows.get(run.report["chosen"]), run.folder / "mobile" / "model.tflite", "mobile/model.tflite"
    if chosen is None or not bundle.is_file():
        return [f"mobile/: holds no model.tflite of the chosen variant {run.report['chosen']!r}"]
    found = []
    if (is_ := digests.of_file(bundle)) != chosen["sha256"]:
        found.append(f"{name}: the chosen file has SHA-256 {chosen['sha256']}, this {is_}")
    for split, keys in ((dataset.validation, _VALIDATION), (dataset.test, _TEST)):
        score = again.score(name, bundle, split)
        for key, part in keys.items():
            if getattr(score, part) != chosen[key]:
                found.append(f"{name}: {key} stated {chosen[key]!r}, measured {getattr(score, part)!r}")
    return found + _texts(bundle.parent, dataset)


def _pages(run: FinishedRun, dataset: Dataset, measured: dict[str, Any], answers: Any) -> list[str]:
    """Where `report.html` and the bundle's pages are not those that the measured report gives."""
    root, bundle = run.folder, run.folder / "mobile"
    try:
        task = selective.task_of(dataset.task, run.task.target.described())
        written = phone.written((bundle / "model.tflite").read_bytes(), measured, task)
    except (OSError, ValueError, StopIteration) as error:
        return [f"mobile/: cannot be made again: {error}"]
    there = {path.name for path in bundle.iterdir()}
    found = [
        f"mobile/{output.printable(name)}: belongs to no bundle"
        for name in sorted(there - written.keys() - {enrolling.NAME})
    ]
    for name in sorted(written.keys() - {"model.tflite", "labels.txt", "vocab.txt"}):  # of which it is said already
        path = bundle / name
        if not path.is_file():
            found.append(f"mobile/{name}: is missing")
        elif not path.is_symlink() and path.read_bytes() != written[name]:
            found.append(f"mobile/{name}: is not what a run writes about such a file")
    page = root / "report.html"
    if answers is None or not page.is_file() or page.is_symlink():
        return found
    from kerastl.runs.page import mistakes, overview, rendering

    try:
        wrong = mistakes.misclassified(dataset.test, answers)
        again = _text_of(rendering.render(measured, mistakes=wrong, examples=overview.examples(dataset)))
    except rendering.UndefinedError as error:
        return [*found, f"report.html: cannot be made of such a report: {error}"]
    stated = _text_of(page.read_text("utf-8"))
    if stated != again:
        pairs = zip(stated.splitlines(), again.splitlines(), strict=False)
        one, other = next((pair for pair in pairs if pair[0] != pair[1]), ("another length", ""))
        shown = [output.printable(line.strip()[:150]) for line in (one, other)]
        found.append(f"report.html: is not the page of this report: {shown[0]!r} in place of {shown[1]!r}")
    return found


def _text_of(page: str) -> str:
    """A page without what is drawn: plots, pictures and training curves."""
    plain = re.sub(r"<svg(?:(?!<script|<foreignObject)[\s\S])*?</svg>", "<svg/>", page)
    plain = re.sub(r'src="data:image/[\w.+-]+;base64,[\w+/=]*"', 'src=""', plain)
    curves = r'(?:<h3>[^<]*</h3>\s*<div class="short scroll" tabindex="0"><svg/>\s*</div>\s*)*'
    return re.sub(r"<section>\s*<h2>Training</h2>\s*" + curves + r"</section>\n", "", plain)


def _texts(bundle: Path, dataset: Dataset) -> list[str]:
    """Where the bundle's lists of words are not those of the task."""
    from kerastl.runs import finished

    described = {**dataset.task.inputs.described(), **dataset.task.target.described()}
    lists = {"labels.txt": described.get("labels"), "vocab.txt": described.get("vocabulary")}
    meant = {
        "labels.txt": "its lines are not the class names in the model's order",
        "vocab.txt": "its lines are not the tokens that the model was trained with",
    }
    found = []
    for name, words in lists.items():
        path = finished.inside(bundle, name)  # a link would print any file's lines
        if words is None:
            continue
        if not path.is_file():
            found.append(f"mobile/{name}: is missing")
        elif path.read_text(encoding="utf-8").split("\n")[:-1] != list(words):
            found.append(f"mobile/{name}: {meant[name]}")
    settings = dataset.task.inputs.settings if isinstance(dataset.task.inputs, Text) else None
    if isinstance(settings, sentencepiece.Settings):
        path = finished.inside(bundle, phone_sentencepiece.NAME)
        if not path.is_file():
            found.append(f"mobile/{path.name}: is missing")
        elif path.read_bytes() != settings.model:
            found.append(f"mobile/{path.name}: is not the model of pieces that the texts were read with")
    return found
