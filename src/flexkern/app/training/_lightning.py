"""The only imports of Lightning and torchmetrics, so that a missing extra gives one clear error."""

try:
    import torchmetrics
    from lightning import pytorch as lightning
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.plugins.io import TorchCheckpointIO
except ImportError as error:
    raise ImportError("training needs the `train` extra: pip install 'flexkern[train]'.") from error

__all__ = ["MisconfigurationException", "TorchCheckpointIO", "lightning", "torchmetrics"]
