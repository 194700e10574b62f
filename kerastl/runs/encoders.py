"""What becomes of a pretrained encoder: kept for others, fine-tuned beside the same net alone, exported."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.data import pipeline, splits, unlabelled
from kerastl.inputs import text
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.models.pretrained import names
from kerastl.runs import candidates, publishing, store
from kerastl.runs.few_labels import FewLabels
from kerastl.tasks.agreement import Agreement
from kerastl.training import fitting, lp_ft, seeded, transfer
from kerastl.types import Dataset, Schedule, Workspace

if TYPE_CHECKING:
    import keras

Build = Callable[["keras.Model | None"], "keras.Model"]
"""Makes a classifier with a head that knows nothing, on the weights of a pretrained encoder or, of none, on those that
it begins with."""


def draw_labels(data: Dataset, *, count: int, seed: int) -> Dataset | None:
    """A data set with so many training examples of each class and no others; ``None`` where nothing is asked.

    Raises:
        ValueError: as `splits.per_class`.
    """
    if isinstance(data.task.target, Agreement):
        return None
    return data.drawn(splits.per_class(np.asarray(data.train.labels), count=count, seed=seed))


def keep(run: store.Run, encoder: keras.Model) -> None:
    """Writes an encoder of pictures into the run, where ``--backbone RUN`` of `image_classifier` finds it."""
    fitting.save_model(encoder, run.folder / names.ENCODER)


def keep_text(run: store.Run, encoder: keras.Model, inputs: Text) -> None:
    """Writes an encoder of texts into the run, where ``--encoder RUN`` of `text_classifier` finds it."""
    from kerastl.models.pretrained import bert_preset, sentencepiece_folder  # keras-hub takes seconds to import

    writer = bert_preset if text.pieces_of(inputs) is None else sentencepiece_folder
    writer.save(encoder, inputs, run.folder / names.TEXT_ENCODER)


def fine_tuned(
    run: store.Run,
    data: Dataset,
    build: Build,
    *,
    encoder: keras.Model,
    key: Sequence[object],
    settings: FewLabels,
    augmentation: Augmentation | None = None,
) -> dict[str, Any]:
    """Linear probes and fine-tuned models of an encoder, and of the same net without its pretraining.

    Either is probed, and fine-tuned from its probe once for each learning rate, for as many steps from the same
    batches: what is compared is the best of either on validation, so that neither loses by a rate that suits the other.

    Args:
        run: whose stage ``pretrained`` has made the encoder.
        data: as `draw_labels` gives it; validation chooses the best epoch of each.
        build: see `Build`; a model has layers ``pool`` and ``logits``.
        encoder: what pretraining has made.
        key: what the models depend on beside it.
        settings: how it learns.
        augmentation: of fine-tuning.

    Returns:
        What `best_on_validation` takes, the cheapest first: ``probe_alone``, ``fine_tuned_alone``, ``probe`` and
        ``fine_tuned``.
    """
    found: dict[str, Any] = {}
    for name, start in [*([("_alone", None)] if settings.control else []), ("", encoder)]:
        keys = [*key, data.digest, None if start is None else run.stage_key("pretrained"), run.metadata["seed"]]
        net = functools.partial(build, start)
        made = functools.partial(_probed, data, net, settings.probe, run.metadata["seed"])
        found[f"probe{name}"] = probe = run.stage(f"probe{name}", made, key=[keys, len(data.train), settings.probe])
        keys = [run.stage_key(f"probe{name}"), augmentation]
        found[f"fine_tuned{name}"] = []
        for place, rate in enumerate(settings.learning_rates):
            one = dataclasses.replace(settings.schedule, peak_learning_rate=rate)
            made = functools.partial(_tuned, data, net, probe.model, one, augmentation, run.metadata["seed"])
            found[f"fine_tuned{name}"].append(run.stage(f"fine_tuned{name}_{place}", made, key=[keys, one]))
    return found


def publish(
    run: store.Run, data: Dataset, encoder: fitting.Trained, *, techniques: Sequence[str], **options: Any
) -> dict[str, Any]:
    """Publishes the encoder itself, of examples without labels: its files are proven by agreement with its features.

    Args:
        run: of these examples.
        data: as the source loaded it, which asks nothing.
        encoder: from examples to features ``(batch, width)``, and its curves.
        techniques: of `candidates.post_training`.
        options: further ones of `publishing.publish`.

    Raises:
        verify.VerificationError: as `publishing.publish`.
    """
    features = functools.partial(fitting.predict, encoder.model, task=data.task)
    answered = unlabelled.with_answers(data, features)
    made = candidates.post_training(encoder.model, answered.train, techniques=techniques)
    options = {"curves": [encoder.curves], **options}
    return publishing.publish(run, answered, model=encoder.model, candidates=made, **options)


def _probed(
    data: Dataset, build: Callable[[], keras.Model], schedule: Schedule, seed: int, at: Workspace
) -> fitting.Trained:
    """Frozen features, computed once, and a head that has learnt from them."""
    model = build()
    body = transfer.feature_extractor(model)
    features = functools.partial(transfer.extract_features, body, features_kind=Numbers(body.output_shape[1:]))
    batches = functools.partial(pipeline.batches, batch_size=data.task.inputs.predict_batch)
    held = features(batches(data.validation), name="validation")
    options: dict[str, Any] = {"schedule": schedule, "seed": seed, "validation": held, "workspace": at}
    return lp_ft.linear_probe(model, features(batches(data.train)), **options)


def _tuned(
    data: Dataset,
    build: Callable[[], keras.Model],
    probe: keras.Model,
    schedule: Schedule,
    augmentation: Augmentation | None,
    seed: int,
    at: Workspace,
) -> fitting.Trained:
    """Everything learns, from where the probe ended; the best epoch on validation is kept."""

    def begun() -> keras.Model:
        model = build()
        model.set_weights(probe.get_weights())  # a copy: the report shows the probe as it was
        return model

    batches = pipeline.training_batches(
        data, schedule=schedule, seed=seed, augmentation=augmentation, drop_remainder=False
    )
    return seeded.train(begun, batches, seed=seed, workspace=at)
