"""A page in headless Chromium: what axe-core says of it, pictures of it, what its script does."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

AXE = "axe-core@4.10.3"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """The browser's command, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def axe_source(folder: Path) -> str | None:
    """axe-core out of the npm registry; ``None`` where there is no npm, or no way to it."""
    if shutil.which("npm") is None:
        return None
    made = subprocess.run(["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, text=True, timeout=120)
    if made.returncode:
        return None
    shutil.unpack_archive(folder / made.stdout.split()[-1], folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


def evaluated(page: str, script: str, folder: Path, *, width: int = 1280, dark: bool = False) -> Any:
    """What a script says of a page: an expression, maybe a promise, of something that JSON has a word for."""
    end = f"""<script>
        const say = found => top.document.documentElement.setAttribute("data-found", JSON.stringify(found));
        Promise.resolve().then(async () => {script}).then(say, error => say({{error: String(error)}}));
    </script>"""
    text = page.replace("</body>", f"{end}</body>")
    if width < 500:  # a window is not as narrow as a phone, and a frame is
        frame = f'<iframe title="page" srcdoc="{html.escape(text)}" width="{width}" height="900"></iframe>'
        text = f'<!doctype html><html lang="en"><title>narrow</title><body style="margin:0">{frame}</body></html>'
    inner = folder / "inner.html"
    inner.write_text(text, encoding="utf-8")
    profile = folder / f"profile-{width}-{dark}"
    flags = [*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},900", "--virtual-time-budget=60000"]
    flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [chromium() or "chromium", *flags, "--dump-dom", inner.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    found = re.search(r'<html[^>]* data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def violations(page: str, axe: str, folder: Path, *, width: int = 1280, dark: bool = False) -> list[str]:
    """Every fault that axe-core finds, of any weight: its rule and where it is."""
    loaded = page.replace("</body>", f"<script>{axe}</script></body>")
    found = evaluated(loaded, "axe.run()", folder, width=width, dark=dark)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in found["violations"]
        for node in one["nodes"][:5]
    ]
