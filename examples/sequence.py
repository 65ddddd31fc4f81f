"""Classify noisy series by their period with a causal network whose kernels grow to cover it.

    python examples/sequence.py

Each series is a sine of random phase in noise; its period, 8 to 40 steps, is the class. The kernels start with a few
samples and may take up to LENGTH.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern import create_model, size_parameters, sizes

LENGTH, NOISE, BATCH, STEPS = 96, 1.0, 64, 120
PERIODS = torch.tensor([8.0, 13.0, 20.0, 40.0])


def make_batch(count: int) -> tuple[Tensor, Tensor]:
    """Return series (count, 1, LENGTH) and their classes."""
    labels = torch.randint(len(PERIODS), (count,))
    times = torch.arange(LENGTH) / PERIODS[labels].unsqueeze(1)
    phases = torch.rand(count, 1)
    waves = torch.sin(2 * torch.pi * (times + phases))
    series = waves + NOISE * torch.randn(waves.shape)
    return series.unsqueeze(1), labels


def train(model: nn.Module) -> None:
    """Train on new series in every step; sizes have a learning rate of their own."""
    learned_sizes = size_parameters(model)
    identities = {id(parameter) for parameter in learned_sizes}
    weights = [parameter for parameter in model.parameters() if id(parameter) not in identities]
    optimiser = torch.optim.Adam([{"params": weights, "lr": 1e-2}, {"params": learned_sizes, "lr": 2e-2}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        series, labels = make_batch(BATCH)
        loss = F.cross_entropy(model(series), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def accuracy(model: nn.Module, count: int = 1000) -> float:
    """Return the fraction of new series classified correctly."""
    series, labels = make_batch(count)
    with torch.no_grad():
        classes = model.eval()(series).argmax(dim=1)
    return (classes == labels).float().mean().item()


def main() -> None:
    """Train the network; print its sizes and its accuracy."""
    torch.manual_seed(0)
    model = create_model("flextcn2", in_channels=1, classes=len(PERIODS), kernel_size=LENGTH, width=8)
    start = [size[0] for size in sizes(model).values()]
    train(model)
    learned = [size[0] for size in sizes(model).values()]
    print(f"sizes from the input to the output: {start} at the start, {learned} learned")
    print(f"accuracy: {100 * accuracy(model):.1f} % of 1,000 new series")


if __name__ == "__main__":
    main()
