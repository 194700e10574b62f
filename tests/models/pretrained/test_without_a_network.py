"""What is asked for by its name and cannot be downloaded: it is said in words, whoever keeps the weights."""

from __future__ import annotations

import inspect
import json

import pytest
from toy import without_network

ASKED = {
    "encoder": "kerastl.models.pretrained.bert_preset.vocabulary_file('bert_tiny_en_uncased')",
    "backbone": "kerastl.models.pretrained.load('preset:resnet_18_imagenet')",
    "application": "kerastl.models.pretrained.load('applications:MobileNet', image_size=96)",
    "hf": "kerastl.models.pretrained.load('preset:hf://nobody/nothing')",
    "kaggle": "kerastl.models.pretrained.load('preset:kaggle://a/b/keras/c')",
}
SAID = {
    "encoder": "The preset 'bert_tiny_en_uncased' could not be downloaded (",
    "backbone": "The preset 'resnet_18_imagenet' could not be downloaded (",
    "application": "The ImageNet weights of MobileNet could not be downloaded (",
    "hf": "The preset 'hf://nobody/nothing' could not be downloaded (",
    "kaggle": "The preset 'kaggle://a/b/keras/c' could not be downloaded (",
}
PATIENT = {"hf", "kaggle"}
"""Those whose library tries again for minutes."""


def refused(names: set[str], folder) -> dict[str, str]:
    """What each of them says, all in one process whose proxy is an address where nobody answers."""
    code = inspect.cleandoc(f"""
        import json
        import kerastl
        found = {{}}
        for name in {sorted(names)}:
            try:
                eval({ASKED}[name])
            except FileNotFoundError as error:
                found[name] = str(error)
        print("FOUND", json.dumps(found))
    """)
    done = without_network(code, folder)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return json.loads(line.removeprefix("FOUND "))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return refused(ASKED.keys() - PATIENT, tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", sorted(ASKED.keys() - PATIENT))
def test_it_says_so(name, found):
    assert found[name].startswith(SAID[name])
    assert "Once there is a network the same call gets" in found[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PATIENT))
def test_it_says_so_in_the_end(name, tmp_path):
    assert refused({name}, tmp_path)[name].startswith(SAID[name])
