"""Facts about a network that everything around it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

Fit = Literal["pad", "resize"]


@dataclass(frozen=True)
class NetworkSpec:
    """Facts of one network, stated in its own file.

    Attributes:
        name: model id.
        build: callable that takes keywords (`in_channels` among them) and returns the network.
        paper: full citation with DOI.
        size_multiple: legal heights and widths are multiples of this, in pixels.
        dynamic_axes: names of the ONNX input's free axes, of `batch`, `height`, `width`.
        mean: subtracted from the image in [0, 1] before the network.
        std: the image is divided by this after the subtraction.
        fit: how inference brings an image to a legal size: `pad` with zeros below and at the right
            (cropped from the output), or `resize` to the nearest legal size.
        parity: largest |ONNX - torch| of the logits, in standard deviations of the torch logits.
        parity_reason: measured float32 noise, where `parity` is above 1e-3.
    """

    name: str
    build: Callable[..., nn.Module]
    paper: str
    size_multiple: int
    dynamic_axes: tuple[Literal["batch", "height", "width"], ...]
    mean: float = 0.0
    std: float = 1.0
    fit: Fit = "pad"
    parity: float = 1e-3
    parity_reason: str = ""
