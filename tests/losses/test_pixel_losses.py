"""Focal, Dice and edge loss against their limits and by hand. Values: test_published."""

import math

import pytest
import torch

from irstd.losses import Dice, Focal, FocalDice, FocalIoU, bce, bce_of_probabilities, edge

MASK = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).reshape(1, 1, 2, 2)
PERFECT = 200 * (MASK - 0.5)


def test_focal_of_undecided_pixels_is_a_quarter_of_their_weighted_entropy():
    logits = torch.zeros_like(MASK)
    total = math.log(2) / 4 * (0.25 + 3 * 0.75)
    assert Focal(0.25, "sum")(logits, MASK).item() == pytest.approx(total)
    assert Focal(0.25, "mean")(logits, MASK).item() == pytest.approx(total / 4)
    twice = Focal(0.25, "mean")(logits.repeat(2, 1, 1, 1), MASK.repeat(2, 1, 1, 1))
    assert twice.item() == pytest.approx(total / 2)


def test_the_extra_overlap_charges_a_perfect_prediction():
    assert Dice()(PERFECT, MASK).item() == pytest.approx(0, abs=1e-6)
    assert Dice(extra_overlap=True)(PERFECT, MASK).item() == pytest.approx(1 - 3 / 4)
    logits, mask = torch.cat([PERFECT, -PERFECT]), MASK.repeat(2, 1, 1, 1)
    wrong = 1 - 1 / 5  # three pixels found, one missed
    assert Dice("mean")(logits, mask).item() == pytest.approx(wrong / 2)
    assert Dice("sum")(logits, mask).item() == pytest.approx(wrong)


def test_edge_by_hand():
    steep, flat = math.sqrt(1 + 1e-6), math.sqrt(1e-6)
    # A single bright pixel is the neighbour of two others, which alone see a difference.
    logits = [flat, steep, steep, flat]
    entropy = [math.log1p(math.exp(x)) - x / (1 + math.exp(-x)) for x in logits]
    assert edge(PERFECT, MASK).item() == pytest.approx(sum(entropy) / 4, rel=1e-5)


def test_probabilities_and_logits_agree_where_nothing_rounds():
    logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = (logits.roll(1, -1) > 1).float()
    torch.testing.assert_close(bce_of_probabilities(logits, mask), bce(logits, mask))


def test_wrong_arguments_are_named():
    for loss in (FocalIoU, FocalDice, Focal):
        with pytest.raises(ValueError, match=r"target_weight between 0 and 1, got 1\.0; see train"):
            loss(1.0)
    with pytest.raises(ValueError, match="pixels mean or sum, got 'max'"):
        Focal(pixels="max")
    with pytest.raises(ValueError, match="images mean or sum, got 'max'"):
        Dice("max")
