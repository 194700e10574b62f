"""Exported files in MediaPipe Tasks, unchanged, and kerastl's own answers beside MediaPipe's.

    python benchmarks/export/mediapipe.py [--image RUN_OR_FILE] [--text RUN_OR_FILE]

Without either, `image_classifier` and `text_classifier` are run in their smoke size first (three minutes). Of a run
every file under `variants/` is asked. Beside texts' files a network is asked that learnt nothing: its score moves by
far more than is allowed when one token is another. MediaPipe wants another absl-py than TF-MOT, so it is installed into
an environment of its own in the cache folder, once, from PyPI; on Debian it needs `libegl1` and `libgles2`.

Its tokenizer strips no accents and lower-cases ASCII only. Sentences with such letters, spaces and controls go there as
the words that the bundle's page makes of them; as they are written they are shown and not judged. Nor is a picture
judged that each side scales down by itself. Exits non-zero if any other label differs, or a score by more than one
quantization step, 1/256.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

import kerastl
from benchmarks.tools import results
from kerastl.cli import main as command
from kerastl.export import metadata
from kerastl.inputs import text as texts
from kerastl.inputs import wordpiece
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

MEDIAPIPE = "1.2.2"
STEP = 1 / 256
SENTENCES = (
    "A gripping, beautifully acted film from start to finish.",
    "Dull.",
    "I can't believe it's not better - what a waste (of time)!",
    "WHY DID THEY SHOUT ALL THE WAY THROUGH?",
    "Rated 7/10; would watch again @ home #cinema & chill_out...",
    " \t blanks before,   between \n and behind  ",
    "",
    "!",
    "antidisestablishmentarianism, unquestionably",
    "“Curly quotes” – a dash—and a clapper 🎬",
    "电影很好看 but the words have no blanks",
    "[SEP] and [MASK] are no tokens when someone writes them",
    "too " + "long" * 30 + " to be a word",
    "It began well enough, and then it went on. " * 30,
)
WRITTEN_OTHERWISE = (
    "Amélie: a naïve café scene, déjà vu",
    "ÉTOILE FILANTE, ÇA VA",
    "Ein schöner Film von der Straße",
    "a sign that stands for several…",
    "zero\N{ZERO WIDTH SPACE}width, and a bell\a",
)


@dataclasses.dataclass(frozen=True)
class Input:
    """What `kerastl predict` is given, what MediaPipe is, and whether their answers have to agree."""

    name: str
    ours: str
    theirs: str
    judged: bool = True


def sentences() -> list[Input]:
    return [
        *(Input(sentence, sentence, sentence) for sentence in SENTENCES),
        *(Input(f"its words: {one}", one, " ".join(wordpiece.words(one))) for one in WRITTEN_OTHERWISE),
        *(Input(one, one, one, judged=False) for one in WRITTEN_OTHERWISE),
    ]


def pictures(root: Path, shape: tuple[int, ...], folder: Path) -> list[Input]:
    """A run's first test pictures; of a single file drawn ones; and one that is three times as large."""
    height, width, channels = shape
    if (root / "config.json").is_file():
        data = json.loads((root / "config.json").read_text(encoding="utf-8"))["data"]
        split = getattr(kerastl.data, data["source"]).load(**data["arguments"]).test
        found = np.asarray(split.inputs[:5], np.uint8)
    else:
        found = np.random.default_rng(0).integers(0, 256, (5, height, width, channels), np.uint8)
    inputs = []
    for number, picture in enumerate(found):
        path = folder / f"picture_{number}.npy"
        np.save(path, picture)
        inputs.append(Input(f"picture {number}", str(path), str(path)))
    large = Image.fromarray(found[0].squeeze()).resize((3 * width, 3 * height), Image.Resampling.BICUBIC)
    large.save(folder / "large.png")
    np.save(folder / "large.npy", np.asarray(large).reshape(3 * height, 3 * width, channels))
    inputs.append(Input("picture 0, three times as large", f"{folder}/large.png", f"{folder}/large.npy", judged=False))
    return inputs


def probe(folder: Path) -> Path:
    """A file whose scores depend on every one of 32 ids of BERT's vocabulary, exported as any text's file is."""
    import keras

    kind = texts.Text(32, kerastl.models.pretrained.minilm_l6.vocabulary())
    task = Task("probe", kind, SingleLabel(tuple("abcd")))
    keras.utils.set_random_seed(0)
    ids = keras.Input(kind.shape, dtype="int32", name="token_ids")
    rows = keras.layers.Embedding(
        len(kind.vocabulary), 8, embeddings_initializer=keras.initializers.RandomNormal(0, 0.08)
    )
    whole = keras.layers.Flatten()(rows(ids))
    logits = keras.layers.Dense(task.target.outputs, kernel_initializer=keras.initializers.RandomNormal(0, 1))(whole)
    model = keras.Model(ids, logits, name=task.name)
    content = metadata.add(kerastl.export.tflite.convert(model, task), task, description=task.name)
    path = folder / "token probe.tflite"
    path.write_bytes(content)
    return path


def files_of(root: Path) -> list[Path]:
    found = [root] if root.is_file() else sorted((root / "variants").glob("*.tflite"))
    if not found:
        raise SystemExit(f"{root} is neither a file nor a finished run.")
    return found


def our_answers(file: Path, inputs: list[Input], folder: Path) -> list[dict[str, float]]:
    """What `kerastl predict` says of a bundle of the file, as `mobile/` is one."""
    described = metadata.read(file.read_bytes())
    folder.mkdir()
    (folder / "model.tflite").write_bytes(file.read_bytes())
    for name, lines in (("labels", described["class_names"]), ("vocab", described["input"].get("vocabulary", []))):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = command(["predict", str(folder), *(one.ours for one in inputs), "--json"])
    if status:
        raise SystemExit(status)
    return [answer["probabilities"] for answer in json.loads(printed.getvalue())]


def environment() -> Path:
    """A Python that has MediaPipe."""
    home = kerastl.system.downloads.home() / f"mediapipe-{MEDIAPIPE}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = python.is_file() and not subprocess.run([python, "-Ic", "import mediapipe"], capture_output=True).returncode
    if not ready:
        print(f"installing mediapipe {MEDIAPIPE} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"mediapipe=={MEDIAPIPE}"], check=True)
    return python


def their_answers(questions: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    child = Path(__file__).resolve().parents[1] / "tools" / "mediapipe_answers.py"
    asked, answered = folder / "questions.json", folder / "answers.json"
    asked.write_text(json.dumps(questions), encoding="utf-8")
    done = subprocess.run([environment(), "-I", child, asked, answered], capture_output=True, text=True)
    if done.returncode:
        hint = " On Debian: apt install libegl1 libgles2." if "cannot open shared object" in done.stderr else ""
        raise SystemExit(f"MediaPipe could not be asked.{hint}\n{done.stderr}")
    return json.loads(answered.read_text(encoding="utf-8"))


def best(scores: dict[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])


def row(one: Input, ours: dict[str, float], theirs: dict[str, float]) -> tuple[list, float, bool]:
    """The cells, the greatest difference of a score, and whether the two agree; of two equal scores either is best."""
    if set(ours) != set(theirs):
        return [f"{best(ours)} {max(ours.values()):.6f}", f"other labels: {', '.join(theirs)}", None, ""], 1.0, False
    difference = max(abs(ours[label] - theirs[label]) for label in ours)
    cells = [f"{best(scores)} {max(scores.values()):.6f}" for scores in (ours, theirs)]
    same = ours[best(theirs)] == max(ours.values()) and difference <= STEP
    verdict = ("same" if same else "DIFFERS") if one.judged else "not judged"
    return [*cells, difference, verdict], difference, same


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--image", type=Path, help="a finished run of pictures, or one of its files")
    parser.add_argument("--text", type=Path, help="a finished run of texts, or one of its files")
    options = parser.parse_args()
    roots = {kind: getattr(options, kind) for kind in ("image", "text") if getattr(options, kind) is not None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if not roots:
            roots = {kind: folder / kind for kind in ("image", "text")}
            for kind, root in roots.items():
                if command(["run", f"{kind}_classifier", "--smoke", "--out", str(root)]):
                    return 1
        cases = []
        for kind, root in roots.items():
            files = files_of(root)
            shape = kerastl.verify.benchmark.inspect(files[0]).input.shape[1:]
            inputs = sentences() if kind == "text" else pictures(root, shape, folder)
            files += [probe(folder)] if kind == "text" else []
            cases += [(kind, file, inputs) for file in files]
        ours = [our_answers(file, inputs, folder / f"bundle {n}") for n, (_, file, inputs) in enumerate(cases)]
        questions = [
            {"kind": kind, "file": str(file), "inputs": [one.theirs for one in inputs]} for kind, file, inputs in cases
        ]
        theirs = their_answers(questions, folder)
    return judged(cases, ours, theirs, found=options.results)


def judged(cases: list, ours: list, theirs: list, *, found: results.Results) -> int:
    """Prints the table; non-zero if a file is refused or an answer that is judged differs."""
    title = f"MediaPipe Tasks {MEDIAPIPE} and kerastl predict, on the same files"
    columns = ("file", "input", "kerastl", "MediaPipe", "difference", "verdict")
    table = results.Table(title, dict.fromkeys(columns, "{}") | {"difference": "{:.6f}"})
    count = wrong = 0
    greatest = 0.0
    for (kind, file, inputs), mine, other in zip(cases, ours, theirs, strict=True):
        if "error" in other:
            table.add(f"{kind} {file.stem}", other["error"], None, None, None, "REFUSED")
            wrong += 1
            continue
        for one, a, b in zip(inputs, mine, other["scores"], strict=True):
            cells, difference, same = row(one, a, b)
            shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in one.name)
            shown = shown if len(shown) <= 48 else f"{shown[:45]}..."
            table.add(f"{kind} {file.stem}", shown, *cells)
            if one.judged:
                count, wrong, greatest = count + 1, wrong + (not same), max(greatest, difference)
    found.show(table, width=160)
    print(f"{count} answers judged, {wrong} wrong, greatest difference of a score {greatest:.6f} (allowed {STEP:.6f})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
