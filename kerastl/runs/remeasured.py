"""`report.json` measured again: what the run's files and data say once more, field by field.

What comes out of files and data is compared with what the report states; what only the machine and the hour of the run
knew is listed by name, so that nobody takes it for proven.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl import types, verify
from kerastl.export import packing, runtimes
from kerastl.runs import acceptance, differences, rows, selective
from kerastl.runs.page import mistakes, overview
from kerastl.system import atomic_files, output, phrases
from kerastl.tasks import single_label
from kerastl.training.private import guarantee
from kerastl.untrusted import tflite_file
from kerastl.verify import answers as tables
from kerastl.verify import chance, checks, selection

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

TAKEN_AT_ITS_WORD = {
    "created": "the hour of the run",
    "versions": "what it was made with; config.json says the same",
    "stages": "what was done, and how long it took",
    "made": "by which command, on which machine, of which commit; config.json says the same",
    "variants.latency_ms": "the machine of the run; `kerastl benchmark` measures this one",
    "variants.eligible": "which files might be chosen",
    "variants.model": "which model each file was made from",
    "skipped": "files that are not there",
    "model_choice": "models of which the run keeps one; of the others their files are among the variants",
    "warnings": "they follow from baselines and latencies",
    "single_tasks.latency_ms": "as variants.latency_ms, of the files of single tasks",
    "heads.latency_ms, heads.agreement": "as those of variants, of the files of heads",
    "privacy.points, .attacks": "the training and who was asked about; the account is counted again",
    "control.teacher, .distilled, .alone, .seeds, .steps": "students that no run keeps; its gain follows from them",
}
"""Fields of `report.json` that nobody can measure again -> what they are of."""
_STATED = ("name", "eligible", "model", "float_score", "agreement", "max_difference", "worst_layer")
"""Of a variant's row what stays as it is stated until something else is measured."""
_MOST_VARIANTS = 1000
_SLACK = {"gzip_bytes": 0.02, "max_difference": checks.FLOAT32.max_difference, "worst_layer": 1e-4}
"""How far a number may be from the stated one: zlib packs differently from version to version, and floats of Keras and
of plain kernels differ in their last digits from machine to machine. Of bytes and layers as a share of themselves."""


class Measured:
    """What a run's files answer, and the report that follows from it.

    Args:
        run: the run, which may be anybody's.
        dataset: its data, loaded again.
        reader: runs its files.
        progress: whether each score is printed to standard error.

    Attributes:
        found: differences, in words.
        unmeasured: what could not be measured here, and why; see also `TAKEN_AT_ITS_WORD`.
    """

    def __init__(
        self, run: FinishedRun, dataset: types.Dataset, reader: tflite_file.SandboxedModel, *, progress: bool
    ) -> None:
        self._run, self._dataset, self._reader, self._progress = run, dataset, reader, progress
        self._target = dataset.task.target
        self.found: list[str] = []
        self.unmeasured: dict[str, str] = {}
        self._answers: dict[tuple[str, str], tables.Outputs] = {}
        self._stated = run.report
        self._facts: dict[str, types.FileFacts] = {}
        variants = self._stated["variants"]
        if len(variants) > _MOST_VARIANTS:
            raise ValueError(f"Wanted at most {_MOST_VARIANTS} variants. Received: {len(variants)} in {run.folder}.")
        self._rows: dict[str, dict[str, Any]] = {row["name"]: row for row in variants}

    def report(self) -> dict[str, Any]:
        """The report as files and data give it; what they do not say stands as it is stated."""
        stated, data, target, config = self._stated, self._dataset, self._target, self._run.config
        settings = config["config"]
        known: dict[str, Any] = {
            "schema": 1,
            **{key: config[key] for key in ("recipe", "tag", "versions")},
            "created": stated["created"],
            "seed": settings.get("seed"),
            "made": config.get("made", {}),
            "settings": settings if stated.get("settings") else {},
            "data": {
                "name": data.task.name,
                "digest": data.digest,
                **{split.name: len(split) for split in (data.train, data.validation, data.test)},
                "overlaps": dict(data.leakage),
            },
            "data_overview": overview.described(data),
            "task": target.kind,
            "metric": target.metric,
            "units": target.units,
            "higher_is_better": target.higher_is_better,
            "stages": stated["stages"],
            "variants": [self._row(row) for row in stated["variants"]],
            "skipped": stated["skipped"],
            "warnings": stated["warnings"],
            "accept": settings.get("accept", stated["accept"]),
            "model_choice": stated.get("model_choice", ""),
        }
        known |= self._choice(known)
        if known["chosen"] in self._rows and (answers := self.answers_of(known["chosen"], data.test)) is not None:
            details = target.details(answers, data.test.labels)
            known |= {**details, "summary": target.summary(details)}
            known |= self._selective(known["chosen"], answers)
            known["mistakes"] = self._mistakes(known, answers)
        known["baselines"] = self._baselines(stated["baselines"])
        if "drawn_from" in stated["data"] and stated["data"]["train"] <= len(data.train):
            self.unmeasured["data.train, baselines"] = "the recipe drew what it learnt from"
            known["data"] |= {"train": stated["data"]["train"], "drawn_from": len(data.train)}
            known["baselines"] = stated["baselines"]
            for row, other in zip(known["data_overview"]["counts"], stated["data_overview"]["counts"], strict=False):
                row["train"] = other["train"]
        known["control"] = self._control(stated["control"])
        if "single_tasks" in stated:
            known["single_tasks"] = self._single_tasks(stated["single_tasks"])
        if "heads" in stated:
            known["heads"] = self._heads(stated["heads"])
        if "privacy" in stated:
            train = known["data"]["train"]
            known["privacy"] = guarantee.recounted(stated["privacy"], settings=settings, examples=train)
        again = json.loads(json.dumps(known, default=atomic_files.to_json_types))
        for row, other in zip(stated["variants"], again["variants"], strict=True):
            self.found += [f"{output.printable(row['name'])}: {words}" for words in differences.unlike(row, other)]
        one, other = ({key: value for key, value in of.items() if key != "variants"} for of in (stated, again))
        self.found += [f"report.json: {words}" for words in differences.unlike(one, other)]
        return again

    def _selective(self, name: str, answers: tables.Outputs) -> dict[str, Any]:
        """What the reject option of a file gives, and whether it is that of its answers."""
        from kerastl.runs import finished

        described = self._reader.described(finished.inside(self._run.folder, self._rows[name]["file"]))
        if described is None:
            return {}
        task, held = selective.task_of(self._dataset.task, described["target"]), self._dataset.validation
        given = self.answers_of(name, held)
        if task == self._dataset.task or given is None:
            return {}
        bounds = self._run.config["config"].get("accept", self._stated["accept"]) or {}
        wanted: dict[str, Any] = {what: bounds.get(f"answer_{what}") for what in ("precision", "coverage")}
        wanted["by_class"] = bool(bounds.get("answer_by_class"))
        others, told = self._others(name, str(bounds.get("other") or "")), {"validation": given, "test": answers}
        if others is None and bounds.get("other"):  # what they said cannot be said again
            stated = self._stated.get("selective")
            return {"selective": stated} if isinstance(stated, dict) else {}
        again = single_label.with_reject_option(self._target, given, held.labels, others=others and others[0], **wanted)
        if not selective.alike(again, task.target):
            self.found.append(f"{output.printable(name)}: its reject option is not that of its answers")
        return selective.measured(task, self._dataset, told, other=others and others[1])

    def _others(self, name: str, path: str) -> tuple[Any, Any] | None:
        """The answers of a file to the two halves of what is of no class; ``None`` where there is none, or no more."""
        from kerastl.runs import finished

        try:
            found = selective.others(path, self._dataset.task.inputs)
        except (ValueError, OSError) as error:
            self.unmeasured["selective"] = f"the examples of no class that it was fitted by: {error}"
            return None
        if found is None:
            return None
        file = finished.inside(self._run.folder, self._rows[name]["file"])
        fitted, held_out = (self._reader.run(file, self._dataset.task.inputs.fed(some)) for some in found)
        return fitted, held_out

    def _mistakes(self, known: Mapping[str, Any], answers: tables.Outputs) -> dict[str, Any] | None:
        """What the chosen file gets wrong, beside the files that the report names."""
        if self._stated.get("mistakes") is None:
            return None
        named = {
            name: self.answers_of(name, self._dataset.test)
            for name in mistakes.beside(known["variants"], known["chosen"])
        }
        others = {name: given for name, given in named.items() if given is not None}
        return mistakes.described(self._dataset.test, {known["chosen"]: answers, **others}, chosen=known["chosen"])

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """One variant: what can be read off its file, and what it answers."""
        from kerastl.runs import finished

        name, path = row["name"], finished.inside(self._run.folder, row["file"])
        if not path.is_file():
            return dict(row)  # the digests have said so
        again = {key: row[key] for key in _STATED} | {"file": f"variants/{name}.tflite"}
        again["latency_ms"] = dataclasses.asdict(types.Latency(**row["latency_ms"]))
        needed = dataclasses.asdict(runtimes.needed(packing.unpack(path.read_bytes())))
        again["min_runtime"] = row["min_runtime"] and needed
        facts, described = self._reader.facts(path), self._reader.described(path)
        self._facts[name] = facts
        again |= rows.of_facts(facts)
        technique = "" if described is None else described["description"].removeprefix(f"{described['name']}, ")
        again["technique"] = technique
        validation, test = (self.score(name, path, split) for split in (self._dataset.validation, self._dataset.test))
        again |= rows.of_validation(validation)
        again |= {"score": test.value, "score_low": test.low, "score_high": test.high}
        again |= self._agreement(row)
        again["worst_layer"] = self._worst_layer(row, path)
        if row["model"] not in ("", "model.keras", *self._rows):
            again["model"] = name
        return _within_slack(row, again)

    def score(self, name: str, path: Path, split: types.Split) -> types.Score:
        """A file's score; its answers are kept under the name."""
        found = predict_split(self._reader, path, split)
        self._answers[name, split.name] = found
        score = self._target.score(found, split.labels)
        if self._progress:
            units = self._target.units
            words = f"{score.value:.4%}" if units == "%" else f"{phrases.plain(score.value, digits=6)} {units}".rstrip()
            print(f"{output.printable(name)}: {words} on {split.name}", file=sys.stderr)
        return score

    def answers_of(self, name: str, split: types.Split) -> tables.Outputs | None:
        """A file's answers, where there is such a file."""
        if (name, split.name) not in self._answers and name in self._rows:
            from kerastl.runs import finished

            path = finished.inside(self._run.folder, self._rows[name]["file"])
            if not path.is_file():
                return None
            self._answers[name, split.name] = predict_split(self._reader, path, split)
        return self._answers.get((name, split.name))

    def _reference(self, row: Mapping[str, Any]) -> str | None:
        """Name of the float32 file that was made from the same model."""
        same = (one for one in self._stated["variants"] if row["model"] and one["model"] == row["model"])
        return next((one["name"] for one in same if one["technique"] == "float32"), None)

    @functools.cache  # noqa: B019  it lives as long as one verification
    def _kept(self, split_name: str) -> tables.Outputs | None:
        """The answers of `model.keras` to a split; ``None`` where it cannot be asked."""
        split = {one.name: one for one in (self._dataset.validation, self._dataset.test)}[split_name]
        try:
            from kerastl.training import fitting

            return fitting.predict(self._run.model, split.inputs, task=split.task)
        except (ModuleNotFoundError, FileNotFoundError) as error:
            self.unmeasured["model.keras"] = f"float32 files stand for it: {error}"
        except ValueError as error:
            words = f"model.keras: cannot be asked: {error}"
            self.found += [] if words in self.found else [words]
        return None

    def _agreement(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Against the model that the file was made from: the run's own, else the float32 file of the same one."""
        name, split, target = row["name"], self._dataset.test, self._target
        expected = self._kept(split.name) if row["model"] == "model.keras" else None
        exact, reference = expected is not None, self._reference(row)
        if expected is None and reference not in (None, name):
            expected = self.answers_of(str(reference), split)
        if expected is None:
            keys = "float_score, agreement, max_difference"
            self.unmeasured[f"{keys} of {name}"] = "the run does not keep the model that the file was made from"
            return {}
        given = self._answers[name, split.name]
        again = {
            "float_score": target.score(expected, split.labels).value,
            "agreement": float(np.mean(target.agree(given, expected))),
            "max_difference": float(target.difference(given, expected).max()),
        }
        # the float32 file stands for its model as far as its own proof lets it
        few = max(1 / len(split), 1 - checks.FLOAT32.agreement)
        if not exact and abs(again["agreement"] - row["agreement"]) <= few:
            again["agreement"] = row["agreement"]
        moved = abs(target.drop(again["float_score"], row["float_score"]))
        if moved <= (1e-6 if exact else few):
            again["float_score"] = row["float_score"]
        return again

    def _worst_layer(self, row: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
        """Of a file from post-training quantization the layer that is furthest from the float32 file's."""
        from kerastl.runs import finished

        reference = self._reference(row)
        if reference in (None, row["name"]) or not (row["worst_layer"] or row["technique"].startswith("post-training")):
            if row["worst_layer"]:
                self.unmeasured[f"worst_layer of {row['name']}"] = "there is no float32 file of the same model"
            return row["worst_layer"]
        other = finished.inside(self._run.folder, self._rows[str(reference)]["file"])
        held: Any = self._dataset.validation.take(100).inputs
        examples: Any = held if isinstance(held, Mapping) else held[:]
        errors = self._reader.layers(path, other, inputs=self._dataset.task.inputs.fed(examples))
        return dataclasses.asdict(max(errors, key=lambda one: one.error))

    def _choice(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Chosen file, reason and Pareto front: by the measured scores, at the stated latencies."""
        keys = ("chosen", "why", "within_budget", "frontier", "budget", "ties")
        stated = {key: self._stated[key] for key in keys if key in self._stated}
        accept = known["accept"]
        if accept is None:
            self.unmeasured["chosen, why, frontier"] = "the report states no bounds that the choice was made by"
            return stated
        try:
            bounds = acceptance.Acceptance(**accept)
        except (TypeError, ValueError) as error:
            self.found.append(f"report.json: accept: {error}")
            return stated
        held, target = self._dataset.validation, self._target
        kept = [row for row in self._rows.values() if row["model"] == "model.keras"]
        float32 = next((row["name"] for row in kept if row["technique"] == "float32"), None)
        expected = self._kept(held.name)
        expected = self.answers_of(float32, held) if expected is None and float32 else expected
        eligible = [self._variant(row) for row in known["variants"] if row["eligible"]]
        if expected is None or None in eligible:
            self.unmeasured["chosen, why, frontier"] = "neither model.keras nor a float32 file of it can be asked"
            return stated
        own = chance.Answered.of(target, expected, held.labels)
        try:
            choice = acceptance.choose([one for one in eligible if one], target=target, accept=bounds, own=own)
            frontier = verify.pareto_front([one for one in eligible if one], target=target)
        except ModuleNotFoundError as error:
            self.unmeasured["chosen, why, frontier"] = str(error)
            return stated
        except verify.VerificationError as error:
            self.found.append(f"report.json: chosen: {error}")
            return stated
        found = {"chosen": choice.name, "why": choice.why, "within_budget": list(choice.within)}
        same = selection.ties([one for one in eligible if one], choice.name, target=target)
        found |= {"frontier": list(frontier), "ties": list(same)}
        return found | {"budget": selection.budget(target, own.score, allowed=bounds.max_score_drop)}

    def _variant(self, row: Mapping[str, Any]) -> types.Variant | None:
        """A row as it is chosen from; ``None`` where its file is missing."""
        name, held = row["name"], self._dataset.validation
        given = self.answers_of(name, held)
        if name not in self._facts or given is None:
            return None
        facts, score = self._facts[name], self._target.score(given, held.labels)
        errors = chance.Answered.of(self._target, given, held.labels).errors
        found = types.Verification(score, row["float_score"], row["agreement"], row["max_difference"], errors)
        integer = not facts.operators.float and not facts.operators.flex
        artifact = types.Artifact(name, row["technique"], self._run.folder / row["file"], integer=integer)
        return types.Variant(artifact, facts, types.Latency(**row["latency_ms"]), found, found)

    def _baselines(self, stated: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the chosen file has to beat: by the data, and by those files of the run that are named among it."""
        if not stated:
            return stated
        try:
            from kerastl.runs import baselines

            found = baselines.measured(self._dataset)
        except ModuleNotFoundError as error:
            self.unmeasured["baselines"] = str(error)
            return stated
        for row in stated:
            if row["name"] in self._rows:
                scores = {}
                for key, split in (("validation_score", self._dataset.validation), ("score", self._dataset.test)):
                    answers = self.answers_of(row["name"], split)
                    scores[key] = row[key] if answers is None else self._target.score(answers, split.labels).value
                found.append({"name": row["name"], **scores})
        return found

    def _control(self, stated: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What a teacher gave, out of the stated scores of students that are not kept."""
        if stated is None:
            return None
        from kerastl.verify import baseline

        distilled, alone = ([one["score"] for one in stated[key]] for key in ("distilled", "alone"))
        try:
            found = baseline.recovered_gap(
                teacher=stated["teacher"]["score"],
                distilled=distilled,
                alone=alone,
                units=self._target.units,
                higher_is_better=self._target.higher_is_better,
            )
        except ModuleNotFoundError as error:
            self.unmeasured["control.gain"] = str(error)
            return dict(stated)
        keys = ("teacher", "distilled", "alone", "seeds", "steps")
        return {**{key: stated[key] for key in keys}, **dataclasses.asdict(found)}

    def _single_tasks(self, stated: Mapping[str, Any]) -> dict[str, Any]:
        """What the files of single tasks answer and weigh, beside the chosen one's; latencies as they are stated."""
        from kerastl.runs import finished, single_tasks

        files = {row["name"]: f"{single_tasks.FOLDER}/{row['name']}.tflite" for row in stated["rows"]}
        files[""] = str(self._rows[self._stated["chosen"]]["file"])
        paths = {name: finished.inside(self._run.folder, file) for name, file in files.items()}
        if missing := [files[name] for name, path in paths.items() if not path.is_file()]:
            self.unmeasured["single_tasks"] = f"{', '.join(missing)} is not there"  # the digests have said so
            return dict(stated)
        times = {row["name"]: float(row["latency_ms"]) for row in stated["rows"]}
        return single_tasks.described(
            self._dataset,
            answers=lambda name, split: predict_split(self._reader, paths[name], split),
            sizes={name: path.stat().st_size for name, path in paths.items()},
            latencies={**times, "": float(stated["latency_ms"])},
        )

    def _heads(self, stated: Mapping[str, Any]) -> dict[str, Any]:
        """What the file of each head weighs and scores; latencies and agreement as they are stated."""
        from kerastl.runs import finished, head_files

        names = [str(row["name"]) for row in stated["rows"]]
        paths = {one: finished.inside(self._run.folder, f"{head_files.FOLDER}/{one}.tflite") for one in names}
        if not all(path.is_file() for path in paths.values()):
            self.unmeasured["heads"] = "a file is not there"  # the digests have said so
            return dict(stated)
        kept = {key: {row["name"]: float(row[key]) for row in stated["rows"]} for key in ("latency_ms", "agreement")}
        return head_files.described(
            self._dataset,
            answers=lambda name, split: predict_split(self._reader, paths[name], split),
            paths=paths,
            latencies=kept["latency_ms"],
            agreements=kept["agreement"],
        )


def predict_split(reader: tflite_file.SandboxedModel, path: Path, split: types.Split) -> tables.Outputs:
    """A file's answers to a split, in parts: what is made of lazy inputs need not fit into memory at once."""
    kind, parts = split.task.inputs, []
    for start in range(0, len(split), 1000):
        some: Any = split.subset(slice(start, start + 1000)).inputs
        examples: Any = some if isinstance(some, Mapping) else some[:]  # what is lazy is read here
        parts.append(reader.run(path, kind.fed(examples)))
    return tables.concatenated(parts)


def _within_slack(stated: Mapping[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """The row with the stated numbers where what was measured is as near as another machine may be."""
    gzip, most = _SLACK["gzip_bytes"], _SLACK["max_difference"]
    if abs(again["gzip_bytes"] - stated["gzip_bytes"]) <= gzip * again["gzip_bytes"]:
        again["gzip_bytes"] = stated["gzip_bytes"]
    if abs(again["max_difference"] - stated["max_difference"]) <= most * max(1.0, abs(again["max_difference"])):
        again["max_difference"] = stated["max_difference"]
    one, other = again["worst_layer"], stated["worst_layer"]
    if one and other and one["layer"] == other["layer"]:
        near = (abs(one[key] - other[key]) <= _SLACK["worst_layer"] for key in ("error", "clipped"))
        again["worst_layer"] = other if all(near) else one
    return again
