"""A network that finds bright points and is exported in seconds: for tests of what is around it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from irstd.export.onnx import export_onnx
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import ModelFacts
from irstd.models import registry
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

MULTIPLE = 8
SIZES = SizeRule(multiple=MULTIPLE)


class Bright(Network):
    """Logit 20 x - 10: above 0 exactly where a pixel is above half of the range.

    A convolution of zero weight and a sampling down and up make it depend on the size.
    """

    def __init__(self, in_channels: int = 1, gain: float = 20.0) -> None:
        super().__init__("tiny", in_channels, SIZES)
        self.point = nn.Conv2d(in_channels, 1, 1)
        self.around = nn.Conv2d(in_channels, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.point.weight, gain / in_channels)
        nn.init.constant_(self.point.bias, -gain / 2)
        nn.init.zeros_(self.around.weight)

    def forward(self, image: Tensor) -> Tensor:
        image = self.admit(image)
        half = nn.functional.max_pool2d(self.around(image), 2)
        wide = nn.functional.interpolate(half, size=image.shape[-2:], mode="bilinear")
        return self.point(image) + wide


SPEC = NetworkSpec(
    name="tiny",
    build=Bright,
    paper="none",
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
)


def register_tiny(monkeypatch: pytest.MonkeyPatch, **changes: object) -> NetworkSpec:
    """Put the network into the registry, with changes to its SPEC, for the rest of a test."""
    spec = replace(SPEC, **changes)  # type: ignore[arg-type]
    monkeypatch.setitem(registry.NETWORKS, "tiny", spec)
    return spec


def tiny_facts(**preprocessing: object) -> ModelFacts:
    """Facts of the network, with changes to its pre-processing."""
    facts = {
        "in_channels": 1,
        "mean": (0.0,),
        "std": (1.0,),
        "sizes": SIZES,
        "fit": "pad",
        "fit_size": None,
        "fill": None,
    }
    prepared = Preprocessing(**(facts | preprocessing))  # type: ignore[arg-type]
    arguments: dict[str, int | float | bool | str] = {"in_channels": prepared.in_channels}
    return ModelFacts(
        "tiny", arguments, prepared, 0.5, {"profile": "test", "fingerprint": "f" * 64}
    )


def tiny_network(in_channels: int = 1) -> Bright:
    """The network in evaluation mode."""
    torch.manual_seed(0)
    return Bright(in_channels).eval()


@cache
def tiny_onnx() -> bytes:
    """The exported network; made once per test run."""
    return export_onnx(tiny_network(), SPEC, tiny_facts()).SerializeToString()


def write_tiny_onnx(path: Path) -> Path:
    """Write the exported network to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tiny_onnx())
    return path
