"""A pretrained encoder of texts, adapted to a task: its features cached once, a linear probe, then fine-tuning from it.

The stages of `text_classifier`, and of the teacher in `text_mobile`. How long each learns is planned, see
`training.sentences`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import kerastl
from kerastl.types import Dataset, History, Split, Task, Workspace
from kerastl.types.settings import Count, CountOrNone, Positive

if TYPE_CHECKING:
    import keras

    from kerastl.runs.store import Run
    from kerastl.training.fitting import Trained
    from kerastl.training.sentences import Plan


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How long and how fast an encoder is fine-tuned; what is not said is planned from texts and classes."""

    epochs: CountOrNone | None = None
    """Passes over the training texts; 0 trains the head alone."""
    learning_rate: Positive | None = None
    """At its peak, of the last layers and the head."""
    batch_size: Count | None = None
    """Texts a step."""


def plan(data: Dataset, *, encoder: str, settings: FineTuning, lora: bool = False) -> Plan:
    """The plan for the training texts, which is printed.

    Args:
        data: of texts.
        encoder: as a recipe names it; ``"small"`` knows nothing yet.
        settings: what is decided already.
        lora: whether low-rank matrices learn in place of the encoder.

    Raises:
        ValueError: as `training.sentences.plan`.
    """
    known = {"pretrained": encoder != "small", "lora": lora, **dataclasses.asdict(settings)}
    found = kerastl.training.sentences.plan_for(data.train, **known)
    print(found.why)
    return found


def adapted(
    run: Run,
    data: Dataset,
    build: Callable[[], keras.Model],
    *,
    plan: Plan,
    key: Sequence[object],
    seed: int,
    chosen_by_validation: bool = True,
    lora_rank: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    pairs: bool = False,
    prefix: str = "",
) -> dict[str, Trained]:
    """The linear probe of an encoder and the whole of it fine-tuned from that probe, as the plan has them.

    Args:
        run: gets the stages ``features``, ``linear_probe``, ``fine_tuned`` and ``contrastive_pairs``; each goes on
            after an interruption.
        data: as the encoder reads it.
        build: makes a classifier of the encoder with a head that knows nothing; it has layers ``pool`` and ``logits``.
        plan: how long and how fast.
        key: what the models depend on beside data and plan: the encoder, say.
        seed: of head, dropout and order.
        chosen_by_validation: whether the best epoch on validation is kept, or the last.
        lora_rank: of low-rank matrices that learn in place of the encoder.
        class_weight: of `fitting.fit`.
        pairs: whether the encoder also learns from pairs of texts, and gets a linear head on its new features, see
            `training.contrastive_pairs`. Where no validation chooses, that is taken, and nothing is fine-tuned.
        prefix: stands before the names of the stages.

    Returns:
        What `best_on_validation` takes, the cheapest first.
    """
    held, found = data.validation if chosen_by_validation else None, {}
    basis = [*key, seed, len(data.train), chosen_by_validation, data.digest]

    def made() -> keras.Model:
        kerastl.training.set_seed(seed)
        return build()

    start = None
    if plan.probe:
        cache = functools.partial(_features, data, made, chosen_by_validation)
        features = run.stage(f"{prefix}features", cache, key=basis)
        probe = functools.partial(_probe, made, features, class_weight)
        basis = [run.stage_key(f"{prefix}features"), class_weight]
        found["linear_probe"] = run.stage(f"{prefix}linear_probe", probe, key=basis)
        start, basis = found["linear_probe"].model, [run.stage_key(f"{prefix}linear_probe")]
    if plan.fine_tune and not (pairs and held is None):

        def begun() -> keras.Model:
            model = made()
            if start is not None:
                model.set_weights(start.get_weights())  # a copy: the report shows the probe as it was
            if lora_rank is not None:
                kerastl.training.transfer.add_lora(model, rank=lora_rank)
            return model

        tune = functools.partial(_fine_tune, data, begun, plan, seed, held, class_weight)
        wanted = [plan.fine_tune, plan.layer_decay, plan.embeddings, lora_rank, class_weight, *basis]
        found["fine_tuned"] = run.stage(f"{prefix}fine_tuned", tune, key=wanted)
    if pairs:
        learn = functools.partial(_contrastive, data, made, plan, seed, chosen_by_validation, class_weight)
        wanted = [*kerastl.training.contrastive_pairs.schedule(len(data.train)), plan.embeddings, class_weight, *basis]
        found["contrastive_pairs"] = run.stage(f"{prefix}contrastive_pairs", learn, key=wanted)
    return found


def require_pairs(data: Dataset, *, encoder: str, lora: bool) -> None:
    """Raises `ValueError` where an encoder cannot learn from pairs of labelled texts: before anything is trained."""
    words = "Texts of several classes, and numbers, make no pairs that belong together."
    kerastl.tasks.single_label.require(data.task, where="--contrastive-pairs", instead=words)
    if encoder == "small" or lora:
        raise ValueError(
            "--contrastive-pairs teach all of a pretrained encoder. Received: "
            f"{'--encoder small, which knows nothing yet' if encoder == 'small' else '--lora-rank'}."
        )


def notes(curves: Sequence[History], *, task: Task, flag: str = "--epochs") -> list[str]:
    """What has to be said of trainings that validation chose the last epoch of: they may not have been done.

    Args:
        curves: of the stages whose best epoch was kept.
        task: says what the score is called, and which one is the better.
        flag: of the recipe, that sets their epochs.
    """
    metric, said = task.target.training_metric(), []
    for one in curves:
        scores = () if metric is None else one.values.get(f"val_{metric.name}", ())
        if len(scores) > 1 and all(task.target.drop(scores[-1], score) < 0 for score in scores[:-1]):
            said.append(
                f"{one.stage} was best on validation in the last of its {len(scores)} epochs: it may not have been "
                f"done; {flag} {2 * len(scores)} goes on for longer."
            )
    return said


def _features(data: Dataset, build: Callable[[], keras.Model], validation: bool, at: Workspace | None):
    """What the frozen encoder makes of every training text, and of those to choose by: computed once."""
    body = kerastl.training.transfer.feature_extractor(build())
    kind = kerastl.inputs.numbers.Numbers(body.output_shape[1:])
    batches = functools.partial(kerastl.data.pipeline.batches, batch_size=data.task.inputs.predict_batch)
    return tuple(
        kerastl.training.transfer.extract_features(
            body, batches(split), features_kind=kind, name=split.name, workspace=at
        )
        for split in (data.train, *([data.validation] if validation else []))
    )


def _probe(build: Callable[[], keras.Model], features, class_weight, at: Workspace | None):
    """The encoder as it came, with the best linear head on its features."""
    train, *held = features
    options: dict[str, Any] = {"class_weight": class_weight, "validation": held[0] if held else None}
    return kerastl.training.linear_head.linear_probe(build(), train, **options)


def _contrastive(
    data: Dataset,
    build: Callable[[], keras.Model],
    plan: Plan,
    seed: int,
    validation: bool,
    class_weight,
    at: Workspace | None,
):
    """The encoder brings texts of a class together and others apart; then the best linear head on what it makes."""
    model, texts = build(), data.train
    words = [] if plan.embeddings else kerastl.models.pretrained.encoders.groups(model)[0]
    frozen = [layer for layer in model.get_layer("encoder").layers if layer.name in words and layer.trainable]
    for layer in frozen:
        layer.trainable = False
    contrastive = kerastl.training.contrastive_pairs
    rounds, schedule = contrastive.schedule(len(texts))
    drawn = contrastive.drawn(np.asarray(texts.labels), rounds=rounds, seed=seed)
    ids = np.asarray(texts.inputs)
    task = Task(
        f"{data.task.name}_pairs",
        dataclasses.replace(kerastl.inputs.text.of(data.task), length=2 * ids.shape[1]),
        kerastl.tasks.regression.Regression.of(drawn.same, names=("cosine",)),
    )
    pairs = Split("pairs", np.concatenate([ids[drawn.first], ids[drawn.second]], axis=1), drawn.same, task)
    curves = contrastive.fit(model, pairs, schedule=schedule, workspace=at, seed=seed)
    for layer in frozen:
        layer.trainable = True
    features = _features(data, lambda: model, validation, None)
    return kerastl.training.Trained(_probe(lambda: model, features, class_weight, at).model, curves)


def _fine_tune(
    data: Dataset, build: Callable[[], keras.Model], plan: Plan, seed: int, held, class_weight, at: Workspace
):
    """Everything learns from where the probe ended, the early layers least, or low-rank matrices do."""
    model = build()
    groups = kerastl.models.pretrained.encoders.groups(model)
    words = [] if plan.embeddings else [model.get_layer("encoder").get_layer(name) for name in groups[0]]
    frozen = [layer for layer in words if layer.trainable]  # of LoRA none is
    for layer in frozen:
        layer.trainable = False
    trained = kerastl.training.lp_ft.fine_tune(
        model,
        data.train,
        schedule=plan.fine_tune,
        groups=groups,
        layer_decay=plan.layer_decay,
        keep="last" if held is None else "best",
        validation=held,
        workspace=at,
        seed=seed,
        class_weight=class_weight,
    )
    for layer in frozen:  # whoever trains the model further decides anew
        layer.trainable = True
    return trained
