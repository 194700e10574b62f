"""A finished run: what it made, how good it is, what its file answers. `kerastl.open` and `kerastl.run` give one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl import inputs as kinds_of_input
from kerastl import tasks
from kerastl.inputs import lines
from kerastl.inputs.text import Text
from kerastl.runs import enrolling, in_memory, input_files, undescribed
from kerastl.system import bounded_json, output
from kerastl.tasks import enrolment, reject_option
from kerastl.types import (
    CategoryInputs,
    Dataset,
    FileFacts,
    FolderInputs,
    Latency,
    NamedInputs,
    Score,
    Task,
    TokenTarget,
)
from kerastl.untrusted import tflite_file
from kerastl.verify import answers as tables

if TYPE_CHECKING:
    import keras


class FinishedRun:
    """The folder of a finished run, or of a bundle, as an object; nothing in it is trusted and nothing is changed.

    In a notebook the last line of a cell shows its table of files.

    Args:
        folder: ``saved_models/RECIPE/TAG``, or a bundle alone: the folder ``mobile`` or a copy of it.

    Raises:
        FileNotFoundError: if there is no such folder, or no bundle in it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        inside = self.folder / "mobile"
        self.bundle = inside if inside.is_dir() else self.folder
        if not self.folder.exists():
            raise FileNotFoundError(f"There is no folder {self.folder}.")
        if not self.file.is_file():
            runs = sorted(str(file.parents[1]) for file in self.folder.glob("*/mobile/model.tflite"))
            hint = f"Runs inside: {', '.join(runs[:5])}." if runs else "Has the run finished?"
            raise FileNotFoundError(f"{self.folder} holds no bundle: mobile/model.tflite is missing. {hint}")

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.folder)!r})"

    @property
    def file(self) -> Path:
        """The TFLite file that was chosen for the phone."""
        return self.bundle / "model.tflite"

    @functools.cached_property
    def report(self) -> dict[str, Any]:
        """``report.json``: every number of the run.

        Raises:
            FileNotFoundError: if this is a bundle alone.
        """
        return read_json(self.folder / "report.json")

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``: recipe, settings, versions, and the data set."""
        return read_json(self.folder / "config.json")

    @property
    def score(self) -> Score:
        """The chosen file's score on the test split, with its 95 % interval."""
        row = self._chosen()
        return Score(row["score"], row["score_low"], row["score_high"], self.report["data"]["test"])

    @functools.cached_property
    def task(self) -> Task:
        """What goes into the file and what it answers, as the file says itself, or what lies beside it.

        Raises:
            ValueError: if neither says it.
        """
        described = self.described
        if described is None:
            return undescribed.task(self.bundle, self.facts)
        kind, target = kinds_of_input.restored(described["inputs"]), tasks.restored(described["target"])
        return Task(described["name"], kind, target)

    @functools.cached_property
    def described(self) -> dict[str, Any] | None:
        """What the file's metadata say, see `export.metadata.read`; ``None`` where it has none."""
        with tflite_file.SandboxedModel() as reader:
            return reader.described(self.file)

    @functools.cached_property
    def index(self) -> enrolment.Index | None:
        """Names and vectors that were enrolled, ``None`` where there are none; see `runs.enrolling`.

        Raises:
            ValueError: it cannot be read, or is that of another file.
        """
        return enrolling.index_of(self)

    def enrol(self, name: str, inputs: Any) -> enrolment.Index:
        """Teaches the bundle a name by examples, without training; see `runs.enrolling.enrol`."""
        return enrolling.enrol(self, name, inputs)

    @functools.cached_property
    def facts(self) -> FileFacts:
        """What can be read off the file without running it."""
        with tflite_file.SandboxedModel() as reader:
            return reader.facts(self.file)

    def _fed(self, examples: Any) -> dict[str, np.ndarray]:
        """What the file takes of examples, under its own names and in its own range of pixels."""
        fed = self.task.inputs.fed(examples)
        if self.described is None:
            return undescribed.fed(fed, self.facts)
        mean, std = (np.float32(self.described[key]) for key in ("mean", "std"))
        if not mean.any() and (std == 1).all():  # as in every file of kerastl
            return fed
        return {name: (values - mean) / std for name, values in fed.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, or of the numbers, in the order of the file's answers: ``labels.txt``."""
        return self.task.target.names

    @functools.cached_property
    def model(self) -> keras.Model:
        """The Keras model that the files were made from, ``model.keras``; it opens without kerastl, too.

        Raises:
            FileNotFoundError: if this is a bundle alone.
            ValueError: if the file is refused, see `untrusted.keras_file.load`.
        """
        from kerastl.untrusted import keras_file

        path = self.folder / "model.keras"
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} holds no model.keras: it is a bundle alone.")
        return keras_file.load(path)

    def predict(
        self,
        inputs: Any,
        *,
        variant: str | None = None,
        column: str | None = None,
        top: int | None = None,
        problems: dict[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """What the exported file answers.

        Args:
            inputs: what this kind of run takes, one or a list: paths of pictures, of arrays (``.npy``, ``.npz``), of
                folders of such or patterns (``"new/*.jpg"``), sentences, rows of numbers; files of such, a table
                (``.csv``, ``.tsv``, ``.jsonl``) by its columns or a text file (``.txt``) by its lines; or an array of
                one example or a batch, of several inputs by their names; a data frame, whose rows are read as those of
                the table that it would be saved as; or a row, ``{"age": 59, "sex": "f"}``. A `Path` is a file or a
                folder, and never a sentence.
            variant: name of another file of the run; by default the chosen one answers.
            column: of a table, that holds the sentences or the paths of pictures; by default the one that the run
                learned from, where there is such, or the one that looks like it.
            top: keeps so many classes in ``probabilities`` and in words, the most probable first.
            problems: gets what cannot be read, and why; all others are answered. ``None`` raises the first of them.

        Returns:
            One answer an example: ``input`` names it, ``words`` says it for people, and what else the task says:
            ``label``, ``probability`` and ``probabilities`` of classes.

        Raises:
            FileNotFoundError: if there is no such input.
            ValueError: if an input does not fit the file, there is no such variant, or ``top`` is asked of what has no
                classes.
        """
        answers = []
        for name, answer in self.each_answer(inputs, variant=variant, column=column, top=top):
            if not isinstance(answer, Exception):
                answers.append({"input": name, **answer})
            elif problems is None:
                raise answer
            else:
                problems[name] = str(answer)
        return answers

    def each_answer(
        self, inputs: Any, *, variant: str | None = None, column: str | None = None, top: int | None = None
    ) -> Iterator[tuple[str, dict[str, Any] | Exception]]:
        """As `predict`, one after the other: the name of each input, and its answer, or why it has none."""
        file = self.file if variant is None else self._variant(variant)
        with tflite_file.SandboxedModel() as reader:  # a bundle may be anybody's
            examples = input_files.read_ahead(self._examples(inputs, column=column), self.task.inputs)
            for named, batch in input_files.batches(examples):
                rows = {} if batch is None else reader.run(file, self._fed(batch))
                place = 0
                for name, count in named:
                    if isinstance(count, Exception):
                        yield name, count
                        continue
                    for number in range(count):
                        text = name.text if isinstance(name, input_files.Name) and count == 1 else ""
                        said = self._said(tables.row_of(rows, place + number), batch, place + number, text=text)
                        yield name if count == 1 else f"{name}[{number}]", said if top is None else _best(said, top)
                    place += count

    def answers(self, examples: np.ndarray | Mapping[str, np.ndarray], *, variant: str | None = None) -> tables.Outputs:
        """What the exported file answers in numbers: probabilities of classes, for example.

        Args:
            examples: one, or a batch of them ``(examples, *task.inputs.shape)``; pictures of one channel may lack that
                axis.
            variant: as for `predict`.

        Returns:
            float32 ``(examples, ...)``, of a file of several outputs such an array by each one's name.

        Raises:
            ValueError: if the examples do not fit the file, or there is no such variant.
        """
        file = self.file if variant is None else self._variant(variant)
        with tflite_file.SandboxedModel() as reader:
            return reader.run(file, self._fed(self._batch(examples)))

    def _batch(self, examples: Any) -> Any:
        """Examples with an axis for them, and one for the channel that pictures may have been stored without."""
        kind = self.task.inputs
        if isinstance(examples, np.ndarray):
            if kind.shape[-1] == 1 and examples.shape[-len(kind.shape) + 1 :] == kind.shape[:-1] != ():
                examples = examples[..., None]
            examples = examples[None] if examples.shape == kind.shape else examples
        kind.check(examples, where="the array")
        return examples

    def _asked(self, examples: Any) -> Any:
        """As `_batch`, of examples that somebody asks about: what no row of a table becomes is refused."""
        batch, kind = self._batch(examples), self.task.inputs
        for name, part in kind.parts if isinstance(kind, NamedInputs) else ((None, kind),):
            if isinstance(part, CategoryInputs):
                part.refuse_impossible(batch if name is None else batch[name], where="the array")
        return batch

    def _said(self, row: Any, batch: Any, place: int, *, text: str = "") -> dict[str, Any]:
        target, kind, index = self.task.target, self.task.inputs, self.index
        try:
            if isinstance(target, TokenTarget) and isinstance(kind, Text):
                return target.spans_of(row, kind.words(batch[place], text))
            return {**target.said(row), **({} if index is None else index.said(row))}
        except (ValueError, IndexError, TypeError) as error:  # a bundle may be anybody's
            given = {name: table.shape for name, table in row.items()} if isinstance(row, dict) else row.shape
            raise ValueError(
                f"labels.txt names {len(self.labels)} outputs, and the model answers {given}: {self.bundle}."
            ) from error

    def _examples(self, inputs: Any, *, column: str | None) -> Iterator[tuple[str, Any]]:
        """Each input's name, and a batch of examples, the function that reads it, or why there is none."""
        kind, inputs = self.task.inputs, in_memory.plain(inputs)
        if in_memory.is_frame(inputs):
            yield from in_memory.of_frame(inputs, kind, column=column, settings=self._learned_from())
            return
        if isinstance(inputs, Mapping) and not isinstance(kind, NamedInputs):
            inputs = in_memory.of_one_input(inputs, kind.tensors)
        if isinstance(inputs, np.ndarray | Mapping):
            yield "array", self._asked(inputs)
            return
        folders = kind if isinstance(kind, FolderInputs) else None
        for one in [inputs] if isinstance(inputs, str | Path) else inputs:
            if not isinstance(one, str | Path):
                yield from self._examples(one, column=column)
                continue
            whole = str(one)
            name = input_files.Name(
                whole if len(whole) <= 300 else f"{whole[:297]}...", whole
            )  # a book is not repeated
            try:
                files = input_files.in_folder(one, folders)
                if files is not None:
                    yield from self._examples(files, column=column)
                elif input_files.is_one(one, kind):
                    yield from input_files.read(Path(one), kind, column=column, settings=self._learned_from())
                else:
                    if isinstance(one, Path) and folders is None:
                        lines.require_array(one, kind=kind.kind)
                    read = functools.partial(kind.read, whole)
                    yield name, read if folders is not None else read()  # files are read by threads
            except (ValueError, OSError) as error:
                yield name, error

    def _learned_from(self) -> Mapping[str, Any]:
        """The arguments by which the run's data were loaded; nothing of a bundle alone."""
        if not (self.folder / "config.json").is_file():
            return {}
        data = self.config.get("data")
        arguments = data.get("arguments") if isinstance(data, dict) else None
        return arguments if isinstance(arguments, dict) else {}

    def verify(
        self,
        *,
        dataset: Dataset | None = None,
        data: Path | str | None = None,
        download: bool = False,
        progress: bool = True,
    ) -> tuple[str, ...]:
        """Measures the run again: digests of its files, then all of its report that files and data can say.

        Args:
            dataset: the data, where it comes from a source of one's own; by default it is loaded again.
            data: where it lies now, a file or folder that has moved since.
            download: whether a data set that is not in the cache may be fetched, and the cache written.
            progress: whether each score is printed, to standard error, when it is measured.

        Returns:
            What differs from what the run states; empty where nothing does. What nobody can measure again, times for
            example, `runs.reverification.verify` names.

        Raises:
            FileNotFoundError: if this is a bundle alone, or its data do not lie where they did.
            ValueError: if its data cannot be loaded again, or its JSON files are not as a run writes them.
        """
        from kerastl.runs import reverification  # which brings a runtime that `predict` leaves to a child

        with output.begun():
            found = reverification.verify(self, dataset=dataset, path=data, download=download, progress=progress)
        return found.differences

    def evaluate(self, *, dataset: Dataset | None = None, **settings: Any) -> dict[str, Any]:
        """Measures what the score hides, and writes `evaluation.json` and `evaluation.html` into the run's folder.

        Args:
            dataset: the data, where it comes from a source of one's own; by default it is loaded again.
            settings: fields of `runs.evaluation.subject.Settings`, and ``source``, ``path``, ``download`` and
                ``progress`` of `runs.evaluation.evaluating.evaluate`, which says what is returned and raised.
        """
        from kerastl.runs.evaluation import evaluating, subject

        options = {name: settings.pop(name) for name in ("source", "path", "download", "progress") if name in settings}
        with output.begun():
            return evaluating.evaluate(self, settings=subject.Settings(**settings), dataset=dataset, **options)

    def show(self) -> None:
        """Prints the table of files, and why one was chosen."""
        from kerastl.runs import report

        report.print_table(self.report)

    def _repr_html_(self) -> str:
        """The table of files for a notebook, smallest first, the chosen one in bold."""
        import html

        from kerastl.runs.page import words

        columns = ("variant", "bytes", f"test {self.report['metric']}", "95 % interval", "agreement", "ms")
        lines = []
        for row in sorted(self.report["variants"], key=lambda row: row["bytes"]):
            score, low, high = (
                words.score_words(row[key], self.report["units"]) for key in ("score", "score_low", "score_high")
            )
            cells = (
                row["name"],
                f"{row['bytes']:,}",
                score,
                f"{low} to {high}",
                f"{100 * row['agreement']:.2f} %",
                f"{row['latency_ms']['median']:.3f}",
            )
            weight = "bold" if row["name"] == self.report["chosen"] else "normal"
            body = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
            lines.append(f'<tr style="font-weight:{weight}">{body}</tr>')
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        why = html.escape(self.report["why"])
        latency = Latency.of(self._chosen()["latency_ms"]).measured
        more = [f"ms: {latency}", *(f"Warning: {words}" for words in self.report.get("warnings", ()))]
        notes = "".join(f"<p>{html.escape(str(words))}</p>" for words in more)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table><p>{why}</p>{notes}"

    def _chosen(self) -> dict[str, Any]:
        return self._row(self.report["chosen"])

    def _row(self, name: str) -> dict[str, Any]:
        rows = {row["name"]: row for row in self.report["variants"]}
        if name not in rows:
            raise ValueError(f"There is no variant {name!r} in {self.folder}. Available: {', '.join(rows)}.")
        return rows[name]

    def _variant(self, name: str) -> Path:
        return inside(self.folder, self._row(name)["file"])


def _best(said: dict[str, Any], top: int) -> dict[str, Any]:
    """An answer with its most probable classes alone, of several tasks with those of each.

    Raises:
        ValueError: if there are no classes, or none is asked for.
    """
    if isinstance(said.get("tasks"), dict):
        kept = {name: _best(one, top) if "probabilities" in one else one for name, one in said["tasks"].items()}
        return {**said, "tasks": kept, "words": "; ".join(f"{name}: {one['words']}" for name, one in kept.items())}
    if "probabilities" not in said or top < 1:
        answered = "" if "probabilities" in said else f", and an answer without classes: {said['words']}"
        raise ValueError(f"--top is how many classes of an answer are wanted, 1 or more. Received: {top}{answered}.")
    ranked = sorted(said["probabilities"].items(), key=lambda pair: -pair[1])[:top]
    words = ", ".join(f"{name} {p:.1%}" for name, p in ranked)
    rejected = "label" in said and said["label"] is None
    words = f"{reject_option.NONE}; the likeliest are {words}" if rejected else words
    return {**said, "probabilities": dict(ranked), "words": words}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a run wrote, or anybody.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: see `bounded_json.read_object`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no finished run: {path.name} is missing.")
    return bounded_json.read_object(path)


def inside(root: Path, name: str) -> Path:
    """A file of a run that may be anybody's: its own JSON names it, and it lies in the run's folder.

    Raises:
        ValueError: if it lies elsewhere, also by way of a link.
    """
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{root} names the file {name!r}, which lies outside of it: nothing there is read.")
    return path
