"""A finished run for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util
from toy_run import written_file

from kerastl.runs import board


@dataclasses.dataclass
class Weight:
    path: str
    values: np.ndarray
    name: str = ""

    def numpy(self) -> np.ndarray:
        return self.values


class Model:
    weights = (Weight("dense/kernel", np.array([[0.0, 1.0], [2.0, 0.0]])), Weight("dense/bias", np.ones(3)))


@pytest.fixture
def read(finished, tmp_path) -> tuple[dict[str, Any], Any]:
    report = json.loads((finished / "report.json").read_text())
    folder = board.write(tmp_path / "logs", report, model=Model(), file=written_file())
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0})
    return report, found.Reload()


def test_scores_weights_and_curves_are_those_of_the_report(read):
    report, found = read
    row = report["variants"][0]
    assert found.Scalars("score/test")[0].value == pytest.approx(row["score"])
    assert found.Scalars("cost/bytes")[0].value == row["bytes"]
    assert found.Scalars("sparsity/dense/kernel")[0].value == 0.5
    assert "sparsity/dense/bias" not in found.Tags()["scalars"]
    histogram = tensor_util.make_ndarray(found.Tensors("weights/dense/kernel/histogram_summary")[0].tensor_proto)
    assert (histogram[0, 0], histogram[-1, 1], histogram[:, 2].sum()) == (0, 2, 4)
    (table,) = report["thresholds"]
    one = table["classes"][0]
    curve = tensor_util.make_ndarray(found.Tensors(f"Thresholds_to_try/{one['name']}/pr_curves")[0].tensor_proto)
    np.testing.assert_array_equal(curve[0], one["found"])
    np.testing.assert_array_equal(curve[:4].sum(0), table["examples"])


def test_the_matrix_is_a_picture_and_the_file_a_graph(read):
    _, found = read
    picture = Image.open(io.BytesIO(found.Images("Confusion_matrix")[0].encoded_image_string))
    assert (picture.width, picture.height) == (630, 630)
    nodes = {node.name: (node.op, list(node.input)) for node in found.Graph().node}
    assert nodes == {
        "image": ("Placeholder", []),
        "000_FULLY_CONNECTED": ("FULLY_CONNECTED", ["image"]),
        "001_SOFTMAX": ("SOFTMAX", ["000_FULLY_CONNECTED"]),
    }


def test_settings_are_hyperparameters(read):
    report, found = read
    metadata = found.SummaryMetadata("_hparams_/session_start_info")
    session = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
    assert session.hparams["teacher.epochs"].number_value == report["settings"]["teacher"]["epochs"]
    assert session.group_name == "my_recipe/default"
