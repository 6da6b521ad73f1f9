"""The Lightning module: loss, optimiser, validation on whole images, history."""

import math
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from irstd.config import RecipeParams
from irstd.errors import ModelError
from irstd.inference.postprocess import probability_of
from irstd.inference.preprocess import Preprocessing
from irstd.metrics import DetectionMetrics
from irstd.models.network import Network
from irstd.training.criterion import make_criterion
from irstd.training.optimizer import make_optimizer, make_schedule

VALIDATION_KEYS = {"val_iou": "iou", "val_pd": "pd", "val_fa_pixel": "fa_pixel"}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def freeze_norms(network: nn.Module) -> None:
    """Let batch norms use their running statistics, and keep them, while the network trains."""
    for module in network.modules():
        if isinstance(module, NORMS):
            module.eval()


class SegmentationModule(pl.LightningModule):
    """Trains one network on crops and measures it on whole validation images.

    Args:
        network: the network.
        recipe: loss, optimiser, schedule and length of the training.
        preprocessing: how an image enters the network.
        threshold: probability above which a pixel counts as target in validation.
        steps_per_epoch: batches of an epoch.
        backbone: prefixes of the parameters of its pretrained part.
    """

    def __init__(
        self,
        network: Network,
        recipe: RecipeParams,
        preprocessing: Preprocessing,
        threshold: float,
        steps_per_epoch: int,
        backbone: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.preprocessing = preprocessing
        self.steps_per_epoch = steps_per_epoch
        self.backbone = backbone
        self.criterion = make_criterion(recipe.loss)
        self.validation = DetectionMetrics(threshold=threshold)
        self.origin: dict[str, str] = {}
        self.history: list[dict[str, float]] = []
        self.epoch_seconds: list[float] = []
        self._epoch_started = self._rate = 0.0
        self._losses: list[Tensor] = []
        self._validation_losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        """Note time and rate; hold the batch norms and tell the loss, where the recipe says so."""
        self._epoch_started = time.monotonic()
        # At the end of an epoch the schedule has already set the rate of the next one.
        self._rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        after = self.recipe.freeze_norm_after
        if after is not None and self.current_epoch >= after:
            freeze_norms(self.network)
        self.criterion.start_epoch(self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch of crops."""
        image, mask = batch
        image = self.preprocessing.normalise(image)
        if image.ndim == 4:
            image = image.contiguous(memory_format=torch.channels_last)
        loss = self.criterion(self.network.outputs(image), mask)
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.validation.reset()
        self._validation_losses.clear()

    def validation_step(self, item: tuple[str, np.ndarray, np.ndarray], index: int) -> None:
        """Count one whole image on its own grid."""
        _, image, mask = item
        windows, placement = self.preprocessing.apply(image)
        maps = [self.network(window[None]) for window in torch.from_numpy(windows).to(self.device)]
        logits = torch.cat(maps)[:, 0].float().cpu().numpy()
        restored = self.preprocessing.restore(logits, placement)
        self._check(bool(np.isfinite(restored).all()))
        target = torch.from_numpy(mask[None, None].astype(np.float32))
        loss = self.criterion.of_map(torch.from_numpy(restored)[None, None], target)
        self._validation_losses.append(float(loss))
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
            "lr": self._rate,
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
        """Optimiser and schedule of the recipe."""
        optimizer = make_optimizer(self.network, self.recipe.optimizer, self.backbone)
        schedule = make_schedule(optimizer, self.recipe, self.steps_per_epoch)
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
