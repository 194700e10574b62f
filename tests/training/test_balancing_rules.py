"""Rules by name: every file of the family has one, with the settings that its paper has."""

import numpy as np
import pytest
from toy import DIRECTIONS

from kerastl.data import pipeline
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import balancing, balancing_rules
from kerastl.types import Split, Task, settings

TARGET = MultiTask((("side", SingleLabel(("a", "b"))), ("heat", Regression(("heat",), (0.0,), (1.0,)))))


def test_how_many_were_found():
    found = balancing_rules.names()
    print(f"{len(found)} rules: {', '.join(found)}")
    assert set(found) == {"dwa", "famo", "fixed", "gradnorm", "pcgrad", "uncertainty"}
    assert set(balancing.__all__) - set(found) == {"gradients"}, "a rule that no recipe can name"


@pytest.mark.parametrize("name", balancing_rules.names())
def test_each_begins_with_these_tasks(name):
    rule = balancing_rules.rule(name, TARGET, steps=7)
    state = rule.start(TARGET.names)
    losses, products = np.array([1.0, 2.0], "float32"), np.array([[1.0, 0.2], [0.2, 4.0]], "float32")
    weights, _ = rule.weigh(losses, products, state)
    assert np.all(np.asarray(weights) > 0)


def test_settings_come_from_the_tasks_and_the_epoch():
    assert balancing_rules.rule("uncertainty", TARGET, steps=7).squared == ("heat",)
    assert balancing_rules.rule("dwa", TARGET, steps=7).steps == 7


def test_what_is_no_rule_or_nothing_to_balance_is_refused():
    with pytest.raises(ValueError, match=r"--rule names no rule .* Did you mean gradnorm.*Received: 'gradnrm'"):
        balancing_rules.rule("gradnrm", TARGET, steps=7)
    with pytest.raises(ValueError, match=r"balances several tasks\. Received: one of"):
        balancing_rules.rule("dwa", DIRECTIONS.target, steps=7)
    assert settings._fault(balancing_rules.RuleName, "dwa") == ""
    assert "Available: dwa" in settings._fault(balancing_rules.RuleName, "weights")


def test_batches_say_whether_there_is_anything_to_balance():
    inputs = np.zeros((4, 2), "float32")
    task = Task("two", Numbers((2,)), TARGET)
    labels = {"side": np.array([0, 1, 0, 1], "int32"), "heat": np.zeros((4, 1), "float32")}
    several = pipeline.batches(Split("train", inputs, labels, task), batch_size=2)
    one = Task("one", Numbers((2,)), SingleLabel(("a", "b")))
    single = pipeline.batches(Split("train", inputs, labels["side"], one), batch_size=2)
    assert balancing_rules.under("fixed", several) is not None
    assert balancing_rules.under("fixed", single) is None
    with pytest.raises(ValueError, match=r"Wanted batches of data\.pipeline"):
        balancing_rules.under("fixed", several.map(lambda *pair: pair))
