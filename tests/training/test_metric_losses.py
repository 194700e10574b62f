"""Names of losses: each is a file of the family, and near names are offered for what is none."""

import dataclasses

import pytest

from kerastl.training import metric_losses
from kerastl.types import settings


def test_a_name_that_is_none_is_refused_with_a_near_one():
    @dataclasses.dataclass(frozen=True)
    class Config:
        loss: metric_losses.LossName = "triplet"

    for name in metric_losses.names():
        settings.check(Config(name))
    with pytest.raises(ValueError, match=r"names no loss of metric learning.*triplet"):
        settings.check(Config("tripled"))
