"""Remove noise with one adaptive kernel, against ordinary convolutions.

    python examples/denoise.py

The adaptive kernel starts as a bilateral filter, an average over neighbours of similar value, and is then trained.
Images are overlapping rectangles of constant grey, so keeping edges matters.
"""

import torch
from torch import Tensor, nn

from flexkern import AdaptiveConv2d

SIDE, NOISE, BATCH, STEPS = 24, 0.1, 16, 350
BORDER = {"padding": "same", "padding_mode": "reflect"}


class Residual(nn.Module):
    """Subtract the noise that two ordinary layers estimate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.noise = nn.Sequential(
            nn.Conv2d(1, width, 3, **BORDER),
            nn.ReLU(),
            nn.Conv2d(width, 1, 3, **BORDER),
        )

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy - self.noise(noisy)


def draw_images(count: int) -> Tensor:
    """Return images (count, 1, SIDE, SIDE) of six random rectangles each."""
    rows = torch.arange(SIDE).view(1, SIDE, 1)
    columns = torch.arange(SIDE).view(1, 1, SIDE)
    images = torch.rand(count, 1, 1).expand(count, SIDE, SIDE)
    for _ in range(6):
        top, left = torch.randint(SIDE - 4, (2, count, 1, 1))
        height, width = torch.randint(4, SIDE, (2, count, 1, 1))
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        images = torch.where(inside, torch.rand(count, 1, 1), images)
    return images.unsqueeze(1)


def add_noise(images: Tensor) -> Tensor:
    """Return the images with normal noise of standard deviation NOISE."""
    return images + NOISE * torch.randn(images.shape)


def psnr(images: Tensor, clean: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB; the peak is 1."""
    return -10 * (images - clean).square().mean().log10().item()


def train(model: nn.Module, images: Tensor) -> None:
    """Train on random images, with new noise in every step."""
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        clean = images[torch.randint(len(images), (BATCH,))]
        loss = (model(add_noise(clean)) - clean).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def main() -> None:
    """Train three models and print how well they remove the noise."""
    torch.manual_seed(0)
    models = {
        "one ordinary 5x5 kernel": nn.Conv2d(1, 1, 5, **BORDER),
        "two ordinary 3x3 layers": Residual(5),
        "one adaptive 3x3 kernel": AdaptiveConv2d(1, 1, 3, **BORDER, bias=False, squash="gaussian", normalize=True),
    }
    images, clean = draw_images(1024), draw_images(64)
    noisy = add_noise(clean)
    print(f"{'noisy images':24} {psnr(noisy, clean):.2f} dB")
    for name, model in models.items():
        train(model, images)
        with torch.no_grad():
            result = psnr(model(noisy), clean)
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"{name:24} {result:.2f} dB, {count} parameters")


if __name__ == "__main__":
    main()
