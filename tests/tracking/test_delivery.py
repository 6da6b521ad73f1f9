import math
import subprocess
import sys
from pathlib import Path

import pytest

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.tracking.delivery import deliver, send_pending
from irstd.tracking.journal import Delivery, Journal
from irstd.tracking.store import Store


@pytest.fixture
def journal(root: Path) -> Journal:
    return Journal(root / "artifacts" / "smoke" / "ispanet" / "tracking", "a1")


def history(store: Store, journal: Journal, name: str) -> list[tuple[int, float]]:
    points = store.client.get_metric_history(store.run_id(journal), name)
    return [(point.step, point.value) for point in points]


def test_each_event_is_sent_once(store: Store, journal: Journal) -> None:
    journal.append("start", stage="train")
    for epoch in range(250):
        journal.append("metrics", values={"val_iou": epoch / 1000, "lr": 0.01}, step=epoch)
    assert deliver(journal, store) == 251
    assert deliver(journal, store) == 0
    journal.append("metrics", values={"val_iou": 0.9}, step=250)
    assert deliver(journal, store) == 1
    expected = [(epoch, epoch / 1000) for epoch in range(250)] + [(250, 0.9)]
    assert history(store, journal, "val_iou") == expected


def test_a_step_that_was_sent_but_not_recorded_leaves_no_duplicate(
    store: Store, journal: Journal
) -> None:
    for epoch in range(3):
        journal.append("metrics", values={"val_iou": epoch / 10}, step=epoch)
    deliver(journal, store)
    journal.mark(store.label, Delivery(store.run_id(journal), 0))
    assert deliver(journal, store) == 3
    assert history(store, journal, "val_iou") == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_a_failure_half_way_goes_on_from_where_it_stopped(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in range(150):
        journal.append("metrics", values={"val_iou": float(epoch)}, step=epoch)
    send, calls = store.client.log_batch, []

    def fail_once(*args: object, **kwargs: object) -> None:
        calls.append(kwargs)
        if len(calls) == 2:
            raise ConnectionError("cut")
        send(*args, **kwargs)

    monkeypatch.setattr(store.client, "log_batch", fail_once)
    with pytest.raises(TrackingError, match="cut"):
        deliver(journal, store)
    assert deliver(journal, store) == 50
    assert len(history(store, journal, "val_iou")) == 150


def test_all_kinds_arrive(store: Store, journal: Journal, tmp_path: Path) -> None:
    figure = tmp_path / "pr.csv"
    figure.write_text("1,2\n")
    journal.append("params", values={f"p{i}": str(i) for i in range(130)})
    journal.append("tags", values={f"t{i}": str(i) for i in range(130)})
    journal.append("metrics", values={f"m{i}": float(i) for i in range(1100)}, step=0)
    journal.append("metrics", values={"undefined": math.nan}, step=0)
    journal.append("artifact", name="pr.csv", folder="curves", sha256=journal.keep(figure))
    figure.write_text("3,4\n")
    journal.append("end", stage="train", status="FINISHED")
    deliver(journal, store)
    run = store.client.get_run(store.run_id(journal))
    assert run.data.params["p129"] == "129"
    assert run.data.tags["t129"] == "129"
    assert run.data.metrics["m1099"] == 1099
    assert math.isnan(run.data.metrics["undefined"])
    assert run.info.status == "FINISHED"
    sent = store.client.download_artifacts(run.info.run_id, "curves/pr.csv", str(tmp_path))
    assert Path(sent).read_text() == "1,2\n"


def test_a_parameter_keeps_its_first_value(store: Store, journal: Journal) -> None:
    journal.append("params", values={"seed": "1", "lr": "0.1"})
    deliver(journal, store)
    journal.append("params", values={"seed": "2", "lr": "0.1"})
    deliver(journal, store)
    data = store.client.get_run(store.run_id(journal)).data
    assert data.params == {"seed": "1", "lr": "0.1"}
    assert data.tags["changed.seed"] == "2"
    assert "changed.lr" not in data.tags


def test_a_run_that_was_deleted_in_the_store_is_sent_again(store: Store, journal: Journal) -> None:
    journal.append("metrics", values={"val_iou": 0.5}, step=0)
    deliver(journal, store)
    first = store.run_id(journal)
    store.client.delete_run(first)
    assert deliver(journal, store) == 1
    assert store.run_id(journal) != first
    assert history(store, journal, "val_iou") == [(0, 0.5)]


def test_a_kept_file_that_was_deleted_does_not_block_the_rest(
    store: Store, journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "x.txt"
    file.write_text("x")
    digest = journal.keep(file)
    journal.append("artifact", name="x.txt", folder="", sha256=digest)
    journal.append("tags", values={"after": "1"})
    journal.kept(digest, "x.txt").unlink()
    deliver(journal, store)
    assert "was deleted before it was sent" in caplog.text
    assert store.client.get_run(store.run_id(journal)).data.tags["after"] == "1"


def test_two_processes_that_send_one_journal_make_one_run(
    root: Path, store: Store, journal: Journal
) -> None:
    for epoch in range(3):
        journal.append("metrics", values={"val_iou": epoch / 10}, step=epoch)
    store.experiment_id()
    code = """
import sys, time
from pathlib import Path
from irstd.config import load_params
from irstd.tracking.delivery import deliver
from irstd.tracking.journal import Journal
from irstd.tracking.store import Store

root, folder, key = sys.argv[1:]
store = Store(Path(root), load_params(Path(root) / "params.yaml").register_)
create = store.client.create_run

def slowly(*args, **kwargs):
    print("found none", flush=True)
    time.sleep(2)
    return create(*args, **kwargs)

store.client.create_run = slowly
print(deliver(Journal(Path(folder), key), store), flush=True)
"""
    command = [sys.executable, "-c", code, str(root), str(journal.folder), journal.key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "found none\n"
        assert deliver(journal, store) == 0
        assert other.stdout.read() == "3\n"
    assert len(store.client.search_runs([store.experiment_id()])) == 1
    assert history(store, journal, "val_iou") == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_pending_journals_of_all_profiles_are_sent_when_the_store_is_back(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, away: None
) -> None:
    for profile, network in (("smoke", "ispanet"), ("demo", "mpcnet")):
        journal = Journal(root / "artifacts" / profile / network / "tracking", "a1")
        journal.append("start", stage="train")
        journal.append("metrics", values={"val_iou": 0.5}, step=0)
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9"):
        send_pending(root, params)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    sent = send_pending(root, params)
    assert (sent.store, sent.runs, sent.events) == ("sqlite:///mlflow.db", 2, 4)
    assert send_pending(root, params).events == 0
