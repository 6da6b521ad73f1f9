"""A network of clips whose logits are known by hand: for tests of what is around it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import ModelFacts
from irstd.models import registry
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

NAME = "tiny_clip"
FRAMES, TARGET_FRAME = 3, 1
SIZES = SizeRule(multiple=8)
WEIGHTS = (-8.0, 20.0, 4.0)
"""Of the frames of a clip; unequal, so that their order shows."""
BIAS = -6.0


class Weighted(Network):
    """A weighted sum of the frames."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__(NAME, in_channels, SIZES, FRAMES)
        self.point = nn.Conv2d(FRAMES * in_channels, 1, 1)
        weights = torch.tensor(WEIGHTS).repeat_interleave(in_channels) / in_channels
        self.point.weight.data.copy_(weights.reshape(1, -1, 1, 1))
        nn.init.constant_(self.point.bias, BIAS)

    def forward(self, image: Tensor) -> Tensor:
        return self.point(self.admit(image).flatten(1, 2))


SPEC = NetworkSpec(
    name=NAME,
    build=Weighted,
    paper="none",
    sizes=SIZES,
    dynamic_axes=("batch",),
    fixed_reason="a test of fixed sizes",
    frames=FRAMES,
    target_frame=TARGET_FRAME,
    fit="resize",
    fit_size=(64, 128),
)


def register_tiny_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the network into the registry for the rest of a test."""
    monkeypatch.setitem(registry.NETWORKS, NAME, SPEC)


def tiny_clip_facts() -> ModelFacts:
    """Facts of the network as its training would leave them."""
    provenance = {"profile": "test", "fingerprint": "f" * 64}
    return ModelFacts(NAME, {"in_channels": 1}, Preprocessing.of(SPEC, 1), 0.5, provenance)


def expected_logits(clip: np.ndarray) -> np.ndarray:
    """Logits (H, W) of a clip (T, H, W) in [0, 1] of a size the network is used at."""
    return np.tensordot(WEIGHTS, clip.astype(np.float64), 1) + BIAS
