"""Preset folders that keras-hub itself saves here, from a small encoder of random weights; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toy import ENCODER_TASK as TASK
from toy import TOKENS, save_preset

from kerastl.data import vocabularies
from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.models.pretrained import bert_preset, encoders, minilm_l6, names, weights
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

IDS = np.random.default_rng(0).integers(5, len(TOKENS), (4, 12)).astype(np.int32)
IDS[:2, 8:] = 0


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_answers_as_its_preset(tmp_path, pooling):
    body = save_preset(tmp_path)
    file = bert_preset.vocabulary_file(str(tmp_path))
    assert tuple(file.read_text().splitlines()) == TOKENS
    model = bert_preset.load(str(tmp_path), TASK, pooling=pooling, dropout=0.0)
    mask = IDS != 0
    fed = {"token_ids": IDS, "segment_ids": np.zeros_like(IDS), "padding_mask": mask.astype("int32")}
    sequence = np.asarray(body(fed, training=False)["sequence_output"])
    means = (sequence * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    kernel, bias = model.get_layer("logits").get_weights()
    wanted = (means if pooling == "mean" else sequence[:, 0]) @ kernel + bias
    np.testing.assert_allclose(np.asarray(model(IDS, training=False)), wanted, atol=1e-5)
    with pytest.raises(ValueError, match=r"40 positions"):
        bert_preset.load(str(tmp_path), Task("toy", Text(41, TOKENS), SingleLabel(("a", "b"))))


def test_an_encoder_that_was_trained_is_a_preset_and_a_run_holds_one(tmp_path):
    sizes = {"layers_count": 2, "width": 16, "num_heads": 2, "inner_width": 32, "longest": 40}
    model = minilm_l6.build(TASK, dropout=0.0, **sizes)
    for run in (tmp_path / "run", tmp_path / "run"):  # what stood there before is replaced
        run.mkdir(exist_ok=True)
        bert_preset.save(model.get_layer("encoder"), TASK.inputs, run / "encoder")
    (run / "config.json").write_text("{}")  # a run's own
    assert encoders.fault(str(run)) == ""
    assert Path(encoders.vocabulary(str(run))).read_text().splitlines() == list(TOKENS)
    assert set(names.contents(str(run))) >= {"config.json", "model.weights.h5", "tokenizer.json"}
    for name in (str(run), str(run / "encoder")):
        again = encoders.load(name, TASK)
        for one, other in zip(
            again.get_layer("encoder").get_weights(), model.get_layer("encoder").get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_the_settings_of_a_learnt_vocabulary_stay_with_its_encoder(tmp_path):
    sizes = {"layers_count": 1, "width": 8, "num_heads": 2, "inner_width": 8, "longest": 40}
    task = Task("toy", Text(12, TOKENS, wordpiece.LEARNT), SingleLabel(("a", "b")))
    encoder = minilm_l6.build(task, **sizes).get_layer("encoder")
    bert_preset.save(encoder, task.inputs, tmp_path / "encoder")
    assert vocabularies.settings(encoders.vocabulary(str(tmp_path))) == wordpiece.LEARNT
    assert encoders.load(str(tmp_path), task).output_shape == (None, 2)
    said = json.loads((tmp_path / "encoder" / "tokenizer.json").read_text())["config"]  # keras-hub's own
    assert (said["lowercase"], said["strip_accents"]) == (True, False)


def test_another_vocabulary(tmp_path):
    save_preset(tmp_path / "small")
    with pytest.raises(ValueError, match=r"its own vocabulary, 50 tokens; load the texts with vocabulary='.*vocab"):
        bert_preset.load(str(tmp_path / "small"), Task("toy", Text(12, TOKENS[:-1]), SingleLabel(("a", "b"))))
    save_preset(tmp_path / "rows", rows=60)
    with pytest.raises(ValueError, match=r"each of 60 rows of embeddings.* knows 50"):
        bert_preset.load(str(tmp_path / "rows"), TASK)
    save_preset(tmp_path / "cased", lowercase=False)
    cased = wordpiece.Settings(lowercase=False, strip_accents=False)
    assert vocabularies.settings(bert_preset.vocabulary_file(str(tmp_path / "cased"))) == cased
    with pytest.raises(ValueError, match=r"reads texts with Settings\(lowercase=False"):
        bert_preset.load(str(tmp_path / "cased"), TASK)
    save_preset(tmp_path / "without", tokens=())
    with pytest.raises(ValueError, match=r"which holds no tokenizer\.json"):
        bert_preset.vocabulary_file(str(tmp_path / "without"))
    (tmp_path / "without" / "tokenizer.json").write_text("[]")
    with pytest.raises(ValueError, match=r"describes no tokenizer of keras-hub"):
        bert_preset.vocabulary_file(str(tmp_path / "without"))


def test_another_backbone(tmp_path):
    save_preset(tmp_path / "roberta", backbone="RobertaBackbone")
    with pytest.raises(ValueError, match=r"Wanted a BertBackbone with two segments.* a RobertaBackbone"):
        bert_preset.load(str(tmp_path / "roberta"), TASK)
    save_preset(tmp_path / "segments", num_segments=3)
    with pytest.raises(ValueError, match=r"Wanted a BertBackbone with two segments"):
        bert_preset.load(str(tmp_path / "segments"), TASK)


def test_a_folder_that_is_damaged_or_hostile(tmp_path):
    body = save_preset(tmp_path)
    good = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(json.dumps({**json.loads(good), "class_name": "system", "module": "os"}))
    with pytest.raises(ValueError, match=r"config\.json is not opened"):
        bert_preset.load(str(tmp_path), TASK)
    (tmp_path / "config.json").write_text(good)
    weight = body.get_layer("transformer_layer_1").weights[3]
    weight.assign(np.full(weight.shape, np.inf))
    body.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(weights.WeightsError, match=r"with NaN or infinity: transformer_layer_1"):
        bert_preset.load(str(tmp_path), TASK)


def test_presets_are_listed_without_a_network():
    assert {"bert_tiny_en_uncased", "bert_base_en_uncased"} <= set(bert_preset.available())
    with pytest.raises(ValueError, match=r"There is no encoder 'bert_tiny_uncased'.*Did you mean bert_tiny_en_uncased"):
        bert_preset.vocabulary_file("bert_tiny_uncased")
