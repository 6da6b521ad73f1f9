"""Read what the stages have written about each network of a profile."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from irstd.config import FitParams, Params
from irstd.data.sources import SOURCES
from irstd.errors import DataError
from irstd.evaluation.figures import CURVES, HISTORY, Curves, Plot
from irstd.evaluation.summary import Result
from irstd.files import read_json
from irstd.layout import Layout

SPEED_KEYS = ("device", "latency", "sequential", "batched")
RUN_KEYS = ("device", "seconds", "epochs", "commit", "seed", "recipe")
TRAINED_KEYS = ("best_epoch", "best_val_iou", "parameters")
GENERATED = "Images made by the generator of this project (`irstd/data/generated.py`)."


def read_results(root: Path, params: Params) -> list[Result]:
    """The results of every network in `train.networks`.

    Raises:
        DataError: a stage has not written its report, or a report lacks a figure.
    """
    return [_read_result(root, params, network) for network in params.train.networks]


def read_curves(root: Path, params: Params) -> list[tuple[Plot, Curves]]:
    """The evaluation's curves of all networks, ready to draw.

    Raises:
        DataError: a curve is missing.
    """
    return [
        (plot, curves)
        for name, plots in CURVES.items()
        for curves in [_csv(root, params, "evaluate", f"{name}.csv")]
        for plot in plots
    ]


def read_history(root: Path, params: Params) -> list[tuple[Plot, Curves]]:
    """The training curves of all networks, ready to draw.

    Raises:
        DataError: a history is missing.
    """
    history = _csv(root, params, "train", "history.csv")
    return [(plot, history) for plot in HISTORY.values()]


def overlay_files(root: Path, params: Params, network: str) -> list[Path]:
    """Overlays of one network, the worst first."""
    folder = Layout(root, params.profile).report("evaluate", network) / "overlays"
    return sorted(folder.glob("*.png"))


def _read_result(root: Path, params: Params, network: str) -> Result:
    layout = Layout(root, params.profile)
    evaluated, trained = layout.report("evaluate", network), layout.report("train", network)
    evaluate, train = f"irstd evaluate {network}", f"irstd train {network}"
    run = _with_keys(trained / "run.json", train, RUN_KEYS)
    return Result(
        metrics=read_json(evaluated / "metrics.json", evaluate),
        intervals=read_json(evaluated / "intervals.json", evaluate),
        breakdown=read_json(evaluated / "breakdown.json", evaluate),
        speed=_with_keys(evaluated / "speed.json", evaluate, SPEED_KEYS),
        run=run,
        trained=_with_keys(trained / "metrics.json", train, TRAINED_KEYS),
        recipe=_recipe(run, params.data.fit),
        attribution=_attribution(params),
        conventions=read_json(evaluated / "conventions.json", evaluate),
        field_report=read_json(evaluated / "field.json", evaluate),
    )


def _with_keys(path: Path, made_by: str, keys: tuple[str, ...]) -> dict[str, Any]:
    content = read_json(path, made_by)
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; run `{made_by}` again")
    return content


def _csv(root: Path, params: Params, stage: str, name: str) -> Mapping[str, pd.DataFrame]:
    frames = {}
    for network in params.train.networks:
        path = Layout(root, params.profile).report(stage, network) / name
        if not path.is_file():
            raise DataError(f"{path}: not found; run `irstd {stage} {network}` first")
        frames[network] = pd.read_csv(path)
    return frames


def _recipe(run: dict[str, Any], fit: FitParams) -> str:
    recipe = run["recipe"]
    crop, optimizer = recipe["crop"], recipe["optimizer"]
    size = "native size" if fit.method == "native" else f"filled to {fit.height} x {fit.width}"
    stretched = recipe.get("inference_size")  # unknown to reports of older trainings
    if stretched is not None:
        size += f", stretched to {stretched['height']} x {stretched['width']} in use"
    return (
        f"{_settings(recipe['network'])}; epochs {recipe['epochs']}, batch {recipe['batch_size']}, "
        f"crop {crop['height']} x {crop['width']}, {optimizer['name']} with learning rate "
        f"{optimizer['lr']:g}, {_settings(recipe['loss'])}; {size}; seed {run['seed']}"
    )


def _settings(group: dict[str, Any]) -> str:
    """Names and values that are set; what has a name of its own begins with it."""
    words = [f"{key} {value}" for key, value in group.items() if value is not None]
    return ", ".join(words).removeprefix("name ")


def _attribution(params: Params) -> str:
    source = SOURCES.get(params.data.source)
    return GENERATED if source is None else f"Images from {source.title}."
