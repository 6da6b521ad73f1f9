"""Runs and the model registry. MLflow is imported when a store is used, not before."""

from typing import TYPE_CHECKING, Any

from irstd.tracking.delivery import Sent, send_pending
from irstd.tracking.run import RunJournal, track_run

if TYPE_CHECKING:
    from irstd.tracking.epochs import EpochLogger

__all__ = ["EpochLogger", "RunJournal", "Sent", "send_pending", "track_run"]


def __getattr__(name: str) -> Any:
    """`EpochLogger` on demand: what only reads or sends journals starts without Lightning."""
    if name == "EpochLogger":
        from irstd.tracking.epochs import EpochLogger

        return EpochLogger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
