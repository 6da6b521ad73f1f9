from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from irstd.config import Params
from irstd.errors import ModelError
from irstd.tuning.objective import PruneByIoU, TrainingObjective


class Run:
    """A tracked run that remembers what it was told."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def params(self, values: dict[str, Any]) -> None:
        self.seen |= values

    metrics = tags = params


class Tracker:
    """Stands for `irstd.tracking.track_run`."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.calls: list[tuple[Any, ...]] = []

    @contextmanager
    def __call__(
        self, root: Path, params: Params, network: str, stage: str, key: str
    ) -> Iterator[Run]:
        self.calls.append((root, network, stage, key))
        self.runs.append(Run())
        yield self.runs[-1]


def silent(line: str) -> None:
    """Show no progress."""


def trainer(iou: float, epoch: int, epochs: int) -> Any:
    return SimpleNamespace(
        callback_metrics={"val_iou": torch.tensor(iou)}, current_epoch=epoch, max_epochs=epochs
    )


@pytest.fixture
def make(params: Params, tmp_path: Path) -> Callable[..., tuple[TrainingObjective, Tracker]]:
    def build(train: Callable[..., Any]) -> tuple[TrainingObjective, Tracker]:
        tracker = Tracker()
        data: Any = "prepared"
        return TrainingObjective(tmp_path, params, data, train, tracker), tracker

    return build


def test_it_trains_at_the_point_and_tracks_it(
    make: Callable[..., Any], study: optuna.Study, params: Params
) -> None:
    calls = []

    def train(*arguments: Any, **keywords: Any) -> Any:
        calls.append((arguments, keywords))
        return SimpleNamespace(best_iou=0.7, best_epoch=1)

    objective, tracker = make(train)
    trial = study.ask()
    assert objective(trial, silent) == 0.7
    (data, network, recipe, seed, _, folder), keywords = calls[0]
    assert (data, network, seed, folder) == ("prepared", "ispanet", params.seed, None)
    assert recipe.loss.alpha == trial.params["alpha"]
    assert recipe.network.width == trial.params["width"]
    assert any(isinstance(callback, PruneByIoU) for callback in keywords["callbacks"])
    seen = tracker.runs[0].seen
    assert (seen["study"], seen["trial"], seen["outcome"]) == (study.study_name, "0", "complete")
    assert (seen["gamma"], seen["best_val_iou"]) == (trial.params["gamma"], 0.7)


def test_each_trial_is_a_run_of_its_own(make: Callable[..., Any], study: optuna.Study) -> None:
    objective, tracker = make(lambda *_, **__: SimpleNamespace(best_iou=0.7, best_epoch=1))
    for _ in range(2):
        objective(study.ask(), silent)
    keys = [call[3] for call in tracker.calls]
    assert [key.startswith(f"tune-{number}-") for number, key in enumerate(keys)] == [True] * 2
    assert {call[1:3] for call in tracker.calls} == {("ispanet", "tune")}


def test_a_pruned_trial_ends_its_run_well(make: Callable[..., Any], study: optuna.Study) -> None:
    def train(*arguments: Any, **keywords: Any) -> Any:
        raise optuna.TrialPruned

    objective, tracker = make(train)
    with pytest.raises(optuna.TrialPruned):
        objective(study.ask(), silent)
    assert tracker.runs[0].seen["outcome"] == "pruned"


def test_a_failed_training_is_passed_on(make: Callable[..., Any], study: optuna.Study) -> None:
    def train(*arguments: Any, **keywords: Any) -> Any:
        raise ModelError("the training loss became nan")

    objective, tracker = make(train)
    with pytest.raises(ModelError, match="became nan"):
        objective(study.ask(), silent)
    assert "outcome" not in tracker.runs[0].seen


def test_a_trial_below_the_median_is_pruned_but_not_in_its_last_epoch(study: optuna.Study) -> None:
    for _ in range(3):
        good = study.ask()
        for epoch in range(3):
            PruneByIoU(good, silent).on_validation_end(trainer(0.5, epoch, 3), None)
        study.tell(good, 0.5)
    lines: list[str] = []
    with pytest.raises(optuna.TrialPruned):
        PruneByIoU(study.ask(), lines.append).on_validation_end(trainer(0.4, 1, 3), None)
    assert lines == ["trial 3, epoch 2/3, IoU 0.400"]
    PruneByIoU(study.ask(), silent).on_validation_end(trainer(0.4, 2, 3), None)
    PruneByIoU(study.ask(), silent).on_validation_end(trainer(0.6, 1, 3), None)
