"""What a private step costs: beside a plain one, and beside one that takes a gradient an example.

    python benchmarks/training/private_step.py [--batch 512] [--rounds 7]

The same net and the same batch; the steps take turns, and the processor time of all threads counts. The gradient an
example is `tf.vectorized_map`'s, as TensorFlow Privacy takes it.

Asked: a private step costs at most 6 plain ones, for each of the nets.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf

from benchmarks.tools import results
from kerastl.inputs.image import Image
from kerastl.models import multilayer_perceptron, strided_lenet, tanh_cnn
from kerastl.tasks.single_label import SingleLabel
from kerastl.training.private.guarantee import Mechanism
from kerastl.training.private.private_model import Private
from kerastl.types import Task

TASK = Task("mnist-shaped", Image((28, 28, 1)), SingleLabel(tuple("0123456789")))
NETS: dict[str, Callable[[], keras.Model]] = {
    "tanh_cnn.small": lambda: tanh_cnn.small(TASK),
    "strided_lenet, plain": lambda: strided_lenet.build(TASK, normalize=False, dropout=0.0),
    "dense 256": lambda: multilayer_perceptron.build(TASK, widths=(256,), dropout=0.0),
}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Step = Callable[[tf.Tensor, tf.Tensor], object]


def compiled(model: keras.Model) -> Step:
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), LOSS, jit_compile=False)
    return model.train_on_batch


def private(model: keras.Model, batch: int) -> Step:
    return compiled(Private(model, Mechanism(1.0, clip=0.1, sampling_rate=0.01, lot=batch, delta=1e-5), seed=0))


def one_by_one(model: keras.Model, batch: int) -> Step:
    """Clipped gradients, one an example, of the whole net at once."""
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    variables = [one.value for one in model.trainable_variables]

    @tf.function(autograph=False)
    def step(inputs, labels):
        def of_one(example):
            with tf.GradientTape() as tape:
                loss = LOSS(example[1][None], model(example[0][None], training=True))
            found = [tf.convert_to_tensor(one) for one in tape.gradient(loss, variables)]
            length = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(one)) for one in found]))
            return [one * tf.minimum(1.0, 0.1 / length) for one in found]

        total = [tf.reduce_sum(one, axis=0) for one in tf.vectorized_map(of_one, (inputs, labels))]
        noisy = [one + 0.1 * tf.random.normal(one.shape) for one in total]
        optimizer.apply([one / batch for one in noisy], model.trainable_variables)

    return step


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    inputs = tf.constant(draw.integers(0, 256, (options.batch, 28, 28, 1)).astype("float32"))
    labels = tf.constant(draw.integers(0, 10, options.batch).astype("int32"))
    table = results.Table(
        f"a step of {options.batch} examples, median and quartiles of {options.rounds} rounds",
        {"net": "{}", "parameters": "{:,}", "plain ms": "{:.1f}", "private / plain": "{:.2f}"}
        | {"a gradient an example / plain": "{:.2f}"},
    )
    for name, build in NETS.items():
        steps = [compiled(build()), private(build(), options.batch), one_by_one(build(), options.batch)]
        seconds: list[list[float]] = []
        for place in range(options.rounds + 1):
            row = []
            for step in steps:
                begin = time.process_time()
                for _ in range(3 if place else 1):  # the first one traces
                    step(inputs, labels)
                row.append((time.process_time() - begin) / 3)
            seconds += [row] if place else []
        plain, ours, single = np.array(seconds).T
        table.add(
            name,
            build().count_params(),
            results.quartiles(1000 * plain),
            results.quartiles(ours / plain),
            results.quartiles(single / plain),
        )
    options.results.show(table)
    ratios: list[tuple[object, results.Interval]] = [(row["net"], row["private / plain"]) for row in table.rows]  # pyright: ignore[reportAssignmentType]
    return options.results.verdict(
        {f"{name}: {ratio.value:.2f} plain steps, at most 6": ratio.value <= 6 for name, ratio in ratios}
    )


if __name__ == "__main__":
    raise SystemExit(main())
