"""Optimisers as recipes name them, two rates, schedules per epoch and per step."""

from typing import Any

import pytest
import torch
from torch import nn

from irstd.config import CosineParams, PolyParams, RecipeParams
from irstd.errors import ModelError
from irstd.training.optimizer import make_optimizer, make_schedule, parameter_groups


def network() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Linear(2, 3), "head": nn.Linear(3, 1)})


def changed(recipe: RecipeParams, **optimizer: Any) -> RecipeParams:
    tree = recipe.model_dump()
    tree["optimizer"] |= optimizer
    return type(recipe).model_validate_json(
        type(recipe).model_construct(**tree).model_dump_json(warnings=False)
    )


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"name": "adagrad"}, torch.optim.Adagrad),
        ({"name": "adam"}, torch.optim.Adam),
        ({"name": "adamw", "weight_decay": 0.01}, torch.optim.AdamW),
        ({"name": "sgd", "momentum": 0.9}, torch.optim.SGD),
    ],
)
def test_each_name_gives_its_optimizer(recipe, settings, kind):
    chosen = changed(recipe, **settings).optimizer
    optimizer = make_optimizer(network(), chosen, ())
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert len(group["params"]) == 4
    assert group["lr"] == 0.01
    assert group["weight_decay"] == settings.get("weight_decay", 0.0)
    if kind is torch.optim.SGD:
        assert group["momentum"] == 0.9


def test_the_backbone_has_a_rate_of_its_own(recipe):
    settings = changed(recipe, backbone_lr=0.001).optimizer
    others, backbone = parameter_groups(network(), settings, ("encoder.",))
    assert (others["lr"], backbone["lr"]) == (0.01, 0.001)
    assert [p.shape for p in backbone["params"]] == [(3, 2), (3,)]
    with pytest.raises(ModelError, match="pretrained part, and this network has none"):
        parameter_groups(network(), settings, ())


def test_frozen_parameters_are_left_out(recipe):
    net = network()
    net["encoder"].requires_grad_(False)
    (group,) = parameter_groups(net, recipe.optimizer, ())
    assert len(group["params"]) == 2


def test_the_floor_holds_for_both_rates(recipe):
    chosen = changed(recipe, lr=1e-4, backbone_lr=1e-5).model_copy(
        update={"schedule": CosineParams(name="cosine_restarts", fall_epochs=2, min_lr=1e-6)}
    )
    optimizer = make_optimizer(network(), chosen.optimizer, ("encoder.",))
    schedule = make_schedule(optimizer, chosen, 10)
    assert schedule["interval"] == "epoch"
    seen = []
    for _ in range(3):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule["scheduler"].step()
    assert seen == [
        pytest.approx([1e-4, 1e-5]),
        pytest.approx([(1e-4 + 1e-6) / 2, (1e-5 + 1e-6) / 2]),
        pytest.approx([1e-4, 1e-5]),
    ]


def test_poly_per_iteration_is_stepped_by_batches(recipe):
    poly = PolyParams(name="poly", power=0.9, min_lr=0.0, per="iteration")
    chosen = recipe.model_copy(update={"schedule": poly, "epochs": 3})
    optimizer = make_optimizer(network(), chosen.optimizer, ())
    schedule = make_schedule(optimizer, chosen, 4)
    assert schedule["interval"] == "step"
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates == pytest.approx([0.01 * (1 - step / 12) ** 0.9 for step in range(12)])
