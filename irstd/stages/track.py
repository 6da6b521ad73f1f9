"""The track command: send what was journaled while the experiment store was away."""

import logging
from pathlib import Path

from irstd.config import Params
from irstd.tracking import Sent, send_pending

logger = logging.getLogger(__name__)


def track(root: Path, params: Params) -> Sent:
    """Send every journal of the project to the store, and say what was sent.

    Raises:
        TrackingError: the store cannot be reached; the journals keep what was not sent.
    """
    sent = send_pending(root, params)
    logger.info("%d events of %d runs sent to %s", sent.events, sent.runs, sent.store)
    return sent
