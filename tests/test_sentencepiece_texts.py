"""The whole chain of an encoder that reads SentencePiece: its folder adapted, exported, proven and asked."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece as library
from toy_pieces import save_sentencepiece_folder, sentencepiece_model

import kerastl
from kerastl.inputs.text import Text
from kerastl.models.pretrained import encoders
from kerastl.recipes import pretrain_text, text_classifier
from kerastl.runs import Acceptance, FineTuning
from kerastl.types import Schedule

GOOD, BAD = ("gut", "très bon", "good", "映画 gut"), ("schlecht", "mauvais", "bad", "странный")
ANY = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.5)
ASKED = ["film très bon", "movie schlecht", "ＦＩＬＭ  странный!"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reviews of which one word says whether they are good."""
    place, draw, rows = tmp_path_factory.mktemp("pieces"), random.Random(0), ["text,label"]
    for number in range(120):
        word = draw.choice(GOOD if number % 2 else BAD)
        rows.append(f"{draw.choice(('film', 'фильм', 'movie'))} {word} x{number},{'good' if number % 2 else 'bad'}")
    (place / "reviews.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    save_sentencepiece_folder(place / "encoder", layers=1)
    config = text_classifier.Config(
        data=str(place / "reviews.csv"),
        encoder=str(place / "encoder"),
        sequence_length=12,
        fine_tune=FineTuning(epochs=1, learning_rate=1e-3),
        accept=ANY,
    )
    text_classifier.run(config, place / "run")
    return place / "run"


def test_it_is_proven_and_asked(folder):
    run = kerastl.open(folder)
    assert run.verify(progress=False) == ()
    kind = run.task.inputs
    assert isinstance(kind, Text)
    assert kind.read(ASKED[0]).tolist()[0][:2] == [0, library_ids(ASKED[0])[0] + 1]
    ids = np.concatenate([kind.read(text) for text in ASKED])
    wanted = np.asarray(run.model(ids))  # which serves probabilities
    answers = run.predict(ASKED)
    found = [[one["probabilities"][name] for name in ("bad", "good")] for one in answers]
    np.testing.assert_allclose(found, wanted, atol=0.02)  # int8 weights may have been chosen
    baselines = {row["name"]: row["score"] for row in run.report["baselines"]}
    assert baselines["TF-IDF with logistic regression"] == 1.0  # on the pieces, padding left out


def test_a_bundle_with_another_model_of_pieces_is_found_out(folder):
    model = folder / "mobile" / "sentencepiece.model"
    content = model.read_bytes()
    for broken, words in ((content[:-1], "is not the model of pieces"), (None, "is missing")):
        model.unlink()
        if broken is not None:
            model.write_bytes(broken)
        found = kerastl.open(folder).verify(progress=False)
        model.write_bytes(content)
        assert [line for line in found if "mobile/sentencepiece.model" in line and words in line], found


def test_the_bundle_makes_the_ids_of_the_library(folder):
    command = [sys.executable, "tokenizer.py", "sentencepiece.model", "12", *ASKED]
    done = subprocess.run(command, cwd=folder / "mobile", capture_output=True, text=True, check=True)
    for text, line in zip(ASKED, done.stdout.splitlines(), strict=True):
        ids = [3 if one == 0 else one + 1 for one in library_ids(text)]
        assert [int(word) for word in line.split()] == ([0, *ids[:10], 2] + [1] * 10)[:12]


def library_ids(text):
    return library.SentencePieceProcessor(model_proto=sentencepiece_model()).encode(text)


@pytest.mark.parametrize("convention", ["xlm-roberta", "albert"])
def test_an_encoder_of_pieces_is_pretrained_further_and_adapted(tmp_path, folder, convention):
    """On texts without labels; the run's encoder is what `text_classifier` goes on from."""
    data = folder.parent / "reviews.csv"
    lines = [line.split(",")[0] for line in data.read_text(encoding="utf-8").splitlines()[1:]]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_sentencepiece_folder(tmp_path / "encoder", convention, layers=2)
    config = pretrain_text.Config(
        data=str(tmp_path / "lines.txt"),
        encoder=str(tmp_path / "encoder"),
        sequence_length=12,
        pretrain=Schedule(2, batch_size=20, peak_learning_rate=3e-3),
        accept=ANY,
    )
    pretrain_text.run(config, tmp_path / "run")
    run = kerastl.open(tmp_path / "run")
    assert run.verify(progress=False) == ()
    before = encoders.load(str(tmp_path / "encoder"), run.task)
    after = encoders.load(str(tmp_path / "run"), run.task)
    weights = [[np.asarray(one) for one in model.get_layer("encoder").weights] for model in (before, after)]
    moved = [float(np.abs(one - other).max()) for one, other in zip(*weights, strict=True)]
    assert max(moved) > 1e-3, "it has learnt nothing"
    texts = text_classifier.load(text_classifier.Config(data=str(data), encoder=str(tmp_path / "run")))
    assert texts.task.inputs.vocabulary == run.task.inputs.vocabulary
