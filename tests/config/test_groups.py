"""What each value may be by itself, and that the tables agree with those they stand for."""

import inspect
from typing import get_type_hints

import pytest

from irstd.config import SPLITS, Recipes, load_params, parse_params
from irstd.config.splits import MADE
from irstd.data.sources import SOURCES
from irstd.errors import ConfigError
from irstd.models import NETWORKS


def test_every_source_can_be_chosen():
    published = {name: tuple(source.splits) for name, source in SOURCES.items()}
    assert published == {name: splits for name, splits in SPLITS.items() if name not in MADE}


def test_every_network_has_a_recipe_that_names_all_its_arguments():
    recipes = get_type_hints(Recipes)
    assert set(recipes) == {name for name, spec in NETWORKS.items() if not spec.variant_of}
    for name, recipe in recipes.items():
        arguments = recipe.model_fields["network"].annotation.model_fields
        assert set(arguments) == set(inspect.signature(NETWORKS[name].build).parameters), name
        assert all(field.is_required() for field in arguments.values()), name


def test_a_recipe_s_network_has_that_network_s_type(root):
    recipes = load_params(root / "profiles" / "demo.yaml").train.recipes
    assert set(recipes) == set(get_type_hints(Recipes))
    assert recipes["acm"].network.model_dump() == {"in_channels": 1, "blocks": 3}
    arguments = recipes["ispanet"].network.model_dump()
    assert arguments == {"in_channels": 1, "width": 16, "variant": "B", "topdown": "R"}


def test_a_choice_without_a_name_is_asked_for_it(tree):
    del tree["train"]["recipes"]["ispanet"]["schedule"]["name"]
    with pytest.raises(ConfigError, match=r"ispanet\.schedule\.name: missing key"):
        parse_params(tree, "params.yaml")


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
        ("train.recipes", {"unet": {}}, "train.recipes.unet: unknown key"),
        ("train", {"networks": ["unet"]}, "train.networks.0: expected one of: ispanet, .*'unet'"),
        ("train", {"networks": ["acm_full"]}, "train.networks.0: expected one of: .*'acm_full'"),
        ("train", {"networks": []}, "train.networks: .* at least 1 item"),
        ("tune", {"network": "unet"}, "tune.network: expected one of: ispanet, .*; got 'unet'"),
        (
            "data",
            {"source": "coco"},
            "data.source: expected one of: generated, synthesis, .*got 'coco'",
        ),
        ("data", {"split": "any"}, "data.split: expected one of: seeded, .*; got 'any'"),
        ("validate.mean", {"high": 1.5}, "validate.mean.high: .* less than or equal to 1, got 1.5"),
        ("data.generated", {"noise_std": 1.5}, "noise_std: .* less than or equal to 1, got 1.5"),
        ("data.generated", {"noise_std": 0.0}, "noise_std: .* greater than 0, got 0"),
        ("data.generated.targets_per_image", {"high": 5000}, "high: .* less than or equal to 1000"),
        ("train.recipes.ispanet.augmentation", {"noise_std": 2}, "noise_std: .* equal to 1, got 2"),
        ("train.recipes.ispanet.optimizer", {"lr": 1e9}, "optimizer.lr: .* equal to 10"),
        ("train.recipes.ispanet.loss", {"alpha": float("inf")}, "loss.alpha: .*finite number"),
        ("train.recipes.ispanet.loss", {"over": "batch"}, "ispanet.loss.over: unknown key"),
        ("train.recipes.ispanet.loss", {"name": "hinge"}, "loss.name: .*'f_siou', .*'hinge'"),
        (
            "train.recipes.acm.loss",
            {"name": "perceptual"},
            "recipes.acm.loss.name: expected one of: .*'focal_dice'; got 'perceptual'",
        ),
        (
            "train.recipes.pqgnet.loss",
            {"name": "local_patch"},
            "recipes.pqgnet.loss.name: expected one of: .*'perceptual'; got 'local_patch'",
        ),
        (
            "train.recipes.lpnet.loss",
            {"name": "perceptual"},
            "recipes.lpnet.loss.name: expected one of: .*'local_patch'; got 'perceptual'",
        ),
        ("train.recipes.acm", {"inference_size": {"height": 4}}, "inference_size.width: missing"),
        ("train.recipes.ispanet.optimizer", {"momentum": 0.9}, "optimizer.momentum: unknown key"),
        ("train.recipes.ispanet.optimizer", {"name": "sgd"}, "optimizer.momentum: missing key"),
        ("train.recipes.ispanet.schedule", {"name": "steps"}, "schedule.epochs: missing key"),
        ("train.recipes.ispanet.augmentation.geometry", {"name": "stretch"}, "window: missing key"),
        ("train.recipes.ispanet.augmentation", {"mask": "most"}, "augmentation.mask: .*'most'"),
        ("train.recipes.ispanet.crop", {"height": 4}, "crop.height: .*equal to 8, got 4"),
        ("train.recipes.ispanet", {"pretrained": "a.pth"}, "ispanet.pretrained: unknown key"),
        ("data", {"mask_threshold": -1}, "data.mask_threshold: .* equal to 0, got -1"),
        ("data.synthesis", {"material": "raw/sirst"}, "synthesis.material: .*'raw/sirst'"),
        ("data.synthesis.targets", {"name": "real"}, "one of: 'simulated', 'pasted'; got 'real'"),
        ("build.size", {"method": "stretch"}, "build.size.method: .*'crop', got 'stretch'"),
        ("drift", {"least_images": 5}, "drift.least_images: .* equal to 20, got 5"),
        ("train", {"added_targets": {"share": 0.5}}, "train.added_targets.count: missing key"),
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
