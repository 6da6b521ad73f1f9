"""F-SIoU against closed forms computed in float64 and against its limits."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from irstd.losses import FSIoU

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
EXPECTED = json.loads((GOLDEN / "f_siou.json").read_text())
SETTING = re.compile(r"f_siou\.alpha(\S+)\.gamma(\S+)\.lambda(\S+)\.(\w+)")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "f_siou.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("case", "ABCDE")
def test_value_and_gradient(arrays, name, case):
    *numbers, reduction = SETTING.fullmatch(name).groups()
    expected = EXPECTED[name][case]
    logits = torch.from_numpy(arrays[f"{case}_x"]).double().requires_grad_()
    mask = torch.from_numpy(arrays[f"{case}_t"]).double()
    loss = FSIoU(*map(float, numbers), reduction)(logits, mask)
    loss.backward()
    # The file has 15 digits; sums of a few thousand float64 terms keep 9.
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9, abs=1e-15)
    gradient = expected["grad"]["x"]
    got = logits.grad.flatten()
    assert got.sum().item() == pytest.approx(gradient["sum"], rel=1e-7, abs=1e-12)
    assert got[gradient["index"]].tolist() == pytest.approx(gradient["at"], rel=1e-7, abs=1e-15)


@pytest.mark.parametrize("entry", json.loads((GOLDEN / "one_pixel.json").read_text()))
def test_one_pixel(entry):
    """Eqs. 9, 11 and 23 of the paper, which hold for a one-pixel image."""
    probability = torch.full((1, 1, 1, 1), entry["p"], dtype=torch.float64)
    logits = probability.logit().requires_grad_()
    mask = torch.full_like(probability, entry["t"])
    loss = FSIoU(entry["alpha"], entry["gamma"], entry["lam"])(logits, mask)
    loss.backward()
    assert loss.item() == pytest.approx(entry["loss"], rel=1e-9)
    assert logits.grad.item() == pytest.approx(entry["grad"], rel=1e-9)


def test_power_is_applied_per_image(arrays):
    logits, mask = torch.from_numpy(arrays["A_x"]), torch.from_numpy(arrays["A_t"]).float()
    loss = FSIoU()
    single = torch.stack([loss(x[None], t[None]) for x, t in zip(logits, mask, strict=True)])
    torch.testing.assert_close(loss(logits, mask), single.mean())


def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 2:4] = 1
    logits = (200 * (mask - 0.5)).requires_grad_()
    loss = FSIoU(1.0, 0.5, 1.0)(logits, mask)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad.isfinite().all()


def test_half_precision_is_computed_in_float32():
    mask = torch.ones(1, 1, 512, 512)  # the sum of 262,144 ones overflows float16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = FSIoU()(torch.full_like(mask, 20, dtype=torch.bfloat16), mask)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="image, mean_then_power or batch, got 'pixel'"):
        FSIoU(reduction="pixel")
    with pytest.raises(ValueError, match=r"above 0, got 0\.0, 2\.0 and 1\.0"):
        FSIoU(alpha=0.0)
    with pytest.raises(ValueError, match=r"one shape, got \(1, 1, 4, 4\) and \(1, 1, 4, 5\)"):
        FSIoU()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
