"""The tutorials: notebooks in step with their source, executed without an error, the same code in both languages."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("make_tutorials", ROOT / "tutorials" / "make.py")
assert _spec is not None
assert _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)
NAMES = make.names()
BOTH = [(name, language) for name in NAMES for language in make.LANGUAGES]


def read(name: str, language: str) -> nbformat.NotebookNode:
    return nbformat.read(make.LANGUAGES[language] / f"{name}.ipynb", as_version=4)


def code(made: nbformat.NotebookNode) -> list:
    return [cell for cell in made.cells if cell.cell_type == "code"]


def test_every_notebook_has_its_source_and_its_line_in_the_index():
    assert len(NAMES) >= 10
    for language, folder in make.LANGUAGES.items():
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == NAMES, language
        index = (folder / "README.md").read_text(encoding="utf-8")
        assert re.findall(r"\]\((\d\d_\w+)\.ipynb\)", index) == NAMES


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_a_notebook_is_in_step_with_its_source(name, language):
    kept, wanted = read(name, language), make.notebook(name, language=language)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in wanted.cells
    ], f"run `python tutorials/make.py {name}`"
    nbformat.validate(kept)


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_every_cell_was_executed_in_order_and_none_raised(name, language):
    path = make.LANGUAGES[language] / f"{name}.ipynb"
    kept = read(name, language)
    assert [cell.execution_count for cell in code(kept)] == list(range(1, len(code(kept)) + 1))
    kinds = [output.output_type for cell in code(kept) for output in cell.outputs]
    assert "error" not in kinds
    assert "display_data" in kinds, "a tutorial has plots"
    assert path.stat().st_size <= make.MOST_BYTES
    text = path.read_text(encoding="utf-8")
    assert "/tmp/" not in text
    assert "/root/" not in text


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_hold_the_same_code_results_and_sections(name):
    english, chinese = read(name, "en"), read(name, "zh")
    assert [(cell.source, cell.outputs) for cell in code(english)] == [
        (cell.source, cell.outputs) for cell in code(chinese)
    ]
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in chinese.cells]
    prose = [cell for cell in chinese.cells[1:] if cell.cell_type == "markdown"]
    assert all(re.search(r"[\u4e00-\u9fff]", cell.source) for cell in prose)
    for pattern in (r"(?m)^#+ ", r"(?m)^\| ", r"(?m)^- ", r"\$\$"):
        count = [len(re.findall(pattern, "\n".join(cell.source for cell in one.cells))) for one in (english, chinese)]
        assert count[0] == count[1], pattern


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_results_lie_where_the_text_says(name, language):
    kept = read(name, language)
    make.check_results(kept)
    minutes = re.search(r"about (\d+) minutes|大约需要 (\d+) 分钟", kept.cells[1].source)
    assert minutes is not None
    stated = int(minutes[1] or minutes[2])
    assert stated <= 5
    assert kept.metadata["kerastl"]["processor_seconds"] <= 2 * 60 * stated, "on two cores"


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_ends_with_what_goes_wrong_and_what_to_try(name):
    for language, wanted in (("en", ("What goes wrong", "What to try next")), ("zh", ("会出什么问题", "接下来试什么"))):
        headings = re.findall(r"(?m)^## (.+)$", "\n".join(cell.source for cell in read(name, language).cells))
        assert tuple(headings[-2:]) == wanted


def test_a_result_outside_its_range_is_refused():
    made = read(NAMES[0], "en")
    last = code(made)[-1].outputs[-1]
    last.text = re.sub(r"[\d.]+$", "0.5", last.text.rstrip()) + "\n"
    with pytest.raises(ValueError, match=r"convolutional network: 0\.5 is not in"):
        make.check_results(made)
    last.text = last.text.partition("\n")[0] + "\n"
    with pytest.raises(ValueError, match="Received: 1 results"):
        make.check_results(made)


def test_what_was_executed_is_kept_where_it_is_refused(monkeypatch, tmp_path, capsys):
    made, before = read(NAMES[0], "en"), read(NAMES[0], "en")
    code(made)[-1].outputs[-1].text = "relative error 0.5\n"
    monkeypatch.setattr(make, "REFUSED", tmp_path)
    monkeypatch.setattr(make, "execute", lambda name: made if name == NAMES[0] else read(name, "en"))
    written = []
    wanted = make._write
    monkeypatch.setattr(
        make, "_write", lambda made, name: written.append(name) or (name == NAMES[0] and wanted(made, name))
    )
    assert make.main([NAMES[0], NAMES[1]]) == 1
    assert written == NAMES[:2], "the others are made all the same"
    said = capsys.readouterr().err
    assert said.startswith(f"{NAMES[0]} is not written: Wanted a result in each of the 4 promised ranges.")
    assert f"What was executed: {tmp_path / NAMES[0]}.ipynb." in said
    assert nbformat.read(tmp_path / f"{NAMES[0]}.ipynb", as_version=4).cells == made.cells
    assert read(NAMES[0], "en").cells == before.cells


def test_a_committed_notebook_has_no_colours_of_a_terminal():
    text = "".join((make.LANGUAGES["en"] / f"{name}.ipynb").read_text(encoding="utf-8") for name in NAMES)
    assert "\\u001b" not in text
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text="\x1b[1;33mlate\x1b[0m\n")])
    (tidy,) = make.tidied(nbformat.v4.new_notebook(cells=[cell])).cells
    assert tidy.outputs[0].text == "late\n"


def test_a_cell_that_raises_is_kept_as_well(monkeypatch, tmp_path):
    cell = nbformat.v4.new_code_cell("print('so far')\n1 / 0")
    monkeypatch.setattr(make, "REFUSED", tmp_path)
    monkeypatch.setattr(make, "notebook", lambda name, language: nbformat.v4.new_notebook(cells=[cell]))
    with pytest.raises(make._raised()[0], match="ZeroDivisionError") as caught:
        make.execute("mine")
    assert caught.value.__notes__ == [f"What was executed of it: {tmp_path / 'mine.ipynb'}."]
    (kept,) = nbformat.read(tmp_path / "mine.ipynb", as_version=4).cells
    assert [output.output_type for output in kept.outputs] == ["stream", "error"]


def test_text_alone_may_change_but_not_code(monkeypatch):
    kept = make.source(NAMES[0])
    code(kept)[0].source += "\nexamples = 7"
    monkeypatch.setattr(make, "source", lambda name: kept)
    with pytest.raises(ValueError, match="has changed since it was executed"):
        make.write(NAMES[0], text_only=True)


def test_chinese_lines_are_joined_without_blanks():
    assert make._joined("数据，\n一批（batch）\n图片\n\n## 标题") == "数据，一批（batch）图片\n\n## 标题"
    assert make._joined("用 AdamW\n训练") == "用 AdamW\n训练"
    assert make._joined("- 一项，\n  还是它\n- 二") == "- 一项，还是它\n- 二"


def test_there_is_no_tutorial_of_another_name():
    with pytest.raises(FileNotFoundError, match=f"Available: {NAMES[0]}"):
        make.source("99_none")


def test_the_first_tutorial_runs_at_small_sizes(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    scope = make.run_as_script(NAMES[0])
    assert scope["worst"] < 1e-6
    assert len(scope["train"]) == 600


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_runs_in_full(name):
    make.check_results(make.execute(name))
