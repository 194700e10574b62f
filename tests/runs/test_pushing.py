"""A bundle on a hub: the real client against a stand-in server on this machine, which keeps what it gets."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

import kerastl
from kerastl import cli
from kerastl.runs import pushing

pytest.importorskip("huggingface_hub")


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's interface as a commit of small files needs."""

    got: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []
    made: ClassVar[dict[str, object]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        answer: dict[str, object] = {}
        if self.path == "/api/repos/create":
            self.made.update(json.loads(body))
            answer = {"url": f"http://{self.headers['Host']}/someone/digits"}
        elif "/preupload/" in self.path:
            names = [one["path"] for one in json.loads(body)["files"]]
            answer = {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
        elif "/commit/" in self.path:
            for line in body.splitlines():
                one = json.loads(line)
                if one["key"] == "file":
                    self.got[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            answer = {"commitUrl": f"http://{self.headers['Host']}/someone/digits/commit/1", "commitOid": "1" * 40}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch) -> Iterator[str]:
    for kept in (Hub.got, Hub.made):
        kept.clear()
    Hub.asked.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_toy")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_bundle_and_its_card_are_uploaded(finished, hub):
    run = kerastl.open(finished)
    address = pushing.push(run, "hf://someone/digits", endpoint=hub)
    assert address == f"{hub}/someone/digits/commit/1"
    assert {"name": "digits", "organization": "someone"}.items() <= Hub.made.items()
    assert Hub.made.get("private") is True or Hub.made.get("visibility") == "private", Hub.made
    assert {token for path, token in Hub.asked if "/commit/" in path} == {"Bearer hf_toy"}
    wanted = {path.name: path.read_bytes() for path in run.bundle.iterdir()}
    wanted["USAGE.md"], wanted["README.md"] = wanted["README.md"], wanted.pop("MODEL_CARD.md")
    assert Hub.got == {**wanted, "report.json": (finished / "report.json").read_bytes()}


def test_what_is_no_place_and_what_has_no_card_is_refused(finished, hub, capsys):
    for place in ("someone/digits", "hf://digits", "hf://a/b/c", "hf://../x"):
        with pytest.raises(ValueError, match="Wanted a place hf://OWNER/NAME"):
            pushing.push(kerastl.open(finished), place, endpoint=hub)
    (finished / "mobile" / "MODEL_CARD.md").unlink()
    assert cli.main(["push", str(finished), "hf://someone/digits"]) == 1
    assert "no MODEL_CARD.md" in capsys.readouterr().err
    assert Hub.asked == []


def test_the_card_says_what_the_report_does(finished):
    card = (finished / "mobile" / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = json.loads((finished / "report.json").read_text())
    row = report["variants"][0]
    assert card.startswith("---\nlibrary_name: litert\npipeline_tag: image-classification\n")
    for words in (
        report["data"]["digest"], row["sha256"], f"{100 * row['score']:.2f} %", report["made"]["machine"]["cpu"],
        "licence: not known to kerastl", "## Intended use", "## Limits", f"{row['multiply_adds']:,} multiply-adds",
        "command: `kerastl run my_recipe.py`",
    ):  # fmt: skip
        assert words in card
    worst = min((one for one in report["by_class"] if one["examples"]), key=lambda one: one["f1"])
    assert f"| {worst['name']} | {worst['examples']} | {100 * worst['recall']:.2f} %" in card
