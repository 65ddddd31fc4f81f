"""The one place that imports Lightning and torchmetrics, so that a missing extra gives one clear error."""

try:
    import torchmetrics as torchmetrics
    from lightning import pytorch as lightning
except ImportError as error:
    raise ImportError("training needs the `train` extra: pip install 'flexkern[train]'.") from error

__all__ = ["lightning", "torchmetrics"]
