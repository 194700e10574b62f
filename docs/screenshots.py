"""Makes the pictures of the site and of the README from a real run, in headless Chromium.

    python docs/screenshots.py                              # makes a run of its own first, `mnist_mobile --quick`
    python docs/screenshots.py saved_models/RECIPE/TAG      # of digits, or of other pictures of one channel

`report.png` is the top of the run's page, `demo.png` the bundle's page in a browser behind a drawn digit. Both are of
256 colours at most, and a picture of more than 200 kB is refused. It needs Debian's `chromium` and `chromium-driver`,
and nothing of the documentation's own packages.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import browser  # noqa: E402  # pyright: ignore[reportMissingImports]

import kerastl  # noqa: E402
from kerastl.runs import demo  # noqa: E402

DOCS = ROOT / "docs"
MOST_BYTES = 200_000
REPORT, DEMO = (1200, 1250), (900, 720)
"""Width and height of what is seen, in pixels."""
THREE = [(-45, -75), (0, -90), (45, -65), (40, -25), (0, 0), (50, 25), (50, 65), (0, 90), (-50, 75)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="a finished run; by default one is made")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures (default docs)")
    given = parser.parse_args()
    if not browser.is_there():
        raise SystemExit("No Chromium: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as folder:
        run = (
            kerastl.open(given.run) if given.run else kerastl.run("mnist_mobile", quick=True, out=Path(folder) / "run")
        )
        for name, picture in pictures(run).items():
            (given.out / name).write_bytes(picture)
            print(f"{given.out / name}: {len(picture):,} bytes")


def pictures(run: kerastl.runs.finished.FinishedRun) -> dict[str, bytes]:
    """The pictures of a run, PNG files by name.

    Raises:
        ValueError: if one is larger than `MOST_BYTES`.
    """
    content = {**demo.files(run), "report.html": run.folder / "report.html"}
    with demo.Server(content, port=0) as server, browser.Browser() as opened:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            opened.devtools("Emulation.setScrollbarsHidden", {"hidden": True})
            opened.size(*REPORT)
            opened.open(f"{server.address}report.html")
            found = {"report.png": opened.screenshot()}
            opened.size(*DEMO)
            opened.open(server.address)
            opened.wait("document.documentElement.dataset.loaded")
            opened.draw(".pad", THREE)
            opened.wait("document.getElementById('answer').dataset.values")
            opened.draw(".pad", THREE)  # the first answer warms up what the second one is timed in
            found["demo.png"] = opened.screenshot()
        finally:
            server.shutdown()
    return {name: small(base64.b64decode(data), name) for name, data in found.items()}


def small(png: bytes, name: str) -> bytes:
    """The same picture in 256 colours. Raises `ValueError` where that is more than `MOST_BYTES`."""
    sink = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(sink, "PNG", optimize=True)
    if len(sink.getvalue()) > MOST_BYTES:
        raise ValueError(
            f"Wanted pictures of {MOST_BYTES:,} bytes at most. Received: {len(sink.getvalue()):,} of {name}."
        )
    return sink.getvalue()


if __name__ == "__main__":
    main()
