"""SLS and its location term by hand, and the change after the first epochs. Values: published."""

import math

import pytest
import torch

from irstd.losses import SLS, DeepSupervision, WarmStart, bce, location
from irstd.types import Outputs

SURE = 200.0  # its sigmoid is 0 or 1


def two_of_four() -> tuple[torch.Tensor, torch.Tensor]:
    """Target: 4 pixels; found: the 2 left ones of them."""
    mask, found = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 4:6] = 1
    found[..., 2:4, 4:5] = 1
    return SURE * (found - 0.5), mask


def test_worked_out_by_hand():
    logits, mask = two_of_four()
    # I 2, A 2, T 4, U 4, D 1: the ratio 1/2, its weight 3/5.
    assert SLS(scale=False, location=False)(logits, mask).item() == pytest.approx(1 - 1 / 2)
    assert SLS(location=False)(logits, mask).item() == pytest.approx(1 - 3 / 5 / 2)
    # Sums over 64 pixels of column/8 and row/8: found (1, 5/8), target (9/4, 5/4).
    radius, true_radius = math.hypot(1, 5 / 8) / 64, math.hypot(9 / 4, 5 / 4) / 64
    turned = 4 / math.pi**2 * (math.atan(5 / 8) - math.atan(5 / 9)) ** 2
    term = 1 - radius / true_radius + turned
    assert location(logits, mask).item() == pytest.approx(term, rel=1e-4)  # e is left out here
    assert SLS()(logits, mask).item() == pytest.approx(1 - 3 / 5 / 2 + term, rel=1e-4)


def test_a_perfect_prediction_costs_nothing():
    _, mask = two_of_four()
    assert SLS()(SURE * (mask - 0.5), mask).item() == pytest.approx(0, abs=1e-5)


def test_an_image_without_target_costs_one_even_where_nothing_is_found():
    mask = torch.zeros(1, 1, 8, 8)
    for level in (-SURE, 0.0):
        assert SLS(location=False)(torch.full_like(mask, level), mask).item() == 1


def test_the_first_epochs_have_another_criterion():
    logits, mask = two_of_four()
    first, then = DeepSupervision(SLS(), 0), DeepSupervision(bce)
    criterion, outputs = WarmStart(first, then, 5), Outputs(logits, (logits / 100,))
    for epoch, current in ((None, first), (6, then), (5, first)):
        if epoch is not None:
            criterion.start_epoch(epoch)
        assert criterion(outputs, mask) == current(outputs, mask)
        assert criterion.of_map(logits, mask) == current.of_map(logits, mask)
    with pytest.raises(ValueError, match=r"last_epoch of at least 0, got -1; see train\.recipes"):
        WarmStart(first, then, -1)
