"""Ways to say the same: flags on either side, `help`, `python -m kerastl`, and what a shell completes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kerastl import cli
from kerastl.cli import completion, running
from kerastl.runs import recipes

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
RECIPE = '''
"""One that writes down what it was given."""
import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    quick: bool = False

    @classmethod
    def smoke(cls):
        return cls(quick=True)


def run(config, folder):
    folder.mkdir(parents=True)
    (folder / "given.json").write_text(json.dumps(dataclasses.asdict(config)))
'''


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_recipe.py").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "tag", "given"),
    [
        (["my_recipe.py", "--smoke", "--seed", "3"], "smoke", {"seed": 3, "quick": True}),
        (["--smoke", "my_recipe.py", "--seed", "3"], "smoke", {"seed": 3, "quick": True}),
        (["--smoke", "--seed", "3", "my_recipe.py"], "smoke", {"seed": 3, "quick": True}),
        (["--seed=3", "--tag", "mnist_cnn", "my_recipe.py"], "mnist_cnn", {"seed": 3, "quick": False}),
        (["--quick", "my_recipe.py"], "default", {"seed": 0, "quick": True}),
    ],
)
def test_flags_stand_before_or_behind_the_recipe(here, words, tag, given):
    assert cli.main(["run", *words]) == 0
    assert json.loads((here / "saved_models" / "my_recipe" / tag / "given.json").read_text()) == given


def test_a_recipe_is_found_by_its_name_behind_flags():
    for name in ("mnist_cnn", "kerastl.recipes.mnist_cnn", "recipes.mnist_cnn"):
        assert running._recipe_among(["--seed", "3", name, "--smoke"]) == (name, ["--seed", "3", "--smoke"])
    assert running._recipe_among(["mnist_cnn", "--data", "my.py"]) == ("mnist_cnn", ["--data", "my.py"])


def test_flags_of_other_commands_stand_anywhere(here, capsys):
    np.savez("set.npz", inputs=np.random.default_rng(0).random((20, 4)), labels=np.arange(20) % 2)
    audits = (["--quick", "set.npz", "--json"], ["set.npz", "--json", "--quick"], ["--json", "--quick", "set.npz"])
    for words in (["list", "--json"], *(["audit", *words] for words in audits)):
        assert cli.main(words) == 0
        json.loads(capsys.readouterr().out)
    (here / "a.tflite").write_bytes(b"")
    assert cli.main(["benchmark", "--threads", "0", "a.tflite", "--json", "a.tflite"]) == 1
    assert "one thread at least" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.main(["list", "more"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: more" in capsys.readouterr().err


def said(words: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["help"], ["--help"]),
        (["help", "audit"], ["audit", "--help"]),
        (["help", "run"], ["run", "--help"]),
        (["help", "help"], ["help", "--help"]),
        (["help", "mnist_cnn"], ["run", "mnist_cnn", "--help"]),
        (["help", "run", "mnist_cnn"], ["run", "mnist_cnn", "--help"]),
        (["run", "--help", "mnist_cnn"], ["run", "mnist_cnn", "--help"]),
    ],
)
def test_help_is_the_same_before_and_behind(words, same, capsys):
    expected = said(same, capsys)
    assert "usage" in expected.lower()
    assert said(words, capsys) == expected


def test_it_runs_as_a_module_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "kerastl", "list"], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "mnist_mobile" in done.stdout
    done = subprocess.run([sys.executable, "-m", "kerastl", "lst"], env=ENVIRONMENT, cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
    import kerastl

    assert "__main__" not in dir(kerastl), "naming it would run the command"


def test_every_word_of_the_parser_is_offered():
    commands = cli.commands()
    assert set(completion.candidates([""])) >= set(commands) | {"--help", "--version"}
    assert completion.candidates(["ver"]) == ["verify"]
    for name, parser in commands.items():
        flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
        assert set(completion.candidates([name, "--"])) >= flags, name
    assert completion.candidates(["nonsense", ""]) == []


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["run", "mnist_c"], ["mnist_cnn"]),
        (["run", "--smoke", "mnist_c"], ["mnist_cnn"]),
        (["run", "--tag", "mnist_c"], []),
        (["run", "mnist_cnn", ""], []),
        (["show", "mnist_m"], ["mnist_mobile"]),
        (["copy", "mnist_mobile", ""], []),
        (["help", "mnist_m"], ["mnist_mobile"]),
        (["help", "ver"], ["verify"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["fetch", "fashion"], ["fashion_mnist"]),
        (["audit", ""], []),
        (["benchmark", "--threads", ""], []),
        (["doctor", ""], []),
    ],
)
def test_what_is_offered(typed, found):
    assert completion.candidates(typed) == found


def test_flags_of_a_recipe_are_offered_and_those_of_a_file_of_ones_own_are_not_looked_for(here):
    offered = completion.candidates(["run", "mnist_mobile", "--student."])
    config = recipes.load(recipes.find("mnist_mobile")).Config()
    assert offered == [f"--{name}" for name in recipes.field_names(config) if name.startswith("student.")]
    assert len(offered) >= 3
    assert "--no-integer" in completion.candidates(["run", "image_classifier", "--no"])
    assert {"--smoke", "--tag", "--out", "--help"} <= set(completion.candidates(["run", "mnist_mobile", "--"]))
    (here / "my_recipe.py").write_text("raise SystemExit('it ran')")
    assert "--smoke" in completion.candidates(["run", "my_recipe.py", "--s"])


def test_nested_flags_are_offered_by_their_last_part_too_where_that_is_enough():
    def offered(word, recipe="image_classifier"):
        return completion.candidates(["run", recipe, word])

    assert offered("--label-c") == ["--label-column", "--label-columns"]
    assert offered("--reading.label-c") == ["--reading.label-column", "--reading.label-columns"]
    assert offered("--no-h") == ["--no-horizontal-flip"]
    assert offered("--epochs", "distil_logits") == [], "of the teacher, of the student ..."
    everything = offered("--")
    assert "--reading.label-column" in everything
    assert "--label-column" not in everything, "each once"


def test_finished_runs_are_offered(here):
    for tag in ("default", "second"):
        (here / "saved_models" / "mine" / tag).mkdir(parents=True)
        (here / "saved_models" / "mine" / tag / "report.json").touch()
    (here / "saved_models" / "mine" / "begun").mkdir()
    assert completion.candidates(["verify", ""]) == ["saved_models/mine/default", "saved_models/mine/second"]
    assert completion.candidates(["predict", "saved_models/mine/s"]) == ["saved_models/mine/second"]
    assert completion.candidates(["predict", "saved_models/mine/second", ""]) == [], "a picture: the shell's own"


def shells(tmp_path: Path) -> dict[str, list[str]]:
    """By shell: a program that loads the script that is printed for it, and asks for what may follow `run mnist_c`."""
    command = tmp_path / "kerastl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kerastl "$@"\n')
    command.chmod(0o755)
    bash = textwrap.dedent("""
        eval "$(kerastl completion bash)"
        COMP_WORDS=(kerastl run mnist_c) COMP_CWORD=2
        _kerastl kerastl mnist_c run
        printf '%s\\n' "${COMPREPLY[@]}"
        COMP_WORDS=(kerastl "") COMP_CWORD=1
        _kerastl kerastl "" kerastl
        printf '%s\\n' "${COMPREPLY[@]}"
    """)
    zsh = textwrap.dedent("""
        compdef() { :; }
        compadd() { print -l -- "${(@P)2}"; }
        eval "$(kerastl completion zsh)"
        words=(kerastl run mnist_c) CURRENT=3
        _kerastl
        words=(kerastl "") CURRENT=2
        _kerastl
    """)
    fish = "kerastl completion fish | source\ncomplete -C 'kerastl run mnist_c'\ncomplete -C 'kerastl '"
    programs = {"bash": ["bash", "--norc", "-c", bash], "zsh": ["zsh", "-f", "-c", zsh], "fish": ["fish", "-c", fish]}
    return {shell: program for shell, program in programs.items() if shutil.which(shell)}


def test_shells_complete_by_what_is_printed_for_them(tmp_path):
    programs = shells(tmp_path)
    assert "bash" in programs
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    for shell, program in programs.items():
        done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True)
        lines = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        assert "mnist_cnn" in lines, (shell, done.stderr)
        assert {"run", "verify", "help"} <= set(lines), (shell, done.stdout, done.stderr)
    assert set(completion.SCRIPTS) == {"bash", "zsh", "fish"}


def test_completing_imports_nothing_heavy():
    code = textwrap.dedent("""
        import sys
        from kerastl.cli import main
        for words in (["completion", "bash"], ["completion", "words", "--", "run", "mnist_mobile", "--"],
                      ["completion", "words", "--", "fetch", ""], ["completion", "words", "--", ""]):
            assert main(words) == 0
        print([name for name in ("tensorflow", "keras", "numpy", "rich", "tyro") if name in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--student.epochs" in done.stdout.splitlines()
