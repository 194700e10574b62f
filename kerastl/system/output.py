"""What a command prints: strangers' names without what moves a cursor, native libraries' greetings aside, a log of all.

C++ writes to file descriptor 2 behind Python's back. `begin` puts a small process between that and the terminal: it
leaves out the lines that are known to say nothing, hands on all others, and outlives a crash, so that the last words of
one are never lost. Everything goes into the log of the run, see `log_to`. `begun` does it for one call out of Python.

That process runs this file as a script, so that it imports nothing of kerastl.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import io
import os
import re
import select
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
_LOGGED = re.compile(r"(?:WARNING|INFO):(?:tensorflow|absl):|[IW]\d{4} [\d:.]+\s+\d+ \S+:\d+\]")
"""Beginning of what TensorFlow's and absl's loggers of Python write: the same kind of lines as `KNOWN`, of retracing
say. An error of theirs begins otherwise."""
_PYTHON_WARNED = re.compile(r".+:\d+: \w*Warning: ")
"""Beginning of what Python's module `warnings` writes."""
quiet = False
"""Whether the results of a command are all that is to be shown (``--quiet``)."""
CLOSED_PIPE = 128 + 13
"""Exit status of a command that nobody reads any more: by convention that of one that SIGPIPE ends."""
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
        exits: whether a pipe that nobody reads any more ends the program, see `PipeClosed`.
    """

    def __init__(self, stream: Any, *, exits: bool = False) -> None:
        self.rich_proxied_file = self._stream = stream
        self.log: IO[str] | None = None
        self.muted = False
        self._exits = exits
        self._at_start, self._hidden = True, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def flush(self) -> None:
        with self._pipe():
            self._stream.flush()

    def release(self, stream: Any) -> None:
        """From now on writes to another stream, and into no log: a logger may hold this one for good."""
        self.rich_proxied_file = self._stream = stream
        self.log, self.muted = None, False

    @contextlib.contextmanager
    def _pipe(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            if not self._exits:
                raise
            raise PipeClosed from None

    def _is_known(self, text: str) -> bool:
        """Whether it is for the log alone; a logger writes a record with all its lines at once."""
        if self._at_start:
            known = _LOGGED.match(text) or (quiet and _PYTHON_WARNED.match(text))
            self._hidden = bool(known) and _keeps_log and not _verbose
        self._at_start = text.endswith("\n")
        return self._hidden

    def write(self, text: str) -> int:
        clean = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
        if not self._is_known(clean) and not self.muted:
            with self._pipe():
                self._stream.write(clean)
        if self.log is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk is said elsewhere
                self.log.write(_COLOUR.sub("", clean))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)


class PipeClosed(SystemExit):
    """Nobody reads what is printed any more (``kerastl ... | head``): no fault of anybody's, and the end of it.

    It is no `OSError`, so that nobody takes it for a full disk on the way.
    """

    def __init__(self) -> None:
        super().__init__(CLOSED_PIPE)


def open_missing_streams() -> None:
    """Where a command began without standard streams (``>&-``) what goes there is lost, and no file that is opened
    later gets their numbers, into which native libraries would print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def leave_closed_pipes() -> bool:
    """Turns standard streams that nobody reads to where nothing is kept, so that Python's own end says nothing of them.

    Returns:
        Whether there was one.
    """
    found = False
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if _is_closed(number := stream.fileno()):
                found = True
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)
    return found


def _is_closed(number: int) -> bool:
    """Whether a file descriptor is a pipe without a reader."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(number, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in asked.poll(0))


@contextlib.contextmanager
def cleaned(*, exits: bool = False) -> Iterator[None]:
    """Within it `sys.stdout` and `sys.stderr` are `Cleaned`, see there for ``exits``."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (one if isinstance(one, Cleaned) else Cleaned(one, exits=exits) for one in before)
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
    if not streams or not _keeps_log:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
        for stream in streams:
            stream.log = log
        if _begun is not None:
            number = os.fstat(log.fileno()).st_ino  # a run that is refused puts another file there
            _begun.say(_LOG + f"{number} ".encode() + os.fsencode(path.absolute()))


_begun: Native | None = None
_keeps_log = _verbose = False


def quiet_libraries() -> None:
    """Says to libraries that are yet to be imported what is wanted of them, where nobody else has."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings are nobody's concern here
    os.environ.setdefault("TQDM_DISABLE", "1")  # the quantizer's bars, one after the other for every file
    # On processors without AVX-512 TensorFlow leaves oneDNN off, though small convolutions train 1.2 to 2.7 times
    # faster with it (measured on an AVX2 machine); it has to be said before TensorFlow is imported.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def begin(*, verbose: bool = False) -> None:
    """Puts the filter between file descriptor 2 and the terminal, for the rest of this process.

    Does nothing where there is no `posix_spawn`.

    Args:
        verbose: whether known lines are shown as well.
    """
    global _begun, _keeps_log, _verbose
    if _keeps_log:
        return
    _keeps_log, _verbose = True, verbose
    if hasattr(os, "posix_spawn") and sys.stderr is not None and "python" in Path(sys.executable or "").name.lower():
        with contextlib.suppress(OSError, ValueError):  # no descriptor 2, or none left
            _begun = Native(verbose=verbose)
            atexit.register(_begun.close)


@contextlib.contextmanager
def begun() -> Iterator[None]:
    """What `begin` and `cleaned` do for a command, for one call out of Python; afterwards all is as it was.

    Within another one, or a command, nothing changes. A logger that is made inside keeps the stream that it found
    there, which goes on to where the caller's goes.
    """
    global _begun, _keeps_log, _verbose
    quiet_libraries()
    if _keeps_log:
        yield
        return
    before = sys.stdout, sys.stderr
    begin()
    inside: list[Any] = []
    try:
        with cleaned():
            inside = [sys.stdout, sys.stderr]
            yield
    finally:
        sys.stdout, sys.stderr = before
        for stream, now in zip(inside, before, strict=False):
            stream.release(now)
        if _begun is not None:
            atexit.unregister(_begun.close)
            _begun.close()
            _begun.forget()
        _begun, _keeps_log, _verbose = None, False, False


class Native:
    """The process that reads what is written to file descriptor 2, see `begin`.

    It is spawned and not forked, for threads of TensorFlow's may be at work already.
    """

    def __init__(self, *, verbose: bool) -> None:
        sys.stderr.flush()
        self._terminal = os.dup(2)
        readable, writable = os.pipe()
        try:
            self._child = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", __file__, *(["--verbose"] if verbose else [])],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self._terminal, 2),
                    (os.POSIX_SPAWN_DUP2, readable, 0),
                    # whoever reads what the command prints waits for no one else
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                ],
                # Ctrl-C is for those who work: what they say of it has to arrive
                setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
            )
        except BaseException:
            for number in (writable, self._terminal):
                os.close(number)
            raise
        finally:
            os.close(readable)
        os.dup2(writable, 2)
        os.close(writable)
        self._shown: IO[str] | None = None
        if _is_on_2(sys.stderr):  # in a notebook it is another one, which goes on
            encoding, errors = sys.stderr.encoding, sys.stderr.errors
            self._shown = open(os.dup(self._terminal), "w", buffering=1, encoding=encoding, errors=errors)  # noqa: SIM115
            sys.stderr = self._shown

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
        os.close(self._terminal)

    def forget(self) -> None:
        """Closes the stream that stood for `sys.stderr`, when nothing writes to it any more."""
        if self._shown is not None:
            with contextlib.suppress(OSError):
                self._shown.close()


def _is_on_2(stream: Any) -> bool:
    """Whether a text stream writes to file descriptor 2 itself."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    except (OSError, ValueError):
        return False


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
        """Until the last writer is gone."""
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

    def _begin_log(self, words: bytes) -> None:
        number, _, path = words.partition(b" ")
        with contextlib.suppress(OSError):
            log = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
            if os.fstat(log).st_ino == int(number):
                self._log = log
        while self._waiting:
            self._keep(self._waiting.popleft())
            if self._log is None:
                return


if __name__ == "__main__":
    os.closerange(3, 256)  # what libraries left open for every child
    _Filter(2, verbose="--verbose" in sys.argv).serve(0)
