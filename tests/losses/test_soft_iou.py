"""Soft-IoU: what is summed, and that nothing to find costs nothing in the end."""

import pytest
import torch

from irstd.losses import SoftIoU


def test_worked_out_by_hand():
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).reshape(2, 1, 1, 2)
    logits = torch.zeros_like(mask)  # p = 1/2 everywhere
    # First image: I 1/2, A 1, T 1; second: I 1, A 1, T 2; both: I 3/2, A 2, T 3.
    one, other = 1 - 1.5 / 2.5, 1 - 2 / 3
    assert SoftIoU("image", 1.0)(logits, mask).item() == pytest.approx((one + other) / 2)
    assert SoftIoU("batch", 1.0)(logits, mask).item() == pytest.approx(1 - 2.5 / 4.5)


def test_over_one_image_both_are_the_same():
    logits, mask = torch.randn(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    torch.testing.assert_close(SoftIoU("image")(logits, mask), SoftIoU("batch")(logits, mask))


def test_a_black_prediction_of_an_empty_mask_costs_nothing():
    mask = torch.zeros(2, 1, 8, 8)
    assert SoftIoU("batch")(torch.full_like(mask, -50.0), mask).item() == pytest.approx(0, abs=1e-6)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"over image or batch .* got 'set' and 1"):
        SoftIoU("set")
    with pytest.raises(ValueError, match="smoothing above 0, got 'image' and 0"):
        SoftIoU("image", 0.0)
    with pytest.raises(ValueError, match=r"one shape, got \(1, 1, 4, 4\) and \(1, 1, 4, 5\)"):
        SoftIoU()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
