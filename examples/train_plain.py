"""Learn kernel sizes in a training loop of your own: plain torch, no Lightning.

    python examples/train_plain.py

The task has a known answer: blur noise with a Gaussian of width 3 samples. The layer learns the kernel and its size,
from an initial kernel that is far too small.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from flexkern import FlexConv1d, size_parameters, sizes

WIDTH, STEPS = 3.0, 501


def gaussian() -> Tensor:
    """Return the kernel to learn, of norm 1 and shape (1, 1, 31)."""
    taps = torch.exp(-0.5 * (torch.arange(-15.0, 16) / WIDTH).square())
    return (taps / taps.norm()).view(1, 1, -1)


def parameter_groups(layer: FlexConv1d) -> list[dict]:
    """Return the groups of an optimiser: sizes get a learning rate of their own."""
    learned_sizes = size_parameters(layer)
    identities = {id(parameter) for parameter in learned_sizes}
    weights = [parameter for parameter in layer.parameters() if id(parameter) not in identities]
    return [{"params": weights, "lr": 3e-3}, {"params": learned_sizes, "lr": 3e-2}]


def main() -> None:
    """Train the layer; print its loss and its size."""
    torch.manual_seed(0)
    blur = gaussian()
    layer = FlexConv1d(1, 1, kernel_size=65, padding="same", init_size=5)
    optimiser = torch.optim.Adam(parameter_groups(layer))
    for step in range(STEPS):
        signal = torch.randn(16, 1, 256)
        target = F.conv1d(signal, blur, padding="same")
        loss = (layer(signal) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}, learned size {sizes(layer)['']}")


if __name__ == "__main__":
    main()
