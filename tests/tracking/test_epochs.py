from pathlib import Path

import pytest
import pytorch_lightning as pl
from torch import nn

from irstd.config import Params
from irstd.inference.preprocess import Preprocessing
from irstd.models import network_spec
from irstd.tracking import EpochLogger, track_run
from irstd.tracking.run import RunJournal
from irstd.training.module import SegmentationModule


@pytest.fixture
def module(params: Params) -> SegmentationModule:
    preprocessing = Preprocessing.of(network_spec("ispanet"), 1, params.data.fit)
    network = nn.Conv2d(1, 1, 1)
    recipe = params.train.recipes["ispanet"]
    return SegmentationModule(network, recipe, preprocessing, 0.5, steps_per_epoch=1)


def logged(run: RunJournal) -> list[tuple[int, dict[str, float]]]:
    entries = [entry.content for entry in run.journal.read() if entry.kind == "metrics"]
    return [(entry["step"], entry["values"]) for entry in entries]


@pytest.mark.usefixtures("away")
def test_each_epoch_is_logged_once_under_its_number(
    root: Path, params: Params, module: SegmentationModule
) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        callback = EpochLogger(run)
        callback.on_train_epoch_start(trainer, module)
        assert logged(run) == []
        module.history.append({"epoch": 0.0, "lr": 0.01, "train_loss": 0.9, "val_iou": 0.1})
        callback.on_train_epoch_start(trainer, module)
        module.history.append({"epoch": 1.0, "lr": 0.005, "train_loss": 0.8})
        callback.on_train_end(trainer, module)
        callback.on_train_end(trainer, module)
    assert logged(run) == [
        (0, {"lr": 0.01, "train_loss": 0.9, "val_iou": 0.1}),
        (1, {"lr": 0.005, "train_loss": 0.8}),
    ]


@pytest.mark.usefixtures("away")
def test_a_resumed_training_logs_the_epochs_its_killed_process_did_not(
    root: Path, params: Params, module: SegmentationModule
) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    module.history = [{"epoch": 0.0, "train_loss": 0.9}]
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        EpochLogger(run).on_train_epoch_start(trainer, module)
    module.history = [{"epoch": float(epoch), "train_loss": 0.9} for epoch in range(3)]
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        EpochLogger(run).on_train_epoch_start(trainer, module)
    assert [step for step, _ in logged(run)] == [0, 1, 2]


@pytest.mark.usefixtures("away")
def test_a_module_without_a_history_is_refused(root: Path, params: Params) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    with (
        track_run(root, params, "ispanet", stage="train", key="a1") as run,
        pytest.raises(TypeError, match="expected a SegmentationModule"),
    ):
        EpochLogger(run).on_train_end(trainer, pl.LightningModule())
