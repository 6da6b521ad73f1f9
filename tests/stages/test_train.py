"""The train stage writes weights that say where they come from, and a report of the training."""

import json

import pandas as pd
import pytest

from irstd.config import load_params
from irstd.errors import ConfigError, DataError
from irstd.inference.weights import load_model
from irstd.layout import Layout
from irstd.stages.prepare import prepare
from irstd.stages.train import train


def test_a_missing_recipe_or_data_names_the_cure(project):
    params = load_params(project / "params.yaml")
    with pytest.raises(ConfigError, match=r"train\.recipes has no 'unet'; it has: acm, agpcnet"):
        train(project, params, "unet")
    with pytest.raises(DataError, match="irstd prepare"):
        train(project, params, "ispanet")


@pytest.mark.slow
def test_weights_and_report(project):
    params = load_params(project / "params.yaml")
    prepare(project, params)
    result = train(project, params, "ispanet")
    layout = Layout(project, "smoke")
    network, facts = load_model(layout.weights("ispanet"))
    assert facts.network == "ispanet"
    assert facts.provenance["profile"] == "smoke"
    assert len(facts.provenance["fingerprint"]) == 64
    assert not network.training
    folder = layout.report("train", "ispanet")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["best_val_iou"] == result.best_iou
    assert metrics["parameters"] == sum(p.numel() for p in network.parameters())
    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [0]
    assert list(pd.read_csv(folder / "loss.csv")) == ["epoch", "train_loss", "val_loss"]
    run = json.loads((folder / "run.json").read_text())
    assert run["seed"] == params.seed
    assert run["recipe"]["epochs"] == 1
    again = train(project, params, "ispanet")
    assert again.resumed, "a finished training is taken up, not repeated"
