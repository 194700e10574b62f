"""What is printed: nothing of a stranger's moves the cursor, greetings stay out, and a crash's last words arrive."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerastl.system import output

GREETINGS = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1796051188.062127   13790 port.cc:153] oneDNN custom operations are on. You may",
    "I0000 00:00:1796051188.063117   13790 cudart_stub.cc:31] Could not find cuda drivers on your machine.",
    "E0000 00:00:1796051193.351326   13790 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error",
    "W0000 00:00:1796051193.351326   13790 tf_tfl_flatbuffer_helpers.cc:364] Ignored output_format.",
    "2026-11-30 15:08:36.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary",
    "2026-11-30 15:08:36.123: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:477] Unable to register cuFFT",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the compiler flags.",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
]
WORDS = [
    "F0000 00:00:1796051193.351326   13790 tensor.cc:52] Check failed: dims == 2",
    "E0000 00:00:1796051193.351326   13790 bfc_allocator.cc:52] Out of memory",
    "2026-11-30 15:08:36.123456: F tensorflow/core/framework/tensor.cc:852] Check failed: dtype() == expected_dtype",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "ERROR: Node number 3 (CONV_2D) failed to prepare.",
    "a user's own words",
]


@pytest.mark.parametrize("line", GREETINGS)
def test_greetings_are_known(line):
    assert output.KNOWN.match(line.encode())


@pytest.mark.parametrize("line", WORDS)
def test_what_says_something_is_not(line):
    assert not output.KNOWN.match(line.encode())


@pytest.mark.parametrize("code", ["\x1b[2J", "\x1b]0;title\x07", "\r\x08", "\x9b2K", "\u202eabc", "\x1b[1A", "\x00"])
def test_nothing_moves_the_cursor(code):
    stream = io.StringIO()
    output.Cleaned(stream).write(f"a{code}b\n")
    assert "\N{REPLACEMENT CHARACTER}" in stream.getvalue()
    assert not set(stream.getvalue()) & set("\x1b\x07\x08\x9b\u202e\x00")
    assert "\n" not in output.printable(f"a{code}\nverified")


def test_colours_lines_and_every_alphabet_stay():
    stream, words = io.StringIO(), "\x1b[1;32mgreen\x1b[0m\n\tzwölf 犬 \N{DOG FACE}\n"
    with contextlib.redirect_stdout(stream), output.cleaned():
        print(words, end="")
        with output.muted():
            print("not shown")
        print("shown")
    assert stream.getvalue() == f"{words}shown\n"


SCRIPT = """
import os, sys
from pathlib import Path
from kerastl.system import output
output.begin(verbose="--verbose" in sys.argv)
with output.cleaned():
    os.write(2, GREETINGS)
    os.write(2, WORDS)
    output.log_to(Path("logs/run.log"))
    print("on the way")
    print("a \\x1b[2Jname", file=sys.stderr)
    os.write(2, GREETINGS)
    os.write(2, b"the last \\x1b[2J words")
    if "--crash" in sys.argv:
        os.abort()
"""


def shown(tmp_path: Path, *flags: str) -> tuple[str, str, int]:
    greetings, words = (repr("".join(f"{line}\n" for line in lines).encode()) for lines in (GREETINGS, WORDS))
    script = SCRIPT.replace("GREETINGS", greetings).replace("WORDS", words)
    done = subprocess.run([sys.executable, "-c", script, *flags], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "on the way\n"
    return done.stderr, (tmp_path / "logs" / "run.log").read_text(), done.returncode


def test_greetings_go_to_the_log_alone_and_all_else_to_the_terminal_too(tmp_path):
    terminal, log, code = shown(tmp_path)
    assert code == 0
    assert sorted(terminal.splitlines()) == sorted(
        [*WORDS, "a \N{REPLACEMENT CHARACTER}[2Jname", "the last \N{REPLACEMENT CHARACTER}[2J words"]
    )
    for line in (*GREETINGS, *WORDS, "on the way", "the last"):
        assert line in log
    assert log.index(GREETINGS[0]) < log.index(WORDS[0])
    verbose, _, _ = shown(tmp_path, "--verbose")
    assert set(GREETINGS) <= set(verbose.splitlines())


def test_the_last_words_of_a_crash_arrive(tmp_path):
    terminal, log, code = shown(tmp_path, "--crash")
    assert code == -6
    assert "the last" in terminal
    assert "the last" in log
    assert "ended without a word; before that:\nE0000" in terminal
    assert "W0000" in terminal.partition("before that:")[2]


def test_what_tensorflow_says_at_its_start_is_known(tmp_path):
    """The real one, which says something else from version to version."""
    code = """
from pathlib import Path
from kerastl.system import output
output.begin()
with output.cleaned():
    import tensorflow as tf
    output.log_to(Path("run.log"))
    function = tf.function(lambda number: tf.constant(1.0) + number)
    for number in range(8):  # each is traced anew, of which TensorFlow warns
        function(number)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "triggered tf.function retracing" in (tmp_path / "run.log").read_text()


RETRACED = "WARNING:tensorflow:5 out of the last 5 calls to <f> triggered tf.function retracing.\nMore of it.\n"
WARNED = "/some/where.py:12: UserWarning: beware\n  beware()\n"


def test_what_loggers_of_libraries_say_is_for_the_log(monkeypatch, tmp_path):
    stream = io.StringIO()
    cleaned = output.Cleaned(stream)
    cleaned.log = (tmp_path / "log").open("w")

    def shown(*words: str) -> str:
        stream.seek(0)
        stream.truncate()
        for word in words:
            cleaned.write(word)
        return stream.getvalue()

    assert shown(RETRACED) == RETRACED, "no log is kept: nothing may be lost"
    monkeypatch.setattr(output, "_keeps_log", True)
    assert shown(RETRACED, "kerastl: a note\n") == "kerastl: a note\n"
    assert shown("WARNING:absl:one", "\n", "two\n") == "two\n"
    assert shown("ERROR:tensorflow:lost\n", "WARNING:mine:this\n") == "ERROR:tensorflow:lost\nWARNING:mine:this\n"
    assert shown("said: ", RETRACED) == f"said: {RETRACED}", "in the middle of a line"
    assert shown(WARNED) == WARNED
    monkeypatch.setattr(output, "quiet", True)
    assert shown(WARNED, "a user's own words\n") == "a user's own words\n"
    monkeypatch.setattr(output, "_verbose", True)
    assert shown(RETRACED, WARNED) == RETRACED + WARNED
    cleaned.log.close()
    assert (tmp_path / "log").read_text().count(RETRACED) == 4


CALL = """
import logging, os, sys
from pathlib import Path
from kerastl.system import output
before, descriptor = sys.stderr, os.fstat(2).st_ino
for turn in "one", "two":
    with output.begun():
        assert sys.stderr is not before
        handler = logging.StreamHandler()
        output.log_to(Path(turn))
        os.write(2, GREETINGS)
        print("to stdout", turn)
        print("to stderr", turn, file=sys.stderr)
        with output.begun():
            handler.stream.write("WARNING:tensorflow:retracing " + turn + "\\n")
    assert (sys.stderr, os.fstat(2).st_ino) == (before, descriptor)
    handler.stream.write("a handler goes on\\n")
    os.write(2, b"I0000 00:00:1796051188.062127   13790 port.cc:153] after it\\n")
assert {"TF_CPP_MIN_LOG_LEVEL", "TQDM_DISABLE", "TF_ENABLE_ONEDNN_OPTS"} <= set(os.environ)
print("open:", len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 4)
"""


def test_one_call_out_of_python_is_as_quiet_and_leaves_all_as_it_was(tmp_path):
    greetings = repr("".join(f"{line}\n" for line in GREETINGS).encode())
    call = [sys.executable, "-c", CALL.replace("GREETINGS", greetings)]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    after = ["a handler goes on", "I0000 00:00:1796051188.062127   13790 port.cc:153] after it"]
    assert done.stderr.splitlines() == ["to stderr one", *after, "to stderr two", *after]
    # standard ones, the folder that is listed, and the two logs, which the collector closes
    *printed, number = done.stdout.splitlines()
    assert printed == ["to stdout one", "to stdout two"]
    assert int(number.removeprefix("open: ")) <= 6
    for turn in ("one", "two"):
        log = (tmp_path / turn).read_text()
        assert {*GREETINGS, f"to stdout {turn}", f"to stderr {turn}"} <= set(log.splitlines())
        assert f"retracing {turn}" in log
        assert "goes on" not in log


def test_a_pipe_that_nobody_reads_is_no_fault_of_a_file(tmp_path):
    """It passes whoever takes an `OSError` for a full disk; in a program of somebody else's it stays what it was."""
    for exits, kind in ((True, output.PipeClosed), (False, BrokenPipeError)):
        readable, writable = os.pipe()
        os.close(readable)
        stream = output.Cleaned(open(writable, "w"), exits=exits)  # noqa: SIM115
        stream.write("words")
        with pytest.raises(kind):
            stream.flush()
        assert output._is_closed(writable)
        with pytest.raises(BrokenPipeError):
            stream._stream.close()
    assert not issubclass(output.PipeClosed, Exception)
    with (tmp_path / "file").open("w") as file:
        assert not output._is_closed(file.fileno())
