import sys
import time
from pathlib import Path

import pytest

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.tracking.journal import Journal
from irstd.tracking.store import Store


def test_the_default_store_stands_in_the_project(root: Path, store: Store) -> None:
    experiment = store.client.get_experiment(store.experiment_id())
    assert store.label == "sqlite:///mlflow.db"
    assert store.uri == f"sqlite:///{root}/mlflow.db"
    assert experiment.name == "irstd"
    assert experiment.artifact_location == (root / "mlartifacts").as_uri()


def test_a_run_is_made_once(root: Path, store: Store) -> None:
    folder = root / "artifacts" / "smoke" / "ispanet" / "tracking"
    first = store.run_id(Journal(folder, "a" * 64))
    assert store.run_id(Journal(folder, "a" * 64)) == first
    assert store.run_id(Journal(folder, "b" * 64)) != first
    run = store.client.get_run(first)
    assert run.info.run_name == "ispanet-smoke-aaaaaaaa"
    assert run.data.tags["irstd.key"] == "a" * 64


def test_no_process_wide_state_of_mlflow_is_touched(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    before = mlflow.get_tracking_uri()
    assert store.run_id(Journal(root / "artifacts/smoke/ispanet/tracking", "a1")) != "f" * 32
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before


@pytest.mark.usefixtures("away")
def test_a_server_that_is_away_is_an_error_after_a_bounded_wait(root: Path, params: Params) -> None:
    store = Store(root, params.register_)
    assert store.label == "http://127.0.0.1:9"
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"experiment store http://127.0.0.1:9: ") as error:
        store.experiment_id()
    assert time.monotonic() - started < 10
    assert "secret" not in str(error.value)


def test_a_moved_project_does_not_write_to_its_old_place(
    root: Path, params: Params, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store.experiment_id()
    moved = tmp_path_factory.mktemp("elsewhere")
    (root / "mlflow.db").rename(moved / "mlflow.db")
    with pytest.raises(TrackingError, match="the project was moved or copied"):
        Store(moved, params.register_).experiment_id()


def test_a_deleted_experiment_is_named(root: Path, params: Params, store: Store) -> None:
    store.client.delete_experiment(store.experiment_id())
    with pytest.raises(TrackingError, match="the experiment 'irstd' was deleted; restore it"):
        Store(root, params.register_).experiment_id()


def test_without_mlflow_the_store_says_what_to_install(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(TrackingError, match=r"install irstd\[pipeline\]"):
        Store(root, params.register_)


def test_errors_that_are_not_the_stores_pass_unchanged(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.reaching():
        raise ZeroDivisionError
