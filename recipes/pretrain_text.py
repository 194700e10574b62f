"""Texts without labels first, a few labels after: a masked language model, then fine-tuning beside the encoder alone.

Whole words are hidden, and told from those around them (Devlin et al. 2019, https://arxiv.org/abs/1810.04805). MiniLM
goes on from what it knows; "small" begins from nothing. A linear probe, and the encoder fine-tuned on a few labels,
stand beside the same two without pretraining, at equal steps and learning rates; validation chooses.
`text_classifier --encoder RUN` goes on from the encoder. A file without labels, `--data FILE.txt`, ends in the encoder
itself, proven against its own features.

Minutes: 240
Data: movie_reviews, or your sentences, with labels or without
Command: kerastl run pretrain_text --data FILE --encoder minilm_l6
Expect: not measured at full size yet; `benchmarks/training/pretraining.py` measures it
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import kerastl
from kerastl.data.reading import TextReading
from kerastl.models.pretrained.encoders import Encoder
from kerastl.runs import Acceptance, FewLabels
from kerastl.types import Dataset, Schedule, Task, Workspace
from kerastl.types.settings import EncoderTokens, Place, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run pretrain_text`."""

    data: str = ""
    """What is to be known in the end, as for `text_classifier`; or a file without labels, .txt with a text a line."""
    unlabelled: Place = ""
    """Texts to pretrain on, whose labels, if any, nobody looks at; by default those of `data`."""
    reading: TextReading = TextReading()
    """How both are read and divided."""
    sequence_length: EncoderTokens = 128
    """Tokens that are read of a text; time grows with it."""
    encoder: Encoder = "minilm_l6"
    """What learns on, as for `text_classifier`; "small" begins from nothing, with a vocabulary of the texts' own."""
    objective: Literal["masked_language", "simcse"] = "masked_language"
    """Hidden words; or a sentence is found again under other dropout (Gao et al. 2021), for what compares sentences."""
    pretrain: Schedule = Schedule(epochs=3, batch_size=32, peak_learning_rate=1e-4, weight_decay=0.01)
    """Of pretraining; BERT's own rate. From nothing: --pretrain.peak-learning-rate 1e-3 and tens of epochs."""
    few: FewLabels = FewLabels(labels=50, schedule=Schedule(20, batch_size=16), learning_rates=(2e-5, 5e-5, 1e-4))
    """Fine-tuning; BERT's own rates, and one above (Devlin et al. 2019, appendix A.3)."""
    seed: Seed = 0
    """Of hidden words, weights, dropout, order, split, and of which texts have labels."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, half a point of an int8 file as well."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        few = FewLabels(labels=10, probe=Schedule(2), schedule=Schedule(2), learning_rates=(1e-3,), control=False)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.3, min_agreement=0.7)
        sizes: dict[str, Any] = {"sequence_length": 16, "encoder": "small"}
        some, tiny = TextReading(max_train_examples=200), Schedule(2, batch_size=32, peak_learning_rate=1e-3)
        return cls(reading=some, **sizes, pretrain=tiny, few=few, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, pretrain, probe and fine-tune on few labels, beside the encoder alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="pretrain_text", tag=folder.name, config=config) as run:
        data, texts = load(config)
        run.use_dataset(data)
        encoders, techniques = kerastl.runs.encoders, ("float32", "float16", "dynamic_int8")
        few = encoders.draw_labels(data, count=config.few.labels, seed=config.seed)
        net = [config.seed, kerastl.models.pretrained.names.contents(config.encoder)]
        pretrained = run.stage(
            "pretrained",
            functools.partial(pretrain, config, texts),
            key=[net, config.objective, config.pretrain, texts.digest],
        )
        encoder = pretrained.model.get_layer("encoder")
        encoders.keep_text(run, encoder, kerastl.inputs.text.of(data.task))
        if few is None:
            features = kerastl.training.transfer.feature_extractor(pretrained.model)
            return encoders.publish(run, data, pretrained._replace(model=features), techniques=techniques)
        options: dict[str, Any] = {"key": net, "settings": config.few}
        models = encoders.fine_tuned(run, few, functools.partial(build, config, few.task), encoder=encoder, **options)
        best = kerastl.runs.best_on_validation(models, few.validation)
        made = kerastl.runs.post_training(best.model, few.task, techniques=techniques) + best.left_behind(few.task)
        return kerastl.runs.publish(run, few, model=best.model, candidates=made, curves=[pretrained.curves])


def load(config: Config) -> tuple[Dataset, Dataset]:
    """What is to be known in the end, and the texts to pretrain on, as ids of one vocabulary."""
    options: dict[str, Any] = {"sequence_length": config.sequence_length, "reading": config.reading}
    texts = functools.partial(kerastl.data.loading.texts_of_any_kind, seed=config.seed, **options)
    data = texts(config.data, vocabulary=kerastl.models.pretrained.encoders.vocabulary(config.encoder))
    words = kerastl.inputs.text.of(data.task).described()
    return data, texts(config.unlabelled, vocabulary=words) if config.unlabelled else data


def build(config: Config, task: Task, encoder=None):
    """The encoder with a new head: with the weights that it begins with, or with those of a pretrained one."""
    kerastl.training.set_seed(config.seed)
    model = kerastl.models.pretrained.encoders.load(config.encoder, task)
    if encoder is not None:
        model.get_layer("encoder").set_weights(encoder.get_weights())
    return model


def pretrain(config: Config, texts: Dataset, at: Workspace):
    """A model whose encoder has learnt from texts alone."""
    model, schedule, methods = build(config, texts.task), config.pretrain, kerastl.pretraining.methods
    batches = kerastl.data.pipeline.training_batches(texts.train, schedule=schedule, seed=config.seed)
    learn = functools.partial(kerastl.training.fit, data=batches, schedule=schedule, workspace=at, keep="last")
    if config.objective == "simcse":
        features, steps = kerastl.training.transfer.feature_extractor(model), schedule.steps(len(texts.train))
        network = methods.network("simcse", features, augment=None, steps=steps)
        return kerastl.training.Trained(model, learn(network, callbacks=methods.watchers(network, texts.train)))
    kind, held = kerastl.inputs.text.of(texts.task), texts.validation.take(1000).inputs
    marks = kerastl.pretraining.masked_language.Marks(**kind.marks())
    hidden = kerastl.pretraining.masked_language_model.MaskedLanguageModel
    network = hidden(model.get_layer("encoder"), vocabulary=kind.vocabulary, marks=marks, seed=config.seed)
    before = network.perplexity(held)
    curves = learn(network)
    values = {**curves.values, "perplexity": (before, network.perplexity(held))}
    print("perplexity of hidden words, held out: {:,.1f} before, {:,.1f} after".format(*values["perplexity"]))
    return kerastl.training.Trained(model, dataclasses.replace(curves, values=values))


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
