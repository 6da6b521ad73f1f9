import subprocess
from pathlib import Path

import pytest

from irstd.config import Params
from irstd.tracking.provenance import code_version, environment, flatten, run_params


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    (tmp_path / "a.txt").write_text("a")
    for arguments in (["init", "-q"], ["add", "a.txt"], [*identity, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_and_whether_files_differ_from_it(repository: Path) -> None:
    commit, dirty = code_version(repository)
    assert len(commit) == 40
    assert dirty == "false"
    (repository / "untracked.txt").write_text("b")
    assert code_version(repository) == (commit, "false")
    (repository / "a.txt").write_text("changed")
    assert code_version(repository) == (commit, "true")


def test_without_a_repository_or_git_the_version_is_unknown(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert code_version(repository) == ("unknown", "unknown")


def test_a_repository_without_a_commit_is_unknown(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert code_version(tmp_path) == ("unknown", "unknown")


def test_the_environment_lists_every_package() -> None:
    lines = environment().splitlines()
    assert lines[0].startswith("# Python 3.")
    assert any(line.startswith("torch==") for line in lines)
    assert lines[1:] == sorted(lines[1:], key=str.lower)


def test_nested_parameters_become_dotted_names() -> None:
    tree = {"a": {"b": 1, "c": {"d": None}}, "e": [1, 2]}
    assert flatten(tree) == {"a.b": 1, "a.c.d": None, "e": [1, 2]}


def test_a_run_has_the_recipe_of_its_network_only(params: Params) -> None:
    values = run_params(params, "ispanet")
    assert values["recipe.epochs"] == 1
    assert values["data.generated.images"] == 16
    assert not any(name.startswith(("evaluate", "tune")) for name in values)
