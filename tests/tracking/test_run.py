import logging
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.tracking import send_pending, track_run
from irstd.tracking.journal import Journal
from irstd.tracking.store import Store


def status(store: Store, root: Path, key: str) -> str:
    folder = root / "artifacts" / "smoke" / "ispanet" / "tracking"
    return str(store.client.get_run(store.run_id(Journal(folder, key))).info.status)


def test_a_stage_ends_as_finished_and_the_next_one_continues_its_run(
    root: Path, params: Params, store: Store
) -> None:
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        first = run.deliver()
        assert store.client.get_run(first).info.status == "RUNNING"
        run.metrics({"val_iou": 0.5}, step=0)
    with track_run(root, params, "ispanet", stage="evaluate", key="a1") as run:
        assert run.deliver() == first
        run.metrics({"iou": 0.6})
    data = store.client.get_run(first).data
    assert status(store, root, "a1") == "FINISHED"
    assert data.metrics == {"val_iou": 0.5, "iou": 0.6}


def test_another_key_is_another_run(root: Path, params: Params) -> None:
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        first = run.deliver()
    with track_run(root, params, "ispanet", stage="train", key="a2") as run:
        assert run.deliver() != first


@pytest.mark.parametrize(
    ("error", "expected"), [(ValueError("no luck"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_an_error_ends_the_run_and_goes_on(
    root: Path, params: Params, store: Store, error: BaseException, expected: str
) -> None:
    def stage() -> None:
        with track_run(root, params, "ispanet", stage="train", key="a1"):
            raise error

    with pytest.raises(type(error)):
        stage()
    folder = root / "artifacts" / "smoke" / "ispanet" / "tracking"
    run = store.client.get_run(store.run_id(Journal(folder, "a1")))
    assert run.info.status == expected
    assert run.data.tags.get("error") == (
        "train: ValueError: no luck" if expected == "FAILED" else None
    )


def test_a_run_whose_process_was_killed_is_ended_by_the_next_key(
    root: Path, params: Params, store: Store
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from irstd.config import load_params\n"
        "from irstd.tracking import track_run; root = Path(sys.argv[1])\n"
        "params = load_params(root / 'params.yaml')\n"
        "with track_run(root, params, 'ispanet', stage='train', key='a1'):\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert status(store, root, "a1") == "RUNNING"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with track_run(root, params, "ispanet", stage="train", key="a2"):
        assert status(store, root, "a1") == "KILLED"
    assert status(store, root, "a2") == "FINISHED"


def test_a_training_logs_where_it_comes_from(root: Path, params: Params, store: Store) -> None:
    result = root / "reports" / "validate" / "smoke" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    (root / "dvc.lock").write_text("stages: {}\n")
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        run_id = run.deliver()
    data = store.client.get_run(run_id).data
    recipe = params.train.recipes["ispanet"]
    assert data.params["recipe.optimizer.lr"] == str(recipe.optimizer.lr)
    assert data.params["seed"] == str(params.seed)
    assert data.params["data.source"] == "generated"
    assert data.tags["train.git_commit"] == "unknown"
    assert data.tags["train.data_checksum"] == "unknown"
    assert len(data.tags["train.dvc_lock_sha256"]) == 64
    files = {item.path for item in store.client.list_artifacts(run_id, "provenance/train")}
    names = ("dvc.lock", "environment.txt", "params.yaml", "result.json")
    assert files == {f"provenance/train/{name}" for name in names}


@pytest.mark.usefixtures("away")
def test_a_store_that_is_away_costs_a_warning_and_loses_nothing(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figure = root / "figure.txt"
    figure.write_text("as logged")
    started = time.monotonic()
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        for epoch in range(5):
            run.metrics({"val_iou": epoch / 10}, step=epoch)
            assert not run.send()
        run.artifact(figure, folder="figures")
        figure.write_text("overwritten")
    assert time.monotonic() - started < 20
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    ours = [text for text in warnings if "irstd track" in text]
    assert len(ours) == 1
    assert "http://127.0.0.1:9" in ours[0]
    assert "Nothing is lost" in ours[0]
    assert "secret" not in caplog.text

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert send_pending(root, params).runs == 1
    store = Store(root, params.register_)
    run_id = store.run_id(run.journal)
    assert len(store.client.get_metric_history(run_id, "val_iou")) == 5
    assert store.client.get_run(run_id).info.status == "FINISHED"
    sent = store.client.download_artifacts(run_id, "figures/figure.txt", str(root))
    assert Path(sent).read_text() == "as logged"


def test_a_machine_without_mlflow_keeps_the_journal(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        run.metrics({"val_iou": 0.5}, step=0)
    assert [entry.kind for entry in run.journal.read()][-2:] == ["metrics", "end"]
    assert "No module named 'mlflow'" in caplog.text or "mlflow" in caplog.text


def test_figures_that_the_journal_has_are_left_out(root: Path, params: Params, away: None) -> None:
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        run.metrics({"val_iou": 0.5, "pd": math.nan}, step=0)
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        run.metrics({"val_iou": 0.5, "pd": math.nan}, step=0)
        run.metrics({"val_iou": 0.5, "pd": 0.9}, step=1)
        run.metrics({"val_iou": 0.6}, step=1)
    logged = [
        (entry.content["step"], list(entry.content["values"]))
        for entry in run.journal.read()
        if entry.kind == "metrics"
    ]
    assert logged == [(0, ["val_iou", "pd"]), (1, ["val_iou", "pd"]), (1, ["val_iou"])]


@pytest.mark.usefixtures("away")
def test_a_folder_is_logged_with_its_structure(root: Path, params: Params) -> None:
    (root / "overlays" / "worst").mkdir(parents=True)
    (root / "overlays" / "a.png").write_bytes(b"a")
    (root / "overlays" / "worst" / "b.png").write_bytes(b"b")
    with track_run(root, params, "ispanet", stage="evaluate", key="a1") as run:
        run.artifact(root / "overlays", folder="evaluate")
    logged = [
        f"{entry.content['folder']}/{entry.content['name']}"
        for entry in run.journal.read()
        if entry.kind == "artifact"
    ]
    assert logged[-2:] == ["evaluate/a.png", "evaluate/worst/b.png"]


@pytest.mark.usefixtures("away")
def test_what_the_store_would_refuse_is_refused_at_once(root: Path, params: Params) -> None:
    with track_run(root, params, "ispanet", stage="train", key="a1") as run:
        with pytest.raises(TrackingError, match="got 'p_d@2'"):
            run.metrics({"p_d@2": 0.5})
        with pytest.raises(TrackingError, match="no such file or folder to log"):
            run.artifact(root / "missing.png")
        run.tags({"long": "x" * 6000})
    tags = [entry for entry in run.journal.read() if entry.kind == "tags"]
    assert tags[-1].content["values"]["long"].endswith("x [cut]")
