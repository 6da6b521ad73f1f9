import json
from collections.abc import Callable
from pathlib import Path

import cv2
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from irstd.config import TuneParams
from irstd.tuning.report import summarise, trial_table, write_report
from irstd.tuning.search import search
from irstd.tuning.study import recover


@pytest.fixture
def mixed(study: optuna.Study) -> optuna.Study:
    """A complete, a pruned, a diverged, an interrupted and a better complete trial."""
    outcomes = [0.4, TrialState.PRUNED, TrialState.FAIL, None, 0.6]
    for outcome in outcomes:
        trial = study.ask()
        trial.suggest_float("alpha", 0, 1)
        trial.suggest_categorical("width", (16, 32))
        for epoch, iou in enumerate((0.3, 0.2)):
            trial.report(iou, epoch)
        if outcome is None:
            recover(study)
        elif outcome is TrialState.FAIL:
            trial.set_user_attr("fault", "the training loss became nan")
            study.tell(trial, state=TrialState.FAIL)
        elif outcome is TrialState.PRUNED:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, outcome)
    return study


def test_summary_counts_and_names_the_best(mixed: optuna.Study) -> None:
    summary = summarise(mixed)
    assert (summary.n_complete, summary.n_pruned, summary.n_failed) == (2, 1, 2)
    assert (summary.best_trial, summary.best_val_iou) == (4, 0.6)
    assert summary.best_params == mixed.trials[4].params


def test_best_is_the_earliest_of_equals(study: optuna.Study) -> None:
    for _ in range(3):
        study.tell(study.ask(), 0.5)
    assert summarise(study).best_trial == 0


def test_table_has_one_row_per_ended_trial(mixed: optuna.Study) -> None:
    mixed.ask()
    table = trial_table(mixed)
    assert list(table["state"]) == ["complete", "pruned", "fail", "fail", "complete"]
    assert list(table["val_iou"].fillna(-1)) == [0.4, 0.3, -1, -1, 0.6]
    assert list(table["fault"]) == ["", "", "the training loss became nan", "interrupted", ""]
    assert list(table["retry_of"].fillna(-1)) == [-1, -1, -1, -1, 3]
    assert set(table["epochs"]) == {2}


def test_report_files_hold_the_study(
    study: optuna.Study, tune: TuneParams, peak: Callable[..., float], tmp_path: Path
) -> None:
    search(study, tune, 3, peak, progress=False)
    write_report(study, tmp_path / "report")
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert figures["n_complete"] == 8
    assert figures["best_val_iou"] == study.best_value
    assert figures["best_params"] == study.best_params
    table = pd.read_csv(tmp_path / "report" / "trials.csv")
    assert list(table["number"]) == list(range(8))
    assert table["val_iou"].max() == study.best_value
    assert cv2.imread(str(tmp_path / "report" / "history.png")).std() > 0
    assert not list((tmp_path / "report").glob("*.tmp"))


def test_a_study_without_a_complete_trial_has_a_report(study: optuna.Study, tmp_path: Path) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)
    summary = write_report(study, tmp_path)
    assert (summary.best_trial, summary.best_val_iou, summary.n_failed) == (None, None, 1)
    assert (tmp_path / "history.png").is_file()
