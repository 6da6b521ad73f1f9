import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from irstd.config import TuneParams
from irstd.errors import ConfigError, TrackingError
from irstd.tuning.study import (
    MAX_RETRIES,
    RETRY_OF,
    attempted,
    complete,
    open_study,
    recover,
    sole_owner,
)


def test_opening_again_finds_the_same_trials(
    stored: optuna.Study, database: Path, tune: TuneParams, settings: dict[str, Any]
) -> None:
    stored.tell(stored.ask(), 0.5)
    again = open_study(database, "a", tune, settings)
    assert (complete(again), complete(open_study(database, "b", tune, settings))) == (1, 0)


def test_other_settings_are_refused_and_named(
    stored: optuna.Study, database: Path, tune: TuneParams
) -> None:
    with pytest.raises(ConfigError, match=r"seed: 1 in the study, 2 now\n.*tune\.study"):
        open_study(database, "a", tune, {"seed": 2})


def test_a_file_that_is_no_database_is_refused(database: Path, tune: TuneParams) -> None:
    database.write_text("not a database " * 100)
    with pytest.raises(TrackingError, match="expected an Optuna study database"):
        open_study(database, "a", tune, {})


def test_running_trial_is_failed_and_its_point_queued(study: optuna.Study) -> None:
    trial = study.ask()
    alpha = trial.suggest_float("alpha", 0, 1)
    recover(study)
    assert study.trials[0].state == TrialState.FAIL
    retry = study.ask()
    assert retry.suggest_float("alpha", 0, 1) == alpha
    assert retry.user_attrs[RETRY_OF] == 0


def test_finished_trials_are_not_retried(study: optuna.Study) -> None:
    study.tell(study.ask(), 0.5)
    study.tell(study.ask(), state=TrialState.FAIL)
    recover(study)
    assert len(study.trials) == 2


def test_a_trial_that_is_always_interrupted_is_given_up(study: optuna.Study) -> None:
    study.ask()
    for _ in range(MAX_RETRIES):
        recover(study)
        study.ask()
    recover(study)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * (MAX_RETRIES + 1)
    assert attempted(study) == 1


def test_an_interrupted_trial_and_its_retry_count_once(study: optuna.Study) -> None:
    study.tell(study.ask(), 0.5)
    study.ask()
    recover(study)
    assert attempted(study) == 1
    study.tell(study.ask(), 0.6)
    assert (attempted(study), complete(study)) == (2, 2)


def test_only_one_process_owns_a_database(database: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from irstd.tuning.study import sole_owner\n"
        "with sole_owner(Path(sys.argv[1])): print('held')"
    )
    other = [sys.executable, "-c", code, str(database)]
    with sole_owner(database):
        refused = subprocess.run(other, capture_output=True, text=True, check=False)
    free = subprocess.run(other, capture_output=True, text=True, check=False)
    assert "another `irstd tune` uses this study database" in refused.stderr
    assert (refused.returncode, free.stdout) == (1, "held\n")
