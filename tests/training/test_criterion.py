"""Every loss that a recipe can name becomes the criterion it means."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from irstd.config import LossParams, load_params
from irstd.losses import SLS, DeepSupervision, FSIoU, bce, bce_of_probabilities, edge
from irstd.training.criterion import make_criterion
from irstd.types import Outputs

ROOT = Path(__file__).parents[2]
RECIPE = load_params(ROOT / "profiles" / "demo.yaml").train.recipes["ispanet"]
ELEMENTARY: dict[str, dict[str, Any]] = {
    "soft_iou": {"over": "image", "smoothing": 1.0},
    "f_siou": {"alpha": 1.0, "gamma": 3.0, "smoothing": 1.0, "reduction": "image"},
    "sls": {"location": True, "last_warm_epoch": 5},
    "bce": {},
    "bce_of_probabilities": {},
    "edge": {},
    "focal": {"target_weight": 0.25, "pixels": "mean"},
    "dice": {"images": "mean", "extra_overlap": False},
    "focal_iou": {"target_weight": 0.75},
    "focal_dice": {"target_weight": 0.25},
}
NAMES = {
    name
    for group in get_args(LossParams)
    for name in get_args(group.model_fields["name"].annotation)
}
OUTPUTS = Outputs(
    40 * torch.eye(8).repeat(2, 1, 1, 1) - 20,
    (torch.linspace(-1, 1, 32).reshape(2, 1, 4, 4),),
)
MASK = torch.zeros(2, 1, 8, 8)
MASK[0, 0, 2:4, 3:6] = 1


def criterion_of(name: str, **changes: Any):
    settings = {"name": name, "side_weight": None, **ELEMENTARY[name], **changes}
    return make_criterion(type(RECIPE)(**{**dict(RECIPE), "loss": settings}).loss)


def test_all_names_are_known_and_listed_beside_the_parameters():
    assert set(ELEMENTARY) | {"perceptual", "local_patch"} == NAMES
    line = next(x for x in (ROOT / "params.yaml").read_text().splitlines() if "| focal_dice" in x)
    assert set(line.split("#")[1].split()) >= NAMES
    assert all(name in (ROOT / "docs" / "losses.md").read_text() for name in NAMES)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_every_loss_of_one_map_trains_any_network(name):
    maps = OUTPUTS.logits.clone().requires_grad_()
    criterion = criterion_of(name)
    criterion.start_epoch(0)
    loss = criterion(Outputs(maps, OUTPUTS.side), MASK)
    loss.backward()
    assert loss.isfinite()
    assert maps.grad.any()


@pytest.mark.parametrize(
    ("name", "changes", "loss"),
    [
        ("f_siou", {}, FSIoU(1, 3)),
        ("f_siou", {"reduction": "mean_then_power"}, FSIoU(1, 3, reduction="mean_then_power")),
        ("f_siou", {"reduction": "batch"}, FSIoU(1, 3, reduction="batch")),
        ("bce", {}, bce),
        ("bce_of_probabilities", {}, bce_of_probabilities),
        ("edge", {}, edge),
        ("sls", {"last_warm_epoch": None}, SLS()),
        ("sls", {"last_warm_epoch": None, "location": False}, SLS(location=False)),
    ],
)
def test_names_and_settings_choose_the_loss(name, changes, loss):
    expected = DeepSupervision(loss, 0.5)(OUTPUTS, MASK)
    assert criterion_of(name, side_weight=0.5, **changes)(OUTPUTS, MASK) == expected


def test_sls_begins_with_the_plain_ratio_of_the_prediction():
    criterion = criterion_of("sls")
    criterion.start_epoch(5)
    warm = SLS(scale=False, location=False)
    assert criterion(OUTPUTS, MASK) == warm(OUTPUTS.logits, MASK)
    criterion.start_epoch(6)
    assert criterion(OUTPUTS, MASK) == DeepSupervision(SLS())(OUTPUTS, MASK)
