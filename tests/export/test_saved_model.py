from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kerastl.export import saved_model, serving


@pytest.mark.parametrize("kind", ["float_student", "aware_student"])
def test_signature_names_and_answers(kind, request, tmp_path, pictures, digits):
    model = request.getfixturevalue(kind)
    saved_model.write(model, tmp_path / "saved_model", digits)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    signature = loaded.signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["image"]
    assert list(signature.structured_outputs) == ["probabilities"]
    inputs = pictures(8)[0].astype(np.float32)
    wanted = serving.with_answers(model, digits).predict(inputs, verbose=0)
    assert np.abs(signature(image=tf.constant(inputs))["probabilities"].numpy() - wanted).max() < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_an_old_one_is_replaced_and_a_strange_folder_is_not(float_student, tmp_path):
    saved_model.write(float_student, tmp_path / "saved_model")
    (tmp_path / "saved_model" / "leftover").touch()
    saved_model.write(float_student, tmp_path / "saved_model")
    assert not (tmp_path / "saved_model" / "leftover").exists()
    strange = tmp_path / "photographs"
    strange.mkdir()
    with pytest.raises(ValueError, match="neither"):
        saved_model.write(float_student, strange)
    with pytest.raises(ValueError, match="one that exists"):
        saved_model.write(float_student, tmp_path / "absent" / "saved_model")


def test_a_text_goes_in_as_token_ids(tiny_text, tmp_path):
    saved_model.write(tiny_text.model, tmp_path / "saved_model", tiny_text.task)
    signature = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    answers = signature(token_ids=tf.constant(tiny_text.inputs))["probabilities"]
    np.testing.assert_allclose(answers, tiny_text.expected, atol=1e-5)
