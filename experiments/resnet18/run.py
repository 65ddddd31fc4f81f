"""ResNet-18 on CIFAR-10, plain and with an adaptive stem, as the paper has it: hours on a GPU."""

from .comparison import Comparison, Contestant

RESNET18 = Comparison(
    "resnet18",
    shape=(3, 32, 32),
    thresholds=(0.8, 0.9, 0.94),
    contestants={
        "plain": Contestant("cifar10-adaptive-resnet18", {"model.name": "resnet18"}, "plain"),
        "stem": Contestant("cifar10-adaptive-resnet18", about="adaptive stem"),
        "everywhere": Contestant(
            "cifar10-adaptive-resnet18",
            {"model.name": "resnet18", "model.adaptive": "everywhere"},
            "adaptive everywhere",
        ),
    },
)
