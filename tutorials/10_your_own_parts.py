# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. Your own recipe, loss, data source and kind of task
#
# Sooner or later what you need is not there. kerastl is built so that an addition is one file of your own, and everything
# behind it (exact resume, quantization, proof, report, bundle) comes along. Here you add four things: a **loss**, a **kind of
# task** that uses it, a **data source**, and a **recipe** that ties them together. The example is a task that many people
# have: classes with an order, like stars of a review, where "4 instead of 5" is a smaller mistake than "1 instead of 5".
#
# You should have seen tutorial 1 and read Python classes before. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | difference of the loss from NumPy | 0.0 | 0.000002 |
# | test accuracy of the file for the phone | 0.84 | 0.91 |
# | bytes of the file for the phone | 4000 | 6500 |
# | mean steps that an answer is off, ordered loss | 0.10 | 0.16 |
# | mean steps that an answer is off, cross-entropy | 0.10 | 0.16 |

# %% [markdown] lang="zh"
# # 10. 自己写配方、损失、数据源和任务类型
#
# 迟早会有库里没有的东西。kerastl 的设计是：增加一样东西，只需你自己的一个文件，它后面的一切（精确续训、量化、证明、报告、文件包）自动跟上。
# 这一篇增加四样：一个**损失**（loss），一种使用它的**任务类型**（kind of task），一个**数据源**（data source），和把它们串起来的**配方**
# （recipe）。例子是许多人都会遇到的任务：有顺序的类别，比如评论的星级，“把 5 星说成 4 星”比“把 5 星说成 1 星”错得轻。
#
# 建议先看第 1 篇，并了解 Python 的类。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 损失与 NumPy 的差 | 0.0 | 0.000002 |
# | 手机文件的测试准确率 | 0.84 | 0.91 |
# | 手机文件的字节数 | 4000 | 6500 |
# | 回答平均差几级：有序损失 | 0.10 | 0.16 |
# | 回答平均差几级：交叉熵 | 0.10 | 0.16 |

# %% smoke={"epochs": 2}
import importlib
import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np

import kerastl

epochs = 25

# %% [markdown]
# ## 1. A loss
#
# Cross-entropy does not know that classes have an order. The squared *earth mover's distance* does (Hou, Yu & Samaras 2016,
# https://arxiv.org/abs/1611.05916): it compares how much probability lies at or below each class,
#
# $$L = \sum_{k=1}^{K} \left( \sum_{j \le k} p_j - \sum_{j \le k} y_j \right)^2$$
#
# so probability that lies two classes off has to be carried twice as far. A loss in kerastl is a plain Keras loss, or a
# pure function of tensors. We put it into a file of our own, `ordered.py`, together with what comes next.
#
# ## 2. A kind of task
#
# What is asked of a model is one object, its *target*. It knows its loss, its score, its words, and every room of the
# library asks it instead of guessing. Ours is a classification in everything but the loss, so it inherits from
# `SingleLabel` and changes that one method. `kerastl.types.Target` lists all the questions that a target may be asked.

# %% [markdown] lang="zh"
# ## 1. 损失
#
# 交叉熵不知道类别有顺序。平方推土机距离（squared earth mover's distance；Hou, Yu & Samaras 2016，https://arxiv.org/abs/1611.05916）
# 知道：它比较“到每一类为止累计有多少概率”，
#
# $$L = \sum_{k=1}^{K} \left( \sum_{j \le k} p_j - \sum_{j \le k} y_j \right)^2$$
#
# 于是偏了两类的概率要搬两倍的路。kerastl 里的损失就是普通的 Keras 损失，或一个关于张量的纯函数。我们把它和下面要写的东西一起放进自己的
# 文件 `ordered.py`。
#
# ## 2. 任务类型
#
# 对模型提出的要求是一个对象，叫目标（target）。它知道自己的损失、得分和说法，库里的每个部分都去问它，而不是去猜。我们的目标除了损失
# 之外就是普通分类，所以继承 `SingleLabel`，只改这一个方法。`kerastl.types.Target` 列出了一个目标可能被问到的全部问题。

# %%
pathlib.Path("ordered.py").write_text('''
"""Classes with an order: a loss, and the kind of task that is trained by it."""

import dataclasses

import keras
from keras import ops

from kerastl.tasks.single_label import SingleLabel


@keras.saving.register_keras_serializable("ordered")
class EarthMovers(keras.losses.Loss):
    """Squared earth mover's distance of logits (batch, classes) from class indices (batch,)."""

    def call(self, labels, logits):
        said = ops.cumsum(ops.softmax(logits), axis=-1)
        meant = ops.cumsum(ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), logits.shape[-1]), axis=-1)
        return ops.sum(ops.square(said - meant), axis=-1)


@dataclasses.dataclass(frozen=True)
class Ordered(SingleLabel):
    """One of several classes, which have an order."""

    def loss(self):
        return EarthMovers()
''')
sys.path.insert(0, ".")
ordered = importlib.import_module("ordered")

# %% [markdown]
# For every loss, an independent calculation: here NumPy, on random logits. And the picture of what it means: the loss of an
# answer that is quite sure of the class k, where class 2 is right.

# %% [markdown] lang="zh"
# 每个损失都要用独立的计算来检验：这里用 NumPy 和随机的 logits。再画出它的含义：正确的是第 2 类，而回答相当肯定是第 k 类时的损失。

# %%
generator = np.random.default_rng(0)
logits, labels = generator.normal(size=(40, 5)).astype("float32"), generator.integers(0, 5, 40)
powers = np.exp(logits)
cumulated = np.cumsum(powers / powers.sum(1, keepdims=True), 1)
by_hand = ((cumulated - (labels[:, None] <= np.arange(5))) ** 2).sum(1)
difference = np.abs(np.asarray(ordered.EarthMovers(reduction=None)(labels, logits)) - by_hand).max()
print(f"largest difference from NumPy: {difference:.1e}")

sure, right = 4 * np.eye(5, dtype="float32"), np.full(5, 2)
cross_entropy = kerastl.distil.losses.cross_entropy(right, sure).numpy()
figure, place = plt.subplots(figsize=(6, 2.4), layout="constrained")
place.plot(np.asarray(ordered.EarthMovers(reduction=None)(right, sure)), "o-", label="earth mover's distance")
place.plot(cross_entropy, "s--", label="cross-entropy")
place.set_xticks(range(5))
place.set_xlabel("class that the answer is sure of; 2 is right")
place.set_ylabel("loss")
place.legend()
plt.show()

# %% [markdown]
# ## 3. A data source, 4. a recipe
#
# A data source is a function `load` that returns a `Dataset`: three splits that share nothing, checked and with a digest. Give
# `splits.dataset` arrays and it does the rest.
#
# A recipe is a file with a frozen dataclass `Config`, whose fields become flags and keywords, its `smoke()`, and a function
# `run(config, folder)`. Nothing in it is magic: load, train, store, publish. `kerastl copy mnist_cnn my_recipe.py` gives you
# one to change.

# %% [markdown] lang="zh"
# ## 3. 数据源；4. 配方
#
# 数据源就是一个返回 `Dataset` 的函数 `load`：三个互不重叠的划分（split），经过检查并带有摘要。把数组交给 `splits.dataset`，其余由它完成。
#
# 配方是一个文件：一个冻结的数据类 `Config`，它的字段会变成命令行选项和关键字参数；它的 `smoke()`；以及函数 `run(config, folder)`。里面
# 没有魔法：加载、训练、存储、发布。`kerastl copy mnist_cnn my_recipe.py` 给你一个可以修改的起点。

# %%
pathlib.Path("rings.py").write_text('''
"""Points on five rings: which ring is it, from the inside out?

Minutes: 1
Data: made up
"""

import dataclasses

import numpy as np
import ordered

import kerastl
from kerastl.inputs.numbers import Numbers
from kerastl.types import Schedule, Task
from kerastl.types.settings import Positive, Seed

NAMES = ("first", "second", "third", "fourth", "fifth")


def load(*, seed=0, noise=0.35, count=3000, target=ordered.Ordered):
    """Points (examples, 2) on rings of radius 1 to 5 with noise; the last third of them is the test split."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 5, count)
    angle, radius = generator.uniform(0, 2 * np.pi, count), labels + 1 + generator.normal(scale=noise, size=count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype("float32")
    train = 2 * count // 3
    arrays = {"train_inputs": points[:train], "train_labels": labels[:train].astype("int32")}
    arrays |= {"test_inputs": points[train:], "test_labels": labels[train:].astype("int32")}
    task = Task("rings", Numbers.of(points[:train], columns=("x", "y")), target(NAMES))
    options = {"seed": seed, "validation": 0.2, "limit": None, "source": "rings"}
    return kerastl.data.splits.dataset(task, arrays, **options)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run."""

    seed: Seed = 0
    """Of points, weights, order and split."""
    noise: Positive = 0.35
    """Standard deviation of the radius; rings are 1 apart."""
    train: Schedule = Schedule(epochs=25, batch_size=32, peak_learning_rate=5e-3)
    """Of the small net."""
    accept: kerastl.runs.Acceptance = kerastl.runs.Acceptance(
        max_score_drop=0.03, max_quantization_drop=0.05, min_agreement=0.9, max_saturation=0.05
    )
    """How far the files may be from the net."""

    @classmethod
    def smoke(cls):
        return cls(train=Schedule(epochs=2, batch_size=32))


def build(task):
    return kerastl.models.multilayer_perceptron.build(task, widths=(32, 32))


def run(config, folder):
    """Load, train, store, verify, choose, report."""
    with kerastl.runs.Run(folder, recipe="rings", tag=folder.name, config=config) as run:
        data = load(seed=config.seed, noise=config.noise)
        run.use_dataset(data)
        net = run.stage(
            "net",
            lambda at: kerastl.training.train(
                lambda: build(data.task),
                data.train,
                schedule=config.train,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
                progress=False,
            ),
            key=[config.seed, config.train, data.digest],
        )
        techniques = ("float32", "float16", "dynamic_int8")
        candidates = kerastl.runs.post_training(net.model, data.train, techniques=techniques)
        return kerastl.runs.publish(run, data, model=net.model, candidates=candidates, curves=[net.curves])
''')
rings = importlib.import_module("rings")
data = rings.load()
print({name: len(getattr(data, name)) for name in ("train", "validation", "test")}, "digest", data.digest[:12])

# %%
run = kerastl.run("rings.py", train={"epochs": epochs})
run

# %% [markdown]
# That was everything. Kill it in the middle and call it again: it goes on where it was. The file for the phone takes two plain
# numbers and says which ring:

# %% [markdown] lang="zh"
# 这就是全部。中途杀掉它再运行一次：它会从断点继续。手机文件接受两个普通的数，说出是哪一环：

# %%
print([answer["words"] for answer in run.predict(["0.8,0.5", "0,4.9"], top=1)])

across = np.linspace(-6, 6, 80, dtype="float32")
grid = np.stack(np.meshgrid(across, across), -1).reshape(-1, 2)
answers = run.answers(grid).argmax(1).reshape(80, 80)
figure, place = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
place.contourf(across, across, answers, levels=np.arange(-0.5, 5), alpha=0.4, cmap="viridis")
place.scatter(*data.test.inputs.T, c=data.test.labels, s=4, cmap="viridis")
place.set_title("what the file on the phone answers", fontsize=9)
plt.show()

# %% [markdown]
# ## Was the loss worth it?
#
# Measure, against the same net with the ordinary loss. The score here is in the task's own unit: by how many steps an answer
# is off in the mean.

# %% [markdown] lang="zh"
# ## 这个损失值得吗？
#
# 与用普通损失的同一个网络比一比。这里用任务自己的单位：回答平均差几级。


# %%
def steps_off(target):
    made = rings.load(target=target)
    net = kerastl.training.train(
        lambda: rings.build(made.task),
        made.train,
        schedule=kerastl.types.Schedule(epochs=epochs, batch_size=32, peak_learning_rate=5e-3),
        seed=1,
        keep="last",
        progress=False,
    )
    said = kerastl.training.predict(net.model, made.test.inputs).argmax(1)
    return float(np.abs(said - made.test.labels).mean())


off = {target.__name__: steps_off(target) for target in (ordered.Ordered, kerastl.tasks.single_label.SingleLabel)}
print(off)

# %% [markdown]
# On data as clean as these both losses end at nearly the same borders, and the honest answer is: hardly. The difference shows
# where labels are few or noisy, and then it is to be measured over several seeds. A loss is not better for being cleverer.
#
# ## What you have found

# %% [markdown] lang="zh"
# 在这样干净的数据上，两种损失最后得到几乎相同的边界，诚实的回答是：几乎没有差别。差别会出现在标签少或有噪声的时候，而且要用几个随机种子去
# 测量。一个损失不会因为更巧妙就更好。
#
# ## 你得到了什么

# %%
print(f"difference of the loss from NumPy               {difference:.9f}")
print(f"test accuracy of the file for the phone         {run.score.value:.4f}")
print(f"bytes of the file for the phone                 {run.file.stat().st_size}")
print(f"mean steps that an answer is off, ordered loss  {off['Ordered']:.4f}")
print(f"mean steps that an answer is off, cross-entropy {off['SingleLabel']:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **A recipe file is refused.** It lacks `Config`, its `smoke()` or `run(config, folder)`; the error names which.
# - **A changed recipe reuses an old stage.** What a stage depends on has to be in its `key`.
# - **The loss is right, and its mean is not.** Return one value an example; Keras takes the mean, weights included.
# - **A saved model does not open.** A loss or layer of your own needs `register_keras_serializable`, as above.
# - **`verify` cannot load the data.** A source of your own is handed over: `run.verify(dataset=rings.load())`.
#
# ## What to try next
#
# - Let `Ordered` answer with another score, by its methods `metric` and `score`.
# - `kerastl run rings.py --noise 0.6` from a terminal: the fields are flags.
# - Put the file under `recipes/` and its test beside the others: `CONTRIBUTING.md` says how many files an addition touches.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **配方文件被拒绝。** 它缺少 `Config`、它的 `smoke()` 或 `run(config, folder)`；错误信息会指明缺哪个。
# - **改了配方，却沿用旧的阶段。** 一个阶段依赖的一切都要写进它的 `key`。
# - **损失对了，平均值不对。** 每个样本返回一个值；由 Keras 求平均，权重也由它处理。
# - **保存的模型打不开。** 自己的损失或层需要像上面那样用 `register_keras_serializable` 注册。
# - **`verify` 加载不了数据。** 自己的数据源要交给它：`run.verify(dataset=rings.load())`。
#
# ## 接下来试什么
#
# - 通过 `metric` 和 `score`，让 `Ordered` 使用另一种得分。
# - 在终端里运行 `kerastl run rings.py --noise 0.6`：字段就是选项。
# - 把文件放进 `recipes/`，测试放在其他测试旁边：`CONTRIBUTING.md` 说明了增加一样东西要动几个文件。
