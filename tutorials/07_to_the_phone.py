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
# # 7. To the phone
#
# A trained network is of no use to anybody until it answers where the people are. Here a small network for digits becomes
# one TFLite file that an app can open: its labels and the range of its pixels are inside, and it is *proven* to be the
# network, on real pictures. You see how quantization to integers works, what to do when the integer file is worse, and
# which lines an Android or an iOS app needs.
#
# You should have seen tutorial 1. It takes about 2 minutes on two processor cores.
#
# | result | from | to |
# |---|---|---|
# | test accuracy of the chosen file | 0.965 | 0.99 |
# | bytes of the chosen file | 19000 | 36000 |
# | times smaller than the float file | 3 | 6.5 |
# | differences that the verification finds | 0 | 0 |
# | accuracy of the integer file, calibrated on real pictures | 0.975 | 1.0 |
# | accuracy of the integer file, calibrated on the wrong range | 0.0 | 0.6 |

# %% [markdown] lang="zh"
# # 7. 把模型送上手机
#
# 训练好的网络，要在用户手里能够回答，才算有用。这一篇把一个识别数字的小网络变成一个应用可以打开的 TFLite 文件：标签和像素范围都在
# 文件里面，并且在真实图片上**证明**它就是那个网络。你会看到量化（quantization）到整数是怎么回事，整数文件变差时怎么办，以及 Android
# 和 iOS 应用需要写哪几行代码。
#
# 建议先看第 1 篇。在两个 CPU 核上大约需要 2 分钟。
#
# | 结果 | 从 | 到 |
# |---|---|---|
# | 选中文件的测试准确率 | 0.965 | 0.99 |
# | 选中文件的字节数 | 19000 | 36000 |
# | 比浮点文件小多少倍 | 3 | 6.5 |
# | 验证发现的差异数 | 0 | 0 |
# | 整数文件的准确率：用真实图片校准 | 0.975 | 1.0 |
# | 整数文件的准确率：用错误的范围校准 | 0.0 | 0.6 |

# %% smoke={"examples": 800, "epochs": 1, "probes": 100}
import pathlib
import shutil
import threading
import urllib.request

import matplotlib.pyplot as plt
import numpy as np

import kerastl

examples = 12_000  # pictures to learn from
epochs = 5
probes = 500  # pictures for the experiments below

# %% [markdown]
# ## One line from data to bundle
#
# The recipe trains a network of 28,000 parameters, stores it in every format there is, runs each file beside the network
# on validation pictures, takes the fastest of the smallest that hold, and looks at the test pictures once. The full recipe takes
# twelve minutes and reaches 0.995; we take a fifth of the pictures.

# %% [markdown] lang="zh"
# ## 从数据到文件包，只要一行
#
# 这个配方训练一个 2.8 万参数的网络，把它存成所有可用的格式，让每个文件与网络在验证集图片上并排运行，从合格的最小几个文件里选最快的，最后只看一次
# 测试集。完整的配方要十二分钟，达到 0.995；我们只用五分之一的图片。

# %%
run = kerastl.run(
    "mnist_mobile",
    max_train_examples=examples,
    student={"epochs": epochs},
    rounding=0,
    accept={"max_score_drop": 0.01, "max_quantization_drop": 0.02, "min_agreement": 0.95},
)
run

# %% [markdown]
# Each line is a file, and each number comes from running that file, one picture at a time, as the phone will. Smaller is
# not always faster: look at the milliseconds before you choose, and measure on the phone itself in the end.
#
# ## What lies in the bundle

# %% [markdown] lang="zh"
# 每一行是一个文件，每个数字都来自实际运行这个文件，一次一张图片，和手机上一样。更小不一定更快：选之前看一眼毫秒数，最后还要在手机上测一次。
#
# ## 文件包里有什么

# %%
for file in sorted(run.bundle.iterdir()):
    print(f"{file.name:<14} {file.stat().st_size:>8,} bytes")
facts = kerastl.verify.benchmark.inspect(run.file)
print("input ", facts.input.name, facts.input.dtype, facts.input.shape)
print("output", facts.output.name, facts.output.dtype, facts.output.shape)
print("operators", dict(facts.operators.by_type))
said = kerastl.export.metadata.read(run.file.read_bytes())
print("labels inside:", said["class_names"], "- pixels from", said["input"]["min"], "to", said["input"]["max"])

# %% [markdown]
# The file takes raw pixels, 0 to 255. The scaling lies inside the graph, because the commonest fault of all in apps is a
# picture scaled otherwise than in training: the app runs, and the answers are wrong.
#
# ## Proof
#
# `verify` computes every digest, loads the data again, runs every file again, and compares with the report. An empty
# tuple means that nothing differs. To see that it would notice, we change a single byte in a copy.

# %% [markdown] lang="zh"
# 文件接受 0 到 255 的原始像素，缩放在计算图内部完成。因为应用里最常见的错误就是图片的缩放方式与训练时不同：程序照常运行，答案却是错的。
#
# ## 证明
#
# `verify` 重新计算每个摘要，重新加载数据，重新运行每个文件，并与报告对照。空元组表示没有任何差异。为了确认它真的会发现问题，我们在副本里
# 改动一个字节。

# %%
differences = run.verify(progress=False)
print("differences:", differences)

damaged = pathlib.Path("damaged") / run.folder.name
shutil.copytree(run.folder, damaged)
content = bytearray((damaged / "mobile" / "model.tflite").read_bytes())
content[len(content) // 2] ^= 1
(damaged / "mobile" / "model.tflite").write_bytes(content)
for difference in kerastl.open(damaged).verify(progress=False)[:2]:
    print("found:", str(difference)[:160])

# %% [markdown]
# ## Ask the file
#
# `predict` takes paths, folders or arrays and answers with the file itself, not with the network it was made from.

# %% [markdown] lang="zh"
# ## 问一问这个文件
#
# `predict` 接受路径、文件夹或数组，由文件本身回答，而不是由生成它的网络回答。

# %%
data = kerastl.data.mnist.load(seed=1)  # the test pictures are the same for every seed
digits = data.test.take(8).inputs
figure, places = plt.subplots(1, 8, figsize=(10, 1.7), layout="constrained")
for place, digit, answer in zip(places, digits, run.predict(digits, top=1), strict=True):
    place.imshow(digit[..., 0], cmap="gray_r")
    place.set_title(answer["words"], fontsize=8)
    place.axis("off")
plt.show()

# %% [markdown]
# ## How numbers become integers
#
# Quantization (Jacob et al. 2018, https://arxiv.org/abs/1712.05877) writes a real number $r$ as an integer $q$ of few bits,
# with a scale $s$ and a zero point $z$ that many numbers share:
#
# $$q = \mathrm{round}(r / s) + z, \qquad r \approx s \, (q - z)$$
#
# With $b$ bits there are $2^b$ integers, so a kernel between $-m$ and $m$ has the scale $s = m / (2^{b-1} - 1)$, and no weight
# moves by more than $s / 2$. Here is a kernel of our network at 8 and at 4 bits, a scale for each output channel.

# %% [markdown] lang="zh"
# ## 数是怎样变成整数的
#
# 量化（Jacob et al. 2018，https://arxiv.org/abs/1712.05877）把实数 $r$ 写成只有几位的整数 $q$，许多数共用一个缩放系数（scale）$s$ 和一个
# 零点（zero point）$z$：
#
# $$q = \mathrm{round}(r / s) + z, \qquad r \approx s \, (q - z)$$
#
# $b$ 位有 $2^b$ 个整数，于是取值在 $-m$ 到 $m$ 之间的卷积核的缩放系数是 $s = m / (2^{b-1} - 1)$，每个权重最多移动 $s / 2$。下面是我们网络
# 的一个卷积核在 8 位和 4 位下的样子，每个输出通道（channel）一个缩放系数。

# %%
kernel = run.model.get_layer("conv3").get_weights()[0]
figure, places = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for place, bits in zip(places, (8, 4), strict=True):
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / (2 ** (bits - 1) - 1)
    stored = np.round(kernel / scale) * scale
    place.hist(kernel.ravel(), bins=120, alpha=0.5, label="float")
    place.hist(stored[..., 0].ravel(), bins=120, alpha=0.8, label="first channel, stored")
    place.set_title(f"{bits} bits, mean error {np.abs(stored - kernel).mean() / np.abs(kernel).mean():.1%} of a weight")
    place.legend(fontsize=7)
plt.show()

# %% [markdown]
# Weights are known, but activations are not: their ranges are measured on some hundred real examples, the
# *calibration*. And this is where integer files go wrong.
#
# ## When the integer file is worse
#
# Let us do on purpose what happens by accident: calibrate with pictures in a range that the phone will never send, much
# too dark. The file is made without a complaint, and it is ruined. The same call with real pictures is as good as the
# network.

# %% [markdown] lang="zh"
# 权重是已知的，激活值（activations）却不是：它们的范围要在几百个真实样本上测出来，这叫校准（calibration）。整数文件往往就在这里出错。
#
# ## 整数文件变差了怎么办
#
# 我们故意来犯那个常常无意中犯下的错误：用手机永远不会送来的范围去校准，图片暗得多。文件照样毫无怨言地生成，却已经毁了。同样的调用
# 换成真实图片，就和网络一样好。

# %%
float32 = kerastl.export.tflite.convert(run.model, run.task)
some, held = data.train.take(probes).inputs, data.test.take(probes)
dark = some // 32  # pixels from 0 to 7


def accuracy(file):
    answers = kerastl.verify.predict_tflite(file, held.inputs, kind=run.task.inputs)
    return run.task.target.score(answers, held.labels).value


files = {"float32": float32}
for name, pictures in (("real", some), ("too dark", dark)):
    files[name] = kerastl.compress.ptq.static_int8(float32, calibration=pictures, inputs=run.task.inputs)
measured = {name: accuracy(file) for name, file in files.items()}
for name, value in measured.items():
    print(f"{name:<10} {len(files[name]):>8,} bytes, accuracy {value:.3f}")

errors = {
    name: kerastl.verify.layer_errors(files[name], float32, inputs=held.inputs[:20], kind=run.task.inputs)
    for name in ("real", "too dark")
}
figure, place = plt.subplots(figsize=(8, 2.6), layout="constrained")
for name, rows in errors.items():
    place.plot([100 * row.clipped for row in rows], marker="o", label=f"calibrated on pictures: {name}")
place.set_xlabel("layer")
place.set_ylabel("% of numbers cut off")
place.legend()
plt.show()

# %% [markdown]
# `layer_errors` compares both files layer by layer: numbers outside the calibrated range are cut off, and from there
# everything behind is wrong. A run does this comparison for every file by itself and leaves out the one that fails.
#
# When your integer file is worse, in this order:
#
# 1. **Look at the calibration.** Real examples, some hundred, in the phone's own range, of all classes.
# 2. **Look for the layer** where the error begins, with `layer_errors`; `keep_float=` leaves it in float.
# 3. **Keep activations in float**: `dynamic_int8` needs no calibration. Most phones run it well.
# 4. **Train with the rounding** (quantization-aware training): `kerastl run shrink_model` does it, tutorial 6.
# 5. **Take float16.** Half the bytes, and hardly ever a difference.
#
# ## Into the app
#
# The bundle's `README.md` has the lines for Python, Android and iOS, with the names and shapes of this very file.

# %% [markdown] lang="zh"
# `layer_errors` 逐层比较两个文件：超出校准范围的数被截断，从那里往后就全错了。每次运行都会自动对每个文件做这种比较，把不合格的剔除。
#
# 如果你的整数文件变差了，请依次：
#
# 1. **检查校准数据。** 几百个真实样本，范围与手机上一致，覆盖所有类别。
# 2. **找出误差开始的那一层**：用 `layer_errors`；`keep_float=` 让它保持浮点。
# 3. **激活值保持浮点**：`dynamic_int8` 不需要校准，多数手机都跑得好。
# 4. **带着取整去训练**（量化感知训练，quantization-aware training, QAT）：`kerastl run shrink_model` 会做，见第 6 篇。
# 5. **用 float16。** 字节数减半，几乎看不出差别。
#
# ## 放进应用
#
# 文件包（bundle）里的 `README.md` 给出 Python、Android 和 iOS 的代码，名字和形状都是这个文件的。

# %%
page = (run.bundle / "README.md").read_text()
print(page[page.index("## Android") :])

# %% [markdown]
# ## In a browser, before there is an app
#
# The bundle's `index.html` is a page on which you draw a digit and the file answers, in the browser, by LiteRT.js: the same
# runtime as on a phone. On your own machine, in a terminal:
#
# ```bash
# kerastl demo saved_models/mnist_mobile/default            # prints an address; Ctrl-C ends it
# kerastl demo saved_models/mnist_mobile/default --network  # and one for the phone in the same network
# ```
#
# Here the same page is asked for over the network, as a browser does. Its policy says whom it may ask: nobody but the
# server that it came from, so that no drawing leaves your machine.

# %% [markdown] lang="zh"
# ## 还没有应用时，先在浏览器里试
#
# 文件包里的 `index.html` 是一个页面：你写一个数字，由文件本身在浏览器里回答，运行它的是 LiteRT.js，与手机上的运行时相同。在自己的
# 电脑上，打开终端：
#
# ```bash
# kerastl demo saved_models/mnist_mobile/default            # 打印一个地址；按 Ctrl-C 结束
# kerastl demo saved_models/mnist_mobile/default --network  # 再打印一个给同一网络里的手机
# ```
#
# 下面像浏览器那样通过网络请求同一个页面。页面的策略（policy）写明了它可以向谁发请求：只有提供它的服务器，所以你写的内容不会离开电脑。

# %%
with kerastl.runs.demo.Server(kerastl.runs.demo.files(run), port=0) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(server.address) as answer:
        html = answer.read().decode()
    print(f"{len(html):,} characters,", "for this machine alone:", server.address_in_network is None)
    server.shutdown()
policy = html.partition('Content-Security-Policy" content="')[2].partition('"')[0]
print("may connect to:", policy.partition("connect-src ")[2].partition(";")[0])

# %% [markdown]
# ## What you have found

# %% [markdown] lang="zh"
# ## 你得到了什么

# %%
print(f"test accuracy of the chosen file                            {run.score.value:.4f}")
print(f"bytes of the chosen file                                    {run.file.stat().st_size}")
print(f"times smaller than the float file                           {len(float32) / run.file.stat().st_size:.2f}")
print(f"differences that the verification finds                     {len(differences)}")
print(f"accuracy of the integer file, calibrated on real pictures   {measured['real']:.4f}")
print(f"accuracy of the integer file, calibrated on the wrong range {measured['too dark']:.4f}")

# %% [markdown]
# ## What goes wrong
#
# - **The app's answers differ from `predict`.** Nearly always the picture: another size, rotated by the camera, BGR in the
#   place of RGB, or scaled by the app as well. Feed one saved picture to both and compare.
# - **The runtime refuses the file.** It is older than the file's operators; the README names the version that is needed.
# - **A run leaves a file out.** Read the sentence: it names the check, what was wanted, and the flag that would let it pass.
# - **The smallest file is the slowest.** 4-bit weights are unpacked while the file runs. Choose with
#   `accept={"prefer": "fastest"}`.
#
# ## What to try next
#
# - Draw some digits for the file: `kerastl demo FOLDER`; then draw badly, and see what it takes them for.
# - The whole recipe: `kerastl run mnist_mobile`, twelve minutes, 0.995 in 19 kilobytes.
# - `kerastl benchmark FILE` on a Raspberry Pi, with `light/`, which needs no TensorFlow.
# - Your own model: `kerastl run shrink_model --model my.keras --data FOLDER`.

# %% [markdown] lang="zh"
# ## 会出什么问题
#
# - **应用的回答与 `predict` 不同。** 几乎总是图片的问题：尺寸不同、被相机旋转、BGR 当成 RGB，或应用又缩放了一次。把同一张保存好的图片
#   喂给两边，比较一下。
# - **运行时拒绝打开文件。** 它比文件里的算子（operators）旧；README 写明了需要的版本。
# - **运行剔除了某个文件。** 读那句话：它说明哪项检查没过、要求是什么、哪个选项可以放行。
# - **最小的文件反而最慢。** 4 位权重要在运行时解开。用 `accept={"prefer": "fastest"}` 来选。
#
# ## 接下来试什么
#
# - 用 `kerastl demo FOLDER` 给文件写几个数字；再故意写得潦草些，看看它认成什么。
# - 完整的配方：`kerastl run mnist_mobile`，十二分钟，19 KB，0.995。
# - 在树莓派上用 `light/` 运行 `kerastl benchmark FILE`，不需要 TensorFlow。
# - 你自己的模型：`kerastl run shrink_model --model my.keras --data FOLDER`。
