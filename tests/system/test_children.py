"""A command that ends with who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerastl.system import children


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_tied_command_is_the_command():
    done = subprocess.run(children.tied(["echo", "a b", "$c"]), capture_output=True, text=True, check=True)
    assert done.stdout == "a b $c\n"
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        children.tied(["no-such-command"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
@pytest.mark.parametrize("tie", [True, False])
def test_it_ends_with_a_parent_that_is_killed(tie):
    """Untied it goes on: or the test would prove nothing."""
    command = "children.tied(['sleep', '60'])" if tie else "['sleep', '60']"
    code = f"import subprocess\nfrom kerastl.system import children\nchild = subprocess.Popen({command})\n"
    code += "print(child.pid, flush=True)\nchild.wait()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        while Path(f"/proc/{child}/comm").read_text() != "sleep\n":  # it is Python first
            time.sleep(0.01)
        parent.kill()
    deadline = time.monotonic() + (10 if tie else 0.2)
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_alive(child) is not tie
    if not tie:
        os.kill(child, signal.SIGKILL)
