"""The learning rate follows the recipe of ISPANet, V-A."""

import itertools

import pytest

from irstd.config import OptimizerParams
from irstd.training.module import rate

PAPER = OptimizerParams(lr=0.01, min_lr=1e-5, warmup_epochs=5)


def test_it_warms_up_over_five_epochs_and_ends_at_the_minimum():
    rates = [0.01 * rate(epoch, 200, PAPER) for epoch in range(200)]
    assert rates[:5] == pytest.approx([0.01 * k / 6 for k in range(1, 6)])
    assert max(rates) == rates[5] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a >= b for a, b in itertools.pairwise(rates[5:]))


def test_half_way_down_it_is_the_mean_of_both_ends():
    assert 0.01 * rate(102, 200, PAPER) == pytest.approx((0.01 + 1e-5) / 2, rel=0.01)


@pytest.mark.parametrize("epochs", [1, 2])
def test_short_trainings_are_defined(epochs):
    none = OptimizerParams(lr=0.01, min_lr=1e-5, warmup_epochs=0)
    assert rate(0, epochs, none) == 1
    assert 0 < rate(epochs - 1, epochs, PAPER) <= 1
