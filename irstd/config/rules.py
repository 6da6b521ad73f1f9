"""What the values of `params.yaml` owe each other, one line of `RULES` each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from irstd.config.splits import SPLITS

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Rule:
    """What values owe each other, in every group that has them all.

    Attributes:
        reads: their names, from that group down.
        complaint: takes the values and says what is wrong with them; empty if nothing is.
    """

    reads: tuple[str, ...]
    complaint: Callable[..., str]


def _at_most(low: str, high: str) -> Rule:
    return Rule((low, high), lambda a, b: f"{low} {a} is above {high} {b}" if a > b else "")


def _distinct(name: str) -> Rule:
    def complaint(values: list[Any]) -> str:
        twice = any(values.count(value) > 1 for value in values)
        return f"{values} names one twice" if twice else ""

    return Rule((name,), complaint)


def _split_of_source(source: str, split: str) -> str:
    if split in SPLITS[source]:
        return ""
    known = ", ".join(SPLITS[source])
    return f"split {split!r} does not exist for source {source!r}; it has: {known}"


def _made_of_another(profile: str, material: str) -> str:
    if material != f"data/processed/{profile}":
        return ""
    return f"data.synthesis.material {material} is what this profile makes; name another's images"


def _leaves_a_test_part(train: float, val: float) -> str:
    if train > 0 and val > 0 and train + val < 1:
        return ""
    return f"train {train} and val {val} must be positive and leave a share for the test part"


def _ends_before(warmup: int, epochs: int) -> str:
    if warmup < epochs:
        return ""
    return f"schedule.warmup_epochs {warmup} is not below epochs {epochs}"


def _rise_to(steps: list[int], epochs: int) -> str:
    if steps == sorted(set(steps)) and steps[-1] < epochs:
        return ""
    return f"schedule.epochs {steps} do not rise, or do not end before epochs {epochs}"


def _backbone_above(min_lr: float, backbone_lr: float | None) -> str:
    if backbone_lr is None or min_lr <= backbone_lr:
        return ""
    return f"schedule.min_lr {min_lr} is above optimizer.backbone_lr {backbone_lr}"


def _slower_backbone(pretrained: str | None, backbone_lr: float | None) -> str:
    if pretrained is None or backbone_lr is not None:
        return ""
    return (
        f"pretrained {pretrained!r} needs optimizer.backbone_lr, the rate of the pretrained part "
        "(published: 0.00001)"
    )


def _fit_channels(mean: list[float], std: list[float], in_channels: int) -> str:
    if len(mean) == len(std) and len(mean) in (1, in_channels):
        return ""
    return (
        f"normalisation has {len(mean)} means and {len(std)} deviations; it needs one of each, "
        f"or network.in_channels {in_channels} of each"
    )


def _pads_with_one_mean(pad: str, mean: list[float]) -> str:
    if pad == "black" or len(mean) == 1:
        return ""
    return f"augmentation.geometry.pad 'mean' needs one normalisation.mean, not {len(mean)}"


def _same_patches(loss: int, network: int) -> str:
    return "" if loss == network else f"loss.stride {loss} is not network.stride {network}"


def _transposes_squares(transpose: float, height: int, width: int) -> str:
    if transpose == 0 or height == width:
        return ""
    return f"augmentation.transpose {transpose} needs a square crop, not {height} x {width}"


def _have_recipes(networks: list[str], recipes: Mapping[str, Any]) -> str:
    missing = [name for name in dict.fromkeys(networks) if name not in recipes]
    return f"no recipe for {', '.join(missing)}; add train.recipes.<network>" if missing else ""


def _can_be_tuned(network: str, recipes: Mapping[str, Any], widths: list[int]) -> str:
    if network not in recipes:
        return f"tune.network {network!r} has no recipe in train.recipes"
    recipe = recipes[network] if isinstance(recipes[network], dict) else {}
    loss, arguments = recipe.get("loss"), recipe.get("network")
    if not isinstance(loss, dict) or not isinstance(arguments, dict):
        return ""  # said where the recipe itself is checked
    if loss.get("name") != "f_siou":
        return f"tune searches F-SIoU; {network!r} has the loss {loss.get('name')!r}, not 'f_siou'"
    if ("width" in arguments) != bool(widths):
        needs = "at least one" if "width" in arguments else "no"
        return f"tune.network {network!r} needs {needs} value in tune.widths, got {widths}"
    return ""


RULES = (
    _at_most("low", "high"),
    Rule(("source", "split"), _split_of_source),
    Rule(("train", "val"), _leaves_a_test_part),
    Rule(("profile", "data.synthesis.material"), _made_of_another),
    _at_most("least_images", "most_images"),
    _distinct("networks"),
    Rule(("networks", "recipes"), _have_recipes),
    _at_most("schedule.min_lr", "optimizer.lr"),
    Rule(("schedule.min_lr", "optimizer.backbone_lr"), _backbone_above),
    Rule(("pretrained", "optimizer.backbone_lr"), _slower_backbone),
    _at_most("validate_every", "epochs"),
    Rule(("schedule.warmup_epochs", "epochs"), _ends_before),
    Rule(("schedule.epochs", "epochs"), _rise_to),
    Rule(("normalisation.mean", "normalisation.std", "network.in_channels"), _fit_channels),
    Rule(("augmentation.geometry.pad", "normalisation.mean"), _pads_with_one_mean),
    Rule(("augmentation.transpose", "crop.height", "crop.width"), _transposes_squares),
    Rule(("loss.stride", "network.stride"), _same_patches),
    _distinct("sizes"),
    _at_most("trials", "attempts"),
    _at_most("min_epochs", "epochs"),
    _distinct("tune.widths"),
    Rule(("tune.network", "train.recipes", "tune.widths"), _can_be_tuned),
)
"""All rules between values. Each is checked where what it reads is valid by itself."""


def broken_rules(content: Any, faults: list[Location]) -> Iterator[tuple[Location, str]]:
    """Location and complaint of each rule that valid values break.

    Args:
        content: the tree, as read from YAML.
        faults: locations of values that are wrong by themselves, and of missing ones.

    Yields:
        The group's location, or the value's where the rule reads a single one, and the complaint.
    """
    nodes = dict(_nodes(content, ()))
    valid = {path: value for path, value in nodes.items() if _is_valid(path, value, faults)}
    for group in nodes:
        for rule in RULES:
            paths = [(*group, *name.split(".")) for name in rule.reads]
            if all(path in valid for path in paths):
                complaint = rule.complaint(*(valid[path] for path in paths))
                if complaint:
                    yield paths[0] if len(paths) == 1 else group, complaint


def _nodes(value: Any, path: Location) -> Iterator[tuple[Location, Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _nodes(item, (*path, str(name)))


def _is_valid(path: Location, value: Any, faults: list[Location]) -> bool:
    """No fault at the value, above it or, if it is a list, in it; of a group rules read names."""
    return not any(
        path[: len(fault)] == fault or (isinstance(value, list) and fault[: len(path)] == path)
        for fault in faults
    )
