"""Headless Chromium for tests, driven through chromedriver (W3C WebDriver, https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from kerastl.system import downloads

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
AXE = downloads.Files(
    name="axe_core",
    ways=(
        downloads.Hub({"https://cdn.jsdelivr.net/npm/axe-core@4.14.1/axe.min.js": _AXE_SHA256}),
        downloads.Package(
            registry="npm",
            name="axe-core",
            version="4.14.1",
            sha256="e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
            members={"package/axe.min.js": _AXE_SHA256},
        ),
    ),
    sha256={"axe.min.js": _AXE_SHA256},
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def is_there() -> bool:
    """Whether Debian's `chromium` and `chromium-driver` are installed, or others of these names."""
    return CHROMIUM is not None and DRIVER is not None


class Browser:
    """A browser with a profile of its own, until it is closed."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        assert DRIVER is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([DRIVER, f"--port={port}"], **quiet)
        self._base = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                self._ask("GET", "/status")
                break
            except OSError:
                time.sleep(0.05)
        arguments = [*FLAGS, f"--user-data-dir={self._profile.name}"]
        options = {"args": arguments, "binary": CHROMIUM}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{made['sessionId']}"
        self._ask("POST", "/timeouts", {"script": 60_000})
        self.open("about:blank")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._profile.cleanup()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def open(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    def run(self, code: str, *arguments: Any) -> Any:
        """What a JavaScript function's body returns, which may wait for something; its arguments are ``given``."""
        script = (
            "const given = [...arguments], done = given.pop();"
            f"(async () => {{ {code} }})().then(value => done({{value}}), error => done({{error: String(error)}}));"
        )
        found = self._ask("POST", "/execute/async", {"script": script, "args": list(arguments)})
        assert "error" not in found, found["error"]
        return found.get("value")

    def wait(self, expression: str, *, seconds: float = 20) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(f"return {expression}"):
                return value
            time.sleep(0.02)
        raise AssertionError(f"{expression} did not come true on {self.run('return document.body.innerText')[:500]}")

    def choose(self, selector: str, file: Path) -> None:
        """Chooses a file in an input for files."""
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": str(file)})

    def press(self, *keys: str) -> None:
        """Presses keys after each other, where the focus is; as WebDriver writes them, ``\\ue012`` for an arrow."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def draw(self, selector: str, points: list[tuple[int, int]]) -> None:
        """Moves a pressed mouse over an element, from point to point, in pixels from its middle."""
        origin = {_ELEMENT: self._element(selector)}
        moves = [{"type": "pointerMove", "duration": 0, "origin": origin, "x": x, "y": y} for x, y in points]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        actions = [moves[0], down, *moves[1:], up]
        self._ask("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def _element(self, selector: str) -> str:
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def size(self, width: int, height: int = 900) -> None:
        """Makes the page so wide, as on a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, wanted: bool = True) -> None:
        value = "dark" if wanted else "light"
        self.devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self) -> str:
        """What is seen, a PNG in base64."""
        return self._ask("GET", "/screenshot")

    def requests(self) -> list[str]:
        """The addresses that pages of a server asked since the last call; the browser's own start page is none."""
        messages = (
            json.loads(one["message"])["message"] for one in self._ask("POST", "/se/log", {"type": "performance"})
        )
        sent = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        found = [one["request"]["url"] for one in sent if one["documentURL"].startswith("http")]
        return [address for address in found if not address.startswith(("data:", "blob:"))]

    def faults(self) -> list[str]:
        """What axe-core finds wrong for people who see, hear or move otherwise, in words."""
        script = downloads.fetch(AXE)["axe.min.js"].read_text(encoding="utf-8")
        self.devtools("Runtime.evaluate", {"expression": script})
        found = self.run("return (await axe.run()).violations")
        return [f"{one['impact']}: {one['id']}: {[node['html'] for node in one['nodes'][:3]]}" for one in found]
