"""The flow's module, loaded from its file; a Prefect server of the tests' own."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
STARTUP_S = 120


@pytest.fixture(scope="session")
def flow_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`flows/retrain.py`; Prefect keeps its files in a temporary folder."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    path = ROOT / "flows" / "retrain.py"
    spec = importlib.util.spec_from_file_location("retrain_flow", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def prefect_server(flow_module: ModuleType) -> Iterator[None]:
    """A whole server with an empty database; the temporary one of a flow has no scheduler."""
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            _wait(server, f"{url}/health")
            with temporary_settings({PREFECT_API_URL: url}):
                yield
                APILogHandler().flush()  # a record sent after the server's end is an error
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + STARTUP_S
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"the Prefect server did not answer at {url} within {STARTUP_S} s")
