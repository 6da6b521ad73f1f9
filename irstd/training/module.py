"""The Lightning module: loss, optimiser, validation on whole images, history."""

import math
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from irstd.config import OptimizerParams, RecipeParams
from irstd.errors import ModelError
from irstd.inference.postprocess import probability_of
from irstd.inference.preprocess import Preprocessing
from irstd.losses import FSIoU
from irstd.metrics import DetectionMetrics

VALIDATION_KEYS = {"val_iou": "iou", "val_pd": "pd", "val_fa_pixel": "fa_pixel"}


class SegmentationModule(pl.LightningModule):
    """Trains one network on crops and measures it on whole validation images.

    Args:
        network: maps (N, C, H, W) to logits (N, 1, H, W).
        recipe: loss, optimiser and length of the training.
        preprocessing: how an image enters the network.
        threshold: probability above which a pixel counts as target in validation.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: RecipeParams,
        preprocessing: Preprocessing,
        threshold: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.preprocessing = preprocessing
        loss = recipe.loss
        self.loss = FSIoU(loss.alpha, loss.gamma, loss.smoothing)
        self.validation = DetectionMetrics(threshold=threshold)
        self.origin: dict[str, str] = {}
        self.history: list[dict[str, float]] = []
        self.epoch_seconds: list[float] = []
        self._epoch_started = 0.0
        self._losses: list[Tensor] = []
        self._validation_losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        """Start the clock of the epoch."""
        self._epoch_started = time.monotonic()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch of crops."""
        image, mask = batch
        image = (image - self.preprocessing.mean) / self.preprocessing.std
        image = image.expand(-1, self.preprocessing.in_channels, -1, -1)
        logits = self.network(image.contiguous(memory_format=torch.channels_last))
        loss: Tensor = self.loss(logits, mask)
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.validation.reset()
        self._validation_losses.clear()

    def validation_step(self, item: tuple[str, np.ndarray, np.ndarray], index: int) -> None:
        """Count one whole image on its own grid."""
        _, image, mask = item
        pixels, placement = self.preprocessing.apply(image)
        logits = self.network(torch.from_numpy(pixels).to(self.device))
        restored = self.preprocessing.restore(logits[0, 0].float().cpu().numpy(), placement)
        self._check(bool(np.isfinite(restored).all()))
        target = torch.from_numpy(mask[None, None].astype(np.float32))
        self._validation_losses.append(
            float(self.loss(torch.from_numpy(restored)[None, None], target))
        )
        self.validation.update(probability_of(restored), mask)

    def on_validation_epoch_end(self) -> None:
        """Publish the figures of the validation part, where checkpoints and callbacks see them."""
        figures = self.validation.compute()
        self.log("val_loss", float(np.mean(self._validation_losses)))
        for name, key in VALIDATION_KEYS.items():
            # No prediction and no target at all leave a ratio undefined: that is no success.
            self.log(
                name, 0.0 if math.isnan(figures[key]) else figures[key], prog_bar=name == "val_iou"
            )

    def on_train_epoch_end(self) -> None:
        """Add a row to the history."""
        train_loss = float(torch.stack(self._losses).double().mean())
        self._check(math.isfinite(train_loss))
        self._losses.clear()
        self.log("train_loss", train_loss, prog_bar=True)
        row = {
            "epoch": float(self.current_epoch),
            "lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "train_loss": train_loss,
        }
        if (self.current_epoch + 1) % self.recipe.validate_every == 0:
            seen = self.trainer.callback_metrics
            row |= {name: float(seen[name]) for name in ("val_loss", *VALIDATION_KEYS)}
        self.history.append(row)
        self.epoch_seconds.append(time.monotonic() - self._epoch_started)

    def _check(self, finite: bool) -> None:
        if not finite:
            raise ModelError(
                f"the training diverged in epoch {self.current_epoch}: losses or logits are not "
                "finite; lower optimizer.lr or set gradient_clip in train.recipes"
            )

    def configure_optimizers(self) -> Any:
        """AdaGrad with warm-up and cosine, stepped once per epoch (ISPANet, V-A)."""
        settings = self.recipe.optimizer
        optimizer = torch.optim.Adagrad(self.network.parameters(), lr=settings.lr)
        schedule = LambdaLR(optimizer, lambda epoch: rate(epoch, self.recipe.epochs, settings))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep with the weights what they come from, and the history."""
        checkpoint["origin"] = self.origin
        checkpoint["history"] = self.history
        checkpoint["epoch_seconds"] = self.epoch_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again."""
        self.history = list(checkpoint["history"])
        self.epoch_seconds = list(checkpoint["epoch_seconds"])


def rate(epoch: int, epochs: int, settings: OptimizerParams) -> float:
    """Learning rate of an epoch as a share of `settings.lr`.

    Rises linearly over the warm-up epochs, then follows a half cosine that reaches `min_lr` in the
    last epoch.
    """
    if epoch < settings.warmup_epochs:
        return (epoch + 1) / (settings.warmup_epochs + 1)
    span = max(1, epochs - 1 - settings.warmup_epochs)
    progress = min(1.0, (epoch - settings.warmup_epochs) / span)
    floor = settings.min_lr / settings.lr
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
