"""Sending a journal to a store: in order, each event once, from where the last attempt stopped."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.tracking.journal import Delivery, Entry, Journal, journals
from irstd.tracking.store import Store

EVENTS_PER_STEP = 100
METRICS_PER_BATCH, TEXTS_PER_BATCH = 1000, 100  # limits of MLflow's log_batch
logger = logging.getLogger(__name__)


def deliver(journal: Journal, store: Store) -> int:
    """Send the events the store does not have yet, and record after each step what it has now.

    A step that was sent but not recorded (the process was killed between the two) is sent again;
    its metrics carry the time of the event, so the store recognises them and keeps one of each.
    Of two processes with the same journal, one waits until the other has sent.

    Returns:
        How many events were sent.

    Raises:
        TrackingError: the store refused or could not be reached; what was recorded stays recorded.
    """
    with journal.sending():
        return _deliver(journal, store)


@dataclass(frozen=True)
class Sent:
    """What `send_pending` did.

    Attributes:
        store: the store's address without credentials.
        runs: how many runs had something to send.
        events: how many events were sent.
    """

    store: str
    runs: int
    events: int


def send_pending(root: Path, params: Params) -> Sent:
    """Send every journal of a project, of all profiles and networks, to the store.

    Raises:
        TrackingError: the store cannot be reached; what was sent before stays sent.
    """
    store = Store(root, params.register_)
    counts = [deliver(journal, store) for journal in journals(root)]
    return Sent(store.label, sum(count > 0 for count in counts), sum(counts))


def _deliver(journal: Journal, store: Store) -> int:
    run_id = store.run_id(journal)
    known = journal.delivery(store.label)
    offset = known.offset if known is not None and known.run_id == run_id else 0
    journal.mark(store.label, Delivery(run_id, offset))
    entries = journal.read(offset)
    for first in range(0, len(entries), EVENTS_PER_STEP):
        step = entries[first : first + EVENTS_PER_STEP]
        with store.reaching():
            _send(store, run_id, journal, step)
        journal.mark(store.label, Delivery(run_id, step[-1].end))
    return len(entries)


def _send(store: Store, run_id: str, journal: Journal, entries: Sequence[Entry]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(name, value, entry.content["time"], entry.content["step"])
        for entry in _of_kind(entries, "metrics")
        for name, value in entry.content["values"].items()
    ]
    params = _merged(_of_kind(entries, "params"))
    tags = _merged(_of_kind(entries, "tags"))
    if params:  # a parameter keeps its first value; the store would refuse another one
        fixed = store.client.get_run(run_id).data.params
        changed = [name for name, value in params.items() if fixed.get(name, value) != value]
        tags |= {f"changed.{name}": params.pop(name) for name in changed}
    for part in _parts(metrics, METRICS_PER_BATCH):
        store.client.log_batch(run_id, metrics=part)
    for part in _parts([Param(*item) for item in params.items()], TEXTS_PER_BATCH):
        store.client.log_batch(run_id, params=part)
    for part in _parts([RunTag(*item) for item in tags.items()], TEXTS_PER_BATCH):
        store.client.log_batch(run_id, tags=part)
    _upload(store, run_id, journal, entries)
    _set_status(store, run_id, entries)


def _upload(store: Store, run_id: str, journal: Journal, entries: Sequence[Entry]) -> None:
    latest = {
        (entry.content["folder"], entry.content["name"]): entry.content["sha256"]
        for entry in _of_kind(entries, "artifact")
    }
    for (folder, name), digest in latest.items():
        file = journal.kept(digest, name)
        if file.exists():
            store.client.log_artifact(run_id, str(file), folder or None)
        else:
            logger.warning("%s was deleted before it was sent; the run lacks it", file)


def _set_status(store: Store, run_id: str, entries: Sequence[Entry]) -> None:
    states = [entry for entry in entries if entry.kind in ("start", "end")]
    if not states:
        return
    last = states[-1]
    if last.kind == "start":
        store.client.update_run(run_id, status="RUNNING")
    else:
        store.client.set_terminated(run_id, last.content["status"], last.content["time"])


def _of_kind(entries: Sequence[Entry], kind: str) -> list[Entry]:
    return [entry for entry in entries if entry.kind == kind]


def _merged(entries: Sequence[Entry]) -> dict[str, str]:
    return {name: text for entry in entries for name, text in entry.content["values"].items()}


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
