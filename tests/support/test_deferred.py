"""Parts that are configured first and built by their layer."""

import inspect
import pickle

import pytest

from flexkern import GaussianWindow, MAGNet
from flexkern._support.deferred import Deferred


class Part(metaclass=Deferred):
    def __init__(self, dims, channels=1, *, hidden=32):
        self.dims, self.channels, self.hidden = dims, channels, hidden


def test_complete_arguments_build():
    assert isinstance(Part(2), Part)
    assert Part(dims=3, hidden=4).hidden == 4


def test_options_alone_give_a_factory():
    part = Part(hidden=8)(2, 5)
    assert (part.dims, part.channels, part.hidden) == (2, 5, 8)
    assert not isinstance(Part(), Part)


def test_options_can_be_overridden_and_factories_pickled():
    assert Part(hidden=8)(2, hidden=9).hidden == 9
    assert pickle.loads(pickle.dumps(MAGNet(hidden=8)))(1, 1).num_features == 8


@pytest.mark.parametrize(
    "call", [lambda: Part(hiden=8), lambda: Part(1, hiden=8), lambda: MAGNet(3), lambda: Part(1, 2, 3)]
)
def test_wrong_arguments_fail_at_once(call):
    with pytest.raises(TypeError):
        call()


def test_misspelt_option_of_a_window_fails_where_it_is_written():
    with pytest.raises(TypeError, match="treshold"):
        GaussianWindow(treshold=0.2)


def test_signature_is_that_of_the_class():
    assert list(inspect.signature(MAGNet.__init__).parameters)[1:5] == ["dims", "channels", "hidden", "layers"]
