"""The command line: what it prints, what it refuses and how, and that it stays quick."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import toy_run
from PIL import Image

import kerastl
from kerastl import cli
from kerastl.cli import advise, doctor, files, results, running
from kerastl.runs import recipes
from kerastl.system import machine, scratch
from kerastl.untrusted import sandbox

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())"]


def test_list_shows_every_recipe_and_its_docstring(capsys):
    assert cli.main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    files = {path.stem for path in (ROOT / "recipes").glob("[!_]*.py")}
    assert set(rows) == files | {
        "fashion_mobile",
        "cifar_mobile",
        "distil_quantized",
        "image_few_labels",
        "keyword_mobile",
    }
    assert "mnist_mobile" in rows
    for row in rows.values():
        assert row["summary"], row
        assert isinstance(row["minutes"], float), row
        assert row["data"], row
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1
    assert all(any(line.startswith(name + " ") and rows[name]["summary"] in line for line in lines) for name in rows)


@pytest.mark.parametrize("name", ["fashion_mobile", "cifar_mobile", "distil_quantized", "image_few_labels"])
def test_a_copied_alias_begins_with_its_own_settings(here, name):
    from kerastl.runs import recipes

    assert cli.main(["copy", name, "mine.py"]) == 0
    found, mine = recipes.find(name), recipes.find(str(here / "mine.py"))
    wanted = recipes.default_config(found, recipes.load(found))
    given = recipes.default_config(mine, recipes.load(mine))
    assert (given.name, dataclasses.asdict(given)) == (name, dataclasses.asdict(wanted))
    assert recipes.aliases(mine) == []


def test_show_and_copy_give_the_source_and_overwrite_nothing(here, capsys):
    source = (ROOT / "recipes" / "mnist_mobile.py").read_text()
    assert cli.main(["show", "mnist_mobile"]) == 0
    assert capsys.readouterr().out == source
    assert cli.main(["copy", "mnist_mobile", "mine.py"]) == 0
    assert (here / "mine.py").read_text() == source
    (here / "mine.py").write_text("changed")
    assert cli.main(["copy", "mnist_mobile", "mine.py"]) == 1
    assert (here / "mine.py").read_text() == "changed"
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["copy", "mnist_mobile", "mine.txt"]) == 1
    assert cli.main(["copy", "mnist_mobile", "nowhere/mine.py"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "mnist_mobil"], "Did you mean mnist_mobile"),
        (["run", "mnist-mobile"], "Did you mean mnist_mobile"),
        (["run", "no/such.py"], "no recipe file no/such.py"),
        (["run", "--smoke"], "takes a recipe; `kerastl list` shows them. Received: --smoke"),
        (["run", "--smoke", "mnist_mobil"], "Did you mean mnist_mobile"),
        (["run", "--seed", "3", "mnist_mobil"], "Did you mean mnist_mobile"),
        (["run", "--data", "mnist_cnn", "mnist_mobile"], "put it first, its flags behind it. Received: mnist_cnn, m"),
        (["help", "lst"], "Did you mean list"),
        (["lst"], "Did you mean list"),
        (["fetch", "fashion"], "Did you mean fashion_mnist"),
        (["benchmark", "none.tflite"], "no file none.tflite"),
        (["verify", "."], "mobile/model.tflite is missing"),
        (["predict", ".", "a.png"], "mobile/model.tflite is missing"),
        (["audit", "nowhere"], "no file or folder nowhere"),
        (["run", "my_recipe.py", "--epoch", "3"], "has no setting '--epoch'"),
        (["run", "my_recipe.py", "--teacher.epoch", "3"], "Did you mean --teacher.epochs"),
        (["run", "my_recipe.py", "--sed=3"], "Did you mean --seed"),
        (["run", "my_recipe.py", "--tag", "a/b"], "A tag is one folder's name"),
        (["run", "my_recipe.py", "--out"], "--out needs a value"),
        (["run", "my_recipe.py", "seed=3"], "has no setting 'seed=3'"),
        (
            ["run", "my_recipe.py", "--epochs"],
            "needs a value. Received: nothing. For example: kerastl run my_recipe.py",
        ),
        (["run", "mnist_cnn", "--seed", "--smoke"], "--seed needs a value: Of weights, order and split. Received: no"),
        (["run", "shrink_model", "--model"], "needs a value: A `.keras` or `.h5` file, or the folder of a finished"),
        (["run", "shrink_model", "--data", ".", "--model"], "For example: kerastl run shrink_model --model my.keras."),
        (["run", "text_mobile", "--label-column"], "--reading.label-column needs a value"),
    ],
)
def test_what_is_wrong_is_said_in_words(here, capsys, words, said):
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (here / "saved_models").exists()


def test_a_wrong_value_names_the_flag(here, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "my_recipe.py", "--teacher.epochs", "three"])
    assert stopped.value.code == 2
    assert "--teacher.epochs" in "".join(capsys.readouterr())


def test_flags_lie_over_the_config_and_over_smoke(here, toy_source):
    def config(tag):
        return json.loads((here / "saved_models" / "my_recipe" / tag / "config.json").read_text())["config"]

    assert cli.main(["run", "my_recipe.py", "--teacher.peak_learning_rate", "0.5", "--seed=4"]) == 0
    assert config("default") == {"seed": 4, "teacher": {"epochs": 3, "peak_learning_rate": 0.5}, "fail": ""}
    assert cli.main(["run", "my_recipe.py", "--smoke", "--seed", "2"]) == 0
    assert config("smoke") == {"seed": 2, "teacher": {"epochs": 1, "peak_learning_rate": 0.001}, "fail": ""}
    assert cli.main(["run", str(here / "my_recipe.py"), "--tag", "other"]) == 0
    assert config("other")["teacher"]["epochs"] == 3
    assert cli.main(["run", "my_recipe.py", "--out=elsewhere"]) == 0
    assert (here / "elsewhere" / "report.json").is_file()


def test_a_flag_by_its_last_part(here, toy_source, capsys):
    assert cli.main(["run", "my_recipe.py", "--epochs", "2", "--peak-learning-rate=0.5"]) == 0
    config = json.loads((here / "saved_models" / "my_recipe" / "default" / "config.json").read_text())["config"]
    assert config["teacher"] == {"epochs": 2, "peak_learning_rate": 0.5}
    assert "is now" not in capsys.readouterr().err


def test_old_flags_go_on_working_and_say_the_new_ones(capsys):
    found = recipes.find("mnist_mobile")
    module = recipes.load(found)
    flags = ["--budget", "0.2", "--score-drop=0.1", "--agreement", "0.5", "--prefer", "fastest", "--limit", "640"]
    flags += ["--views.zoom", "0.3", "--views.no-horizontal-flip", "--clipped", "0.1"]
    config = running.parse(module, module.Config(), flags, given="mnist_mobile")
    assert config.accept == kerastl.runs.Acceptance("fastest", 0.2, 0.1, 0.5, 0.1)
    assert (config.max_train_examples, config.augmentation.zoom) == (640, 0.3)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "kerastl: --budget is now --accept.max-score-drop"
    assert "kerastl: --views.no-horizontal-flip is now --augmentation.no-horizontal-flip" in said
    assert len(said) == 8
    module = recipes.load(recipes.find("image_classifier"))
    flags = ["--policy", "skip", "--no-horizontal-flip"]
    config, plain = running.parse(module, module.Config(), flags, given="image_classifier"), module.Config()
    reading = dataclasses.replace(plain.reading, on_unreadable="skip")
    augmentation = dataclasses.replace(plain.augmentation, horizontal_flip=False)
    assert config == dataclasses.replace(plain, reading=reading, augmentation=augmentation)
    assert capsys.readouterr().err == "kerastl: --policy is now --reading.on-unreadable\n"


def test_the_same_command_again_reuses_its_stages(finished, capsys):
    before = json.loads((finished / "report.json").read_text())
    assert cli.main(["run", "my_recipe.py"]) == 0
    again = json.loads((finished / "report.json").read_text())
    assert [row["reused"] for row in before["stages"] + again["stages"]] == [False, True]
    assert "finished: saved_models/my_recipe/default/report.html" in capsys.readouterr().out


def test_help_of_a_recipe_shows_its_fields_with_their_comments(here, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "my_recipe.py", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for words in ("A toy that trains nothing", "--teacher.epochs", "passes over nothing", "--smoke", "--tag TAG",
                  "kerastl run my_recipe.py --tag second --seed 0"):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("distil_quantized", "Quantization-aware training under a teacher and without it"),
        ("cifar_mobile", "CIFAR-10 for a microcontroller"),
        ("distil_logits", "A small student under a patient and consistent teacher"),
    ],
)
def test_help_says_what_the_name_is_for_that_was_asked(name, words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", name, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(words)
    assert f"\nCommand: kerastl run {name}\n" in text


def test_how_errors_end(here, capsys, monkeypatch):
    run = ["run", "my_recipe.py", "--fail"]
    assert cli.main([*run, "value"]) == 1
    assert capsys.readouterr().err == "kerastl: Wanted this.\nReceived: that.\n"
    assert cli.main([*run, "verification"]) == 1
    assert "agreement" in capsys.readouterr().err
    assert cli.main([*run, "stop"]) == 130
    with pytest.raises(TypeError, match="a fault"):
        cli.main([*run, "fault"])
    with pytest.raises(ValueError, match="Wanted this"):
        cli.main([*run, "value", "--debug"])
    monkeypatch.setenv("KERASTL_DEBUG", "1")
    with pytest.raises(ValueError, match="Wanted this"):
        cli.main([*run, "value"])


def test_another_backend_is_refused_before_the_recipe_runs(here, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert cli.main(["run", "my_recipe.py", "--fail", "fault"]) == 1
    assert "backend 'torch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gone", "said"),
    [("class Config", "a dataclass `Config`"), ("def smoke", "classmethod `smoke()`"), ("def run", "a function `run(")],
)
def test_a_file_that_is_no_recipe_is_refused(here, capsys, gone, said):
    (here / "my_recipe.py").write_text(toy_run.RECIPE.replace(gone, gone.split()[0] + " other").replace(": Config", ""))
    assert cli.main(["run", "my_recipe.py"]) == 1
    assert said in capsys.readouterr().err
    (here / "broken.py").write_text("def (")
    assert cli.main(["run", "broken.py"]) == 1
    assert "line 1" in capsys.readouterr().err


def test_ctrl_c_ends_a_process_with_130(here):
    body = '    print("started", flush=True)\n    time.sleep(60)\n'
    first = '    if config.fail == "value":'
    slow = toy_run.RECIPE.replace("import pathlib", "import pathlib, time", 1).replace(first, body + first)
    (here / "slow.py").write_text(slow)
    process = subprocess.Popen(
        [*COMMAND, "run", "slow.py"], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # where the tests themselves run in the background, Ctrl-C is ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "started"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error


def test_verify_prints_what_differs_and_fails(finished, capsys):
    assert cli.main(["verify", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("verified: 1 file and the bundle")
    assert "not measured again: variants.latency_ms (the machine of the run" in printed
    assert cli.main(["verify", str(finished), "--quiet"]) == 0
    assert capsys.readouterr() == ("verified: 1 file and the bundle give exactly the scores they state\n", "")
    toy_run.restate(finished, "config.json", lambda config: config["data"]["arguments"].update(seed=1))
    assert cli.main(["verify", str(finished)]) == 1
    *differences, closing = capsys.readouterr().out.splitlines()
    assert "differs: data: config.json states digest" in "\n".join(differences)
    subjects = {line.split(": ")[1] for line in differences if line.startswith("differs: ")}
    total = len(json.loads((finished / "files.json").read_text())) + 1
    assert closing == f"FAILED: {len(subjects)} of {total} files, the data counted as one, are not as stated"
    toy_run.restate(finished, "config.json", lambda config: config["data"].update(source="toys"))
    assert cli.main(["verify", str(finished)]) == 1
    assert "Did you mean toy" in capsys.readouterr().err


def test_names_of_strangers_move_no_cursor(finished, capsys):
    """In what is found, in what is refused, and in one line each."""
    (finished / "variants" / "a\x1b[2J\nverified: all").touch()
    assert cli.main(["verify", str(finished)]) == 1
    assert cli.main(["verify", "gone\x1b[2J"]) == 1
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert not any(line.startswith("verified") for line in printed.out.splitlines())


def test_quietly_a_run_prints_its_page_alone_and_its_log_has_everything(here, toy_source):
    done = subprocess.run(
        [*COMMAND, "run", "quiet.py", "--quiet"], env=ENVIRONMENT, cwd=here, capture_output=True, text=True
    )
    assert done.returncode == 1
    (here / "quiet.py").write_text(QUIET)
    done = subprocess.run(
        [*COMMAND, "run", "quiet.py", "--quiet"], env=ENVIRONMENT, cwd=here, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("finished: saved_models/quiet/default\n", "a warning\n")
    log = (here / "saved_models" / "quiet" / "default" / "logs" / "run.log").read_text()
    assert {"on the way", "a warning", "INFO: Created TensorFlow Lite XNNPACK"} <= set(log.splitlines())
    assert "tf.function retracing" in log
    assert "UserWarning: of a library" in log
    (here / "call.py").write_text("import kerastl\nkerastl.run('quiet.py', tag='called')\n")
    call = [sys.executable, "call.py"]
    done = subprocess.run(call, env=ENVIRONMENT, cwd=here, capture_output=True, text=True)
    assert (done.stdout, "retracing" in done.stderr, "XNNPACK" in done.stderr) == ("on the way\n", False, False)
    called = (here / "saved_models" / "quiet" / "called" / "logs" / "run.log").read_text()
    assert {"on the way", "INFO: Created TensorFlow Lite XNNPACK"} <= set(called.splitlines())


READ = ["list", "show mnist_cnn", "doctor", "completion bash", "audit texts.csv", "help run", "run mnist_cnn --help"]


@pytest.mark.parametrize("words", [*READ, "--help", "--version", "list --json", ""])
def test_nobody_has_to_read_what_a_command_prints(here, words):
    """`kerastl list | head`, of which the reader has gone before the first word."""
    readable, writable = os.pipe()
    os.close(readable)
    (here / "texts.csv").write_text("text,label\ngood,a\nbad,b\n")
    call = [*COMMAND, *words.split()]
    done = subprocess.run(call, env=ENVIRONMENT, cwd=here, stdout=writable, stderr=subprocess.PIPE, text=True)
    os.close(writable)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_command_works_without_standard_streams(here, closed):
    line = f"{shlex.join(COMMAND)} copy mnist_cnn copied.py {closed}"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, cwd=here, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (here / "copied.py").read_text() == (ROOT / "recipes" / "mnist_cnn.py").read_text()


QUIET = '''"""Prints."""
import dataclasses, os, sys, warnings
from kerastl.runs import store


@dataclasses.dataclass(frozen=True)
class Config:
    @classmethod
    def smoke(cls):
        return cls()


def run(config, folder):
    with store.Run(folder, recipe="quiet", tag=folder.name, config=config, needed_bytes=1):
        print("on the way")
        print("WARNING:tensorflow:5 out of the last 5 calls triggered tf.function retracing", file=sys.stderr)
        warnings.warn("of a library")
        print("a warning", file=sys.stderr)
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK\\n")
'''


def test_verify_takes_a_source_of_ones_own(finished, here, capsys):
    toy_run.restate(finished, "config.json", lambda config: config["data"].update(source="mine"))
    (here / "mine.py").write_text(Path(toy_run.__file__).read_text())
    assert cli.main(["verify", str(finished)]) == 1
    assert "--source FILE" in capsys.readouterr().err
    assert cli.main(["verify", str(finished), "--source", "mine.py"]) == 0
    assert "verified: 1 file" in capsys.readouterr().out


def test_tflite_files_are_read_by_a_child_alone(finished, here):
    """The runtime that a stranger's file could crash is never loaded beside the command itself."""
    np.save("batch.npy", toy_run.load().test.inputs[:3])
    np.savez("good.npz", inputs=toy_run.load().test.inputs, labels=toy_run.load().test.labels)
    file = str(finished / "mobile" / "model.tflite")
    for words in (["benchmark", file], ["predict", str(finished), "batch.npy"], ["audit", "good.npz", "--model", file]):
        code = textwrap.dedent(f"""
            import sys
            from kerastl.cli import main
            main({words!r})
            print([name for name in sys.modules if name.startswith("ai_edge_litert")], file=sys.stderr)
        """)
        done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == "[]", words


def test_predict_prints_answers_for_people_and_for_programs(finished, here, capsys):
    picture = np.zeros((4, 4), np.uint8)
    picture[1] = 200
    Image.fromarray(picture).save("second.png")
    np.save("batch.npy", toy_run.load().test.inputs[:3])
    assert cli.main(["predict", str(finished), "second.png", "batch.npy", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["input"] for answer in answers] == ["second.png", "batch.npy[0]", "batch.npy[1]", "batch.npy[2]"]
    assert [answer["label"] for answer in answers] == ["second", "first", "second", "third"]
    assert set(answers[0]) == {"input", "label", "probability", "probabilities"}
    assert cli.main(["predict", str(finished / "mobile"), "second.png"]) == 0
    assert capsys.readouterr().out.startswith("second.png: second 100.0% (then ")
    np.save("batch.npy", np.full((1, 4, 4, 1), 300.0))
    assert cli.main(["predict", str(finished), "batch.npy"]) == 1
    assert "raw pixels 0..255" in capsys.readouterr().err
    asked = ["predict", str(finished), "gone\n.png", "second.png", "--variant", "float32", "--top", "1"]
    assert cli.main([*asked, "--csv"]) == 1
    head, broken, answered = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head == ["input", "label", "probability", "probabilities.second", "error"]
    assert broken[:4] == ["gone\ufffd.png", "", "", ""]
    assert broken[4].startswith("There is no input file gone")
    assert (answered[:2], answered[2]) == (["second.png", "second"], answered[3])
    assert cli.main([*asked, "--json"]) == 1
    broken, answered = json.loads(capsys.readouterr().out)
    assert (set(broken), list(answered["probabilities"])) == ({"input", "error"}, ["second"])
    assert cli.main(asked) == 1
    assert capsys.readouterr().out == "second.png: second 100.0%\n"
    for words, said in (
        (["--json", "--csv"], "leave one out"),
        (["--top", "0"], "1 or more"),
        (["--variant", "x"], "'x'"),
    ):
        assert cli.main(["predict", str(finished), "second.png", *words]) == 1
        assert said in capsys.readouterr().err


def test_benchmark_prints_what_was_measured(here, monkeypatch, capsys):
    (here / "toy.tflite").write_bytes(toy_run.written_file())
    assert cli.main(["benchmark", "toy.tflite", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["bytes"] == len(toy_run.written_file())
    assert row["operators"]["total"] == 2
    assert row["operators"]["by_type"] == {"FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert row["sparsity"] == 0.75
    assert 0 < row["latency_ms"]["median"] <= row["latency_ms"]["p95"]
    wide = kerastl.types.Latency(0.5, 0.6, 1, 100, spread=0.4, clock="processor time", cpu="an EPYC")
    monkeypatch.setattr(kerastl.untrusted.tflite_file.SandboxedModel, "latency", lambda *given, **named: wide)
    assert cli.main(["benchmark", "toy.tflite"]) == 0
    printed = capsys.readouterr().out
    assert "0.500 ms, p95 0.600 ms (processor time on one thread of an EPYC, 100 runs, rounds 40% apart)" in printed
    assert "  warning     its rounds are 40% apart" in printed
    assert f"{len(toy_run.written_file()):,} bytes" in printed
    assert "  input       image: float32 [1, 4, 4, 1]\n" in printed
    assert "  output      probabilities: float32 [1, 3]\n" in printed
    assert cli.main(["benchmark", "toy.tflite", "--threads", "0"]) == 1
    (here / "no.tflite").write_text("no model")
    assert cli.main(["benchmark", "no.tflite"]) == 1
    assert "no.tflite is no TFLite file" in capsys.readouterr().err


def test_audit_prints_findings_and_fails_on_errors(here, capsys):
    inputs = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    np.savez("good.npz", inputs=inputs, labels=np.arange(20) % 2)
    assert cli.main(["audit", "good.npz"]) == 0
    capsys.readouterr()
    inputs[3, 1] = np.nan
    np.savez("bad.npz", inputs=inputs, labels=np.arange(20) % 2)
    assert cli.main(["audit", "bad.npz", "--json"]) == 1
    assert any(row["severity"] == "error" for row in json.loads(capsys.readouterr().out))


@pytest.fixture
def one_child(monkeypatch):
    """Every command asks the same sandboxed process, which starts TensorFlow once."""
    models = kerastl.untrusted.model_file
    with models.SandboxedModel() as reader:
        monkeypatch.setattr(models, "SandboxedModel", lambda: contextlib.nullcontext(reader))
        yield


@pytest.mark.usefixtures("one_child")
def test_audit_looks_at_models_too(here, capsys):
    """A model that answers by its inputs: logits, of which the third row's label is not the largest."""
    row = keras.Input((2,), name="row")
    keras.Model(row, keras.layers.Rescaling(9.0, name="times")(row)).save("model.keras")
    assert cli.main(["audit", "model.keras"]) == 0
    printed = capsys.readouterr().out
    assert "note     layers: 2: InputLayer 1, Rescaling 1" in printed
    assert "nothing wrong found in model.keras" in printed
    labels = np.arange(20) % 2
    inputs = np.eye(2, dtype=np.float32)[labels] - 0.5
    labels[2] = 1
    np.savez("set.npz", inputs=inputs + np.arange(20)[:, None] / 1e4, labels=labels)
    assert cli.main(["audit", "set.npz", "--model", "model.keras", "--json"]) == 0
    assert "labels[2] = 1" in json.loads(capsys.readouterr().out)[0]["what"]
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)]).save("hostile.keras")
    assert cli.main(["audit", "hostile.keras", "--json"]) == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert first["severity"] == "error"
    assert "names Lambda" in first["what"]
    assert cli.main(["audit", "set.npz", "--model", "hostile.keras"]) == 1
    assert "hostile.keras is not opened" in capsys.readouterr().err
    assert cli.main(["audit", "hostile.keras", "--model", "model.keras"]) == 1
    (here / "class").mkdir()
    assert cli.main(["audit", ".", "--model", "model.keras"]) == 1
    assert "--model goes with an array file" in capsys.readouterr().err
    assert cli.main(["audit", "set.npz", "--model", "set.npz"]) == 1
    assert "neither a finished run nor a model" in capsys.readouterr().err


def test_audit_doubts_labels_by_what_a_finished_run_answers(finished, here, capsys):
    """Pictures without the axis of the channel, which the run's kind of input knows."""
    split = toy_run.load().test
    labels = split.inputs[:, :3, :, 0].sum(-1, dtype=int).argmax(-1)
    labels[5] = (labels[5] + 1) % 3
    np.savez("set.npz", inputs=split.inputs[..., 0], labels=labels)
    assert cli.main(["audit", "set.npz", "--quick", "--model", str(finished), "--json"]) == 0
    (found,) = [row for row in json.loads(capsys.readouterr().out) if "looks wrong" in row["what"]]
    assert f"labels[5] = {labels[5]}" in found["what"]


def test_what_can_be_fetched():
    found = files.sources()
    assert {"mnist", "fashion_mnist"} <= set(found)
    assert "archive" not in found, "its fetch needs a source"
    assert {"mobilenet_v2", "efficientnet_lite0"} <= set(found)
    assert found["mobilenet_v2"] == "kerastl.models.pretrained.mobilenet_v2"
    assert {"presets", "applications", "resolve", "torch_file"}.isdisjoint(found)


def test_weights_can_be_fetched(capsys):
    assert cli.main(["fetch", "efficientnet_lite0"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "efficientnet-lite0-57934424.pth"
    assert path.stat().st_size == 18_826_032


def test_every_command_ends_in_order_when_it_is_asked_to_stop(monkeypatch, capsys, tmp_path):
    """Temporary folders and children go: without a handler SIGTERM ends Python where it stands."""

    def dispatch(_):
        with scratch.folder("made-", where=tmp_path):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_dispatch", dispatch)
    with pytest.raises(SystemExit) as ended:
        cli.main(["fetch", "mnist"])
    assert ended.value.code == 143
    assert "asked to stop" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_doctor_says_what_the_sandbox_cannot_keep(monkeypatch):
    found = doctor._sandbox()
    assert (found.state, "seccomp" in found.detail) == (("ok", True) if sys.platform == "linux" else ("note", False))
    monkeypatch.setattr(sandbox.Sandbox, "ask", lambda *_, **__: ({"possible": ["empty a file"]}, b""))
    assert doctor._sandbox() == ("sandbox", "note", "a child that reads other people's files could still empty a file")


def test_doctor_looks_at_every_requirement(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "cache"))
    cli.main(["doctor", "--json"])
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"python", "tensorflow", "tensorflow-model-optimization", "ai-edge-litert", "cache", "disk here"} <= set(
        found
    )
    assert found["tensorflow"]["state"] == "ok"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli.main(["doctor"]) == 1
    assert "wrong" in capsys.readouterr().out
    wanted = {"requires-python": ">=3.99", "dependencies": ["tensorflow>=99", "no-such-package>=1,<2", "numpy"]}
    monkeypatch.setattr(doctor, "_project", lambda: wanted)
    states = [(finding.what, finding.state) for finding in (*doctor._python(), *doctor._packages())]
    assert states == [("python", "wrong"), ("tensorflow", "wrong"), ("no-such-package", "wrong"), ("numpy", "ok")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [({"avx512_bf16"}, "AVX-512 BF16: wide"), ({"avx512_bf16", "amx_bf16"}, "AVX-512 BF16 and AMX: wide"), (set(), "")],
)
def test_doctor_names_the_units_that_training_uses(monkeypatch, flags, said):
    monkeypatch.setattr(machine, "features", lambda: frozenset(flags))
    found = {finding.what: finding.detail for finding in doctor._machine()}
    assert found.get("bfloat16 units", "").startswith(said)
    assert ("bfloat16 units" in found) is bool(said)


def test_the_installed_script_is_this_command():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"kerastl": "kerastl.cli:main"}
    assert project["version"] == kerastl.__version__


def test_the_page_of_the_command_names_every_one_and_only_those():
    import re

    parser = cli._parser()
    commands = set(next(action.choices for action in parser._actions if isinstance(action.choices, dict)))
    assert len(commands) == 20
    assert set(re.findall(r"`kerastl ([a-z]+)", (ROOT / "docs/command.md").read_text())) == commands


def test_ci_run_takes_its_command_from_the_readme(tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith("-m pytest -n 3"))
    assert "-c constraints.txt -e '.[test]'" in line
    page = (ROOT / "README.md").read_text()
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@" >> called\nexit 7\n')
    (tmp_path / "python3").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for text, status, called in ((page, 7, ["-m venv .venv"]), (page.replace("python3 -m", "uv"), 2, None)):
        (tmp_path / "README.md").write_text(text)
        (tmp_path / "called").unlink(missing_ok=True)
        done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert ((tmp_path / "called").read_text().splitlines() if called else None) == called


PRETENDED = """#!/bin/sh
echo "$(basename "$0") $@" >> called
case "$(basename "$0")" in
python3) mkdir -p .venv/bin && for tool in pip python ruff pyright; do cp "$0" .venv/bin/$tool; done ;;
python) echo "== 3 passed in 1.00s ==" ;;
esac
case " $FAILS " in *" $(basename "$0") "*) exit 5 ;; esac
"""
"""Stands for python3, and for what the README's command would install."""


@pytest.mark.parametrize(("fails", "status"), [("", 0), ("python", 5), ("ruff", 5), ("pyright", 5), ("pip", 5)])
def test_ci_run_checks_style_and_types_with_what_the_tests_installed(tmp_path, fails, status):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(PRETENDED)
    (tmp_path / "bin" / "python3").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "FAILS": fails}
    done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    tests = [] if fails == "pip" else ["python -m pytest -n 3"]
    assert called == [
        "python3 -m venv .venv", "pip install -c constraints.txt -e .[test]", *tests, "ruff check .",
        "ruff format --check .", "pyright --pythonpath .venv/bin/python",
    ]  # fmt: skip
    if tests:
        assert done.stdout.splitlines()[-1] == "== 3 passed in 1.00s =="
    assert ("failed with status 5: ruff" in done.stderr) == (fails == "ruff")


def test_commands_without_a_model_are_quick_and_import_nothing_heavy():
    heavy = "'tensorflow', 'keras', 'numpy', 'rich', 'tyro', 'matplotlib', 'ai_edge_litert', 'PIL'"
    for words in (["--help"], ["list"], ["list", "--json"], ["show", "mnist_mobile"]):
        code = textwrap.dedent(f"""
            import sys
            from kerastl.cli import main
            try:
                main({words!r})
            finally:
                loaded = [name for name in ({heavy}) if name in sys.modules]
                print("loaded", loaded, file=sys.stderr)
        """)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
        assert (
            time.perf_counter() - start < 3
        )  # half a second where nothing else runs; benchmarks/cli/cli_speed.py measures
        assert done.stderr.strip() == "loaded []", words
    help_of_recipe = textwrap.dedent("""
        import sys
        from kerastl.cli import main
        try:
            main(["run", "mnist_mobile", "--help"])
        except SystemExit:
            pass
        print([name for name in ("tensorflow", "keras", "numpy") if name in sys.modules], file=sys.stderr)
    """)
    done = subprocess.run([sys.executable, "-c", help_of_recipe], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    assert "--student.epochs" in done.stdout


def test_settings_of_every_recipe_are_known_without_anything_heavy():
    code = textwrap.dedent("""
        import sys
        from kerastl.runs import recipes
        found = [one for recipe in recipes.built_in() for one in (recipe, *recipes.aliases(recipe))]
        for one in found:
            module = recipes.load(one)
            for smoke in (False, True):
                assert recipes.field_names(recipes.default_config(one, module, smoke=smoke))
        heavy = ("tensorflow", "keras", "PIL", "pyarrow", "kerastl.data.loading")
        print(len(found), [name for name in heavy if name in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    count, _, heavy = done.stdout.strip().partition(" ")
    assert (int(count) >= 14, heavy) == (True, "[]"), done.stderr


def test_settings_of_ones_own_data_have_the_flags_of_every_recipe(capsys):
    """Nested, and known by their last part on the command line and in Python."""
    flags = ["--label-column", "kind", "--max-train-examples", "60", "--validation=0.2", "--test", "30"]
    flags += ["--label-separator", "|", "--on-unreadable", "skip", "--split-column", "fold"]
    for name, column in (("image_classifier", "path"), ("text_classifier", "text"), ("text_mobile", "text")):
        module = recipes.load(recipes.find(name))
        for smoke in (False, True):
            base = recipes.default_config(recipes.find(name), module, smoke=smoke)
            config = running.parse(module, base, [*flags, f"--{column}-column", "mine"], given=name)
            words = {"label_column": "kind", "max_train_examples": 60, "validation": 0.2, "test": 30}
            words |= {"label_separator": "|", "on_unreadable": "skip", "split_column": "fold"}
            wanted = dataclasses.replace(base.reading, **words, **{f"{column}_column": "mine"})
            assert config.reading == wanted
            assert isinstance(config.reading.test, int), "a number of examples is no share"
            assert recipes.with_fields(base, {**words, f"{column}_column": "mine"}, recipe=name) == config
    module = recipes.load(recipes.find("table_regressor"))
    flags = ["--label-columns", "price", "--unit", "EUR", "--missing", "median"]
    table = running.parse(module, module.Config(), flags, given="table_regressor").reading
    assert (table.label_columns, table.unit, table.missing) == (("price",), "EUR", "median")
    assert capsys.readouterr().err == ""


def test_a_recipe_file_can_be_run_as_a_module_or_a_file():
    found = [
        recipes.find(name) for name in ("mnist_mobile", "recipes.mnist_mobile", str(ROOT / "recipes/mnist_mobile.py"))
    ]
    assert len(set(found)) == 1
    assert found[0].built_in
    assert dataclasses.is_dataclass(found[0])


def test_advise_names_a_student_and_its_teacher_where_that_is_what_fits(tmp_path, capsys):
    rows = [f"the film was {word} number {n},{word}" for n in range(30) for word in ("good", "bad")]
    (tmp_path / "set.csv").write_text("\n".join(["review,label", *rows]))
    assert cli.main(["advise", str(tmp_path / "set.csv"), "--text-column", "review", "--megabytes", "1"]) == 0
    command, *rest = capsys.readouterr().out.splitlines()
    words = shlex.split(command)
    assert words[:3] == ["kerastl", "run", "text_mobile"]
    recipe = recipes.load(recipes.find("text_mobile"))
    config = running.parse(recipe, recipe.Config(), words[3:], given="text_mobile")
    assert (config.data, config.reading.text_column) == (str(tmp_path / "set.csv"), "review")
    assert config.teacher_length == 64
    assert "can still teach" in " ".join(rest)


def test_advise_says_what_the_run_plans_for_few_texts_of_many_classes(tmp_path, capsys):
    rows = [f"the card of kind {kind} was lost on day {day},{kind}" for kind in "abcdefgh" for day in range(20)]
    (tmp_path / "set.csv").write_text("\n".join(["text,label", *rows]))
    assert cli.main(["advise", str(tmp_path / "set.csv")]) == 0
    command, *rest = capsys.readouterr().out.splitlines()
    recipe = recipes.load(recipes.find("text_classifier"))
    config = running.parse(recipe, recipe.Config(), shlex.split(command)[3:], given="text_classifier")
    plan = kerastl.training.sentences.plan(examples=128, outputs=8)  # a tenth validates, and a tenth tests
    assert (config.encoder, config.fine_tune.epochs) == ("minilm_l6", None)
    assert f"  The run's plan: {plan.why}" in rest
    assert "steps of 16" in plan.why


def test_short_trainings_take_about_a_minute():
    assert [advise._minutes(minutes) for minutes in (0.2, 1.4, 1.6, 119, 180)] == [
        "about a minute",
        "about a minute",
        "about 2 minutes",
        "about 119 minutes",
        "about 3 hours",
    ]


def test_advise_prints_a_command_that_parses_reasons_and_cost(tmp_path, capsys):
    for index in range(8):
        folder = tmp_path / "my set" / ("cat", "dog")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(folder / f"{index}.png")
    assert cli.main(["advise", str(tmp_path / "my set"), "--megabytes", "3"]) == 0
    command, *rest = capsys.readouterr().out.splitlines()
    words = shlex.split(command)
    assert words[:5] == ["kerastl", "run", "image_few_labels", "--data", str(tmp_path / "my set")]
    recipe = recipes.load(recipes.find("image_few_labels"))
    config = running.parse(recipe, recipe.Config(), words[3:], given="image_few_labels")
    assert (config.backbone, config.image_size, config.labels) == ("mobilenet_v2", 224, 4)
    assert "8 pictures of 2 classes, 4 each." in rest[0]
    assert cli.main(["advise", str(tmp_path / "my set"), "--json", "--milliseconds", "0.01"]) == 1
    assert "below the smallest" in capsys.readouterr().err


def test_advise_sees_examples_without_labels(tmp_path, capsys):
    for index in range(8):
        folder = tmp_path / "set" / ("cat", "dog")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(folder / f"{index}.png")
    shutil.copytree(tmp_path / "set" / "cat", tmp_path / "more" / "deeper")
    (tmp_path / "set.csv").write_text("words,label\n" + "".join(f"film {one},{one % 2}\n" for one in range(40)))
    (tmp_path / "more.txt").write_text("one film\n\nanother film\n")
    for data, more, counts in (
        ("set", "more", "4 unlabelled pictures beside 8"),
        ("set.csv", "more.txt", "2 unlabelled texts beside 40"),
    ):
        column = ["--text-column", "words"] if data == "set.csv" else []
        assert cli.main(["advise", str(tmp_path / data), "--unlabelled", str(tmp_path / more), *column]) == 0
        printed = capsys.readouterr().out
        assert f"You have {counts} labelled ones" in printed
        words = shlex.split(next(line for line in printed.splitlines() if "pretrain_" in line))
        recipe = recipes.load(recipes.find(words[2]))
        config = running.parse(recipe, recipe.Config(), words[3:], given=words[2])
        assert (config.data, str(config.unlabelled)) == (str(tmp_path / data), str(tmp_path / more))
    assert cli.main(["advise", str(tmp_path / "set"), "--unlabelled", str(tmp_path / "more"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unlabelled"] == 4
    assert cli.main(["advise", str(tmp_path / "set"), "--unlabelled", str(tmp_path / "gone")]) == 1


def test_advise_prints_the_columns_that_it_read_by(tmp_path, capsys):
    """The command finds the same pictures, texts, labels and splits."""
    for index in range(120):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    folds = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    lines = [f"{index}.png,{'ab'[index % 2]},{fold}" for index, fold in enumerate(folds)]
    (tmp_path / "set.csv").write_text("\n".join(["file,kind,fold", *lines]))
    lines = [f"film {index} was fine,{'ab'[index % 2]},{fold}" for index, fold in enumerate(folds)]
    (tmp_path / "texts.csv").write_text("\n".join(["words,kind,fold", *lines]))
    columns = ["--label-column", "kind", "--split-column", "fold"]
    for file, column in (("set", ["--path-column", "file"]), ("texts", ["--text-column", "words"])):
        assert cli.main(["advise", str(tmp_path / f"{file}.csv"), *column, *columns]) == 0
        words = shlex.split(capsys.readouterr().out.splitlines()[0])
        recipe = recipes.load(recipes.find(words[2]))
        data = recipe.load(running.parse(recipe, recipe.Config(), words[3:], given=words[2]))
        assert [len(split) for split in (data.train, data.validation, data.test)] == [80, 20, 20]


def test_advise_knows_columns_of_words_as_tasks_and_of_0_and_1_as_classes(tmp_path, capsys):
    rows = [f"a text {n},{('dark', 'bright')[n % 2]},{n % 2},{n // 2 % 2}" for n in range(60)]
    path = tmp_path / "set.csv"
    path.write_text("review,mood,a,b\n" + "\n".join(rows) + "\n")
    columns = ["--text-column", "review", "--label-columns"]
    assert cli.main(["advise", str(path), *columns, "mood", "a"]) == 0
    command, *_ = capsys.readouterr().out.splitlines()
    assert command == f"kerastl run multi_task_text --data {path} --text-column review --label-columns mood a"
    assert cli.main(["advise", str(path), *columns, "mood", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"recipe": "multi_task_text", "command": shlex.split(command)}
    assert cli.main(["advise", str(path), *columns, "a", "b"]) == 0
    assert "kerastl run text_" in capsys.readouterr().out


def test_advise_knows_tags_texts_alone_numbers_and_pairs(tmp_path, capsys):
    (tmp_path / "words.conll").write_text("Peter B-PER\nsang O\n\nAnna B-PER\nread O\n")
    (tmp_path / "lines.txt").write_text("a film\nanother film\n")
    stars = [f"a film of {n} stars,{n % 5 + 1}" for n in range(40)]
    (tmp_path / "stars.csv").write_text("\n".join(["text,stars", *stars]))
    prices = [f"a house of {n} rooms,{n / 7:.2f}" for n in range(60)]
    (tmp_path / "prices.csv").write_text("\n".join(["text,label", *prices]))
    pairs = [f"what is number {n} of them,it is the number {n},{'yes' if n % 2 else 'no'}" for n in range(40)]
    (tmp_path / "pairs.csv").write_text("\n".join(["question,answer,label", *pairs]))
    for name, recipe, why in (
        ("words.conll", "text_tagger", "scored by whole spans"),
        ("lines.txt", "text_embedding", "for semantic search"),
        ("stars.csv", "text_classifier", "with --task regression they are estimated"),
        ("prices.csv", "text_classifier", "60 texts with a number each"),
        ("pairs.csv", "text_classifier", "with --text-column question --second-text-column answer both are read"),
    ):
        assert cli.main(["advise", str(tmp_path / name)]) == 0
        command, *rest = capsys.readouterr().out.splitlines()
        words = shlex.split(command)
        assert words[:3] == ["kerastl", "run", recipe]
        assert why in " ".join(rest)
        module = recipes.load(recipes.find(recipe))
        config = running.parse(module, module.Config(), words[3:], given=recipe)
        assert str(config.data) == str(tmp_path / name)
        assert ("--task" in words) == (name == "prices.csv")
        assert "--sequence-length" not in words
    assert config.reading.task == "classification"
    assert cli.main(["advise", str(tmp_path / "words.conll"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "text_tagger"


def test_advise_of_arrays_says_what_to_do_and_of_a_folder_of_parquet_what_to_run(tmp_path, capsys):
    pictures = np.random.default_rng(0).integers(0, 256, (120, 40, 40, 3)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", x=pictures, y=np.arange(120) % 2)
    assert cli.main(["advise", str(tmp_path / "set.npz")]) == 1
    assert "Save the pictures as files" in capsys.readouterr().err
    (tmp_path / "hub").mkdir()
    for name, part in (("train", slice(0, 80)), ("test", slice(80, 120))):
        content = []
        for picture in pictures[part]:
            Image.fromarray(picture).save(memory := io.BytesIO(), "PNG")
            content.append(memory.getvalue())
        table = pyarrow.table({"image": content, "label": np.arange(len(content)) % 2})
        pyarrow.parquet.write_table(table, tmp_path / "hub" / f"{name}-00000-of-00001.parquet")
    assert cli.main(["advise", str(tmp_path / "hub"), "--megabytes", "3"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[0])
    recipe = recipes.load(recipes.find(words[2]))
    config = running.parse(recipe, recipe.Config(), [*words[3:], "--image-size", "32"], given=words[2])
    assert len(recipe.load(config).test) == 40


def test_a_folder_and_a_tag_are_one_thing(here, toy_source, monkeypatch, capsys):
    assert cli.main(["run", "my_recipe.py", "--out", "there", "--tag", "second"]) == 1
    assert "give one of --out and --tag" in capsys.readouterr().err
    (here / "inside").mkdir()
    monkeypatch.chdir(here / "inside")
    assert cli.main(["run", "../my_recipe.py", "--out", "."]) == 0
    assert json.loads((here / "inside" / "report.json").read_text())["tag"] == "inside"


def test_what_is_on_or_off_takes_no_value(capsys):
    assert cli.main(["run", "image_classifier", "--integer", "False"]) == 1
    assert "--integer, or --no-integer" in capsys.readouterr().err


def test_a_row_of_csv_holds_names_vectors_and_spans():
    answer = {"label": {"names": ["red", "round"]}, "vector": [0.5, -1], "spans": [{"kind": "PER", "text": "Ödön"}]}
    flat = results._flat(answer)
    assert flat["label.names"] == "red|round"
    assert {key: json.loads(flat[key]) for key in ("vector", "spans")} == {
        key: answer[key] for key in ("vector", "spans")
    }
    assert "Ödön" in flat["spans"]
