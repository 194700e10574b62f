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
# # 5. Knowledge distillation
#
# A large network knows more than its answers say. When it calls a picture a shirt, it also says that the picture might
# have been a T-shirt, and certainly not a boot. *Knowledge distillation* (Hinton, Vinyals & Dean 2015,
# https://arxiv.org/abs/1503.02531) trains a small network, the *student*, on all of that. You write the loss out here,
# see what the temperature does, and measure when a teacher helps: a lot where labels are few, and hardly at all where
# there are plenty.
#
# You should know what a logit and a cross-entropy are (tutorial 1). It takes about 3 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | difference of our loss from the library's | 0.0 | 0.00001 |
# | test accuracy of the teacher | 0.88 | 0.925 |
# | student alone, 600 labels | 0.74 | 0.81 |
# | student under the teacher, pictures without labels | 0.86 | 0.895 |
# | student alone, all labels | 0.85 | 0.89 |
# | student under the teacher, all labels | 0.86 | 0.895 |

# %% [markdown] lang="zh"
# # 5. 知识蒸馏
#
# 大网络知道的，比它说出口的答案多。当它说一张图是“衬衫”时，它同时也在说：这也可能是 T 恤，但绝不是靴子。知识蒸馏
# （knowledge distillation；Hinton, Vinyals & Dean 2015，https://arxiv.org/abs/1503.02531）让一个小网络，也就是学生（student），
# 去学这全部信息。这一篇里你会亲手写出蒸馏的损失，看清温度（temperature）的作用，并测量教师（teacher）何时有用：
# 标签少时帮助很大，标签充足时几乎没有帮助。
#
# 你需要知道 logit 和交叉熵是什么（见第 1 篇）。在两个 CPU 核上大约需要 3 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 我们写的损失与库的差 | 0.0 | 0.00001 |
# | 教师的测试准确率 | 0.88 | 0.925 |
# | 学生独自学习，600 个标签 | 0.74 | 0.81 |
# | 学生跟随教师，图片没有标签 | 0.86 | 0.895 |
# | 学生独自学习，全部标签 | 0.85 | 0.89 |
# | 学生跟随教师，全部标签 | 0.86 | 0.895 |

# %% smoke={"examples": 400, "test_examples": 200, "labels": 4, "teacher_epochs": 1, "student_epochs": 1, "batch_size": 32}
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import kerastl
from kerastl.types import Schedule

examples = 15_000  # pictures to learn from
test_examples = 10_000
labels = 60  # of each class, where labels are few
teacher_epochs = 5
student_epochs = 3
batch_size = 128

# %% [markdown]
# ## The pictures and a teacher
#
# Fashion-MNIST (Xiao, Rasul & Vollgraf 2017) is MNIST's harder sister: ten kinds of clothes. Our teacher is a residual
# network (He et al. 2016) of 309,000 parameters. It learns from labels, as in tutorial 1.

# %% [markdown] lang="zh"
# ## 图片与教师
#
# Fashion-MNIST（Xiao, Rasul & Vollgraf 2017）是比 MNIST 更难的姐妹数据集：十类衣物。我们的教师是一个有 30.9 万参数的残差网络
# （residual network；He et al. 2016），像第 1 篇那样从标签学习。

# %%
data = kerastl.data.fashion_mnist.load(seed=0)
train, test = data.train.take(examples), data.test.take(test_examples)
classes = data.task.target.names

teacher = kerastl.training.train(
    lambda: kerastl.models.resnet.medium(data.task),
    train,
    schedule=Schedule(epochs=teacher_epochs, batch_size=batch_size, peak_learning_rate=4e-3, weight_decay=1e-3),
    seed=0,
    progress=False,
).model


def score(model):
    return test.task.target.score(kerastl.training.predict(model, test.inputs), test.labels)


teacher_score = score(teacher)
print(f"{teacher.count_params():,} parameters, test accuracy {teacher_score.value:.4f}")

# %% [markdown]
# ## What a teacher knows beyond the label
#
# With the softmax at a *temperature* $T$, the logits $z$ become
#
# $$p_k(T) = \frac{e^{z_k / T}}{\sum_j e^{z_j / T}}$$
#
# At $T = 1$ a teacher that is sure says little more than the label does. At a higher temperature the small
# probabilities grow, and one sees what it takes for similar: Hinton calls it dark knowledge. At $T \to \infty$ all
# classes become equal, and nothing is left to learn.

# %% [markdown] lang="zh"
# ## 标签之外，教师还知道什么
#
# 在温度 $T$ 下，logits $z$ 经 softmax 变成
#
# $$p_k(T) = \frac{e^{z_k / T}}{\sum_j e^{z_j / T}}$$
#
# $T = 1$ 时，一个有把握的教师说的几乎不比标签多。温度升高，小概率变大，就能看出它觉得哪些类别相像：Hinton 称之为“暗知识”
# （dark knowledge）。当 $T \to \infty$ 时所有类别一样大，就没什么可学的了。

# %%
logits = kerastl.training.predict(teacher, train.inputs)
sure = tf.nn.softmax(logits).numpy().max(1)
row = int(np.argsort(np.abs(sure - 0.9))[0])  # an example of which it is fairly sure
figure, places = plt.subplots(1, 5, figsize=(11, 2.6), layout="constrained", sharey=True)
places[0].imshow(train.inputs[row][..., 0], cmap="gray_r", aspect="auto", extent=(0, 28, -0.5, 9.5))
places[0].set_title(f"label: {classes[train.labels[row]]}", fontsize=9)
places[0].set_xticks([])
places[0].set_yticks(range(10), classes, fontsize=8)
for place, temperature in zip(places[1:], (1, 2, 5, 20), strict=True):
    place.barh(range(10), tf.nn.softmax(logits[row] / temperature))
    place.set_xlim(0, 1)
    place.set_title(f"T = {temperature}", fontsize=9)
plt.show()

# %% [markdown]
# ## The loss, written out
#
# The student's softened answer $q(T)$ is compared with the teacher's $p(T)$ by the Kullback-Leibler divergence, the
# number of nats that are lost if one believes $q$ where $p$ is true. The labels keep a share of their own:
#
# $$L = w \; T^2 \sum_k p_k(T) \log \frac{p_k(T)}{q_k(T)} \; + \; (1 - w) \, \big(\!-\log q_y(1)\big)$$
#
# Why $T^2$? The gradient of the divergence by the student's logits is $(q_k(T) - p_k(T)) / T$, and at a high temperature
# the difference itself shrinks like $1/T$. Multiplied by $T^2$ it keeps its size, so that $w$ means the same at every
# temperature. Here is the first part in NumPy, beside the library's.

# %% [markdown] lang="zh"
# ## 写出损失
#
# 学生软化后的回答 $q(T)$ 与教师的 $p(T)$ 用 KL 散度（Kullback-Leibler divergence）比较：当真相是 $p$ 而你相信 $q$ 时，损失多少信息
# （单位 nat）。标签仍占自己的一份：
#
# $$L = w \; T^2 \sum_k p_k(T) \log \frac{p_k(T)}{q_k(T)} \; + \; (1 - w) \, \big(\!-\log q_y(1)\big)$$
#
# 为什么乘 $T^2$？散度对学生 logits 的梯度是 $(q_k(T) - p_k(T)) / T$，温度高时这个差本身又像 $1/T$ 那样缩小。乘上 $T^2$ 后大小不变，
# 于是 $w$ 在任何温度下含义相同。下面用 NumPy 写出第一部分，并与库的实现对照。


# %%
def softened(z, temperature):
    powers = np.exp((z - z.max(-1, keepdims=True)) / temperature)
    return powers / powers.sum(-1, keepdims=True)


def soft_loss(teacher_logits, student_logits, temperature):
    p, q = softened(teacher_logits, temperature), softened(student_logits, temperature)
    return temperature**2 * (p * np.log(p / q)).sum(-1)


some, others = logits[:50].astype(np.float64), np.random.default_rng(0).normal(size=(50, 10))
difference = 0.0
for temperature in (1.0, 2.0, 5.0, 20.0):
    student_logits = tf.constant(others)
    with tf.GradientTape() as tape:
        tape.watch(student_logits)
        theirs = kerastl.distil.losses.kl_divergence(some, student_logits, temperature=temperature)
    slope = np.abs(tape.gradient(theirs, student_logits)).mean()
    ours = soft_loss(some, others, temperature)
    difference = max(difference, np.abs(ours - theirs).max())
    print(f"T = {temperature:4}: mean loss {ours.mean():7.3f}, mean size of its gradient {slope:.3f}")
print(f"largest difference from the library: {difference:.1e}")

# %% [markdown]
# ## Few labels
#
# Now the case that pays. You have tens of thousands of pictures, but somebody labelled only sixty of each kind; and
# there is a teacher, which learnt elsewhere. Two students of the same 39,000 parameters, for the same number of steps:
#
# - **alone**: learns from the 600 labelled pictures, again and again;
# - **under the teacher**: sees the other pictures *without* their labels. Its target is what the teacher says of them.
#
# `hide_labels` takes the labels away for good, so that no code can look at them by mistake. The teacher answers each
# picture once, and its logits travel with the batches.

# %% [markdown] lang="zh"
# ## 标签很少时
#
# 先看最划算的情形：你有上万张图片，但每类只标了六十张；同时有一个在别处学成的教师。两个学生都是 3.9 万参数，训练步数相同：
#
# - **独自学习**：反复学习那 600 张有标签的图片；
# - **跟随教师**：看其余图片，**不看**标签，学习目标是教师对它们的回答。
#
# `hide_labels` 把标签彻底拿掉，任何代码都不可能误看。教师对每张图只回答一次，它的 logits 随批次一起送给学生。

# %%
schedule = Schedule(epochs=student_epochs, batch_size=batch_size, peak_learning_rate=4e-3, weight_decay=1e-3)


def student(split, teacher_logits=None, weight=1.0, temperature=2.0):
    """The small network, on labels or under a teacher: all else is the same."""
    distiller = kerastl.distil.distiller
    return kerastl.training.train(
        lambda: kerastl.models.resnet.build(data.task, widths=(16, 24, 40), stem_pool=2),
        kerastl.data.pipeline.training_batches(split, schedule=schedule, seed=0, answers=teacher_logits),
        seed=1,
        under=distiller.under_cached_logits(teacher_logits, temperature=temperature, weight=weight),
        keep="last",
        metrics=[],
        progress=False,
    )


few, rest = kerastl.data.splits.hide_labels(train, count=labels, seed=0)
print(len(few), "pictures with labels,", len(rest), "without; a hidden label is", int(rest.labels[0]))
few_alone = student(kerastl.data.splits.repeated(few, len(rest)))
few_taught = student(rest, kerastl.training.predict(teacher, rest.inputs), weight=1.0)
for name, one in (("alone, 600 labels", few_alone), ("under the teacher, no labels", few_taught)):
    found = score(one.model)
    print(f"{name:<30} test accuracy {found.value:.4f}, 95 % interval {found.low:.4f} to {found.high:.4f}")

# %% [markdown]
# The student that never saw a label is the better one by far. It is not magic: the teacher saw labels. What this shows
# is that *pictures* carry the knowledge over, and pictures without labels are cheap.
#
# ## Plenty of labels
#
# Now both students have all labels, and the second has the teacher besides, which counts for 0.7.

# %% [markdown] lang="zh"
# 从没见过标签的学生反而好得多。这不是魔法：教师见过标签。它说明知识是靠**图片**传递的，而没有标签的图片很便宜。
#
# ## 标签充足时
#
# 现在两个学生都有全部标签，第二个另外有教师，教师在损失中占 0.7。

# %%
all_alone = student(train)
all_taught = student(train, logits, weight=0.7)
rows = {
    "600 labels, alone": few_alone,
    "no labels, teacher": few_taught,
    "all labels, alone": all_alone,
    "all labels, teacher": all_taught,
}
scores = {name: score(one.model) for name, one in rows.items()}

figure, place = plt.subplots(figsize=(7, 2.4), layout="constrained")
for level, one in enumerate(scores.values()):
    place.plot([one.low, one.high], [level, level], linewidth=6, alpha=0.4, color="C0")
    place.plot(one.value, level, "o", color="C0")
place.axvline(teacher_score.value, color="C1", label="teacher")
place.set_yticks(range(4), scores)
place.invert_yaxis()
place.set_xlabel("test accuracy, 95 % interval")
place.legend()
plt.show()

# %% [markdown]
# Two things to read off. The student that saw no label is as good as the one that saw them all: what the teacher says of a
# picture is worth as much as its label. And the last two intervals overlap. With all labels, and after so few epochs, there is little left that a teacher could
# add: the labels say nearly everything already, and the small network has not yet come to the point where it learns
# pictures by heart. It takes patience (Beyer et al. 2022, https://arxiv.org/abs/2106.05237: the same view for both, and
# many more epochs) to gain half a point here. `kerastl run distil_logits` takes hours for it, over three seeds, with
# the student alone beside it. Without that control nobody knows what a teacher was worth.
#
# ## What you have found

# %% [markdown] lang="zh"
# 从图中可以读出两点。没见过任何标签的学生，与见过全部标签的学生一样好：教师对一张图片说的话，价值不亚于它的标签。另外，最后两个区间是
# 重叠的。有全部标签、训练轮数又这么少时，教师没有多少可以补充：标签已经几乎说出了一切，小网络也还没到死记硬背的地步。
# 要在这里多得半个百分点需要耐心（Beyer et al. 2022，https://arxiv.org/abs/2106.05237：师生看同一个视图，训练更多轮）。
# `kerastl run distil_logits` 为此要训练几个小时，用三个随机种子，并让“独自学习”的同一个学生作对照（control）。没有对照，
# 谁也不知道教师到底值多少。
#
# ## 你得到了什么

# %%
print(f"difference of our loss from the library's          {difference:.7f}")
print(f"test accuracy of the teacher                       {teacher_score.value:.4f}")
print(f"student alone, 600 labels                          {scores['600 labels, alone'].value:.4f}")
print(f"student under the teacher, pictures without labels {scores['no labels, teacher'].value:.4f}")
print(f"student alone, all labels                          {scores['all labels, alone'].value:.4f}")
print(f"student under the teacher, all labels              {scores['all labels, teacher'].value:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **The student gains nothing.** The usual case with many labels and few epochs. Train longer, or take a teacher that
#   is clearly better than the student alone.
# - **The temperature is too high.** All answers look alike. Between 1 and 4 is a good place to begin.
# - **The factor T² is missing.** Then a change of temperature changes the learning rate as well, and comparisons of
#   temperatures are worthless.
# - **Softmax twice.** Teacher and student have to give logits. A teacher that ends in a softmax has to lose it first.
# - **The teacher saw other pictures.** Its inputs have to be the student's: the same crop, the same flip, the same range
#   of pixels.
# - **The gain is one seed's.** Repeat it with three; `kerastl.verify.recovered_gap` gives the interval.
#
# ## What to try next
#
# - Give the student alone 60, 600 and 6,000 labels. Where does the teacher stop being worth it?
# - Try `temperature=1` and `temperature=8`.
# - Teach from features as well as from answers: `kerastl.distil.feature_losses`, and docs/distillation.md for what that gave.
# - `kerastl run distil_few_labels`: here even the teacher has 600 labels only, and learns the rest from pictures without.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **学生没有进步。** 标签多、轮数少时通常如此。训练久一点，或换一个明显强于“独自学习的学生”的教师。
# - **温度太高。** 所有回答看起来都一样。从 1 到 4 开始试。
# - **漏了 T² 因子。** 那样改变温度也就改变了学习率，不同温度之间的比较毫无意义。
# - **做了两次 softmax。** 教师和学生都要给出 logits；以 softmax 结尾的教师要先把它去掉。
# - **教师看到的图片不一样。** 它的输入必须与学生的一致：同样的裁剪、翻转和像素范围。
# - **进步只来自一个随机种子。** 用三个种子重复；`kerastl.verify.recovered_gap` 会给出区间。
#
# ## 接下来试什么
#
# - 让独自学习的学生分别有 60、600、6,000 个标签。教师从哪里开始不再值得？
# - 试试 `temperature=1` 和 `temperature=8`。
# - 除了回答，也从中间特征（features）学习：`kerastl.distil.feature_losses`；效果见 docs/distillation.md。
# - `kerastl run distil_few_labels`：在那里，连教师也只有 600 个标签，其余从没有标签的图片里学来（半监督学习，
#   semi-supervised learning）。
