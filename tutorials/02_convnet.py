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
# # 2. A ConvNet for colour pictures: overfitting seen, cured, and overcured
#
# Every network that is large enough learns its training pictures by heart. In this notebook you watch it happen, on small
# photographs, and then treat it in three ways: with changed pictures, with regularization, and with more data. One of the
# three will be an overdose, so that you have seen that as well. Before that you compute a convolution by hand, so that
# there is nothing mysterious about the word.
#
# You should have seen tutorial 1. It takes about 3 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | difference of our convolution from the library's | 0.0 | 0.00001 |
# | plain network: accuracy on its own training pictures | 0.80 | 0.95 |
# | plain network: test accuracy | 0.53 | 0.61 |
# | with augmentation: test accuracy | 0.53 | 0.62 |
# | with augmentation and regularization: test accuracy | 0.42 | 0.54 |
# | with four times as many pictures: test accuracy | 0.57 | 0.66 |

# %% [markdown] lang="zh"
# # 2. 彩色图片的卷积网络：看见过拟合，治好它，以及治过了头
#
# 只要网络足够大，它就会把训练图片背下来。这一篇里，你会在小照片上亲眼看到这件事发生，然后用三种办法治它：变换图片、正则化
# （regularization）、更多数据。其中一种会故意用药过量，让你也见识一下。在此之前，先亲手算一次卷积，让这个词不再神秘。
#
# 建议先看第 1 篇。在两个 CPU 核上大约需要 3 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 我们算的卷积与库的差 | 0.0 | 0.00001 |
# | 普通网络：在自己的训练图片上的准确率 | 0.80 | 0.95 |
# | 普通网络：测试准确率 | 0.53 | 0.61 |
# | 加数据增强：测试准确率 | 0.53 | 0.62 |
# | 加数据增强和正则化：测试准确率 | 0.42 | 0.54 |
# | 图片增加到四倍：测试准确率 | 0.57 | 0.66 |

# %% smoke={"examples": 100, "epochs": 2, "probes": 60, "batch_size": 20}
import keras
import matplotlib.pyplot as plt
import numpy as np

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.types import Schedule

examples = 4_000  # pictures to learn from
epochs = 12
probes = 2_000  # pictures to measure on
batch_size = 64

# %% [markdown]
# ## A colour picture is three pictures
#
# CIFAR-10 (Krizhevsky 2009) has ten kinds of things in photographs of 32 x 32 pixels. Each pixel has three numbers, for red,
# green and blue; these are the three *channels*.

# %% [markdown] lang="zh"
# ## 一张彩色图片是三张图片
#
# CIFAR-10（Krizhevsky 2009）是 32×32 像素的照片，十类事物。每个像素有三个数：红、绿、蓝，这就是三个通道（channel）。

# %%
data = kerastl.data.cifar10.load(seed=0)
classes = data.task.target.names
train, validation, test = data.train.take(examples), data.validation.take(probes), data.test.take(probes)
print("train", train.inputs.shape, "labels", ", ".join(classes))

picture = train.inputs[0]
figure, places = plt.subplots(1, 10, figsize=(11, 1.6), layout="constrained")
places[0].imshow(picture)
places[0].set_title(classes[train.labels[0]], fontsize=8)
for channel, colour in enumerate(("Reds_r", "Greens_r", "Blues_r")):
    places[channel + 1].imshow(picture[..., channel], cmap=colour)
for place, one, label in zip(places[4:], train.inputs[1:], train.labels[1:], strict=False):
    place.imshow(one)
    place.set_title(classes[label], fontsize=8)
for place in places:
    place.axis("off")
plt.show()

# %% [markdown]
# ## A convolution by hand
#
# A filter is a small block of weights, here 3 x 3 pixels by 3 channels. It is laid on every place of the picture, multiplied with
# what lies under it, and added up:
#
# $$y_{i,j} = \sum_{u=-1}^{1} \sum_{v=-1}^{1} \sum_{c} w_{u,v,c} \; x_{i+u,\,j+v,\,c}$$
#
# The result is a *feature map*: bright where the filter found what it looks for. Our filter looks for edges from dark on the
# left to bright on the right. The same weights are used everywhere, so an edge is found wherever it is, with 27 numbers.

# %% [markdown] lang="zh"
# ## 亲手算一次卷积
#
# 滤波器（filter）是一小块权重，这里是 3×3 像素、3 个通道。把它放到图片的每个位置，与下面的数相乘，再求和：
#
# $$y_{i,j} = \sum_{u=-1}^{1} \sum_{v=-1}^{1} \sum_{c} w_{u,v,c} \; x_{i+u,\,j+v,\,c}$$
#
# 结果叫特征图（feature map）：滤波器找到目标的地方就亮。我们这个滤波器找的是“左暗右亮”的边缘。同样的权重用在每个位置，所以边缘在哪里都
# 能找到，而且只用 27 个数。

# %%
x = np.pad(picture / 255.0, ((1, 1), (1, 1), (0, 0)))  # a margin of zeros, so that the map is as large as the picture
edge = np.repeat(np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)[..., None], 3, axis=-1)
ours = np.zeros((32, 32))
for i in range(32):
    for j in range(32):
        ours[i, j] = (edge * x[i : i + 3, j : j + 3]).sum()

layer = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)
layer.build((None, 32, 32, 3))
layer.set_weights([edge[..., None]])
theirs = keras.ops.convert_to_numpy(layer(picture[None] / 255.0))[0, ..., 0]
difference = np.abs(ours - theirs).max()
print(f"largest difference from Keras: {difference:.1e}")

figure, places = plt.subplots(1, 3, figsize=(7, 2.3), layout="constrained")
for place, (title, shown) in zip(
    places, {"picture": picture, "feature map": ours, "behind the ReLU": np.maximum(ours, 0)}.items(), strict=True
):
    place.imshow(shown, cmap="gray")
    place.set_title(title, fontsize=9)
    place.axis("off")
plt.show()

# %% [markdown]
# ## Overfitting, seen
#
# A network of two convolution blocks and a dense layer, and 4,000 photographs. It has more than half a million weights, a
# hundred for every picture. Watch the two curves: on the pictures that it learns from it becomes better and better; on others
# it stands still after a few epochs. From there on it learns by heart.

# %% [markdown] lang="zh"
# ## 看见过拟合
#
# 一个两层卷积模块加一个全连接层的网络，4,000 张照片。它有五十多万个权重，每张图片分到一百多个。看两条曲线：在它学习的图片上，它越来越好；
# 在别的图片上，几轮之后就停滞不前。从那里开始，它在死记硬背。这就是过拟合（overfitting）。


# %%
def trained(split, *, epochs, augmentation=None, **settings):
    schedule = Schedule(epochs=epochs, batch_size=batch_size, peak_learning_rate=2e-3, weight_decay=1e-4)
    made = kerastl.data.pipeline.training_batches(split, schedule=schedule, seed=0, augmentation=augmentation)
    return kerastl.training.train(
        lambda: kerastl.models.lenet_style.build(data.task, **settings),
        made,
        seed=0,
        validation=validation,
        keep="last",
        progress=False,
    )


def accuracy(model, split):
    return data.task.target.score(kerastl.training.predict(model, split.inputs), split.labels).value


def draw(runs):
    _, places = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    for place, metric in zip(places, ("loss", "accuracy"), strict=True):
        for number, (title, run) in enumerate(runs.items()):
            values, steps = run.curves.values, range(1, len(run.curves.values["loss"]) + 1)
            place.plot(steps, values[metric], "--", color=f"C{number}", label=f"{title}, training pictures")
            place.plot(steps, values[f"val_{metric}"], color=f"C{number}", label=f"{title}, validation")
        place.set_title(metric)
        place.set_xlabel("epoch")
    places[0].legend(fontsize=7)
    plt.show()


plain = trained(train, epochs=epochs)
own = accuracy(plain.model, train.take(probes))
print(f"{plain.model.count_params():,} weights")
print(f"accuracy on its own pictures {own:.3f}, on test pictures {accuracy(plain.model, test):.3f}")
draw({"plain": plain})

# %% [markdown]
# ## First cure: pictures that change
#
# A mirrored ship is a ship, and a ship three pixels further left is a ship. *Augmentation* changes every picture anew in every
# epoch, in ways that keep its label, so there is nothing to learn by heart. What is allowed depends on the task: a mirrored
# letter is another letter.

# %% [markdown] lang="zh"
# ## 第一种办法：不断变换的图片
#
# 左右翻转的船还是船，向左挪三个像素的船也还是船。数据增强（augmentation）在每一轮都重新变换每张图片，而标签不变，于是无从死记硬背。
# 什么变换是允许的取决于任务：翻转后的字母就是另一个字母了。

# %%
changes = Augmentation(horizontal_flip=True, translation=0.1)
layers = changes.build(0)
figure, places = plt.subplots(1, 8, figsize=(10, 1.4), layout="constrained")
for place in places:
    changed = layers(picture[None].astype("float32"), training=True)
    place.imshow(np.clip(keras.ops.convert_to_numpy(changed)[0], 0, 255).astype("uint8"))
    place.axis("off")
plt.show()
augmented = trained(train, epochs=epochs, augmentation=changes)
print(f"test accuracy {accuracy(augmented.model, test):.3f}")

# %% [markdown]
# ## Second cure, and an overdose: regularization
#
# *Dropout* (Srivastava et al. 2014) hides a random share of the numbers before and in the dense layer, so that none can lean on a
# single other. *Batch normalization* (Ioffe & Szegedy 2015) brings each channel to mean 0 and deviation 1 over a batch, which
# lets the network learn faster, and the noise of the batches regularizes as well. *Weight decay* pulls every weight a little
# towards zero in each step; it was there all the time. We add the first two on top of the changed pictures, all at once.

# %% [markdown] lang="zh"
# ## 第二种办法，以及用药过量：正则化
#
# 随机失活（dropout；Srivastava et al. 2014）在全连接层前后随机遮住一部得分，谁也不能只靠某一个同伴。批归一化（batch normalization；
# Ioffe & Szegedy 2015）在一批图片上把每个通道变成均值 0、标准差 1，网络因此学得更快，而批次带来的噪声也有正则化作用。权重衰减
# （weight decay）在每一步把每个权重向零拉近一点，它一直都在。我们在变换图片之外，把前两种一次全加上。

# %%
regularized = trained(train, epochs=epochs, augmentation=changes, dropout=0.4, normalize=True)
print(f"test accuracy {accuracy(regularized.model, test):.3f}")
draw({"plain": plain, "augmented": augmented, "and regularized": regularized})

# %% [markdown]
# Read the curves. With changed pictures (orange) training and validation stay together: the accuracy is about that of the
# plain network, but the loss is clearly lower, for it is wrong with less confidence, and it can go on learning where the
# plain one is at its end. With everything at once (green) even the *training* curve is poor. That is the opposite disease,
# *underfitting*: so much is hidden and changed that 4,000 pictures and twelve epochs do not suffice to learn. A cure has a
# dose. (A part of the gap is dropout itself: the training curve is measured with the numbers hidden.)
#
# ## Third cure: more pictures
#
# Four times as many photographs, a quarter of the epochs: the same number of steps, so that only the variety differs. Nothing
# helps as much as data, which is why tutorial 3 begins with a network that has seen a million pictures already.

# %% [markdown] lang="zh"
# 读一读曲线。只变换图片时（橙色），训练与验证走在一起：准确率与普通网络相近，但损失明显更低，因为它错得不那么自信；而且普通网络已经到头的
# 地方，它还能继续学。全部一起用时（绿色），连**训练**曲线都很差。这是相反的毛病：欠拟合（underfitting）。遮住和变换得太多，4,000 张图片、
# 十二轮不够它学会。药要讲剂量。（差距的一部分来自 dropout 本身：训练曲线是在遮住一部得分的情况下测的。）
#
# ## 第三种办法：更多图片
#
# 照片增加到四倍，轮数减到四分之一：步数一样，只有多样性不同。没有什么比数据更管用，所以第 3 篇从一个已经看过一百万张图片的网络开始。

# %%
more = trained(data.train.take(4 * examples), epochs=max(epochs // 4, 1), augmentation=changes, normalize=True)
scores = {
    "plain": accuracy(plain.model, test),
    "augmented": accuracy(augmented.model, test),
    "and regularized": accuracy(regularized.model, test),
    "four times the pictures": accuracy(more.model, test),
}
figure, place = plt.subplots(figsize=(7, 2), layout="constrained")
place.barh(range(len(scores)), scores.values())
place.set_yticks(range(len(scores)), scores)
place.invert_yaxis()
place.set_xlabel("test accuracy")
plt.show()

# %% [markdown]
# ## What you have found

# %% [markdown] lang="zh"
# ## 你得到了什么

# %%
print(f"difference of our convolution from the library's     {difference:.9f}")
print(f"plain network: accuracy on its own training pictures {own:.4f}")
print(f"plain network: test accuracy                         {scores['plain']:.4f}")
print(f"with augmentation: test accuracy                     {scores['augmented']:.4f}")
print(f"with augmentation and regularization: test accuracy  {scores['and regularized']:.4f}")
print(f"with four times as many pictures: test accuracy      {scores['four times the pictures']:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **Both curves are bad.** That is underfitting: the network is too small, or trained too briefly, or regularized too much,
#   as the green one above. Make it learn by heart first, then cure it.
# - **The cure seems to do nothing.** Twelve epochs are few for changed pictures. Cures pay in long trainings.
# - **Validation is better than training.** With dropout and augmentation that is as it should be: only training is made hard.
# - **Augmented pictures look wrong.** Always draw some, as above. A tilt that turns a 6 into a 9 does harm.
# - **The test accuracy was used to choose.** Then it is no test any more. Choose by validation.
#
# ## What to try next
#
# - `epochs = 40`, and `dropout=0.2`: at which dose does the green curve come out on top?
# - Other changes: `Augmentation(rotation=0.05, zoom=0.1, erasing=0.2)`.
# - A residual network: `kerastl.models.resnet.small(data.task)`.
# - `kerastl run cifar_convnet` trains on all pictures and exports; `kerastl run cifar_mobile` reaches 0.88 in 97 kilobytes.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **两条曲线都很差。** 这是欠拟合：网络太小、训练太短，或正则化太强，就像上面的绿线。先让它能背下来，再去治。
# - **办法好像不起作用。** 对变换过的图片来说，十二轮太少。这些办法在长时间训练中才见效。
# - **验证比训练还好。** 用了 dropout 和数据增强，这很正常：只有训练被故意变难了。
# - **变换后的图片看着不对。** 一定要像上面那样画几张看看。把 6 转成 9 的旋转只有害处。
# - **用测试准确率来做选择。** 那它就不再是测试了。请用验证集选择。
#
# ## 接下来试什么
#
# - `epochs = 40`，以及 `dropout=0.2`：剂量多大时绿线会胜出？
# - 别的变换：`Augmentation(rotation=0.05, zoom=0.1, erasing=0.2)`。
# - 残差网络：`kerastl.models.resnet.small(data.task)`。
# - `kerastl run cifar_convnet` 用全部图片训练并导出；`kerastl run cifar_mobile` 用 97 KB 的文件达到 0.88。
