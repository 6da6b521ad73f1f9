"""Train one network; resume where a killed run stopped."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

from irstd.config import FitParams, RecipeParams
from irstd.config.synthesis import AddedTargetsParams
from irstd.data.dataset import Crops, Images
from irstd.data.loader import image_loader, training_loader
from irstd.data.store import PreparedData
from irstd.data.synthesis_augment import TargetAdder
from irstd.errors import ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.models import network_spec
from irstd.training.checkpoints import (
    BEST,
    LAST,
    AtomicIO,
    Patience,
    StepSeed,
    checkpoint_callbacks,
    load_checkpoint,
    origin_of,
)
from irstd.training.module import SegmentationModule
from irstd.training.start import preprocessing_of, start_network

VALIDATION_THRESHOLD = 0.5  # the published network's (ISPANet, IV-A4); it chooses the epoch
log = logging.getLogger(__name__)
EXPECTED_WARNINGS = (
    "Checkpoint directory",  # a resumed run finds its checkpoints
    ".*does not have many workers",  # the recipe says how many
    ".*`isinstance",  # Lightning's use of torch's pytree
)


@dataclass(frozen=True)
class FitResult:
    """What a training gave.

    Attributes:
        network: the network with the weights of the best epoch (of the last one without a folder).
        preprocessing: how images enter it.
        best_iou: largest IoU on the validation part.
        best_epoch: its epoch, counted from 0.
        history: one row per epoch: epoch, lr, losses, validation figures where there are any.
        device: name of the device.
        seconds: wall time of all epochs, those before a resumed kill included.
        resumed: whether it took up a checkpoint.
    """

    network: nn.Module
    preprocessing: Preprocessing
    best_iou: float
    best_epoch: int
    history: list[dict[str, float]]
    device: str
    seconds: float
    resumed: bool


def fit(
    data: PreparedData,
    network: str,
    recipe: RecipeParams,
    seed: int,
    fit: FitParams,
    folder: Path | None,
    callbacks: Sequence[Callback] = (),
    fingerprint: str = "",
    progress: bool = True,
    root: Path = Path(),
    added_targets: AddedTargetsParams | None = None,
) -> FitResult:
    """Train a network on the training part, choosing the epoch on the validation part.

    Args:
        data: prepared images.
        network: model id.
        recipe: how to train it.
        seed: of weights, order, augmentation and dropout.
        fit: size unification.
        folder: for `last.ckpt` and `best.ckpt`; None keeps nothing.
        callbacks: more Lightning callbacks.
        fingerprint: of everything the result depends on; a checkpoint with another one is left
            aside and replaced.
        progress: show a progress bar.
        root: folder that the recipe's `pretrained` is relative to; without it the current one.
        added_targets: which targets are added to training images; None: none.

    Raises:
        DataError: a part of the data is empty, or there are no targets to add.
        ModelError: the loss became NaN or infinite, or the network cannot be built or started.
    """
    torch.manual_seed(seed)
    spec = network_spec(network)
    net = start_network(spec, recipe, root)
    preprocessing = preprocessing_of(replace(spec, sizes=net.sizes), recipe, fit)
    clip = (preprocessing.frames, preprocessing.target_frame, preprocessing.border)
    adder = None if added_targets is None else TargetAdder(added_targets, data)
    crops = Crops(data, recipe, fit, seed, *clip, adder)
    loader = training_loader(crops, torch.cuda.is_available())
    module = SegmentationModule(
        net, recipe, preprocessing, VALIDATION_THRESHOLD, len(loader), spec.backbone
    )
    resume = None if folder is None else _resume(module, folder, fingerprint)
    trainer = _trainer(recipe, folder, [StepSeed(seed), *callbacks], progress)
    with warnings.catch_warnings():
        for expected in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=expected)
        trainer.fit(
            module,
            loader,
            image_loader(Images(data, "val", *clip)),
            ckpt_path=resume,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    best = max((row for row in module.history if "val_iou" in row), key=lambda row: row["val_iou"])
    if folder is not None:
        module.load_state_dict(load_checkpoint(folder / f"{BEST}.ckpt")["state_dict"])
    return FitResult(
        network=net.cpu().eval(),
        preprocessing=preprocessing,
        best_iou=best["val_iou"],
        best_epoch=int(best["epoch"]),
        history=module.history,
        device=device_name(),
        seconds=sum(module.epoch_seconds),
        resumed=resume is not None,
    )


def _resume(module: SegmentationModule, folder: Path, fingerprint: str) -> Path | None:
    """The checkpoint to continue, and in the log why it is continued or replaced."""
    last = folder / f"{LAST}.ckpt"
    module.origin = origin_of(fingerprint, folder, _precision(module.recipe))
    if not last.is_file():
        return None
    checkpoint = load_checkpoint(last)
    found = checkpoint.get("origin", {})
    changed = [name for name, value in module.origin.items() if found.get(name) != value]
    if changed:
        log.info("%s: another %s; training starts anew", last, " and ".join(changed))
        return None
    log.info("%s: continuing after epoch %d", last, len(checkpoint["history"]))
    return last


def _precision(recipe: RecipeParams) -> str:
    if recipe.precision == "auto":
        return "16-mixed" if torch.cuda.is_available() else "32-true"
    if recipe.precision == "16-mixed" and not torch.cuda.is_available():
        raise ModelError(
            "precision 16-mixed needs a GPU, and there is none; "
            "set train.recipes.<network>.precision to auto, or to bf16-mixed on a CPU that has it"
        )
    return recipe.precision


def device_name() -> str:
    """Name of the device that training uses, with the number of CPU threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _trainer(
    recipe: RecipeParams, folder: Path | None, callbacks: list[Callback], progress: bool
) -> pl.Trainer:
    precision: Any = _precision(recipe)
    if folder is not None:
        callbacks = [*callbacks, *checkpoint_callbacks(folder, recipe.validate_every)]
    if recipe.early_stop_patience is not None:
        callbacks.append(Patience("val_iou", patience=recipe.early_stop_patience, mode="max"))
    return pl.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=1,
        precision=precision,
        gradient_clip_val=recipe.gradient_clip,
        check_val_every_n_epoch=recipe.validate_every,
        callbacks=callbacks,
        plugins=[AtomicIO()],
        logger=False,
        enable_checkpointing=folder is not None,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
