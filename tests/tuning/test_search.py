import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from irstd.config import TuneParams
from irstd.errors import DataError, ModelError
from irstd.tuning.search import search
from irstd.tuning.study import complete, open_study

Objective = Callable[..., float]

DIE_IN_THE_SIXTH_TRIAL = """
import os, signal, sys
from pathlib import Path
from conftest import peak_value, small_search
from irstd.tuning.search import search
from irstd.tuning.study import open_study

def objective(trial, show):
    value = peak_value(trial, show)
    if trial.number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return value

study = open_study(Path(sys.argv[1]), "killed", small_search(), {"seed": 1})
search(study, small_search(), 3, objective, progress=False)
"""


def points(study: optuna.Study) -> list[dict[str, float]]:
    return [trial.params for trial in study.trials if trial.state == TrialState.COMPLETE]


def test_it_ends_with_the_wanted_number_and_comes_near_the_peak(
    study: optuna.Study, tune: TuneParams, peak: Objective
) -> None:
    search(study, tune.model_copy(update={"trials": 25}), 3, peak, progress=False)
    assert complete(study) == 25
    assert study.best_value > 0.85
    assert study.best_params["width"] == 32


def test_a_complete_study_runs_nothing(
    study: optuna.Study, tune: TuneParams, peak: Objective
) -> None:
    search(study, tune, 3, peak, progress=False)
    search(study, tune, 3, peak, progress=False)
    assert len(study.trials) == tune.trials
    search(study, tune.model_copy(update={"trials": 10}), 3, peak, progress=False)
    assert complete(study) == 10


def test_equal_seeds_give_equal_points_and_no_point_twice(
    tune: TuneParams, peak: Objective
) -> None:
    studies = [optuna.create_study(direction="maximize") for _ in range(3)]
    for study, seed in zip(studies, (3, 3, 4), strict=True):
        search(study, tune, seed, peak, progress=False)
    assert points(studies[0]) == points(studies[1]) != points(studies[2])
    assert len({point["alpha"] for point in points(studies[0])}) == tune.trials


def test_stopping_between_trials_changes_no_point(
    study: optuna.Study,
    stored: optuna.Study,
    database: Path,
    tune: TuneParams,
    settings: Any,
    peak: Objective,
) -> None:
    search(study, tune, 3, peak, progress=False)
    search(stored, tune.model_copy(update={"trials": 4}), 3, peak, progress=False)
    search(open_study(database, "a", tune, settings), tune, 3, peak, progress=False)
    assert points(stored) == points(study)


def test_a_search_killed_in_a_trial_resumes_to_the_same_points(
    study: optuna.Study, database: Path, tune: TuneParams, settings: Any, peak: Objective
) -> None:
    search(study, tune, 3, peak, progress=False)
    killed = subprocess.run(
        [sys.executable, "-c", DIE_IN_THE_SIXTH_TRIAL, str(database)],
        cwd=Path(__file__).parent,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    resumed = open_study(database, "killed", tune, settings)
    assert [trial.state for trial in resumed.trials][-1] == TrialState.RUNNING
    search(resumed, tune, 3, peak, progress=False)
    assert points(resumed) == points(study)
    assert [trial.state for trial in resumed.trials].count(TrialState.FAIL) == 1


def test_failing_points_are_recorded_and_bounded(
    study: optuna.Study, tune: TuneParams, caplog: pytest.LogCaptureFixture
) -> None:
    def diverge(trial: optuna.Trial, show: Callable[[str], None]) -> float:
        raise ModelError("the training loss became nan")

    with caplog.at_level(logging.WARNING):
        search(study, tune.model_copy(update={"attempts": 9}), 3, diverge, progress=False)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 9
    assert study.trials[0].user_attrs["fault"] == "the training loss became nan"
    assert "trial 0 failed: the training loss became nan" in caplog.text


def test_pruned_trials_do_not_count_as_complete(study: optuna.Study, tune: TuneParams) -> None:
    def every_second(trial: optuna.Trial, show: Callable[[str], None]) -> float:
        trial.report(0.1, 0)
        if trial.number % 2:
            raise optuna.TrialPruned
        return 0.5

    search(study, tune, 3, every_second, progress=False)
    assert (complete(study), len(study.trials)) == (8, 15)


def test_other_errors_end_the_search_and_the_trial_is_taken_up(
    study: optuna.Study, tune: TuneParams, peak: Objective
) -> None:
    def broken(trial: optuna.Trial, show: Callable[[str], None]) -> float:
        raise DataError("pixels.npy: cannot be mapped")

    with pytest.raises(DataError, match=r"pixels\.npy"):
        search(study, tune, 3, broken, progress=False)
    search(study, tune, 3, peak, progress=False)
    assert complete(study) == tune.trials


def test_progress_shows_trial_and_count(
    study: optuna.Study, tune: TuneParams, peak: Objective, capsys: pytest.CaptureFixture[str]
) -> None:
    search(study, tune, 3, peak)
    seen = capsys.readouterr()
    assert "8/8" in seen.err
    assert "IoU 0." in seen.err
    assert seen.out == ""
