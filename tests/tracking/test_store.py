import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


class Busy(BaseHTTPRequestHandler):
    """Answers every question with "come back in an hour"."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[int]:
    """Port of a server that is overloaded."""
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[int]:
    """Port of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def deadline() -> Iterator[None]:
    """Ends a test that would wait for an hour."""

    def late(*arguments: object) -> None:
        raise TimeoutError("the wait is not bounded")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("deadline")
@pytest.mark.parametrize("server", ["busy", "silent"])
def test_a_server_that_does_not_help_is_given_up_after_a_bounded_wait(
    root: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    address = f"http://127.0.0.1:{request.getfixturevalue(server)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    store = Store(root, params.register_.model_copy(update={"request_retries": 1}))
    started = time.monotonic()
    with pytest.raises(TrackingError, match=f"experiment store {address}: "):
        store.experiment_id()
    assert time.monotonic() - started < 15


def test_a_query_makes_no_database(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(TrackingError, match=r"sqlite:///mlflow\.db: no such .* `irstd register`"):
        Store(other, params.register_, make=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/theirs.db")
    with pytest.raises(TrackingError, match=r"theirs\.db: no such file"):
        Store(other, params.register_, make=False)
    assert not list(other.iterdir())


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
