"""Pretrained encoders in a run: who finds them there, and what they are compared with."""

import types

import keras
import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.models import pretrained, resnet
from kerastl.models.pretrained import names
from kerastl.runs import encoders
from kerastl.runs.few_labels import FewLabels
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, transfer
from kerastl.types import Dataset, Schedule, Split, Task

TASK = Task("toy", Image((8, 8, 3)), SingleLabel(("a", "b")))


def dataset(task=TASK):
    inputs = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype("uint8")
    labels = (np.arange(40) % 2).astype("int32")
    if task is not TASK:
        labels = np.zeros((40, 0), "float32")
    splits = [Split(name, inputs, labels, task) for name in ("train", "validation", "test")]
    return Dataset(task, *splits, digest="0" * 64, source="toy")


def net(encoder=None, seed=0):
    keras.utils.set_random_seed(seed)
    model = resnet.build(TASK, widths=(4,))
    if encoder is not None:
        transfer.feature_extractor(model).set_weights(encoder.get_weights())
    return model


class Stages:
    """A run that makes every stage, and remembers what was asked."""

    def __init__(self, folder):
        self.folder, self.made, self.keys, self.metadata = folder, {}, {}, {"seed": 3}

    def stage(self, name, make, *, key):
        self.keys[name] = key
        self.made[name] = make(None)
        return self.made[name]

    def stage_key(self, name):
        return f"key of {name}"


def test_few_labels_are_drawn_where_there_are_any():
    found = encoders.draw_labels(dataset(), count=3, seed=1)
    assert np.bincount(found.train.labels).tolist() == [3, 3]
    assert (len(found.validation), found.drawn_from) == (40, 40)
    unknown = Task("toy", TASK.inputs, Agreement(("output",), (1.0,)))
    assert encoders.draw_labels(dataset(unknown), count=3, seed=1) is None


@pytest.mark.parametrize("control", [True, False])
def test_with_pretraining_and_without_learn_from_the_same_for_as_long(tmp_path, monkeypatch, control):
    asked = []
    fit = fitting.fit

    def counted(model, data, **options):
        history = fit(model, data, **options, progress=False)
        asked.append((int(model.optimizer.iterations), options["schedule"]))
        return history

    monkeypatch.setattr(fitting, "fit", counted)
    run, few = Stages(tmp_path), encoders.draw_labels(dataset(), count=4, seed=0)
    pretrained_net = transfer.feature_extractor(net(seed=9))
    settings = FewLabels(
        probe=Schedule(2, batch_size=8), schedule=Schedule(2, batch_size=4), learning_rates=(1e-3, 0.1), control=control
    )
    found = encoders.fine_tuned(run, few, net, encoder=pretrained_net, key=["net"], settings=settings)
    arms = ["probe_alone", "fine_tuned_alone", "probe", "fine_tuned"] if control else ["probe", "fine_tuned"]
    assert list(found) == arms  # the cheapest first
    steps = [(2, settings.probe), *[(4, Schedule(2, batch_size=4, peak_learning_rate=rate)) for rate in (1e-3, 0.1)]]
    assert asked == steps * (1 + control)
    body = transfer.feature_extractor(found["probe"].model).get_weights()
    for one, other in zip(body, pretrained_net.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # frozen
    if control:
        begun = transfer.feature_extractor(net()).get_weights()
        for one, other in zip(transfer.feature_extractor(found["probe_alone"].model).get_weights(), begun, strict=True):
            np.testing.assert_array_equal(one, other)
        assert "key of pretrained" not in str(run.keys["probe_alone"])
    assert "key of pretrained" in str(run.keys["probe"])
    assert "key of probe" in str(run.keys["fine_tuned_1"])


def test_the_encoder_of_a_run_is_its_backbone_and_not_what_was_made_of_it(tmp_path):
    encoder = transfer.feature_extractor(net(seed=4))
    fitting.save_model(net(seed=5), tmp_path / "model.keras")
    (tmp_path / "config.json").write_text("{}")
    assert names.contents(str(tmp_path)) == tmp_path / "model.keras"
    encoders.keep(types.SimpleNamespace(folder=tmp_path), encoder)
    assert names.contents(str(tmp_path)) == tmp_path / names.ENCODER
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    found = pretrained.load(str(tmp_path), image_size=8)
    np.testing.assert_allclose(found.model(pictures), encoder(pictures), atol=1e-5)
