"""What a benchmark asks of kerastl, each a line: reached or missed."""

from __future__ import annotations


def told(words: str, *, reached: bool) -> bool:
    """Prints the line, and returns whether the bar was reached."""
    print(f"{'reached' if reached else 'MISSED '}  {words}", flush=True)
    return reached


def verdict(asked: dict[str, bool]) -> int:
    """A line for every bar; the exit status of the benchmark: 1 where any was missed."""
    for words, reached in asked.items():
        told(words, reached=reached)
    return 0 if all(asked.values()) else 1
