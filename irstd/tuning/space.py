"""The space a study searches: F-SIoU's alpha and gamma (ISPANet, eq. 22) and the channel width."""

from dataclasses import dataclass
from typing import Any

import optuna
import torch

from irstd.config import Params, RecipeParams, TuneParams
from irstd.models import build_network


@dataclass(frozen=True)
class Point:
    """One choice of what is searched.

    Attributes:
        alpha: factor of the loss.
        gamma: exponent of the loss.
        width: channels of the network; None where it has no such argument.
    """

    alpha: float
    gamma: float
    width: int | None


def suggest(trial: optuna.Trial, tune: TuneParams) -> Point:
    """Draw the point of a trial."""
    return Point(
        alpha=trial.suggest_float("alpha", tune.alpha.low, tune.alpha.high),
        gamma=trial.suggest_float("gamma", tune.gamma.low, tune.gamma.high),
        width=int(trial.suggest_categorical("width", tune.widths)) if tune.widths else None,
    )


def trial_recipe(recipe: RecipeParams, tune: TuneParams, point: Point) -> RecipeParams:
    """The recipe of one trial: `recipe` at `point`, for `tune.epochs` epochs.

    It validates at least once, however rarely `recipe` does.
    """
    width = {} if point.width is None else {"width": point.width}
    return recipe.model_copy(
        update={
            "network": recipe.network.model_copy(update=width),
            "loss": recipe.loss.model_copy(update={"alpha": point.alpha, "gamma": point.gamma}),
            "epochs": tune.epochs,
            "validate_every": min(recipe.validate_every, tune.epochs),
        }
    )


def study_settings(params: Params, data_checksum: str) -> dict[str, Any]:
    """All that the values of a study depend on; trials with other settings cannot be compared.

    Returns:
        Dotted names and JSON values.
    """
    tune = params.tune
    low = Point(tune.alpha.low, tune.gamma.low, tune.widths[0] if tune.widths else None)
    recipe = trial_recipe(params.train.recipes[tune.network], tune, low)
    tree = {
        "data": data_checksum,
        "seed": params.seed,
        "fit": params.data.fit.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "space": tune.model_dump(mode="json", include={"alpha", "gamma", "widths"}),
    }
    return dict(_leaves(tree, ""))


def check_widths(params: Params) -> None:
    """Build the network at every width, without memory for its weights, before any trial runs.

    Raises:
        ModelError: the network cannot have one of the widths.
    """
    network = params.tune.network
    arguments = params.train.recipes[network].network.model_dump()
    for width in params.tune.widths:
        with torch.device("meta"):
            build_network(network, **{**arguments, "width": width})


def _leaves(value: Any, name: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(name, value)]
    pairs = [_leaves(item, f"{name}.{key}" if name else key) for key, item in value.items()]
    return [leaf for pair in pairs for leaf in pair]
