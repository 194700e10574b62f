"""What a child gives up, each layer alone: it is tried, not believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kerastl.untrusted import confinement, sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems take nothing away")
CHANGES = ["make a folder", "empty a file", "remove a file"]


def confined(tmp_path, code):
    """What can still be done after some code, in a process of its own that has started no thread."""
    (tmp_path / "kept").write_text("kept")
    whole = f"from kerastl.untrusted import confinement as c\nimport ctypes, json, os, sys\n{code}\n"
    whole += f"print(json.dumps(c.possible({str(tmp_path)!r})))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


PREPARE = "libc = ctypes.CDLL(None)\nlibc.prctl(38, 1, 0, 0, 0)\n"


def test_a_plain_process_can_do_all_of_it(tmp_path):
    assert len(confined(tmp_path, "")) == 8


def test_a_confined_one_none_of_it(tmp_path):
    (tmp_path / "kept").write_text("kept")
    with sandbox.Sandbox("kerastl.untrusted.confinement", memory=1_000_000_000) as child:
        answer, _ = child.ask({"folder": str(tmp_path)}, b"", seconds=20)
    assert answer["possible"] == []
    assert (tmp_path / "kept").read_text() == "kept"
    assert confinement.SECCOMP in child.confined


def test_landlock_alone_changes_no_file(tmp_path):
    found = confined(tmp_path, PREPARE + "print(c._refuse_changes(libc))")
    assert not set(CHANGES) & set(found)
    assert "open a network socket" in found


def test_the_filter_alone_leaves_nothing(tmp_path):
    code = PREPARE + "assert c._filter_calls(libc, *c._MACHINES[os.uname().machine])"
    assert confined(tmp_path, code) == []


def test_its_own_signals_threads_and_limits_stay(tmp_path):
    """What libraries need: a process that cannot start threads computes nothing."""
    code = (
        "import resource, signal, threading\n"
        "assert c.confine(os.getppid())\n"
        "thread = threading.Thread(target=lambda: print('a thread'))\n"
        "thread.start(); thread.join()\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "os.kill(os.getpid(), 0)\n"
        "open(os.devnull).close()\n"
    )
    assert confined(tmp_path, code) == []


def test_root_keeps_no_privilege(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("there is nothing to take")
    code = "c.confine()\nheld = [l for l in open('/proc/self/status') if l.startswith(('CapEff', 'NoNewPrivs'))]\n"
    code += "assert int(held[0].split()[1], 16) == 4 and held[1].split()[1] == '1', held"
    confined(tmp_path, code)


def test_nothing_is_taken_on_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert confinement.confine() == ()
