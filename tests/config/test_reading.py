"""params.yaml: everything wrong with it is said at once, with its path."""

import pydantic
import pytest

from irstd.config import load_params, parse_params
from irstd.errors import ConfigError


def complaints(tree: dict) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_params(tree, "params.yaml")
    return str(error.value).splitlines()


def test_the_demo_profile_is_valid_and_frozen(root):
    params = load_params(root / "profiles" / "demo.yaml")
    assert params.profile == "demo"
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        params.seed = 1


def test_all_errors_come_at_once_with_their_paths(tree):
    recipe = tree["train"]["recipes"]["ispanet"]
    recipe["lrr"] = 1
    recipe["crop"]["height"] = 4
    del recipe["epochs"]
    tree["seed"] = "seven"
    tree["evaluate"]["threshold"] = 2
    tree["data"]["fault_policy"] = "ignore"
    lines = complaints(tree)
    assert len(lines) == 6
    for expected in (
        "params.yaml: train.recipes.ispanet.lrr: unknown key",
        "params.yaml: train.recipes.ispanet.epochs: missing key",
        "params.yaml: train.recipes.ispanet.crop.height: "
        "Input should be greater than or equal to 8, got 4",
        "params.yaml: seed: Input should be a valid integer, got 'seven'",
        "params.yaml: evaluate.threshold: Input should be less than 1, got 2",
    ):
        assert expected in lines
    assert any("data.fault_policy" in line and "repair" in line for line in lines)


def test_broken_rules_come_with_the_faults_of_single_values(tree):
    recipe = tree["train"]["recipes"]["ispanet"]
    recipe["lrr"] = 1
    recipe["optimizer"] |= {"lr": "fast"}
    recipe["schedule"] |= {"warmup_epochs": 99}
    recipe["validate_every"] = 50
    tree["data"] |= {"split": "idx_427", "val_fraction": 2.0}
    tree["data"]["generated"] |= {"train": 0.9, "scr": {"low": 9.0, "high": 2.0, "mid": 3.0}}
    tree["tune"] |= {"trials": 20, "study": "a/b"}
    lines = complaints(tree)
    assert len(lines) == 11
    for expected in (
        "data.val_fraction: Input should be less than 1, got 2.0",
        "data: split 'idx_427' does not exist for source 'generated'; it has: seeded",
        "data.generated.scr.mid: unknown key",
        "data.generated.scr: low 9.0 is above high 2.0",
        "train.recipes.ispanet.lrr: unknown key",
        "train.recipes.ispanet: validate_every 50 is above epochs 12",
        "train.recipes.ispanet: schedule.warmup_epochs 99 is not below epochs 12",
        "tune: trials 20 is above attempts 12",
    ):
        assert f"params.yaml: {expected}" in lines
    assert any(".optimizer.lr: Input should be a valid number" in line for line in lines)
    assert any("data.generated: train 0.9 and val 0.15 must" in line for line in lines)
    assert any("tune.study: " in line for line in lines)


def test_a_number_is_no_bool_and_no_text(tree):
    tree["train"]["recipes"]["ispanet"]["epochs"] = True
    assert complaints(tree) == [
        "params.yaml: train.recipes.ispanet.epochs: Input should be a valid integer, got True"
    ]


def test_1e3_is_a_number(root, tmp_path):
    text = (root / "profiles" / "demo.yaml").read_text().replace("min_lr: 0.00001", "min_lr: 1e-5")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").train.recipes["ispanet"].schedule.min_lr == 1e-5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected a mapping of parameter groups, got list"),
        ("a: [1", "not valid YAML"),
        ("", "expected a mapping"),
        ("when: 2024-01-01\n", "has no JSON form"),
    ],
)
def test_files_that_are_no_parameters(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_params(path)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ConfigError, match="run the command in the project's folder"):
        load_params(tmp_path / "params.yaml")
