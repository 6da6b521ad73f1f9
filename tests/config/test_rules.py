"""What values owe each other."""

import pytest

from irstd.config import parse_params
from irstd.config.rules import broken_rules
from irstd.errors import ConfigError


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("data", {"split": "nuaa"}, "split 'nuaa' does not exist for source 'generated'"),
        ("data", {"source": "sirst"}, "data: split 'seeded' does not .* it has: idx_427, idx_320"),
        ("data.generated", {"train": 0.9, "val": 0.1}, "leave a share for the test part"),
        ("data.generated", {"val": 0.0}, "train 0.6 and val 0.0 must be positive"),
        ("data.generated.scr", {"low": 9.5}, "data.generated.scr: low 9.5 is above high 9.0"),
        (
            "data.synthesis",
            {"material": "data/processed/demo"},
            "data.synthesis.material data/processed/demo is what this profile makes",
        ),
        ("drift", {"least_images": 600}, "drift: least_images 600 is above most_images 500"),
        ("validate.mean", {"low": 0.999}, "validate.mean: low 0.999 is above high 0.995"),
        ("train.recipes.ispanet", {"validate_every": 13}, "validate_every 13 is above epochs 12"),
        (
            "train.recipes.ispanet.schedule",
            {"min_lr": 1.0},
            "ispanet: schedule.min_lr 1.0 is above optimizer.lr 0.01",
        ),
        (
            "train.recipes.ispanet.schedule",
            {"warmup_epochs": 12},
            "ispanet: schedule.warmup_epochs 12 is not below epochs 12",
        ),
        (
            "train.recipes.sgmp_unet.optimizer",
            {"backbone_lr": 1e-9},
            "schedule.min_lr 1e-07 is above optimizer.backbone_lr 1e-09",
        ),
        (
            "train.recipes.sgmp_unet",
            {"pretrained": "swin.pth"},
            "sgmp_unet: pretrained 'swin.pth' needs optimizer.backbone_lr, .*published: 0.00001",
        ),
        ("train.recipes.acm.schedule", {"epochs": [15, 22]}, r"epochs \[15, 22\] do not rise, or"),
        ("train.recipes.acm.schedule", {"epochs": [9, 9]}, r"epochs \[9, 9\] do not rise, or"),
        ("train.recipes.acm.normalisation", {"std": [1.0, 2.0]}, "has 1 means and 2 deviations"),
        (
            "train.recipes.rdian.normalisation",
            {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]},
            "has 3 means and 3 deviations; .*in_channels 1 of each",
        ),
        (
            "train.recipes.alcnet.augmentation.geometry",
            {"pad": "mean"},
            "alcnet: augmentation.geometry.pad 'mean' needs one normalisation.mean, not 3",
        ),
        ("train.recipes.acm.crop", {"width": 160}, "transpose 0.5 needs a square crop, not 128 x"),
        (
            "train.recipes.lpnet.loss",
            {"stride": 5},
            "lpnet: loss.stride 5 is not network.stride 10",
        ),
        (
            "train",
            {"recipes": {}},
            "train: no recipe for ispanet, acm; add train.recipes.<network>",
        ),
        ("train", {"recipes": {}}, "tune.network 'ispanet' has no recipe in train.recipes"),
        ("export", {"sizes": [[2, 2], [3, 5], [2, 2]]}, r"export\.sizes: .* names one twice"),
        ("tune", {"network": "acm"}, "'acm' has the loss 'soft_iou', not 'f_siou'"),
        ("tune", {"widths": []}, r"'ispanet' needs at least one value in tune.widths, got \[\]"),
        ("tune", {"widths": [16, 32, 16]}, r"tune\.widths: \[16, 32, 16\] names one twice"),
        ("tune", {"trials": 13}, "tune: trials 13 is above attempts 12"),
        ("tune", {"min_epochs": 3}, "tune: min_epochs 3 is above epochs 2"),
    ],
)
def test_impossible_combinations(tree, place, changes, message):
    group = tree
    for name in place.split("."):
        group = group[name]
    group |= changes
    with pytest.raises(ConfigError, match=message):
        parse_params(tree, "params.yaml")


def test_equal_bounds_and_no_warm_up_are_possible(tree):
    tree["data"]["generated"]["scr"] = {"low": 5.0, "high": 5.0}
    tree["train"]["recipes"]["ispanet"] |= {"epochs": 1, "validate_every": 1}
    tree["train"]["recipes"]["ispanet"]["schedule"] |= {"warmup_epochs": 0, "min_lr": 0.01}
    assert parse_params(tree, "params.yaml").train.recipes["ispanet"].epochs == 1


def test_a_network_without_width_is_tuned_without_widths(tree):
    acm = tree["train"]["recipes"]["acm"]
    acm["loss"] = tree["train"]["recipes"]["ispanet"]["loss"]
    tree["tune"] |= {"network": "acm"}
    with pytest.raises(ConfigError, match=r"'acm' needs no value in tune.widths, got \[16, 32\]"):
        parse_params(tree, "params.yaml")
    tree["tune"] |= {"widths": []}
    assert parse_params(tree, "params.yaml").tune.widths == ()


def test_duplicates_are_reported_beside_missing_recipes(tree):
    tree["train"] |= {"networks": ["ispanet", "ispanet"], "recipes": {}}
    with pytest.raises(ConfigError) as error:
        parse_params(tree, "params.yaml")
    assert str(error.value).splitlines() == [
        "params.yaml: (top level): tune.network 'ispanet' has no recipe in train.recipes",
        "params.yaml: train.networks: ['ispanet', 'ispanet'] names one twice",
        "params.yaml: train: no recipe for ispanet; add train.recipes.<network>",
    ]


def test_rules_read_valid_values_only():
    content = {"a": {"low": "x", "high": 1}, "b": {"low": 3, "high": 1}, "c": {"low": 3}, "d": [3]}
    fault = [("a", "low")]
    assert list(broken_rules(content, fault)) == [(("b",), "low 3 is above high 1")]
    assert list(broken_rules(content, [*fault, ("b", "high")])) == []
    assert list(broken_rules(content, [*fault, ("b",)])) == []


def test_rules_read_a_list_as_a_whole_and_of_a_group_the_names():
    content = {"networks": ["one", "two"], "recipes": {"one": {"epochs": 0}}}
    missing = [((), "no recipe for two; add train.recipes.<network>")]
    assert list(broken_rules(content, [("recipes", "one", "epochs")])) == missing
    assert list(broken_rules(content, [("networks", 1)])) == []
