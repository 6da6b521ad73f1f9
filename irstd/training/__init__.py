"""Training with Lightning."""

from irstd.training.fit import FitResult, device_name, fit

__all__ = ["FitResult", "device_name", "fit"]
