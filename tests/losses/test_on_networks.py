"""Losses of the published networks' own outputs, against what the published loss codes give there.

The figures are those of tests/golden/losses/README.md; the outputs are made again by the networks
with the weights of `fill.py`.
"""

import pytest
import torch
from torch import Tensor

from irstd.losses import DeepSupervision, PerceptualLoss, SoftIoU, patch_aware
from irstd.models import build_network, network_spec
from irstd.types import Outputs
from tests.models.golden import golden, load


def three_targets() -> Tensor:
    mask = torch.zeros(1, 1, 256, 256, dtype=torch.float64)
    mask[..., 40:43, 100:104] = 1
    mask[..., 200:202, 15:18] = 1
    mask[..., 120:130, 159:162] = 1
    return mask


def outputs_of(name: str, kind: str) -> Outputs:
    reference = golden(name)
    network = load(build_network(name), network_spec(name), reference.state()).double()
    with torch.no_grad():
        return network.outputs(reference.input((1, 1, 256, 256), kind=kind).double())


@pytest.mark.slow
def test_pqgnet():
    outputs, mask, loss = outputs_of("pqgnet", "unit"), three_targets(), PerceptualLoss()
    maps = [loss.of_map(x, mask).item() for x in (*outputs.side, outputs.logits)]
    expected = [154.366314, 22.870350, 189.484934, 36.956627, 1.567139]
    assert maps == pytest.approx(expected, rel=1e-5)
    assert loss.masks(outputs, mask).item() == pytest.approx(41.308106, rel=1e-5)
    assert patch_aware(outputs.grid, mask).item() == pytest.approx(5.013975, rel=1e-5)
    assert loss(outputs, mask).item() == pytest.approx(44.817888, rel=1e-5)


@pytest.mark.slow
def test_mpcnet():
    outputs, mask = outputs_of("mpcnet", "normal"), three_targets()
    loss = SoftIoU("batch", 1.0)
    maps = [loss(x, mask).item() for x in (outputs.logits, *outputs.side)]
    assert maps == pytest.approx([0.999243, 0.999441, 0.999242], abs=1e-6)
    assert DeepSupervision(loss)(outputs, mask).item() == pytest.approx(0.999308, abs=1e-6)
