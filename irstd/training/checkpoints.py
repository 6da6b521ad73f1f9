"""Checkpoints that survive a kill and know what they were made from."""

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from irstd.files import replaced

LAST, BEST = "last", "best"


class AtomicIO(TorchCheckpointIO):
    """Writes beside the target, then renames: a kill leaves the old checkpoint or the new one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Save one checkpoint."""
        with replaced(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())


def origin_of(fingerprint: str, folder: Path, precision: str) -> dict[str, str]:
    """What a checkpoint must come from to be taken up.

    The folder counts too: Lightning remembers the best checkpoint by its absolute path.
    """
    return {"fingerprint": fingerprint, "folder": str(folder.resolve()), "precision": precision}


class Patience(EarlyStopping):
    """Early stopping that stays stopped: a finished training isn't continued by a second start."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before the first epoch if the checkpoint says that the training had ended."""
        if self.stopped_epoch:
            trainer.should_stop = True


class StepSeed(Callback):
    """Seeds dropout by (seed, step), so a resumed run draws what an undisturbed one draws."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int
    ) -> None:
        """Seed the step."""
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed((self.seed * 1_000_003 + step) % 2**63)


def checkpoint_callbacks(folder: Path, validate_every: int) -> list[Callback]:
    """The last epoch, whole; the best validation IoU, weights alone."""
    last = ModelCheckpoint(
        folder,
        filename=LAST,
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    best = ModelCheckpoint(
        folder,
        filename=BEST,
        monitor="val_iou",
        mode="max",
        save_top_k=1,
        save_weights_only=True,
        every_n_epochs=validate_every,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    return [best, last]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything it holds."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
