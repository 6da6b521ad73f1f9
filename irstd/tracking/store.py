"""The experiment store (MLflow), always by explicit address, experiment and run id.

The fluent interface of MLflow keeps an active run per process and is not used: a stage that fails,
a thread or a stray `MLFLOW_RUN_ID` would log into somebody else's run.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from irstd.config import RegisterParams
from irstd.errors import TrackingError
from irstd.tracking.journal import Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONG_KEY = 64  # a SHA-256; its first digits name a run well enough


class Store:
    """The experiment store of a project: SQLite in its folder, or what `MLFLOW_TRACKING_URI` names.

    Nothing is contacted before the first use.

    Args:
        root: the project's folder.
        settings: experiment, and how long to wait for a server.
        make: make the SQLite file if there is none; False for a query.

    Attributes:
        uri: the address.
        label: the address without credentials and without the project's own path.

    Raises:
        TrackingError: MLflow is not installed, the address is of no known kind, or there is no
            SQLite file and none is to be made.
    """

    def __init__(self, root: Path, settings: RegisterParams, *, make: bool = True) -> None:
        """Prepare a client that waits and retries as the settings say."""
        self._root = root.resolve()
        self._settings = settings
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._root / 'mlflow.db'}"
        self.label = _without_credentials(self.uri).replace(f"{self._root}/", "")
        self._experiment_id = ""
        if not make:
            self._check_file()
        with self.reaching():
            self.client = _client(self.uri, settings)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn whatever the store's libraries raise into one error.

        Raises:
            TrackingError: the store refused or could not be reached, with its reason on one line.
        """
        try:
            yield
        except ImportError as error:
            raise TrackingError(
                f"experiment store {self.label}: a package it needs is missing ({error}); "
                "install irstd[pipeline]"
            ) from error
        except _store_errors() as error:
            reason = str(error).replace(self.uri, self.label).partition("\n")[0][:400]
            raise TrackingError(f"experiment store {self.label}: {reason}") from error

    def experiment_id(self) -> str:
        """The experiment's id; made if the store has none of that name.

        Raises:
            TrackingError: the store cannot be reached, or its files were made in another folder.
        """
        if self._experiment_id:
            return self._experiment_id
        name = self._settings.experiment
        with self.reaching():
            found = self.client.get_experiment_by_name(name)
            if found is None:
                self._create_experiment(name)
                found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(
                f"experiment store {self.label}: the experiment {name!r} was deleted; restore it "
                "(mlflow experiments restore), or choose another register.experiment in params.yaml"
            )
        self._check_location(found.artifact_location)
        self._experiment_id = str(found.experiment_id)
        return self._experiment_id

    def run_id(self, journal: Journal) -> str:
        """The id of the journal's run; the run is made if the store has none.

        Raises:
            TrackingError: the store cannot be reached.
        """
        experiment = self.experiment_id()
        known = journal.delivery(self.label)
        identity = {
            "irstd.profile": journal.profile,
            "irstd.network": journal.network,
            "irstd.key": journal.key,
        }
        with self.reaching():
            if known is not None and self._has_run(known.run_id, experiment):
                return known.run_id
            query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity.items())
            for run in self.client.search_runs([experiment], query, max_results=1):
                return str(run.info.run_id)
            key = journal.key if len(journal.key) < LONG_KEY else journal.key[:8]
            name = f"{journal.network}-{journal.profile}-{key}"
            run = self.client.create_run(experiment, run_name=name, tags=identity)
            return str(run.info.run_id)

    def _check_file(self) -> None:
        parts = urlsplit(self.uri)
        if parts.scheme == "sqlite" and not Path(parts.path[1:]).is_file():
            raise TrackingError(
                f"experiment store {self.label}: no such file, so nothing is registered here; run "
                "`irstd register`, or set MLFLOW_TRACKING_URI to the store that has the model"
            )

    def _create_experiment(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        served = urlsplit(self.uri).scheme in ("http", "https")
        location = None if served else (self._root / "mlartifacts").as_uri()
        try:
            self.client.create_experiment(name, artifact_location=location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise

    def _check_location(self, location: str) -> None:
        expected = (self._root / "mlartifacts").as_uri()
        if self.label == "sqlite:///mlflow.db" and location != expected:
            raise TrackingError(
                f"experiment store {self.label}: its files lie in {location}, expected {expected}; "
                "the project was moved or copied: move it back, or delete mlflow.db and run "
                "`irstd track` and `irstd register`"
            )

    def _has_run(self, run_id: str, experiment: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return bool(run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment)


def _client(uri: str, settings: RegisterParams) -> "MlflowClient":
    os.environ |= {  # MLflow takes these from the environment only
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(settings.request_timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(settings.request_retries),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # it may ask for hours
    }
    for name in ("alembic", "mlflow.store.db.utils"):  # one line per table of a new SQLite file
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _store_errors() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError)  # requests' errors are OSErrors


def _without_credentials(uri: str) -> str:
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(f"{user}{at}", "", 1) if at else uri
