"""Where a run comes from: code version, data version, parameters, DVC's lock, environment."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.layout import Layout
from irstd.tracking.journal import file_sha256

UNKNOWN = "unknown"
GIT_TIMEOUT_S = 20


def code_version(root: Path) -> tuple[str, str]:
    """The git commit of a project and whether tracked files differ from it.

    Returns:
        The commit, and "true" or "false"; both "unknown" without git or outside a repository.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return UNKNOWN, UNKNOWN
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return commit, UNKNOWN if changes is None else str(bool(changes)).lower()


def data_version(root: Path, params: Params) -> str:
    """Checksum of the prepared data; "unknown" where this machine has none."""
    folder = Layout(root, params.profile).processed
    return PreparedData(folder).checksum if folder.exists() else UNKNOWN


def environment() -> str:
    """Python, platform and the version of every installed package, one per line."""
    packages = sorted(
        {f"{item.name}=={item.version}" for item in metadata.distributions()}, key=str.lower
    )
    return (
        "\n".join([f"# Python {platform.python_version()}, {platform.platform()}", *packages])
        + "\n"
    )


def run_tags(root: Path, params: Params, stage: str) -> dict[str, str]:
    """Tags that say what a stage ran on, each with the stage's name in front."""
    commit, dirty = code_version(root)
    lock = root / "dvc.lock"
    facts = {
        "git_commit": commit,
        "git_dirty": dirty,
        "data_checksum": data_version(root, params),
        "dvc_lock_sha256": file_sha256(lock) if lock.exists() else "no dvc.lock",
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
    return {f"{stage}.{name}": value for name, value in facts.items()}


def run_files(root: Path, params: Params) -> list[Path]:
    """The files that say what a stage ran on, those that exist."""
    result = Layout(root, params.profile).report("validate") / "result.json"
    return [path for path in (root / "params.yaml", root / "dvc.lock", result) if path.exists()]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings under dotted names; lists are leaves."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def run_params(params: Params, network: str) -> dict[str, Any]:
    """The parameters a training depends on: profile, seed, data and the network's recipe."""
    recipe = params.train.recipes.get(network)
    tree = {
        "profile": params.profile,
        "network": network,
        "seed": params.seed,
        "data": params.data.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json") if recipe is not None else {},
    }
    return flatten(tree)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
