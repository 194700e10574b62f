"""The README's table of results, from `report.json` files and nothing else.

    python benchmarks/tools/results_table.py           prints the table of saved_models/*/default and */seed-N
    python benchmarks/tools/results_table.py --write   puts it between the markers of README.md and README.zh-CN.md
    python benchmarks/tools/results_table.py FILE...   of these report.json files

Rows of runs whose reports are not given stay as they are in README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEADER = (
    "| recipe | chosen file | bytes | test accuracy (95 % interval) | float model | times smaller than the teacher "
    "| one inference | trained in |\n|---|---|---:|---:|---:|---:|---:|---:|"
)


def row(report: dict[str, Any]) -> str:
    """One line of the table."""
    variants = {variant["name"]: variant for variant in report["variants"]}
    chosen = variants[report["chosen"]]
    teachers = [one["bytes"] for name, one in variants.items() if name.split("_")[0] == "teacher" and one is not chosen]
    smaller = f"{max(teachers) / chosen['bytes']:.0f}" if teachers else ""
    minutes, seconds = divmod(round(sum(stage["seconds"] for stage in report["stages"])), 60)
    name = report["recipe"] if report["tag"] == "default" else f"{report['recipe']} ({report['tag']})"
    return (
        f"| `{name}` | {chosen['name']} | {chosen['bytes']:,} "
        f"| {100 * chosen['score']:.2f} % ({100 * chosen['score_low']:.2f} to {100 * chosen['score_high']:.2f}) "
        f"| {100 * chosen['float_score']:.2f} % | {smaller} | {1000 * chosen['latency_ms']['median']:.0f} µs "
        f"| {minutes} min {seconds:02d} s |"
    )


def table(paths: Sequence[Path], *, page: str = "") -> str:
    """The whole table, by name; of runs that are not among the paths, as it stands in the page."""
    before = page.partition(BEGIN)[2].partition(END)[0].splitlines()
    lines = [line for line in before if line.startswith("| `")]
    lines += [row(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    by_name = {line.split("|")[1]: line for line in lines}
    return "\n".join([HEADER, *(by_name[name] for name in sorted(by_name))])


def put(text: str, content: str) -> str:
    """A page with what stands between its markers replaced. Raises `ValueError` where a marker is missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"The page needs the markers {BEGIN} and {END}, each once.")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="put the table into both READMEs")
    options = parser.parse_args()
    runs = ROOT / "saved_models"
    paths = options.files or sorted([*runs.glob("*/default/report.json"), *runs.glob("*/seed-*/report.json")])
    if not paths:
        parser.error("no report.json in saved_models/*/default or */seed-N: run the recipes first")
    if not options.write:
        print(table(paths))
        return
    readme = ROOT / "README.md"
    page = readme.read_text(encoding="utf-8")
    content = table(paths, page=page)
    print(content)
    for page_of_a_language in (readme, ROOT / "README.zh-CN.md"):
        text = page_of_a_language.read_text(encoding="utf-8")
        page_of_a_language.write_text(put(text, content), encoding="utf-8")


if __name__ == "__main__":
    main()
