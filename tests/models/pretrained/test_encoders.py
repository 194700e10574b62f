from __future__ import annotations

import json

import pytest
from toy import ENCODER_TASK as TASK
from toy import TOKENS, save_preset

from kerastl.data import text_csv
from kerastl.models.pretrained import bert_preset, encoders, minilm_l6
from kerastl.recipes import text_classifier


def test_each_kind_of_name_goes_through_its_own_door(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(minilm_l6, "pretrained", lambda task, **options: asked.append("minilm_l6"))
    monkeypatch.setattr(bert_preset, "load", lambda name, task, **options: asked.append(name))
    assert encoders.vocabulary("minilm_l6") == "bert"
    assert encoders.vocabulary("small") is None
    assert encoders.load("small", TASK).name == "small_encoder"
    encoders.load("minilm_l6", TASK)
    encoders.load("bert_tiny_en_uncased", TASK)
    assert asked == ["minilm_l6", "bert_tiny_en_uncased"]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "tokenizer.json").write_text("{}")  # as Hugging Face's folders have it too
    assert encoders.vocabulary(str(tmp_path)) == str(tmp_path / "vocab.txt")
    with pytest.raises(ValueError, match=r"Wanted an encoder of BERT's plain kind"):
        encoders.load(str(tmp_path), TASK)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        encoders.load(str(tmp_path), TASK)
    with pytest.raises(ValueError, match=r"There is no encoder 'minilm'.*minilm_l6, small"):
        encoders.vocabulary("minilm")


def test_text_classifier_takes_a_preset_folder(tmp_path):
    save_preset(tmp_path / "preset")
    assert encoders.vocabulary(str(tmp_path / "preset")).endswith("vocabulary.txt")
    rows = [f"word{n} word{n + 3} word{n % 5},{'low' if n < 20 else 'high'}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    config = text_classifier.Config(
        data=str(tmp_path / "texts.csv"), encoder=str(tmp_path / "preset"), sequence_length=8
    )
    data = text_classifier.load(config)
    assert data.task.inputs.vocabulary == TOKENS
    assert text_csv.load(**data.arguments).digest == data.digest  # found again by what the run remembers
    model = text_classifier.build(config, data)
    assert model.output_shape == (None, 2)
    assert model.name == "bert"
