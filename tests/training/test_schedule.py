"""The learning rate follows the formula of each published recipe."""

import itertools
import math
from pathlib import Path

import pytest

from irstd.config import (
    ConstantParams,
    CosineParams,
    PolyParams,
    RecipeParams,
    StepsParams,
    WarmupCosineParams,
    parse_params,
)
from irstd.profiles import compose
from irstd.training.schedule import learning_rate

PAPER = WarmupCosineParams(name="warmup_cosine", warmup_epochs=5, min_lr=1e-5)


@pytest.fixture(scope="module")
def recipes() -> dict[str, RecipeParams]:
    """Those of the profile `sirst`."""
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(compose(Path(__file__).parents[2], "sirst"))
    return parse_params(tree, "sirst").train.recipes


def rate(recipe: RecipeParams, done: float) -> float:
    return learning_rate(recipe.schedule, recipe.optimizer.lr, done, recipe.epochs)


def test_ispanet_warms_up_over_five_epochs_and_ends_at_the_minimum(recipes):
    rates = [rate(recipes["ispanet"], epoch) for epoch in range(200)]
    assert rates[:5] == pytest.approx([0.01 * k / 6 for k in range(1, 6)])
    assert max(rates) == rates[5] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a >= b for a, b in itertools.pairwise(rates[5:]))
    assert rates[102] == pytest.approx((0.01 + 1e-5) / 2, rel=0.01)


def test_mpcnet_begins_with_an_epoch_at_rate_zero(recipes):
    def published(n: int) -> float:
        if n <= 11:
            return 2e-3 * (n - 1) / 10
        return 1e-4 + (2e-3 - 1e-4) * (1 + math.cos(math.pi * (n - 12) / 990)) / 2

    recipe = recipes["mpcnet"]
    for n in (1, 2, 11, 12, 13, 400, 1000):
        assert rate(recipe, n - 1) == pytest.approx(published(n), rel=1e-12), n
    assert rate(recipe, 0) == 0
    assert rate(recipe, 11) == 2e-3
    assert rate(recipe, 999) == pytest.approx(1.0002e-4, rel=1e-4)


def test_pqgnet_falls_and_rises(recipes):
    recipe = recipes["pqgnet"]
    assert rate(recipe, 0) == rate(recipe, 100) == pytest.approx(1e-3)
    assert rate(recipe, 50) == pytest.approx(1e-5)
    assert rate(recipe, 75) == pytest.approx((1e-3 + 1e-5) / 2)
    assert rate(recipe, 599) == pytest.approx(9.99e-4, rel=1e-3)


def test_sgmp_unet_begins_again_every_ten_epochs(recipes):
    recipe = recipes["sgmp_unet"]
    assert rate(recipe, 0) == rate(recipe, 10) == rate(recipe, 20) == pytest.approx(1e-4)
    for epoch in (1, 9, 14, 29):
        share = (1 + math.cos(math.pi * (epoch % 10) / 10)) / 2
        assert rate(recipe, epoch) == pytest.approx(1e-7 + (1e-4 - 1e-7) * share)


def test_acm_steps_after_200_and_300_epochs(recipes):
    recipe = recipes["acm"]
    assert [rate(recipe, e) for e in (0, 199, 200, 299, 300, 399)] == pytest.approx(
        [5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6]
    )


def test_rdian_runs_the_first_epoch_at_the_full_rate(recipes):
    recipe = recipes["rdian"]
    for epoch in (0, 1, 150, 299):
        published = (1 - epoch / 301) ** 0.9 * (0.005 - 1e-6) + 1e-6
        assert rate(recipe, epoch) == pytest.approx(published, rel=1e-12)


def test_agpcnet_falls_with_every_iteration(recipes):
    recipe = recipes["agpcnet"]
    assert rate(recipe, 0) == 0.05
    assert rate(recipe, 2.5) == pytest.approx(0.05 * 0.5**0.9)
    assert rate(recipe, 5) == 0


@pytest.mark.parametrize(
    ("name", "constant"),
    [("lpnet", 1e-3), ("alcnet", 0.1), ("dnanet", 0.05), ("mtunet", 0.05)],
)
def test_the_others_are_constant(recipes, name, constant):
    assert {rate(recipes[name], epoch) for epoch in (0, 1, 100)} == {constant}


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize(
    "schedule",
    [
        ConstantParams(name="constant"),
        PAPER,
        WarmupCosineParams(name="warmup_cosine", warmup_epochs=0, min_lr=0.0),
        WarmupCosineParams(name="zero_start_cosine", warmup_epochs=0, min_lr=1e-5),
        StepsParams(name="steps", epochs=(1,), factor=0.1),
        PolyParams(name="poly", power=0.9, min_lr=0.0, per="epoch"),
        PolyParams(name="poly", power=0.9, min_lr=0.0, per="iteration"),
        CosineParams(name="cosine", fall_epochs=1, min_lr=0.0),
        CosineParams(name="cosine_restarts", fall_epochs=1, min_lr=0.0),
    ],
)
def test_short_trainings_are_defined(schedule, epochs):
    rates = [learning_rate(schedule, 0.01, epoch, epochs) for epoch in range(epochs)]
    assert all(0 <= value <= 0.01 + 1e-15 for value in rates)
    assert max(rates) > 0
