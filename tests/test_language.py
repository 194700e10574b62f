"""The field's terms: the glossary's places exist, and public names, headings and help texts keep to the language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BANNED = frozenset({"stranger", "strangers", "lesson", "lessons", "twin", "twins", "told", "heard", "taught"})
AS_A_NAME = BANNED | {"several"}
OLD = frozenset(
    re.findall(
        r"\w+",
        "Answers AsOne ByClass Child Clusters Course Curves Feature FiniteWatch Labels Mistakes MovingAverage "
        "NoRoomError PositiveWeights Recovered Several Shrunk Soft Streamed answered as_fed as_one balanced_weights "
        "cheapest correlation_distance decoupled_kullback_leibler freeze_statistics gap_recovered in_turns "
        "labels_and_answers laid_flat nearest_answers optimal_brain put_head run_file ship "
        "soft_label_mean_squared_error standardized_kullback_leibler temperature_kullback_leibler",
    )
)
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")),
)


def sources() -> Iterator[Path]:
    for path in sorted((ROOT / "kerastl").rglob("*.py")):
        if "metadata_schema" not in path.parts:  # generated from TensorFlow's schema
            yield path


def words(text: str) -> set[str]:
    """``"makeTwin_of"`` -> ``{"make", "twin", "of"}``."""
    return set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", text).lower()))


def defined(body: list[ast.stmt], *, arguments: bool = False) -> Iterator[str]:
    """Names that a module or class defines, with the arguments of its public functions where asked for."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
            if node.name.startswith("_") or not arguments:
                continue
            if isinstance(node, ast.ClassDef):
                yield from defined(node.body, arguments=True)
            else:
                yield from (each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def public(path: Path) -> list[str]:
    names = defined(ast.parse(path.read_text(encoding="utf-8")).body, arguments=True)
    return [name for name in names if not name.startswith("_")]


def helps(path: Path) -> list[str]:
    """What a file of the command line gives argparse as ``help=``, ``description=`` or ``metavar=``."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    spoken = (key.value for call in calls for key in call.keywords if key.arg in ("help", "description", "metavar"))
    return [
        " ".join(
            part.value for part in ast.walk(value) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )
        for value in spoken
    ]


def test_public_names_keep_to_the_language():
    names = [(path.relative_to(ROOT), name) for path in sources() for name in public(path)]
    assert len(names) > 1500
    assert [(str(path), name) for path, name in names if words(name) & AS_A_NAME or name in OLD] == []


def test_headings_keep_to_the_language():
    headings = [
        line
        for page in PAGES
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
        if re.match(r"#+ ", line)
    ]
    sections = sorted((ROOT / "kerastl/runs/page/sections").glob("*.html"))
    assert len(sections) >= 12
    for section in sections:
        headings += re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", section.read_text(encoding="utf-8"))
    assert len(headings) > 35
    assert [heading for heading in headings if words(heading) & BANNED or "everal lesson" in heading] == []


def test_help_texts_keep_to_the_language():
    texts = [text for path in sorted((ROOT / "kerastl/cli").glob("*.py")) for text in helps(path)]
    assert len(texts) > 30
    assert [text for text in texts if words(text) & BANNED] == []


@pytest.mark.parametrize("name", ["make_twin", "Lessons", "severalAtOnce", "MovingAverage"])
def test_a_banned_name_is_found(name, tmp_path):
    (tmp_path / "module.py").write_text(f"class Room:\n    def ask(self, *, {name}): ...\n")
    assert [one for one in public(tmp_path / "module.py") if words(one) & AS_A_NAME or one in OLD] == [name]


def entries() -> list[tuple[str, str, str]]:
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \| `(.+?)` \|$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"))
    return [(term, meaning, place) for term, meaning, place in rows]


def test_the_glossary_is_whole_and_in_order():
    terms = [term for term, _, _ in entries()]
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    assert len(terms) == sum(line.startswith("| ") for line in lines) - 1  # the head of the table
    assert len(terms) >= 60
    assert terms == sorted(set(terms), key=str.lower)


@pytest.mark.parametrize(("term", "meaning", "place"), entries())
def test_a_term_of_the_glossary_is_where_it_says(term, meaning, place):
    assert meaning.endswith(".")
    assert not words(term + " " + meaning) & BANNED
    folder = ROOT / place.replace(".", "/")
    if folder.with_suffix(".py").is_file():
        return
    *parts, name = place.split(".")
    module = ROOT.joinpath(*parts).with_suffix(".py")
    assert module.is_file(), f"{term}: no module {'.'.join(parts)}"
    assert name in set(defined(ast.parse(module.read_text(encoding="utf-8")).body)), f"{term}: no {place}"
