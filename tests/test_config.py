"""params.yaml: everything wrong with it is said at once, with its path."""

import copy
from pathlib import Path

import pydantic
import pytest

from irstd.config import load_params, parse_params, read_yaml
from irstd.errors import ConfigError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tree() -> dict:
    return copy.deepcopy(read_yaml(ROOT / "params.yaml"))


def test_the_project_s_own_file_is_valid():
    params = load_params(ROOT / "params.yaml")
    assert params.profile == "demo"
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        params.seed = 1


def test_all_errors_come_at_once_with_their_paths(tree):
    recipe = tree["train"]["recipes"]["ispanet"]
    recipe["lrr"] = 1
    recipe["crop"]["height"] = 100
    del recipe["epochs"]
    tree["seed"] = "seven"
    tree["evaluate"]["threshold"] = 2
    tree["data"]["fault_policy"] = "ignore"
    with pytest.raises(ConfigError) as error:
        parse_params(tree, "params.yaml")
    lines = str(error.value).splitlines()
    assert len(lines) == 6
    for expected in (
        "params.yaml: train.recipes.ispanet.lrr: unknown key",
        "params.yaml: train.recipes.ispanet.epochs: missing key",
        "params.yaml: train.recipes.ispanet.crop.height: Input should be a multiple of 32, got 100",
        "params.yaml: seed: Input should be a valid integer, got 'seven'",
        "params.yaml: evaluate.threshold: Input should be less than 1, got 2",
    ):
        assert expected in lines
    assert any("data.fault_policy" in line and "repair" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["data"].update(split="idx_427"), "does not exist for source 'generated'"),
        (lambda t: t["data"]["generated"].update(train=0.9, val=0.1), "leave a share for the test"),
        (lambda t: t["train"].update(networks=["ispanet", "acm"]), "no recipe for acm"),
        (lambda t: t["train"].update(networks=["ispanet", "ispanet"]), "names one twice"),
        (lambda t: t["tune"].update(network="acm"), "has no recipe under train.recipes"),
        (lambda t: t["data"]["generated"]["scr"].update(low=9.0, high=2.0), "is above high"),
        (
            lambda t: t["train"]["recipes"]["ispanet"]["optimizer"].update(min_lr=1.0),
            "min_lr 1.0 is above lr",
        ),
    ],
)
def test_impossible_combinations(tree, change, message):
    change(tree)
    with pytest.raises(ConfigError, match=message):
        parse_params(tree, "params.yaml")


def test_a_number_is_no_bool_and_no_text(tree):
    tree["train"]["recipes"]["ispanet"]["epochs"] = True
    with pytest.raises(ConfigError, match=r"epochs: Input should be a valid integer, got True"):
        parse_params(tree, "params.yaml")


def test_1e3_is_a_number(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("min_lr: 0.00001", "min_lr: 1e-5")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").train.recipes["ispanet"].optimizer.min_lr == 1e-5


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
