"""Every loss is finite, and so is its gradient, whatever the mask, the logits and their dtype."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.losses.catalogue import LOSSES, Maps

SIDE = 16
SIZES = {"x": SIDE, **{f"same{n}": SIDE for n in range(1, 6)}, "grid": 2}
SIZES |= {f"pyr{n}": SIDE >> n for n in range(4)}
EMPTY, FULL = torch.zeros(1, 1, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
CORNER = F.pad(torch.ones(1, 1, 1, 1), (0, SIDE - 1, 0, SIDE - 1))
MASKS = {
    "empty": EMPTY.repeat(2, 1, 1, 1),
    "full": FULL.repeat(2, 1, 1, 1),
    "one_image": torch.cat([EMPTY, FULL]),
    "corner": torch.cat([EMPTY, CORNER]),
    "soft": torch.cat([EMPTY, 0.01 * CORNER]),
}
LEVELS = (-1e4, -20.0, 0.0, 1e4)


def maps_of(make: object, dtype: torch.dtype) -> Maps:
    """Leaves of all names; `make` takes a shape."""
    shapes = {name: (2, 1, side, side) for name, side in SIZES.items()} | {"patches": (2, 4, 8, 8)}
    leaves = {name: make(shape).to(dtype).requires_grad_() for name, shape in shapes.items()}
    return leaves | {"attention": leaves["x"].flatten(2).softmax(2).reshape(leaves["x"].shape)}


def both_signs(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 1e4 * (2 * torch.rand(shape, generator=generator) - 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_are_finite(name, mask, dtype):
    for make in (both_signs, *(lambda shape, v=v: torch.full(shape, v) for v in LEVELS)):
        maps = maps_of(make, dtype)
        loss = LOSSES[name](maps, MASKS[mask])
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        gradients = [leaf.grad for leaf in maps.values() if leaf.is_leaf and leaf.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_computed_in_float32_under_autocast(name):
    generator = torch.Generator().manual_seed(1)
    half = maps_of(lambda shape: torch.randn(shape, generator=generator), torch.bfloat16)
    mask = (torch.rand(2, 1, SIDE, SIDE, generator=generator) > 0.9).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](half, mask)
    assert loss.dtype == torch.float32
    exact = LOSSES[name]({key: value.float() for key, value in half.items()}, mask)
    torch.testing.assert_close(loss, exact)
