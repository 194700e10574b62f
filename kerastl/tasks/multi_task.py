"""Multi-task learning: several targets of any kind are asked of one model, each of an output of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerastl.system import phrases
from kerastl.tasks import classes, resampling
from kerastl.types import ClassTarget, Score, Target

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

NO_LABEL = -1
"""The label of an example that lacks a task of classes, at each place; of numbers it is NaN."""
Tables = Mapping[str, np.ndarray]
"""Labels or answers ``(examples, ...)`` by the names of the tasks; of one example what stands in its row."""


@dataclasses.dataclass(frozen=True)
class MultiTask:
    """Several tasks on one trunk, labels and answers mappings of their names to what each has; see `types.Target`.

    **Partial labels.** An example may lack tasks: its label is then `NO_LABEL` where labels are integers (at every
    place of several), NaN where they are other numbers. Losses and scores of a task are of the examples that have it.

    **The score** is the mean over the tasks of a share that can be compared, 1 where all is right: of classes the share
    of examples that are answered right, of numbers 1 less the mean absolute error in standard deviations of the labels
    (about 0.2 for who always answers the mean, below 0 for who does worse). Each task's own score stands in the
    details. Its 95 % interval is a bootstrap over examples.

    Attributes:
        parts: pairs of name and target, in the order of the exported file's outputs. A name is that of an output.

    Raises:
        ValueError: if there are fewer than two, a name is no Python identifier in ASCII or comes twice, or a target has
            several outputs, or one of any width, or a score that is neither a share nor an error.
    """

    parts: tuple[tuple[str, Target], ...]

    kind: ClassVar[str] = "multi-task learning"
    metric: ClassVar[str] = "mean score of the tasks"
    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = ""
    output_name: ClassVar[str] = "answers"
    output_range: ClassVar[tuple[float, float] | None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple((str(name), part) for name, part in self.parts))
        names = [name for name, _ in self.parts]
        wrong = [name for name in names if not (name.isidentifier() and name.isascii()) or names.count(name) > 1]
        if len(names) < 2 or wrong:
            raise ValueError(
                "Wanted two tasks or more, each under a name of its own that can be an output's: letters, digits and "
                f"underscores. Received: {', '.join(map(ascii, names)) or 'none'}."
            )
        unfit = [
            f"{name} ({part.kind})"
            for name, part in self.parts
            if not part.outputs or len(part.output_names) != 1 or (part.units != "%" and part.higher_is_better)
        ]
        if unfit:
            raise ValueError(
                "Wanted tasks of one output of a known width, whose score is a share or an error. Received: "
                f"{', '.join(unfit)}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.names

    @property
    def outputs(self) -> int:
        return 0  # each of the outputs has a width of its own

    @property
    def units(self) -> str:
        return ""

    @property
    def label_dtype(self) -> dict[str, str]:
        return {name: part.label_dtype for name, part in self.parts}

    def labelled(self, labels: Any) -> dict[str, np.ndarray]:
        tables = self._tables(labels)
        return {name: _there(part, tables[name]) for name, part in self.parts}

    def check(self, labels: Any, *, where: str, rows: int) -> None:
        for name, part in self.parts:
            table, place = np.asarray(self._tables(labels, where=where)[name]), f"{where}, task {name}"
            if len(table) != rows:
                raise ValueError(f"Wanted a label for each of {rows} examples. Received: {len(table)} in {place}.")
            # in the place of none stands one that is allowed, so that a wrong one is found in its own row
            part.check(_filled(part, table), where=place, rows=rows)

    def check_split(self, labels: Any, *, where: str) -> None:
        tables = self._tables(labels, where=where)
        for name, part in self.parts:
            there = _there(part, tables[name])
            if not there.any():
                raise ValueError(
                    f"Every task needs an example with a label of it in every split. Received: none of {name!r} among "
                    f"{len(there):,} in {where}."
                )
            part.check_split(tables[name][there], where=f"{where}, task {name}")

    def strata(self, labels: Any) -> np.ndarray:
        """Those of all tasks, 0 and 1 ``(examples, strata)``; an example without a task is in none of that."""
        tables, columns = self._tables(labels), []
        for name, part in self.parts:
            there = _there(part, tables[name])
            own = part.strata(tables[name][there])
            own = own if own.ndim == 2 else own[:, None] == np.unique(own)
            columns.append(np.zeros((len(there), own.shape[1]), np.int64))
            columns[-1][there] = own
        return np.concatenate(columns, axis=1)

    def loss(self) -> dict[str, keras.losses.Loss]:
        """The loss of each task over the examples that have it; a training minimizes their sum."""
        return {name: self._labelled_loss(part, part.loss(), None) for name, part in self.parts}

    def training_metric(self) -> None:
        """None: the losses are watched, whose sum is of all tasks."""
        return

    def class_weights(self, labels: Any) -> dict[int, float]:
        """Those of each task of classes by its own rule, the classes of all such tasks numbered one after the other."""
        tables, found = self._tables(labels), []
        for name, part in self._of_classes():
            own = part.class_weights(tables[name][_there(part, tables[name])])
            found += [own[index] for index in range(part.outputs)]
        return dict(enumerate(found))

    def weighted_loss(
        self, class_weight: Mapping[int, float]
    ) -> tuple[dict[str, keras.losses.Loss], dict[int, float] | None]:
        """Keras knows no weights of classes where a model has several outputs, so the losses know them all."""
        named = [f"{name} {one}" for name, part in self._of_classes() for one in part.names]
        classes.check_weights(class_weight, named)
        losses, first = self.loss(), 0
        for name, part in self._of_classes():
            weights = {index: class_weight[first + index] for index in range(part.outputs)}
            losses[name] = self._labelled_loss(part, *part.weighted_loss(weights))
            first += part.outputs
        return losses, None

    def finish(self, outputs: Any, *, name: str | None = None) -> Any:
        prefix = f"{name or self.output_name}_"
        return {key: part.finish(outputs[key], name=prefix + key) for key, part in self.parts}

    def served(self, outputs: Any) -> Any:
        return {name: part.served(outputs[name]) for name, part in self.parts}

    def served_activation(self) -> str:
        """None in common; each output has that of its own task, see `types.targets_of`."""
        return "linear"

    def distillation(self, teacher: Any, student: Any, *, temperature: float) -> tf.Tensor:
        """The sum of the tasks' own losses; a teacher answers every task, so that no label is asked for."""
        import tensorflow as tf

        return tf.add_n(
            [part.distillation(teacher[name], student[name], temperature=temperature) for name, part in self.parts]
        )

    def standardized(self, outputs: Any) -> Any:
        return {name: part.standardized(outputs[name]) for name, part in self.parts}

    def predictions(self, answers: Any) -> Any:
        return {name: part.predictions(answers[name]) for name, part in self.parts}

    def score(self, answers: Any, labels: Any) -> Score:
        errors = self.confidence(answers, labels)
        value = 1 - float(errors.mean())
        low, high = np.percentile(1 - resampling.means(errors), [2.5, 97.5])
        return Score(value=value, low=min(float(low), value), high=max(float(high), value), count=len(errors))

    def drop(self, score: float, reference: float) -> float:
        return reference - score

    def agree(self, answers: Any, expected: Any) -> np.ndarray:
        """Whether every task is answered alike."""
        return np.all([part.agree(answers[name], expected[name]) for name, part in self.parts], axis=0)

    def difference(self, answers: Any, expected: Any) -> np.ndarray:
        """That of the task that is furthest off."""
        return np.max([part.difference(answers[name], expected[name]) for name, part in self.parts], axis=0)

    def refuse(self, answers: Any, *, integer: bool) -> tuple[str, object, object] | None:
        return self._first(lambda name, part: part.refuse(answers[name], integer=integer))

    def lost(self, answers: Any, expected: Any, labels: Any) -> tuple[str, object, object] | None:
        def of_one(name: str, part: Target) -> tuple[str, object, object] | None:
            rows = _there(part, np.asarray(labels[name]))
            return part.lost(answers[name][rows], expected[name][rows], labels[name][rows]) if rows.any() else None

        return self._first(of_one)

    def details(self, answers: Any, labels: Any) -> dict[str, Any]:
        """Each task's own score and details, what of it counts in the mean, and the first plot that one brings."""
        rows, plots, heads = [], [], ["Task", "Kind", "Metric", "Score", "Examples", "Counts as"]
        shown: dict[str, list[dict[str, Any]]] = {key: [] for key in ("tables", "charts", "confusions", "thresholds")}
        for name, part in self.parts:
            there = _there(part, np.asarray(labels[name]))
            if not there.any():
                continue
            given, wanted = answers[name][there], labels[name][there]
            score, own = part.score(given, wanted), part.details(given, wanted)
            for key, found in shown.items():
                found += [{**one, "title": f"{name}: {one['title']}"} for one in own.get(key, ())]
            if "scatter" in own:
                plots.append({"scatter": {**own["scatter"], "title": f"{name}: {own['scatter']['title']}"}})
            rows.append(
                {
                    "name": name,
                    "task": part.kind,
                    "metric": part.metric,
                    "units": part.units,
                    "examples": score.count,
                    **{key: float(getattr(score, key)) for key in ("value", "low", "high")},
                    "counts_as": 1 - float(_errors(part, given, wanted).mean()),
                    "summary": part.summary(own),
                    "details": {key: value for key, value in own.items() if key not in (*shown, "scatter")},
                }
            )
        cells = [
            [row["name"], row["task"], row["metric"], _words(row), f"{row['examples']:,}", f"{row['counts_as']:.4f}"]
            for row in rows
        ]
        note = (
            "The chosen file on the test examples that have a label of the task. What counts in the mean is of classes "
            "the share that is right, of numbers 1 less the error in standard deviations of the labels."
        )
        whole = {"title": "Task by task", "note": note, "columns": heads, "rows": cells}
        return {"by_task": rows, **shown, "tables": [whole, *shown["tables"]], **(plots[0] if plots else {})}

    def summary(self, details: Mapping[str, Any]) -> str:
        return "; ".join(f"{row['name']}: {row['metric']} {_words(row)}" for row in details["by_task"])

    def confidence(self, answers: Any, labels: Any) -> np.ndarray:
        """What each example takes from the score: its tasks' errors, so that their mean is 1 less the score.

        Where few examples have a task each of them counts more.
        """
        given, wanted = self._tables(answers), self._tables(labels)
        count = {len(table) for table in (*given.values(), *wanted.values())}
        if len(count) != 1 or not max(count):
            shapes = ", ".join(f"{name} {given[name].shape} and labels {wanted[name].shape}" for name in self.names)
            raise ValueError(f"Wanted an answer and a label an example, of one at least. Received: {shapes}.")
        errors = np.zeros((max(count), len(self.parts)))
        there = np.stack([_there(part, wanted[name]) for name, part in self.parts], -1)
        if not there.any():
            raise ValueError(f"Wanted an example with a label. Received: {max(count):,} without any.")
        for place, (name, part) in enumerate(self.parts):
            rows = there[:, place]
            if rows.any():
                errors[rows, place] = _errors(part, given[name][rows], wanted[name][rows]) * len(rows) / rows.sum()
        return errors.sum(-1) / there.any(0).sum()

    def said(self, answer: Any) -> dict[str, Any]:
        found = {name: part.said(answer[name]) for name, part in self.parts}
        words = "; ".join(f"{name}: {one['words']}" for name, one in found.items())
        return {"tasks": found, "words": words}

    def label_words(self, label: Any) -> str:
        def words(name: str, part: Target) -> str:
            return part.label_words(label[name]) if _there(part, np.asarray(label[name])[None])[0] else "no label"

        return "; ".join(f"{name}: {words(name, part)}" for name, part in self.parts)

    def described(self) -> dict[str, Any]:
        return {"tasks": [[name, part.described(), list(part.names)] for name, part in self.parts]}

    def phone_answer(self) -> tuple[str, str]:
        """What the bundle's page says of the answers, and the lines that print them; see `export.phone.Answer`."""
        listed = "\n".join(f"`{name}` ({part.kind}, {part.outputs} numbers)," for name, part in self.parts)
        what = f"one output a task, by its name:\n{listed}\nwhose names stand in the file's own `target.json`."
        lines = [
            "import json, zipfile",
            'asked = json.loads(zipfile.ZipFile("model.tflite").read("target.json"))["tasks"]',
            "for task, _, names in asked:",
            "    print(task, dict(zip(names, answers[task].ravel().tolist())))",
        ]
        return what, "\n".join(lines)

    def _tables(self, values: Any, *, where: str = "") -> dict[str, np.ndarray]:
        if not isinstance(values, Mapping) or sorted(values) != sorted(self.names):
            given = ", ".join(values) if isinstance(values, Mapping) else "one array"
            place = f" in {where}" if where else ""
            raise ValueError(
                f"Wanted something for each of the tasks {', '.join(self.names)}. Received: {given}{place}."
            )
        return {name: np.asarray(values[name]) for name in self.names}

    def _of_classes(self) -> Sequence[tuple[str, Target]]:
        found = [(name, part) for name, part in self.parts if isinstance(part, ClassTarget)]
        if not found:
            raise ValueError(
                f"None of the tasks {', '.join(self.names)} has classes to weigh. Received: balanced classes; leave "
                "--balanced out."
            )
        return found

    def _first(
        self, fault: Callable[[str, Target], tuple[str, object, object] | None]
    ) -> tuple[str, object, object] | None:
        """What is wrong with the first task of which something is, by its name."""
        for name, part in self.parts:
            found = fault(name, part)
            if found is not None:
                return f"{name}: {found[0]}", *found[1:]
        return None

    def _labelled_loss(self, part: Target, loss: Any, class_weight: dict[int, float] | None) -> keras.losses.Loss:
        from kerastl.tasks import multi_task_training

        integer = np.issubdtype(np.dtype(part.label_dtype), np.integer)
        return multi_task_training.LabelledLoss(loss, integer=integer, class_weight=class_weight)


def _there(part: Target, table: np.ndarray) -> np.ndarray:
    """Which examples have a label, bool ``(examples,)``: of several numbers one is enough, and all are looked at.

    What marks one that is missing goes by the kind: of numbers -1 is a label like any other, whatever their type.
    """
    if np.issubdtype(np.dtype(part.label_dtype), np.integer):
        missing = table == NO_LABEL
    else:
        missing = np.isnan(table) if table.dtype.kind == "f" else np.zeros(table.shape, bool)
    return np.logical_not(np.reshape(missing, (len(table), -1)).all(-1))


def _filled(part: Target, table: np.ndarray) -> np.ndarray:
    """Labels, 0 for those of the examples that have none."""
    rows = _there(part, table).reshape(-1, *[1] * (table.ndim - 1))
    return np.where(rows, table, np.zeros_like(table))


def _errors(part: Target, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How wrong each example is, ``(examples,)``: 0 or 1 of a share, of a number its error on the scale of shares."""
    wrong = np.asarray(part.confidence(answers, labels), np.float64)
    return (wrong > 0).astype(np.float64) if part.units == "%" else wrong * abs(part.drop(1.0, 0.0))


def _words(row: Mapping[str, Any]) -> str:
    """A task's score with its unit."""
    return (
        classes.percent(row["value"])
        if row["units"] == "%"
        else f"{phrases.plain(row['value'])} {row['units']}".strip()
    )


def restored(described: Mapping[str, Any]) -> MultiTask | None:
    """The kind that `MultiTask.described` described, ``None`` where another one did."""
    if "tasks" not in described:
        return None
    from kerastl import tasks

    return MultiTask(tuple((name, tasks.restored(one)) for name, one, _ in described["tasks"]))
