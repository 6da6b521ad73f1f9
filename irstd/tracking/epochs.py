"""A Lightning callback that logs each epoch."""

import pytorch_lightning as pl

from irstd.tracking.run import RunJournal
from irstd.training.module import SegmentationModule


class EpochLogger(pl.Callback):
    """Logs the rows of the module's history: figures of an epoch under its number.

    A row is complete only after every hook of its epoch, so it is logged when the next epoch starts
    or the training ends. In a resumed training, rows that the killed process did not log are too.

    Args:
        run: the run to log into.
    """

    def __init__(self, run: RunJournal) -> None:
        """Log into `run`."""
        self._run = run

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epochs before this one."""
        self._log(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last epoch."""
        self._log(pl_module)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Log what is complete before the error ends the training."""
        self._log(pl_module)

    def _log(self, module: pl.LightningModule) -> None:
        if not isinstance(module, SegmentationModule):
            raise TypeError(
                f"expected a SegmentationModule, which has a history, got {type(module).__name__}"
            )
        for row in module.history:
            figures = {name: value for name, value in row.items() if name != "epoch"}
            self._run.metrics(figures, step=int(row["epoch"]))
        self._run.send()
