"""Learn kernel sizes in a training loop of your own: plain torch, no Lightning.

    python examples/train_plain.py

Makes a task whose answer is known - blur noise with a Gaussian of width 3 samples - and learns the kernel and its
size from an initial kernel that is far too small.
"""

import torch

from flexkern import FlexConv1d, size_parameters, sizes

torch.manual_seed(0)

taps = torch.exp(-0.5 * (torch.arange(-15.0, 16) / 3).square())
blur = (taps / taps.norm()).view(1, 1, -1)

layer = FlexConv1d(1, 1, kernel_size=65, padding="same", init_size=5)
size_ids = {id(p) for p in size_parameters(layer)}
optimiser = torch.optim.Adam(
    [
        {"params": [p for p in layer.parameters() if id(p) not in size_ids], "lr": 3e-3},
        {"params": size_parameters(layer), "lr": 3e-2},  # sizes get a learning rate of their own
    ]
)

for step in range(501):
    signal = torch.randn(16, 1, 256)
    target = torch.nn.functional.conv1d(signal, blur, padding="same")
    loss = (layer(signal) - target).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.4f}, learned size {sizes(layer)['']}")
