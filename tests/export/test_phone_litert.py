"""What a page says of LiteRT's second generation; the names are those of its own sources."""

from __future__ import annotations

import pytest

from kerastl.export import phone_image, phone_litert, phone_numbers, phone_signature, phone_text, phone_text_pair

FLOAT, BYTES, IDS = ({"dtype": dtype} for dtype in ("float32", "uint8", "int32"))


def test_one_input_and_one_output():
    page = phone_litert.section(inputs=[{"name": "image", **BYTES}], outputs=[FLOAT], android="1.4.2")
    assert 'litert:2.1.0")`' in page, "the first that has a CompiledModel for API 23"
    assert "inputs[0].writeInt8(image)\n" in page
    assert "val answer = outputs[0].readFloat()\n" in page
    assert "try inputs[0].write(image)  // [UInt8]\n" in page
    assert "let answer: [Float] = try outputs[0].read()\n" in page
    assert "API 23 or newer" in page
    assert "iOS 15 or newer" in page


def test_several_in_the_order_of_the_file():
    inputs = [{"name": name, **IDS} for name in ("ids", "mask", "segment_ids")]
    page = phone_litert.section(inputs=inputs, outputs=[FLOAT, BYTES], android="2.3.0")
    assert 'litert:2.3.0")`' in page, "a file may need a newer one"
    assert "inputs[0].writeInt(ids)\ninputs[1].writeInt(mask)\ninputs[2].writeInt(segment_ids)\n" in page
    assert "val answer0 = outputs[0].readFloat()\nval answer1 = outputs[1].readInt8()\n" in page


def test_of_other_types_nothing_is_said():
    assert phone_litert.section(inputs=[{"dtype": "int16"}], outputs=[FLOAT], android="1.4.2") == ""


@pytest.mark.parametrize(("android", "api"), [("1.4.2", 21), ("2.1.0", 23), ("2.3.2", 23)])
def test_the_android_that_it_needs(android, api):
    assert phone_litert.api_of(android) == api


@pytest.mark.parametrize("page", [phone_image, phone_numbers, phone_signature, phone_text, phone_text_pair])
def test_no_page_needs_the_support_library_that_has_ended(page):
    assert "FileUtil" not in page.PAGE
    assert "{mapped}" in page.PAGE
    assert 'openFd("model.tflite")' in phone_litert.MAPPED
