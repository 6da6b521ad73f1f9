"""The study in its database: opened or made, owned by one process, taken up after a kill."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import DatabaseError

from irstd.config import TuneParams
from irstd.errors import ConfigError, TrackingError

MAX_RETRIES = 3
"""A trial that was interrupted this often after its first time is given up: it may be the cause."""

RETRY_OF = "retry_of"
FAULT = "fault"
_RETRIES = "retries"
_SETTINGS = "settings"


@contextmanager
def sole_owner(database: Path) -> Iterator[None]:
    """Hold a study database for this process, so that a running trial in it can only be a dead one.

    The system releases the lock when the process ends, in whichever way.

    Raises:
        TrackingError: another process holds it.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrackingError(
                f"{database}: another `irstd tune` uses this study database; "
                "wait until it ends, or stop it (finished trials are kept)"
            ) from error
        yield


def open_study(
    database: Path, name: str, tune: TuneParams, settings: dict[str, Any]
) -> optuna.Study:
    """Open the study of that name, or make it.

    Args:
        database: SQLite file, made if missing.
        name: name of the study.
        tune: limits of the pruner.
        settings: see `irstd.tuning.space.study_settings`.

    Raises:
        ConfigError: the study exists, but with other settings.
        TrackingError: the file is not a study database.
    """
    try:
        study = optuna.create_study(
            storage=optuna.storages.RDBStorage(f"sqlite:///{database.resolve()}"),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=tune.startup_trials, n_warmup_steps=tune.min_epochs - 1
            ),
        )
    except (DatabaseError, RuntimeError) as error:
        raise TrackingError(
            f"{database}: expected an Optuna study database, could not open it ({error}); "
            "move the file away to begin a new one"
        ) from error
    known = study.user_attrs.get(_SETTINGS)
    if known is None:
        study.set_user_attr(_SETTINGS, settings)
    elif known != settings:
        raise ConfigError(_difference(name, known, settings))
    return study


def recover(study: optuna.Study) -> None:
    """Mark trials that a killed process left running as failed, and queue their points again."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        retries = int(trial.user_attrs.get(_RETRIES, 0)) + 1
        if retries <= MAX_RETRIES:
            study.enqueue_trial(
                trial.params, user_attrs={RETRY_OF: trial.number, _RETRIES: retries}
            )


def complete(study: optuna.Study) -> int:
    """Number of trials that ran to their end."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def attempted(study: optuna.Study) -> int:
    """Number of ended trials of any outcome; an interrupted one and its retry count once."""
    trials = study.get_trials(deepcopy=False)
    ended = sum(trial.state.is_finished() for trial in trials)
    return ended - sum(RETRY_OF in trial.user_attrs for trial in trials)


def _difference(name: str, known: dict[str, Any], settings: dict[str, Any]) -> str:
    lines = [
        f"  {key}: {known.get(key, '(absent)')} in the study, {settings.get(key, '(absent)')} now"
        for key in sorted(known.keys() | settings.keys())
        if known.get(key) != settings.get(key)
    ]
    return "\n".join(
        [
            f"study {name!r} was made with other data or parameters:",
            *lines,
            "its trials cannot be compared with new ones; choose another name in tune.study",
        ]
    )
