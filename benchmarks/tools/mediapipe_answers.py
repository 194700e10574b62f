"""The child of `benchmarks/export/mediapipe.py`, run where MediaPipe is installed and kerastl is not.

    python -I benchmarks/tools/mediapipe_answers.py QUESTIONS.json ANSWERS.json

A question is a file, its kind ("image" or "text") and its inputs: paths of `.npy` pictures, or sentences. The answer is
the error, or for each input the score of each label.
"""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, text, vision


def scores(result) -> dict[str, float]:
    (head,) = result.classifications
    return {category.category_name: category.score for category in head.categories}


def answers(question: dict) -> dict:
    base = BaseOptions(model_asset_path=question["file"])
    try:
        if question["kind"] == "text":
            with text.TextClassifier.create_from_options(text.TextClassifierOptions(base_options=base)) as classifier:
                return {"scores": [scores(classifier.classify(sentence)) for sentence in question["inputs"]]}
        pictures = [np.load(path) for path in question["inputs"]]
        formats = {1: mediapipe.ImageFormat.GRAY8, 3: mediapipe.ImageFormat.SRGB}
        images = [mediapipe.Image(image_format=formats[array.shape[-1]], data=array) for array in pictures]
        with vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base)) as classifier:
            return {"scores": [scores(classifier.classify(image)) for image in images]}
    except (ValueError, RuntimeError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    questions = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps([answers(question) for question in questions]), encoding="utf-8")
