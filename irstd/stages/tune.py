"""Stage `tune`: continue the Optuna study of one network."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import ConfigError, ModelError
from irstd.layout import Layout

if TYPE_CHECKING:
    from irstd.tuning.report import Summary


log = logging.getLogger(__name__)


def study_name(params: Params) -> str:
    """Name of the study in its database."""
    return f"{params.tune.study}-{params.profile}-{params.tune.network}"


def tune(root: Path, params: Params) -> "Summary":
    """Run trials until `tune.trials` are complete, and write the report.

    Run again after an interruption, or with more trials, it continues.

    Args:
        root: the project's folder.
        params: the project's parameters.

    Returns:
        Counts and the best point; `params.yaml` is not changed.

    Raises:
        ConfigError: Optuna is not installed, or the study was made with other parameters.
        DataError: the data are not prepared.
        ModelError: the network cannot have a width in `tune.widths`, or no trial is complete.
        TrackingError: the study database is in use or unreadable.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ConfigError(
            "`irstd tune` needs Optuna, which is not installed; run `make env`, "
            "or `pip install 'irstd[pipeline]'`"
        ) from error
    from irstd.tuning.objective import TrainingObjective
    from irstd.tuning.report import TRIALS_FILE, write_report
    from irstd.tuning.search import search
    from irstd.tuning.space import check_widths, study_settings
    from irstd.tuning.study import open_study, sole_owner

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    layout = Layout(root, params.profile)
    check_widths(params)
    data = PreparedData(layout.processed)
    database = Layout(root, params.profile).study
    folder = layout.report("tune", params.tune.network)
    with sole_owner(database):
        settings = study_settings(params, data.checksum)
        study = open_study(database, study_name(params), params.tune, settings)
        search(study, params.tune, params.seed, TrainingObjective(root, params, data))
        summary = write_report(study, folder)
    if summary.best_trial is None:
        raise ModelError(
            f"study {summary.study!r}: none of {summary.n_pruned + summary.n_failed} trials is "
            f"complete; the reasons are in {folder / TRIALS_FILE}"
        )
    log.info(
        "%s: best of %d complete trials is number %d, validation IoU %.4f at %s; report in %s",
        summary.study,
        summary.n_complete,
        summary.best_trial,
        summary.best_val_iou,
        summary.best_params,
        folder,
    )
    return summary
