from __future__ import annotations

from kerastl.build.pretrained.names import near


def test_near_names():
    options = ["ResNet50", "ResNet50V2", "VGG16"]
    assert near("resnet-50", options) == " Did you mean ResNet50, ResNet50V2?"
    assert near("vgg-16", options) == " Did you mean VGG16?"
    assert near("zebra", options) == ""
