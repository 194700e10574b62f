"""Your own Keras model made small: every technique tried, measured, and the best file chosen.

A functional `.keras` model of pictures and the data that it is for go in. Its weights are stored in 16, 8 and 4 bits,
in as many as each kernel needs, and as integers throughout; whole channels are removed, single weights set to zero and
near ones made equal, each time with a short training under the model itself as teacher (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531); it learns to live with integers. Out come the files that no other one beats in size,
latency and score, with a plot, and the one for the phone. What a technique cannot do with this model is said.

Minutes: 15
Data: fashion_mnist, or yours
Command: kerastl run shrink_model --model my.keras --data FOLDER
Expect: without a model, a net of 396,000 bytes and 0.924 on Fashion-MNIST's test becomes one of 35,000 with 0.918
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kerastl
from kerastl.runs import Acceptance
from kerastl.types import Dataset, History, Schedule, Workspace

_NAMED = ("mnist", "fashion_mnist", "cifar10")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run shrink_model`."""

    model: str = ""
    """A `.keras` or `.h5` file, or the folder of a finished run; by default a small net is trained here."""
    data: str = "fashion_mnist"
    """A folder with a folder a class, a table, an archive, arrays (.npz, .npy, .parquet), "mnist", "fashion_mnist",
    "cifar10", or "tfds:NAME". Its classes in the order of the model's answers."""
    on_unreadable: str = "fail"
    """What cannot be used of it: "fail" lists it and stops, "skip" leaves it out."""
    pixels: str = "auto"
    """Range that the model itself takes: "0..255", "0..1" or "-1..1"; "auto" finds the one that it answers best by."""
    image_size: int | None = None
    """Side of the square pictures, where the model takes any."""
    seed: int = 0
    """Of order and split, and of weights where a model is trained here."""
    validation: float = 0.1
    """Share of the training pictures held out; every choice is made on them."""
    max_train_examples: int | None = None
    """Keeps only so many training pictures."""
    from_scratch: Schedule = Schedule(epochs=6, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of the small net, where no model is given."""
    tune: Schedule = Schedule(epochs=3, batch_size=64, peak_learning_rate=5e-4, weight_decay=1e-4)
    """After channels or weights were removed, and to learn integers. 0 epochs leave all training out."""
    keep_ratios: tuple[float, ...] = (0.7, 0.5, 0.35)
    """Shares of the multiply-adds that stay where channels are removed: a model each."""
    sparsity: float = 0.75
    """Share of zeros where single weights are removed: it zips smaller, and is no faster on a phone."""
    clusters: int = 16
    """Distinct numbers in a kernel where near weights become one: it zips smaller, and is no faster either."""
    rounding: int = 200
    """Training pictures by whose answers the integers of 4-bit weights are chosen: minutes for a large net. 0 takes the
    integer nearest to each weight."""
    temperature: float = 2.0
    """Softens the answers of the model as a teacher."""
    teacher_weight: float = 0.7
    """Share of the model as a teacher in the loss; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.01, max_quantization_drop=0.02, min_agreement=0.95)
    """The chosen file may lose a point of validation accuracy against the model; an 8-bit file that loses two against
    the model it was made from, or answers otherwise to more than 5 pictures of 100, is left out."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=1, batch_size=32, peak_learning_rate=2e-3)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0)
        sizes: dict[str, Any] = {"keep_ratios": (0.5,), "rounding": 0, "max_train_examples": 400, "seed": 1}
        return cls(from_scratch=tiny, tune=tiny, accept=accept, **sizes)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Open or train, load, remove channels and weights, learn integers, quantize, verify, report."""
    with kerastl.runs.Run(folder, recipe="shrink_model", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        skipped: dict[str, str] = {}
        own = run.stage(
            "model", lambda at: load_model(config, data, at), key=[config.seed, model_digest(config), data.digest]
        )
        key = [config.seed, config.tune, config.temperature, config.teacher_weight, run.stage_key("model")]
        made: dict[str, Any] = {}
        for name, (technique, setting) in techniques(config).items():

            def stage(name=name, technique=technique, setting=setting):
                return run.stage(name, lambda at: technique(config, data, own.model, setting, at), key=[key, setting])

            made[name] = attempt(skipped, name, stage)
        quantized = made.pop("qat_int8", None)
        smaller = {name: one for name, one in made.items() if one}
        candidates = [*quantized_variants(config, data, "", own.model, skipped)]
        for name, one in smaller.items():
            held = claims(config, name, one.model)
            candidates += quantized_variants(config, data, f"{name}_", one.model, skipped, **held)
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


def claims(config: Config, name: str, model) -> dict[str, Any]:
    """What the files of a smaller model have to hold, beside its answers."""
    if name == "clustered":
        return {"clusters": kerastl.compress.cluster.claim(model, number_of_clusters=config.clusters)}
    return {"sparsity": config.sparsity} if name == "pruned" else {}


def attempt(skipped: dict[str, str], name: str, make: Callable[[], Any]) -> Any:
    """What a technique gives; ``None`` where it cannot be done with this model, and the reason is kept."""
    try:
        return make()
    except ValueError as error:
        skipped[name] = " ".join(str(error).split())
        print(f"skipped: {name}: {skipped[name]}")
        return None


def model_digest(config: Config) -> str:
    """What the model comes from: the digest of its file, or how it is trained here."""
    if not config.model:
        return str(config.from_scratch)
    path = Path(config.model)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    return f"{hashlib.sha256(file.read_bytes()).hexdigest()} {config.pixels} {config.image_size}"


def load(config: Config) -> Dataset:
    """The data at the size and colours of the model.

    Raises:
        ValueError: it cannot be used, or an example may have none or several of the classes.
    """
    data = loaded(config)
    if not isinstance(data.task.target, kerastl.tasks.single_label.SingleLabel):
        raise ValueError(
            f"Wanted pictures of one class each. Received: pictures of none or several classes in {config.data}."
        )
    return data


def loaded(config: Config) -> Dataset:
    """Whatever `data` names."""
    settings: dict[str, Any] = {
        "seed": config.seed,
        "validation": config.validation,
        "limit": config.max_train_examples,
    }
    name = config.data.removeprefix("tfds:")
    if name in _NAMED and name == config.data:
        return getattr(kerastl.data, name).load(**settings)
    height, width, channels = (28, 28, 1) if not config.model else shape_of(config)
    if name != config.data:
        return kerastl.data.tfds.load(name, size=(height, width), **settings)
    settings["policy"] = config.on_unreadable
    if Path(config.data).suffix in (".npz", ".npy"):
        return kerastl.data.arrays.load(config.data, **settings)
    kind = kerastl.data.arrays if Path(config.data).suffix == ".parquet" else kerastl.data.image_folder
    return kind.load(config.data, size=(height, width), channels=channels, **settings)


def shape_of(config: Config) -> tuple[int, int, int]:
    """Height, width and channels of the pictures that the model takes."""
    model = kerastl.models.pretrained.local_file.classifier(config.model, image_size=config.image_size)
    return model.input_shape[1:]


def load_model(config: Config, data: Dataset, at: Workspace):
    """The model as one graph from pixels 0..255 to logits; without a file, a small net that is trained here."""
    if not config.model:
        return train_from_scratch(config, data, at)
    file = kerastl.models.pretrained.local_file
    held, models, answers, scores = data.validation.take(1000), {}, {}, {}
    for pixels in file.RANGES if config.pixels == "auto" else (config.pixels,):
        model = file.classifier(config.model, pixels=pixels, image_size=config.image_size)
        if (model.input_shape[1:], model.output_shape[1:]) != (data.task.inputs.shape, (data.task.target.outputs,)):
            raise ValueError(
                f"A model and its data have the same pictures and as many classes. Received: {config.model}, from "
                f"{model.input_shape[1:]} to {model.output_shape[1:]}; {config.data} has {data.task.inputs.shape} and "
                f"{data.task.target.outputs} classes."
            )
        models[pixels] = model
        answers[pixels] = kerastl.training.predict(model, held.inputs, task=data.task)
        scores[pixels] = data.task.target.score(answers[pixels], held.labels).value
    best = max(scores, key=lambda pixels: scores[pixels])
    words = ", ".join(f"{100 * score:.1f} % of pixels {pixels}" for pixels, score in scores.items())
    print(f"{config.model} answers {words} right: it gets {best}.")
    classes, names = data.task.target.outputs, data.task.target.names
    recall = data.task.target.details(answers[best], held.labels)["balanced_accuracy"]
    # as good as any one answer, whatever the classes' shares: two chances of many classes, a tenth more of two
    if recall < min(2 / classes, 1 / classes + 0.1 * (1 - 1 / classes)) and len(held) >= 50:
        raise ValueError(
            "Wanted a model that knows these classes, in the order of its answers: "
            f"{', '.join(names[:10])}. Received: {config.model}, which answers {words} right."
        )
    return kerastl.training.Trained(kerastl.training.precision.as_float32(models[best]), History(at.stage, {}))


def train_from_scratch(config: Config, data: Dataset, at: Workspace):
    """A small residual net on the labels."""
    options: dict[str, Any] = {"schedule": config.from_scratch, "seed": config.seed, "validation": data.validation}
    build, some = functools.partial(kerastl.models.resnet.mobile, data.task), batches(config, data, config.from_scratch)
    return kerastl.training.train(build, some, workspace=at, **options)


def prune_channels(config: Config, data: Dataset, model, keep_ratio: float, at: Workspace):
    """Channel pruning: the channels that are missed least are gone, and the others have learnt to do without."""
    kerastl.training.set_seed(config.seed)
    channels = kerastl.compress.channels
    plan = channels.plan(model, keep_ratio=keep_ratio, batches=batches(config, data, config.tune).take(50))
    return fine_tune(config, data, channels.apply(model, plan), at, teacher=model)


def prune(config: Config, data: Dataset, model, sparsity: float, at: Workspace):
    """Magnitude pruning: single weights go, the smallest first, over the first half of the training."""
    student = kerastl.training.precision.as_float32(model)  # a copy
    steps = config.tune.steps(len(data.train))
    pruning = kerastl.compress.prune.over_first_half(student, sparsity=sparsity, steps=steps)
    return fine_tune(config, data, student, at, teacher=model, callbacks=[pruning], keep="last")


def fine_tune(config: Config, data: Dataset, student, at: Workspace, *, teacher, **options: Any):
    """A student with a part missing, under the model that it was a part of."""
    distil = kerastl.distil.distiller
    under = distil.under_logits(teacher, temperature=config.temperature, weight=config.teacher_weight)
    options |= {"schedule": config.tune, "seed": config.seed, "validation": data.validation}
    return kerastl.training.train(student, batches(config, data, config.tune), workspace=at, under=under, **options)


def cluster(config: Config, data: Dataset, model, clusters: int, at: Workspace):
    """Weight clustering: weights that lie near each other become one number, and learn as one, under the model."""
    kerastl.training.set_seed(config.seed)
    bridge, cluster = kerastl.compress.tf_keras.bridge, kerastl.compress.cluster
    network = cluster.train(
        bridge.to_tf_keras(model, probe=data.train.take(16).inputs),
        number_of_clusters=clusters,
        batches=batches(config, data, config.tune),
        epochs=config.tune.epochs,
        learning_rate=config.tune.peak_learning_rate / 5,
        teacher=functools.partial(model, training=False),
        loss=kerastl.distil.losses.distillation_loss(temperature=1.0),
        validation=kerastl.data.pipeline.batches(data.validation, batch_size=500),
        workspace=at,
        callbacks=[kerastl.training.callbacks.ProgressBar(at.stage)],
    )
    curves = cluster.curves(network, stage=at.stage)
    return kerastl.training.Trained(bridge.to_keras(network, like=model), curves)


def quantize(config: Config, data: Dataset, model, _: int, at: Workspace):
    """Quantization-aware training: the model learns to give its own float answers in 8-bit integers."""
    schedule = dataclasses.replace(config.tune, peak_learning_rate=config.tune.peak_learning_rate / 5)
    return kerastl.runs.quantization_aware(
        model,
        batches(config, data, config.tune),
        schedule=schedule,
        seed=config.seed,
        workspace=at,
        validation=data.validation,
        teacher=model,
    )


def quantized_variants(config: Config, data: Dataset, prefix: str, model, skipped: dict[str, str], **claims: Any):
    """Every way of storing a model's weights, from all 32 bits to as few as its answers allow."""
    float32, ptq = kerastl.export.tflite.convert(model, data.task), kerastl.compress.ptq
    # chosen by what they answer, the integers of a cluster would be several
    with_rounding = config.rounding and "clusters" not in claims
    some = data.train.take(config.rounding).inputs if with_rounding else None
    made = {
        "float32": lambda: float32,
        "float16": lambda: ptq.float16(float32),
        "dynamic_int8": lambda: ptq.dynamic_int8(float32),
        "weight_only_int8": lambda: ptq.weight_only_int8(float32),
        "static_int8": lambda: ptq.static_int8(float32, calibration=data.train.take(500).inputs),
        "int4_weights": lambda: ptq.int4_weights(float32, calibration=some),
        "mixed_precision": lambda: mixed(config, data, float32, some),
    }
    for technique, make in made.items():
        content = attempt(skipped, prefix + technique, make)
        if content:
            yield kerastl.runs.Candidate(prefix + technique, technique, content, model, **claims)


def mixed(config: Config, data: Dataset, float32: bytes, calibration) -> bytes:
    """The smallest file of 4-bit, 8-bit and float kernels that loses no more than is accepted."""
    precision, held = kerastl.compress.mixed_precision, data.validation.take(1000)
    answers = functools.partial(kerastl.verify.predict_tflite, kind=data.task.inputs)

    def score(file: bytes) -> float:
        return data.task.target.score(answers(file, held.inputs), held.labels).value

    measured = precision.sensitivities(
        float32, answers=lambda file: answers(file, held.take(200).inputs), calibration=calibration
    )
    least = score(float32) - config.accept.max_score_drop
    return precision.search(float32, measured, score=score, least=least, calibration=calibration).content


def batches(config: Config, data: Dataset, schedule: Schedule):
    """Training batches, as they are."""
    return kerastl.data.pipeline.training_batches(data.train, schedule=schedule, seed=config.seed)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
