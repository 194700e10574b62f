"""Child processes that end with their parent, also where it is killed and can end nobody."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Sequence

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl.h
_CODE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[3:])
"""


def end_with(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends, also by a kill; Linux alone.

    Args:
        parent: the process that started this one; where it has ended meanwhile, this one does as well.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def tied(command: Sequence[str]) -> list[str]:
    """A command that ends with this process, for `subprocess`; on other systems than Linux the command as it is.

    A function between fork and exec would do without the small Python in front, and may hang where there are threads.

    Raises:
        FileNotFoundError: there is no such command.
    """
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"There is no command {command[0]!r}.")
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _CODE, str(os.getpid()), program, *command]
