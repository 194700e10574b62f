"""`benchmarks/untrusted/fuzz_readers.py`: it tells a refusal from a fault, and makes the same files again."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.untrusted import fuzz_mutations, fuzz_readers, fuzz_seeds  # noqa: E402


def raises(error, cause=None):
    def read(_):
        raise error from cause

    return read


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda _: None, "accepted"),
        (raises(ValueError("words")), "refused"),
        (raises(FileNotFoundError("words")), "refused"),
        (raises(ValueError()), "trace"),
        (raises(KeyError("a")), "trace"),
        (raises(RecursionError()), "trace"),
        (raises(MemoryError()), "memory"),
        (raises(ValueError("words"), MemoryError()), "memory"),
        (raises(ValueError("words"), PermissionError()), "outside"),
        (raises(PermissionError("words")), "outside"),
    ],
)
def test_what_becomes_of_a_file(read, kind, tmp_path):
    assert fuzz_readers.judged(read, tmp_path)[0] == kind


def test_a_file_that_takes_too_long_is_a_hang(tmp_path, monkeypatch):
    import signal

    before = signal.signal(signal.SIGALRM, fuzz_readers.hangs)
    try:
        monkeypatch.setattr(fuzz_readers, "PATIENCE", 2)
        start = time.monotonic()
        assert fuzz_readers.judged(lambda _: time.sleep(1.2), tmp_path, seconds=1)[0] == "accepted"  # others had it
        assert fuzz_readers.judged(lambda _: time.sleep(30), tmp_path, seconds=1)[0] == "hang"
        assert fuzz_readers.judged(lambda _: all(True for _ in iter(int, 1)), tmp_path, seconds=1)[0] == "hang"
        assert time.monotonic() - start < 25
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_number_makes_the_same_file_again_and_another_another():
    seeds = fuzz_seeds._archives(Path()) + fuzz_seeds._weights(Path()) + fuzz_seeds._json(Path())
    made = [fuzz_readers.made("archive", seeds, number, 0) for number in range(200)]
    assert made == [fuzz_readers.made("archive", seeds, number, 0) for number in range(200)]
    assert len({str(sorted(files.items())) for files in made}) > 150
    assert made != [fuzz_readers.made("archive", seeds, number, 1) for number in range(200)]
    random_, content = random.Random(0), b'{"a": [1, {"b": "c"}]}'
    assert any(b"class_name" in fuzz_mutations.mutated(content, random_) for _ in range(200)), "by its structure too"


def test_a_small_run_counts_what_it_made(tmp_path, monkeypatch, capsys):
    words = ["fuzz", "--files", "60", "--reader", "json", "archive", "--findings", str(tmp_path / "found")]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(tmp_path / "kept.json")])
    assert fuzz_readers.main() == 0
    assert "60 files made of 60" in capsys.readouterr().out
    assert (tmp_path / "kept.json").is_file()
    assert not (tmp_path / "found").exists()


def test_a_worker_that_dies_is_a_finding_and_the_next_file_is_read(tmp_path, monkeypatch):
    """The seeds of `json` in a module whose reader dies of every fourth file."""
    code = (ROOT / "benchmarks" / "untrusted" / "fuzz_readers.py").read_text()
    dying = "fuzz_seeds.READERS['json'] = fuzz_seeds.READERS['json']._replace(read=lambda: dies)\n"
    dying += "def dies(folder):\n    dies.count += 1\n    dies.count % 4 or os.abort()\ndies.count = 0\n\n\n"
    code = code.replace("class Hang(", f"{dying}class Hang(", 1).replace("parents[2]", "parents[0]")
    (tmp_path / "fuzz.py").write_text(code)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / "kerastl").symlink_to(ROOT / "kerastl")
    monkeypatch.setattr(fuzz_readers, "__file__", str(tmp_path / "fuzz.py"))
    place = tmp_path / "place"
    place.mkdir()
    found = list(fuzz_readers.watched("json", 0, 8, 0, place, until=time.monotonic() + 60))
    assert [number for number, _, _ in found] == list(range(8))
    assert [kind for _, kind, _ in found].count("died") >= 1
