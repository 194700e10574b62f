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
# # 6. Compression, looked at
#
# There are four ways to make a trained network small: store its numbers in fewer bits, set small weights to zero, let many
# weights share one value, or take whole channels out. People mix them up, because each is sold as "x times smaller". Here
# you apply each to the same network and look at three things: what becomes of its **weights**, of the **bytes** of its file
# (as it is and zipped), and of the **milliseconds** of an answer.
#
# You should have seen tutorial 1; tutorial 7 goes on to the phone. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | test accuracy of the float network | 0.87 | 0.905 |
# | float16: share of the bytes that is left | 0.5 | 0.56 |
# | 8-bit integers: share of the bytes that is left | 0.29 | 0.36 |
# | pruned: share of the bytes that is left | 0.99 | 1.01 |
# | pruned: share of the zipped bytes that is left | 0.33 | 0.45 |
# | clustered: share of the zipped bytes that is left | 0.29 | 0.42 |
# | channels: share of the multiply-adds that is left | 0.42 | 0.5 |
# | channels: share of the time that is left | 0.4 | 0.85 |

# %% [markdown] lang="zh"
# # 6. 看得见的模型压缩
#
# 把训练好的网络变小有四种办法：用更少的位存数，把小权重置零，让许多权重共用一个值，或者把整个通道拿掉。人们常把它们混为一谈，因为每一种
# 都号称“缩小几倍”。这一篇把四种办法用在同一个网络上，看三样东西：**权重**变成什么样，文件变成多少**字节**（原样，以及压缩成 zip 之后），一次推理要多少**毫秒**。
#
# 建议先看第 1 篇；第 7 篇接着讲怎样上手机。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 浮点网络的测试准确率 | 0.87 | 0.905 |
# | float16：剩下的字节比例 | 0.5 | 0.56 |
# | 8 位整数：剩下的字节比例 | 0.29 | 0.36 |
# | 剪枝：剩下的字节比例 | 0.99 | 1.01 |
# | 剪枝：压缩包剩下的字节比例 | 0.33 | 0.45 |
# | 聚类：压缩包剩下的字节比例 | 0.29 | 0.42 |
# | 通道：剩下的乘加次数比例 | 0.42 | 0.5 |
# | 通道：剩下的时间比例 | 0.4 | 0.85 |

# %% smoke={"examples": 400, "epochs": 1, "tune_epochs": 1, "probes": 60, "batch_size": 16}
import keras
import matplotlib.pyplot as plt
import numpy as np

import kerastl
from kerastl.types import Schedule

examples = 15_000  # pictures to learn from
epochs = 4
tune_epochs = 2  # after weights were removed
probes = 2_000  # test pictures that every file answers
batch_size = 64

# %% [markdown]
# ## The network that we start from
#
# A small residual network on Fashion-MNIST. `measure` keeps what we want to know of each file; kerastl reads it off the
# file itself.

# %% [markdown] lang="zh"
# ## 出发点：一个网络
#
# 一个在 Fashion-MNIST 上训练的小残差网络。`measure` 记下我们想知道的每个文件的情况，都是 kerastl 从文件本身读出来的。

# %%
data = kerastl.data.fashion_mnist.load(seed=0)
train, test = data.train.take(examples), data.test.take(probes)


def batches(epochs, rate):
    schedule = Schedule(epochs=epochs, batch_size=batch_size, peak_learning_rate=rate, weight_decay=1e-4)
    return kerastl.data.pipeline.training_batches(train, schedule=schedule, seed=0)


def trained(model, epochs, rate, **options):
    return kerastl.training.train(model, batches(epochs, rate), seed=0, keep="last", progress=False, **options).model


table = {}


def measure(name, file):
    facts = kerastl.verify.benchmark.inspect(file)
    answers = kerastl.verify.predict_tflite(file, test.inputs, kind=data.task.inputs)
    table[name] = {
        "accuracy": data.task.target.score(answers, test.labels).value,
        "bytes": facts.bytes,
        "zipped": facts.gzip_bytes,
        "ms": kerastl.verify.benchmark.latency(file).median,
    }
    row = table[name]
    print(
        f"{name:<14} accuracy {row['accuracy']:.3f}  bytes {row['bytes']:>8,}  zipped {row['zipped']:>8,}  ms {row['ms']:.3f}"
    )


network = trained(
    lambda: kerastl.models.resnet.build(data.task, widths=(16, 24, 40), stem_pool=2), epochs=epochs, rate=4e-3
)
float32 = kerastl.export.tflite.convert(network, data.task)
print(f"{network.count_params():,} parameters")
measure("float32", float32)

# %% [markdown]
# ## 1. Fewer bits: quantization
#
# A float32 weight has 32 bits, and hardly any of them matter. float16 takes half of them. 8-bit integers take a quarter:
# $r \approx s\,(q - z)$ with a scale for each channel (Jacob et al. 2018, https://arxiv.org/abs/1712.05877); *dynamic* keeps the
# activations in float, *static* makes everything integer and needs calibration pictures. 4-bit weights have sixteen values.

# %% [markdown] lang="zh"
# ## 1. 更少的位：量化
#
# 一个 float32 权重有 32 位，其中大多无关紧要。float16 只用一半。8 位整数只用四分之一：$r \approx s\,(q - z)$，每个通道一个缩放系数（scale）
# （Jacob et al. 2018，https://arxiv.org/abs/1712.05877）。“动态”（dynamic）让激活值保持浮点；“静态”（static）全部用整数，需要校准图片。
# 4 位权重只有十六个值。

# %%
ptq, kind = kerastl.compress.ptq, data.task.inputs
measure("float16", ptq.float16(float32, inputs=kind))
measure("dynamic_int8", ptq.dynamic_int8(float32, inputs=kind))
measure("static_int8", ptq.static_int8(float32, calibration=train.take(300).inputs, inputs=kind))
measure("int4_weights", ptq.int4_weights(float32, inputs=kind))

# %% [markdown]
# The bytes do not fall to a half, a quarter, an eighth: a small network's file also holds its graph, its scales and its
# labels, and these do not shrink. And the milliseconds follow the bits only where the processor has instructions for them.
#
# ## 2. Zeros: magnitude pruning
#
# Set the smallest weights to zero, and go on training with the others (Han et al. 2015; Zhu & Gupta 2017,
# https://arxiv.org/abs/1710.01878). The share of zeros rises while the network trains, fast in the beginning, where there is
# much to spare:
#
# $$\text{sparsity}(n) = S \left(1 - \left(1 - n / N\right)^3\right)$$

# %% [markdown] lang="zh"
# 字节数并没有降到一半、四分之一、八分之一：小网络的文件里还有计算图、缩放系数和标签，它们不会变小。而毫秒数只有在处理器有相应指令时才随位数
# 下降。
#
# ## 2. 零：幅值剪枝
#
# 把最小的权重置零，用其余的继续训练（magnitude pruning；Han et al. 2015；Zhu & Gupta 2017，https://arxiv.org/abs/1710.01878）。训练中零的
# 比例逐渐上升，开始时快，因为那时富余多（稀疏度，sparsity）：
#
# $$\text{sparsity}(n) = S \left(1 - \left(1 - n / N\right)^3\right)$$


# %%
def copied():
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


sparse = copied()
steps = int(batches(tune_epochs, 5e-4).cardinality()) * tune_epochs
pruning = kerastl.compress.prune.over_first_half(sparse, sparsity=0.75, steps=steps)
sparse = trained(sparse, epochs=tune_epochs, rate=5e-4, callbacks=[pruning])
print(f"zeros among the weights: {kerastl.compress.prune.achieved(sparse):.1%}")
measure("pruned", kerastl.export.tflite.convert(sparse, data.task))

# %% [markdown]
# Look at the bytes: nothing. A zero takes as many bits as any other number. Only the *zipped* file is smaller, which helps a
# download and nothing else, and no phone is faster for it.
#
# ## 3. Shared values: weight clustering
#
# Weights that lie near each other become one number, sixteen different ones in each kernel, found by k-means and then trained
# (Han, Mao & Dally 2016, https://arxiv.org/abs/1510.00149). Again the file is as large as before, and zips well, for there is little
# to tell.

# %% [markdown] lang="zh"
# 看字节数：没有变化。零和别的数占一样多的位。只有**压缩包**变小了，这只对下载有用，手机不会因此变快。
#
# ## 3. 共用的值：权重聚类
#
# 相近的权重合成一个数，每个卷积核只有十六个不同的值，由 k-means 找出，再继续训练（weight clustering；Han, Mao & Dally 2016，
# https://arxiv.org/abs/1510.00149）。文件还是一样大，但压缩得很好，因为其中的信息变少了。

# %%
clustered = kerastl.runs.clustered(network, batches(1, 1e-4), number_of_clusters=16, seed=0).model
measure("clustered", kerastl.export.tflite.convert(clustered, data.task))

name = "stage3_block1_conv2"
figure, places = plt.subplots(1, 3, figsize=(10, 2.4), layout="constrained", sharey=True)
for place, (title, one) in zip(
    places, {"as trained": network, "pruned": sparse, "clustered": clustered}.items(), strict=True
):
    values = one.get_layer(name).get_weights()[0].ravel()
    place.hist(values, bins=160)
    place.set_yscale("log")
    place.set_title(f"{title}: {len(np.unique(values)):,} values", fontsize=9)
plt.show()

# %% [markdown]
# ## 4. Whole channels: structured pruning
#
# The fourth way takes out whole filters, with everything that reads them, and what is left is an ordinary, narrower network:
# fewer bytes *and* fewer milliseconds, everywhere. Which channels are missed least? The first order of the Taylor series
# says by how much the loss changes if a channel becomes zero (Molchanov et al. 2017, https://arxiv.org/abs/1611.06440):
#
# $$\Delta L \approx \left| \frac{\partial L}{\partial a} \, a \right|$$
#
# Channels that are added up in a residual sum have to go together; `plan` finds these ties and says what it would take, before
# anything is done. Then the narrower network learns to do without, with the wider one as its teacher (tutorial 5).

# %% [markdown] lang="zh"
# ## 4. 整个通道：结构化剪枝
#
# 第四种办法把整个滤波器连同读取它的部分一起拿掉（structured pruning, channel pruning），剩下的就是一个普通的、更窄的网络：字节**和**
# 毫秒在任何设备上都变少。少了哪些通道影响最小？泰勒级数的一阶项告诉我们，把某个通道置零，损失会变化多少
# （Molchanov et al. 2017，https://arxiv.org/abs/1611.06440）：
#
# $$\Delta L \approx \left| \frac{\partial L}{\partial a} \, a \right|$$
#
# 在残差和里相加的通道必须一起拿掉；`plan` 会找出这些关联，并在动手之前说明会拿掉什么。然后，更窄的网络以原来的网络为教师，学会没有它们
# 也能工作（见第 5 篇）。

# %%
channels = kerastl.compress.channels
plan = channels.plan(network, keep_ratio=0.5, batches=batches(1, 1e-4).take(20))
print(f"multiply-adds {plan.multiply_adds.before:,} -> {plan.multiply_adds.after:,}")
print(f"parameters    {plan.parameters.before:,} -> {plan.parameters.after:,}")
narrow = trained(
    channels.apply(network, plan),
    epochs=tune_epochs,
    rate=2e-3,
    under=kerastl.distil.distiller.under_logits(network, temperature=2.0, weight=0.7),
)
measure("channels_50", kerastl.export.tflite.convert(narrow, data.task))

counts = {name: count for name, count in plan.channels.items() if "conv" in name or name == "stem"}
figure, place = plt.subplots(figsize=(9, 2.4), layout="constrained")
place.bar(range(len(counts)), [count.before for count in counts.values()], alpha=0.3, label="before")
place.bar(range(len(counts)), [count.after for count in counts.values()], label="after")
place.set_xticks(range(len(counts)), counts, rotation=20, fontsize=7)
place.set_ylabel("channels")
place.legend()
plt.show()

# %% [markdown]
# ## All of them, side by side
#
# The four do not exclude one another: a narrower network is stored in 8 bits as well as a wide one. The order that works is
# channels first, then training, then bits.

# %% [markdown] lang="zh"
# ## 全部放在一起比
#
# 四种办法并不互相排斥：更窄的网络同样可以存成 8 位。有效的顺序是：先通道，再训练，最后是位数。

# %%
narrow32 = kerastl.export.tflite.convert(narrow, data.task)
measure("channels+int8", ptq.static_int8(narrow32, calibration=train.take(300).inputs, inputs=kind))

figure, places = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", sharey=True)
for place, key in zip(places, ("bytes", "zipped", "accuracy"), strict=True):
    place.barh(range(len(table)), [row[key] for row in table.values()])
    place.set_yticks(range(len(table)), table, fontsize=8)
    place.set_title(key, fontsize=9)
places[0].invert_yaxis()
lowest = min(row["accuracy"] for row in table.values())
places[2].set_xlim(max(0, lowest - 0.05), 1)
plt.show()

# %% [markdown]
# | technique | weights | bytes | zipped | milliseconds |
# |---|---|---|---|---|
# | fewer bits | coarser | fall | fall | fall where the processor has the instructions |
# | zeros | most are 0 | stay | fall | stay |
# | shared values | few different ones | stay | fall | stay |
# | fewer channels | fewer | fall | fall | fall everywhere |
#
# ## What you have found

# %% [markdown] lang="zh"
# | 办法 | 权重 | 字节 | 压缩包 | 毫秒 |
# |---|---|---|---|---|
# | 更少的位 | 更粗 | 下降 | 下降 | 处理器有相应指令时下降 |
# | 置零 | 大多是 0 | 不变 | 下降 | 不变 |
# | 共用的值 | 只有几种 | 不变 | 下降 | 不变 |
# | 更少的通道 | 更少 | 下降 | 下降 | 处处下降 |
#
# ## 你得到了什么


# %%
def left(name, key):
    return table[name][key] / table["float32"][key]


kept = plan.multiply_adds.after / plan.multiply_adds.before
print(f"test accuracy of the float network                {table['float32']['accuracy']:.4f}")
print(f"float16: share of the bytes that is left          {left('float16', 'bytes'):.3f}")
print(f"8-bit integers: share of the bytes that is left   {left('static_int8', 'bytes'):.3f}")
print(f"pruned: share of the bytes that is left           {left('pruned', 'bytes'):.3f}")
print(f"pruned: share of the zipped bytes that is left    {left('pruned', 'zipped'):.3f}")
print(f"clustered: share of the zipped bytes that is left {left('clustered', 'zipped'):.3f}")
print(f"channels: share of the multiply-adds that is left {kept:.3f}")
print(f"channels: share of the time that is left          {left('channels_50', 'ms'):.3f}")

# %% [markdown]
# ## What goes wrong
#
# - **Pruning made nothing smaller.** Compare zipped files, or take channels.
# - **4 bits lose much.** Let the integers be chosen by the network's answers instead of by rounding: pass `calibration=` to
#   `int4_weights` (GPTQ, Frantar et al. 2023), as the recipes do.
# - **The 8-bit file is slower.** On some processors it is; measure there. Tutorial 7 says what to do when it is worse.
# - **Accuracy fell after channels were taken.** Half at once is much. Take a third, train, and take a third again.
# - **A technique refuses your model.** It says which layer and why. `kerastl run shrink_model` leaves it out and goes on.
#
# ## What to try next
#
# - Sparsity 0.9, and four clusters. Where does the accuracy break?
# - `keep_ratio=0.25` in one step, and in two with training between.
# - `kerastl run shrink_model --model my.keras --data FOLDER` does all of this with your own model and proves each file.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **剪枝之后什么也没变小。** 请比较压缩包，或者改为去掉通道。
# - **4 位损失太大。** 让整数由网络的回答来选，而不是就近取整：给 `int4_weights` 传入 `calibration=`（GPTQ，Frantar et al. 2023），
#   配方就是这样做的。
# - **8 位文件反而更慢。** 在某些处理器上确实如此；要在目标设备上测。变差了怎么办，见第 7 篇。
# - **去掉通道后准确率下降。** 一次去掉一半太多了。先去掉三分之一，训练，再去掉三分之一。
# - **某种办法拒绝你的模型。** 它会说明是哪一层、为什么。`kerastl run shrink_model` 会跳过它，继续往下做。
#
# ## 接下来试什么
#
# - 稀疏度 0.9，四个聚类。准确率在哪里崩溃？
# - 一步到 `keep_ratio=0.25`，与分两步、中间训练一次，比较一下。
# - `kerastl run shrink_model --model my.keras --data FOLDER` 用你自己的模型做完这一切，并逐个证明得到的文件。
