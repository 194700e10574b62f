"""A picture's page with its fields, and MediaPipe's part for colour alone."""

from __future__ import annotations

import re

from kerastl.export import phone_image, phone_numbers


def test_the_page_asks_for_nothing_that_others_are_not_given():
    names = set(re.findall(r"(?<!\{)\{(\w+)", phone_image.PAGE))
    others = set(re.findall(r"(?<!\{)\{(\w+)", phone_numbers.PAGE))
    assert names - others == {"as_float", "mediapipe", "kotlin_array"}


def test_mediapipes_part_has_a_place_for_what_is_found():
    assert phone_image.MEDIAPIPE.count("{classes_found}") == 1
    assert phone_image.MEDIAPIPE.format(classes_found="x").startswith("## MediaPipe Tasks\n")
