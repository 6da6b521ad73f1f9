"""Run trials until a study has as many complete ones as asked for."""

import logging
from collections.abc import Callable

import numpy as np
import optuna
import torch
from optuna.trial import TrialState
from tqdm import tqdm

from irstd.config import TuneParams
from irstd.errors import ModelError
from irstd.tuning.study import FAULT, attempted, complete, recover

log = logging.getLogger(__name__)

Objective = Callable[[optuna.Trial, Callable[[str], None]], float]
"""Trains one trial and returns its IoU on the validation part; the second argument shows progress.

It may raise `optuna.TrialPruned`, or `ModelError` where the training fails at this point.
"""


def search(
    study: optuna.Study, tune: TuneParams, seed: int, objective: Objective, progress: bool = True
) -> None:
    """Continue a study up to `tune.trials` complete trials, or `tune.attempts` trials in all.

    The points depend on `seed` and on the outcomes before: a study that was interrupted draws the
    same ones as an undisturbed one. An error other than those of `Objective` ends the search; its
    trial is taken up by the next call.

    Args:
        study: from `irstd.tuning.study.open_study`, held by this process alone.
        tune: how many trials.
        seed: of the sampler.
        objective: what a trial does.
        progress: show a progress bar.
    """
    recover(study)
    with tqdm(
        desc=study.study_name,
        total=tune.trials,
        initial=min(complete(study), tune.trials),
        unit="trial",
        disable=not progress,
    ) as bar:
        while complete(study) < tune.trials and attempted(study) < tune.attempts:
            study.sampler = _sampler(seed, attempted(study), tune.startup_trials)
            _run(study, objective, bar.set_postfix_str)
            bar.update(complete(study) - bar.n)


def _run(study: optuna.Study, objective: Objective, show: Callable[[str], None]) -> None:
    trial = study.ask()
    try:
        value = objective(trial, show)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (ModelError, torch.OutOfMemoryError) as error:
        log.warning("trial %d failed: %s", trial.number, error)
        trial.set_user_attr(FAULT, str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _sampler(seed: int, position: int, startup_trials: int) -> optuna.samplers.TPESampler:
    # One generator for the whole study would repeat its first draws after each restart.
    own = int(np.random.SeedSequence((seed, position)).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own, n_startup_trials=startup_trials)
