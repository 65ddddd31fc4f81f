"""Adaptive kernels on MNIST: few parameters, few epochs? Against LeNets and plain networks of equal parameters."""

from .comparison import Comparison, Contestant

ADAPTIVE_MNIST = Comparison(
    "adaptive-mnist",
    shape=(1, 28, 28),
    thresholds=(0.98, 0.985, 0.99),
    contestants={
        "adaptive": Contestant("mnist-adaptive", about="adaptive stem"),
        "plain": Contestant("mnist-adaptive", {"model.name": "plain_lenet"}, "ordinary stem, equal parameters"),
        "frozen": Contestant("mnist-adaptive", {"model.frozen": True}, "adaptive stem as drawn, never trained"),
        "wide": Contestant("mnist-adaptive", {"model.name": "plain_lenet_wide"}, "ordinary stem, equal latency"),
        "lenet5": Contestant("mnist-adaptive", {"model.name": "lenet5", "lr": 0.004}, "LeNet-5"),
        "lenet_caffe": Contestant(
            "mnist-adaptive",
            {"model.name": "lenet_caffe", "lr": 0.004},
            "Caffe's LeNet, and ReLU after its convolutions",
        ),
        "adaptive-1k": Contestant("mnist-adaptive-1k", about="adaptive stem"),
        "plain-1k": Contestant(
            "mnist-adaptive-1k", {"model.name": "plain_lenet_1k"}, "ordinary stem, equal parameters"
        ),
        "frozen-1k": Contestant("mnist-adaptive-1k", {"model.frozen": True}, "adaptive stem as drawn, never trained"),
    },
)
