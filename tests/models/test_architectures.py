"""Parameter counts worked out by hand, layer by layer."""

import itertools

import pytest

from kerastl.inputs.image import Image
from kerastl.models import all_conv_net, lenet_style, mobile_cnn, resnet, strided_lenet
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

GREY = Task("grey", Image((28, 28, 1)), SingleLabel(tuple(str(i) for i in range(10))))
COLOUR = Task("colour", Image((32, 32, 3)), SingleLabel(tuple(str(i) for i in range(10))))


def convolution(kernel, inputs, outputs, *, bias=False, norm=True):
    return kernel * kernel * inputs * outputs + bias * outputs + norm * 4 * outputs


def dense(inputs, outputs):
    return inputs * outputs + outputs


def residual_block(inputs, outputs):
    shortcut = convolution(1, inputs, outputs) if inputs != outputs else 0
    return convolution(3, inputs, outputs) + convolution(3, outputs, outputs) + shortcut


def test_plain_cnn():
    expected = (
        convolution(3, 1, 32, bias=True, norm=False)
        + convolution(3, 32, 64, bias=True, norm=False)
        + dense(7 * 7 * 64, 128)
        + dense(128, 10)
    )
    assert lenet_style.textbook(GREY).count_params() == expected == 421_642


def test_conv_net():
    expected = convolution(3, 3, 32) + convolution(3, 32, 64) + dense(8 * 8 * 64, 128) + dense(128, 10)
    assert strided_lenet.small(COLOUR).count_params() == expected == 545_386


def test_strided_cnn_tiny():
    widths = (1, 16, 20, 24, 28, 28, 28)
    convolutions = sum(convolution(3, before, after) for before, after in itertools.pairwise(widths))
    expected = convolutions + dense(28, 10)
    assert all_conv_net.tiny(GREY).count_params() == expected == 28_370


def test_residual_cnn_mobile_keeps_its_bound():
    """At most 100,000 parameters, the moving averages counted."""
    assert resnet.mobile(GREY).count_params() == 99_234


def test_mobile_cnn_tiny():
    def separable(inputs, outputs):
        return 9 * inputs + 4 * inputs + inputs * outputs + 4 * outputs

    widths = [16, 32, 32, 48, 48, 64]
    expected = convolution(3, 1, 16) + sum(map(separable, widths, widths[1:])) + dense(64, 10)
    assert mobile_cnn.tiny(GREY).count_params() == expected == 12_490


def test_residual_cnn_small_is_resnet8():
    expected = (
        convolution(3, 3, 16) + residual_block(16, 16) + residual_block(16, 32) + residual_block(32, 64) + dense(64, 10)
    )
    assert resnet.small(COLOUR).count_params() == expected == 78_714


def test_residual_cnn_has_as_many_blocks_a_stage_as_are_asked():
    model = resnet.build(COLOUR, widths=(16, 32, 60), blocks=(0, 2, 1))
    expected = (
        convolution(3, 3, 16) + residual_block(16, 32) + residual_block(32, 32) + residual_block(32, 60) + dense(60, 10)
    )
    assert model.count_params() == expected == 86_834
    # with no block in the first stage the second halves the maps all the same
    assert [model.get_layer(f"stage{stage}_block1_relu2").output.shape[1] for stage in (2, 3)] == [16, 8]


def test_residual_cnn_refuses_blocks_of_other_stages():
    with pytest.raises(ValueError, match=r"the number of blocks of each stage.*blocks=\(1, 1\)"):
        resnet.build(GREY, widths=(8, 8, 8), blocks=(1, 1))


def test_strided_cnn_refuses_sequences_of_different_length():
    with pytest.raises(ValueError, match=r"one kernel size and one stride.*strides=\(2, 1\)"):
        all_conv_net.build(GREY, filters=(8, 8, 8), kernel_sizes=(3, 3, 3), strides=(2, 1))


def test_mobile_cnn_refuses_sequences_of_different_length():
    with pytest.raises(ValueError, match="one stride a block"):
        mobile_cnn.build(GREY, filters=(8, 8), strides=(1,))
