"""How a run was made, as its files say it."""

from __future__ import annotations

import dataclasses
import os
import re

from kerastl.runs import provenance
from kerastl.system import machine


@dataclasses.dataclass(frozen=True)
class Config:
    epochs: int = 3

    @classmethod
    def smoke(cls):
        return cls(epochs=1)


def test_whoever_starts_a_run_says_the_command():
    with provenance.started("kerastl run toy --epochs 2", smoke=True):
        found = provenance.of(Config(epochs=2))
    assert (found["command"], found["smoke"]) == ("kerastl run toy --epochs 2", True)
    assert found["machine"]["cpu"] == machine.processor()
    assert found["machine"]["cores"] == os.cpu_count()
    assert found["commit"] == "" or re.fullmatch(r"[0-9a-f]{40}\+?", found["commit"])


def test_settings_say_themselves_whether_they_are_those_of_a_smoke_run():
    assert provenance.of(Config())["smoke"] is False
    assert provenance.of(Config.smoke())["smoke"] is True
    assert provenance.of(Config(epochs=2))["command"] == ""
