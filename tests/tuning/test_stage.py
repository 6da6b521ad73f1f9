"""The stage on tiny images: a real search, resumed, reported and tracked."""

import json
import sqlite3
import sys
from pathlib import Path

import cv2
import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from irstd.config import Params
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import ConfigError, DataError, ModelError
from irstd.layout import Layout
from irstd.stages.tune import study_name, tune
from irstd.tracking.journal import journals
from irstd.tuning.objective import TrainingObjective
from irstd.tuning.search import search


@pytest.fixture
def tiny(params: Params) -> Params:
    """Two trials of one epoch on crops of 32 x 32."""
    recipe = params.train.recipes["ispanet"].model_copy(
        update={
            "crop": params.train.recipes["ispanet"].crop.model_copy(
                update={"height": 32, "width": 32}
            ),
            "precision": "32-true",
        }
    )
    return params.model_copy(
        update={
            "train": params.train.model_copy(update={"recipes": {"ispanet": recipe}}),
            "tune": params.tune.model_copy(
                update={"trials": 2, "attempts": 4, "epochs": 1, "widths": (16,)}
            ),
        }
    )


@pytest.fixture
def prepared(tmp_path: Path, tiny: Params) -> Path:
    """A project whose data are ten images of 32 x 32 with one bright target each."""
    rng = np.random.default_rng(0)
    images = []
    for position in range(10):
        mask = np.zeros((32, 32), np.uint8)
        row, col = rng.integers(4, 26, 2)
        mask[row : row + 3, col : col + 3] = 1
        image = rng.integers(40, 80, (32, 32)).astype(np.uint8) + 150 * mask
        split = "train" if position < 6 else "val" if position < 8 else "test"
        images.append(RawImage(str(position), split, image, mask, None, None, None, ""))
    write_prepared(Layout(tmp_path, tiny.profile).processed, images, "tiny")
    return tmp_path


@pytest.mark.slow
def test_a_real_search_is_reported_resumed_and_tracked(prepared: Path, tiny: Params) -> None:
    first = tiny.model_copy(update={"tune": tiny.tune.model_copy(update={"trials": 1})})
    assert tune(prepared, first).n_complete == 1
    summary = tune(prepared, tiny)
    report = Layout(prepared, "demo").report("tune", "ispanet")
    table = pd.read_csv(report / "trials.csv")
    assert list(table["state"]) == ["complete", "complete"]
    assert table["alpha"].nunique() == 2
    assert json.loads((report / "metrics.json").read_text())["best_val_iou"] == summary.best_val_iou
    assert summary.best_val_iou == table["val_iou"].max()
    assert 0.0 <= summary.best_val_iou <= 1.0
    assert cv2.imread(str(report / "history.png")) is not None
    runs = journals(prepared)
    assert sorted(run.key.split("-")[1] for run in runs) == ["0", "1"]
    for run in runs:
        tags = {
            name: text
            for entry in run.read()
            if entry.kind == "tags"
            for name, text in entry.content["values"].items()
        }
        assert tags["study"] == study_name(tiny)
        assert tags["outcome"] == "complete"
    with sqlite3.connect(Layout(prepared, tiny.profile).study) as database:
        assert database.execute("select count(*) from trials").fetchone() == (2,)


@pytest.mark.slow
def test_a_real_training_that_falls_behind_is_stopped(prepared: Path, tiny: Params) -> None:
    settings = tiny.tune.model_copy(update={"trials": 2, "attempts": 2, "epochs": 3})
    params = tiny.model_copy(update={"tune": settings})
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    perfect = study.ask()
    for epoch in range(3):
        perfect.report(1.0, epoch)
    study.tell(perfect, 1.0)
    data = PreparedData(Layout(prepared, params.profile).processed)
    search(study, settings, params.seed, TrainingObjective(prepared, params, data), progress=False)
    stopped = study.trials[1]
    assert stopped.state == TrialState.PRUNED
    assert list(stopped.intermediate_values) == [0]
    (run,) = journals(prepared)
    events = run.read()
    assert events[-1].content["status"] == "FINISHED"
    assert any(entry.content.get("values", {}).get("outcome") == "pruned" for entry in events)


def test_data_must_be_prepared(tmp_path: Path, tiny: Params) -> None:
    with pytest.raises(DataError, match="irstd prepare"):
        tune(tmp_path, tiny)


def test_a_study_without_a_complete_trial_is_an_error(
    prepared: Path, tiny: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(self: object, trial: object, show: object) -> float:
        raise ModelError("the training loss became nan")

    monkeypatch.setattr("irstd.tuning.objective.TrainingObjective.__call__", diverge)
    with pytest.raises(ModelError, match=r"none of 4 trials is complete.*trials\.csv"):
        tune(prepared, tiny)
    table = pd.read_csv(Layout(prepared, "demo").report("tune", "ispanet") / "trials.csv")
    assert set(table["fault"]) == {"the training loss became nan"}


def test_optuna_is_asked_for_where_it_is_missing(
    tmp_path: Path, tiny: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="needs Optuna"):
        tune(tmp_path, tiny)
