"""`kerastl demo`: a bundle's page and the runtime that it needs, served to a browser on this machine, or to a phone.

The page is made anew from what the file says of itself, read in the sandbox: a bundle may be anybody's, and so may the
``index.html`` in it, which is never served.
"""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import socket
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kerastl.export.browser import litert_js, page
from kerastl.runs import rows
from kerastl.runs.finished import FinishedRun

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
PORT = 8000
"""Where a page is served unless somebody says another, or it is taken."""
_TYPES = {
    ".model": "application/octet-stream",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Embedder-Policy": "require-corp",  # with the next one: clocks of microseconds
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def files(run: FinishedRun) -> dict[str, bytes | Path]:
    """What is served of a run, path -> content, or the file that holds it.

    Raises:
        ValueError: if the file does not say what it takes, or takes scaled pixels, as files of others may.
        FileNotFoundError: LiteRT.js is not cached and no source could be reached.
    """
    described = run.described
    if described is None or any(described["mean"]) or any(one != 1 for one in described["std"]):
        raise ValueError(
            "Wanted a file that says in its metadata what it takes, numbers as they are. Received: "
            f"{run.file}, which {'says nothing' if described is None else 'takes scaled ones'}; "
            "`kerastl predict` may know how to ask it."
        )
    facts = rows.of_facts(run.facts)
    made = page.render(run.task, inputs=facts["inputs"], outputs=facts["outputs"])
    texts = page.texts(run.task.inputs)
    return {"": made.encode(), page.NAME: made.encode(), run.file.name: run.file, **texts, **litert_js.files()}


class Server(http.server.ThreadingHTTPServer):
    """Serves a few files, and nothing else of the disk.

    Args:
        content: path, without the first stroke -> bytes, or a file.
        host: of this machine, `LOOPBACK` or one of its addresses; `EVERYWHERE` for all networks that it is in.
        port: where; ``None`` takes `PORT`, or any that is free if that is taken, and 0 any.

    Raises:
        OSError: if the port is taken, or there is no such address.
    """

    daemon_threads = True

    def __init__(self, content: Mapping[str, bytes | Path], *, host: str = LOOPBACK, port: int | None = None) -> None:
        self.content = content
        try:
            super().__init__((host, PORT if port is None else port), _Handler)
        except OSError:
            if port is not None:
                raise
            super().__init__((host, 0), _Handler)

    @property
    def host(self) -> str:
        return str(self.server_address[0])

    @property
    def address(self) -> str:
        """What to open on this machine."""
        return f"http://{LOOPBACK if self.host == EVERYWHERE else self.host}:{self.server_port}/"

    @property
    def address_in_network(self) -> str | None:
        """What to open on a phone in the same network; ``None`` where nobody else is served, or there is no network."""
        host = network_address() if self.host == EVERYWHERE else self.host
        return None if host is None or ipaddress.ip_address(host).is_loopback else f"http://{host}:{self.server_port}/"

    def accepts(self, host: str) -> bool:
        """Whether a request is for this server by its name in ``Host``.

        A page of somebody else's may call its own server's name by the address 127.0.0.1 (DNS rebinding) and would read
        the bundle as its own: on loopback only loopback's names are answered.
        """
        if not ipaddress.ip_address(self.host).is_loopback:
            return True
        return urlsplit(f"//{host}").hostname in (self.host, LOOPBACK, "localhost", "::1")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if not self.server.accepts(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        found = self.server.content.get(name)
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content = found if isinstance(found, bytes) else found.read_bytes()
        self.send_response(HTTPStatus.OK)
        ending = Path(name).suffix or ".html"
        for key, value in {"Content-Type": _TYPES[ending], "Content-Length": str(len(content)), **_HEADERS}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):  # a page that was closed
                self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def network_address() -> str | None:
    """The address of this machine in its network, ``None`` where it is in none; nothing is sent for it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))  # an address of documentation (RFC 5737): only the way to it is looked up
        found = str(asked.getsockname()[0])
        return None if ipaddress.ip_address(found).is_loopback else found
    return None
