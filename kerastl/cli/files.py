"""`benchmark`, `audit`, `fetch`: one file or one data set at a time."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerastl.system import near_names, output

if TYPE_CHECKING:
    import numpy as np

    from kerastl.types import Finding


def benchmark(*, files: list[str], threads: int, as_json: bool) -> int:
    """Prints size, operators, sparsity and latency of TFLite files.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is no TFLite file, or threads below 1.
    """
    if threads < 1:
        raise ValueError(f"An interpreter needs one thread at least. Received: --threads {threads}.")
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        inside = [file for folder in missing for file in sorted(Path(folder).glob("**/*.tflite"))[:20]]
        hint = f" Files inside: {' '.join(map(shlex.quote, map(str, inside)))}." if inside else ""
        raise FileNotFoundError(f"There is no file {', '.join(missing)}.{hint}")
    import kerastl

    rows = []
    with kerastl.untrusted.tflite_file.SandboxedModel() as reader:  # the file may be anybody's
        for file in files:
            facts = reader.facts(file)
            latency = reader.latency(file, threads=threads)
            rows.append({"file": file, **dataclasses.asdict(facts), "latency_ms": dataclasses.asdict(latency)})
    if as_json:
        print(json.dumps(rows, indent=2, default=dict))
        return 0
    for row in rows:
        operators, latency = row["operators"], kerastl.types.Latency(**row["latency_ms"])
        types = ", ".join(f"{name} {count}" for name, count in sorted(operators["by_type"].items()))
        print(row["file"])
        print(f"  size        {row['bytes']:,} bytes, {row['gzip_bytes']:,} gzipped")
        print(f"  weights     {row['parameters']:,}, {row['sparsity']:.1%} of the kernels' zero")
        print(
            f"  operators   {operators['total']}: {operators['integer']} integer, {operators['float']} float, "
            f"{operators['flex']} flex ({types})"
        )
        for name, tensor in [(side, tensor) for side in ("inputs", "outputs") for tensor in row[side]]:
            scale = (
                "" if tensor["scale"] is None else f", scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}"
            )
            print(f"  {name[:-1]:<10}  {tensor['name']}: {tensor['dtype']} {list(tensor['shape'])}{scale}")
        print(
            f"  latency     median {latency.median:.3f} ms, p95 {latency.p95:.3f} ms ({latency.measured}, "
            f"{latency.runs} runs, rounds {latency.spread:.0%} apart)"
        )
        if latency.is_wide:
            print(f"  warning     {latency.warning}")
    return 0


def audit(
    *,
    path: str,
    quick: bool,
    model: str | None,
    as_json: bool,
    page: str | None = None,
    **flags: str | tuple[str, ...] | None,
) -> int:
    """Prints everything wrong with a data set, or what is in a model and everything suspicious in it.

    Args:
        path: of the data, or the model.
        quick: without a look for near duplicates.
        model: a finished run, or of arrays a model, that says which labels it doubts.
        as_json: for programs.
        page: a file to write the doubtful labels of pictures or sentences into, as a page; a table beside it.
        flags: how the data is read, see `data.reading.from_flags`.

    Returns:
        1 if any of it is an error and not only a warning: a model with one would be refused.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a model given for what is no array file and no run's kind of data, or nothing that can be read.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if page is not None and model is None:
        raise ValueError(f"--page shows the labels that a run doubts: --model RUN. Received: --page {page} alone.")
    import kerastl

    models = kerastl.untrusted.model_file
    if models.kind_of(Path(path)) is not None:
        if model is not None:
            raise ValueError(f"--model goes with a data set. Received: the model {path}.")
        with models.SandboxedModel() as reader:
            found = reader.audit(path)
    else:
        options = kerastl.data.reading.from_flags(flags)
        speakers = {name: options.pop(name) for name in ("group_column", "group_pattern") if name in options}
        arrays = kerastl.inputs.array_file.is_array(Path(path))
        doubted = []
        if model is not None and not arrays:  # not after minutes of audit
            doubted = _doubts_of_run(path, model, page=page, options=options)
        elif page is not None:
            raise ValueError(f"--page shows pictures or sentences. Received: the arrays {path}; leave it out.")
        found = kerastl.data.audit.audit(Path(path), near=not quick, **options, **speakers) + doubted
        if model is not None and arrays:
            found += _doubts(path, model)
    findings = [dataclasses.asdict(finding) for finding in found]
    if as_json:
        print(json.dumps(findings, indent=2, default=str))
    else:
        for finding in findings:
            print(f"{finding['severity']:<7}  {finding['where']}: {finding['what']}")
        wrong = sum(finding["severity"] != "note" for finding in findings)
        print(f"{wrong} finding(s) in {path}" if wrong else f"nothing wrong found in {path}")
    return 1 if any(finding["severity"] == "error" for finding in findings) else 0


def _doubts_of_run(path: str, model: str, *, page: str | None, options: dict[str, Any]) -> list[Finding]:
    """The labels of pictures or of sentences that a finished run doubts; a page and a table of them where wanted."""
    import kerastl

    if not Path(model, "mobile", "model.tflite").is_file():
        raise ValueError(
            "--model goes with an array file (.npz, .npy, idx), or is a finished run of the pictures or sentences. "
            f"Received: {path} and {model}, which is no folder of a finished run."
        )
    run = kerastl.open(model)
    found = kerastl.runs.label_doubts.find(path, run, **options)
    if page is not None:
        table = found.write(page, kind=run.task.inputs)
        print(f"page: {output.printable(page)}, table: {output.printable(str(table))}", file=sys.stderr)
    return list(found.findings())


def _doubts(path: str, model: str) -> list[Finding]:
    """The labels of an array file that a finished run, or a model, doubts."""
    import kerastl

    doubtful = kerastl.data.audit.doubtful_labels
    if Path(model, "mobile", "model.tflite").is_file():  # its file says itself what it takes and what it answers
        run = kerastl.open(model)
        if run.task.target.served_activation() != "softmax":
            raise ValueError(
                f"Labels of one class an example are doubted by a model of such. Received: {model}, for "
                f"{run.task.target.kind}."
            )
        return doubtful(path, run.answers)
    models = kerastl.untrusted.model_file
    if models.kind_of(Path(model)) is None:
        raise FileNotFoundError(f"{model} is neither a finished run nor a model.")
    with models.SandboxedModel() as reader:
        return doubtful(path, lambda inputs: _probabilities(reader.run(model, inputs)))


def _probabilities(answers: np.ndarray) -> np.ndarray:
    """Answers as probabilities ``(examples, classes)``: a model that was not exported yet ends in logits."""
    if answers.ndim != 2 or (answers.min() >= 0 and answers.max() <= 1):
        return answers
    import numpy as np

    powers = np.exp(answers - answers.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def sources() -> dict[str, str]:
    """Data sets and weights that can be fetched, and the module of each: one with a `fetch()` that needs nothing."""
    found = {}
    for family in ("data", "models/pretrained", "export/browser"):
        for path in sorted((Path(__file__).resolve().parents[1] / family).glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name == "fetch":
                    needed = len(node.args.posonlyargs + node.args.args) - len(node.args.defaults)
                    needed += sum(default is None for default in node.args.kw_defaults)
                    if needed == 0:
                        found[path.stem] = f"kerastl.{family.replace('/', '.')}.{path.stem}"
    return found


def fetch(*, name: str) -> int:
    """Gets a data set or weights into the cache and prints where they lie.

    Raises:
        ValueError: an unknown name; near names are offered.
        FileNotFoundError: none of its sources could be reached.
    """
    names = sources()
    if name not in names:
        raise ValueError(
            f"There is nothing called {name!r} to fetch.{near_names.did_you_mean(name, list(names))} "
            f"Available: {', '.join(names)}."
        )
    print(importlib.import_module(names[name]).fetch())
    return 0
