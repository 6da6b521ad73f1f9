"""Profiles: named parameter sets. `profiles/demo.yaml` is complete, the others differ from it."""

import difflib
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from irstd.config import load_params, parse_params, read_yaml
from irstd.config.splits import MADE
from irstd.errors import ConfigError
from irstd.files import write_text
from irstd.layout import Layout

BASE = "demo"
HOW_TO_SWITCH = (
    "# `irstd profile NAME` writes params.yaml from the files in profiles/; "
    "DVC sees each changed value.\n"
)


def profile_names(root: Path) -> list[str]:
    """Names of the profiles in `root/profiles`, sorted."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def compose(root: Path, name: str) -> str:
    """Text of `params.yaml` for a profile: its header, and the base with its differences.

    The base's comments are kept, except its header.

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
    header, _ = _header_and_body(root, name)
    tree = yaml.load(_header_and_body(root, BASE)[1])
    if name != BASE:
        _overlay(tree, read_yaml(root / "profiles" / f"{name}.yaml"), name, "")
        tree["profile"] = name
    text = StringIO()
    yaml.dump(tree, text)
    parse_params(YAML(typ="safe").load(text.getvalue()), f"profiles/{name}.yaml")
    return header + HOW_TO_SWITCH + text.getvalue()


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


def missing_source(root: Path) -> str | None:
    """The source of `params.yaml`, if it is read from files and they aren't in `data/raw`."""
    params = load_params(root / "params.yaml")
    source = params.data.source
    if source in MADE or Layout(root, params.profile).raw(source).is_dir():
        return None
    return source


def _header_and_body(root: Path, name: str) -> tuple[str, str]:
    """The comment lines that a profile's file begins with, and the rest."""
    text = (root / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    header = "".join(takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))
    return header, text.removeprefix(header)


def _edits(root: Path, target: Path) -> list[str]:
    active = str(read_yaml(target).get("profile"))
    published = compose(root, active) if active in profile_names(root) else ""
    lines = difflib.unified_diff(
        published.splitlines(), target.read_text(encoding="utf-8").splitlines(), lineterm="", n=0
    )
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def _overlay(tree: Any, differences: dict[str, Any], name: str, where: str) -> None:
    """Put the differences into the tree; a group that names another kind is replaced whole."""
    for key, value in differences.items():
        if key not in tree:
            raise ConfigError(
                f"profiles/{name}.yaml: {where}{key}: unknown key; profiles/{BASE}.yaml has none"
            )
        same_kind = isinstance(value, dict) and isinstance(tree[key], dict)
        if same_kind and value.get("name", tree[key].get("name")) == tree[key].get("name"):
            _overlay(tree[key], value, name, f"{where}{key}.")
        else:
            tree[key] = value
