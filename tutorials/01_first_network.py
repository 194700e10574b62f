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
# # 1. Your first network
#
# Seventy thousand handwritten digits, and a program that nobody told what a 7 looks like. In this notebook you see what
# a single neuron computes, write out backpropagation by hand and check it, and then train a convolutional network that
# passes the result quoted in the introductory textbooks: 0.9870 of the test digits read right.
#
# You need to know a little Python and what a derivative is. It takes about 2 minutes on two processor cores; a GPU is
# not needed. What you will find:
#
# | result | from | to |
# |---|---|---|
# | relative error of the gradient that we write out | 0.0 | 0.000001 |
# | test accuracy, one hidden layer, our own backpropagation | 0.90 | 0.95 |
# | test accuracy, one hidden layer, trained by the library | 0.945 | 0.965 |
# | test accuracy, convolutional network | 0.988 | 0.9945 |

# %% [markdown] lang="zh"
# # 1. 你的第一个神经网络
#
# 七万个手写数字，和一个没有人告诉过它“7 长什么样”的程序。在这一篇里，你会看到单个神经元（neuron）究竟在计算什么，亲手写出反向传播
# （backpropagation）并验证它，最后训练一个卷积神经网络（convolutional neural network, CNN），超过入门教科书里常引用的成绩：
# 测试集上 0.9870 的准确率。
#
# 你只需要会一点 Python，知道什么是导数。在两个 CPU 核上大约需要 2 分钟，不需要 GPU。你将得到的结果：
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 手写梯度的相对误差 | 0.0 | 0.000001 |
# | 测试准确率：一个隐藏层，自己写的反向传播 | 0.90 | 0.95 |
# | 测试准确率：一个隐藏层，由库来训练 | 0.945 | 0.965 |
# | 测试准确率：卷积神经网络 | 0.988 | 0.9945 |

# %% smoke={"examples": 600, "epochs": 1, "test_examples": 200}
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import kerastl
from kerastl.types import Schedule

examples = 55_000  # pictures to learn from
test_examples = 10_000
epochs = 3

# %% [markdown]
# ## The data
#
# MNIST (LeCun, Bottou, Bengio & Haffner 1998) comes in three parts, which are never mixed:
#
# - from **train** the network learns;
# - by **validation** we choose: which network, how many epochs, when to stop;
# - **test** is looked at once, in the end. Whoever chooses by the test split reports a number that is too good.

# %% [markdown] lang="zh"
# ## 数据
#
# MNIST（LeCun, Bottou, Bengio & Haffner 1998）分成三部分，三者从不混用：
#
# - **训练集（train）**：网络从中学习；
# - **验证集（validation）**：用来做选择，比如选哪个网络、训练多少轮（epoch）、何时停止；
# - **测试集（test）**：只在最后看一次。拿测试集来做选择的人，报告的成绩一定偏高。

# %%
data = kerastl.data.mnist.load(seed=0)
train, validation, test = data.train.take(examples), data.validation, data.test.take(test_examples)
print("train", train.inputs.shape, "validation", validation.inputs.shape, "test", test.inputs.shape)
print("a pixel is a", train.inputs.dtype, "from", train.inputs.min(), "to", train.inputs.max())

figure, places = plt.subplots(2, 10, figsize=(9, 2), layout="constrained")
for place, picture, label in zip(places.flat, train.inputs, train.labels, strict=False):
    place.imshow(picture[..., 0], cmap="gray_r")
    place.set_title(int(label), fontsize=9)
    place.axis("off")
plt.show()

# %% [markdown]
# ## What one neuron computes
#
# A picture is a list of 784 numbers $x_1 \dots x_{784}$. A neuron has a weight for each of them and one more number, the
# bias, and it adds up:
#
# $$z = w_1 x_1 + w_2 x_2 + \dots + w_{784} x_{784} + b = w \cdot x + b, \qquad a = \max(0, z)$$
#
# The second step is the *activation*, here the rectifier (ReLU). That is all. The weights can be drawn as a picture, too:
# a template that is laid over the digit. Ink on positive weights speaks for, ink on negative weights against. Let us
# make the simplest template there is: the mean of all threes minus the mean of all other digits.

# %% [markdown] lang="zh"
# ## 一个神经元在计算什么
#
# 一张图片就是 784 个数 $x_1 \dots x_{784}$。神经元给每个数一个权重（weight），再加上一个偏置（bias），然后求和：
#
# $$z = w_1 x_1 + w_2 x_2 + \dots + w_{784} x_{784} + b = w \cdot x + b, \qquad a = \max(0, z)$$
#
# 第二步叫激活函数（activation），这里用的是线性整流（ReLU）。仅此而已。权重本身也可以画成一张图：它是盖在数字上的一块模板。
# 墨迹落在正权重上是“赞成”，落在负权重上是“反对”。我们来做一块最简单的模板：所有 3 的平均，减去其余数字的平均。

# %%
pixels = train.inputs.reshape(len(train), 784) / 255.0
threes = train.labels == 3
template = pixels[threes].mean(0) - pixels[~threes].mean(0)
z = pixels @ template

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
shown = left.imshow(template.reshape(28, 28), cmap="RdBu_r", vmin=-0.5, vmax=0.5)
figure.colorbar(shown, ax=left)
left.set_title("the weights, as a picture")
right.hist(z[~threes], bins=60, density=True, alpha=0.6, label="other digits")
right.hist(z[threes], bins=60, density=True, alpha=0.6, label="threes")
right.set_xlabel("z")
right.legend()
plt.show()

# %% [markdown]
# Threes lie further right than the others, but the two hills overlap: one template is not enough. A network takes many
# neurons, a layer of them, and lets the next layer look at what they say. And it does not compute its templates by a
# rule of ours; it *learns* them.
#
# ## From ten numbers to a loss
#
# The last layer has ten neurons without a rectifier, one a digit. Their outputs $z_0 \dots z_9$, the *logits*, become
# probabilities by the softmax, and the *cross-entropy* says how surprised the network is by the right answer $y$:
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad L = -\log p_y$$
#
# A network that knows nothing gives each digit a tenth, and its loss is $\log 10 \approx 2.30$. Remember this number: a
# training that stays there has learnt nothing.
#
# ## Backpropagation, written out
#
# To learn is to ask of every weight: if you were a little larger, would the loss rise or fall? That is its derivative,
# and all derivatives together are the *gradient*. Backpropagation (Rumelhart, Hinton & Williams 1986) is the chain rule,
# read from the loss back to the first layer, so that nothing is computed twice. For one hidden layer, a batch of $n$
# pictures $X$ and labels $Y$ (one row with a single 1 each):
#
# | forward | backward |
# |---|---|
# | $Z_1 = X W_1 + b_1$ | $G_2 = (P - Y) / n$ |
# | $A = \max(0, Z_1)$ | $\partial L/\partial W_2 = A^\top G_2$ |
# | $Z_2 = A W_2 + b_2$ | $G_1 = (G_2 W_2^\top) \odot [Z_1 > 0]$ |
# | $P = \mathrm{softmax}(Z_2)$ | $\partial L/\partial W_1 = X^\top G_1$ |
#
# The first line on the right is the pleasant surprise of softmax with cross-entropy: the gradient of the logits is what
# was said minus what should have been said.

# %% [markdown] lang="zh"
# 3 的分布比其他数字靠右，但两座“山”重叠了：一块模板不够。于是网络使用许多神经元，排成一层（layer），再让下一层去看它们的输出。
# 而且模板不是由我们定规则算出来的，而是网络自己**学**出来的。
#
# ## 从十个数到损失
#
# 最后一层有十个神经元，每个数字一个，不加整流。它们的输出 $z_0 \dots z_9$ 叫 logits，经过 softmax 变成概率；交叉熵（cross-entropy）
# 则表示网络对正确答案 $y$ 有多“意外”：
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad L = -\log p_y$$
#
# 什么都不懂的网络给每个数字十分之一的概率，损失是 $\log 10 \approx 2.30$。请记住这个数：损失一直停在这里，就说明什么也没学到。
#
# ## 亲手写出反向传播
#
# 学习，就是去问每一个权重：如果你稍大一点，损失会升还是降？这就是导数，所有导数合在一起就是梯度（gradient）。反向传播
# （Rumelhart, Hinton & Williams 1986）就是链式法则，从损失一直读回第一层，任何东西都不重复计算。设只有一个隐藏层，一批（batch）
# 有 $n$ 张图片 $X$ 和标签 $Y$（每行只有一个 1）：
#
# | 前向 | 反向 |
# |---|---|
# | $Z_1 = X W_1 + b_1$ | $G_2 = (P - Y) / n$ |
# | $A = \max(0, Z_1)$ | $\partial L/\partial W_2 = A^\top G_2$ |
# | $Z_2 = A W_2 + b_2$ | $G_1 = (G_2 W_2^\top) \odot [Z_1 > 0]$ |
# | $P = \mathrm{softmax}(Z_2)$ | $\partial L/\partial W_1 = X^\top G_1$ |
#
# 右边第一行是 softmax 与交叉熵搭配的惊喜：logits 的梯度，就是“说出来的”减去“本该说的”。


# %%
def forward(weights, x):
    hidden = x @ weights["W1"] + weights["b1"]
    active = np.maximum(0, hidden)
    logits = active @ weights["W2"] + weights["b2"]
    powers = np.exp(logits - logits.max(1, keepdims=True))  # the largest is taken off, so that none overflows
    return hidden, active, powers / powers.sum(1, keepdims=True)


def loss(weights, x, y):
    return -np.log(forward(weights, x)[-1][np.arange(len(y)), y]).mean()


def gradient(weights, x, y):
    hidden, active, probabilities = forward(weights, x)
    back2 = (probabilities - np.eye(10)[y]) / len(y)
    back1 = (back2 @ weights["W2"].T) * (hidden > 0)
    return {"W1": x.T @ back1, "b1": back1.sum(0), "W2": active.T @ back2, "b2": back2.sum(0)}


generator = np.random.default_rng(0)
weights = {
    "W1": generator.normal(scale=np.sqrt(2 / 784), size=(784, 64)),
    "b1": np.zeros(64),
    "W2": generator.normal(scale=np.sqrt(2 / 64), size=(64, 10)),
    "b2": np.zeros(10),
}
print("loss before any training:", loss(weights, pixels[:200], train.labels[:200]).round(3))

# %% [markdown]
# A formula that was copied wrongly still gives numbers. So we check it against the definition of the derivative: move
# one weight by a tiny $\epsilon$ to either side and see by how much the loss changes,
#
# $$\frac{\partial L}{\partial w} \approx \frac{L(w + \epsilon) - L(w - \epsilon)}{2 \epsilon}$$
#
# and once more against TensorFlow, which does the same book-keeping for networks of any shape. Both are to agree with
# what we wrote.

# %% [markdown] lang="zh"
# 公式抄错了，照样能算出数来。所以我们用导数的定义来检验（有限差分，finite differences）：把一个权重向两边各挪动极小的 $\epsilon$，
# 看损失变化多少：
#
# $$\frac{\partial L}{\partial w} \approx \frac{L(w + \epsilon) - L(w - \epsilon)}{2 \epsilon}$$
#
# 然后再和 TensorFlow 对照一次，它能为任何形状的网络做同样的记账。两者都应当与我们写的一致。

# %%
x, y = pixels[:200], train.labels[:200]
ours, worst = gradient(weights, x, y), 0.0
for name, values in weights.items():
    strongest = np.argsort(-np.abs(ours[name]).ravel())[:10]  # weights that matter: a dead pixel's gradient is 0 anyway
    for place in strongest:
        where, step = np.unravel_index(place, values.shape), 1e-5
        before = values[where]
        values[where] = before + step
        above = loss(weights, x, y)
        values[where] = before - step
        below = loss(weights, x, y)
        values[where] = before
        numeric = (above - below) / (2 * step)
        worst = max(worst, abs(numeric - ours[name][where]) / abs(numeric))
print(f"against finite differences: largest relative error {worst:.1e}")

variables = {name: tf.Variable(values) for name, values in weights.items()}
with tf.GradientTape() as tape:
    active = tf.nn.relu(x @ variables["W1"] + variables["b1"])
    logits = active @ variables["W2"] + variables["b2"]
    value = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
theirs = tape.gradient(value, variables)
print(f"against TensorFlow: largest difference {max(np.abs(theirs[name] - ours[name]).max() for name in ours):.1e}")

# %% [markdown]
# The formula holds. To train is now four lines: take a batch, compute the gradient, and move every weight a small step
# against it (*stochastic gradient descent*). One pass over the pictures is an *epoch*.

# %% [markdown] lang="zh"
# 公式没错。训练只剩四行：取一批图片，算出梯度，把每个权重朝相反方向挪一小步，这就是随机梯度下降（stochastic gradient descent, SGD）。
# 把所有图片过一遍叫一轮（epoch）。

# %%
losses = []
for start in range(0, len(train) - 100 + 1, 100):
    x, y = pixels[start : start + 100], train.labels[start : start + 100]
    losses.append(loss(weights, x, y))
    for name, slope in gradient(weights, x, y).items():
        weights[name] -= 0.1 * slope

answers = forward(weights, test.inputs.reshape(len(test), 784) / 255.0)[-1]
by_hand = test.task.target.score(answers, test.labels)
print(f"test accuracy after one epoch: {by_hand.value:.4f}, 95 % interval {by_hand.low:.4f} to {by_hand.high:.4f}")

figure, places = plt.subplots(2, 8, figsize=(9, 2.4), layout="constrained")
for place, neuron in zip(places.flat, weights["W1"].T, strict=False):
    place.imshow(neuron.reshape(28, 28), cmap="RdBu_r", vmin=-0.3, vmax=0.3)
    place.axis("off")
figure.suptitle("what sixteen of the hidden neurons look for")
plt.show()

# %% [markdown]
# The interval belongs to the number. Ten thousand test digits are a sample; with other digits the same network would
# have scored a little higher or lower. kerastl prints no score without its interval (Wilson 1927).
#
# ## The same with the library
#
# From here on Keras does the book-keeping. `kerastl.training.train` seeds everything, builds the network, trains it with
# AdamW (Loshchilov & Hutter 2019) under a learning rate that rises and then falls along a cosine, stops at the first
# number that is not finite, and hands back the weights of the epoch that was best on validation.

# %% [markdown] lang="zh"
# 区间与得分不可分。一万个测试数字只是一个样本，换一批数字，同一个网络的得分就会略高或略低。kerastl 从不打印没有置信区间
# （confidence interval, Wilson 1927）的得分。
#
# ## 用库来做同样的事
#
# 从这里开始，记账交给 Keras。`kerastl.training.train` 固定随机种子，搭建网络，用 AdamW（Loshchilov & Hutter 2019）训练：学习率
# （learning rate）先升，再沿余弦曲线下降；一旦出现非有限的数就停下；最后交回在验证集上最好的那一轮的权重。

# %%
schedule = Schedule(epochs=epochs, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
dense = kerastl.training.train(
    lambda: kerastl.models.multilayer_perceptron.build(data.task, widths=(64,)),
    train,
    schedule=schedule,
    seed=0,
    validation=validation,
    progress=False,
)
dense_score = test.task.target.score(kerastl.training.predict(dense.model, test.inputs), test.labels)
print(f"one hidden layer: {dense.model.count_params():,} parameters, test accuracy {dense_score.value:.4f}")

# %% [markdown]
# ## A convolutional network
#
# A dense layer sees 784 numbers and does not know which pixels are neighbours: move a digit by three pixels, and it is
# another digit to it. A *convolution* slides one small template, here of 3 x 3 pixels, over the whole picture, so that
# a stroke is found wherever it is, with 9 weights instead of 784. *Pooling* keeps the strongest answer of each 2 x 2
# square. Two such blocks and a dense layer are the network of the introductory lessons (LeCun et al. 1998 with ReLU),
# for which the textbook quotes 0.9870.

# %% [markdown] lang="zh"
# ## 卷积神经网络
#
# 全连接层（dense layer）看到 784 个数，却不知道哪些像素相邻：把数字挪动三个像素，对它来说就是另一个数字。卷积（convolution）让一块
# 小模板（这里是 3×3 像素）滑过整张图片，笔画无论在哪里都能找到，而且只用 9 个权重，不是 784 个。池化（pooling）在每个 2×2 的小方格
# 里只留下最强的响应。两个这样的模块加一个全连接层，就是入门课里的网络（LeCun et al. 1998，改用 ReLU），教科书给它的成绩是 0.9870。

# %%
cnn = kerastl.training.train(
    lambda: kerastl.models.lenet_style.textbook(data.task),
    train,
    schedule=schedule,
    seed=0,
    validation=validation,
    progress=False,
)
answers = kerastl.training.predict(cnn.model, test.inputs)
cnn_score = test.task.target.score(answers, test.labels)
print(f"{cnn.model.count_params():,} parameters")
print(f"test accuracy {cnn_score.value:.4f}, 95 % interval {cnn_score.low:.4f} to {cnn_score.high:.4f}")
print("the whole interval is above the textbook's 0.9870:", cnn_score.low > 0.9870)

figure, places = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
for place, metric in zip(places, ("loss", "accuracy"), strict=True):
    for title, trained in (("one hidden layer", dense), ("convolutional", cnn)):
        values = trained.curves.values[f"val_{metric}"]
        place.plot(range(1, len(values) + 1), values, marker="o", label=title)
    place.set_title(f"{metric} on validation")
    place.set_xlabel("epoch")
places[0].legend()
plt.show()

# %% [markdown]
# How is the textbook passed? Not by another network. By dropout, which hides 40 % of the numbers in training so that no
# neuron relies on a single other one (Srivastava et al. 2014), by the learning rate that falls to zero, and by keeping
# the best epoch instead of the last.
#
# ## Look at the mistakes
#
# A score says how often a network is wrong, not why. Always look. Below are the digits that it is most sure of and
# wrong about, and which digits it takes for which.

# %% [markdown] lang="zh"
# 教科书的成绩是怎样超过的？不是换了网络，而是：随机失活（dropout）在训练时遮住 40 % 的数，使神经元不依赖某一个同伴
# （Srivastava et al. 2014）；学习率最后降到零；保留最好的一轮而不是最后一轮。
#
# ## 看一看错在哪里
#
# 得分只说错得多不多，不说为什么错。所以一定要看。下面是它最有把握却错了的数字，以及它把哪个数字当成了哪个（混淆矩阵，
# confusion matrix）。

# %%
probabilities = tf.nn.softmax(answers).numpy()
predicted = probabilities.argmax(1)
wrong = np.flatnonzero(predicted != test.labels)
surest = wrong[np.argsort(-probabilities[wrong].max(1))][:12]

figure, places = plt.subplots(2, 6, figsize=(7, 2.8), layout="constrained")
for place, row in zip(places.flat, surest, strict=False):
    place.imshow(test.inputs[row][..., 0], cmap="gray_r")
    place.set_title(f"{test.labels[row]} read as {predicted[row]}", fontsize=8)
for place in places.flat:
    place.axis("off")
plt.show()

confusion = np.zeros((10, 10), int)
np.add.at(confusion, (test.labels, predicted), 1)
print("columns: read as 0 to 9")
for digit, row in enumerate(confusion):
    print(digit, " ".join(f"{count:5d}" for count in row))

# %% [markdown]
# ## What you have found
#
# Each number lies in the range that the first table promised.

# %% [markdown] lang="zh"
# ## 你得到了什么
#
# 每个数都落在开头那张表所承诺的范围里。

# %%
print(f"relative error of the gradient that we write out         {worst:.9f}")
print(f"test accuracy, one hidden layer, our own backpropagation {by_hand.value:.4f}")
print(f"test accuracy, one hidden layer, trained by the library  {dense_score.value:.4f}")
print(f"test accuracy, convolutional network                     {cnn_score.value:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **The loss stays at 2.30.** Nothing is learnt: the learning rate is far too high or too low, the labels were shuffled
#   without the pictures, or the pixels are not scaled (kerastl's networks scale inside themselves).
# - **The loss becomes NaN.** The learning rate is too high. kerastl stops at that step and says so.
# - **Train accuracy rises, validation accuracy falls.** The network learns the pictures by heart; tutorial 2 shows cures.
# - **Your number differs in the third decimal.** Another processor adds up in another order. The interval covers it.
# - **Your own photograph of a digit is misread.** MNIST is white ink on black, centred; yours is black on white. Invert it
#   and cut it out first.
#
# ## What to try next
#
# - Set the widths of the dense network to `(256, 256)`. How many parameters does it take to come near the convolutions?
# - Take 1,000 pictures instead of 55,000. Which network loses more?
# - `kerastl run mnist_mobile` makes a file of 19 kilobytes for the phone out of this data; tutorial 7 says how.
# - Read on: Nielsen, *Neural Networks and Deep Learning*, chapter 2, for the four equations with all their indices.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **损失停在 2.30。** 什么也没学到：学习率太高或太低，标签打乱了而图片没有，或者像素没有缩放（kerastl 的网络在内部自己缩放）。
# - **损失变成 NaN。** 学习率太高。kerastl 会停在那一步并说明原因。
# - **训练准确率上升，验证准确率下降。** 网络在死记硬背图片（过拟合，overfitting）；第 2 篇会讲怎么治。
# - **你的数字在小数点后第三位不同。** 别的处理器求和的顺序不同，置信区间已经包含了这种差别。
# - **自己拍的数字认错了。** MNIST 是黑底白字、居中的；你的是白底黑字。先反色，再把数字裁出来放到中间。
#
# ## 接下来试什么
#
# - 把全连接网络的宽度改成 `(256, 256)`。要多少参数才能接近卷积网络？
# - 只用 1,000 张图片而不是 55,000 张。哪个网络的准确率掉得更多？
# - `kerastl run mnist_mobile` 用这些数据做出一个 19 KB 的手机模型文件，做法见第 7 篇。
# - 延伸阅读：Nielsen，*Neural Networks and Deep Learning* 第 2 章，带全部下标的四个方程。
