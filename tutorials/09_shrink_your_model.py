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
# # 9. Your own Keras model, made small
#
# You have a model: yours, from your own code, a `.keras` file. You want it on a phone, and you have no wish to learn seven
# techniques of compression first. `shrink_model` tries them all, one after the other, measures every file by running it,
# proves each against your model, and hands you the ones that no other beats. Here you see what it does with a model that
# knows nothing of kerastl, and how to read what comes out.
#
# Tutorial 6 explains the techniques, tutorial 7 the proof. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | test accuracy of your model | 0.75 | 0.83 |
# | files that were made and proven | 20 | 30 |
# | test accuracy of the chosen file | 0.73 | 0.82 |
# | times smaller than the float file | 5 | 14 |

# %% [markdown] lang="zh"
# # 9. 把你自己的 Keras 模型变小
#
# 你有一个模型：自己的代码训练出来的 `.keras` 文件。你想把它放到手机上，又不想先学会七种压缩技术。`shrink_model` 会逐一尝试，实际运行每个
# 文件来测量，逐个证明文件与你的模型一致，然后把没有被其他文件全面超过的那些交给你。这一篇用一个与 kerastl 毫无关系的模型，展示它做了什么，
# 以及怎样读懂结果。
#
# 技术的讲解见第 6 篇，证明见第 7 篇。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 你的模型的测试准确率 | 0.75 | 0.83 |
# | 生成并通过证明的文件数 | 20 | 30 |
# | 选中文件的测试准确率 | 0.73 | 0.82 |
# | 比浮点文件小多少倍 | 5 | 14 |

# %% smoke={"examples": 300, "epochs": 1}
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

import kerastl

examples = 8_000
epochs = 10

# %% [markdown]
# ## A model of your own
#
# Plain Keras, as anybody writes it: a functional model, `compile`, `fit`, `save`. It takes pixels from 0 to 1 and ends in a
# softmax. It knows nothing of kerastl, and kerastl is told nothing of it.

# %% [markdown] lang="zh"
# ## 一个你自己的模型
#
# 普通的 Keras，人人都这么写：函数式模型，`compile`、`fit`、`save`。它接受 0 到 1 的像素，以 softmax 结尾。它不知道 kerastl，我们也不告诉
# kerastl 任何关于它的事。

# %%
data = kerastl.data.fashion_mnist.load(seed=0)
inputs, labels = data.train.inputs[:examples] / np.float32(255), data.train.labels[:examples]

keras.utils.set_random_seed(0)
given = keras.Input((28, 28, 1))
x = layers.Conv2D(24, 3, padding="same", activation="relu", name="first")(given)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(48, 3, padding="same", activation="relu", name="second")(x)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(48, 3, padding="same", activation="relu", name="third")(x)
x = layers.GlobalAveragePooling2D()(x)
model = keras.Model(given, layers.Dense(10, activation="softmax", name="classes")(x))
model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(inputs, labels, epochs=epochs, batch_size=64, verbose=0)
model.save("my.keras")
own = model.evaluate(data.test.inputs / np.float32(255), data.test.labels, verbose=0, return_dict=True)["accuracy"]
print(f"{model.count_params():,} parameters, test accuracy {own:.4f}")

# %% [markdown]
# ## One call
#
# The model's file and the data that it is for; that is all it needs. It finds out by itself which range of pixels the model
# takes, by trying which one it answers rightly to. Then it stores the weights in 16, 8 and 4 bits, and in as many as each
# kernel needs; removes half of the multiply-adds as whole channels; sets three quarters of the weights to zero; lets them
# share sixteen values; and trains the model to live with integers. Each time your own model is the teacher (Hinton et al.
# 2015). We keep it short: few pictures, one epoch each. The defaults take a quarter of an hour.

# %% [markdown] lang="zh"
# ## 一次调用
#
# 模型文件，加上它所针对的数据，就够了。它会自己找出模型接受的像素范围：试一试在哪个范围下模型答得对。然后，它把权重存成 16、8、4 位，以及
# 每个卷积核各自需要的位数；以整个通道的形式去掉一半乘加运算；把四分之三的权重置零；让权重共用十六个值；并训练模型适应整数。每一次，教师都是
# 你自己的模型（Hinton et al. 2015）。这里从简：图片少，各训练一轮。默认设置要一刻钟。

# %%
run = kerastl.run(
    "shrink_model",
    model="my.keras",
    data="fashion_mnist",
    max_train_examples=examples,
    keep_ratios=(0.5,),
    rounding=0,
    tune={"epochs": 1},
    accept={"max_score_drop": 0.02, "max_quantization_drop": 0.03, "min_agreement": 0.9},
)
run

# %% [markdown]
# ## Reading the result
#
# Two questions decide: how many bytes, and how much accuracy. A file that another one beats in size, latency and score
# together is of no use; the others are the *Pareto front*, and one chooses among them. The star is what the rule chose: the
# fastest among the smallest that lose no more than you allowed.

# %% [markdown] lang="zh"
# ## 读懂结果
#
# 两个问题决定一切：多少字节，多少准确率。如果一个文件在大小、延迟（latency）和得分上都输给另一个，它就没有用处；剩下的就是帕累托前沿
# （Pareto front），从中选择。五角星是规则选出的那个：在损失不超过你所允许的文件里，最小的几个中最快的。

# %%
rows = {row["name"]: row for row in run.report["variants"]}
figure, place = plt.subplots(figsize=(9, 4), layout="constrained")
others = [row for name, row in rows.items() if name not in run.report["frontier"]]
place.scatter(
    [row["bytes"] / 1000 for row in others], [row["score"] for row in others], color="0.7", label="beaten by another"
)
for name in run.report["frontier"]:
    place.scatter(rows[name]["bytes"] / 1000, rows[name]["score"], s=50, label=name)
chosen = rows[run.report["chosen"]]
place.scatter(chosen["bytes"] / 1000, chosen["score"], marker="*", s=260, color="C3", label="chosen")
place.set_xscale("log")
place.set_xlabel("kilobytes")
place.set_ylabel("test accuracy of the file")
place.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
print(run.report["why"])

# %% [markdown]
# What could not be done, or did not hold, is said as well, with the flag that would let it pass:

# %% [markdown] lang="zh"
# 做不到的，或没有通过检查的，也会说明，并指出哪个选项可以放行：

# %%
for name, why in run.report["skipped"].items():
    print(f"- {name}: {why[:160]}")
print("times, each file on one thread of this machine:")
for name in run.report["frontier"]:
    print(f"  {name:<32} {rows[name]['latency_ms']['median']:.3f} ms")

# %% [markdown]
# ## Without labels
#
# Forecasts, embeddings, pictures out, several inputs: for these you need no labels. Give inputs alone (an `.npy` file, or a
# folder of pictures in no classes), and the score is the *agreement* with your model's own answers:
#
# ```python
# kerastl.run("shrink_model", model="my.keras", data="inputs.npy")
# ```
#
# ## What you have found

# %% [markdown] lang="zh"
# ## 没有标签时
#
# 预测、嵌入向量（embeddings）、输出图片、多个输入：这些都不需要标签。只给输入（一个 `.npy` 文件，或一个不分类别的图片文件夹），得分就是与你
# 的模型自己回答的一致率（agreement）：
#
# ```python
# kerastl.run("shrink_model", model="my.keras", data="inputs.npy")
# ```
#
# ## 你得到了什么

# %%
print(f"test accuracy of your model       {own:.4f}")
print(f"files that were made and proven   {len(rows)}")
print(f"test accuracy of the chosen file  {chosen['score']:.4f}")
print(f"times smaller than the float file {rows['float32']['bytes'] / chosen['bytes']:.2f}")

# %% [markdown]
# ## What goes wrong
#
# - **The range of pixels is in doubt.** Two fit, or none; the error names them. Say it: `pixels="0..1"`.
# - **The classes are in another order.** The data's classes have to come in the order of the model's answers; a text file with
#   one name a line, `class_names="names.txt"`, says it.
# - **Your model has a layer of your own.** It can be stored in fewer bits; what has to be trained again may be refused, and the
#   sentence names the layer.
# - **The chosen file is not the one you want.** `accept={"prefer": "fastest"}`, or copy another from `variants/`.
#
# ## What to try next
#
# - `keep_ratios=(0.7, 0.5, 0.35)` and `tune={"epochs": 3}`, the defaults.
# - An old `.h5` file of Keras 2: it is repaired and opened.
# - `run.report`, and the page `report.html` beside it: every layer, every check.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **像素范围拿不准。** 有两个都合适，或一个都不合适，错误信息会列出来。直接说明：`pixels="0..1"`。
# - **类别顺序不同。** 数据的类别顺序必须与模型输出一致；用一个每行一个名字的文本文件说明：`class_names="names.txt"`。
# - **模型里有你自己写的层。** 它可以存成更少的位；需要重新训练的办法可能被拒绝，错误信息会指出是哪一层。
# - **选中的不是你想要的。** 用 `accept={"prefer": "fastest"}`，或从 `variants/` 里复制另一个。
#
# ## 接下来试什么
#
# - `keep_ratios=(0.7, 0.5, 0.35)` 和 `tune={"epochs": 3}`，即默认设置。
# - 一个 Keras 2 的旧 `.h5` 文件：它会被修复并打开。
# - `run.report`，以及旁边的网页 `report.html`：每一层，每一项检查。
