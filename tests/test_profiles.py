"""Profiles compose into a complete params.yaml, and edits are never lost by switching."""

import itertools
import shutil
from pathlib import Path

import pytest

from irstd.config import load_params, read_yaml
from irstd.errors import ConfigError
from irstd.profiles import compose, missing_source, profile_names, use_profile

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    use_profile(tmp_path, "demo", discard_edits=False)
    return tmp_path


def test_the_parameters_are_those_of_the_profile_they_name():
    path = ROOT / "params.yaml"
    assert path.read_text() == compose(ROOT, read_yaml(path)["profile"])


def test_every_profile_is_valid(root):
    assert profile_names(root) == [
        "demo", "demo-all", "sirst", "sirst-cpu", "sirst-hr", "sirst-v2-field", "smoke",
        "synthesis-clips",
    ]  # fmt: skip
    for name in profile_names(root):
        use_profile(root, name, discard_edits=False)
        assert load_params(root / "params.yaml").profile == name


def test_the_paper_s_recipe(root):
    use_profile(root, "sirst", discard_edits=False)
    recipe = load_params(root / "params.yaml").train.recipes["ispanet"]
    assert (recipe.crop.height, recipe.crop.width, recipe.epochs, recipe.batch_size) == (
        256,
        256,
        200,
        8,
    )
    schedule, loss = recipe.schedule, recipe.loss
    assert (recipe.optimizer.lr, schedule.min_lr, schedule.warmup_epochs) == (0.01, 1e-5, 5)
    assert (loss.alpha, loss.gamma, loss.smoothing) == (2, 2, 1)
    assert recipe.network.width == 64


def test_the_first_lines_are_of_the_profile_itself(root):
    for name in profile_names(root):
        text = (root / "profiles" / f"{name}.yaml").read_text()
        own = list(itertools.takewhile(lambda line: line.startswith("# "), text.splitlines()))
        lines = compose(root, name).splitlines()
        assert own
        assert lines[: len(own)] == own
        assert lines[len(own)].startswith("# `irstd profile NAME` writes params.yaml")
        assert lines[len(own) + 1] == f"profile: {name}"


def test_a_profile_without_a_header_gets_none_of_another(root):
    (root / "profiles" / "mine.yaml").write_text("seed: 1\n")
    first, second, *_ = compose(root, "mine").splitlines()
    assert first.startswith("# `irstd profile NAME`")
    assert second == "profile: mine"


def test_a_source_without_its_files_is_named(root):
    assert missing_source(root) is None
    use_profile(root, "sirst", discard_edits=False)
    assert missing_source(root) == "sirst"
    (root / "data" / "raw" / "sirst").mkdir(parents=True)
    assert missing_source(root) is None


def test_switching_back_restores_the_text(root):
    before = (root / "params.yaml").read_text()
    use_profile(root, "smoke", discard_edits=False)
    assert (root / "params.yaml").read_text() != before
    use_profile(root, "demo", discard_edits=False)
    assert (root / "params.yaml").read_text() == before


def test_edits_are_not_lost(root):
    path = root / "params.yaml"
    edited = path.read_text().replace("batch_size: 8", "batch_size: 4")
    path.write_text(edited)
    with pytest.raises(ConfigError, match=r"\+      batch_size: 4(.|\n)*--discard-edits"):
        use_profile(root, "smoke", discard_edits=False)
    assert path.read_text() == edited
    use_profile(root, "smoke", discard_edits=True)
    assert load_params(path).profile == "smoke"


def test_a_group_of_another_kind_is_replaced_whole(root):
    recipe = "train: {recipes: {acm: {optimizer: {name: sgd, %s}, batch_size: 4}}}\n"
    profile = root / "profiles" / "mine.yaml"
    profile.write_text(recipe % "lr: 0.1, momentum: 0.9, weight_decay: 0.0, backbone_lr: null")
    use_profile(root, "mine", discard_edits=False)
    acm = load_params(root / "params.yaml").train.recipes["acm"]
    assert (acm.optimizer.name, acm.optimizer.momentum) == ("sgd", 0.9)
    assert (acm.batch_size, acm.epochs) == (4, 22)
    profile.write_text(recipe % "lr: 0.1")
    with pytest.raises(ConfigError, match=r"recipes\.acm\.optimizer\.momentum: "):
        use_profile(root, "mine", discard_edits=True)


def test_unknown_profiles_and_keys(root):
    with pytest.raises(ConfigError, match="unknown profile 'big'; choose one of: demo, demo-all"):
        use_profile(root, "big", discard_edits=False)
    (root / "profiles" / "mine.yaml").write_text("train: {recipe: {}}\n")
    with pytest.raises(ConfigError, match=r"profiles/mine.yaml: train.recipe: unknown key"):
        use_profile(root, "mine", discard_edits=False)
    (root / "profiles" / "mine.yaml").write_text("seed: x\n")
    with pytest.raises(ConfigError, match=r"profiles/mine.yaml: seed: Input should be"):
        use_profile(root, "mine", discard_edits=False)
    assert load_params(root / "params.yaml").profile == "demo"
