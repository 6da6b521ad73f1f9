"""What each value may be by itself, and that the tables agree with those they stand for."""

import inspect
from typing import get_type_hints

import pytest

from irstd.cli import DataSet
from irstd.config import SPLITS, Recipes, load_params, parse_params
from irstd.data.sources import SOURCES
from irstd.errors import ConfigError
from irstd.models import NETWORKS


def test_every_published_source_can_be_chosen_and_added():
    published = {name: tuple(source.splits) for name, source in SOURCES.items()}
    assert published == {name: splits for name, splits in SPLITS.items() if name != "generated"}
    assert {name.value for name in DataSet} == set(SOURCES)


def test_every_network_has_a_recipe_that_names_all_its_arguments():
    recipes = get_type_hints(Recipes)
    assert set(recipes) == set(NETWORKS)
    for name, recipe in recipes.items():
        arguments = recipe.model_fields["network"].annotation.model_fields
        assert set(arguments) == set(inspect.signature(NETWORKS[name].build).parameters), name
        assert all(field.is_required() for field in arguments.values()), name


def test_a_recipe_s_network_has_that_network_s_type(root):
    recipes = load_params(root / "params.yaml").train.recipes
    assert "ispanet" in recipes
    assert "acm" not in recipes
    arguments = recipes["ispanet"].network.model_dump()
    assert arguments == {"in_channels": 1, "width": 16, "variant": "B", "topdown": "R"}


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("train.recipes.ispanet.network", {"wdith": 64}, "network.wdith: unknown key"),
        (
            "train.recipes.ispanet.network",
            {"width": 17},
            "network.width: .* multiple of 16, got 17",
        ),
        ("train.recipes.ispanet.network", {"width": 0}, "network.width: .* greater than or equal"),
        ("train.recipes.ispanet.network", {"variant": "Z"}, "network.variant: .*'D', got 'Z'"),
        ("train.recipes.ispanet.network", {"topdown": "Q"}, "network.topdown: .*'P', got 'Q'"),
        ("train.recipes.ispanet.network", {"in_channels": 0}, "network.in_channels: .*got 0"),
        ("train.recipes", {"acm": {}}, "train.recipes.acm: unknown key"),
        ("train", {"networks": ["acm"]}, "train.networks.0: expected one of: ispanet; got 'acm'"),
        ("train", {"networks": []}, "train.networks: .* at least 1 item"),
        ("tune", {"network": "acm"}, "tune.network: expected one of: ispanet; got 'acm'"),
        ("data", {"source": "coco"}, "data.source: expected one of: generated, sirst; got 'coco'"),
        ("data", {"split": "any"}, "data.split: expected one of: seeded, .*; got 'any'"),
        ("validate.mean", {"high": 1.5}, "validate.mean.high: .* less than or equal to 1, got 1.5"),
        ("data.generated", {"noise_std": 1.5}, "noise_std: .* less than or equal to 1, got 1.5"),
        ("data.generated", {"noise_std": 0.0}, "noise_std: .* greater than 0, got 0"),
        ("data.generated.targets_per_image", {"high": 5000}, "high: .* less than or equal to 1000"),
        ("train.recipes.ispanet.augmentation", {"noise_std": 2}, "noise_std: .* equal to 1, got 2"),
        ("train.recipes.ispanet.optimizer", {"lr": 1e9}, "optimizer.lr: .* equal to 10"),
        ("train.recipes.ispanet.loss", {"alpha": float("inf")}, "loss.alpha: .*finite number"),
        ("validate.scr_median", {"high": float("nan")}, "scr_median.high: .*finite number"),
    ],
)
def test_nonsense_is_refused(tree, place, changes, message):
    group = tree
    for name in place.split("."):
        group = group[name]
    group |= changes
    with pytest.raises(ConfigError, match=message):
        parse_params(tree, "params.yaml")
