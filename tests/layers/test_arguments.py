"""Wrong arguments fail at construction, naming the argument."""

import pytest
import torch

from flexkern import (
    CKConv1d,
    CKConv2d,
    FlexConv1d,
    FlexConv2d,
    GaussianWindow,
    SeparableFlexConv1d,
    SeparableFlexConv2d,
)

COMMON = [
    ({"in_channels": 0}, r"`in_channels` must be positive, got 0"),
    ({"out_channels": -2}, r"`out_channels` must be positive, got -2"),
    ({"kernel_size": 0}, r"`kernel_size` must be positive, got 0"),
    ({"kernel_size": (3, -1)}, r"`kernel_size` must be positive, got \(3, -1\)"),
    ({"kernel_size": (3, 3, 3)}, r"`kernel_size` must be an integer or 2 of them, got \(3, 3, 3\)"),
    ({"kernel_size": 3.0}, r"`kernel_size` must be an integer or 2 of them, got 3.0"),
    ({"stride": 0}, r"`stride` must be positive, got 0"),
    ({"dilation": 0}, r"`dilation` must be positive, got 0"),
    ({"padding": -1}, r"`padding` must be not negative, got -1"),
    ({"padding": "full"}, r"`padding` must be integers, 'same' or 'valid', got 'full'"),
    ({"padding": "same", "stride": 2}, r"`padding='same'` needs stride 1, got stride=\(2, 2\)"),
    ({"padding_mode": "mirror"}, r"`padding_mode` must be one of zeros, .*, got 'mirror'"),
    ({"engine": "winograd"}, r"`engine` must be one of auto, direct, fft, dft, overlap_save, got 'winograd'"),
    ({"causal": True}, r"`causal` needs one dimension, got 2"),
]


@pytest.mark.parametrize("cls", [CKConv2d, FlexConv2d, SeparableFlexConv2d])
@pytest.mark.parametrize(("wrong", "message"), COMMON)
def test_errors_name_the_argument(cls, wrong, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cls(**{"in_channels": 2, "out_channels": 4, "kernel_size": 3, **wrong})


@pytest.mark.parametrize("cls", [CKConv2d, FlexConv2d])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": 0}, r"`groups` must be positive, got 0"),
        ({"groups": 3}, r"`in_channels` must be divisible by `groups`, got 2 and 3"),
        ({"groups": 2, "out_channels": 3}, r"`out_channels` must be divisible by `groups`, got 3 and 2"),
    ],
)
def test_groups_must_divide(cls, wrong, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"in_channels": 2, "out_channels": 4, "kernel_size": 3, **wrong})


def test_separable_layer_refuses_groups():
    with pytest.raises(ValueError, match=r"`groups` must be 1 for a separable convolution"):
        SeparableFlexConv1d(2, 2, 3, groups=2)


@pytest.mark.parametrize("padding", [1, "valid", (2,)])
def test_causal_layer_refuses_padding(padding):
    with pytest.raises(ValueError, match=r"a causal layer pads by itself"):
        CKConv1d(1, 1, 3, padding=padding, causal=True)


def test_causal_with_same_is_accepted():
    assert CKConv1d(1, 1, 4, padding="same", causal=True)(torch.randn(1, 1, 9)).shape == (1, 1, 9)


@pytest.mark.parametrize(
    ("mode", "padding", "length"), [("reflect", 5, 5), ("circular", 6, 5)], ids=["reflect", "circular"]
)
def test_padding_longer_than_the_signal_is_refused_whatever_the_size(mode, padding, length):
    layer = CKConv1d(1, 1, 11, padding=padding, padding_mode=mode)
    with pytest.raises(ValueError, match=f"{mode} padding of {padding} needs a longer signal than {length}"):
        layer(torch.randn(1, 1, length))
    with pytest.raises(RuntimeError):  # torch refuses it, too
        torch.nn.Conv1d(1, 1, 11, padding=padding, padding_mode=mode)(torch.randn(1, 1, length))


@pytest.mark.parametrize("cls", [CKConv2d, FlexConv2d])
def test_kernel_longer_than_the_padded_signal_is_refused_whatever_the_size(cls):
    # The crop makes a FlexConv's kernel small, but the shape of the output is that of the whole kernel.
    with pytest.raises(ValueError, match="add `padding` or lower `kernel_size`"):
        cls(1, 1, 9)(torch.randn(1, 1, 8, 12))


def test_missing_and_unknown_arguments():
    with pytest.raises(TypeError, match="kernel_size"):
        CKConv2d(1, 1)
    with pytest.raises(TypeError, match="window"):
        CKConv2d(1, 1, 3, window=None)


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_causal_layers_do_not_pad_with_the_future(mode):
    with pytest.raises(ValueError, match=f"cannot pad with later samples: `padding_mode` is '{mode}'"):
        FlexConv1d(1, 1, 9, causal=True, padding_mode=mode)


def test_init_size_and_a_window_s_own_place_exclude_each_other():
    for stated in ({"width": 0.3}, {"centre": 0.3}):
        with pytest.raises(ValueError, match="exclude each other"):
            FlexConv2d(1, 1, 33, init_size=9, window=GaussianWindow(**stated))
    with pytest.raises(ValueError, match="the window's `causal` must be the layer's, False"):
        FlexConv1d(1, 1, 33, window=GaussianWindow(causal=True))


def test_padding_that_does_not_suffice_is_named_in_every_mode():
    for mode in ("zeros", "reflect", "replicate", "circular"):
        layer = FlexConv1d(2, 4, 8, 1, 3, 3, padding_mode=mode)
        with pytest.raises(ValueError, match="add `padding` or lower `kernel_size`"):
            layer(torch.randn(1, 2, 10))


def test_layers_show_the_attributes_of_torch_layers():
    layer = FlexConv2d(4, 8, (5, 7), 2, (1, 2), 3, 4, padding_mode="reflect")
    assert (layer.stride, layer.padding, layer.dilation) == ((2, 2), (1, 2), (3, 3))
    assert (layer.groups, layer.padding_mode) == (4, "reflect")
    assert FlexConv2d(1, 1, 5, padding="same").padding == "same"
