"""One trial: a training at one point of the space, tracked, and stopped where it falls behind."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.tracking import EpochLogger, track_run
from irstd.training import fit
from irstd.tuning.space import suggest, trial_recipe


class PruneByIoU(pl.Callback):
    """Reports the validation IoU to a trial after each validation, and stops where it is pruned.

    The last epoch is never pruned: nothing would be saved, and a complete result lost.

    Args:
        trial: the trial.
        show: takes one line of progress.
    """

    def __init__(self, trial: optuna.Trial, show: Callable[[str], None]) -> None:
        self.trial, self.show = trial, show

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the figure of this epoch.

        Raises:
            optuna.TrialPruned: the trial is below the median of the complete ones.
        """
        iou = float(trainer.callback_metrics["val_iou"])
        epoch, epochs = trainer.current_epoch, trainer.max_epochs or 0
        self.trial.report(iou, epoch)
        self.show(f"trial {self.trial.number}, epoch {epoch + 1}/{epochs}, IoU {iou:.3f}")
        if epoch + 1 < epochs and self.trial.should_prune():
            raise optuna.TrialPruned


@dataclass(frozen=True)
class TrainingObjective:
    """Best IoU on the validation part of a network trained at the point of a trial.

    Attributes:
        root: the project's folder.
        params: the project's parameters.
        data: prepared images.
        train: `irstd.training.fit`.
        track: `irstd.tracking.track_run`.
    """

    root: Path
    params: Params
    data: PreparedData
    train: Callable[..., Any] = fit
    track: Callable[..., Any] = track_run

    def __call__(self, trial: optuna.Trial, show: Callable[[str], None]) -> float:
        """Train and track one trial.

        Raises:
            optuna.TrialPruned: the trial fell behind.
            ModelError: the training failed.
        """
        tune = self.params.tune
        study = trial.study.study_name
        # The time keeps runs apart when a study's database was deleted and begun again.
        key = f"tune-{trial.number}-{study}-{trial.datetime_start:%Y%m%dT%H%M%S}"
        point = suggest(trial, tune)
        recipe = trial_recipe(self.params.train.recipes[tune.network], tune, point)
        pruned = False
        with self.track(self.root, self.params, tune.network, stage="tune", key=key) as run:
            run.tags({"study": study, "trial": str(trial.number)})
            searched = {name: value for name, value in asdict(point).items() if value is not None}
            run.params({**searched, "epochs": recipe.epochs, "seed": self.params.seed})
            try:
                result = self.train(
                    self.data,
                    tune.network,
                    recipe,
                    self.params.seed,
                    self.params.data.fit,
                    None,
                    callbacks=[EpochLogger(run), PruneByIoU(trial, show)],
                    progress=False,
                    root=self.root,
                    added_targets=self.params.train.added_targets,
                )
                run.metrics({"best_val_iou": result.best_iou, "best_epoch": result.best_epoch})
            except optuna.TrialPruned:
                pruned = True
            run.tags({"outcome": "pruned" if pruned else "complete"})
        if pruned:
            raise optuna.TrialPruned
        return float(result.best_iou)
