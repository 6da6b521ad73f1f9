"""A small search and a fake training, so that most tests need no network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from irstd.config import Params, TuneParams, load_params
from irstd.tuning.space import suggest
from irstd.tuning.study import open_study


def demo_params() -> Params:
    """The demo profile."""
    return load_params(Path(__file__).parents[2] / "profiles" / "demo.yaml")


def small_search() -> TuneParams:
    """Eight trials of three epochs."""
    update = {"trials": 8, "attempts": 40, "epochs": 3, "startup_trials": 3, "widths": (16, 32)}
    return demo_params().tune.model_copy(update=update)


def peak_value(trial: optuna.Trial, show: Callable[[str], None]) -> float:
    """A fake training whose IoU is largest at alpha 2, gamma 1.5, width 32."""
    tune = small_search()
    point = suggest(trial, tune)
    value = 0.9 - 0.1 * abs(point.alpha - 2) - 0.1 * abs(point.gamma - 1.5)
    value -= 0.2 * (point.width != 32)
    for epoch in range(tune.epochs):
        trial.report(value * (epoch + 1) / tune.epochs, epoch)
    show(f"IoU {value:.3f}")
    return value


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def params() -> Params:
    return demo_params()


@pytest.fixture
def tune() -> TuneParams:
    return small_search()


@pytest.fixture
def peak() -> Callable[..., float]:
    return peak_value


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"seed": 1}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Path of a study database that does not exist yet."""
    return tmp_path / "study.db"


@pytest.fixture
def stored(database: Path, tune: TuneParams, settings: dict[str, Any]) -> optuna.Study:
    """An empty study in the database."""
    return open_study(database, "a", tune, settings)


@pytest.fixture
def study(tune: TuneParams) -> optuna.Study:
    """An empty study in memory."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=tune.startup_trials)
    return optuna.create_study(study_name="memory", direction="maximize", pruner=pruner)
