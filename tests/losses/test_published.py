"""Losses against what the published codes compute, value and gradient, from the same logits."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from irstd.losses import (
    DeepSupervision,
    FocalDice,
    FocalIoU,
    PerceptualLoss,
    SoftIoU,
    bce,
    patch_aware,
)
from irstd.losses.focal_dice import dice
from irstd.types import Outputs

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
EXPECTED = json.loads((GOLDEN / "published.json").read_text())
BATCH = SoftIoU("batch", smoothing=1.0)

Maps = dict[str, Tensor]
LOSSES: dict[str, Callable[[Maps, Tensor], Tensor]] = {
    "bce": lambda maps, mask: bce(maps["x"], mask),
    "soft_iou.batch": lambda maps, mask: BATCH(maps["x"], mask),
    "soft_iou.image": lambda maps, mask: SoftIoU("image", 1.0)(maps["x"], mask),
    "focal_iou": lambda maps, mask: FocalIoU()(maps["x"], mask),
    "focal": lambda maps, mask: FocalDice().focal(maps["x"], mask),
    "dice": lambda maps, mask: dice(maps["x"], mask),
    "pqgnet.map": lambda maps, mask: PerceptualLoss().of_map(maps["x"], mask),
    "pqgnet.grid": lambda maps, mask: patch_aware(maps["grid"], mask),
    "pqgnet.masks": lambda maps, mask: PerceptualLoss().masks(outputs(maps, 1, 2, 3), mask),
    "pqgnet.total": lambda maps, mask: PerceptualLoss(0.7)(outputs(maps, 1, 2, 3), mask),
    "dnanet.deep_supervision": lambda maps, mask: DeepSupervision(BATCH)(
        outputs(maps, 3, 4, 5), mask
    ),
    "mpcnet.deep_supervision": lambda maps, mask: DeepSupervision(BATCH)(outputs(maps, 1, 2), mask),
    "sgmp.deep_supervision": lambda maps, mask: DeepSupervision(FocalDice(), 0.5)(
        outputs(maps, 1, 2), mask
    ),
}
GRID = ("pqgnet.grid", "pqgnet.total")  # their code makes the grid of targets in float32


def outputs(maps: Maps, *numbers: int) -> Outputs:
    return Outputs(maps["x"], tuple(maps[f"same{n}"] for n in numbers), grid=maps.get("grid"))


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "f_siou.npz") as one, np.load(GOLDEN / "side_outputs.npz") as other:
        return {**one, **other}


def case_of(arrays: dict[str, np.ndarray], case: str, dtype: torch.dtype) -> tuple[Maps, Tensor]:
    own = {name[2:]: values for name, values in arrays.items() if name.startswith(f"{case}_")}
    mask = torch.from_numpy(own.pop("t")).to(dtype)
    return {k: torch.from_numpy(v).to(dtype).requires_grad_() for k, v in own.items()}, mask


def test_every_entry_has_a_loss():
    assert set(EXPECTED) == set(LOSSES)


@pytest.mark.parametrize(("name", "case"), [(n, c) for n, cases in EXPECTED.items() for c in cases])
def test_value_and_gradient_in_float64(arrays, name, case):
    maps, mask = case_of(arrays, case, torch.float64)
    expected = EXPECTED[name][case]
    loss = LOSSES[name](maps, mask)
    loss.backward()
    relative = 1e-7 if name in GRID else 1e-9
    assert loss.item() == pytest.approx(expected["value"], rel=relative, abs=1e-15)
    for key, gradient in expected["grad"].items():
        got = maps[key].grad.flatten()
        # Terms of both signs cancel in the sum: it is as exact as the terms are.
        assert abs(got.sum().item() - gradient["sum"]) <= 10 * relative * gradient["abs_sum"]
        values = got[gradient["index"]].tolist()
        assert values == pytest.approx(gradient["at"], rel=1e-6, abs=1e-14), key


@pytest.mark.parametrize(("name", "case"), [(n, c) for n, cases in EXPECTED.items() for c in cases])
def test_value_in_float32(arrays, name, case):
    maps, mask = case_of(arrays, case, torch.float32)
    loss = LOSSES[name](maps, mask)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(EXPECTED[name][case]["value"], rel=1e-5)
    assert all(part.grad.isfinite().all() for part in maps.values() if part.grad is not None)


MASKS = {
    "empty": torch.zeros(2, 1, 32, 32),
    "full": torch.ones(2, 1, 32, 32),
    "one_image": torch.cat([torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)]),
}


@pytest.mark.parametrize("level", [-1e4, -20.0, 0.0, 20.0, 1e4])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", LOSSES)
def test_finite_where_masks_are_empty_or_full_and_logits_saturated(name, mask, level):
    keys = ("x", "same1", "same2", "same3", "same4", "same5")
    maps = {key: torch.full((2, 1, 32, 32), level).requires_grad_() for key in keys}
    maps["grid"] = torch.full((2, 1, 2, 2), level).requires_grad_()
    loss = LOSSES[name](maps, MASKS[mask])
    loss.backward()
    assert loss.isfinite()
    assert all(part.grad.isfinite().all() for part in maps.values() if part.grad is not None)


@pytest.mark.parametrize("name", LOSSES)
def test_computed_in_float32_under_autocast(name):
    generator = torch.Generator().manual_seed(1)
    keys = ("x", "same1", "same2", "same3", "same4", "same5")
    half = {key: torch.randn(2, 1, 64, 64, generator=generator).bfloat16() for key in keys} | {
        "grid": torch.randn(2, 1, 4, 4, generator=generator).bfloat16()
    }
    mask = (torch.rand(2, 1, 64, 64, generator=generator) > 0.9).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](half, mask)
    assert loss.dtype == torch.float32
    exact = LOSSES[name]({key: value.float() for key, value in half.items()}, mask)
    torch.testing.assert_close(loss, exact)
