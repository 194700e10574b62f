"""What a child process gives up before it reads a stranger's bytes: on Linux the network, the file system, privileges.

Four layers, each of which the kernel takes from a process that asks for it and never gives back. A name space of the
network leads nowhere; capabilities go, and no program brings new ones (``no_new_privs``); Landlock
(https://docs.kernel.org/userspace-api/landlock.html) refuses every change of the file system; a seccomp filter
(https://docs.kernel.org/userspace-api/seccomp_filter.html) refuses the system calls of sockets, processes and programs,
and those by which a file is changed once more, for kernels without Landlock. Reading stays: modules are imported later.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
from typing import Any

from kerastl.system import children
from kerastl.untrusted import sandbox

# Of prctl.h, sched.h, landlock.h and seccomp.h.
_PARENT_DEATH_SIGNAL, _SET_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 1, 22, 2, 38
_NEW_USER, _NEW_NETWORK, _THREAD = 0x10000000, 0x40000000, 0x10000
_CREATE_RULESET, _RESTRICT_SELF, _VERSION = 444, 446, 1  # on every architecture
_CAPABILITIES_VERSION, _READ_SEARCH = 0x20080522, 1 << 2  # root's own modules may lie in another's folder
_READS = (1 << 2) | (1 << 3)  # Landlock's READ_FILE and READ_DIR
# Landlock's version -> how many rights to files it knows; and from which on it knows TCP, signals and abstract sockets.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_KNOWS_TCP, _KNOWS_SCOPES = 4, 6

# System call -> its number on x86-64 and on arm64, 0 where there is none; calls later than 423 have one number.
_REFUSED = {
    **{"socket": (41, 198), "socketpair": (53, 199), "io_uring_setup": (425, 425)},
    **{"fork": (57, 0), "vfork": (58, 0), "execve": (59, 221), "execveat": (322, 281)},
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "tkill": (200, 130)},
    **{"rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140)},
    **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41)},
    **{"chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430)},
    **{"fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442)},
    **{"bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217)},
    **{"request_key": (249, 218), "keyctl": (250, 219), "init_module": (175, 105), "finit_module": (313, 273)},
    **{"delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142)},
    # segments and queues outlive the process
    **{"shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180)},
    **{"creat": (85, 0), "mkdir": (83, 0), "mkdirat": (258, 34), "rmdir": (84, 0), "unlink": (87, 0)},
    **{"unlinkat": (263, 35), "rename": (82, 0), "renameat": (264, 38), "renameat2": (316, 276), "link": (86, 0)},
    **{"linkat": (265, 37), "symlink": (88, 0), "symlinkat": (266, 36), "mknod": (133, 0), "mknodat": (259, 33)},
    **{"truncate": (76, 45), "chmod": (90, 0), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, 0), "fchown": (93, 55), "lchown": (94, 0), "fchownat": (260, 54), "utime": (132, 0)},
    **{"utimes": (235, 0), "futimesat": (261, 0), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6)},
    **{"fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    **{"setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469)},
    **{"open_by_handle_at": (304, 265), "fanotify_init": (300, 262)},
}
# Their arguments lie behind a pointer, where no filter looks: as if there were no such call, libraries take another.
_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
_CALLS = {"open": (2, 0), "openat": (257, 56), "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131)}
_CALLS |= {"prctl": (157, 167), "prlimit64": (302, 261), "ioctl": (16, 29), "capset": (126, 91)}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_IOCTLS = (0x40086602, 0x401C5820, 0x5412)  # FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, TIOCSTI
# Machine -> which number of a call is its own, and its name in a filter (audit.h).
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

NETWORK, CAPABILITIES, LANDLOCK, SECCOMP = "network name space", "no new privileges", "Landlock", "seccomp"


def confine(parent: int | None = None) -> tuple[str, ...]:
    """Gives up what this process does not need, for good; what the system does not take stays, and is not said.

    To be called before anything starts a thread, which would keep what it has.

    Args:
        parent: process with which this one ends, if that is still its parent; ``None`` ends it with nobody.

    Returns:
        The layers that hold: of `NETWORK`, `CAPABILITIES`, `LANDLOCK` and `SECCOMP`; none on other systems than Linux.
    """
    if sys.platform != "linux":
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    held = [NETWORK] if leave_network() else []
    if parent is not None:
        children.end_with(parent)
    machine = _MACHINES.get(os.uname().machine) if sys.maxsize > 2**32 else None
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:  # which the two below ask for
        if machine is not None and _drop_capabilities(libc, machine[0]):
            held.append(CAPABILITIES)
        if _refuse_changes(libc):
            held.append(LANDLOCK)
        if machine is not None and _filter_calls(libc, *machine):
            held.append(SECCOMP)
    return tuple(held)


def leave_network() -> bool:
    """Puts this process into a network of its own that leads nowhere; says whether the system let it.

    Linux alone: as root, or where anybody may have a name space of users.
    """
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    return unshare is not None and (unshare(_NEW_NETWORK) == 0 or unshare(_NEW_USER | _NEW_NETWORK) == 0)


def _drop_capabilities(libc: Any, place: int) -> bool:
    """Leaves root nothing but reading; of anybody else there is nothing to take."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    kept = _READ_SEARCH if os.geteuid() == 0 else 0
    data = struct.pack("=6I", kept, kept, 0, 0, 0, 0)
    if libc.syscall(_CALLS["capset"][place], header, data) == 0:
        return True
    return libc.syscall(_CALLS["capset"][place], header, bytes(24)) == 0  # who has not even that one


def _refuse_changes(libc: Any) -> bool:
    """Landlock without a rule: what it knows of is refused everywhere; all of it but reading is asked for."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1 & ~_READS
    size = 8 if version < _KNOWS_TCP else 16 if version < _KNOWS_SCOPES else 24
    ruleset = libc.syscall(_CREATE_RULESET, struct.pack("=3Q", rights, 0b11, 0b11)[:size], size, 0)
    if ruleset < 0:
        return False
    try:
        return libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _filter_calls(libc: Any, place: int, machine: int) -> bool:
    """The seccomp filter, in the classic Berkeley packet filter's words."""
    program = _program(place, machine, process=os.getpid())
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    return libc.prctl(_SET_SECCOMP, _FILTER, whole, 0, 0) == 0


def _program(place: int, machine: int, *, process: int) -> list[tuple[int, int, int, int]]:
    """Instructions: an operation, how many to skip where it holds and where not, a number."""
    refuse, unknown = ((_RETURN, 0, 0, _ERROR | number) for number in (errno.EPERM, errno.ENOSYS))
    allow, call = (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)
    made = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), refuse, call, (_AT_LEAST, 0, 1, 0x40000000), refuse]  # x32
    for answer, calls in ((refuse, _REFUSED), (unknown, _UNKNOWN)):
        for numbers in calls.values():
            if numbers[place]:
                made += [(_EQUAL, 0, 1, numbers[place]), answer]

    def judge(name: str, argument: int, *tests: tuple[int, int, int, int]) -> None:
        """A call whose argument decides: the last test skips one where it is allowed."""
        if number := _CALLS[name][place]:
            body = [(_LOAD, 0, 0, 16 + 8 * argument), *tests, refuse, allow]
            made.extend([(_EQUAL, 0, len(body), number), *body])

    judge("open", 1, (_ANY_BIT, 0, 1, _WRITING))
    judge("openat", 2, (_ANY_BIT, 0, 1, _WRITING))
    judge("clone", 0, (_ANY_BIT, 1, 0, _THREAD))
    judge("prctl", 0, (_EQUAL, 0, 1, _PARENT_DEATH_SIGNAL))
    for name in ("kill", "tgkill"):
        judge(name, 0, (_EQUAL, 1, 0, process))
    judge("prlimit64", 0, (_EQUAL, 2, 0, 0), (_EQUAL, 1, 0, process))
    last = len(_IOCTLS) - 1
    judge("ioctl", 1, *[(_EQUAL, last - i, int(i == last), one) for i, one in enumerate(_IOCTLS)])
    return [*made, allow]


def main(memory: int) -> None:
    """A child that is asked what it could still do: a layer is believed where trying fails."""
    sandbox.serve(lambda question, _: ({"possible": possible(question["folder"])}, b""), memory=memory)


def possible(folder: str) -> list[str]:
    """What this process can still do of what a child is not to do, in words, each tried.

    Args:
        folder: an empty one, in which to try.
    """
    found, made = [], os.path.join(folder, "made")
    for words, attempt in (
        ("open a unix socket", lambda: socket.socket(socket.AF_UNIX).close()),
        ("open a network socket", lambda: socket.socket(socket.AF_INET).close()),
        ("make a folder", lambda: os.mkdir(made)),
        ("empty a file", lambda: os.close(os.open(os.path.join(folder, "kept"), os.O_WRONLY | os.O_TRUNC))),
        ("remove a file", lambda: os.unlink(os.path.join(folder, "kept"))),
        ("change a file's rights", lambda: os.chmod(folder, 0o700)),
        ("start a process", lambda: subprocess.run([sys.executable, "-c", ""], check=False, stdin=subprocess.DEVNULL)),
        ("signal its parent", lambda: os.kill(os.getppid(), 0)),
    ):
        with contextlib.suppress(OSError):
            attempt()
            found.append(words)
    return found
