"""Stage `train`: one network, from the prepared images to its best weights."""

import logging
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import ConfigError
from irstd.files import write_json, write_text
from irstd.inference.weights import ModelFacts, save_model
from irstd.layout import Layout
from irstd.tracking import EpochLogger, track_run
from irstd.tracking.provenance import code_version
from irstd.training import FitResult, fit
from irstd.training.fingerprint import training_fingerprint

HISTORY = ["epoch", "lr", "train_loss", "val_loss", "val_iou", "val_pd", "val_fa_pixel"]
log = logging.getLogger(__name__)


def train(root: Path, params: Params, network: str) -> FitResult:
    """Train a network and write its weights and the report of its training.

    A run that was killed continues from its last epoch; other parameters, data or code start anew.

    Args:
        root: the project's folder.
        params: its parameters.
        network: one of `params.train.networks`.

    Returns:
        What the training gave.

    Raises:
        ConfigError: there is no recipe for the network.
        DataError: the data is not prepared, or a part of it is empty.
        ModelError: the network cannot be built, or its loss became NaN or infinite.
    """
    if network not in params.train.recipes:
        known = ", ".join(sorted(params.train.recipes))
        raise ConfigError(f"params.yaml: train.recipes has no {network!r}; it has: {known}")
    layout = Layout(root, params.profile)
    recipe, size = params.train.recipes[network], params.data.fit
    added = params.train.added_targets
    data = PreparedData(layout.processed)
    key = training_fingerprint(data.checksum, network, recipe, params.seed, size, root, added)
    with track_run(root, params, network, stage="train", key=key) as run:
        result = fit(
            data,
            network,
            recipe,
            params.seed,
            size,
            layout.checkpoints(network),
            callbacks=[EpochLogger(run)],
            fingerprint=key,
            root=root,
            added_targets=added,
        )
        provenance = {
            "profile": params.profile,
            "fingerprint": key,
            "data_checksum": data.checksum,
            "source": params.data.source,
            "split": params.data.split,
        }
        facts = ModelFacts(
            network,
            recipe.network.model_dump(),
            result.preprocessing,
            params.evaluate.threshold,
            provenance,
        )
        save_model(layout.weights(network), result.network, facts)
        facts_of_run = _run_facts(root, params, network, result) | {"fingerprint": key}
        _write_report(layout.report("train", network), result, facts_of_run)
        run.metrics({"best_val_iou": result.best_iou, "best_epoch": float(result.best_epoch)})
        run.artifact(layout.report("train", network), "train")
    log.info(
        "%s: best validation IoU %.4f in epoch %d of %d, %.0f s on %s",
        network,
        result.best_iou,
        result.best_epoch + 1,
        len(result.history),
        result.seconds,
        result.device,
    )
    return result


def _write_report(folder: Path, result: FitResult, run: dict[str, Any]) -> None:
    parameters = sum(tensor.numel() for tensor in result.network.parameters())
    figures = {
        "best_val_iou": result.best_iou,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "parameters": parameters,
    }
    write_json(folder / "metrics.json", figures)
    history = pd.DataFrame(result.history).reindex(columns=HISTORY).astype({"epoch": int})
    write_text(folder / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    loss = history[["epoch", "train_loss", "val_loss"]]  # a plot of its own for `dvc plots`
    write_text(folder / "loss.csv", loss.to_csv(index=False, lineterminator="\n"))
    write_json(folder / "run.json", run)


def _run_facts(root: Path, params: Params, network: str, result: FitResult) -> dict[str, Any]:
    commit, dirty = code_version(root)
    packages = ("torch", "pytorch-lightning", "numpy", "opencv-python-headless")
    return {
        "profile": params.profile,
        "network": network,
        "device": result.device,
        "seconds": math.ceil(result.seconds),
        "epochs": len(result.history),
        "commit": commit,
        "uncommitted_changes": dirty,
        "seed": params.seed,
        "recipe": params.train.recipes[network].model_dump(mode="json"),
        "versions": {name: metadata.version(name) for name in packages},
    }
