"""Reading and checking `params.yaml`; everything wrong with it is reported at once."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from irstd.config.groups import Params
from irstd.config.rules import Location, broken_rules
from irstd.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: not found; run the command in the project's folder, where params.yaml stands"
        )
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected a mapping of parameter groups, got {type(content).__name__}"
        )
    return content


def parse_params(content: dict[str, Any], origin: str) -> Params:
    """Check a parameter tree and freeze it.

    Args:
        content: the tree, as read from YAML.
        origin: file name to print in front of each error.

    Raises:
        ConfigError: one line for each unknown key, wrong type and impossible value, with its path.
    """
    params, faults = _validate(content, origin)
    places = [_place(item, content) for item in faults]
    lines = [f"{_where(place)}: {_what(item)}" for place, item in zip(places, faults, strict=True)]
    lines += [f"{_where(path)}: {complaint}" for path, complaint in broken_rules(content, places)]
    if params is None or lines:
        raise ConfigError("\n".join(f"{origin}: {line}" for line in lines))
    return params


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters of the project.

    Raises:
        ConfigError: see `read_yaml` and `parse_params`.
    """
    return parse_params(read_yaml(path), path.name)


def _validate(content: dict[str, Any], origin: str) -> tuple[Params | None, list[Any]]:
    try:
        return Params.model_validate_json(json.dumps(content)), []
    except ValidationError as error:
        return None, error.errors()
    except TypeError as error:
        raise ConfigError(
            f"{origin}: a value has no JSON form: {error}; write dates and such as text"
        ) from error


def _place(item: Any, content: dict[str, Any]) -> Location:
    """The path in the file; pydantic adds the name of the group that `name` chose."""
    node: Any = content
    place: list[int | str] = []
    for part in item["loc"]:
        if isinstance(node, dict) and node.get("name") == part and part not in node:
            continue
        place.append(part)
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
    return (*place, "name") if item["type"].startswith("union_tag") else tuple(place)


def _where(location: Location) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _what(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] in ("missing", "union_tag_not_found"):
        return "missing key"
    if item["type"] == "union_tag_invalid":
        return f"expected one of: {item['ctx']['expected_tags']}; got {item['ctx']['tag']!r}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message
    return f"{message}, got {item['input']!r}"
