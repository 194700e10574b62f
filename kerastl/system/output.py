"""What a command prints: strangers' names without what moves a cursor, native libraries' greetings aside, a log of all.

C++ writes to file descriptor 2 behind Python's back. `begin` puts a small process between that and the terminal: it
leaves out the lines that are known to say nothing, hands on all others, and outlives a crash, so that the last words of
one are never lost. Everything goes into the log of the run, see `log_to`.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

KNOWN = re.compile(
    rb"""
    WARNING:\ All\ log\ messages\ before\ absl::InitializeLog\(\)
    | [IW]\d{4}\ [\d:.]+\s+\d+\ \S+:\d+\]                      # absl: information and warnings, which are TensorFlow's
    | \d{4}-\d\d-\d\d\ [\d:.]+:\ [IW]\ \S+:\d+\]               # the same in TensorFlow's own form
    | E\d{4}\ [\d:.]+\s+\d+\ cuda_\w+\.cc:\d+\]\ failed\ call\ to\ cuInit
    | \d{4}-\d\d-\d\d\ [\d:.]+:\ E\ \S*cuda_\w+\.cc:\d+\]\ (?:failed\ call\ to\ cuInit|Unable\ to\ register)
    | To\ enable\ the\ following\ instructions:.*rebuild\ TensorFlow
    | INFO:\ (?:Created\ TensorFlow\ Lite|Initialized\ TensorFlow\ Lite|Applying\ \d+\ TensorFlow\ Lite)
    """,
    re.VERBOSE,
)
"""Beginnings of lines that greet, say which processor there is, or that there is no other one."""
_CONTROL = re.compile(
    "\x1b(?!\\[[0-9;]*m)"  # escapes, but those that colour
    "|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
quiet = False
"""Whether the results of a command are all that is to be shown (``--quiet``)."""
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_WARNED = re.compile(rb"[WE]\d{4} |[\d:. -]+: [WE] ")
_LOG, _END = b"\x00log ", b"\x00end"
_MOST_KEPT = 10_000
_SECONDS = 2.0  # that the last lines may take to reach the terminal


def printable(words: Any) -> str:
    """Words of a stranger in one line, without what could move a terminal's cursor or turn its writing."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(words))


class Cleaned:
    """A text stream without control characters, for whatever is printed may hold somebody else's names.

    Colours, tabs and ends of lines stay. Rich's own bars move the cursor: they go by, to the stream itself.

    Args:
        stream: that of the terminal.
    """

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = self._stream = stream
        self.log: IO[str] | None = None
        self.muted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        clean = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
        if not self.muted:
            self._stream.write(clean)
        if self.log is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk is said elsewhere
                self.log.write(_COLOUR.sub("", clean))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def cleaned() -> Iterator[None]:
    """Within it `sys.stdout` and `sys.stderr` are `Cleaned`."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (one if isinstance(one, Cleaned) else Cleaned(one) for one in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def terminal(stream: Any) -> Any:
    """Where something writes that moves the cursor itself, a bar say: past what cleans a stream."""
    return getattr(stream, "rich_proxied_file", stream)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Within it nothing printed to `sys.stdout` is shown; the log gets it."""
    stream = sys.stdout
    if not isinstance(stream, Cleaned):
        with contextlib.redirect_stdout(io.StringIO()):
            yield
        return
    stream.muted, before = True, stream.rich_proxied_file
    stream.rich_proxied_file = stream
    try:
        yield
    finally:
        stream.muted, stream.rich_proxied_file = False, before


def log_to(path: Path) -> None:
    """From now on everything that is printed goes into a file as well, as it has been since `begin` where it began."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Cleaned)]
    if not streams or _begun is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
        for stream in streams:
            stream.log = log
        _begun.say(_LOG + os.fsencode(path.absolute()))


_begun: Native | None = None


def begin(*, verbose: bool = False) -> None:
    """Puts the filter between file descriptor 2 and the terminal, for the rest of this process.

    Called before any framework is imported and any thread is started. Does nothing where there is no `fork`.

    Args:
        verbose: whether known lines are shown as well.
    """
    global _begun
    if _begun is None and hasattr(os, "fork") and sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # no descriptor 2, or none left
            _begun = Native(verbose=verbose)
            atexit.register(_begun.close)


class Native:
    """The process that reads what is written to file descriptor 2, see `begin`."""

    def __init__(self, *, verbose: bool) -> None:
        sys.stderr.flush()
        self._terminal = os.dup(2)
        readable, writable = os.pipe()
        self._child = os.fork()
        if not self._child:
            try:
                os.close(writable)
                _Filter(self._terminal, verbose=verbose).serve(readable)
            finally:
                os._exit(0)
        os.close(readable)
        os.dup2(writable, 2)
        os.close(writable)
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        shown = open(os.dup(self._terminal), "w", buffering=1, encoding=encoding, errors=errors)  # noqa: SIM115
        sys.stderr = shown

    def say(self, words: bytes) -> None:
        """Tells the filter something, in the order of what is written."""
        with contextlib.suppress(OSError):
            os.write(2, b"\n" + words + b"\n")

    def close(self) -> None:
        """Ends the filter when it has handed on what there is."""
        self.say(_END)
        os.dup2(self._terminal, 2)
        deadline = time.monotonic() + _SECONDS
        with contextlib.suppress(OSError):  # somebody else's child may still write, and the filter lives on
            while os.waitpid(self._child, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.005)


class _Filter:
    """Lines in, lines out: to the terminal those that are not known, to the log all of them.

    Args:
        terminal: file descriptor.
        verbose: whether known lines are shown as well.
    """

    def __init__(self, terminal: int, *, verbose: bool) -> None:
        self._terminal, self._verbose = terminal, verbose
        self._log: int | None = None
        self._waiting: collections.deque[bytes] = collections.deque(maxlen=_MOST_KEPT)
        self._left_out: collections.deque[bytes] = collections.deque(maxlen=20)
        self._ended = False

    def serve(self, readable: int) -> None:
        """Until the last writer is gone. Ctrl-C is for those who work: what they say of it has to arrive."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for descriptor in (0, 1, 2):  # whoever reads what the command prints waits for no one else
            if descriptor not in (readable, self._terminal):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        rest = b""
        while part := os.read(readable, 1 << 16):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self.take(line + b"\n")
        if rest:
            self.take(rest + b"\n")
        if not self._ended and self._left_out:  # a crash: what came before may explain it
            self._show(b"kerastl: ended without a word; before that:\n" + b"".join(self._left_out))

    def take(self, line: bytes) -> None:
        """One line, with its end."""
        if line.startswith(_LOG):
            self._begin_log(line[len(_LOG) : -1])
        elif line.startswith(_END):
            self._ended = True
        elif line.strip():
            self._keep(line)
            if self._verbose or not KNOWN.match(line):
                self._show(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", line.decode(errors="replace")).encode())
            elif _WARNED.match(line):
                self._left_out.append(line)

    def _show(self, words: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._terminal, words)

    def _keep(self, line: bytes) -> None:
        if self._log is None:
            self._waiting.append(line)
            return
        with contextlib.suppress(OSError):
            os.write(self._log, line)

    def _begin_log(self, path: bytes) -> None:
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._log = os.open(path, flags, 0o644)
        while self._waiting:
            self._keep(self._waiting.popleft())
            if self._log is None:
                return
