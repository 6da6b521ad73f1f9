"""The loss of LPNet against its formulas written out with NumPy and loops."""

import math

import numpy as np
import pytest
import torch

from irstd.losses import LocalPatchLoss, spread_map
from irstd.types import Outputs


def written_out(mask: np.ndarray, sigma: float) -> np.ndarray:
    """D of one image, by the shifted spectrum of the paper's code."""
    height, width = mask.shape
    rows, cols = np.mgrid[:height, :width]
    distance = (rows - height / 2) ** 2 + (cols - width / 2) ** 2
    kernel = 1e-5 + np.exp(-distance / (2 * sigma**2))
    spectrum = np.fft.fftshift(np.fft.fft2(mask)) * kernel
    blurred = np.abs(np.real(np.fft.ifft2(np.fft.ifftshift(spectrum))))
    low, high = blurred.min(), blurred.max()
    if high - low <= 1e-3:
        return np.zeros_like(mask)
    scaled = (blurred - low) / (high - low)
    return scaled / scaled.sum()


def masks() -> torch.Tensor:
    batch = torch.zeros(3, 1, 60, 50, dtype=torch.float64)
    batch[0, 0, 20:23, 10:12] = 1
    batch[1, 0, 0, 49] = 1  # the blur runs around the border
    return batch


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_the_spread_map(sigma):
    got = spread_map(masks(), sigma)
    for image, mask in zip(got, masks(), strict=True):
        np.testing.assert_allclose(image[0], written_out(mask[0].numpy(), sigma), atol=1e-12)
    assert got.sum((1, 2, 3)).tolist() == pytest.approx([1, 1, 0])


def test_around_one_pixel_it_is_a_gaussian():
    mask = torch.zeros(1, 1, 120, 120, dtype=torch.float64)
    mask[0, 0, 60, 60] = 1
    spread = spread_map(mask, 5.0)[0, 0]
    deviation = 120 / (2 * math.pi * 5)
    for step in (1, 3, 6):
        expected = math.exp(-(step**2) / (2 * deviation**2))
        assert (spread[60, 60 + step] / spread[60, 60]).item() == pytest.approx(expected, rel=0.02)


def outputs_of(shape: tuple[int, int], side: int, stride: int) -> Outputs:
    generator = torch.Generator().manual_seed(3)
    count = math.prod((size - side) // stride + 1 for size in shape)
    patches = torch.randn(3, count, side, side, generator=generator, dtype=torch.float64)
    attention = torch.rand(3, 1, *shape, generator=generator, dtype=torch.float64)
    attention = attention / attention.sum((2, 3), keepdim=True)
    return Outputs(torch.zeros(3, 1, *shape), patches=patches, attention=attention)


def test_both_parts_written_out():
    outputs, mask = outputs_of((60, 50), 30, 10), masks()
    entropies = []
    for n in range(3):
        corners = [(row, col) for row in (0, 10, 20, 30) for col in (0, 10, 20)]
        for patch, (row, col) in zip(outputs.patches[n], corners, strict=True):
            target = mask[n, 0, row : row + 30, col : col + 30]
            p = patch.sigmoid()
            entropies.append(-(target * p.log() + (1 - target) * (1 - p).log()).mean())
    first = torch.stack(entropies).mean()
    torch.testing.assert_close(LocalPatchLoss(10, None)(outputs, mask), first)
    targets = torch.stack([torch.from_numpy(written_out(m[0].numpy(), 20.0))[None] for m in mask])
    second = sum(((outputs.attention[n] - targets[n]) ** 2).sum() for n in range(3)) / 3
    torch.testing.assert_close(LocalPatchLoss(10, 20.0)(outputs, mask), first + second)


@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
def test_finite_where_masks_are_empty_or_full_and_logits_saturated(fill, level):
    patches = torch.full((2, 4, 30, 30), level).requires_grad_()
    attention = torch.full((2, 1, 40, 40), 1 / 1600).requires_grad_()
    outputs = Outputs(torch.zeros(2, 1, 40, 40), patches=patches, attention=attention)
    loss = LocalPatchLoss(10, 20.0)(outputs, torch.full((2, 1, 40, 40), fill))
    loss.backward()
    assert loss.isfinite()
    assert patches.grad.isfinite().all()
    assert attention.grad.isfinite().all()


def test_what_does_not_fit_is_named():
    mask = masks()
    with pytest.raises(
        ValueError, match=r"expected 35 patches .* stride 5, got 12; .*loss\.stride"
    ):
        LocalPatchLoss(5)(outputs_of((60, 50), 30, 10), mask)
    with pytest.raises(ValueError, match="network with the output 'patches', as lpnet has"):
        LocalPatchLoss()(Outputs(mask), mask)
    with pytest.raises(ValueError, match=r"stride and sigma above 0, got 10 and 0\.0"):
        LocalPatchLoss(10, 0.0)
