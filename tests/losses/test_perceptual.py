"""The loss of PQGNet: cells, a batch without target, and what it needs. Values: test_published."""

import pytest
import torch

from irstd.losses import PerceptualLoss, bce, patch_aware
from irstd.types import Outputs


def test_a_cell_holds_a_target_where_any_pixel_does_even_a_soft_one():
    mask = torch.zeros(1, 1, 32, 32)
    mask[0, 0, 15, 16] = 0.01
    cells = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).reshape(1, 1, 2, 2)
    grid = torch.tensor([[1.0, 2.0], [-3.0, 0.5]]).reshape(1, 1, 2, 2)
    expected = bce(grid, cells) + 1 - torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(patch_aware(grid, mask), expected)


def test_without_target_the_cross_entropy_is_left():
    grid, mask = torch.randn(2, 1, 2, 2), torch.zeros(2, 1, 32, 32)
    torch.testing.assert_close(patch_aware(grid, mask), bce(grid, torch.zeros_like(grid)) + 1)


def test_the_prediction_counts_six_times_a_side_output():
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 3:5, 3:5] = 1
    maps = [torch.randn(1, 1, 32, 32) for _ in range(5)]
    loss = PerceptualLoss()
    expected = 0.6 * loss.of_map(maps[0], mask) + sum(0.1 * loss.of_map(x, mask) for x in maps[1:])
    got = loss.masks(Outputs(maps[0], tuple(maps[1:])), mask)
    torch.testing.assert_close(got, expected)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"mask that 3 x 2 cells divide evenly, got 32 x 32"):
        patch_aware(torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 32, 32))
    with pytest.raises(ValueError, match=r"mask that 16 x 16 cells divide evenly, got 32 x 8"):
        patch_aware(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 32, 8))
    with pytest.raises(ValueError, match=r"network with the output 'grid', as pqgnet has"):
        PerceptualLoss()(Outputs(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"grid_weight of at least 0, got -1"):
        PerceptualLoss(-1.0)
