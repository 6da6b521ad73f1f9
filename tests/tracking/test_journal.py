import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from irstd.errors import TrackingError
from irstd.tracking.journal import Delivery, Journal, file_sha256, journals


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "artifacts" / "smoke" / "ispanet" / "tracking", "a1")


def test_events_come_back_in_order_and_from_an_offset(journal: Journal) -> None:
    journal.append("start", stage="train")
    journal.append("metrics", values={"val_iou": 0.1 + 0.2}, step=3)
    entries = journal.read()
    assert [entry.kind for entry in entries] == ["start", "metrics"]
    assert entries[1].content["values"] == {"val_iou": 0.1 + 0.2}
    assert entries[1].content["step"] == 3
    assert entries[1].end == journal.path.stat().st_size
    assert journal.read(entries[0].end) == entries[1:]
    assert journal.read(entries[1].end) == []


def test_a_journal_knows_profile_and_network_from_its_folder(journal: Journal) -> None:
    journal.append("start", stage="train")
    assert (journal.profile, journal.network) == ("smoke", "ispanet")
    assert [item.path for item in journals(journal.folder.parents[3])] == [journal.path]


def test_a_torn_last_line_is_left_for_later(journal: Journal) -> None:
    journal.append("start", stage="train")
    whole = journal.path.stat().st_size
    with journal.path.open("ab") as file:
        file.write(b'{"kind": "metrics", "val')
    assert [entry.end for entry in journal.read()] == [whole]


def test_a_torn_line_is_closed_off_and_named(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append("start", stage="train")
    with journal.path.open("ab") as file:
        file.write(b'{"kind": "metrics", "val')
    journal.append("end", stage="train", status="FINISHED")
    entries = journal.read()
    assert [entry.kind for entry in entries] == ["start", "end"]
    assert entries[-1].end == journal.path.stat().st_size
    assert "is torn" in caplog.text
    assert str(journal.path) in caplog.text


def test_a_kept_file_stays_as_it_was(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "figure.png"
    file.write_bytes(b"first")
    digest = journal.keep(file)
    file.write_bytes(b"second")
    assert journal.kept(digest, "figure.png").read_bytes() == b"first"
    assert digest == file_sha256(journal.kept(digest, "figure.png"))
    assert journal.keep(file) != digest


def test_what_was_sent_is_recorded_for_each_store(journal: Journal) -> None:
    journal.append("start", stage="train")
    assert journal.delivery("one") is None
    journal.mark("one", Delivery("r1", 10))
    journal.mark("two", Delivery("r2", 20))
    journal.mark("one", Delivery("r1", 30))
    again = Journal(journal.folder, journal.key)
    assert again.delivery("one") == Delivery("r1", 30)
    assert again.delivery("two") == Delivery("r2", 20)
    assert not list(journal.folder.glob("*.tmp"))


def test_a_journal_is_abandoned_once_its_writer_is_killed(journal: Journal) -> None:
    code = (
        "import sys, time; from pathlib import Path; from irstd.tracking.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), sys.argv[2])\n"
        "with journal.held():\n"
        "    journal.append('start', stage='train'); print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(journal.folder), journal.key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert not journal.abandoned()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert journal.abandoned()
    journal.append("end", stage="train", status="KILLED")
    assert not journal.abandoned()


@pytest.mark.parametrize("key", ["", "a/b", "../x", "a b", "x" * 129])
def test_a_key_that_is_no_file_name_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(TrackingError, match=r"a run's key is expected as .*, got"):
        Journal(tmp_path, key)
