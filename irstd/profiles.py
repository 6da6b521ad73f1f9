"""Profiles: named parameter sets. `profiles/demo.yaml` is complete, the others differ from it."""

import difflib
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from irstd.config import parse_params, read_yaml
from irstd.errors import ConfigError
from irstd.files import write_text

BASE = "demo"


def profile_names(root: Path) -> list[str]:
    """Names of the profiles in `root/profiles`, sorted."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def compose(root: Path, name: str) -> str:
    """Text of `params.yaml` for a profile: the base with the profile's differences, comments kept.

    Raises:
        ConfigError: no such profile, or the composed parameters are not valid.
    """
    if name not in profile_names(root):
        raise ConfigError(
            f"unknown profile {name!r}; choose one of: {', '.join(profile_names(root))}"
        )
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    tree = yaml.load((root / "profiles" / f"{BASE}.yaml").read_text(encoding="utf-8"))
    if name != BASE:
        _overlay(tree, read_yaml(root / "profiles" / f"{name}.yaml"), name, "")
        tree["profile"] = name
    text = StringIO()
    yaml.dump(tree, text)
    parse_params(YAML(typ="safe").load(text.getvalue()), f"profiles/{name}.yaml")
    return text.getvalue()


def use_profile(root: Path, name: str, discard_edits: bool) -> None:
    """Write `params.yaml` for a profile.

    Args:
        root: the project's folder.
        name: the profile.
        discard_edits: replace a `params.yaml` that was edited by hand.

    Raises:
        ConfigError: unknown profile, or `params.yaml` holds edits and `discard_edits` is false.
    """
    target = root / "params.yaml"
    text = compose(root, name)
    if target.exists() and not discard_edits:
        edits = _edits(root, target)
        if edits:
            raise ConfigError(
                "params.yaml was edited and would be lost:\n"
                + "\n".join(edits)
                + "\nsave it as a profile (profiles/NAME.yaml), or repeat with --discard-edits"
            )
    write_text(target, text)


def _edits(root: Path, target: Path) -> list[str]:
    active = str(read_yaml(target).get("profile"))
    published = compose(root, active) if active in profile_names(root) else ""
    lines = difflib.unified_diff(
        published.splitlines(), target.read_text(encoding="utf-8").splitlines(), lineterm="", n=0
    )
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def _overlay(tree: Any, differences: dict[str, Any], name: str, where: str) -> None:
    for key, value in differences.items():
        if key not in tree:
            raise ConfigError(
                f"profiles/{name}.yaml: {where}{key}: unknown key; profiles/{BASE}.yaml has none"
            )
        if isinstance(value, dict) and isinstance(tree[key], dict):
            _overlay(tree[key], value, name, f"{where}{key}.")
        else:
            tree[key] = value
