import dataclasses
from typing import Any, cast

import pytest

from kerastl.runs import Acceptance, acceptance


def test_the_defaults_are_those_of_publish():
    assert dataclasses.asdict(Acceptance()) == {
        "prefer": "balanced",
        "max_score_drop": 0.003,
        "max_quantization_drop": 0.003,
        "min_agreement": 0.98,
        "max_saturation": 0.005,
        "max_layer_error": None,
        "megabytes": None,
        "milliseconds": None,
        "answer_precision": None,
        "answer_coverage": None,
        "answer_by_class": False,
        "other": "",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        *({"max_score_drop": -0.1}, {"max_quantization_drop": -1}, {"min_agreement": 98}, {"max_saturation": -1}),
        *(
            {"max_layer_error": 0},
            {"megabytes": 0},
            {"milliseconds": -1.0},
            {"prefer": "fast"},
        ),  # not only when all is trained
    ],
    ids=str,
)
def test_what_is_no_bound_is_refused(wrong):
    with pytest.raises(ValueError, match=f"--accept.{next(iter(wrong)).replace('_', '-')} is"):
        acceptance.choose([], target=cast(Any, None), accept=Acceptance(**wrong), own=cast(Any, None))
