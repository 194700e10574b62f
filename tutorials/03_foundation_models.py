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
# # 3. Foundation models: what they have learnt, and how you build on it
#
# Nobody who has a hundred photographs trains a network from nothing. One takes a *foundation model* that has seen a million
# pictures already, and teaches it the rest. In this notebook you look at what such a model knows before you have shown it
# anything, put a small head on it, find out how few labels are enough, and fine-tune it without breaking what it knows.
#
# You should have seen tutorial 2. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | nearest neighbour by pixels: accuracy | 0.10 | 0.18 |
# | nearest neighbour by features: accuracy | 0.50 | 0.60 |
# | network from nothing: test accuracy | 0.36 | 0.58 |
# | linear probe: test accuracy | 0.56 | 0.66 |
# | linear probe, five labels of each class | 0.42 | 0.55 |
# | probe, then fine-tuning: test accuracy | 0.57 | 0.72 |

# %% [markdown] lang="zh"
# # 3. 基础模型：它学会了什么，怎样在它之上继续
#
# 手上只有一百张照片的人，不会从零训练网络。他会拿一个已经看过一百万张图片的基础模型（foundation model），再教它剩下的。这一篇里，你会先看看：
# 在你还什么都没给它看的时候，这样的模型已经知道些什么；然后给它装上一个小小的分类头，找出多少标签就够用；最后微调它，而不破坏它已有的知识。
#
# 建议先看第 2 篇。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 按像素找最近邻：准确率 | 0.10 | 0.18 |
# | 按特征找最近邻：准确率 | 0.50 | 0.60 |
# | 从零训练的网络：测试准确率 | 0.36 | 0.58 |
# | 线性探针：测试准确率 | 0.56 | 0.66 |
# | 线性探针，每类五个标签 | 0.42 | 0.55 |
# | 先探针，再微调：测试准确率 | 0.57 | 0.72 |

# %% smoke={"size": 96, "limit": 56, "tune_epochs": 1, "scratch_epochs": 1}
import matplotlib.pyplot as plt
import numpy as np

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.numbers import Numbers
from kerastl.types import Schedule

size = 96  # side of the pictures in pixels
limit = None  # training pictures; None takes all
tune_epochs = 3
scratch_epochs = 6

# %% [markdown]
# ## The pictures, and the model
#
# Fourteen kinds of fruit, photographed with a telephone in a shop (Klasson, Zhang & Kjellström 2019): a few hundred pictures to learn
# from. The model is MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381), trained on the 1.3 million photographs of
# ImageNet. Its last layer, which names the thousand classes of ImageNet, is cut off. What is left, the *backbone*, turns a
# picture into 1,280 numbers: its *features*.

# %% [markdown] lang="zh"
# ## 图片与模型
#
# 十四种水果，用手机在商店里拍的（Klasson, Zhang & Kjellström 2019）：只有几百张可供学习。模型是 MobileNetV2（Sandler et al. 2018，
# https://arxiv.org/abs/1801.04381），在 ImageNet 的 130 万张照片上训练过。它的最后一层负责说出 ImageNet 的一千个类别，被去掉了；剩下的叫
# 骨干网络（backbone），它把一张图片变成 1,280 个数，也就是特征（features）。

# %%
data = kerastl.data.groceries.load(size=(size, size), seed=0, limit=limit)
train, test, target = data.train, data.test, data.task.target
kerastl.training.set_seed(0)
backbone = kerastl.models.pretrained.load("mobilenet_v2", image_size=size)
classifier = kerastl.models.pretrained.backbone.with_head(backbone, data.task)
extractor = kerastl.training.transfer.feature_extractor(classifier)
print(f"{len(train)} pictures to learn from, {len(test)} to test; {extractor.count_params():,} weights in the backbone")


def features(split, **options):
    batches = kerastl.data.pipeline.batches(split, batch_size=64, **options)
    kind = Numbers(extractor.output_shape[1:])
    return kerastl.training.transfer.extract_features(extractor, batches, features_kind=kind, name=split.name)


known, held, asked = features(train), features(data.validation), features(test)
print("features", known.inputs.shape)

# %% [markdown]
# ## What it knows already
#
# Two pictures whose features point in nearly the same direction look alike *to the model*. Below, the pictures of the training split
# that come nearest to three test pictures: once compared pixel by pixel, once by features. Nothing has been trained yet.

# %% [markdown] lang="zh"
# ## 它已经知道什么
#
# 如果两张图片的特征指向几乎同一个方向，它们**在模型看来**就很像。下面是与三张测试图片最接近的训练图片：一次逐像素比较，一次按特征比较。
# 到这里还什么都没有训练。


# %%
def directions(rows):
    rows = np.asarray(rows, np.float32).reshape(len(rows), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


alike = {
    "pixels": directions(test.inputs[:]) @ directions(train.inputs[:]).T,
    "features": directions(asked.inputs) @ directions(known.inputs).T,
}
nearest = {name: float((train.labels[table.argmax(1)] == test.labels).mean()) for name, table in alike.items()}
for name, value in nearest.items():
    print(f"the nearest picture by {name} is of the same kind: {value:.3f}")

figure, places = plt.subplots(3, 7, figsize=(8, 3.6), dpi=60, layout="constrained")
for row, line in enumerate(places):
    line[0].imshow(test.inputs[row])
    line[0].set_title(target.names[test.labels[row]], fontsize=7, fontweight="bold")
    for start, (name, table) in zip((1, 4), alike.items(), strict=True):
        for place, found in zip(line[start : start + 3], np.argsort(-table[row]), strict=False):
            place.imshow(train.inputs[int(found)])
            place.set_title(f"{name}: {target.names[train.labels[found]]}", fontsize=6)
for place in places.flat:
    place.axis("off")
plt.show()

# %% [markdown]
# By pixels a picture's neighbours share its colours and its light. By features they share what is in them, mostly. To see it for all pictures
# at once, we draw the two directions in which the features vary most (*principal component analysis*).

# %% [markdown] lang="zh"
# 按像素，一张图片的邻居只是颜色和光线相同；按特征，邻居里的东西大多相同。要一眼看到所有图片，就画出特征变化最大的两个方向（主成分分析，
# principal component analysis, PCA）。

# %%
centred = known.inputs - known.inputs.mean(0)
axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
figure, place = plt.subplots(figsize=(7, 4), layout="constrained")
for label in (3, 8, 10, 13):
    points = centred[known.labels == label] @ axes.T
    place.scatter(*points.T, s=14, label=target.names[label])
place.legend(fontsize=8)
place.set_title("features of four kinds of fruit, seen from where they vary most", fontsize=9)
plt.show()

# %% [markdown]
# ## Feature extraction and the linear probe
#
# The simplest way to build on a backbone: leave it *frozen*, compute every picture's features once, and train one layer on them. This
# *linear probe* has fourteen times 1,280 weights and is trained in seconds. Beside it stands a network from nothing, on the
# same pictures.

# %% [markdown] lang="zh"
# ## 特征提取与线性探针
#
# 在骨干网络之上最简单的做法：把它**冻结**（frozen），每张图片的特征只算一次，然后在特征上训练一层。这个线性探针（linear probe）只有
# 14×1,280 个权重，几秒钟就训练好。旁边是一个从零开始的网络，用同样的图片。


# %%
def accuracy(model, split):
    return target.score(kerastl.training.predict(model, split.inputs[:]), split.labels).value


def probe(split, seed=0):
    schedule = Schedule(epochs=30, batch_size=min(32, len(split)), peak_learning_rate=3e-3, weight_decay=1e-2)
    head = kerastl.training.transfer.head
    return kerastl.training.train(
        lambda: head(split.task, split.inputs.shape[1], dropout=0.2),
        split,
        schedule=schedule,
        seed=seed,
        keep="last",
        progress=False,
    ).model


probe_score = accuracy(probe(known), asked)
scratch = kerastl.training.train(
    lambda: kerastl.models.lenet_style.build(data.task, filters=(16, 32, 64), normalize=True),
    train,
    schedule=Schedule(epochs=scratch_epochs, batch_size=32, peak_learning_rate=2e-3),
    seed=0,
    keep="last",
    progress=False,
)
scratch_score = accuracy(scratch.model, test)
print(f"from nothing {scratch_score:.3f}, linear probe {probe_score:.3f}")

# %% [markdown]
# ## How few labels are enough?
#
# The dashed line is the network from nothing, with all labels. Where the curve crosses it, the labels of a lunch break are worth
# as much as a week of labelling.

# %% [markdown] lang="zh"
# ## 多少标签就够了？
#
# 虚线是用全部标签从零训练的网络。曲线与它相交的地方，午休时标的几个标签就顶得上一星期的标注。

# %%
counts, scores = [1, 5, 20], []
for count in counts:
    rows = [kerastl.data.splits.per_class(known.labels, count=count, seed=seed) for seed in (0, 1)]
    scores.append([accuracy(probe(known.subset(one)), asked) for one in rows])
    print(f"{count:3d} of each class: {np.mean(scores[-1]):.3f}")

figure, place = plt.subplots(figsize=(6, 2.6), layout="constrained")
place.plot(counts, [np.mean(one) for one in scores], "o-", label="linear probe, mean of two draws")
place.axhline(scratch_score, color="C1", linestyle="--", label="network from nothing, all labels")
place.set_xscale("log")
place.set_xticks(counts, counts)
place.set_xlabel("labels of each class")
place.set_ylabel("test accuracy")
place.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Fine-tuning, and why in this order
#
# Now the backbone may learn as well. But a fresh head is random, and its first gradients are noise that goes through the
# whole backbone and distorts what it knows. So the head comes first, then everything: *LP-FT*, linear probing and then
# fine-tuning (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Early layers see edges and colours, which need no
# change; so each group of layers learns at a share of the rate of the one behind it:
#
# $$\eta_l = \eta \cdot d^{\,L - l}, \qquad d = 0.8$$
#
# And the statistics of the batch normalizations stay as they came: batches of 32 pictures know less of the world. We give it
# three epochs; the recipe plans many more for so few pictures, at 224 pixels, and comes to 0.84.

# %% [markdown] lang="zh"
# ## 微调，以及为什么是这个顺序
#
# 现在让骨干网络也学习。但新的分类头是随机的，它最初的梯度只是噪声，会穿过整个骨干网络，扭曲它已有的知识。所以先训练头，再训练全部：LP-FT，
# 即先线性探针再微调（linear probing, then fine-tuning；Kumar et al. 2022，https://arxiv.org/abs/2202.10054）。靠前的层看的是边缘和颜色，
# 不需要改变；所以每组层的学习率是后一组的一个比例：
#
# $$\eta_l = \eta \cdot d^{\,L - l}, \qquad d = 0.8$$
#
# 批归一化（batch normalization）的统计量保持原样：一批只有 32 张图片，对世界了解得太少。这里只训练三轮；配方会为这么少的图片安排多得多的轮数，
# 用 224 像素，达到 0.84。

# %%
head_first = kerastl.training.lp_ft.linear_probe(
    classifier,
    known,
    schedule=Schedule(epochs=30, batch_size=32, peak_learning_rate=3e-3, weight_decay=1e-2),
    seed=0,
    dropout=0.2,
    progress=False,
).model
changes = Augmentation(rotation=0.04, translation=0.1, zoom=0.2, horizontal_flip=True, fill="reflect")
batches = kerastl.data.pipeline.training_batches(
    train, schedule=Schedule(epochs=1, batch_size=32), seed=0, augmentation=changes
)
tuned = kerastl.training.lp_ft.fine_tune(
    head_first,
    batches,
    schedule=Schedule(epochs=tune_epochs, batch_size=32, peak_learning_rate=2e-4, weight_decay=1e-2),
    groups=[[one.name for one in group.layers] for group in kerastl.models.pretrained.backbone.groups(head_first)],
    layer_decay=0.8,
    progress=False,
)
tuned_score = accuracy(tuned.model, test)
print(f"linear probe {probe_score:.3f}, then fine-tuned {tuned_score:.3f}")

# %% [markdown]
# ## What you have found

# %% [markdown] lang="zh"
# ## 你得到了什么

# %%
print(f"nearest neighbour by pixels: accuracy   {nearest['pixels']:.4f}")
print(f"nearest neighbour by features: accuracy {nearest['features']:.4f}")
print(f"network from nothing: test accuracy     {scratch_score:.4f}")
print(f"linear probe: test accuracy             {probe_score:.4f}")
print(f"linear probe, five labels of each class {np.mean(scores[1]):.4f}")
print(f"probe, then fine-tuning: test accuracy  {tuned_score:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **Everything is as bad as guessing.** The pixels have another range than the backbone was trained on. kerastl's backbones scale
#   inside themselves; elsewhere each has a rule of its own.
# - **Fine-tuning made it worse.** The rate was too high, or the head was random. Probe first; then a rate of 2e-4 or less.
# - **The score jumps from draw to draw.** With one or two labels a class it depends on which ones. Draw several times.
# - **The pictures are nothing like photographs.** X-rays, spectrograms, maps: fine-tune more, and look at `pretrain_images`.
#
# ## What to try next
#
# - `size = 224`: the resolution the model was trained for; more accurate, and five times slower.
# - `kerastl.models.pretrained.load("efficientnet_lite0")`, the backbone that `image_classifier` takes.
# - `kerastl run image_classifier` does all of this, with a verified file at the end; `image_few_labels` for ten labels a class.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **结果和瞎猜差不多。** 像素范围与骨干网络训练时不同。kerastl 的骨干网络在内部自己缩放；别处每个模型各有规矩。
# - **微调反而变差了。** 学习率太高，或者分类头是随机的。先做探针，再用 2e-4 或更小的学习率。
# - **每抽一次标签，得分就跳一次。** 每类只有一两个标签时，取决于抽到哪几张。多抽几次。
# - **图片根本不像照片。** X 光片、频谱图、地图：需要更多微调，也可以看看 `pretrain_images`。
#
# ## 接下来试什么
#
# - `size = 224`：模型训练时的分辨率；更准，也慢五倍。
# - `kerastl.models.pretrained.load("efficientnet_lite0")`，`image_classifier` 用的骨干网络。
# - `kerastl run image_classifier` 会做完这一切，最后给出经过验证的文件；每类十个标签用 `image_few_labels`。
