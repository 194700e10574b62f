from __future__ import annotations

from kerastl.models.pretrained.names import contents, near
from kerastl.system import digests


def test_near_names():
    options = ["ResNet50", "ResNet50V2", "VGG16"]
    assert near("resnet-50", options) == " Did you mean ResNet50, ResNet50V2?"
    assert near("vgg-16", options) == " Did you mean VGG16?"
    assert near("zebra", options) == ""


def test_what_stands_under_a_path_is_its_files(tmp_path, monkeypatch):
    assert contents("mobilenet_v2") == "mobilenet_v2"
    assert contents("preset:bert_tiny_en_uncased") == "preset:bert_tiny_en_uncased"
    monkeypatch.chdir(tmp_path)
    for name in ("small", "efficientnet_lite0"):  # as a run's folder may be called
        (tmp_path / name).mkdir()
        assert contents(name) == name
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "mine.keras", tmp_path / "run" / "model.keras", tmp_path / "hub" / "model.safetensors"):
        path.parent.mkdir(exist_ok=True)
        name = str(path if path.suffix == ".keras" and path.parent == tmp_path else path.parent)
        found = []
        for content in (b"one", b"other"):
            path.write_bytes(content)
            found.append(digests.sha256_of(contents(name)))
        assert found[0] != found[1]
    assert digests.sha256_of(contents(str(tmp_path / "run"))) == digests.sha256_of(
        contents(str(tmp_path / "run" / "model.keras"))
    )
    before = digests.sha256_of(contents(str(tmp_path / "hub")))
    (tmp_path / "hub" / ".git").mkdir()
    (tmp_path / "hub" / ".git" / "index").touch()
    assert digests.sha256_of(contents(str(tmp_path / "hub"))) == before
    assert digests.sha256_of(contents(f"preset:{tmp_path / 'hub'}")) == digests.sha256_of(
        contents(str(tmp_path / "hub"))
    )
