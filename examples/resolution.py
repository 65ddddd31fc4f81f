"""Train on small images, then use the network on images of twice the resolution.

    python examples/resolution.py

Each image is a plane wave of random direction in noise; the number of waves across the image is the class. Continuous
kernels are sampled anew for the finer grid. An ordinary convolution keeps its taps and sees waves of another length.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern import FlexConv2d, alias_penalty, at_resolution, refresh_norms

SIDE, NOISE, BATCH, STEPS, WIDTH = 16, 0.3, 32, 150, 8
WAVES = torch.tensor([1.0, 2.0, 3.5, 5.5])


def make_batch(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Return images (count, 1, side, side) and their classes."""
    labels = torch.randint(len(WAVES), (count,))
    angles = torch.pi * torch.rand(count, 1, 1)
    phases = torch.rand(count, 1, 1)
    centres = (torch.arange(side) + 0.5) / side  # pixels cover the same extent at every resolution
    along = angles.cos() * centres.view(1, side, 1) + angles.sin() * centres.view(1, 1, side)
    images = torch.sin(2 * torch.pi * (WAVES[labels].view(-1, 1, 1) * along + phases))
    noise = torch.randn(count, 1, SIDE, SIDE)
    return images.unsqueeze(1) + NOISE * F.interpolate(noise, (side, side), mode="bilinear"), labels


class Classifier(nn.Module):
    """Two convolutions, the mean over the image, a linear map."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            first,
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            second,
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
        )
        self.head = nn.Linear(WIDTH, len(WAVES))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean(dim=(2, 3)))


def train(model: nn.Module, penalty: float) -> None:
    """Train on new images of SIDE pixels; ``penalty`` is the weight of the alias penalty."""
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        images, labels = make_batch(BATCH, SIDE)
        loss = F.cross_entropy(model(images), labels)
        if penalty:
            loss = loss + penalty * alias_penalty(model)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def accuracy(model: nn.Module, side: int) -> str:
    """Return the accuracy on 1,000 new images as text."""
    images, labels = make_batch(1000, side)
    with torch.no_grad():
        classes = model.eval()(images).argmax(dim=1)
    return f"{100 * (classes == labels).float().mean().item():.1f} %"


def main() -> None:
    """Train both networks at one resolution and print their accuracy at two."""
    torch.manual_seed(0)
    flexible = Classifier(
        FlexConv2d(1, WIDTH, 17, padding="same"),
        FlexConv2d(WIDTH, WIDTH, 17, padding="same"),
    )
    train(flexible, penalty=0.1)
    fine = at_resolution(flexible, 2.0)
    unlabelled = [make_batch(BATCH, 2 * SIDE)[0] for _ in range(4)]
    refreshed = refresh_norms(at_resolution(flexible, 2.0), unlabelled)
    print(f"FlexConv, {SIDE} pixels: {accuracy(flexible, SIDE)}")
    print(f"FlexConv, {2 * SIDE} pixels: {accuracy(fine, 2 * SIDE)}")
    print(f"FlexConv, {2 * SIDE} pixels, norms refreshed: {accuracy(refreshed, 2 * SIDE)}")

    ordinary = Classifier(
        nn.Conv2d(1, WIDTH, 5, padding="same"),
        nn.Conv2d(WIDTH, WIDTH, 5, padding="same"),
    )
    train(ordinary, penalty=0.0)
    print(f"nn.Conv2d 5x5, {SIDE} pixels: {accuracy(ordinary, SIDE)}")
    print(f"nn.Conv2d 5x5, {2 * SIDE} pixels: {accuracy(ordinary, 2 * SIDE)}")


if __name__ == "__main__":
    main()
