"""Which outputs count, and how much."""

import pytest
import torch

from irstd.losses import DeepSupervision, bce
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
        (1.0, sum(LOSSES)),
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


def test_a_smaller_side_output_meets_the_largest_value_of_each_cell():
    coarse = torch.nn.functional.max_pool2d(MASK, 2)
    side = torch.nn.functional.avg_pool2d(MAPS[1], 2)
    loss = DeepSupervision(bce)(Outputs(MAPS[0], (side,)), MASK)
    torch.testing.assert_close(loss, (LOSSES[0] + bce(side, coarse)) / 2)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"side_weight of at least 0, got -0\.5"):
        DeepSupervision(bce, -0.5)
    criterion = DeepSupervision(bce)
    with pytest.raises(ValueError, match=r"a mask that 3 x 3 cells divide evenly, got 8 x 8"):
        criterion(Outputs(MAPS[0], (torch.zeros(1, 1, 3, 3),)), MASK)
