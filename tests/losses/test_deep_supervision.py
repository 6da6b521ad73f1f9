"""Which outputs count, and how much."""

import pytest
import torch

from irstd.losses import DeepSupervision, FocalDice, FocalIoU, bce
from irstd.types import Outputs

MASK = (torch.arange(64.0).reshape(1, 1, 8, 8) > 60).float()
MAPS = [torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)]
OUTPUTS = Outputs(MAPS[0], tuple(MAPS[1:]))
LOSSES = [bce(x, MASK) for x in MAPS]


@pytest.mark.parametrize(
    ("side_weight", "expected"),
    [
        (None, sum(LOSSES) / 3),
        (0.0, LOSSES[0]),
        (0.5, LOSSES[0] + 0.5 * (LOSSES[1] + LOSSES[2])),
    ],
)
def test_the_weights_of_side_outputs(side_weight, expected):
    criterion = DeepSupervision(bce, side_weight)
    torch.testing.assert_close(criterion(OUTPUTS, MASK), expected)
    torch.testing.assert_close(criterion.of_map(MAPS[0], MASK), LOSSES[0])


@pytest.mark.parametrize("side_weight", [None, 0.0, 0.5])
def test_a_network_without_side_outputs(side_weight):
    loss = DeepSupervision(bce, side_weight)(Outputs(MAPS[0]), MASK)
    torch.testing.assert_close(loss, LOSSES[0])


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"side_weight of at least 0, got -0\.5"):
        DeepSupervision(bce, -0.5)
    for loss in (FocalIoU, FocalDice):
        with pytest.raises(ValueError, match=r"target_weight between 0 and 1, got 1\.0"):
            loss(1.0)
