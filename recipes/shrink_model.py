"""Your own Keras model made small: every technique tried, measured, and the best file chosen.

A functional `.keras` model and the data that it is for go in. Its weights are stored in 16, 8 and 4 bits, in as many as
each kernel needs, and as integers throughout; whole channels are removed, single weights set to zero and near ones made
equal, each time with a short training under the model itself as teacher (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531); it learns to live with integers. Out come the files that no other one beats in size,
latency and score, with a plot, and the one for the phone. What a technique cannot do with this model is said.

A classifier of pictures has labelled ones, and the score is accuracy. Any other model needs inputs alone (forecasts,
embeddings, pictures out, several inputs and outputs): the score is then agreement with its own answers.

Minutes: 15
Data: fashion_mnist, or yours
Command: kerastl run shrink_model --model my.keras --data FOLDER
Expect: without a model, a net of 396,000 bytes and 0.924 on Fashion-MNIST's test becomes one of 35,000 with 0.918
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import kerastl
from kerastl.data.reading import PictureReading
from kerastl.runs import Acceptance
from kerastl.types import Dataset, History, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, ImageSize, Part, Place, Positive, Seed, Share, Some


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run shrink_model`."""

    model: Place = ""
    """A `.keras` or `.h5` file, or the folder of a finished run; by default a small net is trained here."""
    trust: Place = ""
    """Python file with the classes of layers, or of a model, of your own that the model's file names: its code runs."""
    data: str = "fashion_mnist"
    """A folder with a folder a class, a table, an archive, arrays (.npz, .npy, .parquet), "mnist", "fashion_mnist",
    "cifar10", or "tfds:NAME". Its classes in the order of the model's answers. Without labels: pictures in no classes,
    an .npy, or an .npz with an array under the name of each of the model's inputs."""
    labels: Literal["auto", "none"] = "auto"
    """"none" leaves labels out that there are, and takes the model's own answers for them; "auto" where there are
    none."""
    reading: PictureReading = PictureReading()
    """How the data is read: columns, splits, what becomes of pictures that cannot be used."""
    pixels: Literal["auto", "0..255", "0..1", "-1..1", "mean_std", "caffe_bgr"] = "auto"
    """Range that the model itself takes, "mean_std" and "caffe_bgr" ImageNet's; "auto" finds the one by which it
    answers labels best, and asks where none is or two are, unless the model scales pixels itself."""
    image_size: ImageSize | None = None
    """Side of the square pictures, where the model takes any."""
    seed: Seed = 0
    """Of order and split, and of weights where a model is trained here."""
    widths: tuple[Count, ...] = (24, 40, 64)
    """Filters of the stages of the small net that is trained where no model is given."""
    from_scratch: Schedule = Schedule(epochs=6, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Its training."""
    tune: Schedule = Schedule(epochs=3, batch_size=64, peak_learning_rate=5e-4, weight_decay=1e-4)
    """After channels or weights were removed, and to learn integers. 0 epochs leave all training out."""
    keep_ratios: tuple[Some, ...] = (0.7, 0.5, 0.35)
    """Shares of the multiply-adds that stay where channels are removed: a model each."""
    sparsity: Part = 0.75
    """Share of zeros where single weights are removed: it zips smaller, and is no faster on a phone."""
    clusters: Count = 16
    """Distinct numbers in a kernel where near weights become one: it zips smaller, and is no faster either."""
    rounding: CountOrNone = 200
    """Training pictures by whose answers the integers of 4-bit weights are chosen: minutes for a large net. 0 takes the
    integer nearest to each weight."""
    temperature: Positive = 2.0
    """Softens the answers of the model as a teacher."""
    teacher_weight: Share = 0.7
    """Share of the model as a teacher in the loss; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.01, max_quantization_drop=0.02, min_agreement=0.95)
    """The chosen file may lose a point of validation accuracy against the model; an 8-bit file that loses two against
    the model it was made from, or answers otherwise to more than 5 pictures of 100, is left out."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=1, batch_size=32, peak_learning_rate=2e-3)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0)
        sizes: dict[str, Any] = {"keep_ratios": (0.5,), "rounding": 0, "seed": 1, "widths": (8, 16)}
        return cls(from_scratch=tiny, tune=tiny, accept=accept, reading=PictureReading(max_train_examples=400), **sizes)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Open or train, load, remove channels and weights, learn integers, quantize, verify, report."""
    trusted = kerastl.runs.own_model.trusting(config.trust)
    with trusted, kerastl.runs.Run(folder, recipe="shrink_model", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        skipped: dict[str, str] = {}
        own = run.stage(
            "model",
            lambda at: load_model(config, data, at),
            key=[config.seed, model_digest(config), data.task.target.kind, data.digest],
        )
        key = [config.seed, config.tune, config.temperature, config.teacher_weight, run.stage_key("model")]
        made: dict[str, Any] = {}
        for name, (technique, setting) in techniques(config).items():

            def stage(name=name, technique=technique, setting=setting):
                return run.stage(name, lambda at: technique(config, data, own.model, setting, at), key=[key, setting])

            made[name] = kerastl.runs.attempt(name, stage, skipped=skipped)
        quantized = made.pop("qat_int8", None)
        smaller = {name: one for name, one in made.items() if one}
        candidates = quantized_variants(config, data, "", own.model, skipped)
        for name, one in smaller.items():
            candidates += quantized_variants(config, data, name, one.model, skipped)
        if quantized:
            candidates.append(kerastl.runs.Candidate("qat_int8", "qat_int8", quantized.content, own.model))
        return kerastl.runs.publish(
            run,
            data,
            model=own.model,
            candidates=candidates,
            curves=[one.curves for one in (own, *smaller.values(), quantized) if one],
            accept=config.accept,
            skipped=skipped,
        )


def techniques(config: Config) -> dict[str, tuple[Callable, float]]:
    """What is trained: name -> who makes it, and how much of it."""
    if not config.tune.epochs:
        return {}
    channels = {f"channels_{round(100 * ratio)}": (prune_channels, ratio) for ratio in config.keep_ratios}
    single = {"pruned": (prune, config.sparsity), "clustered": (cluster, config.clusters)}
    return {**channels, **single, "qat_int8": (quantize, 8)}


def model_digest(config: Config) -> str:
    """What the model comes from: the digest of its file, or how it is trained here."""
    if not config.model:
        return f"{config.widths} {config.from_scratch}"
    file = kerastl.models.pretrained.local_file.file_of(config.model)
    own = kerastl.system.digests.of_file(Path(config.trust)) if config.trust else ""
    return f"{kerastl.system.digests.of_file(file)} {config.pixels} {config.image_size}{own}"


def load(config: Config) -> Dataset:
    """The data at the size and colours of the model, with its own answers for labels where there are none, or wanted.

    Raises:
        ValueError: it cannot be used, or an example may have none or several of the classes; nobody answers.
    """
    own, settings = kerastl.runs.own_model, {"pixels": config.pixels, "image_size": config.image_size}
    if not own.needs_answers(config.model, config.data, labels=config.labels):
        labelled = functools.partial(load_labelled, config)
        return own.in_order_of_answers(config.model, labelled, named=bool(config.reading.class_names), **settings)
    labelled = functools.partial(load_labelled, config, single_label=False)
    options = {"reading": config.reading, "seed": config.seed, **settings}
    return own.load(config.model, config.data, labelled=labelled, **options)


def load_labelled(config: Config, *, single_label: bool = True, class_names: Any = None) -> Dataset:
    """The pictures with their classes, of which each has one where these are learnt from."""
    shape, own = (28, 28, 1), kerastl.models.pretrained.local_file
    if config.model:
        shape = own.picture_shape(config.model, image_size=config.image_size)
    options: dict[str, Any] = {"reading": config.reading, "any_shape": True, "single_label": single_label}
    options |= {"size": shape[:2], "channels": shape[2], "class_names": class_names}
    return kerastl.data.loading.pictures(config.data, seed=config.seed, **options)


def load_model(config: Config, data: Dataset, at: Workspace):
    """The model as one graph in float32; without a file, a small net that is trained here."""
    if not config.model:
        return train_from_scratch(config, data, at)
    opened = kerastl.runs.own_model.opened
    model = opened(config.model, data, pixels=config.pixels, image_size=config.image_size)
    return kerastl.training.Trained(model, History(at.stage, {}))


def train_from_scratch(config: Config, data: Dataset, at: Workspace):
    """A small residual net on the labels."""
    options: dict[str, Any] = {"schedule": config.from_scratch, "seed": config.seed, "validation": data.validation}
    build = functools.partial(kerastl.models.resnet.build, data.task, widths=config.widths, stem_pool=2)
    return kerastl.training.train(build, batches(config, data, config.from_scratch), workspace=at, **options)


def prune_channels(config: Config, data: Dataset, model, keep_ratio: float, at: Workspace):
    """Channel pruning: the channels that are missed least are gone, and the others have learnt to do without."""
    kerastl.training.set_seed(config.seed)
    channels = kerastl.compress.channels
    some = batches(config, data, config.tune).take(50)
    # against its own answers a model's loss is 0, and so is what a channel does to it
    criterion = "outputs" if kerastl.runs.own_model.has_own_answers(data) else "taylor"
    plan = channels.plan(model, keep_ratio=keep_ratio, batches=some, criterion=criterion)
    return fine_tune(config, data, channels.apply(model, plan), at, teacher=model)


def prune(config: Config, data: Dataset, model, sparsity: float, at: Workspace):
    """Magnitude pruning: single weights go, the smallest first, over the first half of the training."""
    student, steps = kerastl.training.precision.as_float32(model), config.tune.steps(len(data.train))  # a copy
    pruning = kerastl.compress.prune.over_first_half(student, sparsity=sparsity, steps=steps)
    return fine_tune(config, data, student, at, teacher=model, callbacks=[pruning], keep="last")


def fine_tune(config: Config, data: Dataset, student, at: Workspace, *, teacher, **options: Any):
    """A student with a part missing, under the model that it was a part of."""
    soft = {"temperature": config.temperature, "weight": config.teacher_weight}
    options["under"] = kerastl.runs.own_model.under(data, teacher, **soft)
    options |= {"schedule": config.tune, "seed": config.seed, "validation": data.validation}
    return kerastl.training.train(student, batches(config, data, config.tune), workspace=at, **options)


def cluster(config: Config, data: Dataset, model, clusters: int, at: Workspace):
    """Weight clustering: weights that lie near each other become one number, and learn as one, under the model."""
    some = batches(config, data, config.tune)
    return kerastl.runs.clustered(model, some, number_of_clusters=clusters, **slowly(config, data, model, at))


def quantize(config: Config, data: Dataset, model, _: int, at: Workspace):
    """Quantization-aware training: the model learns to give its own float answers in 8-bit integers."""
    return kerastl.runs.quantization_aware(model, batches(config, data, config.tune), **slowly(config, data, model, at))


def slowly(config: Config, data: Dataset, model, at: Workspace) -> dict[str, Any]:
    """How a model learns to answer as before in other numbers."""
    schedule = dataclasses.replace(config.tune, peak_learning_rate=config.tune.peak_learning_rate / 5)
    options = {"schedule": schedule, "seed": config.seed, "workspace": at, "validation": data.validation}
    return options | kerastl.runs.own_model.teaching(data, model)


def quantized_variants(config: Config, data: Dataset, name: str, model, skipped: dict[str, str]) -> list:
    """Every way of storing a model's weights, from all 32 bits to as few as its answers allow."""
    claims: dict[str, Any] = {"sparsity": config.sparsity} if name == "pruned" else {}
    if name == "clustered":
        claims = {"clusters": kerastl.compress.cluster.claim(model, number_of_clusters=config.clusters)}
    return kerastl.runs.post_training(
        model,
        data.task,
        techniques=kerastl.runs.candidates.POST_TRAINING,
        calibration=data.train.take(500).inputs,
        rounding=data.train.take(config.rounding).inputs if config.rounding else None,
        validation=data.validation,
        max_score_drop=config.accept.max_score_drop,
        prefix=f"{name}_" if name else "",
        skipped=skipped,
        **claims,
    )


def batches(config: Config, data: Dataset, schedule: Schedule):
    """Training batches, as they are."""
    return kerastl.data.pipeline.training_batches(data.train, schedule=schedule, seed=config.seed)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
