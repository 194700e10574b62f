"""Settings of fine-tuning on few labels: flags of their own under the recipe's."""

import pytest

from kerastl.recipes import pretrain_images, pretrain_text
from kerastl.runs import recipes
from kerastl.types import settings


@pytest.mark.parametrize("module", [pretrain_images, pretrain_text])
def test_they_are_reached_by_their_short_names(module):
    config = recipes.with_fields(module.Config(), {"labels": 7, "control": False}, recipe="recipe")
    assert (config.few.labels, config.few.control) == (7, False)
    for wrong in ({"labels": 0}, {"learning_rates": (0.0,)}):
        with pytest.raises(ValueError, match=r"^--few\."):
            settings.check(recipes.with_fields(config, wrong, recipe="recipe"))
